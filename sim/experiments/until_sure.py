"""Replications until sure: of every mean cost, and of every difference to the baseline, to a relative precision.

The rule is :func:`sim.stopping.look`, which names its sources and has a table of its coverage. What it is asked of:

- the mean cost of each strategy on each model, relative to itself;
- the mean difference of each strategy to the baseline on the same model, over replications on common random numbers,
  relative to the baseline's mean cost: its width is then that of the saving, in points. Relative to itself it would
  never be known where two strategies cost about the same, which is when nobody needs it.

Each interval is of its own level. A run that was cut at its horizon ranks nothing, and is asked of its costs alone.

Nothing but the samples decides, so a run that is resumed or extended looks where an undisturbed one does. Where all
replications are the same the floor ends the run, not the second of them: two that agree do not rule out an event that
is rare, and that is what the floor is for.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

from sim.errors import Problem
from sim.experiments.result import Cell, Certainty
from sim.stopping import CEILING, FLOOR, Measure, look

__all__ = ["MOST", "Until", "measures", "until_sure", "wrong_precision"]

MOST = 1_000_000  # replications


class Until(NamedTuple):
    """How sure a run is to be, and how long it may take."""

    precision: float  # the relative half-width of every measure, between 0 and 1
    floor: int = FLOOR  # replications before the first look
    ceiling: int = CEILING


def until_sure(measured: Callable[[int], Sequence[Measure]], until: Until) -> Certainty:
    """Return how a run ended that goes on until it is sure; ``measured(n)`` runs n replications in all, and measures.

    >>> until_sure(lambda n: [Measure("cost", [4.0, 5.0] * (n // 2))], Until(0.02, floor=50)).looks
    (50, 100, 129)
    """
    looks, count = [], until.floor
    while True:
        seen = look(measured(count), until.precision, floor=until.floor, ceiling=until.ceiling)
        looks.append(count)
        if seen.stop:
            return Certainty(*until, looks=tuple(looks), reached=seen.reached, widths=seen.widths)
        count += seen.more


def measures(cells: Sequence[Cell], baseline: str, *, ranked: bool) -> list[Measure]:
    """Return what has to be known of a run: its costs, and their differences to the baseline if it ranks them."""
    costs: dict[tuple[str, str], list[Fraction]] = {}
    for cell in sorted(cells, key=lambda cell: cell.replication):
        costs.setdefault((cell.strategy, cell.model), []).append(cell.total_usd)
    found = [Measure(f"cost of {strategy} on {model}", own) for (strategy, model), own in costs.items()]
    for (strategy, model), own in costs.items():
        if ranked and strategy != baseline:
            base = costs[baseline, model]
            apart = [a - b for a, b in zip(own, base, strict=True)]
            name = f"difference of {strategy} to {baseline} on {model}"
            found.append(Measure(name, apart, unit=sum(base, Fraction(0)) / len(base)))
    return found


def wrong_precision(until: Until) -> list[Problem]:
    """Return what no run can be asked for.

    >>> [str(problem) for problem in wrong_precision(Until(2.0, floor=1))]
    ['run: precision: must be above 0 and below 1; such as 0.02; got 2.0', 'run: floor: must be at least 2; got 1']
    """
    problems = []
    if not 0 < until.precision < 1:
        problems.append(Problem("run", 0, "precision", "must be above 0 and below 1", "such as 0.02", until.precision))
    if until.floor < 2:
        problems.append(Problem("run", 0, "floor", "must be at least 2", "", until.floor))
    if not until.floor <= until.ceiling <= MOST:
        between = f"must be between the floor of {until.floor:,} and {MOST:,}"
        problems.append(Problem("run", 0, "ceiling", between, "", until.ceiling))
    return problems
