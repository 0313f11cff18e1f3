"""Elementary effects (Morris 1991): which of many inputs matter at all, for a few runs an input."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.indices.outputs import CONSTANT, ZERO, checked, is_constant
from sim.stats import LEVEL, Interval, mean_interval
from sim.workload.intensity import Take
from sim.workload.sizes import Floats

__all__ = ["Effect", "Effects", "effects", "points"]


class Effect(NamedTuple):
    """How an output answers to one input, in units of the output over the whole range of the input."""

    mu: Interval  # the mean effect: near 0 also where effects cancel
    mu_star: Interval  # the mean of its absolute value (Campolongo et al. 2007): the one to rank by
    sigma: Interval  # the standard deviation: 0 if linear and additive


class Effects(NamedTuple):
    """An effect an input, in their order, and what to know of them."""

    inputs: list[Effect]
    note: str | None = None


def points(inputs: int, trajectories: int, take: Take, levels: int = 4) -> Floats:
    """Return the ``(trajectories * (inputs + 1), inputs)`` points: each trajectory moves one input after the other.

    Points are on the grid ``0, 1/(p - 1), ..., 1`` of p = ``levels`` values, which must be even: a move of
    ``p / (2 (p - 1))``, up or down, then uses every value equally often. Start, directions and order are drawn, three
    uniforms an input, so more trajectories begin with the same ones.
    """
    if levels < 2 or levels % 2:
        raise ValueError(f"levels must be an even number from 2, got {levels}")
    if inputs < 1 or trajectories < 2:
        raise ValueError(f"needs one input and two trajectories at least, got {inputs} and {trajectories}")
    u = take(3 * trajectories * inputs).reshape(trajectories, 3, inputs)
    low = np.floor(u[:, 0] * (levels // 2)).astype(np.int64)
    falls = u[:, 1] < 0.5
    turn = np.argsort(np.argsort(u[:, 2], axis=1, kind="stable"), axis=1)  # (t, inputs) when each input moves
    moved = np.arange(inputs + 1)[None, :, None] > turn[:, None, :]
    high = moved != falls[:, None, :]
    grid = low[:, None, :] + high * (levels // 2)
    return np.asarray(grid.reshape(-1, inputs) / (levels - 1))


def effects(at: Floats, outputs: npt.ArrayLike, level: float = LEVEL) -> Effects:
    """Return the effects from the points of :func:`points` and the outputs there.

    Trajectories are independent, so mu and mu* have t intervals over them, and sigma that of a jackknife on the
    logarithm of the variance (Miller 1968); mu* and sigma are kept at 0 and above.
    """
    inputs = at.shape[1]
    found = checked(outputs, len(at))
    if is_constant(found):
        return Effects([Effect(ZERO, ZERO, ZERO)] * inputs, CONSTANT)
    moves = np.diff(at.reshape(-1, inputs + 1, inputs), axis=1)  # (t, inputs, inputs), one not 0 in each row
    which = np.argmax(np.abs(moves), axis=2)
    by = np.take_along_axis(moves, which[:, :, None], axis=2)[:, :, 0]
    change = np.diff(found.reshape(-1, inputs + 1), axis=1) / by
    each = np.empty_like(change)
    np.put_along_axis(each, which, change, axis=1)
    return Effects([_effect(column.tolist(), level) for column in each.T])


def _effect(each: list[float], level: float) -> Effect:
    mu_star = mean_interval([abs(one) for one in each], level).within(0.0)
    return Effect(mean_interval(each, level), mu_star, _spread(np.asarray(each), level))


def _spread(each: Floats, level: float) -> Interval:
    """Return the standard deviation with the interval of the jackknifed logarithm of the variance."""
    n = len(each)
    variance = float(np.var(each, ddof=1))
    # what is left of equal effects after the rounding of their outputs
    if variance <= (1e-12 * float(np.max(np.abs(each)))) ** 2:
        return ZERO
    sigma = math.sqrt(variance)
    apart = each - each.mean()
    left_out = (apart @ apart - n / (n - 1) * apart**2) / (n - 2) if n > 2 else np.zeros(n)
    if n < 4 or np.min(left_out) <= 1e-12 * variance:
        return Interval(sigma)
    pseudo = n * math.log(variance) - (n - 1) * np.log(left_out)
    of_log = mean_interval(pseudo.tolist(), level)
    lo, hi = (math.exp(end / 2) for end in (of_log.lo or 0.0, of_log.hi or 0.0))
    return Interval(sigma, min(lo, sigma), max(hi, sigma))
