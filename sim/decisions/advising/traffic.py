"""What a scenario's traffic is like, stream by stream: the figures that the guide's questions are asked of."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sim.billing.break_evens import rate_always_on
from sim.billing.tariff import Tariff
from sim.errors import PriceMissing
from sim.experiments.large import seen
from sim.experiments.pairs import Pair, pairs_of, recorded_of
from sim.providers.rules import NOT_OFFERED, UNLIMITED, Epoch
from sim.scenario import Scenario
from sim.trace import Ints, Trace
from sim.units import HOUR
from sim.workload.contexts import chain
from sim.workload.rules import expected_requests
from sim.workload.spec import StreamSpec

__all__ = ["Traffic", "traffic_of"]

_EVERYTHING = ""  # the stream of a replay


class Traffic(NamedTuple):
    """One stream on one model. Counts of requests are expected, those of contexts are of the first replication."""

    stream: str
    requests: float
    shared: float  # share of its requests that start with a context
    hidden: bool  # whether variable text stands in front of one
    shortest: int  # tokens of the contexts in use, 0 = none
    longest: int
    minimum: int | None  # tokens of an explicit cache at least; None: the model has none
    cacheable: float  # share of its requests whose context an explicit cache takes
    contexts: int  # in use, each version of one for itself
    uses: float  # of a context
    rate: float | None  # uses of a context an hour, while its requests come; None: all come at once
    pays_from: float | None  # uses an hour from which a cache that never ends pays, in closed form
    patience_ms: int
    session: bool  # whether its requests are turns of conversations
    replaced_ms: int | None  # after so long other contents take the place of a context
    batched: bool  # whether the model is offered in batch


class _Part(NamedTuple):
    """The requests of one stream that were seen."""

    arrive: Ints  # (n,) ms
    cut: Ints  # (n,) the context node that its prompt starts with, -1 = none
    fresh: float  # mean tokens that are shared with nobody


def traffic_of(scenario: Scenario, model: str, seed: int) -> list[Traffic]:
    """Return the streams of a scenario that have requests, as they are without what its strategies set."""
    recorded = recorded_of(scenario)
    pair = next(pair for pair in pairs_of(scenario, recorded) if pair.model == model)
    plain = pair._replace(arm=pair.arm._replace(spec=scenario.spec))
    trace = next(iter(seen(plain, recorded, seed, 0)))
    if recorded is not None:
        patience = scenario.spec.replay.patience if scenario.spec.replay else 0
        return [_described(scenario, plain, trace, 0, _EVERYTHING, float(recorded.requests), patience)]
    return list(_streams(scenario, plain, trace))


def _streams(scenario: Scenario, pair: Pair, trace: Trace) -> Iterator[Traffic]:
    workload = scenario.spec.workload
    for number, (name, stream) in enumerate(workload.streams.items()):
        expected = expected_requests(workload.model_copy(update={"streams": {name: stream}}))
        if expected > 0:
            told = _described(scenario, pair, trace, number, name, expected, stream.patience)
            replaced = _replaced(scenario, stream)
            lived = None if told.rate is None or replaced is None else told.uses / replaced * HOUR
            yield told._replace(
                hidden=stream.context is not None and stream.shares is None,
                rate=told.rate if lived is None else max(lived, told.rate or 0.0),
                session=stream.session is not None,
                replaced_ms=replaced,
            )


def _replaced(scenario: Scenario, stream: StreamSpec) -> int | None:
    if stream.context is None:
        return None
    contexts = scenario.spec.contexts
    periods = [contexts[name].replaced_every for name in chain(contexts, stream.context)]
    return min((period for period in periods if period is not None), default=None)


def _described(
    scenario: Scenario, pair: Pair, trace: Trace, number: int, name: str, requests: float, patience: int
) -> Traffic:
    part, epoch = _part(trace, number), pair.rules.epochs[0]
    own = part.cut[part.cut >= 0]
    contexts = len(np.unique(own))
    depth = trace.depth[own] if len(own) else np.zeros(0, np.int64)
    shared = len(own) / len(part.cut) if len(part.cut) else 0.0
    uses = requests * shared / contexts if contexts else 0.0
    hours = (int(part.arrive.max()) - int(part.arrive.min())) / HOUR if len(part.arrive) else 0.0
    return Traffic(
        stream=name,
        requests=requests,
        shared=shared,
        hidden=False,
        shortest=int(depth.min(initial=np.iinfo(np.int64).max)) if contexts else 0,
        longest=int(depth.max(initial=0)),
        minimum=None if epoch.explicit_minimum == NOT_OFFERED else epoch.explicit_minimum,
        cacheable=float(np.count_nonzero(_fits(depth, epoch)) / len(part.cut)) if len(part.cut) else 0.0,
        contexts=contexts,
        uses=uses,
        rate=uses / hours if hours else None,
        pays_from=_pays_from(scenario, pair.model, int(np.median(depth)) if len(own) else 0, int(part.fresh)),
        patience_ms=patience,
        session=bool(np.any(trace.follows[trace.stream == number] >= 0)),
        replaced_ms=None,
        batched=scenario.book.facts[pair.rules.models[0]].batch,
    )


def _part(trace: Trace, number: int) -> _Part:
    mine = trace.stream == number
    fresh = trace.fresh[mine]
    return _Part(trace.arrive[mine], _cut(trace, trace.leaf[mine]), float(fresh.mean()) if len(fresh) else 0.0)


def _cut(trace: Trace, leaf: Ints) -> Ints:
    """Return the (n,) nearest contexts on the way from leaves to the root, -1 = none."""
    if not len(trace.context):
        return np.full_like(leaf, -1)
    node = leaf.copy()
    while np.any(lost := (node >= 0) & (trace.context[node] == 0)):
        node[lost] = trace.parent[node[lost]]
    return node


def _fits(depth: Ints, epoch: Epoch) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if epoch.explicit_minimum == NOT_OFFERED:
        return np.zeros(len(depth), dtype=np.bool_)
    above = (epoch.explicit_maximum != UNLIMITED) & (depth > epoch.explicit_maximum)
    return np.asarray((depth >= epoch.explicit_minimum) & ~above)


def _pays_from(scenario: Scenario, model: str, tokens: int, fresh: int) -> float | None:
    """Return the break-even rate of a cache that never ends, by the prices at the start; None where none pays."""
    start, terms = scenario.spec.start_ms, scenario.arms[0].terms  # of which only the free tier matters here
    try:
        found = rate_always_on(Tariff.of(scenario.book, model, start, terms, tokens=tokens, fresh=fresh))
    except PriceMissing:
        return None
    return None if found is None or not tokens else float(found)
