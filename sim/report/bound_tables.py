"""What stood in the way on one model: limits and queues, the waits of batch jobs, and what explicit caches were for."""

from collections.abc import Callable, Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import NONE, Dollars, count, counted, duration, hour, percent
from sim.report.tables import FigureTable, Json, beside, empty

__all__ = ["LIMIT_WORDS", "bound"]

_QUANTILES = ("p50", "p95", "p99")
_UPPER = {"p50": "half", "p95": "5 %", "p99": "1 %"}  # of a sample is above
_PRIORITY = "priority"  # its own limits refuse nothing: what is above them is served as standard
LIMIT_WORDS = {
    "requests_per_minute": "requests a minute",
    "tokens_per_minute": "input tokens a minute",
    "requests_per_day": "requests a day",
    "usd_per_10_minutes": "dollars in ten minutes",
    "concurrent_requests": "calls in flight",
    "overload": "an overloaded service",
    "flex_shed": "the load of the flex tier",
    "forbidden": "explicit caches that were over",
    "timeout": "its callers' time-outs",
}

Column = tuple[str, Callable[..., str], tuple[str, ...]]  # heading, how a figure looks, where it stands in a result
_OBSTACLES: tuple[Column, ...] = (
    ("refused (429)", counted, ("binding", "throttled")),
    ("overload (503)", counted, ("binding", "shed")),
    ("timed out", counted, ("binding", "timeouts")),
    ("cache over (403)", counted, ("binding", "forbidden")),
    ("lost to quotas", lambda value, _lo, _hi: duration(value), ("backoff_s", "total")),
    ("a request", duration, ("backoff_s", "per_request")),
    ("in own queue, a request", duration, ("queued_s", "per_request")),
    ("jobs that waited", counted, ("binding", "jobs_waited")),
)


def bound(summary: Json, model: str, pairs: Sequence[Json]) -> Iterator[RenderableType]:
    """Yield what stood in the way of the strategies on a model, and how tiers, jobs and caches were used, if they were.

    Of a run that met no limit and used none of these there is nothing.
    """
    if any(_bound(pair) for pair in pairs):
        yield _obstacles(summary, model, pairs)
    yield from (Text(sentence) for pair in pairs if (sentence := most_bound(pair)))
    if any(pair["tiers"][tier] for pair in pairs for tier in ("flex", "priority", "overflow")):
        yield _tiers(model, pairs)
    if batched := [pair for pair in pairs if pair["jobs"]]:
        yield _jobs(model, batched)
    if caching := [pair for pair in pairs if pair["caches"]["created"] or pair["caches"]["refused"]]:
        yield _caches(model, caching)


def _value(pair: Json, path: tuple[str, ...]) -> float:
    found = pair
    for name in path[:-1]:
        found = found[name]
    value: float | None = found[path[-1]]
    return value or 0.0


def _obstacles(summary: Json, model: str, pairs: Sequence[Json]) -> FigureTable:
    columns = [column for column in _OBSTACLES if any(_value(pair, column[2]) for pair in pairs)]
    title = f"What bound on {model} (hours of {summary['time_zone']})"
    table = empty(title, ["strategy", "calls a request", *(name for name, _, _ in columns)])
    for pair in pairs:
        cells = [beside(text, pair, *path) if _value(pair, path) else NONE for _, text, path in columns]
        table.add_row(pair["strategy"], beside(counted, pair, "attempts_per_request"), *cells)
    return table


def most_bound(pair: Json) -> str:
    """Return the sentence that says which limit bound a strategy most, and when; nothing where none did.

    Calls that the priority tier passed on to standard were served: they are told apart from those that were refused.
    """
    bound, passed = _bound(pair), _passed_on(pair)
    parts = [*([f"bound {'; and '.join(bound)}"] if bound else []), *([passed] if passed else [])]
    return f"{pair['strategy']}: {'; '.join(parts)}." if parts else ""


def _bound(pair: Json) -> list[str]:
    return [part for part in (_refused(pair), _roomless(pair), _queued(pair)) if part]


