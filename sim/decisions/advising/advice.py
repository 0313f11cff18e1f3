"""The ``gcsim.advise/1`` document: the answer, the guide's beside it, stream by stream, and the mistakes."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sim.decisions.advising.case import Case
from sim.decisions.advising.contest import Contender, Contest, contest, is_offer, told
from sim.decisions.advising.guide import Advice, Kind, advise_stream, together
from sim.decisions.advising.mistakes import MISTAKES, Offence
from sim.decisions.advising.traffic import Traffic
from sim.decisions.advising.why import reasons
from sim.decisions.laboratory import Found
from sim.experiments.estimates import Json
from sim.scenario import Scenario
from sim.skewed import hard_to_cover

__all__ = ["Study", "document"]


class Study(NamedTuple):
    """What was simulated of the scenario as a whole."""

    case: Case
    found: Found
    contest: Contest
    model: str
    target: float


def document(study: Study, traffic: Sequence[Traffic], alone: Mapping[str, Found], offences: Sequence[Offence]) -> Json:
    """Return the document of a study; ``alone`` are the cells of each stream without the others, if there are any."""
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


def _strategy(study: Study, one: Contender) -> Json:
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


def _advised(study: Study, kind: Kind, outcome: Contest | None = None, found: Found | None = None) -> Json:
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
        return "open" if advised in outcome.rivals or outcome.replications < outcome.least else "no"
    if advised in (best, *outcome.ties) or _kind(scenario, best.strategy) == kind:
        return "yes"
    return "open" if advised in outcome.rivals or outcome.replications < outcome.least else "no"


def _stream(study: Study, traffic: Traffic, said: Advice, alone: Found | None) -> Json:
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
    suspicion = one.suspicion
    what: dict[str, Any] = {"strategy": suspicion.strategy, "remedy": suspicion.remedy, "evidence": one.figure}
    return {**what, "model": model, "price_usd": told(one.usd), "share": one.share, "decided": one.decided}
