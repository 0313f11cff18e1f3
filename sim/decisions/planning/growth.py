"""A load that grows from month to month, and which usage tier each month takes."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.measures import evidence_of, measures_of
from sim.decisions.planning.loads import setting
from sim.errors import InputError, wrong
from sim.experiments.estimates import Json, plain
from sim.stats import LEVEL

__all__ = ["Growth", "Reach", "grown", "growth_of", "least_tier"]

Tier: TypeAlias = str | None  # None: the scenario's own project

COSTED = 30  # replications behind the cost of a month
MOST_MONTHS = 120
_MOST_FACTOR = 10.0

_FACTOR = re.compile(r"\s*x?\s*(?P<factor>\d+(?:\.\d+)?)\s*(?:/|a|per)\s*month\s*")
_MONTHS = re.compile(r"\s*(?P<count>\d{1,4})\s*(?P<unit>month|year)s?\s*")


class Growth(NamedTuple):
    """A factor a month, for some months from now."""

    factor: float
    months: int

    def loads(self, own: float) -> list[float]:
        """Return the load of today and of each month after it.

        >>> Growth(1.5, 2).loads(2.0)
        [2.0, 3.0, 4.5]
        """
        return [own * self.factor**month for month in range(self.months + 1)]


class Reach(NamedTuple):
    """What a search says of the loads that a strategy carries under one tier."""

    capacity: float | None
    beyond: float | None  # a load that is known not to pass; None: nothing above the capacity was tried
    since: float | None

    def carries(self, load: float) -> bool | None:
        """Return whether a load meets every requirement; None where it is above all that was tried."""
        if self.capacity is not None and load <= self.capacity:
            return self.since is None or load >= self.since
        return None if self.beyond is None and self.capacity is not None else False


def growth_of(factor: str, lasting: str) -> Growth:
    """Return the growth of texts such as ``1.2/month`` and ``12months``; raise every mistake.

    >>> growth_of("x1.2 a month", "1 year")
    Growth(factor=1.2, months=12)
    """
    by, months = _FACTOR.fullmatch(factor), _MONTHS.fullmatch(lasting)
    count = 0 if months is None else int(months["count"]) * (12 if months["unit"] == "year" else 1)
    problems = []
    if by is None or not 0 < float(by["factor"]) <= _MOST_FACTOR:
        allowed = f"a factor above 0, {_MOST_FACTOR:g} at most, such as 1.2/month"
        problems.append(wrong("--growth", "not a growth", allowed, factor))
    if not 0 < count <= MOST_MONTHS:
        allowed = f"1 to {MOST_MONTHS} months, such as 12months"
        problems.append(wrong("--for", "not a time to grow", allowed, lasting))
    if problems or by is None:
        raise InputError(problems)
    return Growth(float(by["factor"]), count)


def least_tier(load: float, reaches: Mapping[Tier, Reach]) -> tuple[Tier, bool | None]:
    """Return the first tier that carries a load, and True; else None, and False if none does or None if one might.

    >>> reaches = {"1": Reach(2.0, 2.1, None), "2": Reach(8.0, None, None)}
    >>> [least_tier(load, reaches) for load in (2.0, 5.0, 9.0)]
    [('1', True), ('2', True), (None, None)]
    """
    answers = {tier: reach.carries(load) for tier, reach in reaches.items()}
    for tier, answer in answers.items():
        if answer:
            return tier, True
    return None, None if None in answers.values() else False


class _Month(NamedTuple):
    """One strategy in one month."""

    strategy: str
    model: str
    number: int
    load: float
    tier: Tier
    met: bool | None

    @property
    def sets(self) -> tuple[str, ...]:
        return setting(self.tier, self.load)


def grown(source: Source, growth: Growth, own: float, capacities: Sequence[Json]) -> Json:
    """Return the path of each strategy and model, given their capacities by tier, least tiers first."""
    reaches: dict[tuple[str, str], dict[Tier, Reach]] = {}
    for one in capacities:
        reach = Reach(one["capacity"], one["beyond"], one["since"])
        reaches.setdefault((one["strategy"], one["model"]), {})[one["tier"]] = reach
    paths = {
        pair: [_Month(*pair, number, load, *least_tier(load, tiers)) for number, load in enumerate(growth.loads(own))]
        for pair, tiers in reaches.items()
    }
    there = _found(source, [month for path in paths.values() for month in path if month.met])
    return {
        **growth._asdict(),
        "replications": COSTED,
        "paths": [_told(path, reaches[pair], there) for pair, path in paths.items()],
    }


def _found(source: Source, months: Sequence[_Month]) -> dict[tuple[str, ...], Found]:
    """Return what the loads of some months gave, by their overrides, each under its tier."""
    names: dict[tuple[str, ...], dict[str, None]] = {}
    for month in months:
        names.setdefault(month.sets, {})[month.strategy] = None
    asks = [Ask(sets, tuple(strategies)) for sets, strategies in names.items()]
    return dict(zip(names, source.find(asks, range(COSTED)), strict=True))


def _told(path: Sequence[_Month], reaches: Mapping[Tier, Reach], there: Mapping[tuple[str, ...], Found]) -> Json:
    met = next((month.number for month in path if month.met is not True), len(path))
    most = max((reach.capacity for reach in reaches.values() if reach.capacity is not None), default=None)
    return {
        "strategy": path[0].strategy,
        "model": path[0].model,
        "until": met - 1 if met else None,
        "path": [
            {
                "month": month.number,
                "load": month.load,
                "tier": month.tier,
                "met": month.met,
                "cost_usd_a_month": _cost(month, there[month.sets]) if month.met else None,
                "short_by": month.load / most if month.met is False and most is not None else None,
            }
            for month in path
        ],
    }


def _cost(month: _Month, there: Found) -> Json:
    measure = measures_of(there.scenario)["cost a month"]
    return plain(evidence_of(measure, there, month.strategy, model=month.model).interval(LEVEL))
