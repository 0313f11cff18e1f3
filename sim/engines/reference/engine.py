"""One run of one strategy on one trace: SimPy drives the parts of the service, and a ledger comes out."""

from collections.abc import Generator

import numpy as np
import simpy

from sim.engines.conservation import assert_conserved
from sim.engines.physics import Physics
from sim.engines.reference.batch import BatchQueue
from sim.engines.reference.client import Client, meets_implicit
from sim.engines.reference.clock import BEGIN, Kind
from sim.engines.reference.explicit import ExplicitCaches
from sim.engines.reference.implicit import ImplicitCache
from sim.engines.reference.world import World
from sim.ledger import JobState, Ledger, Mode
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Ints, Trace

__all__ = ["run"]


def run(trace: Trace, plan: Plan, rules: Rules, physics: Physics) -> Ledger:
    """Run a strategy on a realised workload until every request, job and cache has ended.

    Parameters
    ----------
    trace
        The workload, as :func:`sim.trace.check` describes it.
    plan
        The strategy with its parameters.
    rules, physics
        The service: its rules, and what it does to each request.

    Raises
    ------
    EngineError
        If a conservation law is broken, which is a defect of the engine.
    """
    world = World(trace, plan, rules, physics)
    caches = None if plan.cache is None else ExplicitCaches(plan.cache)
    implicit = ImplicitCache(trace, physics, rules.implicit) if meets_implicit(world) else None
    client = Client(world, caches, implicit)
    queue = None if plan.batch is None else BatchQueue(world, client, plan.batch)
    if queue is not None:
        client.ask = queue.ask
    world.clock.env.process(_arrivals(world, client))
    world.clock.run()
    while queue is not None and queue.flush():
        world.clock.run()
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
    meter, rows = world.meter, [] if caches is None else caches.rows
    jobs = [] if queue is None else queue.jobs
    duplicates = [] if queue is None else [(r, job, job.readings[r]) for r, job in queue.duplicates]
    until = [] if caches is None else [caches.until(cache) for cache in rows]
    return Ledger(
        model=_ints(meter.model),
        mode=_ints(meter.mode),
        prompt=_ints(meter.prompt),
        cached=_ints(meter.cached),
        source=_ints(meter.source),
        output=world.trace.output,
        arrived=_ints(meter.arrived),
        sent=_ints(meter.sent),
        done=_ints(meter.done),
        attempts=_ints(meter.attempts),
        status=_ints(meter.status),
        job=_ints(meter.job),
        duplicate_request=_ints([request for request, _, _ in duplicates]),
        duplicate_model=_ints([reading.model for _, _, reading in duplicates]),
        duplicate_mode=_ints([Mode.BATCH for _ in duplicates]),
        duplicate_prompt=_ints([reading.prompt for _, _, reading in duplicates]),
        duplicate_cached=_ints([reading.cached for _, _, reading in duplicates]),
        duplicate_output=_ints([world.output[request] for request, _, _ in duplicates]),
        duplicate_sent=_ints([job.started for _, job, _ in duplicates]),
        duplicate_done=_ints([job.seen for _, job, _ in duplicates]),
        cache_model=_ints([cache.model for cache in rows]),
        cache_tokens=_ints([cache.tokens for cache in rows]),
        cache_born=_ints([cache.born for cache in rows]),
        cache_until=_ints(until),
        cache_committed=_ints([max(cache.expiry, end) for cache, end in zip(rows, until, strict=True)]),
        cache_reads=_ints([cache.reads for cache in rows]),
        job_created=_ints([job.created for job in jobs]),
        job_started=_ints([job.started for job in jobs]),
        job_done=_ints([job.end for job in jobs]),
        job_state=_ints([job.state for job in jobs]),
        models=world.rules.models,
        start_ms=world.rules.start_ms,
    )


def _ints(values: list[int] | list[Mode] | list[JobState]) -> Ints:
    return np.array(values, dtype=np.int64)
