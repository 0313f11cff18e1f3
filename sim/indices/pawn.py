"""PAWN (Pianosi and Wagener 2018): what moves the distribution of an output, or its tail."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.indices.outputs import CONSTANT, checked, is_constant
from sim.workload.intensity import Take
from sim.workload.sizes import Floats

__all__ = ["Shift", "Shifts", "indices", "points"]

SLICES = 10
INERT = 200  # inert inputs, whose indices are what noise alone gives


class Shift(NamedTuple):
    """How far the distribution moves when one input is known, in Kolmogorov-Smirnov distance, 0 to 1."""

    median: float  # over the slices of the input
    greatest: float
    matters: bool  # one of the two is above what inert inputs reach


class Shifts(NamedTuple):
    """A shift an input, in their order; what an inert input stays below; and what to know of them."""

    inputs: list[Shift]
    inert_median: float
    inert_greatest: float
    note: str | None = None


def points(inputs: int, count: int, take: Take) -> Floats:
    """Return the ``(count, inputs)`` points of a Latin hypercube: one in each of ``count`` slices of every input."""
    order, within = take(2 * count * inputs).reshape(2, inputs, count)
    return np.asarray(((np.argsort(order, axis=1, kind="stable") + within) / count).T)


def indices(
    at: Floats,
    outputs: npt.ArrayLike,
    take: Take,
    *,
    beyond: float = 0.0,
    slices: int = SLICES,
    level: float = 0.95,
) -> Shifts:
    """Return the shifts from any points and the outputs there: the points need not be those of :func:`points`.

    Each input is cut into ``slices`` of equally many points; a slice's distance is ``max |F(y) - F(y | slice)|`` over
    all outputs y, or over those from the quantile ``beyond`` on, which asks what moves the chance of such outputs.
    Distances of finite samples are never 0, so each index is held against the ``level`` quantile of those of 200
    inert inputs, which are slices drawn at random: an input without influence is above one of them with a chance of
    ``1 - level`` each.
    """
    count, inputs = at.shape
    found = checked(outputs, count)
    if not 2 <= slices <= count // 2:
        raise ValueError(f"slices need two points at least, got {slices} slices of {count} points")
    if not 0 <= beyond < 1:
        raise ValueError(f"beyond is a quantile of [0, 1), got {beyond}")
    if is_constant(found):
        return Shifts([Shift(0.0, 0.0, matters=False)] * inputs, 0.0, 0.0, CONSTANT)
    order = np.argsort(found, kind="stable")
    steps = _steps(found[order], beyond)
    own = [_distances(_cut(at[order, column], slices), slices, steps) for column in range(inputs)]
    draws = take(INERT * count).reshape(INERT, count)
    inert = np.stack([_distances(_cut(row, slices), slices, steps) for row in draws])
    median, greatest = (float(np.quantile(f(inert, axis=1), level)) for f in (np.median, np.max))
    shifts = [(float(np.median(one)), float(one.max())) for one in own]
    return Shifts([Shift(m, g, matters=m > median or g > greatest) for m, g in shifts], median, greatest)


def _cut(values: Floats, slices: int) -> npt.NDArray[np.int64]:
    """Return the (n,) slice of each point, by the rank of its value."""
    rank = np.argsort(np.argsort(values, kind="stable"), kind="stable")
    return np.asarray(rank * slices // len(values), np.int64)


def _steps(ordered: Floats, beyond: float) -> npt.NDArray[np.int64]:
    """Return the ranks, from 0, at which the distribution function is looked at: the last of equal outputs."""
    last = np.append(ordered[1:] != ordered[:-1], True)
    return np.flatnonzero(last & (ordered >= np.quantile(ordered, beyond)))


def _distances(cut: npt.NDArray[np.int64], slices: int, steps: npt.NDArray[np.int64]) -> Floats:
    """Return the (slices,) distances of outputs in rising order from all of them together."""
    inside = np.cumsum(cut[:, None] == np.arange(slices), axis=0)
    overall = np.arange(1, len(cut) + 1) / len(cut)
    apart = np.abs(inside[steps] / inside[-1] - overall[steps, None])
    return np.asarray(apart.max(axis=0))
