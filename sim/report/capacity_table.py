"""A capacity for the terminal: the answer in a sentence, strategies and tiers side by side, what binds, the curves."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sim.report.bound_tables import LIMIT_WORDS
from sim.report.figures import NONE, Dollars, counted, duration, percent
from sim.report.fine_print import remarks
from sim.report.tables import FigureTable, Json, empty

__all__ = ["capacity_report"]

MOST_CURVES = 3  # that are printed whole

_OTHERWISE: dict[str | None, str] = {  # what binds that is no limit which refuses
    None: "nothing refuses: it is that slow",
    "cost": "money",
    "own concurrency": "slots of its own client",
    "enqueued_tokens": "room for batch jobs",
}
_OUTCOMES = {"pass": "passed", "fail": "failed", "undecided": "undecided"}


def capacity_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a capacity, in order."""
    yield Text(_answer(summary), style="bold")
    yield Text(
        f"{summary['scenario']}: {summary['question']}\nRequired: {', '.join(summary['requirements'])}. A load of "
        f"{_load(summary['own_load'])} is the scenario's own; seed {summary['seed']}, price book {summary['book']}.",
        style="dim",
    )
    yield _capacities(summary)
    if summary["growth"] is not None:
        yield from _growth(summary["growth"])
    for model in dict.fromkeys(one["model"] for one in summary["capacities"]):
        yield _curves(summary, model)
    yield Text(_reading(summary), style="dim")
    yield from remarks(summary)


def _load(load: float | None) -> str:
    return NONE if load is None else f"{load:.4g} x"


def _several(summary: Json) -> bool:
    """Tell whether there are several models."""
    return len({one["model"] for one in summary["capacities"]}) > 1


def _who(one: Json, several: bool) -> str:
    return f"{one['strategy']} on {one['model']}" if several else str(one["strategy"])


def _tiers(summary: Json) -> list[str | None]:
    return list(dict.fromkeys(one["tier"] for one in summary["capacities"]))


def _answer(summary: Json) -> str:
    """Return the answer: for each tier the strategy that takes most."""
    several = _several(summary)
    parts = []
    for tier in _tiers(summary):
        there = [one for one in summary["capacities"] if one["tier"] == tier]
        most = max((one["capacity"] for one in there if one["capacity"] is not None), default=None)
        named = "" if tier is None else f"tier {tier} "
        if most is None:
            parts.append(f"{named}none of those tried")
            continue
        best = [one for one in there if one["capacity"] == most]
        free = "" if best[0]["beyond"] else ", where nothing binds yet"
        parts.append(f"{named}{_load(most)} ({', '.join(_who(one, several) for one in best)}{free})")
    return f"The largest load that meets all, with {summary['confidence']:.0%} confidence: {'; '.join(parts)}."


def _capacities(summary: Json) -> FigureTable:
    several = _several(summary)
    keys = ["tier", "strategy", *(["model"] if several else [])]
    columns = [*keys, "largest", "not passed", "cost of a run", "p95", "what binds there"]
    table = empty("The largest load that meets every requirement", columns, keys=len(keys), spare=["p95"])
    rows = [row for one in summary["capacities"] if (row := _at(one, "capacity")) is not None]
    dollars = Dollars(row["cost_usd"]["mean"] or 0.0 for row in rows)
    for tier in _tiers(summary):
        for place, one in enumerate(one for one in summary["capacities"] if one["tier"] == tier):
            row = _at(one, "capacity")
            table.add_row(
                _tier(tier) if place == 0 else "",
                one["strategy"],
                *([one["model"]] if several else []),
                _load(one["capacity"]),
                _load(one["beyond"]),
                NONE if row is None else _money(dollars, row["cost_usd"]),
                NONE if row is None else _time(row["latency_p95_s"]),
                _binds(one),
            )
        table.add_section()
    return table


def _tier(tier: str | None) -> str:
    return "own" if tier is None else tier


def _at(one: Json, name: str) -> Json | None:
    """Return the row of the load that a capacity names."""
    return next((row for row in one["tried"] if row["load"] == one[name]), None)


def _money(dollars: Dollars, value: Json) -> str:
    return NONE if value["mean"] is None else dollars.plus_minus(value["mean"], value["lo"], value["hi"])


def _time(value: Json) -> str:
    return duration(value["mean"], value["lo"], value["hi"])


def _binds(one: Json) -> str:
    """Return what binds at the first load that did not pass."""
    if one["binds"] is None:
        return "nothing yet"
    by, row = one["binds"]["by"], _at(one, "beyond")
    broken = [] if row is None else [entry["outcome"] for entry in row["requirements"]]
    unsure = "" if "fail" in broken else " (undecided)"
    calls = one["binds"]["refused"].get(by)
    what = LIMIT_WORDS[by] if by in LIMIT_WORDS else _OTHERWISE[by]
    return what + ("" if calls is None else f", {counted(calls)} refused a run") + unsure


