"""The cells of a run as one table: a row for each strategy, model, replication and stream, before any statistics."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

from sim.billing import decimal_text
from sim.errors import EngineError
from sim.experiments.binding import refused_by
from sim.experiments.result import LIMIT_NAMES, Binding, Cell, Result, StreamCell
from sim.ledger import JobState, Limit, Mode
from sim.providers.prices import LINES
from sim.sketch import Sample, joined, total
from sim.stats import quantiles
from sim.units import HOUR, SECOND

__all__ = ["COLUMNS", "cost_of", "rows"]

COUNTS = ("total", "done", "failed", "expired", "pending", "within_patience")
TOKENS = (
    "prompt_tokens",
    "implicit_tokens",
    "explicit_tokens",
    "audio_tokens",
    "output_tokens",
    "thinking_tokens",
)
QUANTILES = {"p50": 0.50, "p95": 0.95, "p99": 0.99}
TIMES = ("latency", "before_creation", "after_creation")
BINDING = ("asked", "calls", "throttled", "shed", "timeouts", "forbidden", "backoff_ms", "queued_ms")

_WRAPS = 1 << 63

# name -> type in the file; what a stream alone does not have (money, limits, jobs, caches) is null in its row
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
    **{f"{time}_{name}_s": "DOUBLE" for time in TIMES for name in QUANTILES},
    **dict.fromkeys(BINDING, "BIGINT"),
    **{f"refused_{name}": "BIGINT" for name in LIMIT_NAMES.values()},
    **dict.fromkeys(("bound_by", "peak_hour", "first_hour"), "VARCHAR"),  # the limit that refused most, and when
    **{f"served_{mode.name.lower()}": "BIGINT" for mode in Mode},
    **{f"jobs_{state.name.lower()}": "BIGINT" for state in JobState},
    **dict.fromkeys(("caches", "unread_caches", "refused_contexts"), "BIGINT"),
    **dict.fromkeys(("cache_token_hours", "unread_token_hours", "unread_usd"), "DOUBLE"),
    "unread_usd_exact": "VARCHAR",
    "duplicates": "BIGINT",
}


def rows(result: Result) -> Iterator[dict[str, Any]]:
    """Yield a row for all streams of each cell, then one for each of its streams; keys are those of ``COLUMNS``."""
    for cell in result.cells:
        key = {"strategy": cell.strategy, "model": cell.model, "replication": cell.replication}
        alone = _whole(cell) | _bound(cell.binding, result.time_zone)
        yield _counted(dict.fromkeys(COLUMNS) | key | {"stream": ""} | alone | _answers(cell.streams))
        for stream in cell.streams:
            if stream.stream:  # a stream without a name is all there is
                yield dict.fromkeys(COLUMNS) | key | {"stream": stream.stream} | _answers((stream,))


def _counted(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row if the table's 64-bit counts hold its sums; raise :class:`EngineError` rather than let one wrap."""
    for name, value in row.items():
        if type(value) is int and not -_WRAPS <= value < _WRAPS:
            raise EngineError(f"{name} is {value}, more than a 64-bit count holds")
    return row


def _whole(cell: Cell) -> dict[str, Any]:
    """Return what only the cell as a whole has."""
    caches = cell.caches
    lines: dict[str, Fraction] = {line: cell.lines_usd.get(line, Fraction(0)) for line in LINES}
    money = {"cost": cell.total_usd, **lines}
    if caches.unread is not None:
        money["unread"] = caches.unread.usd
    return {
        **{f"{name}_usd": float(usd) for name, usd in money.items()},
        **{f"{name}_usd_exact": exact_text(usd) for name, usd in money.items()},
        **{f"jobs_{state.name.lower()}": cell.jobs.get(state.name.lower(), 0) for state in JobState},
        **_quantiles("before_creation", cell.turnaround.before_ms),
        **_quantiles("after_creation", cell.turnaround.after_ms),
        "caches": caches.created,
        "unread_caches": None if caches.unread is None else caches.unread.caches,
        "refused_contexts": caches.refused,
        "cache_token_hours": caches.token_ms / HOUR,
        "unread_token_hours": None if caches.unread is None else caches.unread.token_ms / HOUR,
        "duplicates": cell.duplicates,
    }


def _bound(binding: Binding, zone: ZoneInfo) -> dict[str, Any]:
    """Return what stood in the way of a cell's requests, and the limit that refused most of them."""
    most = next(iter(refused_by([binding], zone)), None)
    when = {} if most is None else {"peak_hour": most.peak, "first_hour": most.first}
    return {
        **{name: getattr(binding, name) for name in BINDING},
        **{f"refused_{LIMIT_NAMES[limit]}": binding.refused(limit) for limit in Limit},
        **{f"served_{mode.name.lower()}": binding.served[mode] for mode in Mode},
        "bound_by": None if most is None else LIMIT_NAMES[most.limit],
        **when,
    }


def _answers(streams: tuple[StreamCell, ...]) -> dict[str, Any]:
    latency = joined([stream.latency_ms for stream in streams])
    return {
        **{name: sum(getattr(stream, name) for stream in streams) for name in (*COUNTS, *TOKENS)},
        "latency_sum_ms": total(latency),
        **_quantiles("latency", latency),
    }


def _quantiles(name: str, ms: Sample) -> dict[str, float | None]:
    found = [q / SECOND for q in quantiles(ms, list(QUANTILES.values()))] if len(ms) else [None] * len(QUANTILES)
    return {f"{name}_{key}_s": q for key, q in zip(QUANTILES, found, strict=True)}


def cost_of(row: Mapping[str, Any]) -> Fraction:
    """Return the exact dollars of a cell, from its row of all streams."""
    return Fraction(row["cost_usd_exact"])


def exact_text(usd: Fraction) -> str:
    """Return an amount that parses back to itself: a decimal where one is exact, else a fraction.

    >>> exact_text(Fraction(5, 4)), exact_text(Fraction(1, 3))
    ('1.25', '1/3')
    """
    text = decimal_text(usd)
    return text if Fraction(text) == usd else str(usd)
