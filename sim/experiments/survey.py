"""A look at every realisation before the first is simulated: what is too large, and what a reader must be told."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np

from sim.engines.laws.quota import SCALE
from sim.errors import InputError
from sim.experiments.pairs import Pair
from sim.ledger import Mode
from sim.providers.rules import UNLIMITED, Epoch
from sim.scenario import Scenario
from sim.strategies.decision import Plan
from sim.trace import Ints, Trace

__all__ = ["Excess", "Survey", "merged", "summed", "survey"]

T = TypeVar("T")

Mask = np.ndarray[tuple[int], np.dtype[np.bool_]]


class Excess(NamedTuple):
    """Requests of a pair that are never let through, because a limit holds none of their size."""

    limit: str  # in words
    batch: bool  # whether it is one of the Batch API
    most: int  # what the limit holds
    requests: int


class Survey(NamedTuple):
    """What all realisations together hold; by workload, but for what is too large."""

    requests: Mapping[int, int]
    contexts: Mapping[int, tuple[int, int]]  # tokens of the shortest and longest one that may be cached; none: left out
    thinking: Mapping[int, tuple[str, ...]]  # streams that tell their thinking apart
    excess: Mapping[tuple[str, str], tuple[Excess, ...]]  # by (strategy, model)
    overspent: Mapping[tuple[str, str], int]  # the same: calls that cost more than may be spent in ten minutes

    def of(self, pair: Pair, workload: int) -> "Survey":
        """Return what is told of one pair alone, its workload under another number."""
        name = pair.arm.name, pair.model

        def of_workload(part: Mapping[int, T]) -> dict[int, T]:
            return {workload: part[pair.workload]} if pair.workload in part else {}

        def of_pair(part: Mapping[tuple[str, str], T]) -> dict[tuple[str, str], T]:
            return {name: part[name]} if name in part else {}

        return Survey(
            *(of_workload(self.requests), of_workload(self.contexts), of_workload(self.thinking)),
            *(of_pair(self.excess), of_pair(self.overspent)),
        )


def survey(scenario: Scenario, realisations: Iterable[tuple[Trace, list[Pair]]]) -> Survey:
    """Look at traces, each with the pairs that meet it; raise :class:`InputError` for a prompt that is never served.

    Drawing a workload takes a small part of the time of simulating it, so a prompt too long ends no long run late.
    """
    return summed(_looked_at(scenario, trace, sharing) for trace, sharing in realisations)


def _looked_at(scenario: Scenario, trace: Trace, sharing: list[Pair]) -> Survey:
    """Return what one trace holds for the pairs that meet it."""
    workload, tokens = sharing[0].workload, trace.depth[trace.context > 0]
    apart = np.unique(trace.stream[trace.thinking > 0]).tolist()
    for pair in sharing:
        _assert_fits(scenario, pair, trace)
    names = [(pair.arm.name, pair.model) for pair in sharing]
    return Survey(
        requests={workload: trace.requests},
        contexts={workload: (int(tokens.min()), int(tokens.max()))} if len(tokens) else {},
        thinking={workload: tuple(trace.streams[number] for number in apart)},
        excess={name: tuple(_excess(pair, trace)) for name, pair in zip(names, sharing, strict=True)},
        overspent={name: _overspent(pair, trace) for name, pair in zip(names, sharing, strict=True)},
    )


def merged(found: Iterable[Survey]) -> Survey:
    """Return the surveys of several pairs as one."""
    parts: list[dict[Any, Any]] = [{} for _ in Survey._fields]
    for one in found:
        for whole, name in zip(parts, Survey._fields, strict=True):
            whole.update(getattr(one, name))
    return Survey(*parts)


def summed(found: Iterable[Survey]) -> Survey:
    """Return what several replications hold together, given what each does: as one look at all of them finds it."""
    requests: dict[int, int] = {}
    contexts: dict[int, tuple[int, int]] = {}
    thinking: dict[int, dict[str, None]] = {}
    excess: dict[tuple[str, str], list[Excess]] = {}
    overspent: dict[tuple[str, str], int] = {}
    for one in found:
        for workload, count in one.requests.items():
            requests[workload] = requests.get(workload, 0) + count
        for workload, (shortest, longest) in one.contexts.items():
            low, high = contexts.get(workload, (shortest, longest))
            contexts[workload] = min(low, shortest), max(high, longest)
        for workload, names in one.thinking.items():
            thinking.setdefault(workload, {}).update(dict.fromkeys(names))
        for pair, some in one.excess.items():
            excess.setdefault(pair, []).extend(some)
        for pair, calls in one.overspent.items():
            overspent[pair] = overspent.get(pair, 0) + calls
    return Survey(
        requests=requests,
        contexts=contexts,
        thinking={workload: tuple(names) for workload, names in thinking.items()},
        excess={pair: tuple(_summed(some)) for pair, some in excess.items()},
        overspent=overspent,
    )


def _assert_fits(scenario: Scenario, pair: Pair, trace: Trace) -> None:
    """Refuse prompts that the service would refuse: above the context window of a model that serves them."""
    window = min(scenario.book.facts[model].context_window.tokens for model in pair.rules.models)
    prompt = trace.prompt
    over = np.flatnonzero(prompt > window)
    if len(over):
        stream = trace.streams[trace.stream[over[0]]]
        what = f"{len(over):,} of {trace.requests:,} prompts are above the context window of {pair.model}"
        allowed = f"at most {window:,} tokens; cut the size laws with at_most"
        raise InputError([scenario.document.problem(("streams", stream), what, allowed, int(prompt.max()))])


def _excess(pair: Pair, trace: Trace) -> Iterator[Excess]:
    """Yield how many requests each limit never holds, of those in force at their arrival."""
    epochs, rules, batch = pair.rules.epochs, pair.rules.batch, pair.plan.batch
    inline = batch is not None and batch.inline == 1
    in_job = rules.inline_tokens if inline else rules.job_tokens
    for limit, of_batch, size, holds in (
        ("requests a minute", False, 1, [_at_once(epoch, epoch.quota.requests) for epoch in epochs]),
        ("tokens a minute", False, trace.prompt, [_at_once(epoch, epoch.quota.tokens) for epoch in epochs]),
        ("enqueued tokens", True, trace.prompt, [epoch.enqueued_tokens for epoch in epochs]),
        (f"tokens in {'an inline job' if inline else 'a job'}", True, trace.prompt, [in_job] * len(epochs)),
    ):
        if set(holds) == {UNLIMITED}:
            continue
        most, batched = np.array(holds, dtype=np.int64)[_epochs(pair, trace)], _batched(pair.plan, trace)
        over = (batched == of_batch) & (most != UNLIMITED) & (size > most)
        if np.any(over):
            yield Excess(limit, of_batch, int(most[over].min()), int(np.count_nonzero(over)))


def _overspent(pair: Pair, trace: Trace) -> int:
    """Return how many calls weigh more than the spend limit, in the cheapest tier that they are tried in."""
    if all(epoch.quota.spend == UNLIMITED for epoch in pair.rules.epochs):
        return 0
    mode = Mode.FLEX if pair.plan.flex else Mode.PRIORITY if pair.plan.kind == "priority" else Mode.STANDARD
    at, called = _epochs(pair, trace), ~_batched(pair.plan, trace)
    count = 0
    for number, epoch in enumerate(pair.rules.epochs):
        law, here = epoch.quota.weights[mode], called & (at == number)
        if epoch.quota.spend != UNLIMITED and np.any(here):
            prompt, output = trace.prompt[here], trace.output[here]
            long = (prompt > law.long_over) & (law.long_over != UNLIMITED)
            usual = prompt * law.input + output * law.output
            weight = np.where(long, prompt * law.long_input + output * law.long_output, usual)
            count += int(np.count_nonzero(weight > epoch.quota.spend))
    return count


def _epochs(pair: Pair, trace: Trace) -> Ints:
    """Return the (n,) epochs, by number, in which requests arrive."""
    return np.searchsorted([epoch.since for epoch in pair.rules.epochs], trace.arrive, side="right") - 1


def _at_once(epoch: Epoch, limit: int) -> int:
    """Return what a limit a minute can let through at once."""
    if limit == UNLIMITED or epoch.quota.fixed_window:
        return limit
    return limit * epoch.quota.burst_ms // SCALE


def _batched(plan: Plan, trace: Trace) -> Mask:
    """Return which requests are meant for batch: all, none, or those with patience enough."""
    if plan.batch is None:
        return np.zeros(trace.requests, dtype=np.bool_)
    if plan.kind != "routed":
        return np.ones(trace.requests, dtype=np.bool_)
    return np.asarray(trace.patience >= plan.params.threshold)


def _summed(found: list[Excess]) -> Iterator[Excess]:
    """Yield one excess for each limit."""
    for limit in dict.fromkeys(one.limit for one in found):
        same = [one for one in found if one.limit == limit]
        yield Excess(limit, same[0].batch, min(one.most for one in same), sum(one.requests for one in same))
