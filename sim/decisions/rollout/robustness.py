"""Whether a verdict stands under what is contested and what is not known: billing switches, and uncertain inputs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, get_args

from scipy.special import betaincinv

from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.rollout.claims import Question, claim_json, holds
from sim.decisions.rollout.looks import FIRST
from sim.decisions.rollout.rulings import Ruling, Sets, rulings_of
from sim.experiments.estimates import Json
from sim.providers.prices import Terms
from sim.scenario import Scenario
from sim.scenario.uncertain import drawn
from sim.stats import LEVEL, Interval
from sim.workload.realise import uniforms

__all__ = ["CONTESTED", "DRAW_REPLICATIONS", "alone", "share_interval", "under_draws", "under_switches"]

CONTESTED = ("creation", "storage", "batch_cached")  # of `Terms`
DRAW_REPLICATIONS = 20  # of each draw of the inputs

Switches = Mapping[str, str]  # name of a contested term -> value


def under_switches(question: Question, source: Source, ruling: Ruling) -> Json:
    """Return the verdict under each value of each contested switch, and under their combinations, by the same rule.

    Switches are prices only, so that the settings of one call share its engine runs. Each value is tried by itself
    first. The bill is a sum of lines, of which each switch moves its own; so a value that moves nothing by itself, in
    the replications of a first look, moves nothing beside others either and is not judged.

    ``flips`` are the settings with another outcome than the scenario's, of which no part has the same.
    """
    single = [{name: value} for name, value in alone(question, source.base)]
    moving = _moving(question, source, single, ruling)
    settings = [*moving, *_combinations(moving)]
    rulings = rulings_of(question, source, [_sets(one) for one in settings])
    tried = [_tried(question, switches, there) for switches, there in zip(settings, rulings, strict=True)]
    changed = [one for one in tried if one["outcome"] != ruling.judgement.outcome]
    return {
        "as_it_stands": _in_force(question, source.base),
        "settings": tried,
        "moves_nothing": [dict(one) for one in single if one not in moving],
        "flips": [one for one in changed if not any(_is_part(other, one) for other in changed)],
    }


def _moving(question: Question, source: Source, single: Sequence[Switches], ruling: Ruling) -> list[Switches]:
    """Return the switches that move any figure in the replications of a first look."""
    times = range(min(ruling.replications, FIRST))
    asks = [Ask(sets, question.strategies) for sets in ((), *map(_sets, single))]
    as_it_is, *others = source.find(asks, times)
    return [one for one, found in zip(single, others, strict=True) if found.rows != as_it_is.rows]


def _sets(switches: Switches) -> Sets:
    return tuple(f"terms.{name}={value}" for name, value in switches.items())


def _arms(question: Question, base: Scenario) -> list[Terms]:
    return [arm.terms for arm in base.arms if arm.name in question.strategies]


def _in_force(question: Question, base: Scenario) -> Json:
    """Return the value of each switch; where the strategies differ, that of each."""
    terms = _arms(question, base)
    return {name: "/".join(dict.fromkeys(getattr(one, name) for one in terms)) for name in CONTESTED}


def alone(question: Question, base: Scenario) -> Iterator[tuple[str, str]]:
    """Yield each value of each switch that is not in force already."""
    terms = _arms(question, base)
    for name in CONTESTED:
        for value in get_args(Terms.model_fields[name].annotation):
            if any(getattr(one, name) != value for one in terms):
                yield name, value


def _combinations(moving: Iterable[Switches]) -> Iterator[Switches]:
    """Yield the settings of two switches or more.

    >>> list(_combinations([{"creation": "free"}, {"storage": "committed"}]))
    [{'creation': 'free', 'storage': 'committed'}]
    """
    values: dict[str, list[str | None]] = {}
    for one in moving:
        for name, value in one.items():
            values.setdefault(name, [None]).append(value)
    for chosen in product(*values.values()):
        setting = {name: value for name, value in zip(values, chosen, strict=True) if value is not None}
        if len(setting) > 1:
            yield setting


def _tried(question: Question, switches: Switches, ruling: Ruling) -> Json:
    return {
        "switches": dict(switches),
        "outcome": ruling.judgement.outcome,
        "replications": ruling.replications,
        "requirements": [claim_json(*pair) for pair in zip(question.claims, ruling.judgement.verdicts, strict=True)],
    }


def _is_part(other: Json, one: Json) -> bool:
    """Return whether a setting is a part of another one and comes to the same."""
    smaller, larger = other["switches"].items(), one["switches"].items()
    return bool(smaller < larger and other["outcome"] == one["outcome"])


def under_draws(question: Question, source: Source) -> Json | None:
    """Return on which share of draws of the uncertain inputs each requirement holds; None where none is uncertain.

    A draw holds if its estimate over a few replications does: the share says how much of what is believed of the inputs
    would do, not how sure the verdict is. Its interval is that of a share of independent draws, which are independent
    since no two share a replication.
    """
    uncertain = source.base.uncertain
    if not uncertain:
        return None
    settings = [
        drawn(uncertain, uniforms(source.seed, draw, "validate", "inputs", len(uncertain)).tolist())
        for draw in range(question.draws)
    ]
    asks = [Ask(sets, question.strategies, draw * DRAW_REPLICATIONS) for draw, sets in enumerate(settings)]
    found = source.find(asks, range(DRAW_REPLICATIONS))
    draws = [_drawn(question, sets, there) for sets, there in zip(settings, found, strict=True)]
    held = [sum(draw["holds"][place] for draw in draws) for place in range(len(question.claims))]
    return {
        "inputs": [{"path": one.path, "law": one.text} for one in uncertain],
        "draws": question.draws,
        "replications": DRAW_REPLICATIONS,
        "level": LEVEL,
        "all": _share(sum(all(draw["holds"]) for draw in draws), question.draws),
        "requirements": [
            {"require": claim.requirement.text, "model": claim.model, **_share(count, question.draws)}
            for claim, count in zip(question.claims, held, strict=True)
        ],
        "settings": draws,
    }


def _drawn(question: Question, sets: Sequence[str], found: Found) -> dict[str, Any]:
    evidence = question.evidence(found)
    estimates = [evidence[claim.key].interval(LEVEL).mean for claim in question.claims]
    met = [holds(claim.requirement, estimate) for claim, estimate in zip(question.claims, estimates, strict=True)]
    return {"sets": list(sets), "holds": met}


def _share(count: int, draws: int) -> Json:
    interval = share_interval(count, draws)
    return {"held": count, "share": interval.mean, "lo": interval.lo, "hi": interval.hi}


def share_interval(count: int, n: int, level: float = LEVEL) -> Interval:
    """Return the share ``count / n`` of independent trials with its exact interval (Clopper and Pearson 1934).

    >>> [round(end, 3) for end in share_interval(38, 40)]
    [0.95, 0.831, 0.994]
    """
    tail = (1 - level) / 2
    lo = float(betaincinv(count, n - count + 1, tail)) if count else 0.0
    hi = float(betaincinv(count + 1, n - count, 1 - tail)) if count < n else 1.0
    return Interval(count / n, lo, hi)
