"""What the guide asks of each stream, what follows, and what is simulated and computed beside it."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sim.report.advise_words import because, money, undecided
from sim.report.tables import FigureTable, Json, empty

__all__ = ["questions", "streams"]


def questions(summary: Json) -> FigureTable:
    """Return the guide's questions, each answered for each stream."""
    columns = ["stream", "the guide asks for", "answer", "here", "yes from"]
    table = empty(f"The guide's framework on {summary['model']}", columns, keys=5)
    for stream in summary["streams"]:
        for number, one in enumerate(stream["questions"]):
            name = (stream["stream"] or "all") if number == 0 else ""
            table.add_row(name, one["question"], "yes" if one["yes"] else "no", one["figure"], one["limit"])
        table.add_section()
    return table


def streams(summary: Json) -> Iterator[RenderableType]:
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
    cost = f"{answer['strategy']}, {money(answer['cost_usd'])}"
    known = "" if answer["decided"] else f" {undecided(summary, answer)}"
    if guide["agrees"] == "yes":
        return f"Simulated alone, {cost} is the cheapest: the guide is right.{known}"
    if guide["strategy"] is None:
        return f"Simulated alone, {cost} is the cheapest; what the guide takes cannot be had here.{known}"
    said = "the guide's" if guide["agrees"] == "no" else "undecided, and the guide's"
    other = f"{said} {guide['strategy']} costs {money(guide['cost_usd'])}"
    return f"Simulated alone, {cost} is the cheapest; {other}.{because(guide, answer)}{known}"


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
