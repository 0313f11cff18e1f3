"""The caller's side: ask the strategy, wait for a slot, and go on with the session."""

from typing import Any

from sim.engines.fast import asked, calls, clock, keeper, metered, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.ends import deadline, settle
from sim.engines.fast.memory import World
from sim.engines.laws.order import END, Kind
from sim.ledger import Mode, Status

__all__ = ["call", "decided", "free", "give_up"]

_GIVE_UP = Kind.GIVE_UP
_FAILED, _STANDARD = int(Status.FAILED), int(Mode.STANDARD)


@kernel
def decided(w: World, request: int, decide: Any) -> tuple[int, int]:
    """Note the arrival and return (mode, cache use) as the strategy decides."""
    metered.arrived(w)[request] = w[0].now
    tokens, seen = keeper.sight(w, request)
    p = tables.params(w)
    patience, prompt = asked.patience(w)[request], asked.prompt(w)[request]
    packed = decide(p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7], patience, prompt, tokens, seen)
    return packed >> 8, packed & 255


@kernel
def call(w: World, request: int, mode: int, use: int) -> None:
    """Send a request once a slot is free, first come first served; it holds the slot until it has ended."""
    c = tables.callers(w)
    now = w[0].now
    if w[0].plain and mode == _STANDARD:
        calls.plain(w, request, use)
        return
    if not 0 <= tables.client(w)[0].concurrency <= w[0].in_flight:
        w[0].in_flight += 1
        calls.begin(w, request, mode, use)
        return
    last = w[0].queue_last
    tables.queue(w)[last], c[request].since, c[request].waits = request, now, 1
    c[request].mode, c[request].use = mode, use
    w[0].queue_last = last + 1
    if tables.client(w)[0].give_up >= 0:
        clock.push(w, max(now, deadline(w, request)), END, request, _GIVE_UP, clock.GIVEN_UP, 0)


@kernel
def free(w: World) -> None:
    """Hand the slot of a request that ended to the head of the queue."""
    c = tables.callers(w)
    while w[0].queue_first < w[0].queue_last:
        request = tables.queue(w)[w[0].queue_first]
        w[0].queue_first += 1
        if c[request].waits:
            c[request].waits = 0
            metered.queued(w)[request] += w[0].now - c[request].since
            calls.begin(w, request, c[request].mode, c[request].use)
            return
    w[0].in_flight -= 1


@kernel
def give_up(w: World, request: int) -> None:
    """Take a request whose time is over out of the queue, if it is still there."""
    c = tables.callers(w)
    if c[request].waits:
        c[request].waits = 0
        metered.queued(w)[request] += w[0].now - c[request].since
        settle(w, request, _FAILED, w[0].now)
