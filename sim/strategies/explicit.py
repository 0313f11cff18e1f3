"""explicit: a cache per context, created by the caller and paid by the hour; every request at once."""

from typing import Literal, NamedTuple

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, Implicit, Plan, View
from sim.strategies.options import CacheOptions, Setting


class Params(NamedTuple):
    """Integers of :func:`decide`."""

    sightings: int  # the request of a context, counted from 1, that creates its cache


def decide(params: Params, view: View) -> Decision:
    """Read the context's cache, and create it from the k-th sighting on."""
    if view.context == 0:
        return Decision(mode=Mode.STANDARD, cache=CacheUse.NONE)
    due = view.seen + 1 >= params.sightings
    return Decision(mode=Mode.STANDARD, cache=CacheUse.CREATE if due else CacheUse.READ)


class Spec(CacheOptions):
    """``[strategies.NAME] kind = "explicit"``."""

    kind: Literal["explicit"] = "explicit"

    def plan(self, name: str, clock: Setting) -> Plan:
        """Return the runnable plan."""
        cache = self.cache_plan(clock)
        return Plan(name, self.kind, decide, Params(cache.sightings), Implicit.AS_SERVICE, cache=cache)
