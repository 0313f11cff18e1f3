"""priority: every call in the priority tier, dearer and before all others; what its limits do not hold is standard."""

from typing import Literal

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, Implicit, NoParams, Plan, View
from sim.strategies.options import Setting, StrategySpec


def decide(_params: NoParams, _view: View) -> Decision:
    """Send it to the priority tier."""
    return Decision(mode=Mode.PRIORITY, cache=CacheUse.NONE)


class Spec(StrategySpec):
    """``[strategies.NAME] kind = "priority"``."""

    kind: Literal["priority"] = "priority"

    def plan(self, name: str, _clock: Setting) -> Plan:
        """Return the runnable plan."""
        return Plan(name, self.kind, decide, NoParams(), Implicit.AS_SERVICE)
