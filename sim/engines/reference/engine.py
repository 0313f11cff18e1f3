"""One run of one strategy on one trace: SimPy drives the parts of the service, and a ledger comes out."""

from collections.abc import Generator, Sequence

import numpy as np
import simpy

from sim.engines.conservation import assert_conserved
from sim.engines.physics import Physics
from sim.engines.reference.batch import BatchQueue
from sim.engines.reference.client import Client, meets_implicit
from sim.engines.reference.clock import BEGIN, Kind
from sim.engines.reference.explicit import ExplicitCaches
from sim.engines.reference.implicit import ImplicitCache
from sim.engines.reference.keeper import Keeper
from sim.engines.reference.world import World
from sim.ledger import Ledger, Mode
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Ints, Trace

__all__ = ["run"]


def run(trace: Trace, plan: Plan, rules: Rules, physics: Physics, *, stop: int = NEVER) -> Ledger:
    """Run a strategy on a realised workload until every request, job and cache has ended.

    Parameters
    ----------
    trace
        The workload, as :func:`sim.trace.check` describes it.
    plan
        The strategy with its parameters.
    rules, physics
        The service: its rules, and what it does to each request.
    stop
        Let nothing happen from this ms on, -1 = never stop: only what the ledger counts is of use then.

    Raises
    ------
    EngineError
        If a conservation law is broken, which is a defect of the engine.
    """
    world = World(trace, plan, rules, physics)
    caches = None if plan.cache is None else ExplicitCaches(plan.cache)
    implicit = ImplicitCache(trace, physics, rules.implicit) if meets_implicit(world) else None
    client = Client(world, Keeper(world, caches, implicit))
    queue = None if plan.batch is None else BatchQueue(world, client, plan.batch)
    if queue is not None:
        client.ask = queue.ask
    world.clock.env.process(_arrivals(world, client))
    world.clock.run(stop)
    while queue is not None and not world.clock.pending and queue.flush():
        world.clock.run(stop)
    if stop != NEVER:
        return _ledger(world, caches, queue)
    if caches is not None:
        caches.close(max(world.meter.arrived, default=0))
    return assert_conserved(trace, _ledger(world, caches, queue))


def _arrivals(world: World, client: Client) -> Generator[simpy.Event, None, None]:
    """Let the requests arrive that wait for nobody's answer."""
    clock = world.clock
    times, follows = world.trace.arrive.tolist(), world.trace.follows.tolist()
    for request, time in enumerate(times):
        if follows[request] == NEVER:
            yield clock.until(time, BEGIN, request, Kind.ASK)
            client.ask(request)


def _ledger(world: World, caches: ExplicitCaches | None, queue: BatchQueue | None) -> Ledger:
    return Ledger(
        **_request_columns(world),
        **_duplicate_columns(world, queue),
        **_cache_columns(world, caches),
        **_job_columns(queue),
        **_limit_columns(world),
        models=world.rules.models,
        start_ms=world.rules.start_ms,
    )


def _request_columns(world: World) -> dict[str, Ints]:
    names = Ledger._fields[: Ledger._fields.index("duplicate_request")]
    columns = {name: _ints(getattr(world.meter, name)) for name in names if name != "output"}
    return {**columns, "output": world.trace.output}


def _duplicate_columns(world: World, queue: BatchQueue | None) -> dict[str, Ints]:
    duplicates = [] if queue is None else [(r, job, job.met[r]) for r, job in queue.duplicates]
    return {
        "duplicate_request": _ints([request for request, _, _ in duplicates]),
        "duplicate_model": _ints([met.model for _, _, met in duplicates]),
        "duplicate_mode": _ints([Mode.BATCH for _ in duplicates]),
        "duplicate_prompt": _ints([met.reading.prompt for _, _, met in duplicates]),
        "duplicate_cached": _ints([met.reading.cached for _, _, met in duplicates]),
        "duplicate_audio": _ints([world.meter.audio[request] for request, _, _ in duplicates]),
        "duplicate_cached_audio": _ints([met.reading.cached_audio for _, _, met in duplicates]),
        "duplicate_output": _ints([world.output[request] for request, _, _ in duplicates]),
        "duplicate_sent": _ints([job.started for _, job, _ in duplicates]),
        "duplicate_done": _ints([job.seen for _, job, _ in duplicates]),
    }


def _cache_columns(world: World, caches: ExplicitCaches | None) -> dict[str, Ints]:
    rows = [] if caches is None else caches.rows
    return {
        "cache_model": _ints([cache.model for cache in rows]),
        "cache_tokens": _ints([cache.tokens for cache in rows]),
        "cache_audio": _ints([world.audio_depth[cache.node] for cache in rows]),
        "cache_born": _ints([cache.born for cache in rows]),
        "cache_until": _ints([] if caches is None else [caches.until(cache) for cache in rows]),
        "cache_committed": _ints([] if caches is None else [caches.committed(cache) for cache in rows]),
        "cache_reads": _ints([cache.reads for cache in rows]),
    }


def _job_columns(queue: BatchQueue | None) -> dict[str, Ints]:
    jobs = [] if queue is None else queue.jobs
    return {
        "job_collected": _ints([job.collected for job in jobs]),
        "job_created": _ints([job.created for job in jobs]),
        "job_started": _ints([job.started for job in jobs]),
        "job_done": _ints([job.end for job in jobs]),
        "job_state": _ints([job.state for job in jobs]),
        "job_requests": _ints([len(job.members) for job in jobs]),
        "job_tokens": _ints([job.tokens for job in jobs]),
    }


def _limit_columns(world: World) -> dict[str, Ints]:
    rows = sorted(world.meter.refusals.items())
    return {
        "limit_kind": _ints([kind for (kind, _), _ in rows]),
        "limit_hour": _ints([hour for (_, hour), _ in rows]),
        "limit_count": _ints([count for _, count in rows]),
    }


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)
