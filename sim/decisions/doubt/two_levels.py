"""What a table of costs says, a row a draw of the inputs and a column a run of it: means, quantiles, shares."""

import math
from collections.abc import Mapping

import numpy as np

from sim.learning import basis
from sim.stats import LEVEL, Interval, mean_interval, quantile_interval
from sim.variance import Split
from sim.workload.sizes import Floats

__all__ = ["QUANTILES", "expected_quantiles", "first_order"]

QUANTILES: Mapping[str, float] = {"p5": 0.05, "p50": 0.50, "p95": 0.95}
_BLOCKS = 20  # of draws, left out one by one


def expected_quantiles(costs: Floats, split: Split, level: float = LEVEL) -> dict[str, Interval]:
    """Return quantiles of the expected cost over what is not known, from the (K, R) costs.

    The mean of a draw's R runs has the variance of the expected cost, ``inputs``, and luck over R. So the means are
    pulled toward their mean by ``sqrt(inputs / (inputs + luck / R))``, which leaves the variance of the expected cost;
    the quantiles are exact where both are normal, and nearly so where there is little luck in a mean. Intervals are
    between order statistics, pulled in the same way.
    """
    means = costs.mean(axis=1)
    within = split.luck / costs.shape[1]
    inputs = max(split.inputs, 0.0)
    pull = math.sqrt(inputs / (inputs + within)) if inputs else 0.0
    pulled = (means.mean() + pull * (means - means.mean())).tolist()
    return {name: quantile_interval(pulled, q, level) for name, q in QUANTILES.items()}


def first_order(values: Floats, costs: Floats, level: float = LEVEL) -> Interval:
    """Return the share of the variance of a run's cost that one input explains by itself: its first-order index.

    ``Var(E(cost | input)) / Var(cost)``. The (K,) means of the (K, R) costs are regressed on a cubic in the normal
    scores of the input's (K, m) values, whose residual variance, with its degrees of freedom, is taken from that of the
    means: so an unrelated input explains nothing on average, and luck is explained by none. The interval is by the
    jackknife over twenty blocks of draws.

    >>> x = np.linspace(0.01, 0.99, 60)
    >>> first_order(x[:, None], np.stack([x, x], axis=1)).mean > 0.99
    True
    """
    powers = basis(values)
    whole = _explained(powers, costs)
    block = np.arange(len(costs)) % _BLOCKS
    left_out = [_explained(powers[block != one], costs[block != one]) for one in range(_BLOCKS)]
    around = mean_interval([_BLOCKS * whole - (_BLOCKS - 1) * part for part in left_out], level)
    half = None if around.hi is None else around.hi - around.mean
    # below 0 is noise, which is no reason to be surer of 0
    return Interval.around(min(max(0.0, whole), 1.0), half).within(0.0, 1.0)


def _explained(powers: Floats, costs: Floats) -> float:
    means = costs.mean(axis=1)
    between = float(means.var(ddof=1))
    luck = float(costs.var(axis=1, ddof=1).mean())
    total = between + luck * (1 - 1 / costs.shape[1])
    if total <= 0:
        return 0.0
    fitted, *_ = np.linalg.lstsq(powers, means, rcond=None)
    residual = float(((means - powers @ fitted) ** 2).sum()) / (len(means) - powers.shape[1])
    return float((between - residual) / total)
