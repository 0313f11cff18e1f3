"""What a recorded trace is like: its rate, its sizes, and the most that an implicit cache could have hit in it."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sim.errors import InputError, Problem
from sim.trace import Ints
from sim.traces.recorded import Recorded
from sim.units import SECOND

__all__ = ["Ceiling", "Profile", "Sizes", "ceiling", "document", "profile"]

_NEVER = -(2**62)  # a clock that was never started: older than any lifetime
_UNLIMITED = 2**61  # ms


class Sizes(NamedTuple):
    """Token counts of n requests; a quantile is the smallest count that at least that share does not exceed."""

    total: int
    mean: float | None  # None without requests
    p50: int | None
    p99: int | None


class Ceiling(NamedTuple):
    """Tokens of prompts matched in whole blocks by a prefix that some earlier request had left, alive on [t, t + T).

    Every prompt's prefix is stored at its arrival; the service forgets only by time. ``idle``: a use starts the clock
    anew. ``fixed``: a block's clock starts when it is stored, and again only when it is stored after it died; a live
    block behind a dead one keeps its own clock and is not matched.
    """

    unlimited: int  # tokens
    idle: dict[int, int]  # lifetime in s -> tokens
    fixed: dict[int, int]


class Profile(NamedTuple):
    """The figures of one file; they are measured, so they have no interval."""

    format: str
    requests: int
    span_ms: int  # first to last arrival
    rate_per_s: float | None  # 1 / mean gap; None where there is no gap, or no time passes
    gap_cv: float | None  # standard deviation of the gaps between arrivals (all of them, ddof 0) over their mean
    input: Sizes
    output: Sizes
    block_tokens: int  # 0 = the file tells of no shared prefix
    ceiling: Ceiling | None  # None where block_tokens is 0
    recorded_cached: tuple[int, int] | None  # (cached, prompt) tokens of the rows whose cached count is known


def profile(recorded: Recorded, idle_s: Sequence[int] = (60, 300, 600, 3600)) -> Profile:
    """Return the figures of a trace; ``idle_s`` are the lifetimes of the ceiling, idle and fixed, in whole seconds."""
    for lifetime in idle_s:
        if lifetime <= 0:
            raise InputError([Problem("--idle", 0, "", "must be > 0", "a lifetime in whole seconds", lifetime)])
    gaps = np.diff(recorded.arrive)
    span = int(gaps.sum())
    known = recorded.recorded_cached >= 0
    cached = sum(recorded.recorded_cached[known].tolist()), sum(recorded.prompt[known].tolist())
    return Profile(
        format=recorded.format,
        requests=recorded.requests,
        span_ms=span,
        rate_per_s=len(gaps) * SECOND / span if span else None,
        gap_cv=float(gaps.std() / gaps.mean()) if span else None,
        input=_sizes(recorded.prompt),
        output=_sizes(recorded.output),
        block_tokens=recorded.block_tokens,
        ceiling=ceiling(recorded, idle_s) if recorded.block_tokens else None,
        recorded_cached=cached if known.any() else None,
    )


def _sizes(counts: Ints) -> Sizes:
    values = sorted(counts.tolist())
    n = len(values)
    if not n:
        return Sizes(0, None, None, None)
    total = sum(values)
    return Sizes(total, total / n, values[math.ceil(0.50 * n) - 1], values[(99 * n + 99) // 100 - 1])


def ceiling(recorded: Recorded, lifetimes_s: Sequence[int]) -> Ceiling:
    """Replay the trace against a cache that forgets only by time; exact on the compressed tree.

    A use touches the whole path from the root, so along a path the idle clocks only get older: one search finds how far
    every lifetime reaches. The fixed clocks have no such order and are kept one row a lifetime.
    """
    lifetimes = np.array([s * SECOND for s in lifetimes_s], dtype=np.int64)
    idle_lifetimes = np.append(lifetimes, _UNLIMITED)
    touched = np.full(len(recorded.depth), _NEVER, np.int64)
    stored = np.full((len(lifetimes), len(recorded.depth)), _NEVER, np.int64)
    idle, fixed = [0] * len(idle_lifetimes), [0] * len(lifetimes)
    parent = recorded.parent.tolist()
    for now, leaf in zip(recorded.arrive.tolist(), recorded.leaf.tolist(), strict=True):
        if leaf < 0:
            continue
        path = _path(parent, leaf)
        reach = np.concatenate([[0], recorded.depth[path]])  # tokens matched by the first 0, 1, 2 ... nodes
        alive = np.searchsorted(now - touched[path], idle_lifetimes)
        idle = [a + b for a, b in zip(idle, reach[alive].tolist(), strict=True)]
        touched[path] = now
        dead = now - stored[:, path] >= lifetimes[:, None]
        first = np.where(dead.any(axis=1), dead.argmax(axis=1), len(path))
        fixed = [a + b for a, b in zip(fixed, reach[first].tolist(), strict=True)]
        stored[:, path] = np.where(dead, now, stored[:, path])
    by_lifetime = dict(zip(lifetimes_s, idle, strict=False))
    return Ceiling(idle[-1], by_lifetime, dict(zip(lifetimes_s, fixed, strict=True)))


def _path(parent: list[int], node: int) -> list[int]:
    """Return the nodes from the root to a node."""
    path: list[int] = []
    while node >= 0:
        path.append(node)
        node = parent[node]
    return path[::-1]


def document(figures: Profile) -> dict[str, Any]:
    """Return the ``gcsim.trace/1`` document; ``ceiling`` is null where the file tells of no shared prefix."""
    return {
        "schema": "gcsim.trace/1",
        "format": figures.format,
        "requests": figures.requests,
        "span_s": figures.span_ms / SECOND,
        "rate_per_s": figures.rate_per_s,
        "gap_cv": figures.gap_cv,
        "input_tokens": figures.input._asdict(),
        "output_tokens": figures.output._asdict(),
        "block_tokens": figures.block_tokens,
        "ceiling": _shares(figures.ceiling, figures.input.total) if figures.ceiling else None,
    }


def _shares(matched: Ceiling, total: int) -> dict[str, Any]:
    def share(tokens: int) -> float | None:
        return tokens / total if total else None

    return {
        "unlimited": share(matched.unlimited),
        "idle_s": {str(s): share(tokens) for s, tokens in matched.idle.items()},
        "fixed_s": {str(s): share(tokens) for s, tokens in matched.fixed.items()},
    }
