"""The settings of which none is cheaper and better at once: the Pareto front of cost and another measure."""

import math
from collections.abc import Sequence

from sim.decisions.tuning.space import Point
from sim.decisions.tuning.trials import Trials, more_is_better
from sim.stats import LEVEL

__all__ = ["front_of", "shown", "undominated"]

_MOST = 12  # points that are shown


def undominated(pairs: Sequence[tuple[float, float]]) -> list[int]:
    """Return the numbers of the pairs that no other one beats, rising in the first; less is better in both.

    A pair is beaten by one that is not worse in either and better in one; equals do not beat each other.

    >>> undominated([(1.0, 5.0), (2.0, 5.0), (2.0, 3.0), (4.0, 4.0), (3.0, 1.0)])
    [0, 2, 4]
    """
    found: list[int] = []
    for number in sorted(range(len(pairs)), key=lambda one: pairs[one]):
        if not found or pairs[number][1] < pairs[found[-1]][1] or pairs[number] == pairs[found[-1]]:
            found.append(number)
    return found


def front_of(trials: Trials, points: Sequence[Point], common: int, precision: float) -> list[Point]:
    """Return the front of points over the ``common`` replications that all of them met, the cheapest first.

    Points that are shown to break a requirement are left out. A step along the front that betters the measure by less
    than ``precision`` of it is luck or not worth its cost, and not taken; of more than twelve points the ends and ten
    between are kept.
    """
    there = [point for point in points if trials.count(point) and trials.outcome(point) != "fail"]
    side = -1 if more_is_better(trials.aim.against) else 1
    pairs = [(trials.mean(point, common), side * trials.against(point, common)) for point in there]
    kept: list[int] = []
    for number in undominated(pairs):
        gained = pairs[kept[-1]][1] - pairs[number][1] if kept else 1.0
        if not kept or gained > precision * abs(pairs[kept[-1]][1]):
            kept.append(number)
    return [there[number] for number in _thinned(kept)]


def shown(fresh: Trials, front: Sequence[Point], best: Point) -> list[Point]:
    """Return what fresh replications leave of a front: the best point, and from it on each step that they show.

    A step is to a point that costs more on average and whose measure is better by the whole of a paired interval, of
    Bonferroni's level over all pairs of points, as luck has a say in which are compared: so it makes no front. A point
    without a measure, where nothing was answered, is no step.
    """
    kept, level = [best], 1 - (1 - LEVEL) / max(1, math.comb(len({best, *front}), 2))
    for point in sorted(
        (one for one in front if one != best and fresh.count(one)), key=lambda one: (fresh.mean(one), one)
    ):
        if fresh.outcome(point) != "fail" and fresh.betters(point, kept[-1], level):
            kept.append(point)
    return sorted(kept, key=lambda one: (fresh.mean(one), one))


def _thinned(numbers: Sequence[int]) -> list[int]:
    if len(numbers) <= _MOST:
        return list(numbers)
    return [numbers[round(step * (len(numbers) - 1) / (_MOST - 1))] for step in range(_MOST)]
