"""Estimates from independent replications, each with its interval, or with None where the sample gives none.

Replications are independent; the requests of one replication are not, so no interval is ever taken over requests.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, stdtrit

from sim.sketch import Sketch, joined

__all__ = [
    "Interval",
    "exact_mean",
    "least_sample",
    "mean_interval",
    "paired_difference",
    "pooled_quantile",
    "pooled_quantiles",
    "quantile",
    "quantile_interval",
    "quantiles",
    "ratio_interval",
    "share_cheapest",
    "variance_ratio",
]

LEVEL = 0.95

Number: TypeAlias = float | Fraction
Samples: TypeAlias = npt.NDArray[np.int64] | npt.NDArray[np.float64] | Sequence[float] | Sketch


class Interval(NamedTuple):
    """An estimate and the bounds of its interval; a bound that the sample cannot give is None."""

    mean: float
    lo: float | None = None
    hi: float | None = None

    @classmethod
    def around(cls, mean: float, half: float | None) -> "Interval":
        """Return the interval ``mean ± half``, or one without bounds."""
        return cls(mean) if half is None else cls(mean, mean - half, mean + half)

    def within(self, least: float, most: float = math.inf) -> "Interval":
        """Return the interval without what cannot be: a share is never above 1, a latency never below 0."""
        lo = None if self.lo is None else max(self.lo, least)
        return Interval(self.mean, lo, None if self.hi is None else min(self.hi, most))

    def scaled(self, factor: float) -> "Interval":
        """Return the interval of a constant times the estimated quantity."""
        ends = [None if end is None else end * factor for end in (self.lo, self.hi)]
        return Interval(self.mean * factor, *(ends if factor >= 0 else ends[::-1]))


def mean_interval(values: Sequence[Number], level: float = LEVEL) -> Interval:
    """Return the mean and its Student t interval, ``mean ± t(n - 1) s / sqrt(n)``.

    One value has no interval; values that are all the same have one of width 0. The values need not be normal but their
    mean nearly so; of bills see :mod:`sim.skewed`. The order of the values changes no bit of the result.

    >>> mean_interval([1.0, 2.0, 3.0], level=0.5)  # t(2) at 0.75 is sqrt(2/3), and s is 1
    Interval(mean=2.0, lo=1.5285954792089682, hi=2.471404520791032)
    """
    if not values:
        raise ValueError("no values: a mean needs at least one")
    mean = exact_mean(values)
    return Interval.around(mean, _half_width(values, level))


def exact_mean(values: Sequence[Number]) -> float:
    """Return the mean, exact before one rounding, so never outside of the values."""
    whole, unit = _whole(values)
    return sum(whole) / (unit * len(whole))


def _whole(values: Sequence[Number]) -> tuple[list[int], int]:
    """Return numbers times a common denominator, and that: whole numbers need no reducing, which Fractions do."""
    ratios = [value.as_integer_ratio() for value in values]
    unit = math.lcm(*(below for _, below in ratios))
    return [above * (unit // below) for above, below in ratios], unit


def _half_width(values: Sequence[Number], level: float) -> float | None:
    n = len(values)
    if n < 2:
        return None
    return _t(n - 1, level) * math.sqrt(_variance(values) / n)


def _variance(values: Sequence[Number]) -> float:
    """Return the unbiased sample variance, exactly 0 for values that are all the same."""
    whole, unit = _whole(values)
    n, total = len(whole), sum(whole)
    # a quotient of whole numbers is rounded once, as a Fraction is that becomes a float
    return math.fsum(((value * n - total) / (unit * n)) ** 2 for value in whole) / (n - 1)


def _t(freedom: int, level: float) -> float:
    return float(stdtrit(freedom, (1 + level) / 2))


def quantile(values: Samples, q: float) -> float:
    """Return the q-quantile by linear interpolation: with sorted ``x[0..n-1]``, the value at position ``q (n - 1)``.

    That is numpy's default and type 7 of Hyndman and Fan (1996).

    >>> quantile([40.0, 10.0, 20.0, 30.0], 0.5)
    25.0
    """
    return quantiles(values, [q])[0]


def quantiles(values: Samples, qs: Sequence[float]) -> list[float]:
    """Return :func:`quantile` for several q, which need the values to be put in order but once."""
    if isinstance(values, Sketch):
        return [values.quantile(q) for q in qs]
    found: list[float] = np.quantile(np.asarray(values, dtype=np.float64), qs).tolist()
    return found


def quantile_interval(values: Sequence[float], q: float, level: float = LEVEL) -> Interval:
    """Return the q-quantile with a distribution-free interval between two order statistics.

    With ``B ~ Binomial(n, q)`` the bounds are ``x(l)`` for the greatest ``l`` with ``P(B < l) <= (1 - level) / 2`` and
    ``x(u)`` for the least ``u`` with ``P(B >= u) <= (1 - level) / 2``, ranks from 1 (David and Nagaraja 2003, 7.1). A
    bound is None where the sample is too small for it: see :func:`least_sample`.

    >>> quantile_interval([float(x) for x in range(200, 0, -1)], 0.95)[1:]
    (184.0, 197.0)
    """
    ordered = sorted(values)
    low, high = ranks(len(ordered), q, level)
    lo = None if low is None else ordered[low - 1]
    hi = None if high is None else ordered[high - 1]
    return Interval(quantile(ordered, q), lo, hi)


def ranks(n: int, q: float, level: float = LEVEL) -> tuple[int | None, int | None]:
    """Return the ranks, from 1, of the order statistics that bound the q-quantile; None where there is none."""
    tail = (1 - level) / 2
    below = bdtr(np.arange(n, dtype=np.float64), n, q)  # P(B <= k) for k = 0..n-1; P(B < l) is at l - 1
    low = int(np.count_nonzero(below <= tail))
    high = 1 + int(np.count_nonzero(below < 1 - tail))
    return (low if low >= 1 else None), (high if high <= n else None)


def least_sample(q: float, tail: float = (1 - LEVEL) / 2) -> int:
    """Return the least sample whose greatest value bounds the q-quantile from above but for a chance of ``tail``.

    ``q^n <= tail`` (Wilks 1941); by symmetry ``least_sample(1 - q)`` for the bound from below.

    >>> least_sample(0.95, 0.05), least_sample(0.99, 0.05), least_sample(0.95)
    (59, 299, 72)
    """
    return math.ceil(math.log(tail) / math.log(q))


def paired_difference(a: Sequence[Number], b: Sequence[Number], level: float = LEVEL) -> Interval:
    """Return the mean of ``a[i] - b[i]`` and its t interval; with common random numbers replications are pairs.

    >>> paired_difference([3.0, 5.0], [1.0, 3.0])
    Interval(mean=2.0, lo=2.0, hi=2.0)
    """
    return mean_interval([Fraction(x) - Fraction(y) for x, y in zip(a, b, strict=True)], level)


def variance_ratio(a: Sequence[Number], b: Sequence[Number]) -> float | None:
    """Return the variance of the paired difference over that of independent runs: what common random numbers gave.

    None where there is nothing to compare: one replication, or no variance at all.
    """
    if len(a) < 2:
        return None
    apart = _variance(a) + _variance(b)
    return _variance([Fraction(x) - Fraction(y) for x, y in zip(a, b, strict=True)]) / apart if apart else None


def pooled_quantile(samples: Iterable[Samples], q: float, level: float = LEVEL) -> Interval | None:
    """Return the q-quantile of all samples together, with an interval from how the replications differ.

    The estimate is the quantile of the pooled sample. Its half-width is ``t s / sqrt(R)``, ``s`` being the standard
    deviation of the R replications' own quantiles, so it holds where each replication has many values. A replication
    without values counts in neither; None if none has any.

    >>> pooled_quantile([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]], 0.5).mean
    2.5
    """
    return pooled_quantiles(samples, [q], level)[0]


def pooled_quantiles(samples: Iterable[Samples], qs: Sequence[float], level: float = LEVEL) -> list[Interval | None]:
    """Return :func:`pooled_quantile` for several q, which need the samples to be put in order but once."""
    filled = [sample if isinstance(sample, Sketch) else np.asarray(sample) for sample in samples if len(sample)]
    if not filled:
        return [None] * len(qs)
    own = zip(*(quantiles(sample, qs) for sample in filled), strict=True)
    pooled = quantiles(joined(filled), qs)
    return [Interval.around(mean, _half_width(values, level)) for mean, values in zip(pooled, own, strict=True)]


def ratio_interval(above: Sequence[int], below: Sequence[int], level: float = LEVEL) -> Interval | None:
    """Return ``sum(above) / sum(below)`` with a jackknife interval over the replications.

    With ``r[i]`` the ratio without replication i, the variance is ``(n - 1)/n sum((r[i] - mean r)^2)`` (Quenouille,
    Tukey). None where all of ``below`` is 0; no bounds where leaving one out would leave nothing.

    >>> ratio_interval([1, 2, 3], [4, 8, 12])
    Interval(mean=0.25, lo=0.25, hi=0.25)
    """
    total_above, total_below, n = sum(above), sum(below), len(below)
    if not total_below:
        return None
    ratio = total_above / total_below
    rest = [total_below - one for one in below]
    if n < 2 or 0 in rest:
        return Interval(ratio)
    if all(a * total_below == b * total_above for a, b in zip(above, below, strict=True)):
        return Interval.around(ratio, 0.0)  # what float noise would hide
    left_out = [(total_above - one) / other for one, other in zip(above, rest, strict=True)]
    return Interval.around(ratio, _t(n - 1, level) * (n - 1) * math.sqrt(_variance(left_out) / n))


def share_cheapest(costs: Mapping[str, Sequence[Fraction]]) -> dict[str, float]:
    """Return in which share of the replications each strategy was the cheapest; ties share, and are exact.

    >>> share_cheapest({"a": [Fraction(1), Fraction(2)], "b": [Fraction(1), Fraction(3)]})
    {'a': 0.75, 'b': 0.25}
    """
    shares = dict.fromkeys(costs, Fraction(0))
    rows = list(zip(*costs.values(), strict=True))
    for row in rows:
        cheapest = [name for name, cost in zip(costs, row, strict=True) if cost == min(row)]
        for name in cheapest:
            shares[name] += Fraction(1, len(cheapest))
    return {name: float(share / len(rows)) for name, share in shares.items()}
