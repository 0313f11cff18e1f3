"""A run for the terminal: the question, what each strategy costs and how long it takes, the verdict, the fine print.

Every figure comes from the ``gcsim.run/2`` document, so a saved run prints as it did when it was new.
"""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from sim.report.bound_tables import bound
from sim.report.figures import NONE, Dollars, count, duration, percent, share
from sim.report.fine_print import fine_print
from sim.report.tables import FigureTable, Json, beside, empty
from sim.stats import least_sample

__all__ = ["run_report"]

QUANTILES = ("p50", "p95", "p99")
SPREAD = {"p5": 0.05, "p50": 0.50, "p95": 0.95}  # of the cost


def run_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a run, in order."""
    yield Text(summary["question"], style="bold")
    yield Text(_circumstances(summary), style="dim")
    for model in dict.fromkeys(pair["model"] for pair in summary["results"]):
        pairs = [pair for pair in summary["results"] if pair["model"] == model]
        yield _costs(summary, model, pairs)
        yield from _common_luck(summary, model)
        yield from _spread(summary, model, pairs)
        yield _bill(model, pairs)
        yield _answers(model, pairs)
        yield from _parts(pairs[0])
        yield _waits(model, pairs)
        yield from bound(summary, model, pairs)
    yield Text()
    yield Text(verdict(summary), style="bold")
    yield from fine_print(summary)


def _circumstances(summary: Json) -> str:
    runs = summary["replications"]
    times = "1 replication" if runs == 1 else f"{runs:,} replications"
    return (
        f"{summary['scenario']}: {duration(summary['horizon_s'])} of traffic, {times}, seed {summary['seed']}, "
        f"price book {summary['book']}"
    )


def _costs(summary: Json, model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return cost by strategy, and what it saves against the baseline in the same replications."""
    dollars = Dollars(pair["cost_usd"]["mean"] for pair in pairs)
    beside = {c["strategy"]: c for c in summary["comparisons"] if c["model"] == model}
    versus = [f"against {summary['baseline']}", "saving %", "cheapest in"] if beside else []
    table = empty(f"Cost of the run on {model}", ["strategy", "mean cost", *versus])
    for pair in pairs:
        cost = pair["cost_usd"]
        row = [pair["strategy"], dollars.plus_minus(cost["mean"], cost["lo"], cost["hi"])]
        row += _versus(dollars, beside[pair["strategy"]]) if beside else []
        table.add_row(*row, style=_mark(summary, pair))
    return table


def _common_luck(summary: Json, model: str) -> Iterator[Text]:
    """Yield what the same luck for all strategies gave: how much less a difference varies than between other runs."""
    ratios = {c["strategy"]: c["variance_ratio"] for c in summary["comparisons"] if c["model"] == model}
    told = [
        f"{name} {ratio:.2g}" for name, ratio in ratios.items() if ratio is not None and name != summary["baseline"]
    ]
    if told:
        yield Text(
            f"Variance of the difference to {summary['baseline']}, as a multiple of that without common luck: "
            f"{', '.join(told)}.",
            style="dim",
        )


def _spread(summary: Json, model: str, pairs: Sequence[Json]) -> Iterator[FigureTable]:
    """Yield the quantiles of the cost between order statistics, or how many replications those would need."""
    if summary["replications"] == 1:
        return
    dollars = Dollars(pair["cost_usd"]["mean"] for pair in pairs)
    table = empty(f"Quantiles of the cost over runs on {model}", ["strategy", *SPREAD])
    for pair in pairs:
        bounds = pair["intervals"]["cost_usd"]
        table.add_row(
            pair["strategy"],
            *(_quantile(dollars, pair["cost_usd"][name], bounds[name], q) for name, q in SPREAD.items()),
        )
    yield table


def _quantile(dollars: Dollars, usd: float, bounds: Sequence[float | None], q: float) -> str:
    """Return a quantile with its bounds.

    >>> _quantile(Dollars([20.0]), 20.0, [19.0, 21.5], 0.95), _quantile(Dollars([20.0]), 20.0, [19.0, None], 0.95)
    ('$20.00 [19.00, 21.50]', '$20.00 (needs n >= 72)')
    """
    if None in bounds:
        return f"{dollars.text(usd)} (needs n >= {least_sample(max(q, 1 - q))})"
    low, high = (dollars.text(end).replace("$", "") for end in bounds)
    return f"{dollars.text(usd)} [{low}, {high}]"


def _versus(dollars: Dollars, comparison: Json) -> list[str]:
    cheapest = share(comparison["share_cheapest"], digits=0)
    if comparison["strategy"] == comparison["baseline"]:
        return ["the baseline", "", cheapest]
    difference, saving = comparison["difference_usd"], comparison["saving"]
    apart = dollars.plus_minus(difference["mean"], difference["lo"], difference["hi"], sign=True)
    return [apart, NONE if saving is None else percent(saving["mean"], saving["lo"], saving["hi"]), cheapest]


