"""Caches that the caller creates: one a context at a time, alive by timestamps, metered from birth to end."""

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
    held: int = 0  # pending jobs that need it: it is not idle meanwhile
    deleted: int = NEVER  # ms
    reads: int = 0


class ExplicitCaches:
    """The caches of a run, by context node."""

    def __init__(self, plan: CachePlan) -> None:
        self.rows: list[Cache] = []
        self._plan = plan
        self._of: dict[int, Cache] = {}

    def current(self, node: int, now: int) -> Cache | None:
        """Return the context's cache if its life is not over, whether it can be read already or not."""
        cache = self._of.get(node)
        if cache is None:
            return None
        self._keep(cache, now)
        return cache if now < self._end(cache) else None

    def readable(self, cache: Cache, now: int) -> bool:
        """Return whether the cache can be read now."""
        self._keep(cache, now)
        return law.alive(cache.ready, self._end(cache), now)

    def create(self, node: int, creator: int, model: int, tokens: int, times: tuple[int, int, int]) -> Cache:
        """Start the creation of a context's cache at ``times`` = (now, ready, cap): its TTL runs from now."""
        now, ready, cap = times
        cache = Cache(node, creator, model, tokens, now, ready, now + self._plan.ttl, cap, used=ready)
        self._of[node] = cache
        self.rows.append(cache)
        return cache

    def read(self, cache: Cache, now: int) -> None:
        """Note a use, which renews the cache only where the plan says so: a read alone does not extend the TTL."""
        cache.reads += 1
        cache.used = max(cache.used, now)
        if self._plan.renew_on_use:
            cache.expiry = max(cache.expiry, now + self._plan.ttl)

    def hold(self, cache: Cache) -> None:
        """Keep the cache from being idle until a job that needs it has run."""
        cache.held += 1

    def release(self, cache: Cache, now: int) -> None:
        """Undo a hold."""
        self._keep(cache, now)
        cache.held -= 1
        cache.used = max(cache.used, now)

    def delete(self, node: int, at: int) -> None:
        """Delete the context's cache at an instant that is not past."""
        cache = self._of.get(node)
        if cache is not None and cache.deleted == NEVER:
            cache.deleted = at

    def close(self, last_arrival: int) -> None:
        """Settle every cache: no renewal comes after the last arrival and the last question for the cache."""
        for cache in self.rows:
            self._keep(cache, max(last_arrival, cache.used) + 1)

    def until(self, cache: Cache) -> int:
        """Return when the cache ended."""
        return max(cache.born, self._end(cache))

    def _keep(self, cache: Cache, limit: int) -> None:
        """Let the keeper renew the cache at every instant before the limit at which it is still wanted."""
        if self._plan.renew_margin != NEVER:
            wanted = min(end for end in (limit, self._idle_at(cache), cache.deleted, cache.cap) if end != NEVER)
            cache.expiry = law.renewed(cache.expiry, self._plan.ttl, self._plan.renew_margin, wanted)

    def _idle_at(self, cache: Cache) -> int:
        return NEVER if self._plan.idle == NEVER or cache.held else cache.used + self._plan.idle

    def _end(self, cache: Cache) -> int:
        idle, deleted = self._idle_at(cache), cache.deleted
        if idle != NEVER and (deleted == NEVER or idle < deleted):
            deleted = idle
        return law.ended(cache.expiry, deleted, cache.cap)
