"""Time rescaling: a point process of unit rate, bent by a piecewise constant intensity into one of any profile."""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeAlias

import numpy as np

from sim.workload.sizes import Floats

__all__ = [
    "Draw",
    "Intensity",
    "Span",
    "Spans",
    "Take",
    "cumulative",
    "exponential",
    "invert",
    "spanning",
    "strides",
    "total",
    "walk",
]

Take: TypeAlias = Callable[[int], Floats]
"""Gives the first n uniforms of one purpose; asked again for more, it begins with the same ones."""

Draw: TypeAlias = Callable[[str], Take]
"""Gives the uniforms of a named purpose."""

Span: TypeAlias = Callable[[int, int], Floats]
"""Gives the uniforms ``[start, stop)`` of one purpose, in an array of its own."""

Spans: TypeAlias = Callable[[str], Span]
"""Gives the uniforms of a named purpose by their range."""


class Intensity(NamedTuple):
    """A rate that is constant on each ``[edges[i], edges[i + 1])``."""

    edges: Floats  # (m + 1,) ms, increasing
    rates: Floats  # (m,) events a ms


def _masses(intensity: Intensity) -> Floats:
    """Return the (m + 1,) expected number of events before each edge."""
    return np.concatenate(([0.0], np.cumsum(intensity.rates * np.diff(intensity.edges))))


def total(intensity: Intensity) -> float:
    """Return the expected number of events over all pieces."""
    return float(_masses(intensity)[-1])


def cumulative(intensity: Intensity, times: Floats) -> Floats:
    """Return the expected number of events before each time in ms."""
    return np.interp(times, intensity.edges, _masses(intensity))


def invert(intensity: Intensity, mass: Floats) -> Floats:
    """Return the (n,) times at which the expected number of events reaches each mass of ``[0, total)``.

    No time falls in a piece of rate 0. A later end of the last piece moves no time before it.
    """
    masses = _masses(intensity)
    piece = np.searchsorted(masses, mass, side="right") - 1
    times = intensity.edges[piece] + (mass - masses[piece]) / intensity.rates[piece]
    # rounding may reach the end of the piece, which belongs to the next one
    return np.minimum(times, np.nextafter(intensity.edges[piece + 1], -np.inf))


def exponential(u: Floats) -> Floats:
    """Return the quantiles of the exponential law of mean 1."""
    return -np.log1p(-u)


def spanning(draw: Draw) -> Spans:
    """Return the ranges of what is given from its first uniform on only."""

    def of_purpose(purpose: str) -> Span:
        take = draw(purpose)
        return lambda start, stop: take(stop)[start:]

    return of_purpose


def walk(take: Take, limit: float, gap: Callable[[Floats], Floats] = exponential, start: float = 0.0) -> Floats:
    """Return the points ``start + g1, start + g1 + g2, ...`` below a limit; the gaps have mean 1."""
    return np.concatenate(list(strides(spanning(lambda _: take)(""), limit, None, gap, start)))


def strides(
    span: Span,
    limit: float,
    size: int | None,
    gap: Callable[[Floats], Floats] = exponential,
    start: float = 0.0,
) -> Iterator[Floats]:
    """Give the points of :func:`walk` in blocks of ``size``, None = all in one; the last block may be empty."""
    count = size or math.ceil(limit + 6 * math.sqrt(limit)) + 16
    done, reached = 0, 0.0
    while True:
        steps = gap(span(done, done + count))
        # np.cumsum adds one after another, so with the sum so far in front every block has the bits of one long sum
        steps[0] += reached
        sums = np.cumsum(steps)
        points = start + sums
        if points[-1] >= limit:
            yield points[: np.searchsorted(points, limit)]
            return
        yield points
        done, reached = done + count, float(sums[-1])
