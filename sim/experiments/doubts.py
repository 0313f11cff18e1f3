"""What to know before trusting the statistics of a run: whose bill is for fewer answers, and whose interval may err.

Sweeps and decisions warn of the same doubts as runs do, by the functions of this module.
"""

from collections.abc import Collection, Iterator, Mapping
from fractions import Fraction
from math import isfinite
from typing import NamedTuple

from sim.experiments.pairs import Pair
from sim.experiments.result import Certainty, Result
from sim.skewed import ENOUGH, hard_to_cover

__all__ = ["Bill", "Bills", "doubts", "hangs_on_jobs", "stuck", "warnings"]

NOTABLE = Fraction(1, 100)  # of the requests: a difference in answers that a bill must not hide
FEW = 10  # replications below which a skew of the bill cannot be seen


class Bill(NamedTuple):
    """What a doubt looks at of a strategy on a model, over all replications."""

    costs: Mapping[int, Fraction]  # dollars by replication
    batched: bool  # whether there was any batch job
    requests: int
    unanswered: int  # of these: failed or expired

    @property
    def lost(self) -> Fraction:
        """Return the share of requests that were not answered."""
        return Fraction(self.unanswered, self.requests or 1)


class Bills(NamedTuple):
    """The bills of one scenario, by strategy and model."""

    of: Mapping[tuple[str, str], Bill]
    baseline: str
    ranked: bool  # False where the run was cut at its horizon: then nothing is compared
    random: bool  # whether any two replications differ
    replications: int

    @property
    def models(self) -> list[str]:
        """Return the models, in order."""
        return list(dict.fromkeys(model for _, model in self.of))

    def on(self, model: str) -> dict[str, Bill]:
        """Return the bills on a model by strategy."""
        return {strategy: bill for (strategy, where), bill in self.of.items() if where == model}


def warnings(result: Result) -> list[str]:
    """Return what the run warns of, and what its statistics do."""
    unsure = [] if result.certainty is None else _unsure(result.certainty)
    return [*result.warnings, *doubts(_bills(result)), *unsure]


def _bills(result: Result) -> Bills:
    pairs = [(strategy, model) for model in result.models for strategy in result.strategies]
    bills = {pair: _bill(result, *pair) for pair in pairs}
    return Bills(bills, result.baseline, result.ranked, result.random, result.replications)


def _bill(result: Result, strategy: str, model: str) -> Bill:
    cells = result.of(strategy, model)
    streams = [stream for cell in cells for stream in cell.streams]
    return Bill(
        costs={cell.replication: cell.total_usd for cell in cells},
        batched=any(cell.jobs for cell in cells),
        requests=sum(stream.total for stream in streams),
        unanswered=sum(stream.failed + stream.expired for stream in streams),
    )


def doubts(bills: Bills) -> Iterator[str]:
    """Yield what to know before trusting the statistics of some bills, a line each."""
    if not any(bill.requests for bill in bills.of.values()):
        yield "no request arrived: every figure is that of an empty run"
        return
    yield from _unanswered(bills)
    if bills.replications == 1:
        yield "one replication has no interval: where the scenario is random, a difference may be luck"
    elif not bills.random:
        yield "nothing in this scenario is random: every replication is the same, and intervals have no width"
    else:
        yield from _luck(bills)


def _unanswered(bills: Bills) -> Iterator[str]:
    """Yield whose bill is for fewer answers than that of another pair, by more than 1 % of the requests."""
    least = min(bill.lost for bill in bills.of.values())
    for (strategy, model), bill in bills.of.items():
        if bill.lost - least > NOTABLE:
            yield (
                f"{strategy} on {model} leaves {float(100 * bill.lost):.3g} % of its requests unanswered; its bill is "
                "for fewer answers"
            )


def _luck(bills: Bills) -> Iterator[str]:
    """Yield which intervals may cover less than they say: of what is skewed, and of what may not have been seen."""
    runs = bills.replications
    if runs < FEW:
        yield (f"{runs} replications are too few to see how skewed a bill is; intervals may cover less than they say")
    for model in bills.models:
        yield from _skewed(bills, model)
        batched = [strategy for strategy, bill in bills.on(model).items() if bill.batched]
        if batched and runs >= FEW:  # of fewer there is a warning of every bill
            yield stuck(batched, runs, where=f" on {model}")


def _skewed(bills: Bills, model: str) -> Iterator[str]:
    """Yield whose cost is skewed, or whose difference to the baseline is although neither cost seems to be."""
    costs = {strategy: bill.costs for strategy, bill in bills.on(model).items()}
    told = {strategy: hard_to_cover(list(own.values())) for strategy, own in costs.items()}
    yield from (f"cost of {strategy} on {model}: {text}" for strategy, text in told.items() if text)
    name = bills.baseline
    if not bills.ranked or name not in costs or told[name]:
        return
    base = costs[name]
    for strategy, own in costs.items():
        text = hard_to_cover([usd - base[replication] for replication, usd in own.items() if replication in base])
        if text and not told[strategy]:
            yield f"difference of {strategy} to {name} on {model}: {text}"


def stuck(batched: Collection[str], runs: int, *, where: str = "") -> str:
    """Return the doubt about strategies whose bill hangs on jobs: no sample tells of a stuck one unless it has it.

    What did not happen in n replications happens at most once in n/3, with 95 % confidence (the rule of three).

    >>> stuck(["batch"], 30).partition("; ")[2]
    '30 replications may have missed what happens less than once in 10, and intervals know nothing of it'
    """
    missed = f"may have missed what happens less than once in {runs // 3:,}"
    return (
        f"bills{where} with batch jobs ({', '.join(batched)}), and what they save: now and then a job is stuck "
        f"or expires, which leaves requests unbilled or holds caches for days; {runs:,} replications "
        f"{missed if runs >= FEW else 'hardly show it'}, and intervals know nothing of it"
    )


def hangs_on_jobs(pair: Pair) -> bool:
    """Return whether a pair sends batch jobs whose turnaround is luck; known before anything is simulated."""
    parts = [part for part in pair.arm.service.batch.turnaround.components if part.weight > 0]
    return pair.plan.batch is not None and (len(parts) > 1 or parts[0].sigma > 0)


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
