"""May a strategy be rolled out: what is required of it is judged on the luck of the strategy that is there now."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Source
from sim.decisions.rollout.claims import CEILING, DRAWS, Claim, Question, claim_json, question_of
from sim.decisions.rollout.looks import FIRST, RULE, looks
from sim.decisions.rollout.robustness import DRAW_REPLICATIONS, alone, under_draws, under_switches
from sim.decisions.rollout.rulings import Ruling, needed_of, ruling_of
from sim.experiments.estimates import Json
from sim.scenario import Scenario
from sim.stats import LEVEL

__all__ = ["answer", "validate"]


def validate(  # noqa: PLR0913 - as many as the command has options
    scenario: str | Path | Scenario,
    *,
    candidate: str,
    require: Sequence[str],
    baseline: str | None = None,
    confidence: float = LEVEL,
    models: Sequence[str] = (),
    replications: int | None = None,
    ceiling: int = CEILING,
    draws: int = DRAWS,
    robustness: bool = True,
    **means: Unpack[Means],
) -> Finding:
    """Judge whether a strategy keeps what is required of it; the ``"verdict"`` is pass, fail or undecided.

    Parameters
    ----------
    scenario
        A file, a shipped name, or a scenario.
    candidate, baseline
        The strategy to be rolled out, and the one that a saving is over; by default the scenario's.
    require
        Texts such as ``"saving >= 20%"`` or ``"p99 <= 10s"``, all of which must hold on every model.
    confidence
        That a verdict of pass or fail is right in everything that it says; requirements, models and looks share the
        error.
    models
        Those that are judged; by default all of the scenario's.
    replications
        Judge exactly so many, once. By default looks are taken at 100, 200, 400, ... replications until all is decided
        (see :func:`sim.decisions.rollout.looks.spent`), up to ``ceiling``; where nothing is random, 60 are all.
    draws
        How often inputs that are uncertain are drawn.
    robustness
        Whether to try the contested billing switches and the draws.

    Raises
    ------
    InputError
        With every mistake.
    """
    base = read(scenario, means)
    question = question_of(
        base,
        candidate=candidate,
        require=require,
        baseline=baseline,
        confidence=confidence,
        models=models,
        replications=replications,
        ceiling=ceiling,
        draws=draws,
        robustness=robustness,
    )
    return found("validate", base, question.asked, lambda source: answer(question, source), means)


def answer(question: Question, source: Source) -> Json:
    """Return the document of a validation."""
    source.expect(_expected(question, source.base))
    ruling = ruling_of(question, source)
    verdicts, needed = ruling.judgement.verdicts, needed_of(question, ruling)
    undecided = [n for n, verdict in zip(needed, verdicts, strict=True) if verdict.outcome == "undecided"]
    return {
        "verdict": ruling.judgement.outcome,
        "candidate": question.candidate,
        "baseline": question.baseline,
        "models": question.models,
        "confidence": question.confidence,
        "replications": ruling.replications,
        "random": ruling.random,
        "level": ruling.judgement.level,
        "looks": None if ruling.look is None else _looks(question, ruling.look),
        "requirements": [
            {**claim_json(claim, verdict), "needed": more, "warning": _warning(question, ruling, claim)}
            for claim, verdict, more in zip(question.claims, verdicts, needed, strict=True)
        ],
        "needed": None if None in undecided else max((n for n in undecided if n is not None), default=None),
        "robustness": _robustness(question, source, ruling) if question.robustness else None,
    }


def _expected(question: Question, base: Scenario) -> int:
    """Return the cells of a verdict that the first look comes to."""
    settings = 1 + len(list(alone(question, base))) * question.robustness
    draws = question.draws * DRAW_REPLICATIONS * (question.robustness and bool(base.uncertain))
    each = len(question.models) * len(question.strategies)
    return each * (settings * (question.replications or FIRST) + draws)


def _looks(question: Question, last: int) -> Json:
    every = list(looks(question.ceiling))
    return {"rule": RULE, "taken": every[: last + 1], "ceiling": every[-1]}


def _robustness(question: Question, source: Source, ruling: Ruling) -> Json:
    return {"switches": under_switches(question, source, ruling), "draws": under_draws(question, source)}


def _warning(question: Question, ruling: Ruling, claim: Claim) -> str | None:
    """Return why a verdict on a claim is to be trusted less."""
    interval = ruling.evidence[claim.key].interval(ruling.judgement.level)
    told = [ruling.evidence[claim.key].warning, _unanswered(question, ruling, claim)]
    if math.isinf(interval.mean):
        told.append("no request was answered in some replication: the latency is infinite")
    elif ruling.random and interval.lo == interval.hi is not None:
        rare = ruling.replications // 3
        told.append(f"the same in all replications: what happens less than once in {rare} runs may not be among them")
    return "; ".join(text for text in told if text) or None


def _unanswered(question: Question, ruling: Ruling, claim: Claim) -> str | None:
    """Return a warning of a latency beside which nothing is required of the requests that have none."""
    stream = claim.measure.stream
    of = f" of {stream}" if stream else ""
    if claim.measure.kind != "duration" or {one.measure.name for one in question.claims} & {
        f"failed{of}",
        f"within_patience{of}",
    }:
        return None
    rows = ruling.found.of(question.candidate, claim.model, stream)
    lost, total = sum(row["total"] - row["done"] for row in rows), sum(row["total"] for row in rows)
    if not lost:
        return None
    return f"{lost / total:.2%} of the requests were not answered and have no latency: require failed{of} too"
