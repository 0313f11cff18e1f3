"""Which contexts were asked for and could not be cached, because the service takes none of their size."""

import numpy as np

from sim.providers.rules import NOT_OFFERED, UNLIMITED, Epoch, Rules
from sim.strategies.decision import NEVER, CachePlan, Plan
from sim.trace import Ints, Trace

__all__ = ["refused", "refused_contexts"]

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


def refused_contexts(trace: Trace, arrived: Ints, plan: Plan, rules: Rules) -> int:
    """Return how many contexts were asked for at least once while no explicit cache could hold them.

    See :func:`refused`, of which it is the count.
    """
    return int(np.count_nonzero(refused(trace, trace.leaf, arrived, plan, rules)))


def refused(tree: Trace, leaf: Ints, arrived: Ints, plan: Plan, rules: Rules) -> Mask:
    """Return the (k,) mask of the contexts that requests asked for while no explicit cache could hold them.

    A context is asked for with every prompt that contains it, by the rules in force when that arrives. It is refused
    below the minimum, unless the strategy fills it up, and above the maximum. Contexts that the strategy may not cache
    do not count, nor does a time at which the model has no explicit caches at all.

    Parameters
    ----------
    tree
        A trace, of which only the k nodes count.
    leaf
        (n,) the node that a prompt starts with, -1 = none.
    arrived
        (n,) ms, -1 = never asked: the ledger's, since followers have no arrival of their own in the trace.
    plan, rules
        The strategy and the service.
    """
    cache = plan.cache
    found = np.zeros(len(tree.depth), dtype=np.bool_)
    if cache is None or not len(tree.depth):
        return found
    may = _may_cache(tree, cache)
    ends = [*(epoch.since for epoch in rules.epochs[1:]), np.iinfo(np.int64).max]
    for epoch, end in zip(rules.epochs, ends, strict=True):
        unfit = may & _unfit(tree.depth, cache, epoch)
        if unfit.any():
            found |= unfit & _asked(tree, leaf[(arrived >= epoch.since) & (arrived < end)])
    return found


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


def _asked(tree: Trace, leaf: Ints) -> Mask:
    """Return the (k,) mask of the nodes on the way from the root to any of some leaves."""
    asked = np.zeros(len(tree.depth), dtype=np.bool_)
    nodes = np.unique(leaf[leaf >= 0])
    while len(nodes):
        asked[nodes] = True
        above = np.unique(tree.parent[nodes])
        nodes = above[(above >= 0) & ~asked[above]]
    return asked
