"""A race of settings: all meet few replications, those that are shown to be worse leave, the others meet more."""

from collections.abc import Sequence
from typing import NamedTuple

from sim.decisions.tuning.space import Point
from sim.decisions.tuning.trials import Trials
from sim.errors import InputError, wrong

__all__ = ["FIRST", "Heat", "Race", "heats", "race"]

FIRST = 10  # replications that every setting meets
CHANCE = 0.05  # of the best one leaving, at most
_NOTHING = wrong("--vary", "no setting that was tried is a scenario", "values that go together")


class Heat(NamedTuple):
    """One round: who met so many replications, and how many left, why."""

    replications: int
    met: int
    broken: int  # left since a requirement is shown to be broken
    worse: int  # left since the leader is shown to cost less


class Race(NamedTuple):
    """Who is left, and how it came about."""

    survivors: list[Point]
    heats: list[Heat]


def heats(most: int) -> list[int]:
    """Return the replications of each round: doubled from ten to ``most``.

    >>> heats(40), heats(50), heats(5)
    ([10, 20, 40], [10, 20, 40, 50], [5])
    """
    found = [min(FIRST, most)]
    while found[-1] < most:
        found.append(min(2 * found[-1], most))
    return found


def race(trials: Trials, points: Sequence[Point], most: int, precision: float) -> Race:
    """Return the points that are left when all have met ``most`` replications, or none is worth telling apart.

    Racing (Maron and Moore 1994; F-race: Birattari et al. 2002) with paired intervals for skewed bills in place of
    ranks, since a mean cost is sought. The leader is the cheapest point that is shown to keep what is required. A point
    leaves if it is shown to break a requirement, or to cost more than the leader. Each interval is of Bonferroni's
    level over all tests that could make the best point leave, whoever leads and however long the race goes on: a
    pair with each other point and its requirements in each round, and the leaders' own requirements. So it leaves with
    a chance of at most ``CHANCE``, where intervals cover. The race ends early where no point that is left costs more
    than the leader by ``precision``, with the same confidence.
    """
    level = _level(len(points), len(trials.aim.requirements), len(heats(most)))
    left, told = list(points), list[Heat]()
    for replications in heats(most):
        trials.meet(left, replications)
        left = [point for point in left if trials.count(point)]
        if not left:
            raise InputError([_NOTHING])
        outcomes = {point: trials.outcome(point, level) for point in left}
        sound = [point for point in left if outcomes[point] != "fail"] or [trials.best(left, 0)]
        leader = min((p for p in sound if outcomes[p] == "pass"), key=trials.mean, default=None)
        apart = {} if leader is None else {point: trials.excess(point, leader, level) for point in sound}
        kept = [point for point in sound if leader is None or (apart[point].lo or 0.0) <= 0]
        told.append(Heat(replications, len(left), len(left) - len(sound), len(sound) - len(kept)))
        left = kept
        if len(left) == 1 or _alike(trials, left, leader, level, precision):
            break
    return Race(left, told)


def _level(points: int, requirements: int, rounds: int) -> float:
    tests = rounds * max(1, points - 1 + points * requirements)
    return 1 - CHANCE / tests


def _alike(trials: Trials, left: Sequence[Point], leader: Point | None, level: float, precision: float) -> bool:
    if leader is None:
        return False
    room = precision * trials.mean(leader)
    ends = [trials.excess(point, leader, level).hi for point in left]
    return all(end is not None and end <= room for end in ends)
