"""What a candidate must keep: each requirement on each model, and what replications say of it."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sim.decisions.laboratory import Found
from sim.decisions.measures import Measure, evidence_of, measures_of, requirements
from sim.decisions.rollout.looks import FIRST
from sim.errors import InputError, Problem, unknown, wrong
from sim.experiments.estimates import Json
from sim.scenario import Scenario
from sim.stats import LEVEL, Interval
from sim.units import SECOND
from sim.verdicts import Evidence, Judgement, Requirement, Verdict, judge

__all__ = ["CEILING", "DRAWS", "Claim", "Question", "claim_json", "holds", "question_of"]

CEILING = 1_600  # replications, unless another is asked for
DRAWS = 40  # of the uncertain inputs
MOST = 1_000_000  # replications that can be asked for

_UNITS = {"share": "share", "duration": "s", "money": "usd", "number": "number"}


class Claim(NamedTuple):
    """A requirement on one model."""

    requirement: Requirement
    measure: Measure
    model: str

    @property
    def key(self) -> str:
        """Return what names the evidence on it: two limits of one measure share theirs."""
        return f"{self.measure.name} on {self.model}"


class Question(NamedTuple):
    """What is to be validated, by how much evidence."""

    candidate: str
    baseline: str
    claims: tuple[Claim, ...]
    confidence: float
    replications: int | None  # exactly so many, judged once; None = looks until it is decided
    ceiling: int
    draws: int  # of the uncertain inputs
    robustness: bool

    @property
    def models(self) -> list[str]:
        """Return the models, in the order of the scenario."""
        return list(dict.fromkeys(claim.model for claim in self.claims))

    @property
    def strategies(self) -> tuple[str, ...]:
        """Return the strategies that are to be run: the baseline only where something is compared with it."""
        compared = any(claim.measure.versus for claim in self.claims)
        return (self.candidate, self.baseline) if compared else (self.candidate,)

    @property
    def asked(self) -> Json:
        """Return all that the answer depends on besides the scenario."""
        return {
            "candidate": self.candidate,
            "baseline": self.baseline,
            "models": self.models,
            "require": list(dict.fromkeys(claim.requirement.text for claim in self.claims)),
            **{name: getattr(self, name) for name in ("confidence", "replications", "ceiling", "draws", "robustness")},
        }

    def evidence(self, found: Found) -> dict[str, Evidence]:
        """Return what the replications of a setting say, by the key of each claim."""
        about = {claim.key: claim for claim in self.claims}
        return {
            key: evidence_of(claim.measure, found, self.candidate, self.baseline, claim.model)
            for key, claim in about.items()
        }

    def judged(self, evidence: dict[str, Evidence], confidence: float, least: int) -> Judgement:
        """Return the verdicts on all claims, a verdict each, all of which hold at once with the confidence."""
        wanted = [claim.requirement._replace(measure=claim.key) for claim in self.claims]
        return judge(wanted, evidence, confidence, least=least)


def holds(requirement: Requirement, estimate: float) -> bool:
    """Return whether an estimate meets a limit; one of nothing does not."""
    limit = float(requirement.limit)
    return estimate >= limit if requirement.at_least else estimate <= limit


def claim_json(claim: Claim, verdict: Verdict) -> Json:
    """Return a verdict as a document has it: amounts in dollars, times in seconds, shares of 1."""
    requirement, unit = claim.requirement, _UNITS[claim.requirement.kind]
    scale = SECOND if unit == "s" else 1
    return {
        "require": requirement.text,
        "model": claim.model,
        "measure": claim.measure.name,
        "unit": unit,
        "at_least": requirement.at_least,
        "limit": float(requirement.limit) / scale,
        "outcome": verdict.outcome,
        **_figures(verdict.interval, scale),
        "infinite": math.isinf(verdict.interval.mean),
    }


def _figures(interval: Interval, scale: int) -> dict[str, float | None]:
    names: Sequence[str] = ("estimate", "lo", "hi")
    return {
        name: None if end is None or not math.isfinite(end) else end / scale
        for name, end in zip(names, interval, strict=True)
    }


def question_of(  # noqa: PLR0913 - as many as the command has options
    base: Scenario | None,
    *,
    candidate: str | None,
    require: Sequence[str],
    baseline: str | None = None,
    confidence: float = LEVEL,
    models: Sequence[str] = (),
    replications: int | None = None,
    ceiling: int = CEILING,
    draws: int = DRAWS,
    robustness: bool = True,
) -> Question:
    """Return what is asked of a scenario; raise :class:`InputError` with everything that is wrong with it.

    Numbers are read where there is no scenario too; a candidate that is not named is somebody else's to refuse.
    """
    numbers = list(_wrong_numbers(confidence, replications, ceiling, draws))
    if base is None:
        raise InputError(numbers)
    candidate = base.baseline if candidate is None else candidate
    versus = base.baseline if baseline is None else baseline
    known = [arm.name for arm in base.arms]
    problems = [
        *unknown("--candidate", "strategy", [candidate], known),
        *unknown("--baseline", "strategy", [versus], known),
        *unknown("--model", "model", models, base.spec.models),
        *numbers,
    ]
    wanted: list[Requirement] = []
    try:
        wanted = requirements(require, base)
    except InputError as error:
        problems += error.problems
    measures = measures_of(base)
    asked = [model for model in base.spec.models if not models or model in models]
    claims = tuple(Claim(one, measures[one.measure], model) for one in wanted for model in asked)
    problems += _meaningless(base, wanted, candidate, versus)
    if problems:
        raise InputError(problems)
    return Question(candidate, versus, claims, confidence, replications, ceiling, draws, robustness)


def _wrong_numbers(confidence: float, replications: int | None, ceiling: int, draws: int) -> Iterator[Problem]:
    if not 0 < confidence < 1:
        yield wrong("--confidence", "must be between 0 and 1, both excluded", "such as 0.95", confidence)
    if replications is not None and not 1 <= replications <= MOST:
        yield wrong("--replications", "out of range", f"a whole number from 1 to {MOST:,}", replications)
    if not FIRST <= ceiling <= MOST:
        yield wrong("--ceiling", "out of range", f"a whole number from {FIRST} to {MOST:,}", ceiling)
    if not 1 <= draws <= MOST:
        yield wrong("--draws", "out of range", f"a whole number from 1 to {MOST:,}", draws)


def _meaningless(base: Scenario, wanted: Sequence[Requirement], candidate: str, baseline: str) -> Iterator[Problem]:
    """Yield the requirements that no figure of the run can answer."""
    for one in wanted:
        if one.measure == "saving" and candidate == baseline:
            yield wrong("--require", f"{candidate} saves nothing over itself", "another --baseline", one.text)
        elif (one.kind == "money" or one.measure == "saving") and base.spec.close == "cut":
            what = f"{one.measure} means nothing in a run that is cut at its horizon: what is pending is unbilled"
            yield wrong("--require", what, "--set close=drain", one.text)
