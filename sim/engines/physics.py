"""From standardised draws to the integers an engine counts with: the formulas of the service's laws of chance."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from sim.engines.laws.draws import redraw, redrawn
from sim.engines.laws.latency import SLOWNESS_ONE
from sim.once import once
from sim.providers.service import Episodes, ImplicitService, Queueing, Retention, Service, Turnaround
from sim.strategies.decision import NEVER
from sim.trace import DRAW_BITS, REQUEST_COLUMNS, Ints, Trace
from sim.units import DAY

__all__ = [
    "Physics",
    "cells",
    "episodes",
    "first_requests",
    "prepare",
    "queueing_ms",
    "redraws",
    "retention_ms",
    "slowness",
    "turnaround_ms",
]

_LONGEST_MS = 10 * 365 * DAY  # a lognormal tail beyond ten years is of no use to anybody
_WEATHER_MS = 60 * DAY  # how long after the last arrival there is weather: what drains later meets none
_CHUNK = 256  # episodes that are drawn at once


class Physics(NamedTuple):
    """What the service will do to each request, if it is asked to."""

    slowness: Ints  # (n,) in 1/65,536
    retention_ms: Ints  # (n,) how long the service keeps the prefix that the request leaves
    turnaround_ms: Ints  # (attempts, n) of a job whose first member it is, -1 = never ends
    cell: Ints  # (n,) the serving cell that it goes to
    queueing_ms: Ints  # (n,) how long it queues in the flex tier
    overload: Ints  # (2 e,) begins and ends of episodes [begin, end), rising: the service is overloaded
    slow: Ints  # (2 s,) the same: batch is slow


def prepare(trace: Trace, service: Service, attempts: int, *, home: Ints | None = None) -> Physics:
    """Return the integers of a trace under a service; ``attempts`` = jobs that a request may stand in at most.

    ``home`` are the (n,) route draws of the first requests of their conversations, if the trace lacks some of these.
    Strategies that meet the same trace under the same law share the column.
    """
    until = trace.horizon + _WEATHER_MS
    return Physics(
        slowness=_slowness(trace.slowness, service.slowness_cv),
        retention_ms=_retention(trace.retention, service.implicit.retention),
        turnaround_ms=_turnarounds(trace.turnaround, service.batch.turnaround, attempts),
        cell=cells(service.implicit, trace, home),
        queueing_ms=_queueing(trace.queueing, service.flex.queueing),
        overload=episodes(service.overload, int(trace.weather[0]), until),
        slow=episodes(service.batch.slow, int(trace.weather[1]), until),
    )


def first_requests(trace: Trace, physics: Physics, count: int) -> tuple[Trace, Physics]:
    """Return the first requests of a trace with what the service does to them; the tree of prefixes stays whole.

    Nobody among them follows a later one, so they are a trace of their own.
    """
    if count >= trace.requests:
        return trace, physics
    columns = {name: getattr(trace, name)[:count].copy() for name in REQUEST_COLUMNS}
    own: dict[str, Any] = {name: getattr(physics, name)[:count].copy() for name in _OF_REQUESTS}
    turnaround = physics.turnaround_ms[:, :count].copy()
    return trace._replace(**columns), physics._replace(**own, turnaround_ms=turnaround)


_OF_REQUESTS = ("slowness", "retention_ms", "cell", "queueing_ms")


def cells(implicit: ImplicitService, trace: Trace, home: Ints | None = None) -> Ints:
    """Return the (n,) serving cells: with the chance ``affinity`` that of the conversation, else any alike.

    One draw serves both: its hash says whether the request stays with its conversation, itself says where it goes.
    ``home`` are the (n,) draws of the first requests of their conversations, if the trace lacks some of these.
    """
    return _cells(trace.route, trace.home if home is None else home, implicit.cells, implicit.affinity)


@once
def _cells(route: Ints, home: Ints, count: int, affinity: float) -> Ints:
    if count == 1:
        return np.zeros_like(route)
    stays = redraws(route, 2) < round(affinity * (1 << DRAW_BITS))
    return (np.where(stays, home, route) * count) >> DRAW_BITS


@once
def _slowness(draws: Ints, cv: float) -> Ints:
    return slowness(cv, draws)


@once
def _retention(draws: Ints, law: Retention) -> Ints:
    return retention_ms(law, draws)


@once
def _queueing(draws: Ints, law: Queueing) -> Ints:
    return queueing_ms(law, draws)


@once
def _turnarounds(draws: Ints, law: Turnaround, attempts: int) -> Ints:
    """Return the (attempts, n) turnarounds of the jobs that a request may stand in one after another."""
    times = [turnaround_ms(law, redraws(draws, attempt)) for attempt in range(1, attempts + 1)]
    return np.array(times, dtype=np.int64).reshape(attempts, len(draws))


def queueing_ms(law: Queueing, draws: Ints) -> Ints:
    """Return lognormal times in ms, cut at ``at_most``, the longest that the tier aims at."""
    times = law.median * np.exp(law.sigma * ndtri(_uniform(draws)))
    return _whole(np.minimum(times, law.at_most))


def episodes(law: Episodes | None, draw: int, until: int) -> Ints:
    """Return begins and ends of the episodes of an on/off process with exponential times, at least 1 ms each.

    It starts stationary: with the chance ``lasts / (every + lasts)`` inside an episode, whose rest is exponential
    again. The k-th uniform is the hash of the run's draw and k, so a longer run keeps every earlier episode.
    """
    if law is None:
        return np.empty(0, dtype=np.int64)
    on_first = _uniform(np.array([redraw(draw, 2)]))[0] < law.lasts / (law.every + law.lasts)
    means: Sequence[int] = (law.lasts, law.every) if on_first else (law.every, law.lasts)
    chunks: list[Ints] = []
    last = 0
    while not chunks or last < until:
        first = 3 + 2 * _CHUNK * len(chunks)
        numbers: Any = np.arange(first, first + 2 * _CHUNK, dtype=np.uint64)  # as in redraws: 64 bits without a sign
        gaps = -np.log1p(-_uniform(np.asarray(redrawn(draw, numbers)).astype(np.int64)))
        lengths = np.maximum(1, _whole(gaps * np.tile(means, _CHUNK)))
        chunks.append(last + np.cumsum(lengths))
        last = int(chunks[-1][-1])
    times = np.concatenate(([np.zeros(1, dtype=np.int64)] if on_first else []) + chunks)
    return times[: 2 * (len(times) // 2)]


def redraws(draws: Ints, attempt: int) -> Ints:
    """Return :func:`sim.engines.laws.draws.redraw` of a whole column."""
    column: Any = draws.astype(np.uint64)  # the law's products need 64 bits without a sign; it is the same arithmetic
    return np.asarray(redraw(column, attempt)).astype(np.int64)


def _uniform(draws: Ints) -> npt.NDArray[np.float64]:
    """Return the midpoints of the draws' cells, inside (0, 1)."""
    return np.asarray((draws + 0.5) / float(1 << DRAW_BITS), dtype=np.float64)


