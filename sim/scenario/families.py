"""The families of distributions that a user may write: parameters, quantile and distribution functions."""

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from scipy.special import betainc, betaincinv, gammainc, gammaincinv, ndtr, ndtri

__all__ = ["LAWS", "Family", "Shape", "need"]

_TAIL = 0.95  # between LOW and HIGH lie the central 90 %
_MOST_CV = 100.0

Shape: TypeAlias = tuple[float, ...]


class Family(NamedTuple):
    """One kind of law: the ways to write its parameters, its quantile function and its distribution function."""

    forms: Mapping[str, Callable[..., Shape]]  # by what stands in the brackets
    quantile: Callable[[Shape, float], float]
    chance: Callable[[Shape, float], float]  # P(X <= x)


def need(holds: bool, rule: str) -> None:
    """Raise the rule that is broken."""
    if not holds:
        raise ValueError(rule)


def _lognormal(median: float, cv: float) -> Shape:
    """Return mu and sigma; the coefficient of variation is sqrt(exp(sigma^2) - 1)."""
    need(median > 0, "the median must be > 0")
    need(0 < cv <= _MOST_CV, f"cv must be above 0 and at most {_MOST_CV:g}")
    return math.log(median), math.sqrt(math.log1p(cv**2))


def _lognormal_by_mean(mean: float, cv: float) -> Shape:
    """Return mu and sigma; the mean is exp(mu + sigma^2 / 2)."""
    need(mean > 0, "the mean must be > 0")
    mu, sigma = _lognormal(mean, cv)
    return mu - sigma**2 / 2, sigma


def _lognormal_between(low: float, high: float) -> Shape:
    need(0 < low < high, "needs 0 < LOW < HIGH")
    return _normal_between(math.log(low), math.log(high))


def _normal(mean: float, sd: float) -> Shape:
    need(sd > 0, "sd must be > 0")
    return mean, sd


def _normal_between(low: float, high: float) -> Shape:
    need(low < high, "needs LOW < HIGH")
    return (low + high) / 2, (high - low) / (2 * float(ndtri(_TAIL)))


def _gamma(mean: float, cv: float) -> Shape:
    """Return shape and scale: the shape is 1 / cv^2."""
    need(mean > 0, "the mean must be > 0")
    need(0 < cv <= _MOST_CV, f"cv must be above 0 and at most {_MOST_CV:g}")
    return 1 / cv**2, mean * cv**2


def _uniform(low: float, high: float) -> Shape:
    need(low < high, "needs LOW < HIGH")
    return low, high


def _loguniform(low: float, high: float) -> Shape:
    need(0 < low < high, "needs 0 < LOW < HIGH")
    return low, high


def _three_points(low: float, mode: float, high: float) -> Shape:
    need(low <= mode <= high and low < high, "needs LOW <= MODE <= HIGH and LOW < HIGH")
    return low, mode, high


def _beta(a: float, b: float) -> Shape:
    need(a > 0 and b > 0, "A and B must be > 0")
    return a, b


def _dirichlet(a: float) -> Shape:
    need(a > 0, "A must be > 0")
    return (a,)


def _triangular_quantile(shape: Shape, u: float) -> float:
    low, mode, high = shape
    below = (mode - low) / (high - low)
    if u < below:
        return low + math.sqrt(u * (high - low) * (mode - low))
    return high - math.sqrt((1 - u) * (high - low) * (high - mode))


def _triangular_chance(shape: Shape, x: float) -> float:
    low, mode, high = shape
    if x <= low or x >= high:
        return float(x >= high)
    if x < mode:
        return (x - low) ** 2 / ((high - low) * (mode - low))
    return 1 - (high - x) ** 2 / ((high - low) * (high - mode))


def _pert(shape: Shape) -> tuple[float, float]:
    """Return the parameters of the beta law on [low, high] with the given mode, of weight 4 (Malcolm et al. 1959)."""
    low, mode, high = shape
    return 1 + 4 * (mode - low) / (high - low), 1 + 4 * (high - mode) / (high - low)


def _part(x: float, low: float, high: float) -> float:
    """Return the share of the way from low to high at which x lies, in [0, 1]."""
    return min(max((x - low) / (high - low), 0.0), 1.0)


LAWS: dict[str, Family] = {
    "lognormal": Family(
        {"MEDIAN, cv=CV": _lognormal, "mean=MEAN, cv=CV": _lognormal_by_mean, "LOW..HIGH": _lognormal_between},
        quantile=lambda p, u: math.exp(p[0] + p[1] * float(ndtri(u))),
        chance=lambda p, x: float(ndtr((math.log(x) - p[0]) / p[1])) if x > 0 else 0.0,
    ),
    "normal": Family(
        {"MEAN, sd=SD": _normal, "LOW..HIGH": _normal_between},
        quantile=lambda p, u: p[0] + p[1] * float(ndtri(u)),
        chance=lambda p, x: float(ndtr((x - p[0]) / p[1])),
    ),
    "gamma": Family(
        {"MEAN, cv=CV": _gamma},
        quantile=lambda p, u: p[1] * float(gammaincinv(p[0], u)),
        chance=lambda p, x: float(gammainc(p[0], x / p[1])) if x > 0 else 0.0,
    ),
    "beta": Family(
        {"A, B": _beta},
        quantile=lambda p, u: float(betaincinv(p[0], p[1], u)),
        chance=lambda p, x: float(betainc(p[0], p[1], _part(x, 0.0, 1.0))),
    ),
    "uniform": Family(
        {"LOW, HIGH": _uniform},
        quantile=lambda p, u: p[0] + u * (p[1] - p[0]),
        chance=lambda p, x: _part(x, *p),
    ),
    "loguniform": Family(
        {"LOW, HIGH": _loguniform},
        quantile=lambda p, u: p[0] * (p[1] / p[0]) ** u,
        chance=lambda p, x: _part(math.log(x), math.log(p[0]), math.log(p[1])) if x > 0 else 0.0,
    ),
    "triangular": Family({"LOW, MODE, HIGH": _three_points}, _triangular_quantile, _triangular_chance),
    "pert": Family(
        {"LOW, MODE, HIGH": _three_points},
        quantile=lambda p, u: p[0] + (p[2] - p[0]) * float(betaincinv(*_pert(p), u)),
        chance=lambda p, x: float(betainc(*_pert(p), _part(x, p[0], p[2]))),
    ),
    "dirichlet": Family(
        {"A": _dirichlet},
        quantile=lambda p, u: float(gammaincinv(p[0], u)),
        chance=lambda p, x: float(gammainc(p[0], max(x, 0.0))),
    ),
}