def _refused(pair: Json) -> str:
    refusals = [one for one in pair["binding"]["refusals"] if one["limit"] != _PRIORITY]
    if not refusals:
        return ""
    most, *others = refusals
    text = f"most by {LIMIT_WORDS[most['limit']]}: {count(most['mean'])} calls a run, {_when(most)}"
    rest = ", ".join(f"{LIMIT_WORDS[one['limit']]} {count(one['mean'])}" for one in others)
    return f"{text} (then {rest})" if rest else text


def _passed_on(pair: Json) -> str:
    found = (one for one in pair["binding"]["refusals"] if one["limit"] == _PRIORITY)
    return "".join(
        f"{count(one['mean'])} calls of the priority tier a run were passed on to standard, {_when(one)}"
        for one in found
    )


def _when(refusal: Json) -> str:
    """Return the hours in which a limit met calls: all in one, or the worst and the first."""
    peak, first = hour(refusal["peak_hour"]), hour(refusal["first_hour"])
    if refusal["in_peak_hour"] == refusal["mean"]:
        return f"all in the hour from {peak}"
    return f"{count(refusal['in_peak_hour'])} of them in the hour from {peak}, the first in that from {first}"


def _roomless(pair: Json) -> str:
    waited = pair["binding"]["jobs_waited"]
    if not waited:
        return ""
    jobs, before = sum(pair["jobs"].values()), pair["turnaround_s"]["before_creation"]
    quantile = next((q for q in _QUANTILES if before[q] >= 60), "p99")
    said = f"{_UPPER[quantile]} of all {duration(before[quantile])} or longer"
    return f"by the room for batch jobs: {count(waited)} of {count(jobs)} jobs waited, {said}"


def _queued(pair: Json) -> str:
    wait = pair["queued_s"]["per_request"]
    return f"by the slots of its own client: a request waited {duration(wait)} for one" if wait else ""


def _tiers(model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return which tier answered how many requests, and the calls of priority that were served as standard."""
    tiers = [tier for tier in pairs[0]["tiers"] if any(pair["tiers"][tier] for pair in pairs)]
    names = ["calls passed on to standard" if tier == "overflow" else tier for tier in tiers]
    table = empty(f"Answers by tier on {model}", ["strategy", *names])
    for pair in pairs:
        cells = [beside(counted, pair, "tiers", tier) if pair["tiers"][tier] else NONE for tier in tiers]
        table.add_row(pair["strategy"], *cells)
    return table


def _jobs(model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return batch jobs by state, and how long they took; how long they waited to be created only where they did."""
    states = list(dict.fromkeys(state for pair in pairs for state in pair["jobs"]))
    waits = any(pair["binding"]["jobs_waited"] for pair in pairs)
    phases = ("before", "after") if waits else ("after",)
    names = [name.replace("partially_succeeded", "partial") for name in states]
    columns = ["strategy", *(["creation"] if waits else []), *_QUANTILES, *names]
    told = "before and after their creation" if waits else "from creation to end"
    table = empty(f"Batch jobs on {model}, {told}", columns, keys=2 if waits else 1)
    for pair in pairs:
        for phase in phases:
            first = phase == phases[0]
            times = [beside(duration, pair, "turnaround_s", f"{phase}_creation", q) for q in _QUANTILES]
            counts = [count(pair["jobs"].get(state, 0)) if first else "" for state in states]
            table.add_row(pair["strategy"] if first else "", *([phase] if waits else []), *times, *counts)
    return table


def _caches(model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return what explicit caches were created, and what was paid for those that nobody read."""
    dollars = Dollars(pair["caches"]["unread_usd"] or 0.0 for pair in pairs)
    counts = ["created", "unread", *(["refused"] if any(pair["caches"]["refused"] for pair in pairs) else [])]
    names = ["created", "never read", "contexts refused"][: len(counts)]
    table = empty(
        f"Explicit caches on {model}",
        ["strategy", *names, "token-hours", "unread %", "paid for unread", "storage % of bill"],
    )
    for pair in pairs:
        table.add_row(
            pair["strategy"],
            *(beside(counted, pair, "caches", name) for name in counts),
            beside(counted, pair, "caches", "token_hours"),
            beside(percent, pair, "caches", "unread_share"),
            beside(dollars.plus_minus, pair, "caches", "unread_usd") if pair["caches"]["unread_usd"] else NONE,
            beside(percent, pair, "storage_share"),
        )
    return table
