"""One thing that is tuned: a path, and the values that it may take, by how far along they are."""

import math
from fractions import Fraction
from typing import NamedTuple

from pydantic_core import PydanticCustomError

from sim.experiments.designs import Axis, Design, Span
from sim.units import HOUR, MINUTE, SECOND, as_duration, as_rate, as_tokens, duration

__all__ = ["SAMPLED", "Dimension", "amount"]

SAMPLED = Design("sobol", 2)  # a design whose ranges need no count
_GRAINS = (  # ms that durations are rounded to, so that they can be read
    *(1, 5, 10, 50, 100, 500),
    *(SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND),
    *(MINUTE, 5 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR),
)
_GRAIN = 0.02  # of a duration, at most


class Dimension(NamedTuple):
    """One path, and what it may be: a range, or one of a list."""

    path: str
    axis: Axis
    whole: bool = False  # whole numbers only

    @property
    def span(self) -> Span | None:
        """Return the range; None of a list."""
        return self.axis.span

    @property
    def key(self) -> str:
        """Return the last part of the path, which names the dimension within its strategy."""
        return self.path.rpartition(".")[2]

    def value(self, share: float) -> str:
        """Return the value at a share of [0, 1] of the way; rounded, so that near ones are the same.

        Durations are rounded by 1 % of themselves at most, numbers to three digits; the ends of a range are exact.

        >>> from sim.experiments.designs import axes_of
        >>> dimension = Dimension("ttl", axes_of(["ttl=1m..24h:log"], SAMPLED)[0])
        >>> dimension.value(0), dimension.value(0.5), dimension.value(0.501), dimension.value(1)
        ('1m', '38m', '38m', '1d')
        """
        if self.span is None:
            return self.axis.values[min(int(share * len(self.axis.values)), len(self.axis.values) - 1)]
        point = self.span.at(min(max(share, 0.0), 1.0))
        if self.span.kind == "duration":
            return duration(_within(_grained(float(point)), self.span))
        if self.whole or self.span.kind == "tokens":
            return str(_within(round(float(f"{float(point):.3g}")), self.span))
        ends = {0.0: self.span.lo, 1.0: self.span.hi}
        text = f"{float(ends[share]):.12g}" if share in ends else f"{float(point):.3g}"
        return text + (f"/{self.span.unit}" if self.span.kind == "rate" else "")

    def share(self, text: str) -> float | None:
        """Return how far along its range, or its list, a value is; None where it is not in it."""
        if self.span is None:
            places = {value: place for place, value in enumerate(self.axis.values)}
            return None if text not in places else (places[text] + 0.5) / len(places)
        found = amount(text, self.span.kind)
        if found is None or not self.span.lo <= found <= self.span.hi:
            return None
        if self.span.scale == "log":
            return math.log(found / self.span.lo) / math.log(self.span.hi / self.span.lo)
        return float((found - self.span.lo) / (self.span.hi - self.span.lo))

    def beyond(self, end: int) -> str | None:
        """Return a value past the lower (0) or the upper (1) end of a range, None where numbers know of none."""
        span = self.span
        if span is None:
            return None
        step = (span.hi - span.lo) / 8
        lower, upper = (span.lo / 2, span.hi * 2) if span.scale == "log" else (span.lo - step, span.hi + step)
        past = upper if end else lower
        if span.kind == "duration":
            return duration(round(past)) if past >= 0 else None
        if self.whole or span.kind == "tokens":
            return str(math.ceil(past) if end else math.floor(past))
        return f"{float(past):.6g}" + (f"/{span.unit}" if span.kind == "rate" else "")


def _grained(ms: float) -> int:
    """Return a duration rounded to the coarsest grain that is a fiftieth of it at most."""
    grain = max((one for one in _GRAINS if one <= ms * _GRAIN), default=1)
    return round(ms / grain) * grain


def _within(value: int, span: Span) -> int:
    return min(max(value, math.ceil(span.lo)), math.floor(span.hi))


def amount(text: str, kind: str) -> Fraction | None:
    """Return a quantity of a kind (ms, tokens, events an hour, or a number) from its text; None where it is none."""
    readers = {"duration": as_duration, "tokens": as_tokens, "rate": as_rate, "number": Fraction}
    try:
        return Fraction(readers[kind](int(text) if kind == "tokens" and text.isdigit() else text))  # type: ignore[operator]
    except (PydanticCustomError, ValueError):
        return None
