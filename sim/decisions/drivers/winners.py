"""Which strategy is the best one at a setting: the cheapest that keeps the patience target, and by how much."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from sim.decisions.laboratory import Found
from sim.skewed import bill_difference
from sim.stats import LEVEL, Interval

__all__ = ["Winner", "costs_of", "keeps", "winner"]


class Winner(NamedTuple):
    """The best strategy of a setting."""

    strategy: str | None  # None: none keeps the patience target
    second: str | None = None  # the next best one that keeps it; None: there is none
    margin: Interval | None = None  # dollars that the second costs more, paired
    undecided: bool = False  # the interval does not separate the two

    @property
    def mark(self) -> str | None:
        """Return the strategy where it is decided."""
        return None if self.undecided else self.strategy


def costs_of(found: Found, strategy: str, model: str | None = None) -> list[Fraction]:
    """Return the exact dollars of each replication."""
    return [Fraction(row["cost_usd_exact"]) for row in found.of(strategy, model)]


def keeps(found: Found, strategy: str, model: str | None = None) -> bool:
    """Return whether a strategy answers as many of its requests in time as the scenario's target; none need none."""
    rows = found.of(strategy, model)
    total, in_time = (sum(row[column] for row in rows) for column in ("total", "within_patience"))
    return bool(total == 0 or in_time / total >= found.scenario.spec.patience_target)


def winner(found: Found, strategies: Sequence[str], model: str | None = None, level: float = LEVEL) -> Winner:
    """Return the cheapest strategy by its mean cost, of those that keep the patience target; the first of equal ones.

    It is undecided where the paired interval of the difference to the next one holds 0, unless both always cost the
    same, or where there are too few replications for an interval.
    """
    costs = {name: costs_of(found, name, model) for name in strategies if keeps(found, name, model)}
    ranked = sorted(costs, key=lambda name: sum(costs[name]))
    if len(ranked) < 2:
        return Winner(ranked[0] if ranked else None)
    best, second = ranked[:2]
    margin = bill_difference(costs[second], costs[best], level)
    separated = margin.lo is not None and (margin.lo > 0 or margin.hi == 0)
    return Winner(best, second, margin, undecided=not separated)
