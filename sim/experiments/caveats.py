"""What a reader must know before trusting the figures of a run, and what makes a run not worth its figures."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from sim.errors import InputError
from sim.experiments.pairs import Pair, horizon_ms
from sim.providers.rules import NOT_OFFERED
from sim.scenario import Scenario
from sim.strategies.decision import NEVER
from sim.trace import Trace
from sim.traces import Recorded

__all__ = ["assert_fits", "caveats", "longest_context"]


def caveats(
    scenario: Scenario,
    pairs: Sequence[Pair],
    recorded: Recorded | None,
    longest: Mapping[int, int],
    created: Collection[tuple[str, str]],
) -> tuple[str, ...]:
    """Return the warnings of a run.

    ``longest`` is :func:`longest_context` by workload, over all replications; ``created`` are the (strategy, model)
    pairs that created an explicit cache in any.
    """
    found = [str(problem) for problem in scenario.book.warnings]
    until = max(arm.spec.start_ms + horizon_ms(arm.spec, recorded) for arm in scenario.arms)
    if (stale := scenario.book.stale(until)) is not None:
        found.append(stale)
    if recorded is not None:
        found += recorded.notes
    if scenario.spec.close == "cut":
        found.append("the run was cut at its horizon: what is pending is unbilled, so strategies are not ranked")
    for pair in pairs:
        # not with `contexts = []`, nor where nothing was asked for at all
        wanted = pair.plan.cache is not None and pair.plan.cache.populations != 0 and pair.workload in longest
        if wanted and (why := _never_cached(pair, longest[pair.workload])):
            found.append(f"{pair.arm.name} on {pair.model} caches nothing: {why}")
        elif wanted and (pair.arm.name, pair.model) not in created:
            found.append(f"{pair.arm.name} on {pair.model} created no cache: no request was due to create one")
    return tuple(dict.fromkeys(found))


def longest_context(trace: Trace) -> int:
    """Return the tokens of the longest context at which an explicit cache may be cut, 0 = there is none."""
    return int(trace.depth[trace.context > 0].max(initial=0))


def _never_cached(pair: Pair, longest: int) -> str:
    """Return why no explicit cache can be created for a pair, or nothing."""
    minimums = [epoch.explicit_minimum for epoch in pair.rules.epochs if epoch.explicit_minimum != NOT_OFFERED]
    padded = pair.plan.cache is not None and pair.plan.cache.pad_from != NEVER
    if not longest:
        return "no context is shared"
    if padded or longest >= min(minimums, default=0):
        return ""
    return f"the longest context has {longest:,} tokens, and the least that can be cached is {min(minimums):,}"


def assert_fits(scenario: Scenario, pair: Pair, trace: Trace) -> None:
    """Refuse prompts that the service would refuse: above the context window of a model that serves them."""
    window = min(scenario.book.facts[model].context_window.tokens for model in pair.rules.models)
    prompt = trace.prompt
    over = np.flatnonzero(prompt > window)
    if len(over):
        stream = trace.streams[trace.stream[over[0]]]
        what = f"{len(over):,} of {trace.requests:,} prompts are above the context window of {pair.model}"
        allowed = f"at most {window:,} tokens; cut the size laws with at_most"
        raise InputError([scenario.document.problem(("streams", stream), what, allowed, int(prompt.max()))])
