"""Settings that meet replications: the same ones, so that what parts two settings is not luck."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.measures import Measure, evidence_of, values_of
from sim.decisions.tuning.space import Point, Space
from sim.skewed import bill_difference
from sim.stats import LEVEL, Interval
from sim.verdicts import Evidence, Outcome, Requirement, judge

__all__ = ["Aim", "Setting", "Trials", "more_is_better"]

Setting: TypeAlias = Point | None  # None: the scenario as it is

_GRADES = {"pass": 0, "undecided": 1, "fail": 2}  # what a point does of what is required; 3 is no scenario
_WORSE, _DEAREST = (0.0, 1e3, 1e6, 1e9), 500.0  # by grade: no cost makes up for a grade


class Aim(NamedTuple):
    """What is looked for: the least cost of a strategy that keeps what is required."""

    strategy: str
    model: str
    baseline: str
    requirements: tuple[Requirement, ...]
    measures: dict[str, Measure]
    against: str  # the measure that the front sets beside the cost

    @property
    def asked(self) -> tuple[str, ...]:
        """Return the strategies that a setting is run with: the baseline too where a saving is required."""
        versus = any(self.measures[one.measure].versus for one in self.requirements)
        return (self.strategy, self.baseline) if versus else (self.strategy,)


class Trials:
    """Runs settings on the replications ``first``, ``first + 1``, ..., and remembers what they gave."""

    def __init__(self, source: Source, space: Space, aim: Aim, first: int = 0) -> None:
        self.source, self.space, self.aim, self.first = source, space, aim, first
        self.refused = dict[Point, None]()  # points that are no scenario
        self._found = dict[Setting, Found]()
        self._costs = dict[Setting, list[float]]()

    @property
    def points(self) -> list[Point]:
        """Return the points that have met any replication, in the order in which they did."""
        return [setting for setting in self._costs if setting is not None]

    def meet(self, settings: Iterable[Setting], replications: int) -> None:
        """Let settings meet the first so many replications, in one batch of work; points that are none are noted."""
        lacking = [one for one in dict.fromkeys(settings) if self.count(one) < replications and self._may(one)]
        if not lacking:
            return
        asks = [Ask(self.space.sets(one), self.aim.asked) for one in lacking]
        found = self.source.find(asks, range(self.first, self.first + replications))
        for one, rows in zip(lacking, found, strict=True):
            self._found[one] = rows
            known = self._costs.setdefault(one, [])
            new = rows.of(self.aim.strategy, self.aim.model)[len(known) :]
            known += [float(self.aim.measures["cost"].above(row) or 0) for row in new]

    def _may(self, setting: Setting) -> bool:
        alone = len(self.space.dimensions) == 1  # whose values were tried when the question was read
        if setting is None or setting in self._costs or alone:
            return True
        if setting in self.refused or not self.space.allowed(self.source.base, setting):
            self.refused[setting] = None
            return False
        return True

    def count(self, setting: Setting) -> int:
        """Return how many replications a setting has met."""
        return len(self._costs.get(setting, ()))

    def found(self, setting: Setting) -> Found:
        """Return the rows of a setting."""
        return self._found[setting]

    def costs(self, setting: Setting, count: int | None = None) -> list[float]:
        """Return the cost of each replication, or of the first so many."""
        return self._costs[setting][:count]

    def mean(self, setting: Setting, count: int | None = None) -> float:
        """Return the mean cost."""
        costs = self.costs(setting, count)
        return math.fsum(costs) / len(costs)

    def evidence(self, setting: Setting, measure: str) -> Evidence:
        """Return what the replications say of a measure of a setting."""
        aim = self.aim
        return evidence_of(aim.measures[measure], self._found[setting], aim.strategy, aim.baseline, aim.model)

    def excess(self, setting: Setting, other: Setting, level: float = LEVEL) -> Interval:
        """Return what a setting costs more than another, on the replications that both have met."""
        count = min(self.count(setting), self.count(other))
        return bill_difference(self.costs(setting, count), self.costs(other, count), level)

    def against(self, setting: Setting, count: int | None = None) -> float:
        """Return the mean of the measure beside the cost: infinite where a replication has none."""
        values = self._measured(setting)[:count]
        mean = math.fsum(values) / len(values) if values else math.nan
        return math.inf if math.isnan(mean) else mean

    def betters(self, setting: Setting, other: Setting, level: float = LEVEL) -> bool:
        """Return whether the measure beside the cost is shown to be better than another setting's, by its pairs.

        A setting without a measure where the other has one, since it answered nothing there, is not better.
        """
        own, others = self._measured(setting), self._measured(other)
        if any(math.isnan(a) and not math.isnan(b) for a, b in zip(own, others)):  # noqa: B905 - as many as both have met
            return False
        pairs = [(a, b) for a, b in zip(own, others) if math.isfinite(a) and math.isfinite(b)]  # noqa: B905 - as many as both have met
        if not pairs:
            return False
        ours, theirs = zip(*pairs, strict=True)
        apart = bill_difference(ours, theirs, level)
        end, side = (apart.lo, 1) if more_is_better(self.aim.against) else (apart.hi, -1)
        return end is not None and side * end > 0

    def _measured(self, setting: Setting) -> list[float]:
        aim = self.aim
        return values_of(aim.measures[aim.against], self._found[setting], aim.strategy, aim.model)

    def outcome(self, setting: Setting, level: float = LEVEL) -> Outcome:
        """Return whether a setting keeps all requirements (pass), breaks one (fail), or neither is shown.

        Each requirement is judged by an interval of its own ``level``.
        """
        outcomes = {self.outcome_of(setting, one, level) for one in self.aim.requirements}
        return "fail" if "fail" in outcomes else "undecided" if "undecided" in outcomes else "pass"

    def outcome_of(self, setting: Setting, wanted: Requirement, level: float = LEVEL) -> Outcome:
        """Return what :meth:`outcome` says of one requirement alone."""
        return judge([wanted], {wanted.measure: self.evidence(setting, wanted.measure)}, level, least=2).outcome

    def standing(self, point: Point) -> tuple[int, float, float]:
        """Return how a point compares, less being better: what it keeps, by how much it misses that, and its cost."""
        if point not in self._costs:
            return (3, 0.0, 0.0)
        grade = _GRADES[self.outcome(point)]
        return (grade, self._shortfall(point) if grade else 0.0, self.mean(point))

    def score(self, point: Point, unit: float) -> float:
        """Return a standing as the one number that an optimiser makes less; costs are counted in units."""
        grade, shortfall, cost = self.standing(point)
        return _WORSE[grade] * (1 + shortfall) + min(cost / unit, _DEAREST)

    def _shortfall(self, point: Point) -> float:
        """Return by how much the requirements are missed, each as a share of its limit, at most all of it."""
        return math.fsum(self._missed(point, one) for one in self.aim.requirements) / len(self.aim.requirements)

    def _missed(self, point: Point, wanted: Requirement) -> float:
        mean, limit = self.evidence(point, wanted.measure).interval(LEVEL).mean, float(wanted.limit)
        missed = (limit - mean if wanted.at_least else mean - limit) / (abs(limit) or 1.0)
        return min(max(missed, 0.0), 1.0) if not math.isnan(missed) else 1.0

    def best(self, points: Sequence[Point], count: int) -> Point:
        """Return the point that keeps the requirements at the least cost; of equals that with the better measure.

        Points that have met fewer than ``count`` replications are not looked at unless all have.
        """
        there = [point for point in points if point in self._costs]
        full = [point for point in there if self.count(point) >= count] or there
        return min(full, key=lambda point: (*self.standing(point), self._worse(point)))

    def _worse(self, point: Point) -> float:
        return self.against(point) * (-1 if more_is_better(self.aim.against) else 1)


def more_is_better(measure: str) -> bool:
    """Return whether a measure is better the larger it is.

    >>> more_is_better("within_patience of desk"), more_is_better("p95")
    (True, False)
    """
    return measure.partition(" ")[0] in {"within_patience", "hit_ratio", "saving"}
