"""What to know before trusting the statistics of a run: whose bill is for fewer answers, and whose interval may err."""

from collections.abc import Iterator
from fractions import Fraction
from math import isfinite

from sim.experiments.result import Cell, Certainty, Result
from sim.skewed import ENOUGH, hard_to_cover

__all__ = ["warnings"]

NOTABLE = Fraction(1, 100)  # of the requests: a difference in answers that a bill must not hide
FEW = 10  # replications below which a skew of the bill cannot be seen


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
    else:
        found += _luck(result)
    return found if result.certainty is None else [*found, *_unsure(result.certainty)]


def _luck(result: Result) -> Iterator[str]:
    """Yield which intervals may cover less than they say: of what is skewed, and of what may not have been seen."""
    if result.replications < FEW:
        yield (
            f"{result.replications} replications are too few to see how skewed a bill is; "
            "intervals may cover less than they say"
        )
    for model in result.models:
        yield from _skewed(result, model)
        yield from _stuck(result, model)


def _skewed(result: Result, model: str) -> Iterator[str]:
    """Yield whose cost is skewed, or whose difference to the baseline is although neither cost seems to be."""
    costs = {strategy: [cell.total_usd for cell in result.of(strategy, model)] for strategy in result.strategies}
    told = {strategy: hard_to_cover(own) for strategy, own in costs.items()}
    yield from (f"cost of {strategy} on {model}: {text}" for strategy, text in told.items() if text)
    base = result.baseline
    for strategy, own in costs.items():
        if result.ranked and not (told[strategy] or told[base]):
            text = hard_to_cover([a - b for a, b in zip(own, costs[base], strict=True)])
            if text:
                yield f"difference of {strategy} to {base} on {model}: {text}"


def _stuck(result: Result, model: str) -> Iterator[str]:
    """Yield whose bill hangs on jobs: no sample tells of the one that is stuck for days unless it has it.

    What did not happen in n replications happens at most once in n/3, with 95 % confidence (the rule of three).
    """
    batched = [name for name in result.strategies if any(cell.jobs for cell in result.of(name, model))]
    runs = result.replications
    if batched and runs >= FEW:  # of fewer there is a warning of every bill
        yield (
            f"bills on {model} with batch jobs ({', '.join(batched)}), and what they save: now and then a job is stuck "
            f"or expires, which leaves requests unbilled or holds caches for days; {runs:,} replications may have "
            f"missed what happens less than once in {runs // 3:,}, and intervals know nothing of it"
        )


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
    return f"± {100 * width:.3g} %" if isfinite(width) else "to no precision at all"


def _unanswered(result: Result) -> Iterator[str]:
    """Yield whose bill is for fewer answers than that of another pair, by more than 1 % of the requests."""
    pairs = [(strategy, model) for model in result.models for strategy in result.strategies]
    shares = {pair: _lost(result.of(*pair)) for pair in pairs}
    for (strategy, model), share in shares.items():
        if share - min(shares.values()) > NOTABLE:
            yield (
                f"{strategy} on {model} leaves {float(100 * share):.3g} % of its requests unanswered; its bill is for "
                "fewer answers"
            )


def _lost(cells: list[Cell]) -> Fraction:
    """Return the share of requests that were not answered."""
    streams = [stream for cell in cells for stream in cell.streams]
    lost = sum(stream.failed + stream.expired for stream in streams)
    return Fraction(lost, sum(stream.total for stream in streams) or 1)
