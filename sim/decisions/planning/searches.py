"""Searches for capacity side by side: a strategy under a usage tier each, their wishes granted together."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from sim.decisions.laboratory import Ask, Found, Row, Source
from sim.decisions.measures import evidence_of, least_of, measures_of
from sim.decisions.planning.bottleneck import bottleneck
from sim.decisions.planning.knee import Knee, Look, Plan, Search, Seen, Wish, knee
from sim.decisions.planning.loads import setting
from sim.experiments.estimates import Json, plain
from sim.stats import LEVEL
from sim.units import SECOND
from sim.verdicts import Evidence

__all__ = ["Line", "Searches"]


class Line(NamedTuple):
    """What has a capacity of its own."""

    tier: str | None  # None: the scenario's own project
    strategy: str
    model: str


class Searches:
    """The searches of all lines: each round asks for all that they wish, in as few calls as there can be."""

    def __init__(self, source: Source, plan: Plan, lines: Sequence[Line]) -> None:
        self._source, self._plan, self._lines = source, plan, lines
        self._measures = measures_of(source.base)
        self._versus = any(self._measures[one.measure].versus for one in plan.requirements)
        self._tried: dict[Line, dict[tuple[int, range], Json]] = {line: {} for line in lines}
        self._rows: dict[Line, dict[tuple[int, range], list[Row]]] = {line: {} for line in lines}

    def run(self) -> list[Json]:
        """Return what each line's search found, as a document has it."""
        searches: dict[Line, Search] = {line: knee(self._plan) for line in self._lines}
        wishes = {line: next(search) for line, search in searches.items()}
        knees: dict[Line, Knee] = {}
        while wishes:
            for line, seen in self._grant(wishes).items():
                try:
                    wishes[line] = searches[line].send(seen)
                except StopIteration as end:
                    knees[line] = end.value
                    del wishes[line]
        return [self._document(line, knees[line]) for line in self._lines]

    def _grant(self, wishes: Mapping[Line, Sequence[Wish]]) -> dict[Line, list[Seen]]:
        """Return what each line wished to see; wishes of as many replications are granted in one call."""
        asks: dict[int, dict[tuple[str | None, Wish], dict[str, None]]] = {}
        for line, wanted in wishes.items():
            for wish in wanted:
                asks.setdefault(len(wish.times), {}).setdefault((line.tier, wish), {}).update(self._names(line))
        there: dict[tuple[str | None, Wish], Found] = {}
        for times, at in asks.items():
            found = self._source.find([self._ask(*where, names) for where, names in at.items()], range(times))
            there |= zip(at, found, strict=True)
        return {
            line: [self._seen(line, wish, there[line.tier, wish]) for wish in wanted] for line, wanted in wishes.items()
        }

    def _names(self, line: Line) -> dict[str, None]:
        return dict.fromkeys((line.strategy, *([self._source.base.baseline] if self._versus else [])))

    def _ask(self, tier: str | None, wish: Wish, names: Iterable[str]) -> Ask:
        return Ask(setting(tier, self._plan.loads.at(wish.step)), tuple(names), wish.times.start)

    def _seen(self, line: Line, wish: Wish, there: Found) -> Seen:
        """Return the evidence at a load, and keep what the document tells of it."""
        names = self._names(line)
        own = {pair: rows for pair, rows in there.rows.items() if pair[0] in names and pair[1] == line.model}
        alone = Found(scenario=there.scenario, rows=own)

        def evidence(measure: str) -> Evidence:
            return evidence_of(self._measures[measure], alone, line.strategy, model=line.model)

        place = wish.step, wish.times
        self._tried[line][place] = {
            "cost_usd": plain(evidence("cost").interval(LEVEL)),
            "latency_p95_s": plain(evidence("p95").interval(LEVEL).scaled(1 / SECOND)),
        }
        self._rows[line][place] = alone.of(line.strategy, line.model)
        return Seen({one.measure: evidence(one.measure) for one in self._plan.requirements}, least_of(alone))

    def _document(self, line: Line, one: Knee) -> Json:
        at = self._plan.loads.at
        looks = {look.step: look for look in one.looks}  # a test, which comes later, takes a pilot's place
        binds = None
        if one.beyond is not None:
            look = looks[one.beyond]
            within = [] if one.capacity is None else self._at(line, looks[one.capacity])
            binds = bottleneck(self._at(line, look), within, look.verdicts)
        return {
            **line._asdict(),
            "capacity": None if one.capacity is None else at(one.capacity),
            "beyond": None if one.beyond is None else at(one.beyond),
            "since": None if one.since is None else at(one.since),
            "binds": binds,
            "tried": [self._told(line, look) for _, look in sorted(looks.items())],
        }

    def _at(self, line: Line, look: Look) -> list[Row]:
        return self._rows[line][look.step, look.times]

    def _told(self, line: Line, look: Look) -> Json:
        return {
            "load": self._plan.loads.at(look.step),
            "stage": look.stage,
            "passed": look.passed,
            "replications": len(look.times),
            "level": look.level,
            **self._tried[line][look.step, look.times],
            "requirements": [
                {
                    "text": verdict.requirement.text,
                    "kind": verdict.requirement.kind,
                    "outcome": verdict.outcome if look.stage == "test" else None,
                    "value": plain(verdict.interval),
                    "warning": verdict.warning,
                }
                for verdict in look.verdicts
            ],
        }
