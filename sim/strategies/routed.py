"""routed: by patience the priority tier, standard calls, flex, or batch under a deadline guard; with a cache."""

from itertools import pairwise
from typing import Literal, NamedTuple, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, FlexPlan, Implicit, Plan, View
from sim.strategies.options import BatchOptions, CacheOptions, Setting
from sim.units import HOUR, MINUTE, Duration, PositiveDuration, duration

_NO_PATIENCE = -1
_ALL_PATIENCE = 2**62
# plain integers, since one variable below holds now a mode and now a parameter
_STANDARD, _BATCH, _FLEX, _PRIORITY = int(Mode.STANDARD), int(Mode.BATCH), int(Mode.FLEX), int(Mode.PRIORITY)
_NONE, _READ, _CREATE = int(CacheUse.NONE), int(CacheUse.READ), int(CacheUse.CREATE)


class Params(NamedTuple):
    """Integers of :func:`decide`."""

    threshold: int  # ms of patience from which on a request goes to batch
    batch_cache: int  # 1 = batched requests read a cache that is alive; 2 = and create it; 0 = neither
    sightings: int  # the request of a context, counted from 1, that creates its cache
    flex_from: int = _ALL_PATIENCE  # ms of patience from which on, and below the threshold, it goes to the flex tier
    priority_to: int = _NO_PATIENCE  # ms of patience up to which it goes to the priority tier


def decide(params: Params, view: View) -> Decision:
    """Route by patience; a cache is read wherever the context has one."""
    mode = _STANDARD
    if view.patience >= params.threshold:
        mode = _BATCH
    elif view.patience >= params.flex_from:
        mode = _FLEX
    elif view.patience <= params.priority_to:
        mode = _PRIORITY
    if view.context == 0:
        return Decision(mode, _NONE)
    use = _CREATE if view.seen + 1 >= params.sightings else _READ
    if mode == _BATCH and params.batch_cache < use:
        return Decision(mode, params.batch_cache)
    return Decision(mode, use)


class Spec(CacheOptions, BatchOptions):
    """``[strategies.NAME] kind = "routed"``; without ``flex`` and ``priority`` it knows standard calls and batch."""

    kind: Literal["routed"] = "routed"
    threshold: PositiveDuration = HOUR
    guard: Duration = 5 * MINUTE  # what is still open in batch or flex so long before its deadline is sent at once
    batch_cache: Literal["none", "read", "create"] = "read"
    flex: PositiveDuration | None = None  # patience from which a request goes to the flex tier
    priority: PositiveDuration | None = None  # patience up to which a request goes to the priority tier

    @model_validator(mode="after")
    def _every_way_is_taken(self) -> Self:
        rising = {"priority": self.priority, "flex": self.flex, "threshold": self.threshold}
        given = [(key, patience) for key, patience in rising.items() if patience is not None]
        for (low, below), (high, above) in pairwise(given):
            if below >= above:
                what = f"{low} {duration(below)} must be shorter than {high} {duration(above)}: a patience goes one way"
                raise PydanticCustomError("ways", "{what}", {"what": what})
        return self

    def plan(self, name: str, clock: Setting) -> Plan:
        """Return the runnable plan."""
        cache, batch = self.cache_plan(clock), self.batch_plan(clock, guard=self.guard)
        use = {"none": CacheUse.NONE, "read": CacheUse.READ, "create": CacheUse.CREATE}[self.batch_cache]
        params = Params(
            self.threshold,
            use,
            cache.sightings,
            _ALL_PATIENCE if self.flex is None else self.flex,
            _NO_PATIENCE if self.priority is None else self.priority,
        )
        flex = None if self.flex is None else FlexPlan(guard=self.guard)
        return Plan(name, self.kind, decide, params, Implicit.AS_SERVICE, cache=cache, batch=batch, flex=flex)
