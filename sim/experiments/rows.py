"""The cells of a run as one table: a row for each strategy, model, replication and stream, before any statistics."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from sim.billing import decimal_text
from sim.experiments.result import Cell, Result, StreamCell
from sim.experiments.summary import LINES
from sim.ledger import JobState
from sim.stats import quantile
from sim.units import SECOND

__all__ = ["COLUMNS", "rows"]

COUNTS = ("total", "done", "failed", "expired", "pending", "within_patience")
TOKENS = ("prompt_tokens", "implicit_tokens", "explicit_tokens")
QUANTILES = {"latency_p50_s": 0.50, "latency_p95_s": 0.95, "latency_p99_s": 0.99}

# name -> type in the file; what a stream alone does not have (money, jobs, caches) is null in its row
COLUMNS: dict[str, str] = {
    "strategy": "VARCHAR",
    "model": "VARCHAR",
    "replication": "BIGINT",
    "stream": "VARCHAR",  # "" = all streams
    "cost_usd": "DOUBLE",
    "cost_usd_exact": "VARCHAR",  # a decimal, or a fraction where no finite decimal is exact
    **{f"{line}_usd": "DOUBLE" for line in LINES},
    **{f"{line}_usd_exact": "VARCHAR" for line in LINES},
    **dict.fromkeys((*COUNTS, *TOKENS), "BIGINT"),
    "latency_sum_ms": "BIGINT",
    **dict.fromkeys(QUANTILES, "DOUBLE"),
    **{f"jobs_{state.name.lower()}": "BIGINT" for state in JobState},
    **dict.fromkeys(("caches", "unread_caches", "duplicates"), "BIGINT"),
}


def rows(result: Result) -> Iterator[dict[str, Any]]:
    """Yield a row for all streams of each cell, then one for each of its streams; keys are those of ``COLUMNS``."""
    for cell in result.cells:
        key = {"strategy": cell.strategy, "model": cell.model, "replication": cell.replication}
        yield dict.fromkeys(COLUMNS) | key | {"stream": ""} | _whole(cell) | _answers(cell.streams)
        for stream in cell.streams:
            if stream.stream:  # a stream without a name is all there is
                yield dict.fromkeys(COLUMNS) | key | {"stream": stream.stream} | _answers((stream,))


def _whole(cell: Cell) -> dict[str, Any]:
    """Return what only the cell as a whole has."""
    money = {"cost": cell.total_usd, **{line: cell.lines_usd.get(line, Fraction(0)) for line in LINES}}
    return {
        **{f"{name}_usd": float(usd) for name, usd in money.items()},
        **{f"{name}_usd_exact": exact_text(usd) for name, usd in money.items()},
        **{f"jobs_{state.name.lower()}": cell.jobs.get(state.name.lower(), 0) for state in JobState},
        "caches": cell.caches,
        "unread_caches": cell.unread_caches,
        "duplicates": cell.duplicates,
    }


def _answers(streams: tuple[StreamCell, ...]) -> dict[str, Any]:
    latency = np.concatenate([stream.latency_ms for stream in streams])
    return {
        **{name: sum(getattr(stream, name) for stream in streams) for name in (*COUNTS, *TOKENS)},
        "latency_sum_ms": int(latency.sum()),
        **{name: quantile(latency, q) / SECOND if len(latency) else None for name, q in QUANTILES.items()},
    }


def exact_text(usd: Fraction) -> str:
    """Return an amount that parses back to itself: a decimal where one is exact, else a fraction.

    >>> exact_text(Fraction(5, 4)), exact_text(Fraction(1, 3))
    ('1.25', '1/3')
    """
    text = decimal_text(usd)
    return text if Fraction(text) == usd else str(usd)
