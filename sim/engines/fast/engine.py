"""One run of one strategy on one trace, compiled: a loop that merges arrivals with a heap, and the ledger of it."""

from collections.abc import Callable
from typing import Any

from sim.engines.conservation import assert_conserved
from sim.engines.fast import asked, batch, calls, client, clock, collection, metered, tables, written
from sim.engines.fast.compile import kernel, loop
from sim.engines.fast.decide import compiled
from sim.engines.fast.ends import settle
from sim.engines.fast.memory import World
from sim.engines.fast.record import Memory
from sim.engines.fast.world import build
from sim.engines.laws.order import BEGIN, Kind, rank, request_of
from sim.engines.physics import Physics
from sim.ledger import Ledger, Mode, Status
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace

__all__ = ["ALONE", "FOREVER", "MORE", "OVER", "happen", "run"]

MORE, OVER = -1, 0
FOREVER = 1 << 62  # ms
ALONE = 16  # more than an event of no job adds to any table, whatever becomes of the requests that it concerns
_BOUNDLESS = ("caches", "cell_coming", "spends", "heap", "refusals")  # tables that may have to grow
_BATCH, _DONE, _FAILED, _FLEX = int(Mode.BATCH), int(Status.DONE), int(Status.FAILED), int(Mode.FLEX)
_ASK, _SEND = Kind.ASK, Kind.SEND


@kernel
def _ask(w: World, request: int, decide: Any) -> None:
    """Handle an arrival as the strategy decides: into the collection, or straight to the service."""
    mode, use = client.decided(w, request, decide)
    if w[0].batches and mode == _BATCH:
        tables.callers(w)[request].batch_use = use
        collection.guarded(w, request)
        collection.collect(w, request)
    else:
        client.call(w, request, mode, use)


@kernel
def _go_on(w: World, request: int) -> None:
    """Let the next turn of a session come after its think time, or end the session."""
    follower = asked.follower(w)[request]
    if metered.status(w)[request] == _DONE:
        clock.push(w, w[0].now + asked.think(w)[follower], BEGIN, follower, _ASK, clock.ASKED, 0)
    else:
        settle(w, follower, _FAILED, w[0].now)


@kernel
def _happen(w: World, what: int, request: int, payload: int, decide: Any) -> None:
    """Let an event of the heap happen."""
    if what == clock.ASKED:
        _ask(w, request, decide)
    elif what == clock.ANSWERED:
        _go_on(w, request)
    elif what == clock.CREATED:
        calls.created(w, request)
    elif what == clock.RETRIED:
        calls.start(w, request)
    elif what == clock.SERVED:
        calls.serve(w, request, tables.callers(w)[request].named, _FLEX, tables.callers(w)[request].ends)
    elif what == clock.FREED:
        client.free(w)
    elif what == clock.GIVEN_UP:
        client.give_up(w, request)
    elif what == clock.RELEASED:
        if tables.counters(w)[0].model == payload:
            tables.counters(w)[0].in_flight -= 1
    else:
        _happen_in_batch(w, what, request, payload)


@kernel
def _happen_in_batch(w: World, what: int, request: int, payload: int) -> None:
    if what == clock.SEEN:
        batch.seen(w, payload)
    elif what == clock.RUNS:
        batch.run(w, payload)
    elif what == clock.GUARDED:
        batch.fall_back(w, request)
    elif what == clock.SENT:
        if payload == w[0].collection:
            collection.send(w)
    elif what == clock.MADE:
        collection.create(w, payload)
    elif what == clock.ORPHANED:
        batch.orphan_ends(w, payload)
    elif what == clock.LOST:
        collection.lost(w, payload)
    else:
        collection.send(w)


@kernel
def _before(time: int, place: int, other_time: int, other_place: int) -> bool:
    """Return whether one event comes before another."""
    return time < other_time or (time == other_time and place < other_place)


@kernel
def _full(w: World, hour: int) -> int:
    """Return which of the boundless tables, from 1, might have no room for what the next event writes, 0 = none.

    Of a workload in pieces the tables of jobs are boundless too, and come after the others.
    """
    n = w[0].loaded - w[0].first if w[0].batches else ALONE
    if w[0].caches + n + 1 > len(tables.caches(w)):
        return 1
    if w[0].coming + n + 1 > len(tables.cell_coming(w)):
        return 2
    if tables.counters(w)[0].last + 2 > len(tables.spends(w)):
        return 3
    if w[0].heap + 4 * n + 8 > len(tables.heap(w)):
        return 4
    if hour + 2 > len(tables.refusals(w)):
        return 5
    return 6 if w[0].streamed and w[0].batches and _full_of_jobs(w, n) else 0


