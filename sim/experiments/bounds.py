"""Which contexts were asked for and could not be cached, because the service takes none of their size."""

import numpy as np

from sim.providers.rules import NOT_OFFERED, UNLIMITED, Epoch, Rules
from sim.strategies.decision import NEVER, CachePlan, Plan
from sim.trace import Ints, Trace

__all__ = ["refused_contexts"]

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def refused_contexts(trace: Trace, arrived: Ints, plan: Plan, rules: Rules) -> int:
    """Return how many contexts were asked for at least once while no explicit cache could hold them.

    A context is asked for with every prompt that contains it, by the rules in force when that arrives. It is refused
    below the minimum, unless the strategy fills it up, and above the maximum. Contexts that the strategy may not cache
    do not count, nor does a time at which the model has no explicit caches at all.

    Parameters
    ----------
    trace, plan, rules
        The workload, the strategy and the service.
    arrived
        (n,) ms, -1 = never asked: the ledger's, since followers have no arrival of their own in the trace.
    """
    cache = plan.cache
    if cache is None or not len(trace.depth):
        return 0
    may = _may_cache(trace, cache)
    refused = np.zeros(len(trace.depth), dtype=np.bool_)
    ends = [*(epoch.since for epoch in rules.epochs[1:]), np.iinfo(np.int64).max]
    for epoch, end in zip(rules.epochs, ends, strict=True):
        unfit = may & _unfit(trace.depth, cache, epoch)
        if unfit.any():
            refused |= unfit & _asked(trace, (arrived >= epoch.since) & (arrived < end))
    return int(np.count_nonzero(refused))


def _may_cache(trace: Trace, cache: CachePlan) -> Mask:
    """Return the (k,) mask of the nodes that a plan may cache, whatever their size."""
    marks = range(int(trace.context.max(initial=0)))
    allowed = np.array([False, *(cache.populations >> mark & 1 for mark in marks)], dtype=np.bool_)
    return np.asarray(allowed[trace.context] & (trace.depth > 0))


def _unfit(depth: Ints, cache: CachePlan, epoch: Epoch) -> Mask:
    if epoch.explicit_minimum == NOT_OFFERED:
        return np.zeros(len(depth), dtype=np.bool_)
    least = epoch.explicit_minimum if cache.pad_from == NEVER else min(cache.pad_from, epoch.explicit_minimum)
    above = (epoch.explicit_maximum != UNLIMITED) & (depth > epoch.explicit_maximum)
    return np.asarray((depth < least) | above)


def _asked(trace: Trace, requests: Mask) -> Mask:
    """Return the (k,) mask of the nodes on the way from the root to the leaf of any of some requests."""
    asked = np.zeros(len(trace.depth), dtype=np.bool_)
    nodes = np.unique(trace.leaf[requests & (trace.leaf >= 0)])
    while len(nodes):
        asked[nodes] = True
        above = np.unique(trace.parent[nodes])
        nodes = above[(above >= 0) & ~asked[above]]
    return asked
