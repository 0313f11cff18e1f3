"""A smaller trace that still shows something: requests are dropped anywhere in it, by halves, quarters, and so on."""

from collections.abc import Callable

import numpy as np

from sim.engines.physics import Physics
from sim.trace import REQUEST_COLUMNS, Ints, Trace

__all__ = ["some_requests", "the_fewest"]

_OF_REQUESTS = ("slowness", "retention_ms", "cell", "queueing_ms")


def some_requests(trace: Trace, physics: Physics, kept: Ints) -> tuple[Trace, Physics]:
    """Return some requests of a trace, rising, with what the service does to them; the tree of prefixes stays whole.

    They are a trace of their own if none of them follows a request that is not kept, see :func:`the_fewest`. A session
    whose first request is not kept begins with the first that is.
    """
    number = np.full(trace.requests + 1, -1, dtype=np.int64)  # the last entry is nobody's
    number[kept] = np.arange(len(kept))
    columns = {name: getattr(trace, name)[kept] for name in REQUEST_COLUMNS}
    columns["follows"] = number[trace.follows[kept]]
    _, first, own = np.unique(trace.session[kept], return_index=True, return_inverse=True)
    columns["session"] = first[own].astype(np.int64)
    lucky = {name: getattr(physics, name)[kept] for name in _OF_REQUESTS}
    return trace._replace(**columns), physics._replace(**lucky, turnaround_ms=physics.turnaround_ms[:, kept])


def the_fewest(trace: Trace, count: int, shows: Callable[[Ints], bool], *, runs: int = 200) -> Ints:
    """Return few of the first ``count`` requests that show something, rising.

    ``shows`` is asked ``runs`` times at most. Whoever follows a request that is dropped is dropped with it. Each pass
    tries to do without every stretch of one length; a length at which nothing can be spared is halved (Zeller and
    Hildebrandt, Simplifying and Isolating Failure-Inducing Input, 2002).
    """
    kept, length, asked = np.arange(count), max(1, count // 2), 0
    while asked < runs:
        spared, at = False, 0
        while at < len(kept) and asked < runs:
            fewer = _closed(trace, np.delete(kept, slice(at, at + length)))
            asked += 1
            if len(fewer) and shows(fewer):
                kept, spared = fewer, True
            else:
                at += length
        if not spared and length == 1:
            break
        if not spared:
            length //= 2
    return kept


def _closed(trace: Trace, kept: Ints) -> Ints:
    """Return those of some requests, rising, that follow none which is not among them."""
    there = np.zeros(trace.requests + 1, dtype=np.bool_)
    there[-1] = True  # whom those follow who follow nobody
    for request, before in zip(kept.tolist(), trace.follows[kept].tolist(), strict=True):
        there[request] = there[before]
    return kept[there[kept]]
