"""The statistics of a Monte Carlo run as one document, ``gcsim.run/2``: all that a report shows is in it.

Costs are means over replications with the intervals of :mod:`sim.skewed`, which allow for bills that are seldom much
dearer; differences to the baseline are those of pairs, and the interval of a saving allows for the baseline's own luck.
Counts are means with Student t intervals. Quantiles of the cost have those of order
statistics, whose bounds are null where the replications are too few. Ratios (hits, answers within patience, mean
latency, calls a request, shares) are ratios of sums over all replications with jackknife intervals; quantiles of times
are of all answered requests, or all jobs, together, with intervals from the replications. An estimate stands under its
name and its bounds ``[lo, hi]`` under the same name in ``intervals``; the mean cost, comparisons and refusals have
theirs beside them. With one replication every bound is null, of which a warning tells; an estimate is null where there
is nothing to take it from (no answer, no job, no bill), or where the run was cut (unread caches).

The document has

``precision``
    Of a run until sure how it ended, else null: the relative half-width that was asked for, the floor and the ceiling
    of replications, whether it was reached, the replications at each look, the half-width of each measure at the end
    (null where it has none), the widest measure, and the rule; see :mod:`sim.experiments.until_sure`.

Beside cost, answers and waits each result has

``binding``
    Calls that were refused (``throttled`` 429, ``shed`` 503), given up (``timeouts``) and that named a cache which was
    over (``forbidden`` 403, batched requests included); ``jobs_waited``, the batch jobs that were created more than a
    minute after their collection was closed; and ``refusals``, an object for each limit that refused anything, most
    first: its name, the mean of its refusals with bounds, the hour with the most refusals of all replications together
    (``peak_hour``, and the mean in it), and the first hour with any. Hours are whole hours from the run's start, told
    by their begin in the scenario's time zone. A limit that a project can state has the name that it states it by; of
    ``priority`` the calls were served as standard.
``attempts_per_request``
    Calls over requests that were asked; a batched request makes one for each job that it stood in.
``backoff_s``, ``queued_s``
    Seconds that refusals by quotas cost, each from the call to what followed it, and seconds that requests waited for a
    slot of their own client: ``total`` a replication, and ``per_request`` that was asked.
``tiers``
    Answered requests by the tier that served them, and in ``overflow`` the calls that priority passed on to standard.
``jobs``, ``turnaround_s``
    Batch jobs by state; quantiles of their time from the close of the collection to their creation, in which they wait
    for room and for caches, and from there to their end in whatever state.
``caches``, ``storage_share``
    Explicit caches created, contexts refused, because no cache may be as small or as large, and token-hours held; of
    caches that were never read the number, the token-hours, their share of all, and what their creation and storage
    cost; and the share of storage in the bill.
``audio_share``, ``thinking_share``
    Parts of the answered requests' prompts and outputs; each stream has its own.
``duplicates``
    Calls that were billed although another one answered.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import isfinite

from sim import stats
from sim.billing import decimal_text
from sim.experiments.binding import met, refusals
from sim.experiments.cheapest import cheapest
from sim.experiments.doubts import warnings
from sim.experiments.estimates import (
    LEVEL,
    Json,
    Tree,
    amount,
    bounds,
    counted,
    points,
    quantiles,
    seconds_each,
    share,
    whole,
)
from sim.experiments.result import Cell, Certainty, Result, StreamCell
from sim.providers.prices import LINES
from sim.sketch import joined, total
from sim.skewed import bill_difference, bill_saving
from sim.units import SECOND

__all__ = ["summarise"]

COST_QUANTILES = {"p5": 0.05, "p50": 0.50, "p95": 0.95}
RULE = (
    "Chow and Robbins (1965), relative widths by Nadas (1969): go on until the longer half of every interval is narrow "
    "enough; with a floor, intervals that allow for skewness, and few looks"
)


def summarise(result: Result) -> Json:
    """Return the run as ``gcsim.run/2``; amounts are dollars, times seconds, shares parts of 1."""
    results = [_pair(result, strategy, model) for model in result.models for strategy in result.strategies]
    return {
        "schema": "gcsim.run/2",
        "scenario": result.scenario,
        "question": result.question,
        "book": result.book,
        "seed": result.seed,
        "replications": result.replications,
        "precision": None if result.certainty is None else _precision(result.certainty),
        "start": result.start.astimezone(result.time_zone).isoformat(),
        "time_zone": result.time_zone.key,
        "horizon_s": whole(Fraction(result.horizon_ms, SECOND)),
        "level": LEVEL,
        "baseline": result.baseline,
        "ranked": result.ranked,
        "assumptions": [{"path": a.path, "confidence": a.confidence, "text": a.text} for a in result.assumptions],
        "warnings": warnings(result),
        "results": results,
        "comparisons": [c for model in result.models for c in _comparisons(result, model)] if result.ranked else [],
        "cheapest": cheapest(result),
    }


def _precision(found: Certainty) -> Json:
    return {
        "asked": found.precision,
        "floor": found.floor,
        "ceiling": found.ceiling,
        "reached": found.reached,
        "looks": list(found.looks),
        "widest": found.widest,
        "widths": {name: width if isfinite(width) else None for name, width in found.widths.items()},
        "rule": RULE,
    }


def _pair(result: Result, strategy: str, model: str) -> Json:
    cells = result.of(strategy, model)
    costs = [float(cell.total_usd) for cell in cells]
    usual = {name: stats.quantile_interval(costs, q, LEVEL) for name, q in COST_QUANTILES.items()}
    estimates: dict[str, Tree] = {
        "lines_usd": {line: amount([cell.lines_usd.get(line, Fraction(0)) for cell in cells]) for line in LINES},
        **_answers([cell.streams for cell in cells]),
        **met(cells),
        "duplicates": counted([cell.duplicates for cell in cells]),
    }
    document = points(estimates)
    document["binding"]["refusals"] = refusals(cells, result.time_zone)
    exact = {"total_exact_usd": decimal_text(cells[0].total_usd)} if result.replications == 1 else {}
    return {
        "strategy": strategy,
        "model": model,
        "cost_usd": {**amount([cell.total_usd for cell in cells])._asdict(), **points(usual)},
        **exact,
        **document,
        "intervals": {"cost_usd": bounds(usual), **bounds(estimates)},
        "streams": _streams(cells),
    }


def _streams(cells: Sequence[Cell]) -> Json:
    """Return the answers of each stream; a strategy's replications all have the same streams."""
    by_stream = zip(*(cell.streams for cell in cells), strict=True)
    found = {stream[0].stream: _answers([(one,) for one in stream]) for stream in by_stream}
    return {name: {**points(answers), "intervals": bounds(answers)} for name, answers in found.items()}


