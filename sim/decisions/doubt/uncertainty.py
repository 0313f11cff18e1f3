"""``uncertainty``: what not knowing the inputs does to the cost of every strategy, and which of them is worth learning.

Two-level Monte Carlo. An outer loop draws all uncertain values of a scenario from their laws; an inner one runs every
strategy some times at each draw, on luck that no other draw shares, and that is the same for all strategies.

``gcsim.uncertainty/1`` has dollars a run, with ``{"mean", "lo", "hi"}`` for an estimate and its interval, and

``inputs``
    What is not known: ``name``, and the ``laws`` by path; the shares of a joint law are one input.
``results``
    Of each strategy on each model: ``cost_usd``; ``expected_usd``, quantiles of the expected cost over what is not
    known; ``unknown_share``, the part of the variance of a run's cost that comes from the inputs, the rest being luck
    (``luck_share``); ``inputs``, the part of that variance that each explains by itself; ``within_patience`` of all
    requests of all draws; ``keeps_patience``; and ``share_cheapest``, of the draws, among those that keep it.
``choice``
    The strategy that is the cheapest on average of those that keep the patience target; ``reason`` where there is none.
``learning``
    What it is worth to learn each input before choosing, most first, and with it in how many draws another strategy
    would be chosen (``switches``). The intervals hold for all inputs together. Below 0 is what noise makes of nothing.
``measure_next``
    The input worth measuring next for the choice, or null; ``why`` says it in a sentence.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np

from sim.decisions.doubt.two_levels import expected_quantiles, first_order
from sim.decisions.doubt.unknowns import Unknown, draws_of, unknowns_of
from sim.decisions.doubt.worth import Costs, Pairing, worth_of
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Ask, Found, Source
from sim.errors import InputError, Problem, wrong
from sim.experiments.estimates import LEVEL, Json
from sim.learning import LEAST
from sim.scenario import Scenario
from sim.skewed import bill_interval, hard_to_cover
from sim.stats import Interval
from sim.variance import nested

__all__ = ["MOST_DRAWS", "Question", "answer", "certain", "uncertainty", "wrong_question"]

MOST_DRAWS = 100_000
_ROUND = 100  # draws that are asked for at once: enough for all workers, few enough for the memory of their rows
_EXAMPLE = "a law in place of a value, such as --set 'load=lognormal(1, cv=0.3)'"


class Question(NamedTuple):
    """How much is drawn."""

    draws: int = 200  # of the inputs
    replications: int = 3  # at each draw


def uncertainty(
    scenario: str | Path | Scenario, *, draws: int = 200, replications: int = 3, **means: Unpack[Means]
) -> Finding:
    """Return what the uncertain values of a scenario do to costs and to the choice of a strategy.

    Raises :class:`InputError` for a scenario in which nothing is uncertain.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or from :func:`sim.load`; laws may also come by ``sets``.
    draws, replications
        Of the inputs, and of every strategy at each draw.
    means
        Of the work: see :class:`sim.decisions.finding.Means`.
    """
    base, question = read(scenario, means), Question(draws, replications)
    if problems := wrong_question(question, base):
        raise InputError(problems)
    return found("uncertainty", certain(base), question._asdict(), lambda source: answer(source, question, base), means)


def wrong_question(question: Question, base: Scenario | None) -> list[Problem]:
    """Return what is wrong with a question, and with asking it of a scenario."""
    problems = []
    if not LEAST <= question.draws <= MOST_DRAWS:
        allowed = f"a whole number from {LEAST} to {MOST_DRAWS:,}"
        problems.append(wrong("--draws", "not a number of draws", allowed, question.draws))
    if question.replications < 2:
        what = "one run a draw does not tell luck from what is not known"
        problems.append(wrong("--replications", what, "2 at least", question.replications))
    if base is not None and not base.uncertain:
        problems.append(Problem(base.document.file, 0, "", "nothing in this scenario is uncertain", _EXAMPLE))
    return problems


def certain(base: Scenario) -> Scenario:
    """Return a scenario whose laws are no cause for a warning: all of them are drawn."""
    return replace(base, uncertain=())


def answer(source: Source, question: Question, base: Scenario) -> Json:
    """Return ``gcsim.uncertainty/1`` without its head."""
    shares, sets = draws_of(base.uncertain, source.seed, question.draws)
    unknowns = unknowns_of(base.uncertain, shares, sets)
    costs = _costs(source, sets, question.replications)
    kept = _kept(costs, base)
    choice = _choice(kept, base)
    return {
        "draws": question.draws,
        "replications": question.replications,
        "level": LEVEL,
        "horizon_s": base.spec.workload.horizon / 1000,
        "patience_target": base.spec.patience_target,
        "inputs": [{"name": one.name, "laws": {m.path: m.text for m in one.members}} for one in unknowns],
        "results": [_result(pair, table, unknowns, kept) for pair, table in costs.items()],
        "choice": choice,
        **worth_of(unknowns, kept, choice),
        "warnings": list(_warnings(costs)),
    }


def _costs(source: Source, sets: Sequence[tuple[str, ...]], times: int) -> dict[Pairing, Costs]:
    """Return what every pairing costs at each draw, in runs whose luck no other draw meets."""
    pairs = len(source.base.arms) * len(source.base.spec.models)
    source.expect(pairs * len(sets) * times)
    asks = [Ask(overrides, first=place * times) for place, overrides in enumerate(sets)]
    usd: dict[Pairing, list[list[float]]] = {}
    answered: dict[Pairing, list[tuple[int, int]]] = {}
    for first in range(0, len(asks), _ROUND):
        for one in source.find(asks[first : first + _ROUND], range(times)):
            for pair, own, counts in _rows(one):
                usd.setdefault(pair, []).append(own)
                answered.setdefault(pair, []).append(counts)
    return {
        pair: Costs(np.array(own), *(sum(column) for column in zip(*answered[pair], strict=True)))
        for pair, own in usd.items()
    }


def _rows(one: Found) -> Iterator[tuple[Pairing, list[float], tuple[int, int]]]:
    """Yield the costs of each pairing at a draw, and its requests in time and in all."""
    for strategy, model in one.rows:
        rows = one.of(strategy, model)
        counts = (sum(row["within_patience"] for row in rows), sum(row["total"] for row in rows))
        yield Pairing(strategy, model), [float(row["cost_usd"]) for row in rows], counts


def _kept(costs: Mapping[Pairing, Costs], base: Scenario) -> dict[Pairing, Costs]:
    """Return the pairings that may be chosen: those that keep the patience target over all draws together."""
    if base.spec.close == "cut":
        return {}
    target = base.spec.patience_target
    return {
        pair: table for pair, table in costs.items() if table.within_patience is None or table.within_patience >= target
    }


def _choice(kept: Mapping[Pairing, Costs], base: Scenario) -> Json:
    if not kept:
        cut = base.spec.close == "cut"
        why = "the run is cut at its horizon: what is pending is unbilled, so strategies are not ranked"
        late = "no strategy answers that share of the requests within their callers' patience"
        return {"strategy": None, "model": None, "reason": why if cut else late}
    best = min(kept, key=lambda pair: math.fsum(kept[pair].means))
    return {**best._asdict(), "reason": None}


def _result(pair: Pairing, table: Costs, unknowns: Sequence[Unknown], kept: Mapping[Pairing, Costs]) -> Json:
    split = nested(table.usd.tolist())
    own = split.share
    luck = Interval(1 - own.mean, *(None if end is None else 1 - end for end in (own.hi, own.lo)))
    return {
        **pair._asdict(),
        "cost_usd": bill_interval(table.means)._asdict(),
        "expected_usd": {name: q._asdict() for name, q in expected_quantiles(table.usd, split).items()},
        "variance_usd2": {"inputs": split.inputs, "luck": split.luck},
        "unknown_share": own._asdict(),
        "luck_share": luck._asdict(),
        "note": split.note,
        "inputs": {one.name: first_order(one.values, table.usd)._asdict() for one in unknowns},
        "within_patience": table.within_patience,
        "keeps_patience": pair in kept,
        "share_cheapest": _share_cheapest(pair, kept),
    }


def _share_cheapest(pair: Pairing, kept: Mapping[Pairing, Costs]) -> float | None:
    """Return the share of the draws in which a pairing costs least; equal ones share a draw."""
    if pair not in kept:
        return None
    table = np.array([one.means for one in kept.values()])
    least = table == table.min(axis=0)
    return float((least[list(kept).index(pair)] / least.sum(axis=0)).mean())


def _warnings(costs: Mapping[Pairing, Costs]) -> Iterator[str]:
    for pair, table in costs.items():
        if text := hard_to_cover(table.means):
            yield f"cost of {pair}: {text}"
