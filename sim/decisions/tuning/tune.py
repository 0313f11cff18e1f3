"""Search the parameters of a strategy for the least expected cost, and say what that saves over the present ones.

The document ``gcsim.tune/1``, besides what every decision has::

    strategy, kind, model, method, precision, level
    varied            [{path, values, present}]: what was searched; present is null where the scenario does not set it
    search            {points, replications, heats: [{replications, met, broken, worse}], refused}
    best              {values: {path: value}, sets, same: whether that is the present setting, cost_usd: {mean, lo, hi},
                      against: {measure, kind, mean, lo, hi}, within_patience: {mean, lo, hi}, chosen_on: {mean, lo, hi}
                      of the saving by the replications that chose it, which flatter it; null where the present setting
                      was not among those tried}
    present           {cost_usd, against, within_patience}
    saving            {mean, lo, hi} of the present cost; outcome: saves, costs more, or open
    difference_usd    {mean, lo, hi} a run
    fresh             {first, replications, reached}: those that judge
    requirements      [{text, kind, outcome, mean, lo, hi, needed}] of the best, on fresh replications
    outcome           of the requirements together: pass, fail, undecided; null where there are none
    lines             [{path, tried: [{value, excess_usd: {mean, lo, hi}}], as_good, ranged, flat, end}]: the others at
                      their best; as_good is [first, last] of a range, else a list; end is lower, upper or null
    bound_by          {values, outcome, requirements, saving_usd} or null
    front             {against, kind, more: whether more of it is better, points: [{values, best, cost_usd, against,
                      outcome}]}, the cheapest first
    formula           {text, values, cost_usd, against, regret_usd} or {text}: the optimum of a closed form, and what it
                      costs more than the best

Costs are dollars a run; durations are ms.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Unpack

from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Source
from sim.decisions.tuning import document
from sim.decisions.tuning.cautions import cautions
from sim.decisions.tuning.formula import formula_of
from sim.decisions.tuning.front import front_of, shown
from sim.decisions.tuning.question import REPLICATIONS, Asked, Question, question_of
from sim.decisions.tuning.racing import FIRST, Heat, race
from sim.decisions.tuning.refining import as_present, beside, refine
from sim.decisions.tuning.space import Point, Space, design
from sim.decisions.tuning.suggesting import suggested
from sim.decisions.tuning.surroundings import bound_by, lines
from sim.decisions.tuning.trials import Trials
from sim.decisions.tuning.tunable import present_of
from sim.decisions.tuning.verdict import judged
from sim.experiments.estimates import Json
from sim.scenario import Scenario
from sim.workload.realise import uniforms

__all__ = ["answer", "tune"]


def tune(  # noqa: PLR0913 - as many as the command has options
    scenario: str | Path | Scenario,
    *,
    strategy: str,
    vary: Sequence[str] = (),
    require: Sequence[str] = (),
    precision: float = 0.01,
    against: str = "p95",
    method: str = "race",
    points: int | None = None,
    replications: int = REPLICATIONS,
    model: str | None = None,
    **means: Unpack[Means],
) -> Finding:
    """Search the parameters of a strategy for the least expected cost under requirements.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or one from :func:`sim.load`.
    strategy
        Whose parameters are tuned.
    vary
        ``PATH=LO..HI:log``, ``PATH=LO..HI:lin`` or ``PATH=V1,V2,...``; by default what is usually tuned of its kind,
        :data:`sim.decisions.tuning.space.TUNABLE`.
    require
        Such as ``within_patience >= 95%``; see :mod:`sim.decisions.measures`.
    precision
        The share of the cost that is not worth telling settings apart by.
    against
        The measure that the Pareto front sets beside the cost.
    method
        ``race``, or ``optuna`` where that is installed.
    points
        Settings that the search begins with, or that optuna tries.
    replications
        Those that choose; others, at least 100, judge what was chosen.
    model
        Which of the scenario's models; the first by default.
    means
        See :class:`sim.decisions.finding.Means`.
    """
    base = read(scenario, means)
    asked = Asked(strategy, tuple(vary), tuple(require), precision, against, method, points, replications, model)
    question = question_of(base, asked)
    return found("tune", base, asked.plain(), lambda source: answer(question, source), means)


def answer(question: Question, source: Source) -> Json:
    """Return the document: the search on the first replications, and the verdict on others."""
    space, asked = question.space, question.asked
    search = Trials(source, space, question.aim)
    fresh = Trials(source, space, question.aim, first=asked.replications)
    present = _present_point(source.base, space)
    best, told = _searched(question, search, present)
    formula = formula_of(source.base, space, question.aim.model, best)
    tried = front_of(search, search.points, FIRST, asked.precision)
    beside = [*tried, *([formula.point] if formula.point else [])]
    verdict = judged(fresh, best, beside, asked.precision)
    around = lines(search, best, asked.replications, asked.precision)
    told_of = {
        **document.head_of(question, source.base),
        "search": told,
        "best": document.best_of(search, fresh, best, present),
        "present": document.figures_of(fresh, None),
        **document.verdict_of(verdict, asked.replications),
        "lines": [document.line_of(space, line) for line in around],
        "bound_by": document.bound_of(space, bound_by(search, best)),
        "front": document.front_of(fresh, shown(fresh, tried, best), best),
        "formula": document.formula_of(fresh, formula, best),
    }
    return {**told_of, "warnings": list(cautions(question, source.base, search, told_of, verdict))}


def _present_point(base: Scenario, space: Space) -> Point | None:
    """Return the scenario's present values as a point; None where one is not set, or not searched."""
    values = present_of(base, space).values()
    point = tuple(value for value in values if value is not None)
    return point if len(point) == len(values) and space.holds(point) else None


def _searched(question: Question, search: Trials, present: Point | None) -> tuple[Point, Json]:
    """Return the best point of a search, and how it went."""
    space, most, seed = question.space, question.asked.replications, search.source.seed
    begin = list(dict.fromkeys([*([present] if present else []), *design(space, question.asked.points, seed)]))
    search.source.expect(_expected(question, len(begin)))
    luck = float(uniforms(seed, 0, f"tune {space.strategy}", "optimiser", 1)[0])
    heats: list[Heat] = []
    if question.asked.method == "optuna":
        survivors = suggested(search, begin, most, question.asked.points, int(luck * 2**32))
        left = [search.best(survivors, most)]
    else:
        left, heats = race(search, begin, most, question.asked.precision)
    precision, evolve = question.asked.precision, question.asked.method == "race"
    how: Any = {"most": most, "precision": precision, "seed": int(luck * 2**53), "evolve": evolve}
    found = refine(search, left, begin, **how)
    best = as_present(search, found, list(present_of(search.source.base, space).values()), most, precision)
    search.meet(beside(search, best), most)  # which shows how the cost lies around it
    told = {
        "points": len(search.points),
        "replications": most,
        "heats": [heat._asdict() for heat in heats],
        "refused": len(search.refused),
    }
    return best, told


def _expected(question: Question, points: int) -> int:
    """Return about how many cells a study has, for the progress bar."""
    most, dimensions = question.asked.replications, len(question.space.dimensions)
    return (points * most // 2 + 20 * dimensions * most + 600) * len(question.aim.asked)