def _answers(replications: Sequence[Sequence[StreamCell]]) -> dict[str, Tree]:
    """Return what the requests of some streams met, given the streams of each replication."""
    prompt, total = _sums(replications, "prompt_tokens"), _sums(replications, "total")
    counts = ("total", "done", "failed", "expired", "pending")
    return {
        "hit_ratio": {name: share(_sums(replications, f"{name}_tokens"), prompt) for name in ("implicit", "explicit")},
        "latency_s": _latency(replications),
        "within_patience": share(_sums(replications, "within_patience"), total),
        "requests": {name: counted(_sums(replications, name)) for name in counts},
        "audio_share": share(_sums(replications, "audio_tokens"), prompt),
        "thinking_share": share(_sums(replications, "thinking_tokens"), _sums(replications, "output_tokens")),
    }


def _latency(replications: Sequence[Sequence[StreamCell]]) -> dict[str, Tree]:
    """Return mean and quantiles of the seconds that answered requests took, over all replications together."""
    samples = [joined([stream.latency_ms for stream in streams]) for streams in replications]
    sums = [total(sample) for sample in samples]
    return {"mean": seconds_each(sums, _sums(replications, "done")), **quantiles(samples)}


def _comparisons(result: Result, model: str) -> Iterable[Json]:
    """Yield each strategy against the baseline on a model, replication by replication."""
    costs = {strategy: [cell.total_usd for cell in result.of(strategy, model)] for strategy in result.strategies}
    cheapest_in = stats.share_cheapest(costs)
    base = costs[result.baseline]
    for strategy, own in costs.items():
        saving = bill_saving(own, base, LEVEL) if sum(base) > 0 else None
        yield {
            "strategy": strategy,
            "baseline": result.baseline,
            "model": model,
            "difference_usd": bill_difference(own, base, LEVEL)._asdict(),
            "saving": None if saving is None else saving._asdict(),
            "variance_ratio": stats.variance_ratio(own, base),
            "share_cheapest": cheapest_in[strategy],
        }


def _sums(replications: Sequence[Sequence[StreamCell]], column: str) -> list[int]:
    """Return a count of each replication, summed over its streams."""
    return [sum(getattr(stream, column) for stream in streams) for streams in replications]
