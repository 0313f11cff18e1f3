"""The units users write ("90s", "50k", "20/h") and the integers that the simulator computes with."""

import datetime as dt
import re
from fractions import Fraction
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

__all__ = [
    "DAY",
    "HOUR",
    "MINUTE",
    "SECOND",
    "Duration",
    "Instant",
    "Positive",
    "PositiveDuration",
    "PositiveTokens",
    "Rate",
    "Real",
    "Share",
    "Switch",
    "TimeOfDay",
    "Tokens",
    "Whole",
    "Zone",
    "as_duration",
    "as_instant",
    "duration",
    "iso",
    "since_epoch",
]

SECOND = 1_000  # ms
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_MS = {"ms": 1, "s": SECOND, "m": MINUTE, "min": MINUTE, "h": HOUR, "d": DAY, "day": DAY, "w": 7 * DAY}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d|w)")
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)\s*([kKM]?)")
_RATE = re.compile(r"(\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?)\s*/\s*(ms|s|min|m|h|day|d|w)")
_SCALE = {"": 1, "k": 1_000, "K": 1_000, "M": 1_000_000}
_EPOCH, _ONE_MS = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(milliseconds=1)
_MAX = 2**53  # beyond it a count is a mistake, and floats in tables would round it


def _wrong(what: str, allowed: str) -> PydanticCustomError:
    # braces would be taken for a template of pydantic's
    return PydanticCustomError("unit", "{what}; {allowed}", {"what": what, "allowed": allowed})


def as_duration(value: object) -> int:
    """Return a duration in whole milliseconds from its text.

    >>> as_duration("1h30m"), as_duration("250ms"), as_duration("0.5d")
    (5400000, 250, 43200000)
    """
    allowed = 'a duration with a unit (ms, s, m, h, d, w), such as "90s" or "1h30m"'
    if not isinstance(value, str):
        raise _wrong("a duration is text with a unit", allowed)
    text = value.strip()
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text.replace(" ", ""):
        raise _wrong("not a duration", allowed)
    total = sum(Fraction(number) * _MS[unit] for number, unit in parts)
    if total.denominator != 1:
        raise _wrong("finer than a millisecond", allowed)
    if total > _MAX:
        raise _wrong("longer than the clock can count", "at most 285,000 years")
    return int(total)


def as_tokens(value: object) -> int:
    """Return a token count from a whole number or a text such as ``"50k"`` or ``"1.5M"``.

    >>> as_tokens("50k"), as_tokens(1200)
    (50000, 1200)
    """
    allowed = 'a whole number of tokens, such as 1200, "50k" or "1M"'
    if isinstance(value, bool):
        raise _wrong("true and false are no counts", allowed)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int):
        count = Fraction(value)
    elif isinstance(value, str) and (match := _TOKENS.fullmatch(value.strip())):
        count = Fraction(match[1]) * _SCALE[match[2]]
    else:
        raise _wrong("not a token count", allowed)
    if count.denominator != 1 or count < 0:
        raise _wrong("must be a whole number >= 0", allowed)
    if count > _MAX:
        raise _wrong("more tokens than can be counted", "at most 2^53")
    return int(count)


def as_rate(value: object) -> float:
    """Return events per hour from a text such as ``"20/h"`` or ``"3/s"``.

    >>> as_rate("20/h"), as_rate("2/min"), as_rate("0/h")
    (20.0, 120.0, 0.0)
    """
    allowed = 'a rate such as "20/h", "3/s" or "500/day"'
    match = _RATE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        raise _wrong("not a rate", allowed)
    rate = Fraction(match[1]) * HOUR / _MS[match[2]]
    if rate > _MAX:
        raise _wrong("a rate that no clock can follow", allowed)
    return float(rate)


def as_instant(value: object) -> dt.datetime:
    """Return a zoned instant from ISO text or a TOML date-time.

    >>> as_instant("2026-11-16T08:00:00Z").isoformat()
    '2026-11-16T08:00:00+00:00'
    """
    allowed = 'a date and time with its zone, such as "2026-11-16T00:00:00Z"'
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            raise _wrong("not a date and time", allowed) from None
    if not isinstance(value, dt.datetime):
        raise _wrong("not a date and time", allowed)
    if value.tzinfo is None:
        raise _wrong("the time zone is missing", allowed)
    return value


def as_time_of_day(value: object) -> int:
    """Return milliseconds after midnight from ``"HH:MM"``.

    >>> as_time_of_day("02:30")
    9000000
    """
    allowed = 'a time of day, "00:00" to "23:59"'
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?", value) if isinstance(value, str) else None
    if match is None:
        raise _wrong("not a time of day", allowed)
    return int(match[1]) * HOUR + int(match[2]) * MINUTE + int(match[3] or 0) * SECOND


def as_zone(value: object) -> ZoneInfo:
    """Return the named time zone."""
    if isinstance(value, ZoneInfo):
        return value
    try:
        return ZoneInfo(value if isinstance(value, str) else "")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise _wrong("unknown time zone", 'an IANA name such as "UTC" or "America/Los_Angeles"') from None


def _above_zero(value: Any) -> Any:
    if value <= 0:
        raise _wrong("must be > 0", "a value above zero")
    return value


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|min|m|h|d|w)\s*)+$"})
_TOKENS_SCHEMA = WithJsonSchema({"type": ["integer", "string"], "pattern": r"^\d+(\.\d+)?\s*[kKM]?$"})

Duration = Annotated[int, BeforeValidator(as_duration), _DURATION_SCHEMA]  # ms
PositiveDuration = Annotated[int, BeforeValidator(lambda v: _above_zero(as_duration(v))), _DURATION_SCHEMA]  # ms
Tokens = Annotated[int, BeforeValidator(as_tokens), _TOKENS_SCHEMA]
PositiveTokens = Annotated[int, BeforeValidator(lambda v: _above_zero(as_tokens(v))), _TOKENS_SCHEMA]
Rate = Annotated[
    float, BeforeValidator(as_rate), WithJsonSchema({"type": "string", "pattern": r"^\d.*/\s*(ms|s|min|m|h|day|d|w)$"})
]
Instant = Annotated[dt.datetime, BeforeValidator(as_instant)]
TimeOfDay = Annotated[
    int, BeforeValidator(as_time_of_day), WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d(:\d\d)?$"})
]
Zone = Annotated[Any, BeforeValidator(as_zone), WithJsonSchema({"type": "string"})]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]  # a probability or a part of a whole
Real = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Whole = Annotated[int, Field(strict=True, ge=0)]
Switch = Annotated[bool, Field(strict=True)]  # true or false: no word and no number stands for it


def duration(ms: int) -> str:
    """Return a duration as a user would write it; the inverse of :func:`as_duration`.

    >>> duration(5_400_000), duration(0), duration(1_250)
    ('1h30m', '0s', '1s250ms')
    """
    text, rest = "", ms
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _MS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


def iso(instant: dt.datetime) -> str:
    """Return an instant as ISO text in UTC, ending in Z."""
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def since_epoch(instant: dt.datetime) -> int:
    """Return a zoned instant in whole ms since 1970 (UTC), rounded down.

    >>> since_epoch(as_instant("1970-01-01T01:00:00.0015+00:30"))
    1800001
    """
    return (instant - _EPOCH) // _ONE_MS
