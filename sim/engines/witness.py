"""The reference as a witness of the compiled engine: a share of what that ran is run again, and must be equal."""

import numpy as np

from sim.engines.choice import Engine, engine_of
from sim.engines.physics import Physics, first_requests
from sim.engines.shrink import some_requests, the_fewest
from sim.errors import EngineError
from sim.ledger import Ledger
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Ints, Trace

__all__ = ["WITNESSED", "EnginesDiffer", "assert_equal", "differences", "first_requests"]

WITNESSED = 100  # one cell of so many that the fast engine ran is run again on the reference
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

    The smallest part of it is sought by bisection over the number of first requests, and of these by dropping others.
    """
    compiled, reference = fast or engine_of("fast"), engine_of("reference")

    def apart(part: Trace, luck: Physics) -> list[str]:
        return differences(*(run(part, plan, rules, luck, stop=stop) for run in (compiled, reference)))

    most = min(MOST, trace.requests)
    if not apart(*first_requests(trace, physics, most)):
        return
    low, high = 0, most  # equal at low, apart at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if apart(*first_requests(trace, physics, middle)) else (middle, high)
    kept = the_fewest(trace, high, lambda some: bool(apart(*some_requests(trace, physics, some))))
    part, luck = some_requests(trace, physics, kept)
    raise EnginesDiffer(
        f"the compiled engine differs from the reference under {plan.name} in {', '.join(apart(part, luck))}, "
        f"from its {high:,} first requests on, of which {len(kept):,} show it:\n{_table(part, kept)}"
    )


def _table(trace: Trace, was: Ints) -> str:
    """Return the last requests of a trace as lines; ``was`` (n,) are their numbers in the trace that they are from."""
    names = ("arrive", "leaf", "fresh", "output", "patience", "follows", "think")
    first = max(0, trace.requests - _SHOWN)
    rows = zip(was[first:].tolist(), *(getattr(trace, name)[first:].tolist() for name in names), strict=True)
    head = " ".join(("request", "was", *names))
    return "\n".join([head, *(" ".join(map(str, (first + i, *row))) for i, row in enumerate(rows))])
