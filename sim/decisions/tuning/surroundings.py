"""How the cost lies around the best point: where it is flat, where a range ends, and what a requirement costs."""

from collections.abc import Sequence
from typing import NamedTuple

from sim.decisions.tuning.space import Dimension, Point
from sim.decisions.tuning.trials import Trials
from sim.stats import LEVEL, Interval

__all__ = ["FLAT", "Bound", "Line", "bound_by", "lines"]

FLAT = 0.25  # of a range over which the cost is as good as the least, from which on it is called flat
_AT_END = 1 / 64  # of a range


class Line(NamedTuple):
    """One dimension through the best point, the others as they are there."""

    path: str
    tried: list[tuple[str, Interval]]  # value, and what it costs more than the best, dollars; in the order of values
    as_good: list[str]  # the values around the best that cost as little, to within the precision or to within luck
    flat: bool
    end: str | None  # "lower" or "upper" where the best is an end of a range that is not flat, and could be widened


class Bound(NamedTuple):
    """The cheapest point that may not be had, for what is required."""

    point: Point
    outcome: str  # undecided or fail
    requirements: list[str]  # that it is not shown to keep
    saving: Interval  # dollars that it costs less than the best


def lines(trials: Trials, best: Point, most: int, precision: float) -> list[Line]:
    """Return each dimension's line, from points that have met ``most`` replications."""
    return [_line(trials, best, number, most, precision) for number in range(len(best))]


def _line(trials: Trials, best: Point, number: int, most: int, precision: float) -> Line:
    dimension = trials.space.dimensions[number]
    there = [
        point
        for point in trials.points
        if trials.count(point) >= min(most, trials.count(best))
        and trials.space.beside(point, number, best[number]) == best
    ]
    ordered = sorted(there, key=lambda point: _place(dimension, point[number]))
    excess = {point: trials.excess(point, best) for point in ordered}
    good = [point for point in ordered if _as_good(trials, point, best, excess[point], precision)]
    if dimension.span is not None:
        good = _run_around(ordered, good, best)
    values = [point[number] for point in good]
    flat = _is_flat(dimension, values)
    end = None if flat or dimension.span is None else _end(trials, best, number)
    return Line(dimension.path, [(point[number], excess[point]) for point in ordered], values, flat, end)


def _place(dimension: Dimension, text: str) -> float:
    share = dimension.share(text)
    return 0.0 if share is None else share


def _as_good(trials: Trials, point: Point, best: Point, excess: Interval, precision: float) -> bool:
    if point == best:
        return True
    near = excess.mean <= precision * trials.mean(best) or (excess.lo is not None and excess.lo <= 0)
    return near and trials.outcome(point) == trials.outcome(best)


def _run_around(ordered: Sequence[Point], good: Sequence[Point], best: Point) -> list[Point]:
    """Return the points as good as the best between which none is worse."""
    run: list[Point] = []
    for point in ordered:
        if point in good:
            run.append(point)
        elif best in run:
            break
        else:
            run = []
    return run


def _is_flat(dimension: Dimension, as_good: Sequence[str]) -> bool:
    if dimension.span is None:
        return len(set(dimension.axis.values)) > 1 and len(set(as_good)) == len(set(dimension.axis.values))
    return _place(dimension, as_good[-1]) - _place(dimension, as_good[0]) >= FLAT


def _end(trials: Trials, best: Point, number: int) -> str | None:
    """Return at which end of its range the best value is, if the scenario would take more."""
    dimension = trials.space.dimensions[number]
    here = _place(dimension, best[number])
    side = 0 if here <= _AT_END else 1 if here >= 1 - _AT_END else None
    if side is None:
        return None
    past = dimension.beyond(side)
    if past is None or not trials.space.allowed(trials.source.base, trials.space.beside(best, number, past)):
        return None
    return ("lower", "upper")[side]


def bound_by(trials: Trials, best: Point) -> Bound | None:
    """Return the cheapest point that is left out for a requirement, if any is shown to cost less than the best.

    The intervals of all points that are left out hold at once (Bonferroni): of many one looks cheaper by luck.
    """
    wanted = trials.aim.requirements
    if not wanted:
        return None
    outside = [point for point in trials.points if trials.outcome(point) != "pass"]
    level = 1 - (1 - LEVEL) / max(1, len(outside))
    cheaper = [(trials.excess(point, best, level), point) for point in outside if point != best]
    shown = [(excess.mean, point, excess) for excess, point in cheaper if excess.hi is not None and excess.hi < 0]
    if not shown:
        return None
    _, point, excess = min(shown, key=lambda one: (one[0], one[1]))
    missed = [one.text for one in wanted if trials.outcome_of(point, one) != "pass"]
    return Bound(point, trials.outcome(point), missed, excess.scaled(-1))
