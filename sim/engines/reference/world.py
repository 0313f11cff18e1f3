"""What the parts of the reference engine share: the run's columns, its clock, and the rules in force now."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from sim.engines.physics import Physics
from sim.engines.reference.clock import Clock
from sim.ledger import Mode, Source, Status
from sim.providers.rules import NOT_OFFERED, Epoch, Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace

__all__ = ["Meter", "World"]


@dataclass(slots=True)
class Meter:
    """The ledger's columns while they are written: lists, since SimPy's world is plain Python."""

    n: int
    model: list[int] = field(init=False)
    mode: list[int] = field(init=False)
    prompt: list[int] = field(init=False)
    cached: list[int] = field(init=False)
    source: list[int] = field(init=False)
    arrived: list[int] = field(init=False)
    sent: list[int] = field(init=False)
    done: list[int] = field(init=False)
    attempts: list[int] = field(init=False)
    status: list[int] = field(init=False)
    job: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.model, self.prompt, self.cached = [0] * self.n, [0] * self.n, [0] * self.n
        self.mode, self.source = [int(Mode.STANDARD)] * self.n, [int(Source.NONE)] * self.n
        self.arrived, self.sent, self.done = [NEVER] * self.n, [NEVER] * self.n, [NEVER] * self.n
        self.attempts, self.status, self.job = [0] * self.n, [int(Status.PENDING)] * self.n, [NEVER] * self.n


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
        self.depth = trace.depth.tolist()
        self.cut, self.above = cuts(trace, plan, rules)
        self._epoch = 0

    def epoch(self) -> Epoch:
        """Return the epoch of the present instant; the clock never goes back."""
        epochs = self.rules.epochs
        while self._epoch + 1 < len(epochs) and epochs[self._epoch + 1].since <= self.clock.now:
            self._epoch += 1
        return epochs[self._epoch]

    def cache_tokens(self, node: int) -> int:
        """Return the tokens that a cache of the context holds, padding included; 0 = it may not be cached now."""
        minimum, depth = self.epoch().explicit_minimum, int(self.depth[node])
        if minimum == NOT_OFFERED or self.plan.cache is None:
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
