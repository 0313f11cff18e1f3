"""flex: calls of the flex tier, at half the price and with minutes of queueing; what it sheds goes to standard."""

from typing import Literal

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, Implicit, NoParams, Plan, View
from sim.strategies.options import FlexOptions, Setting


def decide(_params: NoParams, _view: View) -> Decision:
    """Send it to the flex tier."""
    return Decision(mode=Mode.FLEX, cache=CacheUse.NONE)


class Spec(FlexOptions):
    """``[strategies.NAME] kind = "flex"``."""

    kind: Literal["flex"] = "flex"

    def plan(self, name: str, _clock: Setting) -> Plan:
        """Return the runnable plan."""
        return Plan(name, self.kind, decide, NoParams(), Implicit.AS_SERVICE, flex=self.flex_plan())