def _mark(summary: Json, pair: Json) -> str | None:
    best = summary["cheapest"]
    return "green" if (pair["strategy"], pair["model"]) == (best["strategy"], best["model"]) else None


def _bill(model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return the lines of the bills; audio has its own where any was billed."""
    dollars = Dollars(pair["cost_usd"]["mean"] for pair in pairs)
    used = [line for line in pairs[0]["lines_usd"] if any(pair["lines_usd"][line] for pair in pairs)]
    lines = [line for line in pairs[0]["lines_usd"] if line in used or not line.startswith("audio_")]
    table = empty(f"Lines of the bill on {model}, means", ["strategy", *(_spelt(line) for line in lines), "total"])
    for pair in pairs:
        cells = [dollars.text(pair["lines_usd"][line]) if pair["lines_usd"][line] else NONE for line in lines]
        table.add_row(pair["strategy"], *cells, dollars.text(pair["cost_usd"]["mean"]))
    return table


def _spelt(name: str) -> str:
    return name.replace("_", " ")


def _answers(model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return what the callers met: hits, patience, and what became of their requests."""
    hits = [source for source in ("implicit", "explicit") if any(pair["hit_ratio"][source] for pair in pairs)]
    asked, ends = _ends(pairs)
    twice = ["paid twice"] if any(pair["duplicates"] for pair in pairs) else []
    columns = ["strategy", *(f"{source} hits %" for source in hits), "in patience %", *ends, *twice]
    table = empty(f"Answers on {model}{asked}", columns)
    for pair in pairs:
        caught = [beside(percent, pair, "hit_ratio", source) for source in hits]
        again = [count(pair["duplicates"])] if twice else []
        table.add_row(pair["strategy"], *caught, _in_patience(pair), *_counts(pair, ends), *again)
    return table


def _parts(pair: Json) -> Iterator[Text]:
    """Yield the sentence that says which parts of a strategy's answered prompts and outputs are told apart."""
    named = (("audio_share", "audio", "prompts"), ("thinking_share", "thinking", "output"))
    told = [f"{part} is {beside(share, pair, key)} of the {whole}" for key, part, whole in named if pair[key]]
    if told:
        yield Text(f"Under {pair['strategy']}, {' and '.join(told)}.")


def _waits(model: str, pairs: Sequence[Json]) -> FigureTable:
    """Return how long answers took, over all streams and stream by stream, strategy by strategy."""
    names = list(pairs[0]["streams"])
    groups = [("all", pairs)] if len(names) > 1 else []
    groups += [(name, [pair["streams"][name] for pair in pairs]) for name in names]
    _, ends = _ends([row for _, rows in groups for row in rows])
    columns = ["stream", "strategy", "mean", *QUANTILES, "in patience %", *(["requests"] if "requests" in ends else [])]
    table = empty(f"Time from a request to its answer on {model}", columns, keys=2)
    for group, rows in groups:
        for number, (pair, row) in enumerate(zip(pairs, rows, strict=True)):
            counted = _counts(row, ["requests"]) if "requests" in ends else []
            waits = [duration(row["latency_s"][q], *row["intervals"]["latency_s"][q]) for q in ("mean", *QUANTILES)]
            table.add_row(group if number == 0 else "", pair["strategy"], *waits, _in_patience(row), *counted)
        table.add_section()
    return table


def _in_patience(row: Json) -> str:
    return percent(row["within_patience"], *row["intervals"]["within_patience"])


def _ends(rows: Sequence[Json]) -> tuple[str, list[str]]:
    """Return what a title says of the number of requests, and which counts have columns.

    Requests have one where they differ, pending ones where the run was cut.
    """
    asked = {row["requests"]["total"] for row in rows}
    pending = any(row["requests"]["pending"] for row in rows)
    ends = ["failed", "expired", *(["pending"] if pending else [])]
    return ("", ["requests", *ends]) if len(asked) > 1 else (f" to {count(*asked)} requests a run", ends)


def _counts(row: Json, ends: Sequence[str]) -> list[str]:
    return [count(row["requests"]["total" if name == "requests" else name]) for name in ends]


def verdict(summary: Json) -> str:
    """Return the sentence that answers the question: the cheapest pair that keeps the patience target, or why none."""
    best = summary["cheapest"]
    target = f"answer {share(best['patience_target'])} of the requests within their callers' patience"
    if best["strategy"] is None:
        return f"No cheapest strategy: {best['reason']} (target: {target})."
    pair = next(p for p in summary["results"] if (p["strategy"], p["model"]) == (best["strategy"], best["model"]))
    cost = pair["cost_usd"]
    price = Dollars([cost["mean"]]).plus_minus(cost["mean"], cost["lo"], cost["hi"])
    kept = share(best["within_patience"], *pair["intervals"]["within_patience"])
    ties = [f"{tie['strategy']} on {tie['model']}" for tie in best["ties"]]
    equal = f" The same cost: {', '.join(ties)}." if ties else ""
    return (
        f"Cheapest of those that {target}: {best['strategy']} on {best['model']}, {price} a run, "
        f"with {kept} in time.{equal}"
    )
