"""The caller's side of ordinary calls: ask the strategy, keep caches, send, and go on with the session."""

from collections import deque
from collections.abc import Callable

from sim.engines.laws.latency import answer_ms, first_token_ms
from sim.engines.reference.clock import BEGIN, END, Kind
from sim.engines.reference.explicit import Cache, ExplicitCaches
from sim.engines.reference.implicit import ImplicitCache
from sim.engines.reference.world import World
from sim.ledger import Mode, Source, Status
from sim.strategies.decision import NEVER, CacheUse, Implicit, View

__all__ = ["Client", "meets_implicit"]


class Client:
    """Everything that a request meets outside a batch job."""

    def __init__(self, world: World, caches: ExplicitCaches | None, implicit: ImplicitCache | None) -> None:
        self.world, self.caches, self.implicit = world, caches, implicit
        self.ask: Callable[[int], None] = self._ask  # what an arrival meets; a batch queue puts itself in front
        self._seen = [0] * len(world.depth)
        self._left = [0] * len(world.depth)  # requests of each context that have not ended
        self._busy = [0] * len(world.depth)  # ms: when the last request of each context ended
        for request in range(world.trace.requests):
            for node in world.contexts(request):
                self._left[node] += 1
        self._targets = [NEVER] * world.trace.requests
        self._sightings = world.plan.cache.sightings if world.plan.cache else 1
        self._queue: deque[tuple[int, int]] = deque()  # (request, cache use) that wait for a slot
        self._in_flight = 0

    def decide(self, request: int) -> tuple[int, int]:
        """Note the arrival and return (batch, cache) as the strategy decides."""
        world = self.world
        world.meter.arrived[request] = world.clock.now
        tokens, seen = self._target(request)
        view = View(world.patience[request], world.prompt[request], tokens, seen)
        decision = world.plan.decide(world.plan.params, view)
        return decision.batch, decision.cache

    def _target(self, request: int) -> tuple[int, int]:
        """Choose the context whose cache the request would create; return its tokens and how often it was asked for.

        It is the deepest that has been sighted often enough, else the deepest. Every context of the prompt is sighted.
        """
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

    def call(self, request: int, use: int) -> None:
        """Send a request once a slot is free, first come first served; a call in flight holds its slot to its end."""
        if 0 <= self.world.rules.concurrency <= self._in_flight:
            self._queue.append((request, use))
        else:
            self._in_flight += 1
            self._start(request, use)

    def _free(self, _request: int) -> None:
        """Hand the slot of a call that ended to the head of the queue."""
        if self._queue:
            self._start(*self._queue.popleft())
        else:
            self._in_flight -= 1

    def _start(self, request: int, use: int) -> None:
        """Send a request now, or once the cache that it wants is there."""
        cache = self.cache(request, use)
        if cache is None or self.world.clock.now >= cache.ready:
            self.send(request, cache)
        elif self.world.plan.cache is not None and (self.world.plan.cache.wait or cache.creator == request):
            self.world.clock.at(cache.ready, BEGIN, request, Kind.ASK, self._call_again)
        else:
            self.send(request, self._readable(request))

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
            return self._readable(request)
        epoch = self.world.epoch()
        ready = now + first_token_ms(epoch.latency, tokens, 0, self.world.slowness[request])
        return self.caches.create(node, request, epoch.model, tokens, (now, ready, epoch.until))

    def _readable(self, request: int) -> Cache | None:
        """Return the deepest cache, from the request's target upwards, that can be read now."""
        node, now = self._targets[request], self.world.clock.now
        while node >= 0 and self.caches is not None:
            cache = self.caches.current(node, now)
            if cache is not None and now >= cache.ready:
                return cache
            node = self.world.above[node]
        return None

    def send(self, request: int, cache: Cache | None) -> None:
        """Make the call: read what is cached, meter it, and know when the answer is there."""
        world, meter, now = self.world, self.world.meter, self.world.clock.now
        epoch = world.epoch()
        prompt, cached, source = self.read(request, cache, epoch.implicit_minimum)
        took = answer_ms(epoch.latency, prompt - cached, cached, world.output[request], world.slowness[request])
        done = now + took
        if cache is None:
            self.leave(request, prompt - cached, cached, at_once=world.rules.implicit.at_arrival)
        meter.model[request], meter.mode[request], meter.job[request] = epoch.model, Mode.STANDARD, -1
        meter.prompt[request], meter.cached[request], meter.source[request] = prompt, cached, source
        meter.sent[request], meter.attempts[request] = now, meter.attempts[request] + 1
        if world.rules.concurrency >= 0:
            world.clock.at(done, END, request, Kind.FREE, self._free)
        self.settle(request, Status.DONE, done)

    def read(self, request: int, cache: Cache | None, implicit_minimum: int) -> tuple[int, int, int]:
        """Return (prompt, cached, source) of a call that starts now."""
        world, prompt = self.world, self.world.prompt[request]
        if cache is not None and self.caches is not None:
            self.caches.read(cache, world.clock.now)
            padding = cache.tokens - world.depth[cache.node]
            return prompt + padding, cache.tokens, Source.EXPLICIT
        hit = 0 if self.implicit is None else self.implicit.hit(request, world.clock.now, implicit_minimum)
        return prompt, hit, Source.IMPLICIT if hit else Source.NONE

    def leave(self, request: int, uncached: int, cached: int, *, at_once: bool) -> None:
        """Let a call that starts now leave its prefix to the service: at once, or from its first token on."""
        if self.implicit is not None:
            world, epoch = self.world, self.world.epoch()
            wait = 0 if at_once else first_token_ms(epoch.latency, uncached, cached, world.slowness[request])
            self.implicit.leave(request, world.clock.now + wait, epoch.until)

    def settle(self, request: int, status: int, done: int) -> None:
        """Write down how a request ended, and let its session go on from there."""
        world = self.world
        world.meter.status[request], world.meter.done[request] = status, done
        for node in world.contexts(request):
            self._left[node] -= 1
            self._busy[node] = max(self._busy[node], done)
            if self._left[node] == 0 and self.caches is not None and world.plan.cache and world.plan.cache.last_use:
                self.caches.delete(node, self._busy[node])
        if world.follower[request] >= 0:
            world.clock.at(done, END, request, Kind.ANSWER, self._go_on)

    def _go_on(self, request: int) -> None:
        world, follower = self.world, self.world.follower[request]
        if world.meter.status[request] == Status.DONE:
            world.clock.at(world.clock.now + world.think[follower], BEGIN, follower, Kind.ASK, self.ask)
        else:
            self.settle(follower, Status.FAILED, world.clock.now)  # the session ended before it could ask

    def _call_again(self, request: int) -> None:
        self.send(request, self._readable(request))

    def _ask(self, request: int) -> None:
        _batch, use = self.decide(request)
        self.call(request, use)


def meets_implicit(world: World) -> bool:
    """Return whether the plan's calls meet the service's own cache."""
    implicit = world.plan.implicit
    return implicit == Implicit.ON or (implicit == Implicit.AS_SERVICE and world.rules.implicit.on)
