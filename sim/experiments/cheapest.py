"""The verdict of a run: the cheapest pair that its callers can live with, and what to know before trusting it."""

from collections.abc import Iterator
from fractions import Fraction
from math import isfinite
from typing import Any

from sim.experiments.result import Cell, Certainty, Result
from sim.skewed import ENOUGH, hard_to_cover

__all__ = ["cheapest", "mean_cost", "warnings"]

NOTABLE = Fraction(1, 100)  # of the requests: a difference in answers that a bill must not hide
FEW = 10  # replications below which a skew of the bill cannot be seen


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


def warnings(result: Result) -> list[str]:
    """Return what the run warns of, and what its statistics do."""
    found = list(result.warnings)
    if not any(stream.total for cell in result.cells for stream in cell.streams):
        return [*found, "no request arrived: every figure is that of an empty run"]
    found += _unanswered(result)
    if result.replications == 1:
        found.append("one replication has no interval: where the scenario is random, a difference may be luck")
    elif not result.random:
        found.append("nothing in this scenario is random: every replication is the same, and intervals have no width")
    elif result.replications < FEW:
        found.append(
            f"{result.replications} replications are too few to see whether costs are skewed; "
            "the intervals take them as not"
        )
    pairs = [(strategy, model) for model in result.models for strategy in result.strategies]
    skewed = {pair: hard_to_cover([cell.total_usd for cell in result.of(*pair)]) for pair in pairs}
    found += [f"cost of {pair[0]} on {pair[1]}: {text}" for pair, text in skewed.items() if text]
    return found if result.certainty is None else [*found, *_unsure(result.certainty)]


def _unsure(found: Certainty) -> Iterator[str]:
    """Yield what a run until sure did not come to know as it should, and what it may have missed."""
    if not found.reached:
        missed = [f"{name} {_percent(width)}" for name, width in found.widths.items() if width > found.precision]
        yield (
            f"the ceiling of {found.ceiling:,} replications ended the run before all was known to "
            f"{_percent(found.precision)}: {', '.join(missed)}"
        )
    if found.floor < ENOUGH:
        yield (
            f"a floor of {found.floor:,} replications: a bill that is dear in few of them may not have shown it, and "
            f"then the run ended too early; {ENOUGH} see what happens once in 33"
        )


def _percent(width: float) -> str:
    return f"± {100 * width:.2g} %" if isfinite(width) else "to no precision at all"


def _unanswered(result: Result) -> Iterator[str]:
    """Yield whose bill is for fewer answers than that of another pair, by more than 1 % of the requests."""
    shares: dict[tuple[str, str], Fraction] = {}
    for pair in ((strategy, model) for model in result.models for strategy in result.strategies):
        streams = [stream for cell in result.of(*pair) for stream in cell.streams]
        lost = sum(stream.failed + stream.expired for stream in streams)
        shares[pair] = Fraction(lost, sum(stream.total for stream in streams) or 1)
    for (strategy, model), share in shares.items():
        if share - min(shares.values()) > NOTABLE:
            yield (
                f"{strategy} on {model} leaves {float(100 * share):.3g} % of its requests unanswered; its bill is for "
                "fewer answers"
            )
