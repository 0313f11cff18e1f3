"""Samples with a known mean, drawn by name through the one door of chance."""

import math

import numpy as np
from scipy.special import ndtri

from sim.workload.realise import uniforms


def keyed(seed, *, shape=None, purpose="sample"):
    """Return uniforms of a shape, or a supplier of them."""
    if shape is None:
        return lambda count: uniforms(seed, 0, "tests", purpose, count)
    return uniforms(seed, 0, "tests", purpose, math.prod(shape)).reshape(shape)


def _lognormal(sigma):
    return lambda u: np.exp(sigma * ndtri(u)), math.exp(sigma**2 / 2)


def _summed(parts):
    """A bill of several lognormal parts, sigma 1.5 each."""
    law, mean = _lognormal(1.5)
    return lambda u: law(u.reshape(*u.shape[:-1], -1, parts)).sum(axis=-1), parts * mean


def _rare(u):
    """A bill of 1 that once in twenty is twice as dear."""
    dear = u < 0.05
    noise = ndtri(np.where(dear, u / 0.05, (u - 0.05) / 0.95))
    return np.where(dear, 2 + 0.2 * noise, 1 + 0.03 * noise)


LAWS = {
    "normal": (lambda u: 10 + 3 * ndtri(u), 10.0),
    "exponential": (lambda u: -np.log1p(-u), 1.0),
    "lognormal(0.5)": _lognormal(0.5),
    "lognormal(1)": _lognormal(1.0),
    "lognormal(1.5)": _lognormal(1.5),
    "lognormal(2)": _lognormal(2.0),
    "Weibull(1/2)": (lambda u: np.log1p(-u) ** 2, 2.0),
    "Pareto(3)": (lambda u: (1 - u) ** (-1 / 3), 1.5),
    "left-skewed": (lambda u: 20 + np.log1p(-u), 19.0),
    "1 or, once in five, more": (
        lambda u: 1 + np.where(u < 0.2, np.exp(ndtri(u / 0.2)), 0.0),
        1 + 0.2 * math.exp(0.5),
    ),
    "sum of ten lognormal(1.5)": _summed(10),
    "rare": (_rare, 1.05),
}
PARTS = {"sum of ten lognormal(1.5)": 10}


def sample(law, shape, seed, purpose="sample"):
    """Return draws of a law, and its mean."""
    quantile, mean = LAWS[law]
    wide = (*shape[:-1], shape[-1] * PARTS.get(law, 1))
    return quantile(keyed(seed, shape=wide, purpose=purpose)), mean
