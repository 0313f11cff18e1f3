"""From standardised draws to the integers an engine counts with: the formulas of the service's laws of chance."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from sim.engines.laws.draws import redraw
from sim.engines.laws.latency import SLOWNESS_ONE
from sim.providers.service import Retention, Service, Turnaround
from sim.strategies.decision import NEVER
from sim.trace import DRAW_BITS, Ints, Trace

__all__ = ["Physics", "prepare", "redraws", "retention_ms", "slowness", "turnaround_ms"]

_LONGEST_MS = 10 * 365 * 86_400_000  # a lognormal tail beyond ten years is of no use to anybody


class Physics(NamedTuple):
    """What the service will do to each request, if it is asked to."""

    slowness: Ints  # (n,) in 1/65,536
    retention_ms: Ints  # (n,) how long the service keeps the prefix that the request leaves
    turnaround_ms: Ints  # (attempts, n) of a job whose first member it is, -1 = never ends


def prepare(trace: Trace, service: Service, attempts: int) -> Physics:
    """Return the integers of a trace under a service; ``attempts`` = times that a request may stand in a job."""
    again = [redraws(trace.turnaround, attempt) for attempt in range(1, attempts + 1)]
    times = [turnaround_ms(service.batch.turnaround, draws) for draws in again]
    return Physics(
        slowness=slowness(service.slowness_cv, trace.slowness),
        retention_ms=retention_ms(service.implicit.retention, trace.retention),
        turnaround_ms=np.array(times, dtype=np.int64).reshape(attempts, trace.requests),
    )


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