def _whole(values: npt.ArrayLike) -> Ints:
    return np.asarray(np.rint(values), dtype=np.int64)


def slowness(cv: float, draws: Ints) -> Ints:
    """Return lognormal factors of mean 1 and the given CV: ``exp(s z - s^2 / 2)`` with ``s^2 = ln(1 + cv^2)``."""
    variance = np.log1p(cv * cv)
    factors = np.exp(np.sqrt(variance) * ndtri(_uniform(draws)) - variance / 2)
    return _whole(factors * SLOWNESS_ONE)


def retention_ms(law: Retention, draws: Ints) -> Ints:
    """Return lifetimes of implicit prefixes in ms, cut at ``at_most`` (the service deletes them then)."""
    if law.law == "fixed":
        times = np.full(len(draws), float(law.median))
    elif law.law == "exponential":
        times = -np.log1p(-_uniform(draws)) * (law.median / np.log(2.0))
    else:
        times = law.median * np.exp(law.sigma * ndtri(_uniform(draws)))
    return _whole(np.minimum(times, law.at_most))


def turnaround_ms(law: Turnaround, draws: Ints) -> Ints:
    """Return the turnarounds of jobs in ms, -1 for one that never ends.

    One draw serves the mixture and the component: within a component's slice of (0, 1) the draw is uniform again.
    """
    u = _uniform(draws)
    times = np.full(len(draws), NEVER, dtype=np.int64)
    low = 0.0
    for position, component in enumerate(law.components):
        high = low + component.weight
        inside = (u >= low) & ((u < high) | (position == len(law.components) - 1))
        if component.median is not None and np.any(inside):
            part = np.clip((u[inside] - low) / component.weight, 1e-12, 1 - 1e-12)
            drawn = component.median * np.exp(component.sigma * ndtri(part))
            times[inside] = np.maximum(1, _whole(np.minimum(drawn, _LONGEST_MS)))
        low = high
    return times
