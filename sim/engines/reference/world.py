"""What the parts of the reference engine share: the run's columns, its clock, and the rules in force now."""

from collections.abc import Iterator
from typing import NamedTuple

from sim.engines.laws.weather import inside
from sim.engines.physics import Physics
from sim.engines.reference.clock import Clock
from sim.ledger import Mode, Source, Status
from sim.providers.rules import NOT_OFFERED, Epoch, Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace, shared_tokens
from sim.units import HOUR

__all__ = ["Meter", "Reading", "World"]


_FOREVER = 1 << 62  # ms


class Meter:
    """The ledger's columns while they are written: lists, since SimPy's world is plain Python."""

    def __init__(self, n: int) -> None:
        self.model, self.prompt, self.cached = [0] * n, [0] * n, [0] * n
        self.audio, self.cached_audio = [0] * n, [0] * n
        self.mode, self.source = [int(Mode.STANDARD)] * n, [int(Source.NONE)] * n
        self.arrived, self.sent, self.done = [NEVER] * n, [NEVER] * n, [NEVER] * n
        self.attempts, self.status, self.job = [0] * n, [int(Status.PENDING)] * n, [NEVER] * n
        self.throttled, self.shed, self.timeouts, self.forbidden = [0] * n, [0] * n, [0] * n, [0] * n
        self.backoff, self.queued = [0] * n, [0] * n
        self.refusals: dict[tuple[int, int], int] = {}  # (Limit, whole hours since the start) -> calls

    def refuse(self, limit: int, now: int) -> None:
        """Count a call that a limit refused."""
        key = int(limit), now // HOUR
        self.refusals[key] = self.refusals.get(key, 0) + 1


class Reading(NamedTuple):
    """What a call reads when its service starts."""

    prompt: int  # tokens, padding included
    cached: int
    cached_audio: int
    source: int


class World:
    """One run: the trace as lists, the plan, the rules, the clock and the meter."""

    def __init__(self, trace: Trace, plan: Plan, rules: Rules, physics: Physics) -> None:
        self.trace, self.plan, self.rules, self.physics = trace, plan, rules, physics
        self.clock = Clock(trace.requests)
        self.meter = Meter(trace.requests)
        self.prompt, self.output = trace.prompt.tolist(), trace.output.tolist()
        self.patience, self.think = trace.patience.tolist(), trace.think.tolist()
        self.slowness = physics.slowness.tolist()
        self.follower = followers(trace)
        self.depth, self.audio_depth = trace.depth.tolist(), trace.audio_depth.tolist()
        self.meter.audio = (trace.audio + shared_tokens(trace.leaf, trace.audio_depth)).tolist()
        self.replaced = trace.replaced.tolist()
        self.cut, self.above = cuts(trace, plan, rules)
        self._overload, self._slow = physics.overload.tolist(), physics.slow.tolist()
        self._enter(0)

    def overloaded(self) -> bool:
        """Return whether the service is overloaded now."""
        return bool(self._overload) and inside(self._overload, self.clock.now)

    def batch_is_slow(self) -> bool:
        """Return whether batch is slow now."""
        return bool(self._slow) and inside(self._slow, self.clock.now)

    def epoch(self) -> Epoch:
        """Return the epoch of the present instant; the clock never goes back."""
        while self.clock.now >= self._epoch_ends:
            self._enter(self._epoch + 1)
        return self._present

    def _enter(self, number: int) -> None:
        epochs = self.rules.epochs
        self._epoch, self._present = number, epochs[number]
        self._epoch_ends = epochs[number + 1].since if number + 1 < len(epochs) else _FOREVER

    def cache_tokens(self, node: int) -> int:
        """Return the tokens that a cache of the context holds, padding included; 0 = it may not be cached now."""
        epoch, depth = self.epoch(), int(self.depth[node])
        minimum = epoch.explicit_minimum
        if minimum == NOT_OFFERED or self.plan.cache is None or 0 <= epoch.explicit_maximum < depth:
            return 0
        if depth >= minimum:
            return depth
        padded = self.plan.cache.pad_from != NEVER and depth >= self.plan.cache.pad_from
        return minimum if padded else 0

    def contexts(self, request: int) -> Iterator[int]:
        """Yield the contexts of a request's prompt that may be cached, the deepest first."""
        node = self.cut[request]
        while node >= 0:
            yield node
            node = self.above[node]


def followers(trace: Trace) -> list[int]:
    """Return the request that waits for each request's answer, -1 = none."""
    follower = [NEVER] * trace.requests
    for request, before in enumerate(trace.follows.tolist()):
        if before >= 0:
            follower[before] = request
    return follower


def cuts(trace: Trace, plan: Plan, rules: Rules) -> tuple[list[int], list[int]]:
    """Return the contexts that a plan may cache: the deepest of each request's prompt, and the next above each node.

    The first list has n rows, the second k; -1 = there is none. A context counts if it is long enough in some epoch.
    """
    offered = [epoch.explicit_minimum for epoch in rules.epochs if epoch.explicit_minimum != NOT_OFFERED]
    if plan.cache is None or not offered:
        return [NEVER] * trace.requests, [NEVER] * len(trace.parent)
    least = min(offered)
    if plan.cache.pad_from != NEVER:
        least = min(least, plan.cache.pad_from)
    at_or_above: list[int] = []
    above: list[int] = []
    mask = plan.cache.populations
    rows = zip(trace.parent.tolist(), trace.depth.tolist(), trace.context.tolist(), strict=True)
    for node, (parent, depth, context) in enumerate(rows):
        may = context > 0 and (mask >> (context - 1)) & 1 and depth >= least and depth > 0
        above.append(at_or_above[parent] if parent >= 0 else NEVER)
        at_or_above.append(node if may else above[node])
    return [at_or_above[leaf] if leaf >= 0 else NEVER for leaf in trace.leaf.tolist()], above
