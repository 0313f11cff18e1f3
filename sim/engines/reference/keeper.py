"""What the caller keeps and what its calls read: the explicit cache of a request's context, and the service's own."""

from sim.engines.laws.latency import first_token_ms
from sim.engines.reference.explicit import Cache, ExplicitCaches
from sim.engines.reference.implicit import ImplicitCache
from sim.engines.reference.world import Reading, World
from sim.ledger import Source
from sim.strategies.decision import NEVER, CacheUse

__all__ = ["Keeper"]


class Keeper:
    """The caches of a run as its requests meet them."""

    def __init__(self, world: World, caches: ExplicitCaches | None, implicit: ImplicitCache | None) -> None:
        self.world, self.caches, self.implicit = world, caches, implicit
        self._seen = [0] * len(world.depth)
        self._targets = [NEVER] * world.trace.requests
        self._sightings = world.plan.cache.sightings if world.plan.cache else 1

    def sight(self, request: int) -> tuple[int, int]:
        """Choose the context whose cache the request would create; return its tokens and how often it was asked for.

        That is the deepest that has been sighted often enough, else the deepest. Every context of the prompt counts as
        sighted.
        """
        if self.world.cut[request] < 0:
            return 0, 0
        chosen = NEVER, 0, 0
        due = False
        for node in self.world.contexts(request):
            if tokens := self.world.cache_tokens(node):
                seen = self._seen[node]
                self._seen[node] += 1
                enough = seen + 1 >= self._sightings
                if chosen[0] == NEVER or (enough and not due):
                    chosen, due = (node, tokens, seen), enough
        self._targets[request] = chosen[0]
        return chosen[1], chosen[2]

    def cache(self, request: int, use: int) -> Cache | None:
        """Return the cache that the request may wait for and read, creating it where the use says so.

        Without the cache of its own target, a request may read the deepest live one above.
        """
        node, now = self._targets[request], self.world.clock.now
        if use == CacheUse.NONE or self.caches is None or node < 0:
            return None
        cache = self.caches.current(node, now)
        if cache is not None:
            return cache
        tokens = self.world.cache_tokens(node) if use == CacheUse.CREATE else 0
        if not tokens:
            return self.readable(request)
        epoch = self.world.epoch()
        ready = now + first_token_ms(epoch.latency, tokens, 0, self.world.slowness[request])
        cache = self.caches.create(node, request, epoch.model, tokens, (now, ready, epoch.until))
        if self.world.plan.cache and self.world.plan.cache.delete_replaced and self.world.replaced[node] >= now:
            self.caches.delete(node, self.world.replaced[node])
        return cache

    def readable(self, request: int) -> Cache | None:
        """Return the deepest cache, from the request's target upwards, that its client believes can be read now."""
        node, now = self._targets[request], self.world.clock.now
        while node >= 0 and self.caches is not None:
            cache = self.caches.current(node, now)
            if cache is not None and now >= cache.ready:
                return cache
            node = self.world.above[node]
        return None

    def read(self, request: int, cache: Cache | None, implicit_minimum: int) -> Reading:
        """Return what a call reads whose service starts now."""
        world, prompt = self.world, self.world.prompt[request]
        if cache is not None and self.caches is not None:
            self.caches.read(cache, world.clock.now)
            padding = cache.tokens - world.depth[cache.node]
            return Reading(prompt + padding, cache.tokens, world.audio_depth[cache.node], Source.EXPLICIT)
        if self.implicit is None:
            return Reading(prompt, 0, 0, Source.NONE)
        hit, audio = self.implicit.hit(request, world.clock.now, implicit_minimum)
        return Reading(prompt, hit, audio, Source.IMPLICIT if hit else Source.NONE)

    def leave(self, request: int, reading: Reading, *, at_once: bool) -> None:
        """Let a call that starts now leave its prefix to the service: at once, or from its first token on."""
        if self.implicit is not None:
            world, epoch = self.world, self.world.epoch()
            uncached, slow = reading.prompt - reading.cached, world.slowness[request]
            wait = 0 if at_once else first_token_ms(epoch.latency, uncached, reading.cached, slow)
            self.implicit.leave(request, world.clock.now + wait, epoch.until)

    def forbidden(self, cache: Cache) -> bool:
        """Return whether a call that names a cache now is refused (403)."""
        return self.caches is not None and not self.caches.readable(cache, self.world.clock.now)

    def forget(self, cache: Cache) -> None:
        """Take a cache for over, because the service said so."""
        if self.caches is not None:
            self.caches.forget(cache)

    def delete(self, node: int, at: int) -> None:
        """Let a context's cache end at an instant."""
        if self.caches is not None:
            self.caches.delete(node, at)

    def hold(self, cache: Cache) -> None:
        """Keep a cache from being idle until a job that names it has run."""
        if self.caches is not None:
            self.caches.hold(cache)

    def let_go(self, cache: Cache | None) -> None:
        """Undo a hold, if there was one."""
        if cache is not None and self.caches is not None:
            self.caches.release(cache, self.world.clock.now)
