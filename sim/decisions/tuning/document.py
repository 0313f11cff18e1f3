"""The parts of the document ``gcsim.tune/1``; :mod:`sim.decisions.tuning.tune` says what each is."""

from collections.abc import Sequence

from sim.decisions.tuning.formula import Formula
from sim.decisions.tuning.question import Question
from sim.decisions.tuning.space import Point, Space
from sim.decisions.tuning.surroundings import Bound, Line
from sim.decisions.tuning.trials import Setting, Trials, more_is_better
from sim.decisions.tuning.tunable import present_of
from sim.decisions.tuning.verdict import Verdict
from sim.experiments.estimates import Json, plain
from sim.scenario import Scenario
from sim.skewed import bill_saving
from sim.stats import LEVEL, Interval
from sim.verdicts import Verdict as Judged

__all__ = ["best_of", "bound_of", "figures_of", "formula_of", "front_of", "head_of", "line_of", "verdict_of"]


def head_of(question: Question, base: Scenario) -> Json:
    """Return what was searched, and how."""
    space, present = question.space, present_of(base, question.space)
    kind = next(arm.strategy.kind for arm in base.arms if arm.name == space.strategy)
    return {
        "strategy": space.strategy,
        "kind": kind,
        "model": question.aim.model,
        "method": question.asked.method,
        "precision": question.asked.precision,
        "level": LEVEL,
        "varied": [
            {
                "path": one.path,
                "values": one.axis.text.partition("=")[2].strip() or one.axis.text,
                "present": present[one.path],
            }
            for one in space.dimensions
        ],
    }


def figures_of(trials: Trials, setting: Setting) -> Json:
    """Return the cost of a setting, and the measure beside it, each with its interval."""
    aim = trials.aim
    cost = trials.evidence(setting, "cost").interval(LEVEL)
    against = trials.evidence(setting, aim.against).interval(LEVEL)
    kind = aim.measures[aim.against].kind
    return {
        "cost_usd": plain(cost),
        "against": {"measure": aim.against, "kind": kind, **plain(against)},
        "within_patience": plain(trials.evidence(setting, "within_patience").interval(LEVEL)),
    }


def best_of(search: Trials, fresh: Trials, best: Point, present: Point | None) -> Json:
    """Return the best point: its values, its figures, and what those that chose it say, who flatter it."""
    space = search.space
    chosen = None
    if present is not None and search.count(present) and sum(search.costs(present)) > 0:
        count = min(search.count(present), search.count(best))
        chosen = plain(bill_saving(search.costs(best, count), search.costs(present, count)))
    return {
        "values": space.named(best),
        "sets": list(space.sets(best)),
        "same": best == present,
        **figures_of(fresh, best),
        "chosen_on": chosen,
    }


def verdict_of(verdict: Verdict, first: int) -> Json:
    """Return what fresh replications, from ``first`` on, say of the best."""
    judgement = verdict.judgement
    return {
        "saving": {**plain(verdict.saving), "outcome": _outcome(verdict.difference)},
        "difference_usd": plain(verdict.difference),
        "fresh": {"first": first, "replications": verdict.replications, "reached": verdict.reached},
        "requirements": [] if judgement is None else [_requirement(one) for one in judgement.verdicts],
        "outcome": None if judgement is None else judgement.outcome,
    }


def _outcome(difference: Interval) -> str:
    if difference.lo is not None and difference.lo > 0:
        return "saves"
    return "costs more" if difference.hi is not None and difference.hi < 0 else "open"


def _requirement(one: Judged) -> Json:
    asked = {"text": one.requirement.text, "kind": one.requirement.kind}
    return {**asked, "outcome": one.outcome, **plain(one.interval), "needed": one.needed}


def line_of(space: Space, line: Line) -> Json:
    """Return how the cost lies along one dimension."""
    ranged = next(one.span is not None for one in space.dimensions if one.path == line.path)
    return {
        "path": line.path,
        "tried": [{"value": value, "excess_usd": plain(excess)} for value, excess in line.tried],
        "as_good": [line.as_good[0], line.as_good[-1]] if ranged else line.as_good,
        "ranged": ranged,
        "flat": line.flat,
        "end": line.end,
    }


def bound_of(space: Space, bound: Bound | None) -> Json | None:
    """Return the cheapest point that is left out for a requirement."""
    if bound is None:
        return None
    return {
        "values": space.named(bound.point),
        "outcome": bound.outcome,
        "requirements": bound.requirements,
        "saving_usd": plain(bound.saving),
    }


def front_of(fresh: Trials, front: Sequence[Point], best: Point) -> Json:
    """Return the front, the cheapest first."""
    aim = fresh.aim
    kind = aim.measures[aim.against].kind
    points = [
        {
            "values": fresh.space.named(point),
            "best": point == best,
            **figures_of(fresh, point),
            "outcome": fresh.outcome(point) if aim.requirements else None,
        }
        for point in front
    ]
    return {"against": aim.against, "kind": kind, "more": more_is_better(aim.against), "points": points}


def formula_of(fresh: Trials, formula: Formula, best: Point) -> Json:
    """Return what the closed form says, and what following it costs more than the best point."""
    if formula.point is None or not fresh.count(formula.point):
        return {"text": formula.text}
    regret = plain(fresh.excess(formula.point, best))
    values = fresh.space.named(formula.point)
    return {"text": formula.text, "values": values, **figures_of(fresh, formula.point), "regret_usd": regret}
