"""How much load a strategy takes: the largest that still meets every requirement, under each usage tier.

:mod:`sim.decisions.knee` has the method, and why a capacity is above the true one at most 5 % of the time.

The document ``gcsim.capacity/1``
---------------------------------
``requirements``
    As they were asked for.
``confidence``, ``replications``, ``pilot``, ``step``
    Of the answer; replications of a test and of a pilot; by what share a load is above the one before.
``own_load``, ``loads``
    The scenario's own load; ``lo`` and ``hi`` of the range, and ``ended``: ``range``, or ``requests`` where more load
    would be more than ``requests`` in a replication.
``method``
    The method in a sentence.
``capacities``
    For each tier, strategy and model: ``capacity`` (null: no load of the range passed), ``beyond`` (the first load
    above it, which did not pass; null: all of the range passed), ``since`` (null, or the load from which on the
    requirements seem to hold, where they seem not to at smaller ones), ``binds`` at ``beyond`` (null where nothing
    does; see :mod:`sim.decisions.bottleneck`), and ``tried``: a row for each load, ascending, with ``stage`` (``pilot``
    or ``test``), ``passed``, ``replications``, ``cost_usd`` and ``latency_p95_s`` with 95 % intervals, and for each
    requirement its ``outcome`` (null in a pilot) and ``value`` at the ``level`` of the look: ms, dollars or shares of
    1, by ``kind``.
``growth``
    Null, or ``factor``, ``months`` and ``paths``: for each strategy and model the ``path``, by month its ``load``, the
    least ``tier`` that carries it, ``met`` (false: none does; null: the load is above all that was tried),
    ``cost_usd_a_month`` with its 95 % interval, ``short_by`` (the load over the largest capacity: by so much the limit
    that binds would have to grow at least), and ``until``, the last month of those met without a gap.

Tiers are null where the scenario's own project is asked about. What JSON cannot hold is null: of an estimate, that
nothing was measured or that it is infinite.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar, Unpack

from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.growth import Growth, grown, growth_of
from sim.decisions.knee import PILOT, Plan
from sim.decisions.laboratory import Source
from sim.decisions.loads import MOST_REQUESTS, RESOLUTION, Loads, loads_between, setting, usual_loads
from sim.decisions.measures import requirements
from sim.decisions.searches import Line, Searches
from sim.errors import InputError, Problem, nearest
from sim.providers.project import TIERS
from sim.scenario import Scenario, read_scenario
from sim.skewed import ENOUGH
from sim.stats import LEVEL
from sim.verdicts import Requirement
from sim.workload.rules import expected_requests

__all__ = ["Asked", "Question", "answer", "capacity", "question_of"]

Json: TypeAlias = dict[str, Any]
T = TypeVar("T")

METHOD = (
    "A pilot on other replications finds where to begin; from there loads are tested upwards on common random numbers, "
    "step by step, and the first that does not pass ends it (fixed-sequence testing: no correction for many looks). "
    "Several requirements need none either (intersection-union test)."
)


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


def capacity(  # noqa: PLR0913 - as many as a question has parts
    scenario: str | Path | Scenario,
    *,
    require: Sequence[str],
    strategies: Sequence[str] = (),
    tiers: Sequence[str | int] = (),
    load: str | None = None,
    resolution: float = RESOLUTION,
    confidence: float = LEVEL,
    replications: int | None = None,
    growth: str | None = None,
    lasting: str | None = None,
    **means: Unpack[Means],
) -> Finding:
    """Return the largest load that each strategy takes under each usage tier, with the confidence asked.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or one from :func:`sim.load`.
    require
        Such as ``"p95 latency of chat <= 5s"``; all of them have to be met.
    strategies
        By name; all of them by default.
    tiers
        Usage tiers instead of the scenario's own: ``"free"``, 1, 2, 3.
    load
        A range ``LO..HI`` of the scenario's key ``load``; by default 64 times its own, up and down, as far as a
        replication expects a quarter of a million requests at most.
    resolution
        By what share a load is at most above the one before.
    replications
        Of a test: 100 at least, which is the default.
    growth, lasting
        A path such as ``"1.2/month"`` and ``"12months"``: which tier each month takes, and what it costs.
    means
        See :class:`sim.decisions.finding.Means`.

    Raises
    ------
    InputError
        With every mistake.
    """
    base = read(scenario, means)
    texts = [str(tier) for tier in tiers]
    told = Asked(require, strategies, texts, load, resolution, confidence, replications, growth, lasting)
    asked = question_of(base, told)
    return found("capacity", base, asked.asked, lambda source: answer(source, asked), means)


def question_of(base: Scenario | None, told: Asked) -> Question:
    """Return the question; raise :class:`InputError` with all that is wrong with it, where there is no scenario too."""
    problems = [*_numbers(told), *_tiers(told)]
    growth = _noted(problems, lambda: _growth(told))
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


def _wrong(flag: str, what: str, allowed: str, got: object = None) -> Problem:
    return Problem("command line", 0, flag, what, allowed, got)


def _numbers(told: Asked) -> Iterator[Problem]:
    if not 0.01 <= told.resolution <= 1:
        yield _wrong("--resolution", "not a resolution", "a share from 1% to 100%", told.resolution)
    if not 0.5 <= told.confidence < 1:
        yield _wrong("--confidence", "not a confidence", "a share from 50% to below 100%", told.confidence)
    if told.replications is not None and told.replications < ENOUGH:
        what = "too few to pass anything where something is random"
        yield _wrong("--replications", what, f"{ENOUGH} or more", told.replications)


def _tiers(told: Asked) -> Iterator[Problem]:
    for tier in dict.fromkeys(told.tiers):
        if tier not in TIERS:
            yield _wrong("--tier", "not a usage tier", ", ".join(TIERS), tier)


def _growth(told: Asked) -> Growth | None:
    if told.growth is None and told.lasting is None:
        return None
    if told.growth is None or told.lasting is None:
        flag, other = ("--for", "--growth") if told.growth is None else ("--growth", "--for")
        allowed = "both, such as --growth 1.2/month --for 12months"
        raise InputError([_wrong(flag, f"means nothing without {other}", allowed)])
    return growth_of(told.growth, told.lasting)


def _recorded(base: Scenario) -> Iterator[Problem]:
    if base.spec.replay is not None:
        yield _wrong("SCENARIO", "a recorded trace has no load that can grow", "a scenario with streams", base.name)


def _names(base: Scenario, told: Asked, problems: list[Problem]) -> tuple[str, ...]:
    known = [arm.name for arm in base.arms]
    unknown = [name for name in dict.fromkeys(told.strategies) if name not in known]
    problems += [_wrong("--strategy", "unknown strategy", nearest(name, known), name) for name in unknown]
    return tuple(name for name in known if not told.strategies or name in told.strategies)


def _loads(base: Scenario, told: Asked, growth: Growth | None) -> Loads:
    own = base.spec.load
    if told.load is not None:
        return loads_between(told.load, own, told.resolution)
    requests = max(expected_requests(arm.spec.workload) for arm in base.arms)
    if not requests:
        raise InputError([_wrong("SCENARIO", "it expects no requests at all", "streams with arrivals", base.name)])
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
            yield _wrong("--strategy", what, "strategies that take the scenario's")
        if arm.name in names and tier is not None and arm.spec.project.tier != tier:
            what = f"{arm.name} sets a usage tier of its own, tier {arm.spec.project.tier}"
            yield _wrong("--tier", what, "no --tier, or other strategies", tier)


def answer(source: Source, asked: Question) -> Json:
    """Return the document, given what computes cells."""
    loads, models = asked.loads, source.base.spec.models
    lines = [Line(tier, name, model) for tier in asked.tiers for name in asked.strategies for model in models]
    usual = PILOT * (len(loads.rungs) // 2 + 6) + 2 * asked.replications  # cells of a search: a guess, for the bar
    source.expect(len(lines) * usual)
    plan = Plan(asked.requirements, loads, asked.confidence, asked.replications)
    capacities = Searches(source, plan, lines).run()
    growth = None if asked.growth is None else grown(source, asked.growth, loads.own, capacities)
    return {
        "requirements": [one.text for one in asked.requirements],
        "confidence": asked.confidence,
        "replications": asked.replications,
        "pilot": PILOT,
        "step": loads.apart,
        "own_load": loads.own,
        "loads": {"lo": loads.at(loads.lo), "hi": loads.at(loads.hi), "ended": loads.ended, "requests": MOST_REQUESTS},
        "method": METHOD,
        "capacities": capacities,
        "growth": growth,
        "warnings": [warning for one in capacities for warning in _warnings(one)],
    }


def _warnings(one: Json) -> Iterator[str]:
    name = one["strategy"] + ("" if one["tier"] is None else f" on tier {one['tier']}")
    if one["since"] is not None:
        yield f"{name}: holds from load {one['since']:g} on only; below it the requirements seem not to be met"
    at = next((row for row in one["tried"] if row["load"] == one["capacity"]), None)
    for told in dict.fromkeys(entry["warning"] for entry in at["requirements"]) if at else ():
        if told is not None:
            yield f"{name}, at its capacity: {told}"
