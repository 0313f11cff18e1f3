"""routed: callers with little patience are served at once with a cache, the others by batch under a deadline guard."""

from typing import Literal, NamedTuple

from sim.strategies.decision import CacheUse, Decision, Implicit, Plan, View
from sim.strategies.options import BatchOptions, CacheOptions, Setting
from sim.units import HOUR, MINUTE, Duration, PositiveDuration


class Params(NamedTuple):
    """Integers of :func:`decide`."""

    threshold: int  # ms of patience from which on a request goes to batch
    batch_cache: int  # 1 = batched requests read a cache that is alive; 2 = and create it; 0 = neither
    sightings: int  # the request of a context, counted from 1, that creates its cache


def decide(params: Params, view: View) -> Decision:
    """Route by patience; a cache is read wherever the context has one."""
    batch = 1 if view.patience >= params.threshold else 0
    if view.context == 0:
        return Decision(batch=batch, cache=CacheUse.NONE)
    use = CacheUse.CREATE if view.seen + 1 >= params.sightings else CacheUse.READ
    if batch == 1 and params.batch_cache < use:
        return Decision(batch=batch, cache=params.batch_cache)
    return Decision(batch=batch, cache=use)


class Spec(CacheOptions, BatchOptions):
    """``[strategies.NAME] kind = "routed"``."""

    kind: Literal["routed"] = "routed"
    threshold: PositiveDuration = HOUR
    guard: Duration = 5 * MINUTE  # a batched request that is still open so long before its deadline is sent at once
    batch_cache: Literal["none", "read", "create"] = "read"

    def plan(self, name: str, clock: Setting) -> Plan:
        """Return the runnable plan."""
        cache, batch = self.cache_plan(clock), self.batch_plan(clock, guard=self.guard)
        use = {"none": CacheUse.NONE, "read": CacheUse.READ, "create": CacheUse.CREATE}[self.batch_cache]
        params = Params(self.threshold, use, cache.sightings)
        return Plan(name, self.kind, decide, params, Implicit.AS_SERVICE, cache=cache, batch=batch)
