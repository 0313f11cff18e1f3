"""How much load a strategy takes: the largest that still meets every requirement, under each usage tier.

:mod:`sim.decisions.planning.knee` has the method, and why a capacity is above the true one at most 5 % of the time.

The document ``gcsim.capacity/1``
---------------------------------
``requirements``
    As they were asked for.
``confidence``, ``replications``, ``pilot``, ``step``
    Of the answer; replications of a test, and of a pilot at most; by what share a load is above the one before.
``own_load``, ``loads``
    The scenario's own load; ``lo`` and ``hi`` of the range, and ``ended``: ``range``, or ``requests`` where more load
    would be more than ``requests`` in a replication.
``method``
    The method in a sentence.
``capacities``
    For each tier, strategy and model: ``capacity`` (null: no load of the range passed), ``beyond`` (the first load
    above it, which did not pass; null: all of the range passed), ``since`` (null, or the load from which on the
    requirements seem to hold, where they seem not to at smaller ones), ``binds`` at ``beyond`` (null where nothing
    does; see the module ``bottleneck``), and ``tried``: a row for each load, ascending, with ``stage`` (``pilot``
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

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack

from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Source
from sim.decisions.planning.growth import grown
from sim.decisions.planning.knee import FEW, PILOT, Plan
from sim.decisions.planning.load_question import Asked, Question, question_of
from sim.decisions.planning.loads import MOST_REQUESTS, RESOLUTION
from sim.decisions.planning.searches import Line, Searches
from sim.experiments.estimates import Json
from sim.scenario import Scenario
from sim.stats import LEVEL

__all__ = ["answer", "capacity"]


METHOD = (
    "A pilot on other replications finds where to begin; from there loads are tested upwards on common random numbers, "
    "step by step, and the first that does not pass ends it (fixed-sequence testing: no correction for many looks). "
    "Several requirements need none either (intersection-union test)."
)


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


def answer(source: Source, asked: Question) -> Json:
    """Return the document, given what computes cells."""
    loads, models = asked.loads, source.base.spec.models
    lines = [Line(tier, name, model) for tier in asked.tiers for name in asked.strategies for model in models]
    pilot = FEW * (len(loads.rungs) // 2 + 4) + 2 * PILOT
    usual = pilot + 3 * asked.replications // 2  # cells of a search: a guess, for the bar
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
