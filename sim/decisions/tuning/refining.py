"""From the survivors of a race to the least cost, by scipy's optimisers on replications that stay the same."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import Bounds, differential_evolution, minimize_scalar

from sim.decisions.tuning.space import Point
from sim.decisions.tuning.trials import Trials
from sim.workload.sizes import Floats

__all__ = ["as_present", "beside", "refine"]

GENERATIONS = 4  # of an evolution
_POPULATION = 12
_STEPS = [step / 8 for step in range(9)]  # of the way along a range
_NEAR = (-1 / 16, -1 / 32, 1 / 32, 1 / 16)  # of the range, from where one is
_MOVES = 3  # walks beside the best point at most
_ASKS = 10  # of a search along a line
_TOLERANCE = 1 / 512  # of the range
_NEXT_TO_NOTHING = 0.1  # of the precision


def refine(
    trials: Trials,
    survivors: Sequence[Point],
    others: Sequence[Point],
    *,
    most: int,
    precision: float,
    seed: int,
    evolve: bool = True,
) -> Point:
    """Return the best point that is found from the survivors on, after all that is tried beside it.

    The mean over the same ``most`` replications is a function without noise (sample average approximation: Shapiro
    2003), so optimisers for such functions serve. Two ranges or more: differential evolution (Storn and Price 1997)
    from the survivors, a generation a batch. Then every dimension by itself through the best point, all in one batch,
    as long as that gains more than next to nothing. One range: Brent's search (1973) between the best one's neighbours.
    """
    space = trials.space
    best = _start(trials, survivors, most)
    if evolve and len(space.ranges) > 1:
        best = _evolved(trials, _population(trials, survivors, others), most, seed)
    for _ in range(_MOVES):
        around = [best, *beside(trials, best)]
        trials.meet(around, most)
        before, best = best, trials.best(around, most)
        if _is_next_to_nothing(trials, before, best, precision):
            break
    return _narrowed(trials, best, most) if len(space.ranges) == 1 else best


def _start(trials: Trials, survivors: Sequence[Point], most: int) -> Point:
    few = sorted(survivors, key=trials.standing)[:_POPULATION]
    trials.meet(few, most)
    return trials.best(few, most)


def beside(trials: Trials, best: Point) -> Iterable[Point]:
    """Return the points that differ from one in one dimension: eighths of its range and some near, or all its list."""
    space = trials.space
    shares = space.shares(best)
    found: dict[Point, None] = {}
    for number, dimension in enumerate(space.dimensions):
        here = shares[number]
        near = [share for step in _NEAR if 0 < (share := here + step) < 1]
        values = [dimension.value(share) for share in (*_STEPS, *near)] if dimension.span else dimension.axis.values
        found |= dict.fromkeys(space.beside(best, number, text) for text in values)
    found.pop(best, None)
    return found


def _population(trials: Trials, survivors: Sequence[Point], others: Sequence[Point]) -> list[Point]:
    """Return whom an evolution begins with: the cheapest survivors, and where they are few the next that left."""
    left = sorted((point for point in others if point not in survivors), key=trials.standing)
    ranked = [*sorted(survivors, key=trials.standing), *left]
    return [point for point in ranked if trials.count(point)][:_POPULATION]


def _evolved(trials: Trials, population: Sequence[Point], most: int, seed: int) -> Point:
    space = trials.space
    tried = dict.fromkeys(population)
    trials.meet(population, most)
    unit = trials.mean(population[0]) or 1.0

    def scores(shares: Floats, /) -> Any:  # a cost for each column of shares (d, n)
        points = [space.point(column) for column in shares.T.tolist()]
        trials.meet(points, most)
        tried.update(dict.fromkeys(points))
        return np.array([trials.score(point, unit) for point in points])

    start = np.array([space.shares(point) for point in population])
    if len(population) >= 5:  # scipy's least
        bounds = Bounds([0.0] * len(space.dimensions), [1.0] * len(space.dimensions))
        differential_evolution(
            scores,
            bounds,
            init=start,
            maxiter=GENERATIONS,
            polish=False,
            vectorized=True,
            updating="deferred",
            rng=seed,
        )
    return trials.best(list(tried), most)


def as_present(trials: Trials, best: Point, present: Sequence[str | None], most: int, precision: float) -> Point:
    """Return a best point with the scenario's present values wherever changing them alone gains next to nothing.

    That is less than a tenth of the precision: what does not matter had better stay as it is.
    """
    for number, value in enumerate(present):
        if value is None or value == best[number] or trials.space.dimensions[number].share(value) is None:
            continue
        kept = trials.space.beside(best, number, value)
        trials.meet([kept], most)
        if trials.count(kept) and _is_next_to_nothing(trials, kept, best, precision):
            best = kept
    return best


def _is_next_to_nothing(trials: Trials, before: Point, after: Point, precision: float) -> bool:
    """Return whether a point keeps what another does, and gains less than a tenth of the precision on it."""
    if trials.standing(before)[:2] > trials.standing(after)[:2]:
        return False
    return trials.mean(before) - trials.mean(after) <= _NEXT_TO_NOTHING * precision * trials.mean(after)


def _narrowed(trials: Trials, best: Point, most: int) -> Point:
    """Return the best point between the neighbours of one along the only range."""
    space, number = trials.space, trials.space.ranges[0]
    tried = [best]
    unit = trials.mean(best) or 1.0

    def score(share: float) -> float:
        point = space.beside(best, number, space.dimensions[number].value(float(share)))
        trials.meet([point], most)
        tried.append(point)
        return trials.score(point, unit)

    low, high = _neighbours(trials, best, number)
    minimize_scalar(score, bounds=(low, high), method="bounded", options={"maxiter": _ASKS, "xatol": _TOLERANCE})
    return trials.best(tried, most)


def _neighbours(trials: Trials, best: Point, number: int) -> tuple[float, float]:
    """Return the shares of the nearest points that were tried on either side, or the end where there is none."""
    space = trials.space
    here = space.shares(best)[number]
    line = [p for p in trials.points if space.beside(p, number, best[number]) == best]
    shares = [space.shares(point)[number] for point in line]
    below = max((share for share in shares if share < here), default=0.0)
    return below, min((share for share in shares if share > here), default=1.0)
