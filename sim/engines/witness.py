"""The reference as a witness of the compiled engine: a share of what that ran is run again, and must be equal."""

import numpy as np

from sim.engines.choice import Engine, engine_of
from sim.engines.physics import Physics, first_requests
from sim.errors import EngineError
from sim.ledger import Ledger
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace

__all__ = ["EnginesDiffer", "assert_equal", "differences", "first_requests"]

MOST = 20_000  # requests of an item that are run again
_SHOWN = 40  # requests of the smallest trace that are printed


class EnginesDiffer(EngineError):
    """The compiled engine differs from the reference: one of them has a defect."""


def differences(one: Ledger, other: Ledger) -> list[str]:
    """Return the columns in which two ledgers differ."""
    names = [name for name in Ledger._fields if name not in ("models", "start_ms")]
    return [name for name in names if not np.array_equal(getattr(one, name), getattr(other, name))]


def assert_equal(
    trace: Trace, plan: Plan, rules: Rules, physics: Physics, *, stop: int = NEVER, fast: Engine | None = None
) -> None:
    """Run the first requests of an item on both engines; raise :class:`EnginesDiffer` with the smallest that differs.

    The smallest part of it is sought by bisection over the number of first requests.
    """
    compiled, reference = fast or engine_of("fast"), engine_of("reference")

    def apart(count: int) -> list[str]:
        part, luck = first_requests(trace, physics, count)
        return differences(*(run(part, plan, rules, luck, stop=stop) for run in (compiled, reference)))

    most = min(MOST, trace.requests)
    if not apart(most):
        return
    low, high = 0, most  # equal at low, apart at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if apart(middle) else (middle, high)
    part, _ = first_requests(trace, physics, high)
    raise EnginesDiffer(
        f"the compiled engine differs from the reference under {plan.name} in {', '.join(apart(high))}, "
        f"from its {high:,} first requests on:\n{_table(part)}"
    )


def _table(trace: Trace) -> str:
    """Return the last requests of a trace as lines."""
    names = ("arrive", "leaf", "fresh", "output", "patience", "follows", "think")
    first = max(0, trace.requests - _SHOWN)
    rows = zip(*(getattr(trace, name)[first:].tolist() for name in names), strict=True)
    head = " ".join(("request", *names))
    return "\n".join([head, *(" ".join(map(str, (first + i, *row))) for i, row in enumerate(rows))])
