"""A validation for the terminal and for a gate: the verdict in one line, the evidence, and what would turn it."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import NONE, Dollars, duration, share
from sim.report.fine_print import remarks
from sim.report.tables import FigureTable, Json, empty

__all__ = ["validate_report", "verdict_line"]

_STYLES = {"pass": "green", "fail": "red", "undecided": "yellow"}
_MOST_FLIPS = 12  # that are told one by one


def validate_report(document: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a validation, in order."""
    yield Text(verdict_line(document), style=f"bold {_STYLES[document['verdict']]}")
    yield Text(f"{document['scenario']}: {document['question']}", style="dim")
    robustness = document["robustness"]
    if robustness is not None:
        yield from _flips(document["verdict"], robustness["switches"])
    yield _evidence(document)
    for one in document["requirements"]:
        if one["warning"]:
            yield Text(f"Warning: {_name(document, one)}: {one['warning']}", style="yellow")
    if robustness is not None:
        yield Text(_switches(robustness["switches"]), style="dim")
        yield from _draws(document, robustness["draws"])
    yield Text(_reading(document), style="dim")
    yield from remarks(document)


def verdict_line(document: Json) -> str:
    """Return the verdict in one line of one form, which begins with its word and fits any terminal."""
    outcomes = [one["outcome"] for one in document["requirements"]]
    counts = (("pass", "kept"), ("fail", "broken"), ("undecided", "undecided"))
    told = ", ".join(f"{outcomes.count(name)} {word}" for name, word in counts)
    sure = f"confidence {document['confidence']:.10g}, {document['replications']} replications"
    return f"{document['verdict']}: {told} ({sure}{_needed(document)})"


def _needed(document: Json) -> str:
    if document["verdict"] != "undecided":
        return ""
    needed = document["needed"]
    return "; no number would decide" if needed is None else f"; about {needed} would decide"


def _name(document: Json, one: Json) -> str:
    """Return a requirement, with its model where there are several."""
    return f"{one['require']} on {one['model']}" if len(document["models"]) > 1 else str(one["require"])


def _evidence(document: Json) -> FigureTable:
    several = len(document["models"]) > 1
    dollars = Dollars(one["estimate"] or 0.0 for one in document["requirements"] if one["unit"] == "usd")
    level = f"{100 * document['level']:.4g} % interval"
    names = ["requirement", *(["model"] if several else []), "verdict", "estimate", level, "would decide at"]
    table = empty(f"{document['candidate']} against {document['baseline']}", names, keys=2 + several)
    for one in document["requirements"]:
        table.add_row(
            one["require"],
            *([one["model"]] if several else []),
            one["outcome"],
            "infinite" if one["infinite"] else _figure(dollars, one["unit"], one["estimate"]),
            f"{_figure(dollars, one['unit'], one['lo'])} to {_figure(dollars, one['unit'], one['hi'])}",
            NONE if one["needed"] is None else f"{one['needed']:,}",
            style=_STYLES[one["outcome"]],
        )
    return table


def _figure(dollars: Dollars, unit: str, value: float | None) -> str:
    if unit == "usd":
        return dollars.text(value)
    return duration(value) if unit == "s" else share(value, digits=2)


def _flips(verdict: str, switches: Json) -> Iterator[Text]:
    """Yield each switch that turns the verdict, loudly."""
    flips = switches["flips"]
    for one in flips[:_MOST_FLIPS]:
        dollars = Dollars(claim["estimate"] or 0.0 for claim in one["requirements"] if claim["unit"] == "usd")
        why = "; ".join(
            f"{claim['require']}: {_figure(dollars, claim['unit'], claim['estimate'])}"
            for claim in one["requirements"]
            if claim["outcome"] == one["outcome"]
        )
        turned = f"{one['outcome']} instead of {verdict}"
        yield Text(f"FLIPS: {_setting(one['switches'])}: {turned} ({why})", style="bold red")
    if len(flips) > _MOST_FLIPS:
        yield Text(f"FLIPS: and {len(flips) - _MOST_FLIPS} combinations more, see --json", style="bold red")


def _setting(switches: Json) -> str:
    return ", ".join(f"terms.{name} = {value}" for name, value in switches.items())


def _switches(switches: Json) -> str:
    flips, tried = len(switches["flips"]), len(switches["settings"])
    still = [_setting(one) for one in switches["moves_nothing"]]
    nothing = f"; no figure moves under {' or '.join(still)}" if still else ""
    others = (
        f"of {tried} other settings, one by one and together, judged by the same rule on the same luck, "
        f"{f'{flips} turn' if flips else 'none turns'} the verdict"
    )
    return (
        f"Contested billing: as it stands {_setting(switches['as_it_stands'])}; "
        f"{others if tried else 'there is nothing that another setting could turn'}{nothing}."
    )


def _draws(document: Json, draws: Json | None) -> Iterator[RenderableType]:
    """Yield on which share of what is believed of the uncertain inputs each requirement holds."""
    if draws is None:
        return
    inputs = [one["path"] for one in draws["inputs"]]
    table = empty(f"Over {draws['draws']} draws of what is uncertain", ["requirement", "holds on"])
    for one in draws["requirements"]:
        table.add_row(_name(document, one), _held(one, draws["draws"]))
    if len(draws["requirements"]) > 1:
        table.add_row("all of them", _held(draws["all"], draws["draws"]))
    yield table
    yield Text(
        f"A draw of {', '.join(inputs)} holds if its estimate over {draws['replications']} replications does. The "
        "share is of what is believed of these inputs, not a chance that the verdict is right; its "
        f"{draws['level']:.0%} interval (Clopper and Pearson 1934) is for the number of draws. Each draw is in --json.",
        style="dim",
    )


def _held(one: Json, draws: int) -> str:
    return f"{one['held']} of {draws} = {share(one['share'])} in {share(one['lo'])} to {share(one['hi'])}"


def _reading(document: Json) -> str:
    """Return by what rule the verdict was come to."""
    looks, count = document["looks"], len(document["requirements"])
    how = f"Nothing seems to be random here: {document['replications']:,} replications were the same in everything."
    if looks is not None:
        how = (
            f"Rule: {looks['rule']}; taken: {', '.join(f'{look:,}' for look in looks['taken'])}, the last possible is "
            f"{looks['ceiling']:,}. A higher --ceiling goes on with the same test."
        )
    elif document["random"]:
        how = "One judgement; another one on more replications of the same luck would be another chance to err."
    together = "one interval holds" if count == 1 else f"{count} intervals hold at once (Bonferroni)"
    return (
        f"{how} A requirement is kept where its whole interval meets the limit, broken where none of it does; "
        f"{together}, so all that is decided is right with a confidence of at least "
        f"{document['confidence']:.10g}, as far as the intervals cover. The exit code is that of the scenario as it "
        "stands."
    )
