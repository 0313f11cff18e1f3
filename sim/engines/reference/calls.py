"""The calls of a request in real time: refused or served, given up or answered, and made again after a back-off."""

from collections.abc import Callable

from sim.engines.laws import backoff as law
from sim.engines.laws.draws import redraw
from sim.engines.laws.latency import answer_ms
from sim.engines.laws.quota import spend_of
from sim.engines.laws.weather import slowed
from sim.engines.reference.clock import BEGIN, END, Kind
from sim.engines.reference.explicit import Cache
from sim.engines.reference.keeper import Keeper
from sim.engines.reference.quota import Quotas
from sim.engines.reference.world import World
from sim.ledger import Limit, Mode, Status
from sim.strategies.decision import NEVER, CacheUse

__all__ = ["Calls"]

_STANDARD, _FLEX, _PRIORITY = int(Mode.STANDARD), int(Mode.FLEX), int(Mode.PRIORITY)
_FOREVER = 1 << 62  # ms: a deadline that does not come
_FLEX_DRAW = 1 << 16  # attempts of the flex tier's own draw, far from those of the overload


class Calls:
    """What each request tries; its n-th call has the n-th redraw of its draws, whatever became of the others."""

    def __init__(self, world: World, keeper: Keeper, finish: Callable[[int, int, int], None]) -> None:
        self.world, self.keeper, self._finish = world, keeper, finish
        self._quotas = Quotas(world.rules.days)
        self._give_up_ms = world.rules.client.give_up
        n = world.trace.requests
        self._mode, self._use = [_STANDARD] * n, [int(CacheUse.NONE)] * n
        self._calls = [0] * n
        self._tries = [0] * n  # calls in the present mode that count against its attempts
        self._refused = [False] * n  # met a 403
        self._shed, self._jitter = world.trace.shed.tolist(), world.trace.jitter.tolist()
        self._queueing = world.physics.queueing_ms.tolist()

    def begin(self, request: int, mode: int, use: int) -> None:
        """Start on a request that has its slot."""
        self._mode[request], self._use[request], self._tries[request] = mode, use, 0
        self._start(request)

    def deadline(self, request: int) -> int:
        """Return when the caller gives the request up."""
        give_up = self._give_up_ms
        return self.world.meter.arrived[request] + give_up if give_up >= 0 else _FOREVER

    def _start(self, request: int) -> None:
        """Send a request now, or once the cache that it wants is there, unless its caller has given it up."""
        now = self.world.clock.now
        if now >= self.deadline(request):
            self._finish(request, Status.FAILED, now)
            return
        cache = self.keeper.cache(request, self._use[request])
        if cache is None or now >= cache.ready:
            self._call(request, cache)
        elif self.world.plan.cache is not None and (self.world.plan.cache.wait or cache.creator == request):
            at = min(cache.ready, self.deadline(request))
            self.world.clock.at(at, BEGIN, request, Kind.ASK, self._created)
        else:
            self._call(request, self.keeper.readable(request))

    def _created(self, request: int) -> None:
        """Go on when the cache is there that a request has waited for, or when its caller gives it up."""
        now = self.world.clock.now
        if now >= self.deadline(request):
            self._finish(request, Status.FAILED, now)
        else:
            self._call(request, self.keeper.readable(request))

    def _call(self, request: int, cache: Cache | None) -> None:
        """Make a call, unless it is of the flex tier and too late for that."""
        world, now = self.world, self.world.clock.now
        if self._mode[request] == _FLEX and now >= self._flex_until(request):
            self._after(request, now, 0)
            return
        self._calls[request] += 1
        self._tries[request] += 1
        world.meter.attempts[request] += 1
        tokens = world.prompt[request] + (0 if cache is None else cache.tokens - world.depth[cache.node])
        tier = self._admit(request, tokens)
        if tier is None:
            return
        if tier == _FLEX:
            start, ends = now + self._queueing[request], self._ends(request)
            if start >= ends:
                self._give_up(request, ends)
            else:
                world.clock.at(start, BEGIN, request, Kind.SERVE, lambda r: self._serve(r, cache, tier, ends))
        else:
            self._serve(request, cache, tier, self._ends(request))

    # ------------------------------------------------------------ what the service lets pass

    def _admit(self, request: int, tokens: int) -> int | None:
        """Return the tier that serves a call, None if it is refused; what priority has no room for is standard."""
        world, now, mode = self.world, self.world.clock.now, self._mode[request]
        epoch = world.epoch()
        if mode == _PRIORITY:
            limit, _ = self._quotas.of(epoch, now, priority=True).ask(now, tokens)
            if limit < 0:
                return mode
            world.meter.refuse(Limit.PRIORITY, now)
            mode = _STANDARD
        number, shed = self._calls[request], self._shed[request]
        if world.overloaded() and redraw(shed, number) < world.rules.overload.shed:
            limit, delay = int(Limit.OVERLOAD), 0
        elif mode == _FLEX and redraw(shed, number + _FLEX_DRAW) < world.rules.flex.shed:
            limit, delay = int(Limit.SHED), 0
        else:
            quota = self._quotas.of(epoch, now)
            limit, delay = (-1, 0) if quota.unlimited else quota.ask(now, tokens)
        if limit < 0:
            return mode
        self._refuse(request, limit, delay)
        return None

    def _refuse(self, request: int, limit: int, delay: int) -> None:
        """Count a refused call, and let its client know."""
        meter, now = self.world.meter, self.world.clock.now
        meter.refuse(limit, now)
        known = now + self.world.rules.refusal_ms
        if limit in (Limit.OVERLOAD, Limit.SHED):
            meter.shed[request] += 1
            self._after(request, known, delay)
        else:
            meter.throttled[request] += 1
            meter.backoff[request] += self._after(request, known, delay) - now

    # ------------------------------------------------------------ what becomes of it

    def _serve(self, request: int, cache: Cache | None, tier: int, ends: int) -> None:
        """Start the service of a call: read what is cached, meter it, and know when the answer is there."""
        world, meter, now = self.world, self.world.meter, self.world.clock.now
        if cache is not None and self.keeper.forbidden(cache):
            self._forbid(request, cache)
            return
        epoch, slowness = world.epoch(), world.slowness[request]
        if tier != _PRIORITY and world.overloaded():
            slowness = slowed(slowness, world.rules.overload.slowdown)
        reading = self.keeper.read(request, cache, epoch.implicit_minimum)
        uncached = reading.prompt - reading.cached
        done = now + answer_ms(epoch.latency, uncached, reading.cached, world.output[request], slowness)
        if cache is None:
            self.keeper.leave(request, reading, at_once=world.rules.implicit.at_arrival)
        account = self._quotas.of(epoch, now).account
        if account.spend is not None:
            weights = epoch.quota.weights[tier]
            account.spend.add(now, spend_of(weights, reading.prompt, reading.cached, world.output[request]))
        if account.hold():
            world.clock.at(min(done, ends), END, request, Kind.RELEASE, account.release)
        if done > ends:
            self._give_up(request, ends)
            return
        meter.model[request], meter.mode[request], meter.job[request] = epoch.model, tier, NEVER
        meter.prompt[request], meter.cached[request] = reading.prompt, reading.cached
        meter.cached_audio[request], meter.source[request] = reading.cached_audio, reading.source
        meter.sent[request] = now
        self._finish(request, Status.DONE, done)

    def _forbid(self, request: int, cache: Cache) -> None:
        """Tell a client that its cache is over: it creates another or goes without, from the second time on the latter.

        Such a call does not count against its attempts.
        """
        world, now = self.world, self.world.clock.now
        world.meter.forbidden[request] += 1
        world.meter.refuse(Limit.FORBIDDEN, now)
        self.keeper.forget(cache)
        if self._refused[request] or not world.rules.explicit.recreate:
            self._use[request] = CacheUse.NONE
        self._refused[request] = True
        self._tries[request] -= 1
        world.clock.at(now + world.rules.refusal_ms, BEGIN, request, Kind.RETRY, self._start)

    def _give_up(self, request: int, at: int) -> None:
        """Hang up on a call that takes too long; what the service did for it is not billed."""
        self.world.meter.timeouts[request] += 1
        self.world.meter.refuse(Limit.TIMEOUT, at)
        self._after(request, at, 0)

    def _after(self, request: int, known: int, delay: int) -> int:
        """Decide what follows a call of which it is known at an instant that it failed; return when that comes.

        That is another call after a back-off, the standard tier after the last call of flex, or the request's end.
        """
        rules, flex, tries = self.world.rules.client, self.world.plan.flex, self._tries[request]
        deadline = self.deadline(request)
        then = known
        if self._mode[request] == _FLEX and flex is not None:
            over = tries >= flex.attempts or known >= self._flex_until(request)
            if over and flex.fallback:
                self._mode[request], self._tries[request] = _STANDARD, 0
                return self._again(request, known, deadline)
        else:
            over = tries >= rules.attempts
        if not over:
            longest = law.ceiling(rules.base, rules.factor, rules.cap, tries)
            wait = law.sleep(longest, rules.jitter, redraw(self._jitter[request], self._calls[request]))
            then = known + (max(wait, delay) if rules.honour else wait)
            if self._mode[request] == _FLEX:  # the guard wakes it
                then = min(then, self._flex_until(request))
            if then < deadline:
                return self._again(request, then, deadline)
        end = min(known, deadline)
        self._finish(request, Status.FAILED, end)
        return end

    def _again(self, request: int, at: int, deadline: int) -> int:
        """Call again at an instant, or fail at the deadline if that is not later."""
        at = min(at, deadline)
        self.world.clock.at(at, BEGIN, request, Kind.RETRY, self._start)
        return at

    def _ends(self, request: int) -> int:
        """Return when the caller hangs up on a call that is made now."""
        now, rules, flex = self.world.clock.now, self.world.rules.client, self.world.plan.flex
        timeout, until = rules.timeout, self.deadline(request)
        if self._mode[request] == _FLEX and flex is not None:
            timeout, until = flex.timeout, min(until, self._flex_until(request))
        return until if timeout < 0 else min(until, now + timeout)

    def _flex_until(self, request: int) -> int:
        """Return when the flex tier is given up for a request, so that its deadline can still be kept."""
        flex = self.world.plan.flex
        if flex is None or flex.guard < 0:
            return _FOREVER
        until: int = self.world.meter.arrived[request] + self.world.patience[request] - flex.guard
        return until
