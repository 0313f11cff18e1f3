"""How requests end: written down, their slot freed, their session told, their context's cache deleted."""

from sim.engines.fast import asked, clock, metered, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World
from sim.engines.laws.order import END, Kind

__all__ = ["deadline", "finish", "settle"]

_FREE, _ANSWER = Kind.FREE, Kind.ANSWER
_FOREVER = 1 << 62


@kernel
def deadline(w: World, request: int) -> int:
    """Return when the caller gives the request up."""
    return metered.arrived(w)[request] + tables.client(w)[0].give_up if tables.client(w)[0].give_up >= 0 else _FOREVER


@kernel
def finish(w: World, request: int, status: int, at: int) -> None:
    """Let a request that was sent end at an instant that is not past, and its slot with it."""
    if tables.client(w)[0].concurrency >= 0:
        clock.push(w, at, END, request, _FREE, clock.FREED, 0)
    settle(w, request, status, at)


@kernel
def settle(w: World, request: int, status: int, done: int) -> None:
    """Write down how a request ended, and let its session go on from there."""
    n = tables.nodes(w)
    metered.status(w)[request], metered.done(w)[request] = status, done
    if w[0].last_use:
        node = asked.cut(w)[request]
        while node >= 0:
            n[node].left -= 1
            n[node].busy = max(n[node].busy, done)
            if n[node].left == 0 and n[node].cache >= 0:
                cache = tables.caches(w)[n[node].cache]
                if cache.deleted == -1 or n[node].busy < cache.deleted:
                    cache.deleted = n[node].busy
            node = n[node].above
    if asked.follower(w)[request] >= 0:
        clock.push(w, done, END, request, _ANSWER, clock.ANSWERED, 0)
