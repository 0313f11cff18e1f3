"""Which strategy to take: the guide's decision framework beside the simulated answer, and the mistakes made here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Unpack

from sim.decisions.contest import Contender, Contest, contest, is_offer, told
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.guide import Advice, Kind, advise_stream, together
from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.measures import SAME
from sim.decisions.mistakes import MISTAKES, Offence, Suspicion, offence, suspects
from sim.decisions.traffic import Traffic, traffic_of
from sim.decisions.why import reasons
from sim.errors import InputError
from sim.experiments.estimates import Json
from sim.paths import written
from sim.scenario import Scenario, read_scenario
from sim.skewed import ENOUGH, hard_to_cover

__all__ = ["Case", "advise", "answer_of", "asked_of", "case_of"]


class Case(NamedTuple):
    """A scenario with what it did not have: the strategies that the guide recommends, and ordinary calls."""

    base: Scenario
    added: tuple[str, ...]  # their names
    refused: dict[Kind, str]  # what could not be added, and why


def advise(scenario: str | Path | Scenario, *, replications: int | None = None, **means: Unpack[Means]) -> Finding:
    """Say which strategy of a scenario to take, what the guide would take and why the two part, and price mistakes.

    Parameters
    ----------
    scenario
        A scenario, its file, or the name of a shipped one.
    replications
        By default 100, from where a verdict can be decided; 10 where nothing is random.
    **means
        See :class:`sim.decisions.finding.Means`.

    Returns
    -------
    Finding
        ``summary`` is a ``gcsim.advise/1`` document.
    """
    case = case_of(read(scenario, means))
    return found("advise", case.base, asked_of(replications), answer_of(case, replications), means)


def asked_of(replications: int | None) -> Json:
    """Return what the answer depends on besides the scenario."""
    return {"replications": replications}


def case_of(base: Scenario) -> Case:
    """Return a scenario with each kind of strategy that the guide recommends for it, added with defaults if needed.

    Where no strategy sends ordinary calls, those are added too: what nothing is compared with is no advice.
    """
    added: list[str] = []
    refused: dict[Kind, str] = {}
    for kind in _wanted(base):
        name = kind if kind not in [arm.name for arm in base.arms] else f"{kind}_advised"
        more, why = _with_strategy(base, name, kind)
        if why:
            refused[kind] = why
        elif more is not base:
            base = more
            added.append(name)
    return Case(base, tuple(added), refused)


def _wanted(base: Scenario) -> dict[Kind, None]:
    """Return the kinds of strategy that a scenario should have, whether it does or not."""
    ordinary = any(arm.strategy.kind in ("none", "implicit") and is_offer(arm) for arm in base.arms)
    wanted: dict[Kind, None] = {} if ordinary else {"implicit": None}
    for model in base.spec.models:
        advice = [advise_stream(traffic) for traffic in traffic_of(base, model, base.seed)]
        wanted |= dict.fromkeys([*(one.kind for one in advice), together(advice)] if advice else [])
    return wanted


def _with_strategy(base: Scenario, name: str, kind: Kind) -> tuple[Scenario, str]:
    """Return a scenario that has a kind of strategy, by defaults where it has none, or why it cannot."""
    if any(arm.strategy.kind == kind and is_offer(arm) for arm in base.arms):
        return base, ""
    try:
        sets = (f'{written(("strategies", name, "kind"))}="{kind}"',)
        more = read_scenario(base.document, base.name, sets=sets)
    except InputError as error:
        return base, error.problems[0].what
    offered = is_offer(next(arm for arm in more.arms if arm.name == name))
    return (more, "") if offered else (base, 'terms of batch_cached = "stacked" are no offer')


def answer_of(case: Case, replications: int | None) -> Callable[[Source], Json]:
    """Return the study of a case."""
    return lambda source: _answer(case, replications, source)


def _answer(case: Case, replications: int | None, source: Source) -> Json:
    base = source.base
    target = base.spec.patience_target
    pairs = [(arm.name, model) for model in base.spec.models for arm in base.arms]
    times = range(_replications(source, len(pairs), replications))
    (whole,) = source.find([Ask()], times)
    outcome = contest(whole, pairs, target)
    model = outcome.best.model if outcome.best else base.spec.models[0]
    traffic = traffic_of(base, model, source.seed)
    suspicions = suspects(whole, model, outcome, target, case.added)
    alone = {one.stream: Ask(_silencing(traffic, one.stream)) for one in traffic} if len(traffic) > 1 else {}
    priced = [number for number, one in enumerate(suspicions) if one.instead is None]
    asks = [*(suspicions[number].ask for number in priced), *alone.values()]
    source.expect(len(pairs) * len(times) * (1 + len(alone)) + len(priced) * len(base.spec.models) * len(times))
    more = source.find(asks, times) if asks else []
    right = dict(zip(priced, more, strict=False))
    enough = len(times) >= outcome.least
    offences = [offence(one, whole, right.get(number), model, enough) for number, one in enumerate(suspicions)]
    return _document(
        _Study(case, whole, outcome, model, target),
        traffic,
        dict(zip(alone, more[len(priced) :], strict=True)),
        [one for one in offences if one is not None],
    )


class _Study(NamedTuple):
    """What was simulated of the scenario as a whole."""

    case: Case
    found: Found
    contest: Contest
    model: str
    target: float


def _replications(source: Source, pairs: int, asked: int | None) -> int:
    """Return how many replications are needed: those asked for; else 100, or 10 where they are all the same."""
    if asked is not None:
        return asked
    source.expect(2 * ENOUGH * pairs)
    (first,) = source.find([Ask()], range(SAME))
    everything = [(arm.name, model) for model in source.base.spec.models for arm in source.base.arms]
    return ENOUGH if contest(first, everything, source.base.spec.patience_target).least > 1 else SAME


def _silencing(traffic: Sequence[Traffic], kept: str) -> tuple[str, ...]:
    """Return the overrides under which one stream is alone."""
    none = '{process = "poisson", rate = "0/h"}'
    return tuple(f"{written(('streams', one.stream, 'arrivals'))}={none}" for one in traffic if one.stream != kept)


def _document(study: _Study, traffic: Sequence[Traffic], alone: dict[str, Found], offences: Sequence[Offence]) -> Json:
    advice = [advise_stream(one) for one in traffic]
    warnings = [f"{kind} was to be added, and cannot be: {why}" for kind, why in study.case.refused.items()]
    skewed = [(one, hard_to_cover(one.costs)) for one in study.contest.contenders]
    warnings += [f"cost of {one.strategy} on {one.model}: {text}" for one, text in skewed if text]
    return {
        "model": study.model,
        "patience_target": study.target,
        "replications": study.contest.replications,
        "added": list(study.case.added),
        "strategies": [_strategy(study, one) for one in study.contest.contenders],
        "answer": _outcome(study.contest),
        "guide": _advised(study, together(advice)) if advice else None,
        "streams": [
            _stream(study, one, said, alone.get(one.stream)) for one, said in zip(traffic, advice, strict=True)
        ],
        "mistakes": [_mistake(number, offences, study.model) for number in range(1, len(MISTAKES) + 1)],
        "warnings": warnings,
    }


def _strategy(study: _Study, one: Contender) -> Json:
    return {
        "strategy": one.strategy,
        "model": one.model,
        "kind": _kind(study.found.scenario, one.strategy),
        "added": one.strategy in study.case.added,
        "offer": any(arm.name == one.strategy and is_offer(arm) for arm in study.found.scenario.arms),
        "cost_usd": told(one.cost),
        "within_patience": told(one.in_time),
        "keeps": one.keeps,
    }


def _kind(scenario: Scenario, strategy: str) -> str:
    return next(str(arm.strategy.kind) for arm in scenario.arms if arm.name == strategy)


def _outcome(outcome: Contest) -> Json:
    """Return a contest as a document has it."""
    best = outcome.best
    return {
        "strategy": best.strategy if best else None,
        "model": best.model if best else None,
        "cost_usd": told(best.cost) if best else None,
        "within_patience": told(best.in_time) if best else None,
        "runner_up": _name(outcome.runner_up),
        "saving": told(outcome.saving),
        "ties": [_name(one) for one in outcome.ties],
        "rivals": [_name(one) for one in outcome.rivals],
        "unsure": [_name(one) for one in (*outcome.rivals, *([best] if best else [])) if one.keeps == "unsure"],
        "decided": outcome.decided,
        "needs": outcome.least,
    }


def _name(one: Contender | None) -> Json | None:
    return None if one is None else {"strategy": one.strategy, "model": one.model}


def _advised(study: _Study, kind: Kind, outcome: Contest | None = None, found: Found | None = None) -> Json:
    """Return what became of a kind of strategy that the guide takes: its cheapest here beside the best."""
    here, cells = outcome or study.contest, found or study.found
    mine = [one for one in here.contenders if one.model == study.model and _kind(cells.scenario, one.strategy) == kind]
    choices = [arm.name for arm in cells.scenario.arms if is_offer(arm)]
    mine.sort(key=lambda one: (one.strategy not in choices, not one.reaches(study.target), one.mean))
    if not mine:
        return {"kind": kind, "strategy": None, "added": False, "agrees": "none", "cost_usd": None, "reasons": []}
    advised = mine[0]
    agrees = _agrees(here, advised, kind, cells.scenario)
    why = [] if agrees == "yes" else reasons(cells, advised, here, study.target)
    return {
        "kind": kind,
        "strategy": advised.strategy,
        "added": advised.strategy in study.case.added,
        "agrees": agrees,
        "cost_usd": told(advised.cost),
        "reasons": [one.told() for one in why],
    }


def _agrees(outcome: Contest, advised: Contender, kind: str, scenario: Scenario) -> str:
    """Return whether the simulation takes what the guide takes: yes, no, or open where it does not know."""
    best = outcome.best
    if best is None:
        return "open" if advised in outcome.rivals else "no"
    if advised in (best, *outcome.ties) or _kind(scenario, best.strategy) == kind:
        return "yes"
    return "open" if advised in outcome.rivals or outcome.replications < outcome.least else "no"


def _stream(study: _Study, traffic: Traffic, said: Advice, alone: Found | None) -> Json:
    """Return the guide's questions of a stream, its advice, and what is best for the stream alone."""
    pairs = [(one.strategy, one.model) for one in study.contest.contenders]
    outcome = study.contest if alone is None else contest(alone, pairs, study.target)
    return {
        "stream": traffic.stream,
        "traffic": traffic._asdict(),
        "questions": [answer._asdict() for answer in said.answers],
        "because": said.because,
        "guide": _advised(study, said.kind, outcome, alone or study.found),
        "answer": _outcome(outcome),
    }


def _mistake(number: int, offences: Sequence[Offence], model: str) -> Json:
    mistake = MISTAKES[number - 1]
    mine = [one for one in offences if one.suspicion.number == number]
    return {**mistake._asdict(), "found": [_offence(one, model) for one in mine]}


def _offence(one: Offence, model: str) -> Json:
    suspicion: Suspicion = one.suspicion
    what: dict[str, Any] = {"strategy": suspicion.strategy, "remedy": suspicion.remedy, "evidence": one.figure}
    return {**what, "model": model, "price_usd": told(one.usd), "share": one.share, "decided": one.decided}
