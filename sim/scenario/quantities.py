"""Numbers with a unit, as the parameters of a distribution: "120/h", "50k", "30m" or 0.3, all of one kind."""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypeAlias

from pydantic_core import PydanticCustomError

from sim.units import HOUR, as_duration, as_rate, as_tokens, duration

__all__ = ["NUMBER", "Unit", "amounts"]

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?")
_DIGITS = 12  # which no processor's logarithm disputes

Kind: TypeAlias = Literal["number", "tokens", "duration", "rate"]


class Unit(NamedTuple):
    """What some amounts are counted in: plain numbers, tokens, ms, or events a unit of time."""

    kind: Kind
    per: str = ""  # of a rate: "h", "min", ...

    def text(self, amount: float, decimals: int | None = None) -> str:
        """Return an amount as a scenario has it: whole tokens and ms, other numbers with twelve digits.

        ``decimals`` is for plain numbers that a path takes only so coarsely.

        >>> Unit("rate", "h").text(120.0), Unit("duration").text(5_400_000.4), Unit("number").text(2.5, 0)
        ('120/h', '1h30m', '2')
        """
        if self.kind == "duration":
            return duration(round(amount)) if amount >= 0 else f"-{duration(round(-amount))}"
        if self.kind == "tokens" or decimals == 0:
            return str(round(amount))
        text = f"{amount if decimals is None else round(amount, decimals):.{_DIGITS}g}"
        return f"{text}/{self.per}" if self.kind == "rate" else text


NUMBER = Unit("number")


def amounts(texts: Sequence[str]) -> tuple[tuple[float, ...], Unit]:
    """Return amounts and what they are counted in; raise :class:`ValueError` where they are not of one kind.

    Whole numbers beside token counts are tokens; rates by different units of time are counted by the hour.

    >>> amounts(["500", "2k"]), amounts(["60/h", "2/min"])
    (((500.0, 2000.0), Unit(kind='tokens', per='')), ((60.0, 120.0), Unit(kind='rate', per='h')))
    """
    if all(_NUMBER.fullmatch(text) for text in texts):
        return tuple(map(float, texts)), NUMBER
    for read in (_tokens, _durations, _rates):
        try:
            return read(texts)
        except PydanticCustomError:
            continue
    if len(texts) == 1:
        raise ValueError(f"{texts[0]!r} is no quantity")
    for text in texts:
        amounts([text])
    raise ValueError(f"quantities of different kinds: {', '.join(texts)}")


def _tokens(texts: Sequence[str]) -> tuple[tuple[float, ...], Unit]:
    return tuple(float(as_tokens(text)) for text in texts), Unit("tokens")


def _durations(texts: Sequence[str]) -> tuple[tuple[float, ...], Unit]:
    return tuple(float(as_duration(text)) for text in texts), Unit("duration")


def _rates(texts: Sequence[str]) -> tuple[tuple[float, ...], Unit]:
    hourly = tuple(as_rate(text) for text in texts)
    units = [text.partition("/")[2].strip() for text in texts]
    if len(set(units)) > 1:
        return hourly, Unit("rate", "h")
    return tuple(rate * as_duration(f"1{_clock(units[0])}") / HOUR for rate in hourly), Unit("rate", units[0])


def _clock(unit: str) -> str:
    return "d" if unit == "day" else unit
