"""The verdict of a run: the cheapest pair that its callers can live with."""

from fractions import Fraction
from typing import Any

from sim.experiments.result import Cell, Result

__all__ = ["cheapest", "mean_cost"]


def cheapest(result: Result) -> dict[str, Any]:
    """Return the cheapest (strategy, model) pair by mean cost that keeps the patience target.

    ``strategy`` and ``model`` are null where there is none, and ``reason`` says why. Costs are compared exactly; of
    equal ones the scenario's first is named and ``ties`` holds the others.
    """
    pairs = [(strategy, model) for model in result.models for strategy in result.strategies]
    shares = {pair: within_patience(result.of(*pair)) for pair in pairs}
    kept = [pair for pair in pairs if _keeps(shares[pair], result.patience_target)]
    verdict: dict[str, Any] = {"strategy": None, "model": None, "within_patience": None}
    verdict |= {"patience_target": result.patience_target, "ties": [], "reason": None}
    if not result.ranked:
        return verdict | {"reason": "the run was cut at its horizon: what is pending is unbilled"}
    if not kept:
        return verdict | {"reason": "no strategy answers that share of the requests within their callers' patience"}
    if all(share is None for share in shares.values()):
        return verdict | {"reason": "no request arrived"}
    costs = {pair: mean_cost(result.of(*pair)) for pair in kept}
    first, *others = [pair for pair in kept if costs[pair] == min(costs.values())]
    share = shares[first]
    return verdict | {
        "strategy": first[0],
        "model": first[1],
        "within_patience": None if share is None else float(share),
        "ties": [{"strategy": strategy, "model": model} for strategy, model in others],
    }


def within_patience(cells: list[Cell]) -> Fraction | None:
    """Return which share of all requests was answered within patience; None where there was no request."""
    total = sum(stream.total for cell in cells for stream in cell.streams)
    in_time = sum(stream.within_patience for cell in cells for stream in cell.streams)
    return Fraction(in_time, total) if total else None


def _keeps(share: Fraction | None, target: float) -> bool:
    return share is None or float(share) >= target  # without requests nobody waits


def mean_cost(cells: list[Cell]) -> Fraction:
    """Return the exact mean dollars of a pair."""
    return sum((cell.total_usd for cell in cells), Fraction(0)) / len(cells)
