"""The caller's side: ask the strategy, wait for a slot, and go on with the session."""

from collections import deque
from collections.abc import Callable

from sim.engines.reference.calls import Calls
from sim.engines.reference.clock import BEGIN, END, Kind
from sim.engines.reference.keeper import Keeper
from sim.engines.reference.world import World
from sim.ledger import Status
from sim.strategies.decision import Decision, Implicit, View

__all__ = ["Client", "meets_implicit"]


class Client:
    """Everything that a request meets before it is sent and after it has ended."""

    def __init__(self, world: World, keeper: Keeper) -> None:
        self.world, self.keeper = world, keeper
        self.ask: Callable[[int], None] = self._ask  # what an arrival meets; a batch queue puts itself in front
        self.calls = Calls(world, keeper, self.finish)
        self._left = [0] * len(world.depth)  # requests of each context that have not ended
        self._busy = [0] * len(world.depth)  # ms: when the last request of each context ended
        self._deletes = world.plan.cache is not None and bool(world.plan.cache.last_use)
        for request in range(world.trace.requests if self._deletes else 0):
            for node in world.contexts(request):
                self._left[node] += 1
        self._queue: deque[tuple[int, int, int]] = deque()  # (request, mode, cache use) in line for a slot
        self._waits: dict[int, int] = {}  # request -> since when, of those that still do
        self._in_flight = 0

    def decide(self, request: int) -> Decision:
        """Note the arrival and return what the strategy decides."""
        world = self.world
        world.meter.arrived[request] = world.clock.now
        tokens, seen = self.keeper.sight(request)
        view = View(world.patience[request], world.prompt[request], tokens, seen)
        return world.plan.decide(world.plan.params, view)

    # ------------------------------------------------------------ slots

    def call(self, request: int, mode: int, use: int) -> None:
        """Send a request once a slot is free, first come first served; it holds the slot until it has ended."""
        rules, now = self.world.rules.client, self.world.clock.now
        if not 0 <= rules.concurrency <= self._in_flight:
            self._in_flight += 1
            self.calls.begin(request, mode, use)
            return
        self._queue.append((request, mode, use))
        self._waits[request] = now
        if rules.give_up >= 0:
            at = max(now, self.calls.deadline(request))
            self.world.clock.at(at, END, request, Kind.GIVE_UP, self._give_up)

    def finish(self, request: int, status: int, at: int) -> None:
        """Let a request that was sent end at an instant that is not past, and its slot with it."""
        if self.world.rules.client.concurrency >= 0:
            self.world.clock.at(at, END, request, Kind.FREE, self._free)
        self.settle(request, status, at)

    def _free(self, _request: int) -> None:
        """Hand the slot of a request that ended to the head of the queue."""
        while self._queue:
            request, mode, use = self._queue.popleft()
            since = self._waits.pop(request, None)
            if since is not None:  # else it has given up
                self.world.meter.queued[request] += self.world.clock.now - since
                self.calls.begin(request, mode, use)
                return
        self._in_flight -= 1

    def _give_up(self, request: int) -> None:
        """Take a request whose time is over out of the queue, if it is still there."""
        since = self._waits.pop(request, None)
        if since is not None:
            self.world.meter.queued[request] += self.world.clock.now - since
            self.settle(request, Status.FAILED, self.world.clock.now)

    # ------------------------------------------------------------ ends and sessions

    def settle(self, request: int, status: int, done: int) -> None:
        """Write down how a request ended, and let its session go on from there."""
        world = self.world
        world.meter.status[request], world.meter.done[request] = status, done
        if self._deletes:
            self._leave(request, done)
        if world.follower[request] >= 0:
            world.clock.at(done, END, request, Kind.ANSWER, self._go_on)

    def _leave(self, request: int, done: int) -> None:
        """Delete the caches of contexts whose last request this was, once all their requests have ended."""
        for node in self.world.contexts(request):
            self._left[node] -= 1
            self._busy[node] = max(self._busy[node], done)
            if self._left[node] == 0:
                self.keeper.delete(node, self._busy[node])

    def _go_on(self, request: int) -> None:
        world, follower = self.world, self.world.follower[request]
        if world.meter.status[request] == Status.DONE:
            world.clock.at(world.clock.now + world.think[follower], BEGIN, follower, Kind.ASK, self.ask)
        else:
            self.settle(follower, Status.FAILED, world.clock.now)  # the session ended before it could ask

    def _ask(self, request: int) -> None:
        decision = self.decide(request)
        self.call(request, decision.mode, decision.cache)


def meets_implicit(world: World) -> bool:
    """Return whether the plan's calls meet the service's own cache."""
    implicit = world.plan.implicit
    return implicit == Implicit.ON or (implicit == Implicit.AS_SERVICE and world.rules.implicit.on)
