"""The outputs of a sensitivity study: a measure of a strategy on a model, its value at each point, and its noise."""

import math
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from sim.decisions.laboratory import Found
from sim.decisions.measures import Measure, measures_of, values_of
from sim.errors import InputError, nearest, wrong
from sim.experiments.rows import cost_of
from sim.scenario import Scenario
from sim.workload.sizes import Floats

__all__ = ["USUAL", "Output", "Sample", "measured", "noise", "outputs_of", "sampled"]

USUAL = ("cost", "saving", "p95")
_SECOND = {"duration": 1e3}  # ms in what a document counts by, the second


class Output(NamedTuple):
    """A measure of a strategy on a model."""

    measure: Measure
    strategy: str
    model: str

    @property
    def key(self) -> dict[str, str]:
        """Return what names it in a document, with its unit."""
        unit = {"money": "USD", "duration": "s"}.get(self.measure.kind, "1")
        return {"measure": self.measure.name, "unit": unit, "strategy": self.strategy, "model": self.model}


class Sample(NamedTuple):
    """An output at the points of a design, in dollars, seconds or shares."""

    values: Floats  # (n,) a mean, or ratio of sums, over the replications of the point; not finite where there is none
    table: Floats  # (n, R) each replication's own

    @property
    def missing(self) -> int:
        """Return at how many points there is no value: nothing was answered there, or nothing asked."""
        return int(np.count_nonzero(~np.isfinite(self.values)))


def measured(names: Sequence[str], base: Scenario, flag: str = "--output") -> tuple[Measure, ...]:
    """Return measures by name, ``p95 latency of chat`` among them; raise every unknown one.

    >>> from sim.scenario import load
    >>> [measure.name for measure in measured(["p95 latency of desk", "cost a month"], load("quickstart"))]
    ['p95 of desk', 'cost a month']
    """
    known = measures_of(base)
    plain = {name: " ".join(name.replace("latency", " ").split()) for name in names}
    problems = [
        wrong(flag, "unknown measure", nearest(text, known), name) for name, text in plain.items() if text not in known
    ]
    if problems:
        raise InputError(problems)
    return tuple(dict.fromkeys(known[text] for text in plain.values()))


def outputs_of(measures: Sequence[Measure], strategies: Sequence[str], base: Scenario) -> list[Output]:
    """Return every measure of every strategy on every model; a baseline saves nothing over itself."""
    return [
        Output(measure, strategy, model)
        for measure in measures
        for model in base.spec.models
        for strategy in strategies
        if not (measure.versus and strategy == base.baseline)
    ]


def sampled(outputs: Sequence[Output], points: Sequence[Found]) -> list[Sample]:
    """Return each output at some points."""
    read = (replace(found, rows=dict(found.rows)) for found in points)  # one point's rows at a time, and once
    each = [[_at(output, found) for output in outputs] for found in read]
    return [
        Sample(np.array([value for value, _ in column]), np.array([own for _, own in column]))
        for column in zip(*each, strict=True)
    ]


def _at(output: Output, found: Found) -> tuple[float, list[float]]:
    measure, strategy, model = output
    if measure.versus:
        base = [cost_of(row) for row in found.of(found.scenario.baseline, model)]
        cost = [cost_of(row) for row in found.of(strategy, model)]
        return _saved(sum(cost), sum(base)), [_saved(*pair) for pair in zip(cost, base, strict=True)]
    unit = _SECOND.get(measure.kind, 1.0)
    own = [value / unit for value in values_of(measure, found, strategy, model)]
    if measure.below is None:
        return _mean(own), own
    rows = found.of(strategy, model, measure.stream)
    below = sum(measure.below(row) for row in rows)
    above = sum(Fraction(measure.above(row) or 0) for row in rows)
    return (float(above / below) / unit if below else math.nan), own


def _saved(cost: Fraction | int, base: Fraction | int) -> float:
    return float(1 - Fraction(cost) / base) if base else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def noise(sample: Sample) -> float | None:
    """Return how much of the variance over the points is the luck of runs, and no work of the inputs: a share.

    All points meet the same luck, so what is common to them moves none of them against the others. With the mean
    squares of a two-way table, points by replications, it is ``MSE / MSR``: what the points would differ by if no input
    did anything, over what they do differ by. None for one replication, whose noise cannot be seen.
    """
    table = sample.table[np.all(np.isfinite(sample.table), axis=1)]
    points, runs = table.shape
    if runs < 2 or points < 2:
        return None
    rows = table.mean(axis=1, keepdims=True)
    between = runs * float(np.var(rows, ddof=1))
    rest = table - rows - table.mean(axis=0, keepdims=True) + table.mean()
    within = float((rest**2).sum()) / ((points - 1) * (runs - 1))
    # what rounding leaves of a table whose rows are all alike is no luck
    if within <= 1e-24 * float(np.max(np.abs(table))) ** 2:
        return 0.0
    return round(min(1.0, within / between), 12) if between else 1.0
