"""none: no cache of any kind, every request at once at list price; the counterfactual of the others."""

from typing import Literal

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, Implicit, NoParams, Plan, View
from sim.strategies.options import Setting, StrategySpec


def decide(_params: NoParams, _view: View) -> Decision:
    """Send it as it is."""
    return Decision(mode=Mode.STANDARD, cache=CacheUse.NONE)


class Spec(StrategySpec):
    """``[strategies.NAME] kind = "none"``."""

    kind: Literal["none"] = "none"

    def plan(self, name: str, _clock: Setting) -> Plan:
        """Return the runnable plan."""
        return Plan(name, self.kind, decide, NoParams(), Implicit.OFF)
