"""Caches that the caller creates: one a context at a time, alive by timestamps, metered from birth to end."""

from sim.engines.fast import tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World
from sim.engines.laws import ttl as law

__all__ = ["committed", "create", "current", "ends", "keep", "readable", "release", "used"]


@kernel
def current(w: World, node: int, now: int) -> int:
    """Return the context's cache if its client takes it to be alive, -1 = none."""
    row = tables.nodes(w)[node].cache
    if row < 0:
        return -1
    keep(w, row, now)
    believed = law.ended(tables.caches(w)[row].expiry + tables.caches(w)[row].lag, unwanted_at(w, row), -1)
    return row if now < believed else -1


@kernel
def readable(w: World, row: int, now: int) -> bool:
    """Return whether a cache can be read now, in truth."""
    keep(w, row, now)
    return law.alive(tables.caches(w)[row].ready, ends(w, row), now)


@kernel
def create(w: World, node: int, creator: int, model: int, tokens: int, now: int, ready: int, cap: int) -> int:
    """Start the creation of a context's cache: its TTL runs from now."""
    row, x = w[0].caches, tables.caches(w)
    w[0].caches = row + 1
    x[row].node, x[row].creator, x[row].model, x[row].tokens = node, creator, model, tokens
    x[row].born, x[row].ready, x[row].cap, x[row].used = now, ready, cap, ready
    expiry = now + w[0].ttl
    for instant in tables.expire_at(w):
        if instant > now:
            expiry = instant
            break
    x[row].expiry = expiry
    x[row].lag = ready - now if w[0].own_clock else 0
    x[row].held, x[row].deleted, x[row].reads = 0, -1, 0
    tables.nodes(w)[node].cache = row
    return row


@kernel
def used(w: World, row: int, now: int) -> None:
    """Note a use, which renews the cache only where the plan says so."""
    x = tables.caches(w)
    x[row].reads += 1
    x[row].used = max(x[row].used, now)
    if w[0].renew_on_use and now + w[0].ttl > x[row].expiry:
        x[row].expiry, x[row].lag = now + w[0].ttl, 0


@kernel
def release(w: World, row: int, now: int) -> None:
    """Undo a hold."""
    keep(w, row, now)
    tables.caches(w)[row].held -= 1
    tables.caches(w)[row].used = max(tables.caches(w)[row].used, now)


@kernel
def keep(w: World, row: int, limit: int) -> None:
    """Let the keeper renew the cache at every instant before the limit at which it is still wanted."""
    margin, x = w[0].renew_margin, tables.caches(w)
    if margin == -1:
        return
    wanted, unwanted = limit, unwanted_at(w, row)
    if unwanted != -1:
        wanted = min(wanted, unwanted)
    if x[row].cap != -1:
        wanted = min(wanted, x[row].cap)
    if x[row].lag:
        first = x[row].expiry + x[row].lag - margin
        if margin <= 0 or first >= min(wanted, x[row].expiry):
            return
        x[row].expiry, x[row].lag = first + w[0].ttl, 0
    x[row].expiry = law.renewed(x[row].expiry, w[0].ttl, margin, wanted)


@kernel
def unwanted_at(w: World, row: int) -> int:
    """Return when its client lets the cache go, -1 = that does not come."""
    deleted = tables.caches(w)[row].deleted
    if w[0].idle == -1 or tables.caches(w)[row].held:
        return deleted
    idle = tables.caches(w)[row].used + w[0].idle
    return deleted if deleted != -1 and deleted < idle else idle


@kernel
def ends(w: World, row: int) -> int:
    """Return when the cache ends, in truth."""
    return law.ended(tables.caches(w)[row].expiry, unwanted_at(w, row), tables.caches(w)[row].cap)


@kernel
def committed(w: World, row: int) -> int:
    """Return the last expiry that was asked for, or the end where the client shortened the TTL."""
    end = max(tables.caches(w)[row].born, ends(w, row))
    if w[0].shorten and unwanted_at(w, row) == end:
        return end
    return max(tables.caches(w)[row].expiry, end)
