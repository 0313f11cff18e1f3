"""Who calls: the platform, the usage tier, and the limits that come with them; a scenario's ``[project]`` table."""

import math
from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from sim.document import Strict
from sim.units import DAY, PositiveDuration, as_tokens

__all__ = ["TIERS", "Limits", "ProjectOptions", "Tier"]

TIERS: tuple[Literal["free", "1", "2", "3"], ...] = ("free", "1", "2", "3")
_UNLIMITED = "unlimited"
_MOST = 10**10  # a minute: what a bucket of a day holds of it, in 1/60,000, is a 64-bit integer still
_MOST_ENQUEUED = 2**53
_MOST_USD = 10**6  # in picodollars a 64-bit integer


def _as_tier(value: object) -> object:
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if text not in TIERS:
        raise PydanticCustomError("tier", 'not a usage tier; "free", 1, 2 or 3')
    return text


def _wrong(what: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("limit", "{what}; {allowed}", {"what": what, "allowed": f'{allowed}, or "{_UNLIMITED}"'})


def _at_most(most: int, unit: str, number: Callable[[object], float]) -> Callable[[object], object]:
    """Return the reading of a limit: a number above zero, or the word that takes a limit away."""

    def read(value: object) -> object:
        if value is None or value == _UNLIMITED:
            return value
        count = number(value)
        if count <= 0:
            raise _wrong("must be > 0: nothing would get through", f"a number of {unit}")
        if count > most:
            raise _wrong(f"must be at most {most:,}", f"a number of {unit}")
        return count

    return read


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong("not a whole number", "a whole number of calls")
    return value


def _tokens(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        return as_tokens(value)
    except PydanticCustomError:
        raise _wrong("not a token count", 'a whole number of tokens, such as 1200, "50k" or "1M"') from None


def _usd(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
        raise _wrong("not a number", "dollars such as 10")
    return value


def _schema(kind: str) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [{"type": kind, "exclusiveMinimum": 0}, {"type": "string"}, {"type": "null"}]})


def _no_longer_than_a_day(ms: int) -> int:
    if ms > DAY:
        raise PydanticCustomError("burst", "must be at most 1d")
    return ms


Unlimited: TypeAlias = Literal["unlimited"]
_Count: TypeAlias = int | Unlimited | None
_Calls = Annotated[_Count, BeforeValidator(_at_most(_MOST, "calls", _whole)), _schema("integer")]
_TokensAMinute = Annotated[_Count, BeforeValidator(_at_most(_MOST, "tokens", _tokens)), _schema("integer")]
_TokensAtOnce = Annotated[_Count, BeforeValidator(_at_most(_MOST_ENQUEUED, "tokens", _tokens)), _schema("integer")]
_Dollars = Annotated[float | Unlimited | None, BeforeValidator(_at_most(_MOST_USD, "dollars", _usd)), _schema("number")]

_Burst = Annotated[PositiveDuration, AfterValidator(_no_longer_than_a_day)]

Tier = Annotated[Literal["free", "1", "2", "3"], BeforeValidator(_as_tier)]


class Limits(Strict):
    """What a project may ask of one model, stated by hand: laid over the limits of its tier, key by key.

    A key that neither gives is no limit. The word ``"unlimited"`` takes a limit of the tier away.
    """

    requests_per_minute: _Calls = None
    tokens_per_minute: _TokensAMinute = None  # of input, cached ones included
    requests_per_day: _Calls = None  # reset at midnight Pacific
    usd_per_10_minutes: _Dollars = None
    concurrent_requests: _Calls = None
    enqueued_tokens: _TokensAtOnce = None  # of all batch jobs at once
    window: Literal["bucket", "fixed"] = "bucket"
    burst: Annotated[PositiveDuration, AfterValidator(_no_longer_than_a_day)] = (
        60_000  # depth of a bucket, as the time in which it fills
    )
    rejected: Literal["free", "consume"] = "free"  # whether a refused call uses up what it asked for


class ProjectOptions(Strict):
    """The caller's account."""

    platform: Literal["developer", "vertex"] = "developer"
    tier: Tier | None = None  # None: no limits but those stated
    limits: Limits = Limits()
