"""Caches that the caller creates: one a context at a time, alive by timestamps, metered from birth to end."""

from bisect import bisect_right
from dataclasses import dataclass

from sim.engines.laws import ttl as law
from sim.strategies.decision import NEVER, CachePlan

__all__ = ["Cache", "ExplicitCaches"]


@dataclass(slots=True)
class Cache:
    """One explicit cache: its row of the ledger, and what its keeper knows."""

    node: int  # the context that it holds
    creator: int  # the request that caused it
    model: int
    tokens: int
    born: int  # ms: start of the creating call
    ready: int  # ms: the call's end; it can be read from here
    expiry: int  # ms: as last asked for
    cap: int  # ms: end of the model that holds it, -1 = none
    used: int  # ms: last use
    lag: int = 0  # ms by which its client takes it to live longer than it does
    held: int = 0  # pending jobs that need it: it is not idle meanwhile
    deleted: int = NEVER  # ms
    reads: int = 0


class ExplicitCaches:
    """The caches of a run, by context node.

    What a client believes and what is true part in two ways: it hears of no redirect, which ends the caches of a model,
    and it may count the TTL by its own clock. Whoever names a cache that is over is refused (403).
    """

    def __init__(self, plan: CachePlan) -> None:
        self.rows: list[Cache] = []
        self._plan = plan
        self._of: dict[int, Cache] = {}

    def current(self, node: int, now: int) -> Cache | None:
        """Return the context's cache if its client takes it to be alive, whether it can be read already or not."""
        cache = self._of.get(node)
        if cache is None:
            return None
        self._keep(cache, now)
        return cache if now < law.ended(cache.expiry + cache.lag, self._unwanted_at(cache), NEVER) else None

    def readable(self, cache: Cache, now: int) -> bool:
        """Return whether the cache can be read now, in truth."""
        self._keep(cache, now)
        return law.alive(cache.ready, self._end(cache), now)

    def create(self, node: int, creator: int, model: int, tokens: int, times: tuple[int, int, int]) -> Cache:
        """Start the creation of a context's cache at ``times`` = (now, ready, cap): its TTL runs from now."""
        now, ready, cap = times
        cache = Cache(node, creator, model, tokens, now, ready, self._first_expiry(now), cap, used=ready)
        if self._plan.own_clock:
            cache.lag = ready - now
        self._of[node] = cache
        self.rows.append(cache)
        return cache

    def forget(self, cache: Cache) -> None:
        """Take a cache for over, because the service said so."""
        if self._of.get(cache.node) is cache:
            del self._of[cache.node]

    def read(self, cache: Cache, now: int) -> None:
        """Note a use, which renews the cache only where the plan says so: a read alone does not extend the TTL."""
        cache.reads += 1
        cache.used = max(cache.used, now)
        if self._plan.renew_on_use and now + self._plan.ttl > cache.expiry:
            cache.expiry, cache.lag = now + self._plan.ttl, 0

    def hold(self, cache: Cache) -> None:
        """Keep the cache from being idle until a job that needs it has run."""
        cache.held += 1

    def release(self, cache: Cache, now: int) -> None:
        """Undo a hold."""
        self._keep(cache, now)
        cache.held -= 1
        cache.used = max(cache.used, now)

    def delete(self, node: int, at: int) -> None:
        """Let the context's cache end at an instant that is not past, unless it ends before."""
        cache = self._of.get(node)
        if cache is not None and (cache.deleted == NEVER or at < cache.deleted):
            cache.deleted = at

    def close(self, last_arrival: int) -> None:
        """Settle every cache: no renewal comes after the last arrival and the last question for the cache."""
        for cache in self.rows:
            self._keep(cache, max(last_arrival, cache.used) + 1)

    def until(self, cache: Cache) -> int:
        """Return when the cache ended."""
        return max(cache.born, self._end(cache))

    def committed(self, cache: Cache) -> int:
        """Return the last expiry that was asked for: a shortened TTL ends the commitment, a deletion does not."""
        end, unwanted = self.until(cache), self._unwanted_at(cache)
        if self._plan.shorten and unwanted == end:
            return end
        return max(cache.expiry, end)

    def _first_expiry(self, now: int) -> int:
        instants = self._plan.expire_at
        position = bisect_right(instants, now)
        return instants[position] if position < len(instants) else now + self._plan.ttl

    def _keep(self, cache: Cache, limit: int) -> None:
        """Let the keeper renew the cache at every instant before the limit at which it is still wanted.

        By a clock that is late the keeper may come too late.
        """
        margin = self._plan.renew_margin
        if margin == NEVER:
            return
        wanted = min(end for end in (limit, self._unwanted_at(cache), cache.cap) if end != NEVER)
        if cache.lag:
            first = cache.expiry + cache.lag - margin
            if margin <= 0 or first >= min(wanted, cache.expiry):
                return
            cache.expiry, cache.lag = first + self._plan.ttl, 0
        cache.expiry = law.renewed(cache.expiry, self._plan.ttl, margin, wanted)

    def _unwanted_at(self, cache: Cache) -> int:
        """Return when its client lets the cache go: idle for too long, or deleted; -1 = that does not come."""
        idle = NEVER if self._plan.idle == NEVER or cache.held else cache.used + self._plan.idle
        if idle == NEVER or (cache.deleted != NEVER and cache.deleted < idle):
            return cache.deleted
        return idle

    def _end(self, cache: Cache) -> int:
        return law.ended(cache.expiry, self._unwanted_at(cache), cache.cap)
