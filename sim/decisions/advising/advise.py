"""Which strategy to take: the guide's decision framework beside the simulated answer, and the mistakes made here."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Unpack

from sim.decisions.advising.advice import Study, document
from sim.decisions.advising.case import Case, case_of
from sim.decisions.advising.contest import contest
from sim.decisions.advising.mistakes import offence
from sim.decisions.advising.suspicions import Suspicion, suspects
from sim.decisions.advising.traffic import Traffic, traffic_of
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.measures import SAME, least_of
from sim.experiments.estimates import Json
from sim.paths import written
from sim.scenario import Scenario
from sim.skewed import ENOUGH
from sim.stats import LEVEL

__all__ = ["advise", "answer_of", "asked_of"]


def advise(scenario: str | Path | Scenario, *, replications: int | None = None, **means: Unpack[Means]) -> Finding:
    """Say which strategy of a scenario to take, what the guide would take and why the two part, and price mistakes.

    Parameters
    ----------
    scenario
        A scenario, its file, or the name of a shipped one.
    replications
        By default 100, from where a verdict can be decided; 60 where these are the same in everything.
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


def answer_of(case: Case, replications: int | None) -> Callable[[Source], Json]:
    """Return the study of a case."""
    return lambda source: _answer(case, replications, source)


def _answer(case: Case, replications: int | None, source: Source) -> Json:
    base, target = source.base, source.base.spec.patience_target
    pairs = [(arm.name, model) for model in base.spec.models for arm in base.arms]
    times = range(_replications(source, len(pairs), replications))
    (whole,) = source.find([Ask()], times)
    outcome = contest(whole, pairs, target)
    model = outcome.best.model if outcome.best else base.spec.models[0]
    study = Study(case, whole, outcome, model, target)
    traffic = traffic_of(base, model, source.seed)
    suspicions = suspects(whole, model, outcome, target, case.added)
    right, alone = _more(source, suspicions, traffic, len(pairs), times)
    enough = len(times) >= outcome.least
    level = 1 - (1 - LEVEL) / max(1, len(suspicions))
    offences = [
        offence(one, whole, right.get(number), model, level=level, enough=enough)
        for number, one in enumerate(suspicions)
    ]
    return document(study, traffic, alone, [one for one in offences if one is not None])


def _more(
    source: Source, suspicions: Sequence[Suspicion], traffic: Sequence[Traffic], pairs: int, times: range
) -> tuple[dict[int, Found], dict[str, Found]]:
    """Return each suspicion put right, by number, and each stream without the others, where there are several."""
    priced = [number for number, one in enumerate(suspicions) if one.instead is None]
    alone = [one.stream for one in traffic] if len(traffic) > 1 else []
    asks = [*(suspicions[number].ask for number in priced), *(Ask(_silencing(traffic, name)) for name in alone)]
    if not asks:
        return {}, {}
    models = len(source.base.spec.models)
    source.expect(len(times) * (pairs * (1 + len(alone)) + models * len(priced)))
    found = source.find(asks, times)
    return dict(zip(priced, found, strict=False)), dict(zip(alone, found[len(priced) :], strict=True))


def _replications(source: Source, pairs: int, asked: int | None) -> int:
    """Return how many replications are needed: those asked for; else 100, or 60 where they are all the same."""
    if asked is not None:
        return asked
    source.expect(2 * ENOUGH * pairs)
    (first,) = source.find([Ask()], range(SAME))
    return ENOUGH if least_of(first) > 1 else SAME


def _silencing(traffic: Sequence[Traffic], kept: str) -> tuple[str, ...]:
    """Return the overrides under which one stream is alone."""
    none = '{process = "poisson", rate = "0/h"}'
    return tuple(f"{written(('streams', one.stream, 'arrivals'))}={none}" for one in traffic if one.stream != kept)
