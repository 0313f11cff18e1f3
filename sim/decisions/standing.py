"""Where a strategy stands: what it costs, and whether it keeps the patience target, as far as replications know."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

from sim.decisions.laboratory import Found
from sim.decisions.measures import evidence_of, measures_of
from sim.experiments.rows import cost_of
from sim.skewed import bill_difference
from sim.stats import LEVEL, Interval

__all__ = ["Keeps", "Standing", "costs_of", "standing", "surely_dearer"]

Keeps: TypeAlias = Literal["yes", "no", "unsure"]


class Standing(NamedTuple):
    """A strategy on a model."""

    costs: list[Fraction]  # dollars of each replication
    share: Fraction | None  # of the requests, answered in time; None where there was none
    in_time: Interval | None  # that share
    target: float  # of it, to be patient with
    keeps: Keeps  # by the interval: wholly at the target or above, wholly below, or neither

    @property
    def reaches(self) -> bool:
        """Return whether its estimate keeps the target; without requests nobody waits."""
        return self.share is None or float(self.share) >= self.target

    @property
    def may_keep(self) -> bool:
        """Return whether it does not surely miss the target; its estimate decides where nothing tells its error."""
        unknown = self.in_time is not None and self.in_time.lo is None
        return self.reaches if unknown else self.keeps != "no"


def standing(
    found: Found, strategy: str, model: str | None = None, *, target: float | None = None, level: float = LEVEL
) -> Standing:
    """Return where a strategy stands; the target is the scenario's own unless told.

    Luck that no replication met is in no interval: who was in time in all of them, be they few, keeps the target.
    """
    rows, measure = found.of(strategy, model), measures_of(found.scenario)["within_patience"]
    target = found.scenario.spec.patience_target if target is None else target
    total, in_time = (sum(row[name] for row in rows) for name in ("total", "within_patience"))
    share = Fraction(in_time, total) if total else None
    interval = evidence_of(measure, found, strategy, model=model).interval(level) if total else None
    return Standing(costs_of(found, strategy, model), share, interval, target, _keeps(share, interval, target))


def costs_of(found: Found, strategy: str, model: str | None = None) -> list[Fraction]:
    """Return the exact dollars of each replication."""
    return [cost_of(row) for row in found.of(strategy, model)]


def _keeps(share: Fraction | None, interval: Interval | None, target: float) -> Keeps:
    if share is None or interval is None:
        return "yes"
    if interval.lo is None or interval.hi is None:
        return "unsure"
    if interval.lo == interval.hi:
        return "yes" if float(share) >= target else "no"
    return "yes" if interval.lo >= target else "no" if interval.hi < target else "unsure"


def surely_dearer(costs: Sequence[Fraction], others: Sequence[Fraction], level: float = LEVEL) -> bool:
    """Return whether the interval of the paired difference is above 0; one replication has none."""
    lo = bill_difference(costs, others, level).lo
    return lo is not None and lo > 0
