"""What a provider publishes of a model besides its prices, each figure with its confidence mark."""

import datetime as dt
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sim.errors import NotOffered
from sim.providers.service import Latency
from sim.units import DAY, Switch

__all__ = [
    "Assumption",
    "Confidence",
    "Family",
    "Figure",
    "Generation",
    "LatencyFact",
    "Minimum",
    "ModelFacts",
    "Redirect",
    "day_of",
    "midnight",
]

Family: TypeAlias = Literal["pro", "flash", "flash-lite"]
Generation: TypeAlias = Literal[2, 3]  # which decides how many tokens pictures, film and sound are

# A: two independent sources agree; B: one copy of the provider's page; C: one secondary source or report;
# ?: contested; assumed: nobody publishes it
Confidence: TypeAlias = Literal["A", "B", "C", "?", "assumed"]

_EPOCH = dt.date(1970, 1, 1)


def midnight(day: dt.date) -> int:
    """Return a day's first instant in UTC, in ms since the Unix epoch.

    >>> midnight(dt.date(1970, 1, 3))
    172800000
    """
    return (day - _EPOCH).days * DAY


def day_of(at_ms: int) -> str:
    """Return an instant as its UTC day, with the time of day only where that is not midnight.

    >>> day_of(172_800_000), day_of(172_800_001)
    ('1970-01-03', '1970-01-03T00:00:00.001Z')
    """
    day, rest = divmod(at_ms, DAY)
    try:
        date = _EPOCH + dt.timedelta(days=day)
    except OverflowError:
        return f"{at_ms} ms"
    if not rest:
        return date.isoformat()
    instant = dt.datetime.combine(date, dt.time()) + dt.timedelta(milliseconds=rest)
    return instant.isoformat(timespec="milliseconds" if rest % 1000 else "seconds") + "Z"


class Figure(NamedTuple):
    """A token count and how far it can be trusted."""

    tokens: int
    confidence: Confidence


class Minimum(NamedTuple):
    """The least prefix that the service caches by itself, in ``[valid_from, valid_until)``."""

    valid_from: int  # ms since the Unix epoch
    valid_until: int | None  # None = open-ended
    figure: Figure


class Redirect(NamedTuple):
    """From an instant on, requests for one model are served and billed as another."""

    model: str
    at: int  # ms since the Unix epoch
    to: str
    confidence: Confidence


class Assumption(NamedTuple):
    """One sentence on a value of the book that is not a plain published fact."""

    path: str  # the value, or the table of values, that it speaks of
    confidence: Confidence
    text: str


class LatencyFact(Latency):
    """The latency of a model or of a family, with its confidence."""

    includes_thinking: Switch = False  # whether ``base_s`` was measured with the model thinking before its first token
    confidence: Confidence
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """One model: what it offers, and the sizes that its caches are bound to."""

    model: str
    book: str
    family: Family
    generation: Generation
    implicit: bool  # the service caches by itself
    explicit: bool  # the caller can create a cache
    batch: bool  # the Batch API takes it
    context_window: Figure
    explicit_figure: Figure | None
    minimums: tuple[Minimum, ...]  # by date, without gap or overlap
    latency: LatencyFact | None  # the model's own, or its family's

    def implicit_minimum(self, at_ms: int) -> Figure:
        """Return the least prefix that is cached implicitly at an instant; raise :class:`NotOffered` if unknown."""
        if not self.implicit:
            raise NotOffered(f"book {self.book!r}: {self.model} has no implicit caching")
        position = bisect_right(self.minimums, at_ms, key=lambda m: m.valid_from) - 1
        found = self.minimums[position] if position >= 0 else None
        if found is None or (found.valid_until is not None and at_ms >= found.valid_until):
            raise NotOffered(f"book {self.book!r} names no implicit minimum of {self.model} on {day_of(at_ms)}")
        return found.figure

    @property
    def explicit_minimum(self) -> Figure:
        """Return the least size of an explicit cache; raise :class:`NotOffered` if there is none or it is unknown."""
        if not self.explicit:
            raise NotOffered(f"book {self.book!r}: {self.model} has no explicit caching")
        if self.explicit_figure is None:
            raise NotOffered(f"book {self.book!r} names no minimum size of an explicit cache of {self.model}")
        return self.explicit_figure
