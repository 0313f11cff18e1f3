"""What is not known, for the terminal: the choice and what to measure in two sentences, the costs, then the inputs."""

import math
from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import NONE, Dollars, duration, percent, share
from sim.report.fine_print import remarks
from sim.report.tables import FigureTable, Json, empty

__all__ = ["uncertainty_report"]


def uncertainty_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a study of uncertainty, in order."""
    dollars = Dollars(result["cost_usd"]["mean"] for result in summary["results"])
    yield Text(_choice(summary, dollars), style="bold")
    yield Text(_next(summary), style="bold")
    yield Text(
        f"{summary['scenario']}: {summary['question']} ({summary['draws']:,} draws of what is not known, "
        f"{summary['replications']:,} runs of each, seed {summary['seed']}, price book {summary['book']})",
        style="dim",
    )
    yield _costs(summary, dollars)
    yield _inputs(summary)
    yield Text(_reading(summary), style="dim")
    yield from remarks(summary)


def _several_models(summary: Json) -> bool:
    return len({result["model"] for result in summary["results"]}) > 1


def _who(summary: Json, pair: Json) -> str:
    return f"{pair['strategy']} on {pair['model']}" if _several_models(summary) else str(pair["strategy"])


def _told(summary: Json) -> Json:
    """Return the result that the inputs are told of: the chosen one, else the first."""
    choice = summary["choice"]
    chosen = (choice["strategy"], choice["model"])
    results: list[Json] = summary["results"]
    return next((one for one in results if (one["strategy"], one["model"]) == chosen), results[0])


def _choice(summary: Json, dollars: Dollars) -> str:
    if summary["choice"]["strategy"] is None:
        return f"No strategy can be chosen: {summary['choice']['reason']}."
    result = _told(summary)
    expected, cheapest = result["expected_usd"], result["share_cheapest"]
    most = f", and {share(cheapest, digits=0)} of the draws agree" if cheapest < 1 else ", at every draw"
    return (
        f"Choose {_who(summary, result)}: it costs {_estimate(dollars, result['cost_usd'])} a run of "
        f"{duration(summary['horizon_s'])} on average, the least of all that keep the patience target{most}. "
        f"What is not known puts its expected cost anywhere from {dollars.text(expected['p5']['mean'])} to "
        f"{dollars.text(expected['p95']['mean'])} (central 90 %)."
    )


def _next(summary: Json) -> str:
    if summary["choice"]["strategy"] is None or not summary["learning"]:
        return f"What to measure next: nothing for the choice, {summary['why']}."
    if summary["measure_next"] is None:
        return f"What to measure next: nothing for the choice; {summary['why']}. {_driver(summary)}"
    return f"Measure next: {summary['measure_next']}; {summary['why']}."


def _driver(summary: Json) -> str:
    """Return which input moves the cost most, if any does."""
    result = _told(summary)
    name, part = max(result["inputs"].items(), key=lambda item: item[1]["mean"])
    if not part["lo"]:
        return "No single input can be seen to move its cost."
    return f"What its cost will be hangs most on {name} ({share(part['mean'], digits=0)} of its variance)."


def _estimate(dollars: Dollars, interval: Json) -> str:
    return dollars.plus_minus(interval["mean"], interval["lo"], interval["hi"])


def _costs(summary: Json, dollars: Dollars) -> FigureTable:
    columns = ["strategy", "mean cost", "expected: 5 %", "50 %", "95 %", "not known %", "luck %", "in patience %"]
    table = empty("Cost of a run", [*columns, "cheapest %"], spare=["in patience %", "50 %"])
    for result in summary["results"]:
        expected, own = result["expected_usd"], result["unknown_share"]
        table.add_row(
            _who(summary, result),
            _estimate(dollars, result["cost_usd"]),
            *(dollars.text(expected[name]["mean"]) for name in ("p5", "p50", "p95")),
            percent(own["mean"], own["lo"], own["hi"]),
            percent(result["luck_share"]["mean"]),
            NONE if result["within_patience"] is None else percent(result["within_patience"]),
            percent(result["share_cheapest"], digits=0) if result["keeps_patience"] else "too late",
            style="green" if result is _told(summary) and summary["choice"]["strategy"] else None,
        )
    return table


def _inputs(summary: Json) -> FigureTable:
    result = _told(summary)
    dollars = Dollars([max((one["value_usd"]["hi"] or 0.0 for one in summary["learning"]), default=1.0)])
    learning = {one["name"]: one for one in summary["learning"]}
    columns = ["input", "law", "% of variance", "knowing it saves", "at most", "other choice %"]
    title = f"What is not known, and what it does to the cost of {_who(summary, result)}"
    table = empty(title, columns, keys=1, spare=["other choice %"])
    for one in sorted(summary["inputs"], key=lambda one: -result["inputs"][one["name"]]["mean"]):
        part, worth = result["inputs"][one["name"]], learning.get(one["name"])
        table.add_row(
            one["name"],
            _law(one["laws"]),
            percent(part["mean"], part["lo"], part["hi"]),
            NONE if worth is None else dollars.text(max(0.0, worth["value_usd"]["mean"])),
            NONE if worth is None else dollars.text(max(0.0, worth["value_usd"]["hi"])),
            NONE if worth is None else percent(worth["switches"], digits=0),
            style="green" if one["name"] == summary["measure_next"] else None,
        )
    return table


def _law(laws: Json) -> str:
    """Return a law as it was written; of a joint law the parameters of all members in one.

    >>> _law({"a[0].weight": "dirichlet(60)", "a[1].weight": "dirichlet(40)"})
    'dirichlet(60, 40)'
    """
    first, *others = laws.values()
    return first if not others else f"{first[:-1]}, {', '.join(law.partition('(')[2][:-1] for law in others)})"


def _widest(draws: int) -> float:
    """Return the half-width of the 95 % interval of a share of so many independent draws, where that is a half.

    >>> round(_widest(200), 3)
    0.069
    """
    return 1.96 * 0.5 / math.sqrt(draws)


def _reading(summary: Json) -> str:
    target = share(summary["patience_target"], digits=0)
    return (
        "Expected is the cost that luck leaves on average, once the inputs are known; its quantiles are over what they "
        "may be. Not known and luck are the parts of the variance of one run's cost; that of an input is what it "
        f"explains by itself. Too late: fewer than {target} of all requests are answered in time, over all draws. "
        "Knowing an input saves so much a run on average, as the choice is made by it (expected value of partial "
        "perfect information); at most is the upper end of its interval, and other choice are the draws at which "
        f"another strategy would be taken. ± is the longer half of a {summary['level']:.0%} interval; the draws at "
        f"which a strategy is the cheapest are known to ± {share(_widest(summary['draws']), digits=0)} at worst. In "
        "patience has no interval: who is too late is told by the estimate."
    )
