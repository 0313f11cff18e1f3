"""What a sensitivity study asks of a scenario, how much that computes, and every mistake in the question."""

from collections.abc import Sequence
from typing import NamedTuple

from sim.decisions.drivers.inputs import Inputs, inputs_of
from sim.decisions.drivers.methods import METHODS, Json, Sizes
from sim.decisions.drivers.outputs import USUAL, measured
from sim.decisions.measures import Measure
from sim.errors import InputError, Problem, nearest, unknown, wrong
from sim.scenario import Scenario

__all__ = ["CHOICES", "MOST_INPUTS", "USUAL_SIZES", "Question", "asked", "asked_of", "cells_of", "question_of"]

MOST_INPUTS = 5  # that Sobol's indices are computed for; Morris says which
RUNS = 2  # replications of each of many points: two tell the noise
TORNADO_RUNS = 10
MOST_CELLS = 5_000_000
USUAL_SIZES = Sizes()

CHOICES = {
    "auto": ("morris", "sobol", "tornado"),  # without Morris where there is nothing to screen
    "morris": ("morris",),
    "sobol": ("sobol",),  # after Morris where there is something to screen
    "tornado": ("tornado",),
    "pawn": ("pawn",),
    "all": ("morris", "sobol", "tornado", "pawn"),
}


class Question(NamedTuple):
    """What is asked of a scenario."""

    inputs: Inputs
    measures: tuple[Measure, ...]
    strategies: tuple[str, ...]
    methods: tuple[str, ...]
    sizes: Sizes = USUAL_SIZES
    replications: int | None = None  # of all points; None = 2 of the many, 10 of the few

    @property
    def runs(self) -> int:
        """Return the replications of each of many points."""
        return self.replications or RUNS

    @property
    def tornado_runs(self) -> int:
        """Return the replications of each of the few points of the tornado."""
        return self.replications or TORNADO_RUNS


def question_of(
    base: Scenario | None,
    vary: Sequence[str],
    method: str = "auto",
    outputs: Sequence[str] = USUAL,
    strategies: Sequence[str] | None = None,
    sizes: Sizes = USUAL_SIZES,
    replications: int | None = None,
) -> Question:
    """Return the question; raise every mistake in it, where there is no scenario too."""
    problems = [*_out_of_range(sizes, replications)]
    if method not in CHOICES:
        problems.append(wrong("--method", "unknown method", nearest(method, CHOICES), method))
    if base is None:
        raise InputError(problems)
    problems += unknown("--strategy", "strategy", strategies or (), [arm.name for arm in base.arms])
    inputs, measures = None, None
    try:
        inputs = inputs_of(base, vary)
    except InputError as error:
        problems += error.problems
    try:
        measures = measured(outputs or USUAL, base)
    except InputError as error:
        problems += error.problems
    if inputs is None or measures is None or problems:
        raise InputError(problems)
    names = tuple(dict.fromkeys(strategies or [arm.name for arm in base.arms]))
    methods = _methods(method, len(inputs.every))
    question = Question(inputs, measures, names, methods, sizes, replications)
    if (cells := cells_of(question, base)) > MOST_CELLS:
        what, allowed = f"{cells:,} cells would be computed", f"at most {MOST_CELLS:,}: fewer points or replications"
        raise InputError([wrong("--method", what, allowed)])
    return question


def _out_of_range(sizes: Sizes, replications: int | None) -> list[Problem]:
    rows, most = sizes.rows, 1 << 16
    problems = []
    if not 2 <= sizes.trajectories <= most:
        problems.append(wrong("--trajectories", "out of range", f"from 2 to {most:,}", sizes.trajectories))
    if not (2 <= rows <= most and rows.bit_count() == 1):
        problems.append(wrong("--rows", "not a power of two", f"2, 4, 8, ... {most:,}", rows))
    if not 10 <= sizes.points <= most:
        problems.append(wrong("--points", "out of range", f"from 10 to {most:,}", sizes.points))
    if replications is not None and replications < 1:
        problems.append(wrong("--replications", "must be at least 1", "a whole number", replications))
    return problems


def _methods(method: str, inputs: int) -> tuple[str, ...]:
    """Return the methods to use: many inputs are screened before Sobol' indices, few are not unless asked for."""
    chosen = CHOICES[method]
    if inputs > MOST_INPUTS and "sobol" in chosen and "morris" not in chosen:
        return ("morris", *chosen)
    if inputs <= MOST_INPUTS and method == "auto":
        return tuple(name for name in chosen if name != "morris")
    return chosen


def cells_of(question: Question, base: Scenario) -> int:
    """Return how many cells a question asks for, those that settings share counted for each of them."""
    inputs = len(question.inputs.every)
    points = {name: METHODS[name].size(inputs, question.sizes) for name in METHODS}
    points["sobol"] = METHODS["sobol"].size(min(inputs, MOST_INPUTS), question.sizes)
    many = sum(points[name] for name in question.methods if name in points)
    few = 1 + (2 * inputs if "tornado" in question.methods else 0)
    pairs = len(asked_of(question, base)) * len(base.spec.models)
    return (many * question.runs + few * question.tornado_runs) * pairs


def asked_of(question: Question, base: Scenario) -> tuple[str, ...]:
    """Return the strategies to simulate: the baseline too where a saving over it is asked for."""
    versus = any(measure.versus for measure in question.measures)
    return tuple(dict.fromkeys((*question.strategies, *([base.baseline] if versus else []))))


def asked(question: Question) -> Json:
    """Return all that an answer depends on besides the scenario."""
    return {
        "vary": list(question.inputs.texts),
        "outputs": [measure.name for measure in question.measures],
        "strategies": list(question.strategies),
        "methods": list(question.methods),
        **question.sizes._asdict(),
        "replications": question.replications,
    }
