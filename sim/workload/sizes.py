"""The laws of token counts, of other counts and of think times: each a quantile function, so a draw costs one uniform.

Every law gives whole numbers. A continuous law is rounded to the nearest whole number, halves up. ``at_least`` and
``at_most`` condition the rounded law on ``[at_least, at_most]``, both included: the uniform is mapped into the part of
the law that is kept, and no value is moved to a bound. ``mean`` in a law is the mean before rounding and conditioning;
:func:`mean` is the one after. The tables that users write are the models of ``sim.workload.laws``.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from sim.trace import Ints

__all__ = ["CEILING", "LAWS", "Floats", "Tagged", "mean", "quantile", "smallest"]

Floats: TypeAlias = npt.NDArray[np.float64]

CEILING = 2**53  # what counts as "no upper bound": beyond it a float is no longer every whole number
_SUMMED = 2**20  # terms of a mean that are summed one by one before the integral takes over


class Tagged(Protocol):
    """A model of ``sim.workload.laws``; its ``law`` names its entry in :data:`LAWS`, which knows its other fields."""

    @property
    def law(self) -> str:
        """Return the name of the law."""


class _Law(NamedTuple):
    """What a law can do; its argument is the model whose ``law`` names it, of tokens or of durations."""

    quantile: Callable[[Any, Floats], Ints]
    mean: Callable[[Any], float]
    kept: Callable[[Any], float]  # the part of the law inside [at_least, at_most]
    smallest: Callable[[Any], int]


def quantile(law: Tagged, u: Floats) -> Ints:
    """Return the (n,) whole numbers (tokens, counts, ms) at the (n,) uniforms of ``(0, 1)``; they rise with ``u``."""
    return LAWS[law.law].quantile(law, u)


def mean(law: Tagged) -> float:
    """Return the true mean of what :func:`quantile` gives, rounding and conditioning included, to 1e-9 of it.

    >>> from sim.workload.laws import FixedSize, UniformSize
    >>> mean(FixedSize(law="fixed", value=500)), mean(UniformSize(law="uniform", low=1, high=6))
    (500.0, 3.5)
    """
    return LAWS[law.law].mean(law)


def smallest(law: Tagged) -> int:
    """Return the smallest value that the law can give."""
    return LAWS[law.law].smallest(law)


def _bounds(law: Any) -> tuple[int, int]:
    return law.at_least, CEILING if law.at_most is None else law.at_most


class _Continuous(NamedTuple):
    """A law on the positive reals, before it is rounded; by its survivals, which keep the upper tail exact."""

    survival: Callable[[Any], Any]  # P(X > x)
    inverse: Callable[[Floats], Floats]  # the x with P(X > x) = s
    excess: Callable[[float], float]  # E[(X - x)+]


def _lognormal(law: Any) -> _Continuous:
    """Sigma^2 = ln(1 + cv^2), mu = ln(mean) - sigma^2 / 2.

    E[(X - x)+] = mean Phi(sigma - z) - x Phi(-z) with z = (ln x - mu) / sigma, as in the Black-Scholes formula.
    """
    sigma = math.sqrt(math.log1p(law.cv**2))
    mu = math.log(law.mean) - sigma**2 / 2

    def z(x: Any) -> Any:
        return (np.log(x) - mu) / sigma

    return _Continuous(
        survival=lambda x: ndtr(-z(x)),
        inverse=lambda s: np.exp(mu - sigma * ndtri(s)),
        excess=lambda x: float(law.mean * ndtr(sigma - z(x)) - x * ndtr(-z(x))),
    )


def _exponential(law: Any) -> _Continuous:
    """P(X > x) = exp(-x / mean), E[(X - x)+] = mean exp(-x / mean)."""
    return _Continuous(
        survival=lambda x: np.exp(-x / law.mean),
        inverse=lambda s: -law.mean * np.log(s),
        excess=lambda x: law.mean * math.exp(-x / law.mean),
    )


def _ends(law: Any, continuous: _Continuous) -> tuple[float, float]:
    """Return the survivals at the ends of the kept range: the rounded value is n for X in [n - 1/2, n + 1/2)."""
    low, high = _bounds(law)
    return (1.0 if low == 0 else float(continuous.survival(low - 0.5))), float(continuous.survival(high + 0.5))


def _rounded(continuous_of: Callable[[Any], _Continuous]) -> _Law:
    """Return the law of a continuous variable rounded to the nearest whole number, halves up."""

    def rounded_quantile(law: Any, u: Floats) -> Ints:
        continuous = continuous_of(law)
        top, bottom = _ends(law, continuous)
        x = continuous.inverse(bottom + (1 - u) * (top - bottom))
        # the range is kept by the conditioning; clip meets only the last bit of the inverse at its very ends
        return np.clip(np.floor(x + 0.5), *_bounds(law)).astype(np.int64)

    def rounded_mean(law: Any) -> float:
        """E[N] = a + sum of P(N > n) for n in [a, b); past 2^20 terms the midpoint rule makes the sum an integral."""
        continuous = continuous_of(law)
        top, bottom = _ends(law, continuous)
        low, high = _bounds(law)
        first = max(low, math.floor(float(continuous.inverse(np.array(1 - 1e-15)))) - 1)  # below it P(N > n) is 1
        first = min(first, high)
        last = min(first + _SUMMED, high)
        steps = float(np.sum(continuous.survival(np.arange(first, last) + 0.5) - bottom))
        rest = continuous.excess(last) - continuous.excess(high) - (high - last) * bottom if last < high else 0.0
        return first + (steps + rest) / (top - bottom)

    def rounded_kept(law: Any) -> float:
        top, bottom = _ends(law, continuous_of(law))
        return top - bottom

    return _Law(rounded_quantile, rounded_mean, rounded_kept, lambda law: int(law.at_least))


def _geometric_ends(law: Any) -> tuple[float, float, float]:
    """Return q and the survivals q^(a-1) and q^b at the ends of the kept range; P(N > n) = q^n, q = 1 - 1/mean."""
    low, high = _bounds(law)
    q = 1 - 1 / float(law.mean)
    return q, q ** (max(low, 1) - 1), q**high


def _geometric_quantile(law: Any, u: Floats) -> Ints:
    q, top, bottom = _geometric_ends(law)
    low, high = _bounds(law)
    if q == 0:
        return np.ones(len(u), np.int64)
    trials: Floats = np.floor(np.log(bottom + (1 - u) * (top - bottom)) / math.log1p(-1 / law.mean)) + 1
    # clip as in the rounded laws: the last bit only
    return np.clip(trials, max(low, 1), high).astype(np.int64)


def _geometric_mean(law: Any) -> float:
    """E[N] = a + sum of (q^n - q^b) / (q^(a-1) - q^b) for n from a to b - 1, a geometric series."""
    q, top, bottom = _geometric_ends(law)
    low, high = _bounds(law)
    low = max(low, 1)
    series = (q**low - bottom) * law.mean - (high - low) * bottom
    return low + float(series) / (top - bottom)


def _uniform_ends(law: Any) -> tuple[int, int]:
    low, high = _bounds(law)
    return max(low, law.low), min(high, law.high)


def _uniform_quantile(law: Any, u: Floats) -> Ints:
    low, high = _uniform_ends(law)
    return low + np.floor(u * (high - low + 1)).astype(np.int64)


def _uniform_kept(law: Any) -> float:
    low, high = _uniform_ends(law)
    return float(max(0, high - low + 1) / (law.high - law.low + 1))


def _empirical_table(law: Any) -> tuple[Ints, Floats]:
    """Return the kept values, ascending, and their probabilities before conditioning."""
    low, high = _bounds(law)
    values = np.asarray(law.values, np.int64)
    weights = np.full(len(values), 1 / len(values)) if law.weights is None else np.asarray(law.weights)
    order = np.argsort(values, kind="stable")
    order = order[(values[order] >= low) & (values[order] <= high) & (weights[order] > 0)]
    return values[order], weights[order]


def _empirical_quantile(law: Any, u: Floats) -> Ints:
    values, weights = _empirical_table(law)
    steps = np.cumsum(weights)
    return values[np.searchsorted(steps[:-1] / steps[-1], u, side="right")]


def _empirical_mean(law: Any) -> float:
    values, weights = _empirical_table(law)
    return math.fsum(values * weights) / math.fsum(weights)


LAWS: dict[str, _Law] = {
    "fixed": _Law(
        quantile=lambda law, u: np.full(len(u), law.value, np.int64),
        mean=lambda law: float(law.value),
        kept=lambda _: 1.0,
        smallest=lambda law: int(law.value),
    ),
    "lognormal": _rounded(_lognormal),
    "exponential": _rounded(_exponential),
    "geometric": _Law(
        _geometric_quantile,
        _geometric_mean,
        kept=lambda law: _geometric_ends(law)[1] - _geometric_ends(law)[2],
        smallest=lambda law: max(law.at_least, 1),
    ),
    "uniform": _Law(
        _uniform_quantile,
        mean=lambda law: sum(_uniform_ends(law)) / 2,
        kept=_uniform_kept,
        smallest=lambda law: _uniform_ends(law)[0],
    ),
    "empirical": _Law(
        _empirical_quantile,
        _empirical_mean,
        kept=lambda law: math.fsum(_empirical_table(law)[1]),
        smallest=lambda law: int(_empirical_table(law)[0][0]),
    ),
}
