"""Which contexts of the prefix tree a plan may cache: found once, before the first event."""

from typing import Any

import numpy as np

from sim.engines.fast.compile import loop
from sim.providers.rules import NOT_OFFERED, Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Ints, Trace

__all__ = ["cacheable", "cuts"]


def cuts(trace: Trace, plan: Plan, rules: Rules) -> tuple[Ints, Ints]:
    """Return the contexts that a plan may cache: the deepest of each request's prompt, and the next above each node.

    The (n,) and (k,) columns hold -1 where there is none.
    """
    at_or_above, above = cacheable(trace, plan, rules)
    if not len(at_or_above):
        return np.full(trace.requests, NEVER), above
    return np.where(trace.leaf >= 0, at_or_above[np.maximum(trace.leaf, 0)], NEVER), above


def cacheable(trace: Trace, plan: Plan, rules: Rules) -> tuple[Ints, Ints]:
    """Return the (k,) next contexts that a plan may cache: at or above each node, and above it; -1 = none.

    A context counts if it is long enough in some epoch.
    """
    k = len(trace.parent)
    offered = [epoch.explicit_minimum for epoch in rules.epochs if epoch.explicit_minimum != NOT_OFFERED]
    if plan.cache is None or not offered or not k:
        return np.full(k, NEVER), np.full(k, NEVER)
    least = min(offered)
    if plan.cache.pad_from != NEVER:
        least = min(least, plan.cache.pad_from)
    bit = np.maximum(trace.context - 1, 0)
    allowed = (plan.cache.populations >> bit) & 1 if plan.cache.populations >= 0 else np.ones(k, dtype=np.int64)
    may = (trace.context > 0) & (allowed == 1) & (trace.depth >= least) & (trace.depth > 0)
    at_or_above, above = np.full(k, NEVER), np.full(k, NEVER)
    _look_up(trace.parent, may, at_or_above, above)
    return at_or_above, above


@loop
def _look_up(parent: Ints, may: Any, at_or_above: Ints, above: Ints) -> None:
    """Fill in the next context above each node; parents come first."""
    for node in range(len(parent)):
        if parent[node] >= 0:
            above[node] = at_or_above[parent[node]]
        at_or_above[node] = node if may[node] else above[node]
