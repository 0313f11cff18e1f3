"""A sweep for the terminal: a row for each setting and strategy, the cheapest of each marked, and what to beware of."""

import re
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import NONE, Dollars, duration, percent
from sim.report.tables import FigureTable, Json, empty

__all__ = ["plan_table", "sweep_report"]

NAMED = 3  # settings that a warning names; of more it tells the number
_FIGURE = re.compile(r"(?<![\w.-])[+-]?\d[\d,.]*")  # no part of a name such as gemini-2.5-flash


def sweep_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a sweep, in order."""
    yield Text(summary["question"], style="bold")
    runs = summary["replications"]
    times = "1 replication" if runs == 1 else f"{runs:,} replications"
    settings = len(summary["settings"])
    yield Text(
        f"{summary['scenario']}: {settings:,} settings ({summary['design']}), {times}, seed {summary['seed']}, "
        f"price book {summary['book']}",
        style="dim",
    )
    models = dict.fromkeys(result["model"] for setting in summary["settings"] for result in setting["results"])
    for model in models:
        yield _costs(summary, model)
    yield Text("Green: the cheapest of its setting that keeps the patience target.", style="dim")
    for warning in _warnings(summary):
        yield Text(f"Warning: {warning}", style="yellow")


def _warnings(summary: Json) -> Iterator[str]:
    """Yield what the whole sweep warns of, then what some settings do; what differs in its figures alone is one."""
    yield from summary.get("warnings", [])  # a sweep of an earlier version has those of its settings only
    alike: dict[str, list[tuple[Json, str]]] = {}
    for setting in summary["settings"]:
        for warning in setting["warnings"]:
            alike.setdefault(_FIGURE.sub("#", warning), []).append((setting, warning))
    for told in alike.values():
        texts = dict.fromkeys(warning for _, warning in told)
        others = " (the figures are those of the first)" if len(texts) > 1 else ""
        yield f"{_where([setting for setting, _ in told], summary)}: {next(iter(texts))}{others}"


def _where(settings: Sequence[Json], summary: Json) -> str:
    """Return which settings a warning is about, the one that it has its figures from first."""
    named = [", ".join(f"{path}={value}" for path, value in setting["values"].items()) for setting in settings[:NAMED]]
    if len(settings) > NAMED:
        return f"at {len(settings):,} of {len(summary['settings']):,} settings, such as {named[0]}"
    return f"at {'; '.join(named)}"


def _costs(summary: Json, model: str) -> FigureTable:
    rows = [
        (setting, result)
        for setting in summary["settings"]
        for result in setting["results"]
        if result["model"] == model and result["replications"]
    ]
    dollars = Dollars(result["cost_usd"]["mean"] for _, result in rows)
    columns = [*summary["varied"], "strategy", "mean cost", "against baseline", "hits %", "p95", "in patience %"]
    table = empty(f"Cost of a run on {model}", columns, keys=len(summary["varied"]) + 1)
    before = None
    for setting, result in rows:
        new = setting["setting"] != before
        if new and before is not None:
            table.add_section()
        before = setting["setting"]
        values = [setting["values"][path] if new else "" for path in summary["varied"]]
        table.add_row(*values, *_row(dollars, setting, result), style=_mark(setting, result))
    return table


def _row(dollars: Dollars, setting: Json, result: Json) -> Sequence[str]:
    cost, difference, p95 = result["cost_usd"], result["difference_usd"], result["latency_s"]["p95"]
    hits = [hit for hit in result["hit_ratio"].values() if hit is not None]
    versus = NONE
    if result["strategy"] == setting["baseline"]:
        versus = "the baseline"
    elif difference is not None:
        versus = dollars.plus_minus(difference["mean"], difference["lo"], difference["hi"], sign=True)
    within = result["within_patience"]
    return [
        result["strategy"],
        dollars.plus_minus(cost["mean"], cost["lo"], cost["hi"]),
        versus,
        percent(sum(hit["mean"] for hit in hits)) if hits else NONE,
        NONE if p95 is None else duration(p95["mean"], p95["lo"], p95["hi"]),
        NONE if within is None else percent(within["mean"], within["lo"], within["hi"]),
    ]


def _mark(setting: Json, result: Json) -> str | None:
    best = setting["cheapest"]
    same = best is not None and (best["strategy"], best["model"]) == (result["strategy"], result["model"])
    return "green" if same else None


def plan_table(plan: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a sweep that was planned only."""
    yield Text(f"{plan['scenario']}: what the sweep would do; nothing was written", style="bold")
    table = empty("Plan", ["what", "how much"])
    mib = plan["bytes_each"] / 2**20
    several = [(f"time on {plan['workers']} workers", duration(plan["seconds"] / plan["workers"]))]
    for name, text in (
        ("design", plan["design"]),
        ("engine", plan["engine"]),
        ("settings", f"{plan['settings']:,}"),
        ("replications", f"{plan['replications']:,}"),
        ("cells to compute (strategy x setting x replication)", f"{plan['cells']:,}"),
        ("items of work (a realisation each)", f"{plan['items']:,}"),
        ("requests, once for each of their cells", f"{plan['requests']:,}"),
        ("time on one core", duration(plan["seconds"])),
        *(several if plan["workers"] > 1 else []),
        ("memory of a worker", f"{mib:,.0f} MiB"),
    ):
        table.add_row(name, text)
    yield table
