"""Where the best strategy changes over two inputs: a map of the cheapest one that keeps the patience target.

The region is looked at on a coarse lattice, and again on one twice as fine wherever neighbours differ. The document is
``gcsim.break-even/1``, besides what every decision has (:mod:`sim.decisions.finding`):

``axes``
    Of x, then y: ``path``, ``law``, ``log`` and the ``ticks``, a value for each step of the lattice.
``strategies``, ``steps``, ``replications``
    Those compared; steps of the lattice an axis; of every point, on the same luck.
``maps``
    One a model. ``points``, those simulated: their ``step`` and values at ``x`` and ``y``, the best ``strategy`` (null:
    none keeps the patience target), the ``second``, its ``margin_usd`` over the best one (paired interval), and whether
    that is ``undecided``: the ``rivals`` are not surely dearer, nor do they surely miss the target; of them and the
    best one ``unsure_in_time`` are those whose 95 % interval of the share in time holds the target. The ``leader`` is
    the cheapest that does not surely miss it. Then the mean ``cost_usd`` of each, and which are ``in_time`` by their
    estimates. ``lattice``: rows of the best strategy from the lowest y on; where no point was simulated, that of the
    points around, which agree. ``shares``: of the lattice, by strategy, those which are ``undecided`` among them, and
    for ``unsure_in_time``.
    ``boundaries``: lines ``between`` the leaders (null: none is in time), each of ``points`` with a ``step``, values,
    and ``by``: ``cost``, by interpolation of mean costs, with the 95 % ``interval`` (``lo`` to ``hi``) on the ``axis``
    that it was interpolated along; ``patience``, halfway to where one of the two surely misses the target; null where
    three regions meet. ``closed_forms``: for each strategy why it has none, or null, and the ``boundaries`` that they
    imply between the pairs that part in the simulated map.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from sim.decisions.drivers.exploring import Known, explored
from sim.decisions.drivers.map_document import axis_of, map_of
from sim.decisions.drivers.map_question import GRID, REFINE, RUNS, Question, asked, question_of
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Source
from sim.experiments.estimates import Json
from sim.scenario import Scenario

__all__ = ["GRID", "REFINE", "RUNS", "Question", "answer", "asked", "break_even", "question_of"]


def break_even(
    scenario: str | Path | Scenario,
    vary: Sequence[str],
    *,
    strategies: Sequence[str] | None = None,
    grid: int = GRID,
    refine: int = REFINE,
    replications: int = RUNS,
    **means: Unpack[Means],
) -> Finding:
    """Map where the best strategy of a scenario changes over two of its inputs.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or one from :func:`sim.load`.
    vary
        Two texts ``PATH=LO..HI`` or ``PATH=LO..HI:log``: x, then y.
    strategies
        Those to compare; all by default.
    grid, refine
        Points an axis to begin with, and how often they are made twice as dense where the best strategy changes.
    replications
        Of every point, on the same luck.
    means
        See :class:`sim.decisions.finding.Means`.
    """
    base = read(scenario, means)
    question = question_of(base, vary, strategies, grid, refine, replications)
    return found("break-even", base, asked(question), lambda source: answer(question, source), means)


def answer(question: Question, source: Source) -> Json:
    """Return the maps, from cells."""
    models = source.base.spec.models
    maps = [Known(question, model) for model in models]
    pairs = len(question.strategies) * len(models)
    source.expect(question.grid**2 * pairs * question.replications)
    cells = explored(question, source, maps)
    return {
        "axes": [axis_of(question, axis) for axis in (0, 1)],
        "strategies": list(question.strategies),
        "steps": question.steps,
        "replications": question.replications,
        "maps": [map_of(question, source.base, one, cells) for one in maps],
        "warnings": _warnings(question),
    }


def _warnings(question: Question) -> list[str]:
    if question.replications > 1:
        return []
    return ["one replication has no interval: every point where anybody waits is undecided"]
