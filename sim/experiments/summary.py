"""The statistics of a Monte Carlo run as one document, ``gcsim.run/1``: all that a report shows is in it.

Costs are means over replications with Student t intervals. Ratios (hits, answers within patience, mean latency) are
ratios of sums over all replications with jackknife intervals; latency quantiles are of all answered requests together
with intervals from the replications. With one replication every bound is null.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sim import stats
from sim.billing import decimal_text
from sim.experiments.cheapest import cheapest, warnings
from sim.experiments.result import Cell, Result, StreamCell
from sim.stats import Interval
from sim.units import SECOND

__all__ = ["LEVEL", "LINES", "summarise"]

Json = dict[str, Any]

LEVEL = 0.95
LINES = ("input", "cached", "creation", "output", "storage")  # of a bill, in the order of reports
COST_QUANTILES = {"p5": 0.05, "p50": 0.50, "p95": 0.95}
LATENCY_QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}


def summarise(result: Result) -> Json:
    """Return the run as ``gcsim.run/1``; amounts are dollars, times seconds, shares parts of 1."""
    results = [_pair(result, strategy, model) for model in result.models for strategy in result.strategies]
    return {
        "schema": "gcsim.run/1",
        "scenario": result.scenario,
        "question": result.question,
        "book": result.book,
        "seed": result.seed,
        "replications": result.replications,
        "horizon_s": _whole(Fraction(result.horizon_ms, SECOND)),
        "level": LEVEL,
        "baseline": result.baseline,
        "ranked": result.ranked,
        "assumptions": [{"path": a.path, "confidence": a.confidence, "text": a.text} for a in result.assumptions],
        "warnings": warnings(result),
        "results": results,
        "comparisons": [c for model in result.models for c in _comparisons(result, model)] if result.ranked else [],
        "cheapest": cheapest(result),
    }


def _pair(result: Result, strategy: str, model: str) -> Json:
    cells = result.of(strategy, model)
    costs = [float(cell.total_usd) for cell in cells]
    mean = stats.mean_interval([cell.total_usd for cell in cells], LEVEL)
    quantiles = {name: stats.quantile_interval(costs, q, LEVEL) for name, q in COST_QUANTILES.items()}
    answers = _answers([cell.streams for cell in cells])
    intervals = answers.pop("intervals")
    unread = [cell.unread_caches for cell in cells]
    document: Json = {
        "strategy": strategy,
        "model": model,
        "cost_usd": {
            "mean": mean.mean,
            "lo": mean.lo,
            "hi": mean.hi,
            **{name: found.mean for name, found in quantiles.items()},
        },
        "lines_usd": {line: _mean_usd(cell.lines_usd.get(line, Fraction(0)) for cell in cells) for line in LINES},
    }
    if result.replications == 1:
        document["total_exact_usd"] = decimal_text(cells[0].total_usd)
    return {
        **document,
        **answers,
        "jobs": _jobs(cells),
        "caches": {
            "created": _mean_count([cell.caches for cell in cells]),
            "unread": None if None in unread else _mean_count([n for n in unread if n is not None]),
        },
        "duplicates": _mean_count([cell.duplicates for cell in cells]),
        "intervals": {"cost_usd": {name: _bounds(found) for name, found in quantiles.items()}, **intervals},
        "streams": _streams(cells),
    }


def _streams(cells: Sequence[Cell]) -> Json:
    """Return the answers of each stream; a strategy's replications all have the same streams."""
    by_stream = zip(*(cell.streams for cell in cells), strict=True)
    return {stream[0].stream: _answers([(one,) for one in stream]) for stream in by_stream}


def _answers(replications: Sequence[Sequence[StreamCell]]) -> Json:
    """Return what the requests of some streams met, given the streams of each replication."""
    prompt = _sums(replications, "prompt_tokens")
    total = _sums(replications, "total")
    hits = {source: _share(_sums(replications, f"{source}_tokens"), prompt) for source in ("implicit", "explicit")}
    within = _share(_sums(replications, "within_patience"), total)
    latency = _latency(replications)
    counts = ("total", "done", "failed", "expired", "pending")
    return {
        "hit_ratio": {source: _point(found) for source, found in hits.items()},
        "latency_s": {name: _point(found) for name, found in latency.items()},
        "within_patience": _point(within),
        "requests": {name: _mean_count(_sums(replications, name)) for name in counts},
        "intervals": {
            "hit_ratio": {source: _bounds(found) for source, found in hits.items()},
            "latency_s": {name: _bounds(found) for name, found in latency.items()},
            "within_patience": _bounds(within),
        },
    }


def _latency(replications: Sequence[Sequence[StreamCell]]) -> dict[str, Interval | None]:
    """Return mean and quantiles of the seconds that answered requests took, over all replications together."""
    samples = [np.concatenate([stream.latency_ms for stream in streams]) for streams in replications]
    sums = [int(sample.sum()) for sample in samples]
    found = {"mean": stats.ratio_interval(sums, _sums(replications, "done"), LEVEL)}
    for name, q in LATENCY_QUANTILES.items():
        found[name] = stats.pooled_quantile(samples, q, LEVEL)
    return {name: None if ms is None else ms.scaled(1 / SECOND).within(0.0) for name, ms in found.items()}


def _comparisons(result: Result, model: str) -> Iterable[Json]:
    """Yield each strategy against the baseline on a model, replication by replication."""
    costs = {strategy: [cell.total_usd for cell in result.of(strategy, model)] for strategy in result.strategies}
    cheapest_in = stats.share_cheapest(costs)
    base = costs[result.baseline]
    spent = sum(base, Fraction(0)) / len(base)
    for strategy, own in costs.items():
        difference = stats.paired_difference(own, base, LEVEL)
        # the baseline's mean is taken as known here: the interval is that of the difference alone
        saving = stats.paired_difference(base, own, LEVEL).scaled(1 / float(spent)) if spent else None
        yield {
            "strategy": strategy,
            "baseline": result.baseline,
            "model": model,
            "difference_usd": difference._asdict(),
            "saving": None if saving is None else saving._asdict(),
            "variance_ratio": stats.variance_ratio(own, base),
            "share_cheapest": cheapest_in[strategy],
        }


def _sums(replications: Sequence[Sequence[StreamCell]], column: str) -> list[int]:
    """Return a count of each replication, summed over its streams."""
    return [sum(getattr(stream, column) for stream in streams) for streams in replications]


def _share(above: Sequence[int], below: Sequence[int]) -> Interval | None:
    found = stats.ratio_interval(above, below, LEVEL)
    return None if found is None else found.within(0.0, 1.0)


def _jobs(cells: Sequence[Cell]) -> Json:
    states = dict.fromkeys(state for cell in cells for state in cell.jobs)
    return {state: _mean_count([cell.jobs.get(state, 0) for cell in cells]) for state in states}


def _mean_usd(amounts: Iterable[Fraction]) -> float:
    listed = list(amounts)
    return float(sum(listed, Fraction(0)) / len(listed))


def _mean_count(counts: Sequence[int]) -> int | float:
    return _whole(Fraction(sum(counts), len(counts)))


def _whole(value: Fraction) -> int | float:
    """Return a number as JSON shows it best: whole without a decimal point."""
    return value.numerator if value.denominator == 1 else float(value)


def _point(found: Interval | None) -> float | None:
    return None if found is None else found.mean


def _bounds(found: Interval | None) -> list[float | None]:
    return [None, None] if found is None else [found.lo, found.hi]
