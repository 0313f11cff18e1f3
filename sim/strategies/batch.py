"""batch: every request waits to be collected into a job of the Batch API."""

from typing import Literal

from sim.ledger import Mode
from sim.strategies.decision import CacheUse, Decision, Implicit, NoParams, Plan, View
from sim.strategies.options import BatchOptions, Setting


def decide(_params: NoParams, _view: View) -> Decision:
    """Collect it."""
    return Decision(mode=Mode.BATCH, cache=CacheUse.NONE)


class Spec(BatchOptions):
    """``[strategies.NAME] kind = "batch"``."""

    kind: Literal["batch"] = "batch"

    def plan(self, name: str, clock: Setting) -> Plan:
        """Return the runnable plan."""
        return Plan(name, self.kind, decide, NoParams(), Implicit.AS_SERVICE, batch=self.batch_plan(clock))
