"""Advice for the terminal: what to take, what the guide would take and why the two part, and the mistakes made here.

Every figure comes from the ``gcsim.advise/1`` document.
"""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sim.report.advise_streams import questions, streams
from sim.report.advise_words import because, ends, in_percent, key, money, named, undecided
from sim.report.figures import NONE, Dollars, count, percent, share
from sim.report.fine_print import remarks
from sim.report.tables import FigureTable, Json, empty

__all__ = ["advise_report"]

_KINDS = {
    "implicit": "ordinary calls",
    "explicit": "an explicit cache",
    "batch": "a batch",
    "hybrid": "a cache and a batch",
    "routed": "routing by patience",
}
_WHAT_IF = " What if: a strategy under a service or terms of its own, which nobody can choose, so it is never taken."


def advise_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed, in order: the answer, the guide's beside it, the evidence, the mistakes."""
    yield Text(summary["question"], style="bold")
    yield Text(_circumstances(summary), style="dim")
    yield Text()
    yield Text(_answer(summary), style="bold")
    if summary["guide"] is not None:
        yield from _guides(summary)
    yield _strategies(summary)
    if summary["streams"]:
        yield questions(summary)
        yield from streams(summary)
    yield from _mistakes(summary)
    yield Text(_reading(summary), style="dim")
    yield from remarks(summary)


def _circumstances(summary: Json) -> str:
    runs = summary["replications"]
    times = "1 replication" if runs == 1 else f"{runs:,} replications"
    return f"{summary['scenario']}: {times}, seed {summary['seed']}, price book {summary['book']}"


def _answer(summary: Json) -> str:
    """Return the answer in a sentence or two: what to take, what it costs, and how sure that is."""
    answer, target = summary["answer"], share(summary["patience_target"], digits=0)
    if answer["strategy"] is None:
        known = f" {undecided(summary, answer)}" if answer["rivals"] else ""
        return f"Nothing to take: no strategy answers {target} of the requests within their callers' patience.{known}"
    cost = money(answer["cost_usd"])
    kept = (
        ""
        if answer["within_patience"] is None
        else f", {in_percent(answer['within_patience'])} in time ({target} asked for)"
    )
    sentence = f"Take {answer['strategy']} on {answer['model']}: {cost} a run{kept}."
    return f"{sentence} {_ahead(summary, answer)}"


def _ahead(summary: Json, answer: Json) -> str:
    """Return how far the best is ahead, and whether that is known."""
    ties, runner = [named(summary, one) for one in answer["ties"]], answer["runner_up"]
    equal = f" {' and '.join(ties)} {'costs' if len(ties) == 1 else 'cost'} the same." if ties else ""
    if runner is None:
        return f"Nothing else keeps that.{equal}" if not answer["rivals"] else f"{undecided(summary, answer)}{equal}"
    lead = f"That is {in_percent(answer['saving'])} less than {named(summary, runner)}, the next cheapest that keeps it"
    if answer["decided"]:
        return f"{lead}: decided.{equal}"
    return f"{lead}. {undecided(summary, answer)}{equal}"


def _guides(summary: Json) -> Iterator[Text]:
    """Yield what the guide takes, and why the simulation does not where it does not."""
    guide = summary["guide"]
    what = f"The guide takes {_KINDS[guide['kind']]}"
    if guide["strategy"] is None:
        yield Text(f"{what}, which this scenario cannot have.")
        return
    added = ", added here with defaults" if guide["added"] else ""
    told = f"{what} ({guide['strategy']}{added}, {money(guide['cost_usd'])})"
    if guide["agrees"] == "yes":
        yield Text(f"{told}: the simulation agrees.")
        return
    says = "does not agree" if guide["agrees"] == "no" else "cannot tell yet"
    yield Text(f"{told}: the simulation {says}.{because(guide, summary['answer'])}")


def _strategies(summary: Json) -> FigureTable:
    several = len({one["model"] for one in summary["strategies"]}) > 1
    on = "" if several else f" on {summary['model']}"
    columns = ["strategy", "kind", *(["model"] if several else []), "mean cost", "in time %", "keeps the target"]
    table = empty(f"Every strategy on the same luck{on}", columns, keys=3 if several else 2)
    dollars = Dollars(one["cost_usd"]["mean"] for one in summary["strategies"])
    for one in summary["strategies"]:
        style = "green" if key(one) == key(summary["answer"]) else None
        kind = (
            f"{one['kind']}, {'added' if one['added'] else 'what if'}"
            if one["added"] or not one["offer"]
            else one["kind"]
        )
        waits = NONE if one["within_patience"] is None else percent(*ends(one["within_patience"]))
        names = [one["strategy"], kind, *([one["model"]] if several else [])]
        table.add_row(*names, dollars.plus_minus(*ends(one["cost_usd"])), waits, one["keeps"], style=style)
    return table


def _mistakes(summary: Json) -> Iterator[RenderableType]:
    """Yield the mistakes that are made here with their prices, and which others were looked for."""
    made = [(mistake, one) for mistake in summary["mistakes"] for one in mistake["found"]]
    if made:
        dollars = Dollars(one["price_usd"]["mean"] for _, one in made)
        columns = ["mistake", "made by", "price a run", "of its bill", "beyond luck"]
        table = empty("Common mistakes that are made here", columns, keys=2)
        for mistake, one in made:
            price = dollars.plus_minus(*ends(one["price_usd"]), sign=True)
            sure = "yes" if one["decided"] else "no"
            table.add_row(f"{mistake['number']} {mistake['name']}", one["strategy"], price, share(one["share"]), sure)
        yield table
        for mistake, one in made:
            yield Text(f"{mistake['number']} {one['strategy']}: {one['evidence']}. Right would be: {one['remedy']}.")
        price = (
            "The price is the mean cost with the mistake less that put right; where it is negative the mistake is cheap"
        )
        yield Text(f"{price}, and its price is paid in time.", style="dim")
    others = [f"{one['number']} {one['name']}" for one in summary["mistakes"] if not one["found"]]
    if others:
        yield Text(f"Common mistakes looked for and not found: {', '.join(others)}.", style="dim")


def _reading(summary: Json) -> str:
    runs = summary["replications"]
    if runs == 1:
        return "One replication: no intervals."
    what_ifs = "" if all(one["offer"] for one in summary["strategies"]) else _WHAT_IF
    return (
        f"± is the longer half of a 95 % interval over {count(runs)} replications of the same luck for every strategy; "
        "a choice is decided where every comparison that it takes is, all at once (Bonferroni). Contexts are counted "
        "in the first replication, requests are expected ones. Figures that the guide's framework does not name are "
        f"taken from its examples.{what_ifs}"
    )
