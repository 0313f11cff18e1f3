"""What is asked of a search for capacity: read from what a user says, with every mistake at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from sim.decisions.measures import requirements
from sim.decisions.planning.growth import Growth, growth_of
from sim.decisions.planning.loads import RESOLUTION, Loads, loads_between, range_of, setting, usual_loads
from sim.errors import InputError, Problem, unknown, wrong
from sim.experiments.estimates import Json
from sim.providers.project import TIERS
from sim.scenario import Scenario, read_scenario
from sim.skewed import ENOUGH
from sim.stats import LEVEL
from sim.verdicts import Requirement
from sim.workload.rules import expected_requests

__all__ = ["Asked", "Question", "question_of"]

T = TypeVar("T")


class Asked(NamedTuple):
    """The question as a user puts it."""

    require: Sequence[str]
    strategies: Sequence[str] = ()  # none: all
    tiers: Sequence[str] = ()  # none: the scenario's own project
    load: str | None = None  # LO..HI
    resolution: float = RESOLUTION
    confidence: float = LEVEL
    replications: int | None = None
    growth: str | None = None
    lasting: str | None = None


class Question(NamedTuple):
    """What is asked, read."""

    requirements: tuple[Requirement, ...]
    strategies: tuple[str, ...]
    tiers: tuple[str | None, ...]  # the least first; None: the scenario's own project
    loads: Loads
    confidence: float
    replications: int  # of a test
    growth: Growth | None

    @property
    def asked(self) -> Json:
        """Return the question as JSON: with the scenario all that the answer depends on."""
        return {
            "require": [one.text for one in self.requirements],
            "strategies": list(self.strategies),
            "tiers": list(self.tiers),
            "loads": list(self.loads),
            "confidence": self.confidence,
            "replications": self.replications,
            "growth": None if self.growth is None else list(self.growth),
        }


def question_of(base: Scenario | None, told: Asked) -> Question:
    """Return the question; raise :class:`InputError` with all that is wrong with it, where there is no scenario too."""
    problems = [*_numbers(told), *_tiers(told)]
    growth = _noted(problems, lambda: _growth(told))
    if told.load is not None:
        _noted(problems, lambda: range_of(told.load or ""))
    if base is None:
        raise InputError(problems)
    problems += _recorded(base)
    wanted = _noted(problems, lambda: requirements(told.require, base))
    names = _names(base, told, problems)
    loads = None if problems else _noted(problems, lambda: _loads(base, told, growth))
    order: tuple[str | None, ...] = tuple(tier for tier in TIERS if tier in told.tiers) or (None,)
    if loads is not None:
        problems += [one for tier in order for one in _unscalable(base, names, tier, loads.at(loads.hi))]
    if problems or wanted is None or loads is None:
        raise InputError(dict.fromkeys(problems))
    return Question(tuple(wanted), names, order, loads, told.confidence, told.replications or ENOUGH, growth)


def _noted(problems: list[Problem], read_it: Callable[[], T]) -> T | None:
    """Return what is read, or note what is wrong with it."""
    try:
        return read_it()
    except InputError as error:
        problems += error.problems
        return None


def _numbers(told: Asked) -> Iterator[Problem]:
    if not 0.01 <= told.resolution <= 1:
        yield wrong("--resolution", "not a resolution", "a share from 1% to 100%", told.resolution)
    if not 0.5 <= told.confidence < 1:
        yield wrong("--confidence", "not a confidence", "a share from 50% to below 100%", told.confidence)
    if told.replications is not None and told.replications < ENOUGH:
        what = "too few to pass anything where something is random"
        yield wrong("--replications", what, f"{ENOUGH} or more", told.replications)


def _tiers(told: Asked) -> Iterator[Problem]:
    for tier in dict.fromkeys(told.tiers):
        if tier not in TIERS:
            yield wrong("--tier", "not a usage tier", ", ".join(TIERS), tier)


def _growth(told: Asked) -> Growth | None:
    if told.growth is None and told.lasting is None:
        return None
    if told.growth is None or told.lasting is None:
        flag, other = ("--for", "--growth") if told.growth is None else ("--growth", "--for")
        allowed = "both, such as --growth 1.2/month --for 12months"
        raise InputError([wrong(flag, f"means nothing without {other}", allowed)])
    return growth_of(told.growth, told.lasting)


def _recorded(base: Scenario) -> Iterator[Problem]:
    if base.spec.replay is not None:
        yield wrong("SCENARIO", "a recorded trace has no load that can grow", "a scenario with streams", base.name)


def _names(base: Scenario, told: Asked, problems: list[Problem]) -> tuple[str, ...]:
    known = [arm.name for arm in base.arms]
    problems += unknown("--strategy", "strategy", dict.fromkeys(told.strategies), known)
    return tuple(name for name in known if not told.strategies or name in told.strategies)


def _loads(base: Scenario, told: Asked, growth: Growth | None) -> Loads:
    own = base.spec.load
    if told.load is not None:
        return loads_between(told.load, own, told.resolution)
    requests = max(expected_requests(arm.spec.workload) for arm in base.arms)
    if not requests:
        raise InputError([wrong("SCENARIO", "it expects no requests at all", "streams with arrivals", base.name)])
    return usual_loads(own, requests, told.resolution, max(growth.loads(own)) if growth else 0.0)


def _unscalable(base: Scenario, names: Sequence[str], tier: str | None, load: float) -> Iterator[Problem]:
    """Yield what keeps strategies from meeting a tier or the highest load, so that nothing fails hours later."""
    try:
        scenario = read_scenario(base.document, base.name, sets=setting(tier, load))
    except InputError as error:
        yield from error.problems
        return
    for arm in scenario.arms:
        if arm.name in names and arm.spec.load != load:
            what = f"{arm.name} sets a load of its own, which cannot grow"
            yield wrong("--strategy", what, "strategies that take the scenario's")
        if arm.name in names and tier is not None and arm.spec.project.tier != tier:
            what = f"{arm.name} sets a usage tier of its own, tier {arm.spec.project.tier}"
            yield wrong("--tier", what, "no --tier, or other strategies", tier)
