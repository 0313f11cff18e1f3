"""Advice for the terminal: what to take, what the guide would take and why the two part, and the mistakes made here.

Every figure comes from the ``gcsim.advise/1`` document.
"""

from collections.abc import Iterator
from typing import Any

from rich.console import RenderableType
from rich.text import Text

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
        yield _questions(summary)
        yield from _streams(summary)
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
        known = f" {_open(summary, answer)}" if answer["rivals"] else ""
        return f"Nothing to take: no strategy answers {target} of the requests within their callers' patience.{known}"
    cost = _money(answer["cost_usd"])
    kept = (
        ""
        if answer["within_patience"] is None
        else f", {_share(answer['within_patience'])} in time ({target} asked for)"
    )
    sentence = f"Take {answer['strategy']} on {answer['model']}: {cost} a run{kept}."
    return f"{sentence} {_ahead(summary, answer)}"


def _ahead(summary: Json, answer: Json) -> str:
    """Return how far the best is ahead, and whether that is known."""
    ties, runner = [_named(summary, one) for one in answer["ties"]], answer["runner_up"]
    equal = f" {' and '.join(ties)} {'costs' if len(ties) == 1 else 'cost'} the same." if ties else ""
    if runner is None:
        return f"Nothing else keeps that.{equal}" if not answer["rivals"] else f"{_open(summary, answer)}{equal}"
    lead = f"That is {_share(answer['saving'])} less than {_named(summary, runner)}, the next cheapest that keeps it"
    if answer["decided"]:
        return f"{lead}: decided.{equal}"
    return f"{lead}. {_open(summary, answer)}{equal}"


def _open(summary: Json, answer: Json) -> str:
    """Return what keeps a contest undecided."""
    if summary["replications"] < answer["needs"]:
        return f"Undecided: {summary['replications']:,} replications are too few, use {answer['needs']}."
    rivals, unsure = ([_named(summary, one) for one in answer[key]] for key in ("rivals", "unsure"))
    maybe = f"{' and '.join(unsure)} may or may not keep the target"
    if not [name for name in rivals if name not in unsure]:
        return f"Undecided: {maybe}; more replications would tell."
    known = f" ({maybe})" if unsure else ""
    return f"Undecided: {' or '.join(rivals)} may be better{known}; more replications would tell."


def _key(one: Json) -> tuple[str, str]:
    return one["strategy"], one["model"]


def _named(summary: Json, one: Json) -> str:
    models = {pair["model"] for pair in summary["strategies"]}
    return str(one["strategy"]) if len(models) == 1 else f"{one['strategy']} on {one['model']}"


def _guides(summary: Json) -> Iterator[Text]:
    """Yield what the guide takes, and why the simulation does not where it does not."""
    guide = summary["guide"]
    what = f"The guide takes {_KINDS[guide['kind']]}"
    if guide["strategy"] is None:
        yield Text(f"{what}, which this scenario cannot have.")
        return
    added = ", added here with defaults" if guide["added"] else ""
    told = f"{what} ({guide['strategy']}{added}, {_money(guide['cost_usd'])})"
    if guide["agrees"] == "yes":
        yield Text(f"{told}: the simulation agrees.")
        return
    says = "does not agree" if guide["agrees"] == "no" else "cannot tell yet"
    yield Text(f"{told}: the simulation {says}.{_because(guide, summary['answer'])}")


def _because(guide: Json, answer: Json) -> str:
    """Return what decides against what the guide takes: the first reason, and what else speaks against it."""
    if not guide["reasons"]:
        return ""
    first, *others = guide["reasons"]
    head = "What decides is" if guide["agrees"] == "no" else "What speaks against it is"
    rest = "".join(f" Also: {_reason(one, answer)}." for one in others[:2])
    return f" {head} {first['number']}: {_reason(first, answer)}.{rest}"


def _reason(reason: Json, answer: Json) -> str:
    if reason["usd"] is None:
        return str(reason["text"])
    return f"{_money(reason['usd'], sign=True)} against {answer['strategy']}; {reason['text']}"