@kernel
def _full_of_jobs(w: World, n: int) -> bool:
    """Return whether a table of jobs might have no room for as many rows."""
    return (
        w[0].pool + n + 1 > len(tables.pool(w))
        or w[0].members + n + 1 > len(tables.members(w))
        or w[0].jobs + n + 1 > len(tables.jobs(w))
        or w[0].starting + n + 1 > len(tables.starting(w))
        or w[0].duplicates + n + 1 > len(tables.duplicates(w))
        or w[0].entries + n + 1 > len(tables.line(w))
    )


@loop
def happen(w: World, decide: Any, longest: int, stop: int) -> int:
    """Let everything happen before ``stop``, always the smallest next; pause where a table may have no room for it.

    Returns which of the boundless tables that is, from 1; OVER, nothing is left to happen; of a workload in pieces
    MORE, the next request is not there yet.
    """
    n, loaded, heap = w[0].requests, w[0].loaded, tables.heap(w)
    arrive, follows, arrival = asked.arrive(w), asked.follows(w), w[0].arrival
    while True:
        while arrival < loaded and follows[arrival] >= 0:
            arrival += 1
        w[0].arrival = arrival
        arrives = arrival < loaded
        if not arrives and w[0].streamed == 1:
            return MORE
        if w[0].heap > 0:
            time, place = heap[0, 0], heap[0, 1]
            heaped = not (arrives and _before(arrive[arrival], rank(BEGIN, arrival, _ASK, n), time, place))
            if not heaped:
                time = arrive[arrival]
        elif arrives:
            time, heaped = arrive[arrival], False
        elif w[0].open > 0:
            # what is still collected goes when nothing else can happen
            clock.push(w, max(w[0].now, w[0].horizon), BEGIN, n, _SEND, clock.FLUSHED, 0)
            continue
        else:
            return OVER
        if time >= stop:
            return OVER
        full = _full(w, (time + longest) // 3_600_000)
        if full:
            return full
        w[0].now = time
        if heaped:
            what, payload, request = heap[0, 2], heap[0, 3], request_of(heap[0, 1], n)
            clock.pop(w)
            _happen(w, what, request, payload, decide)
        else:
            arrival += 1
            _ask(w, arrival - 1, decide)


@loop
def _count_contexts(w: World) -> None:
    """Count the requests of each context."""
    for request in range(w[0].requests):
        node = asked.cut(w)[request]
        while node >= 0:
            tables.nodes(w)[node].left += 1
            node = tables.nodes(w)[node].above


def run(trace: Trace, plan: Plan, rules: Rules, physics: Physics, *, stop: int = NEVER) -> Ledger:
    """Return the ledger of a run, equal to that of the reference engine in every integer of every column.

    ``stop`` lets nothing happen from this ms on, -1 = never stop: only what the ledger counts is of use then.
    """
    memory = build(trace, plan, rules, physics)
    decide: Callable[..., Any] = compiled(plan.decide)
    if memory.w[0].last_use:
        _count_contexts(memory.w)
    longest = max(rules.client.timeout, int(memory.w[0].flex_timeout), 0)
    while full := happen(memory.w, decide, longest, FOREVER if stop == NEVER else stop):
        memory.grow(_BOUNDLESS[full - 1])
    if stop != NEVER:
        return _ledger(trace, memory, rules)
    written.close(memory.w, int(memory.tables["metered_arrived"].max(initial=0)))
    ledger = _ledger(trace, memory, rules)
    memory.release()
    return assert_conserved(trace, ledger)


def _ledger(trace: Trace, memory: Memory, rules: Rules) -> Ledger:
    tables, w = memory.tables, memory.w[0]
    requests = {name.removeprefix("metered_"): c for name, c in tables.items() if name.startswith("metered_")}
    return Ledger(
        **requests,
        audio=trace.heard,
        output=trace.output,
        **written.duplicates(
            tables["duplicates"][: int(w.duplicates)], tables["members"], tables["jobs"], trace.output, trace.heard
        ),
        **written.caches(memory),
        **written.jobs(tables["jobs"][: int(w.jobs)]),
        **written.limits(tables["refusals"]),
        models=rules.models,
        start_ms=rules.start_ms,
    )
