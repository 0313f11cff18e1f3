"""One input at a time from its low to its high value, the others as the scenario has them: who swings an output most.

A price changes no request, so its swing is what the bill says: the tokens that it is paid for, times its range.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from sim.decisions.drivers.inputs import Inputs
from sim.decisions.drivers.methods import Json, bounds
from sim.decisions.drivers.outputs import Output, Sample, sampled
from sim.decisions.drivers.winners import standings, told, winner
from sim.decisions.laboratory import Found
from sim.decisions.standing import costs_of
from sim.experiments.rows import exact_text
from sim.stats import Interval, mean_interval

__all__ = ["asked", "tornado"]


class _Ends(NamedTuple):
    """What was found at the low and at the high value of an input."""

    low: int  # place among the points
    high: int


def asked(inputs: Inputs) -> list[tuple[str, ...]]:
    """Return the overrides of all points: the scenario as it is, then each input's low and high value."""
    found: list[tuple[str, ...]] = [()]
    for number in range(len(inputs.every)):
        for share in inputs.ends(number):
            shares: list[float | None] = [None] * len(inputs.every)
            shares[number] = share
            found.append(inputs.sets(shares))
    return found


def tornado(inputs: Inputs, outputs: Sequence[Output], points: Sequence[Found], strategies: Sequence[str]) -> Json:
    """Return each output at the points of :func:`asked`, the widest swing first, and where the winner changes."""
    samples = sampled(outputs, points)
    return {
        "outputs": [_of_output(inputs, *pair, points) for pair in zip(outputs, samples, strict=True)],
        "winners": [_winners(inputs, points, strategies, model) for model in points[0].scenario.spec.models],
    }


def _of_output(inputs: Inputs, output: Output, sample: Sample, points: Sequence[Found]) -> Json:
    exact = output.measure.name == "cost"
    entries = []
    for number, path in enumerate(inputs.paths):
        ends = _Ends(1 + 2 * number, 2 + 2 * number)
        entry: Json = {
            "path": path,
            "low": _plain(sample.values[ends.low]),
            "high": _plain(sample.values[ends.high]),
            "swing": None if (swing := _swing(sample, ends)) is None else bounds(swing),
        }
        if exact:
            entry |= {f"{name}_exact": _exact(points[at], output) for name, at in ends._asdict().items()}
        entries.append(entry)
    entries.sort(key=lambda entry: -abs(entry["swing"]["mean"]) if entry["swing"] else 0.0)
    base: Json = {"base": _plain(sample.values[0])} | ({"base_exact": _exact(points[0], output)} if exact else {})
    return {**output.key, **base, "inputs": entries}


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _swing(sample: Sample, ends: _Ends) -> Interval | None:
    """Return high minus low; its half-width is Student's over the replications' own differences, which are pairs."""
    swing = float(sample.values[ends.high] - sample.values[ends.low])
    if not np.isfinite(swing):
        return None
    apart = sample.table[ends.high] - sample.table[ends.low]
    if not np.all(np.isfinite(apart)):
        return Interval(swing)
    found = mean_interval(apart.tolist())
    return Interval.around(swing, None if found.hi is None else found.hi - found.mean)


def _exact(found: Found, output: Output) -> str:
    costs = costs_of(found, output.strategy, output.model)
    return exact_text(sum(costs, Fraction(0)) / len(costs))


def _winners(inputs: Inputs, points: Sequence[Found], strategies: Sequence[str], model: str) -> Json:
    """Return the cheapest strategy that keeps the patience target, and at which ends of inputs it is another one."""
    best = [winner(standings(found, strategies, model)) for found in points]
    changes = [
        {
            "path": path,
            "end": end,
            "value": inputs.value(number, inputs.ends(number)[side]),
            **told(best[1 + 2 * number + side]),
        }
        for number, path in enumerate(inputs.paths)
        for side, end in enumerate(("low", "high"))
        if best[1 + 2 * number + side].strategy != best[0].strategy
    ]
    return {"model": model, **told(best[0]), "changes": changes}
