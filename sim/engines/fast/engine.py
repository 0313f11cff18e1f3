"""One run of one strategy on one trace, compiled: a loop that merges arrivals with a heap, and the ledger of it."""

from collections.abc import Callable
from typing import Any

import numpy as np

from sim.engines.conservation import assert_conserved
from sim.engines.fast import asked, batch, calls, client, clock, collection, explicit, metered, tables
from sim.engines.fast.compile import kernel, loop
from sim.engines.fast.decide import compiled
from sim.engines.fast.ends import settle
from sim.engines.fast.memory import World, world_of
from sim.engines.fast.world import Memory, build
from sim.engines.laws.order import BEGIN, Kind, rank, request_of
from sim.engines.physics import Physics
from sim.ledger import Ledger, Mode, Status
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Ints, Trace, shared_tokens

__all__ = ["run"]

_OVER, _FULL = 0, 1
_FOREVER = 1 << 62  # ms
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
def _full(w: World) -> bool:
    """Return whether the next event might find no room for what it writes."""
    n = w[0].requests
    return (
        w[0].caches + n + 1 > len(tables.caches(w))
        or w[0].coming + n + 1 > len(tables.cell_coming(w))
        or tables.counters(w)[0].last + 2 > len(tables.spends(w))
        or w[0].heap + 4 * n + 8 > len(tables.heap(w))
    )


@loop
def _run(w: World, decide: Any, longest: int, stop: int) -> int:
    """Let everything happen before ``stop``, always the smallest next; pause where there may be no room for it."""
    n, heap, hours = w[0].requests, tables.heap(w), len(tables.refusals(w))
    arrive, follows, arrival = asked.arrive(w), asked.follows(w), w[0].arrival
    while True:
        while arrival < n and follows[arrival] >= 0:
            arrival += 1
        w[0].arrival = arrival
        arrives = arrival < n
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
            return _OVER
        if time >= stop:
            return _OVER
        if _full(w) or (time + longest) // 3_600_000 + 2 > hours:
            return _FULL
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


@loop
def _close(w: World, last_arrival: int) -> None:
    """Settle every cache: no renewal comes after the last arrival and the last question for the cache."""
    for row in range(w[0].caches):
        explicit.keep(w, row, max(last_arrival, tables.caches(w)[row].used) + 1)


@loop
def _ends(w: World, until: Ints, committed: Ints) -> None:
    """Fill in when each cache ended, and what was asked for last."""
    for row in range(w[0].caches):
        until[row] = max(tables.caches(w)[row].born, explicit.ends(w, row))
        committed[row] = explicit.committed(w, row)


def run(trace: Trace, plan: Plan, rules: Rules, physics: Physics, *, stop: int = NEVER) -> Ledger:
    """Return the ledger of a run, equal to that of the reference engine in every integer of every column.

    ``stop`` lets nothing happen from this ms on, -1 = never stop: only what the ledger counts is of use then.
    """
    memory = build(trace, plan, rules, physics)
    w = world_of(memory.w, memory.tables)
    decide: Callable[..., Any] = compiled(plan.decide)
    if memory.w[0].last_use:
        _count_contexts(w)
    longest = max(rules.client.timeout, int(memory.w[0].flex_timeout), 0)
    while _run(w, decide, longest, _FOREVER if stop == NEVER else stop) == _FULL:
        for name in _BOUNDLESS:
            memory.grow(name)
    if stop != NEVER:
        return _ledger(trace, memory, rules)
    _close(w, int(memory.tables["metered_arrived"].max(initial=0)))
    return assert_conserved(trace, _ledger(trace, memory, rules))


def _ledger(trace: Trace, memory: Memory, rules: Rules) -> Ledger:
    w = memory.w[0]
    requests = {name.removeprefix("metered_"): c for name, c in memory.tables.items() if name.startswith("metered_")}
    return Ledger(
        **requests,
        audio=trace.audio + shared_tokens(trace.leaf, trace.audio_depth),
        output=trace.output,
        **_duplicates(trace, memory.tables, int(w.duplicates)),
        **_caches(trace, memory, int(w.caches)),
        **_jobs(memory.tables["jobs"][: int(w.jobs)]),
        **_limits(memory.tables["refusals"]),
        models=rules.models,
        start_ms=rules.start_ms,
    )


def _duplicates(trace: Trace, tables: dict[str, Any], count: int) -> dict[str, Ints]:
    rows = tables["duplicates"][:count]
    request, member, job = rows["request"].copy(), tables["members"][rows["member"]], tables["jobs"][rows["job"]]
    audio = trace.audio + shared_tokens(trace.leaf, trace.audio_depth)
    return {
        "duplicate_request": request,
        "duplicate_model": member["model"].copy(),
        "duplicate_mode": np.full(count, _BATCH, dtype=np.int64),
        "duplicate_prompt": member["prompt"].copy(),
        "duplicate_cached": member["cached"].copy(),
        "duplicate_audio": audio[request],
        "duplicate_cached_audio": member["cached_audio"].copy(),
        "duplicate_output": trace.output[request],
        "duplicate_sent": job["started"].copy(),
        "duplicate_done": job["seen"].copy(),
    }


def _caches(trace: Trace, memory: Memory, count: int) -> dict[str, Ints]:
    until, committed = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    _ends(world_of(memory.w, memory.tables), until, committed)
    rows = memory.tables["caches"][:count]
    names = ("model", "tokens", "born", "reads")
    return {
        **{f"cache_{name}": rows[name].copy() for name in names},
        "cache_audio": trace.audio_depth[rows["node"]],
        "cache_until": until,
        "cache_committed": committed,
    }


def _jobs(rows: Any) -> dict[str, Ints]:
    names = {"done": "end", "requests": "members"}
    own = ("collected", "created", "started", "done", "state", "requests", "tokens")
    return {f"job_{name}": rows[names.get(name, name)].copy() for name in own}


def _limits(refusals: Any) -> dict[str, Ints]:
    kinds, hours = np.nonzero(refusals.T)
    return {
        "limit_kind": kinds.astype(np.int64),
        "limit_hour": hours.astype(np.int64),
        "limit_count": refusals[hours, kinds],
    }
