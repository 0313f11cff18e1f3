"""hybrid: an explicit cache per context, and the questions on it in batch jobs."""

from typing import Literal, NamedTuple

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, Implicit, Plan, View
from sim.strategies.options import BatchOptions, CacheOptions, Renew, Renewal, Setting
from sim.units import MINUTE


class Params(NamedTuple):
    """Integers of :func:`decide`."""

    sightings: int  # the request of a context, counted from 1, from which on its job gets a cache


def decide(params: Params, view: View) -> Decision:
    """Collect it, with the cache of its context from the k-th sighting on."""
    if view.context == 0:
        return Decision(mode=Mode.BATCH, cache=CacheUse.NONE)
    due = view.seen + 1 >= params.sightings
    return Decision(mode=Mode.BATCH, cache=CacheUse.CREATE if due else CacheUse.READ)


class Spec(CacheOptions, BatchOptions):
    """``[strategies.NAME] kind = "hybrid"``; its caches are renewed while a job that needs them is pending."""

    kind: Literal["hybrid"] = "hybrid"
    renew: Renew = Renewal(margin=5 * MINUTE)

    def plan(self, name: str, clock: Setting) -> Plan:
        """Return the runnable plan."""
        cache, batch = self.cache_plan(clock), self.batch_plan(clock)
        return Plan(name, self.kind, decide, Params(cache.sightings), Implicit.AS_SERVICE, cache=cache, batch=batch)
