"""What replications say of one number: a mean, a ratio or quantiles, with its interval; and how a document shows them.

An estimate is None where there is nothing to take it from: no request, no job, no bill. Its bounds are None where the
sample gives none, as with one replication.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import inf, isfinite, lcm
from typing import Any, TypeAlias

from sim import stats
from sim.sketch import Sample
from sim.skewed import bill_interval
from sim.stats import Interval
from sim.units import SECOND

__all__ = [
    "LEVEL",
    "Json",
    "Tree",
    "amount",
    "bounds",
    "counted",
    "mean",
    "part",
    "plain",
    "points",
    "quantiles",
    "seconds_each",
    "share",
    "whole",
]

Json: TypeAlias = dict[str, Any]
Tree: TypeAlias = "Interval | Mapping[str, Tree] | None"

LEVEL = 0.95
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def points(tree: Tree) -> Any:
    """Return the estimates of a tree alone, in its shape.

    >>> points({"a": Interval(2.0, 1.0, 3.0), "b": None})
    {'a': 2.0, 'b': None}
    """
    if isinstance(tree, Interval):
        return tree.mean
    return None if tree is None else {name: points(inner) for name, inner in tree.items()}


def bounds(tree: Tree) -> Any:
    """Return the bounds of a tree's estimates, in its shape.

    >>> bounds({"a": Interval(2.0, 1.0, 3.0), "b": None})
    {'a': [1.0, 3.0], 'b': [None, None]}
    """
    if isinstance(tree, Interval):
        return [tree.lo, tree.hi]
    return [None, None] if tree is None else {name: bounds(inner) for name, inner in tree.items()}


def whole(value: Fraction) -> int | float:
    """Return a number as JSON shows it best: whole without a decimal point."""
    return value.numerator if value.denominator == 1 else float(value)


def amount(values: Sequence[Fraction]) -> Interval:
    """Return the mean of amounts of money, with an interval that allows for bills that are seldom much dearer."""
    return bill_interval(values, LEVEL)


def mean(values: Sequence[Fraction]) -> Interval:
    """Return the mean of what is never below zero, such as hours."""
    return stats.mean_interval(values, LEVEL).within(0.0)


def counted(values: Sequence[int]) -> Interval:
    """Return the mean of counts, whole where it is."""
    found = stats.mean_interval(values, LEVEL).within(0.0)
    return found._replace(mean=whole(Fraction(sum(values), len(values))))


def share(above: Sequence[int], below: Sequence[int]) -> Interval | None:
    """Return which part of one total another is."""
    found = stats.ratio_interval(above, below, LEVEL)
    return None if found is None else found.within(0.0, 1.0)


def part(above: Sequence[Fraction], below: Sequence[Fraction]) -> Interval | None:
    """Return :func:`share` of exact amounts.

    >>> part([Fraction(1, 3), Fraction(1, 3)], [Fraction(2, 3), Fraction(2, 3)])
    Interval(mean=0.5, lo=0.5, hi=0.5)
    """
    unit = lcm(*(value.denominator for value in (*above, *below)))
    return share([int(value * unit) for value in above], [int(value * unit) for value in below])


def seconds_each(ms: Sequence[int], below: Sequence[int]) -> Interval | None:
    """Return the seconds that came on each of some counts."""
    found = stats.ratio_interval(ms, below, LEVEL)
    return None if found is None else found.scaled(1 / SECOND).within(0.0)


def quantiles(samples: Sequence[Sample]) -> dict[str, Interval | None]:
    """Return quantiles in seconds of times in ms, over all replications together."""
    found = zip(QUANTILES, stats.pooled_quantiles(samples, list(QUANTILES.values()), LEVEL), strict=True)
    return {name: None if ms is None else ms.scaled(1 / SECOND).within(0.0, inf) for name, ms in found}


def plain(found: Interval) -> Json:
    """Return an interval for JSON, which has neither infinity nor NaN: None stands for both.

    >>> plain(Interval(2.0, 1.0, inf))
    {'mean': 2.0, 'lo': 1.0, 'hi': None}
    """
    return {name: end if end is not None and isfinite(end) else None for name, end in found._asdict().items()}