def _strategies(summary: Json) -> FigureTable:
    several = len({one["model"] for one in summary["strategies"]}) > 1
    on = "" if several else f" on {summary['model']}"
    columns = ["strategy", "kind", *(["model"] if several else []), "mean cost", "in time %", "keeps the target"]
    table = empty(f"Every strategy on the same luck{on}", columns, keys=3 if several else 2)
    dollars = Dollars(one["cost_usd"]["mean"] for one in summary["strategies"])
    for one in summary["strategies"]:
        style = "green" if _key(one) == _key(summary["answer"]) else None
        kind = (
            f"{one['kind']}, {'added' if one['added'] else 'what if'}"
            if one["added"] or not one["offer"]
            else one["kind"]
        )
        waits = NONE if one["within_patience"] is None else percent(*_ends(one["within_patience"]))
        names = [one["strategy"], kind, *([one["model"]] if several else [])]
        table.add_row(*names, dollars.plus_minus(*_ends(one["cost_usd"])), waits, one["keeps"], style=style)
    return table


def _questions(summary: Json) -> FigureTable:
    """Return the guide's questions, each answered for each stream."""
    columns = ["stream", "the guide asks for", "answer", "here", "yes from"]
    table = empty(f"The guide's framework on {summary['model']}", columns, keys=5)
    for stream in summary["streams"]:
        for number, one in enumerate(stream["questions"]):
            name = (stream["stream"] or "all") if number == 0 else ""
            table.add_row(name, one["question"], "yes" if one["yes"] else "no", one["figure"], one["limit"])
        table.add_section()
    return table


def _streams(summary: Json) -> Iterator[RenderableType]:
    """Yield what follows for each stream, and the closed form beside it."""
    several = len(summary["streams"]) > 1
    for stream in summary["streams"]:
        name = stream["stream"] or "all requests"
        yield Text(f"{name}: {stream['because']}.")
        if several:
            yield Text(f"  {_alone(summary, stream)}")
        if (closed := _closed_form(stream["traffic"])) is not None:
            yield Text(f"  {closed}")


def _alone(summary: Json, stream: Json) -> str:
    """Return the simulated answer for a stream without the others."""
    guide, answer = stream["guide"], stream["answer"]
    if answer["strategy"] is None:
        return "Alone, no strategy keeps the target for it."
    cost = f"{answer['strategy']}, {_money(answer['cost_usd'])}"
    known = "" if answer["decided"] else f" {_open(summary, answer)}"
    if guide["agrees"] == "yes":
        return f"Simulated alone, {cost} is the cheapest: the guide is right.{known}"
    if guide["strategy"] is None:
        return f"Simulated alone, {cost} is the cheapest; what the guide takes cannot be had here.{known}"
    said = "the guide's" if guide["agrees"] == "no" else "undecided, and the guide's"
    other = f"{said} {guide['strategy']} costs {_money(guide['cost_usd'])}"
    return f"Simulated alone, {cost} is the cheapest; {other}.{_because(guide, answer)}{known}"


def _closed_form(traffic: Json) -> str | None:
    """Return the break-even of an explicit cache beside the rate that is there."""
    if not traffic["contexts"] or traffic["pays_from"] is None:
        return None
    needed, rate = traffic["pays_from"], traffic["rate"]
    here = "they all come at once" if rate is None else f"here come {_figure(rate)}, while the stream lasts"
    return (
        f"Closed form: against no cache at all, one that is kept for ever pays from {_figure(needed)} questions an "
        f"hour on each text; {here}."
    )


def _figure(value: float) -> str:
    return f"{value:,.3g}" if value < 1_000 else f"{value:,.0f}"


def _mistakes(summary: Json) -> Iterator[RenderableType]:
    """Yield the mistakes that are made here with their prices, and which others were looked for."""
    made = [(mistake, one) for mistake in summary["mistakes"] for one in mistake["found"]]
    if made:
        dollars = Dollars(one["price_usd"]["mean"] for _, one in made)
        columns = ["mistake", "made by", "price a run", "of its bill", "beyond luck"]
        table = empty("Common mistakes that are made here", columns, keys=2)
        for mistake, one in made:
            price = dollars.plus_minus(*_ends(one["price_usd"]), sign=True)
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


def _ends(interval: Json) -> tuple[Any, Any, Any]:
    return interval["mean"], interval["lo"], interval["hi"]


def _money(interval: Json, *, sign: bool = False) -> str:
    return Dollars([interval["mean"]]).plus_minus(*_ends(interval), sign=sign)


def _share(interval: Json) -> str:
    return share(*_ends(interval))
