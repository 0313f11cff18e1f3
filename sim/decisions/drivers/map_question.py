"""What a map of break-evens asks of a scenario, and every mistake in the question."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sim.decisions.drivers.boundaries import Node
from sim.decisions.drivers.inputs import FORMS, Inputs, inputs_of
from sim.errors import InputError, Problem, unknown, wrong
from sim.experiments.estimates import Json
from sim.scenario import Scenario

__all__ = ["GRID", "REFINE", "RUNS", "Question", "asked", "question_of"]

GRID, REFINE, RUNS = 9, 1, 10
MOST_POINTS = 20_000


class Question(NamedTuple):
    """What is asked of a scenario."""

    inputs: Inputs  # two of them
    strategies: tuple[str, ...]
    grid: int = GRID  # points an axis to begin with
    refine: int = REFINE  # how often the lattice is made twice as fine where the best strategy changes
    replications: int = RUNS

    @property
    def steps(self) -> int:
        """Return the steps of the finest lattice an axis."""
        return (self.grid - 1) << self.refine

    def share(self, axis: int, step: float) -> float:
        """Return the share of an input's law at a step of the lattice."""
        low, high = self.inputs.ends(axis)
        return low + step / self.steps * (high - low)

    def value(self, axis: int, step: float) -> str:
        """Return the value of an axis at a step, as ``--set`` reads it."""
        return self.inputs.value(axis, self.share(axis, step))

    def sets(self, node: Node) -> tuple[str, ...]:
        """Return the overrides of a node."""
        return self.inputs.sets([self.share(axis, step) for axis, step in enumerate(node)])


def question_of(
    base: Scenario | None,
    vary: Sequence[str],
    strategies: Sequence[str] | None = None,
    grid: int = GRID,
    refine: int = REFINE,
    replications: int | None = None,
) -> Question:
    """Return the question; raise every mistake in it, where there is no scenario too."""
    runs = RUNS if replications is None else replications
    problems = [*_wrong_sizes(grid, refine, runs)]
    if base is None:
        raise InputError(problems)
    problems += _unknown(base, strategies or ())
    inputs = None
    try:
        inputs = inputs_of(base, vary) if vary else None
    except InputError as error:
        problems += error.problems
    if len(vary) != 2:
        problems.append(wrong("--vary", f"a map has two axes, got {len(vary)}", "two PATH=LO..HI or PATH=LO..HI:log"))
    for one, text in zip(inputs.every, inputs.texts, strict=True) if inputs else ():
        if one.law.items or one.group:
            problems.append(wrong("--vary", "an axis is a range", FORMS.partition(", V1")[0], text))
    if problems or inputs is None:
        raise InputError(problems)
    names = tuple(dict.fromkeys(strategies or [arm.name for arm in base.arms]))
    return Question(inputs, names, grid, refine, runs)


def _unknown(base: Scenario, strategies: Sequence[str]) -> Iterator[Problem]:
    known = [arm.name for arm in base.arms]
    strange = unknown("--strategy", "strategy", strategies, known)
    yield from strange
    if not strange and len(set(strategies or known)) < 2:
        yield wrong("--strategy", "there is nothing to compare", "two strategies at least", ", ".join(strategies))


def _wrong_sizes(grid: int, refine: int, replications: int) -> Iterator[Problem]:
    if not 2 <= grid <= 65:
        yield wrong("--grid", "out of range", "from 2 to 65", grid)
    if not 0 <= refine <= 6:
        yield wrong("--refine", "out of range", "from 0 to 6", refine)
    elif 2 <= grid <= 65 and ((grid - 1 << refine) + 1) ** 2 > MOST_POINTS:
        yield wrong("--refine", f"the lattice has more than {MOST_POINTS:,} points", "a smaller --grid or --refine")
    if replications < 1:
        yield wrong("--replications", "must be at least 1", "a whole number", replications)


def asked(question: Question) -> Json:
    """Return all that an answer depends on besides the scenario."""
    return {
        "vary": list(question.inputs.texts),
        "strategies": list(question.strategies),
        "grid": question.grid,
        "refine": question.refine,
        "replications": question.replications,
    }