def _growth(growth: Json) -> Iterator[RenderableType]:
    """Yield which tier each month takes and what it costs, strategies side by side, and how far each comes."""
    for model in dict.fromkeys(path["model"] for path in growth["paths"]):
        paths = [path for path in growth["paths"] if path["model"] == model]
        title = (
            f"The load grows {growth['factor']:g} times a month: the least tier, and the cost of 30 days, on {model}"
        )
        table = empty(title, ["month", "load", *(path["strategy"] for path in paths)], keys=2)
        for rows in zip(*(path["path"] for path in paths), strict=True):
            month = "now" if rows[0]["month"] == 0 else str(rows[0]["month"])
            table.add_row(month, _load(rows[0]["load"]), *map(_month, rows))
        yield table
        yield from (Text(_until(growth, path)) for path in paths)


def _month(row: Json) -> str:
    if not row["met"]:
        return "none" if row["met"] is False else "not tried"
    cost = row["cost_usd_a_month"]
    tier = "" if row["tier"] is None else f"{row['tier']}: "
    return tier + _money(Dollars([cost["mean"] or 0.0]), cost)


def _until(growth: Json, path: Json) -> str:
    """Return in a sentence how far a strategy comes."""
    if path["until"] == growth["months"]:
        return f"{path['strategy']}: every requirement is met to the end."
    first = path["path"][0 if path["until"] is None else path["until"] + 1]
    when = "now already" if first["month"] == 0 else f"in month {first['month']}"
    if first["met"] is None:
        return f"{path['strategy']}: {when} the load is above all that was tried; a wider --load tells more."
    if first["short_by"] is None:
        return f"{path['strategy']}: {when} not every requirement is met, nor is it at any load that was tried."
    return (
        f"{path['strategy']}: {when} not every requirement is met; the load is {first['short_by']:.2f} times the "
        f"largest that passed, and what binds there would have to grow as much at least."
    )


def _curves(summary: Json, model: str) -> FigureTable:
    """Return the loads that were tried, with what they cost and how each requirement fared; of many, the knees."""
    required, knees = summary["requirements"], _knees(summary)
    columns = ["tier", "strategy", "load", "runs", "cost of a run", "p95", *required]
    told = "The last load that passed, the first that did not, and the scenario's own: --json has every load."
    title = f"Load against cost and latency on {model}"
    table = empty(title, columns, keys=2, spare=["runs"], caption=told if knees else None)
    lines = [one for one in summary["capacities"] if one["model"] == model]
    for one in lines:
        dollars = Dollars([max(row["cost_usd"]["mean"] or 0.0 for row in one["tried"])])
        shown = {one["capacity"], one["beyond"], summary["own_load"]}
        for place, row in enumerate(row for row in one["tried"] if not knees or row["load"] in shown):
            table.add_row(
                _tier(one["tier"]) if place == 0 else "",
                one["strategy"] if place == 0 else "",
                _load(row["load"]),
                str(row["replications"]),
                _money(dollars, row["cost_usd"]),
                _time(row["latency_p95_s"]),
                *(_fared(row, entry) for entry in row["requirements"]),
                style="green" if row["load"] == one["capacity"] else None,
            )
        table.add_section()
    return table


def _knees(summary: Json) -> bool:
    """Tell whether there are so many pairs of tier and strategy that whole curves would hide the answer."""
    return len({(one["tier"], one["strategy"]) for one in summary["capacities"]}) > MOST_CURVES


def _fared(row: Json, entry: Json) -> str:
    value = entry["value"]
    text = _figure(entry["kind"], value)
    return text if row["stage"] == "pilot" else f"{text} {_OUTCOMES[entry['outcome']]}"


def _figure(kind: str, value: Json) -> str:
    ends = (value["mean"], value["lo"], value["hi"])
    if value["mean"] is None:
        return NONE
    if kind == "duration":
        return duration(*(None if end is None else end / 1e3 for end in ends))
    if kind == "share":
        return f"{percent(*ends)} %"
    return Dollars([value["mean"]]).plus_minus(*ends) if kind == "money" else counted(*ends)


def _reading(summary: Json) -> str:
    loads = summary["loads"]
    ended = (
        "" if loads["ended"] == "range" else f", as more would be above {loads['requests']:,} requests a replication"
    )
    return (
        f"{summary['method']} Tests have {summary['replications']} replications, or the first 10 or 30 where "
        f"those are hopeless or nothing is random; loads without an outcome are the pilot's, {summary['pilot']} "
        f"replications each. Cost and p95 have 95 % intervals, requirements those of their test. Loads are "
        f"{summary['step']:.1%} apart, from {_load(loads['lo'])} to {_load(loads['hi'])}{ended}. Green: the capacity."
    )
