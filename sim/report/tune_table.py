"""A tuning for the terminal: what to set and what it saves, in a sentence; then how sure that is, and what it costs."""

from collections.abc import Callable, Iterator
from string import ascii_lowercase

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import NONE, Dollars, counted, duration, percent, share
from sim.report.fine_print import remarks
from sim.report.scatter import Place, scatter
from sim.report.tables import FigureTable, Json, empty

__all__ = ["tune_report"]


def tune_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a tuning, in order."""
    yield Text(_answer(summary), style="bold")
    yield Text(_about(summary), style="dim")
    yield _parameters(summary)
    yield _settings(summary)
    if summary["requirements"]:
        yield _requirements(summary)
    if len(summary["front"]["points"]) > 1:
        yield from _front(summary)
    yield Text(_reading(summary), style="dim")
    yield from remarks(summary)


def _key(path: str) -> str:
    return path.rpartition(".")[2]


def _named(values: Json) -> str:
    return ", ".join(f"{_key(path)} {value}" for path, value in values.items())


def _changed(summary: Json) -> tuple[Json, Json]:
    """Return the values of the best that are not the present ones, and those in the scenario."""
    best = summary["best"]["values"]
    present = {one["path"]: one["present"] for one in summary["varied"]}
    new = {path: value for path, value in best.items() if value != present[path]}
    return new, {path: present[path] or "not set" for path in new}


def _answer(summary: Json) -> str:
    """Return the answer in a sentence or two."""
    strategy, saving = summary["strategy"], summary["saving"]
    new, old = _changed(summary)
    broken = [one["text"] for one in summary["requirements"] if one["outcome"] != "pass"]
    kept = f" But it is not shown to keep {', '.join(broken)}." if broken else ""
    if summary["best"]["same"] or not new:
        return f"{strategy}: keep {_named(summary['best']['values'])}: nothing tried is worth a change.{kept}"
    amount = share(saving["mean"], saving["lo"], saving["hi"], digits=2 if abs(saving["mean"]) < 0.01 else 1)
    if saving["outcome"] == "saves":
        return f"{strategy}: {_named(new)} saves {amount} over the present {_named(old)}.{kept}"
    if saving["outcome"] == "open":
        return (
            f"{strategy}: keep {_named(old)}: the best found, {_named(new)}, saves {amount}, which may be luck.{kept}"
        )
    lost = share(-saving["mean"], None, None)
    because = " The present one does not count, for what is required." if summary["requirements"] else ""
    return (
        f"{strategy}: the best found, {_named(new)}, costs {lost} more than the present {_named(old)}.{because}{kept}"
    )


def _about(summary: Json) -> str:
    search, fresh = summary["search"], summary["fresh"]
    left = " > ".join(str(heat["met"]) for heat in search["heats"])
    raced = f" in rounds of {left}" if left else f" by {summary['method']}"
    return (
        f"{summary['scenario']}: {summary['question']}\n{search['points']:,} settings of {summary['strategy']} on "
        f"{summary['model']} were tried{raced}, on {search['replications']:,} replications at most; "
        f"{fresh['replications']:,} fresh ones judge the best. Seed {summary['seed']}, price book {summary['book']}."
    )


def _parameters(summary: Json) -> FigureTable:
    within = f"within {100 * summary['precision']:.2g} %"
    table = empty("Parameters", ["parameter", "tried", "present", "best", f"as good, {within}"], keys=2)
    lines = {line["path"]: line for line in summary["lines"]}
    for one in summary["varied"]:
        line = lines[one["path"]]
        good = line["as_good"]
        around = (
            f"{good[0]} to {good[-1]}" if line["ranged"] and good[0] != good[-1] else ", ".join(dict.fromkeys(good))
        )
        best = summary["best"]["values"][one["path"]]
        table.add_row(_key(one["path"]), one["values"], one["present"] or NONE, best, around)
    return table


def _settings(summary: Json) -> FigureTable:
    """Return the best and the present one, and the closed form's, side by side."""
    best, present, formula = summary["best"], summary["present"], summary["formula"]
    dollars = Dollars(one["cost_usd"]["mean"] for one in (best, present))
    table = empty(
        "On fresh replications", ["setting", "mean cost", "saves", summary["front"]["against"], "in patience %"]
    )
    if best["same"]:
        table.add_row("present, the best", _money(dollars, best), "", *_others(best), style="green")
        return table
    table.add_row("present", _money(dollars, present), "", *_others(present))
    saving = summary["saving"]
    saves = share(saving["mean"], saving["lo"], saving["hi"], digits=2)
    table.add_row("best", _money(dollars, best), saves, *_others(best), style="green")
    if "regret_usd" in formula:
        who = f"closed form: {_named(formula['values'])}"
        table.add_row(who, _money(dollars, formula), "", *_others(formula))
    return table


def _money(dollars: Dollars, setting: Json) -> str:
    cost = setting["cost_usd"]
    return dollars.plus_minus(cost["mean"], cost["lo"], cost["hi"])


def _others(setting: Json) -> tuple[str, str]:
    within = setting["within_patience"]
    return _measure(setting["against"]), percent(within["mean"], within["lo"], within["hi"])


def _measure(found: Json) -> str:
    return _FIGURES[found["kind"]](found["mean"], found["lo"], found["hi"])


def _seconds(mean: float | None, lo: float | None, hi: float | None) -> str:
    return duration(*(None if one is None else one / 1e3 for one in (mean, lo, hi)))


_FIGURES: dict[str, Callable[[float | None, float | None, float | None], str]] = {
    "duration": _seconds,
    "share": share,
    "number": counted,
    "money": lambda mean, lo, hi: NONE if mean is None else Dollars([mean]).plus_minus(mean, lo, hi),
}


def _requirements(summary: Json) -> FigureTable:
    table = empty("Requirements of the best", ["requirement", "measured", "outcome", "would be decided by"])
    for one in summary["requirements"]:
        needed = NONE if one["needed"] is None else f"{one['needed']:,} replications"
        style = {"pass": "green", "fail": "red"}.get(one["outcome"])
        table.add_row(one["text"], _measure(one), one["outcome"], needed, style=style)
    return table


def _front(summary: Json) -> Iterator[RenderableType]:
    front = summary["front"]
    points = front["points"]
    dollars = Dollars(one["cost_usd"]["mean"] for one in points)
    differ = [path for path in points[0]["values"] if len({one["values"][path] for one in points}) > 1]
    required = [] if points[0]["outcome"] is None else ["required"]
    title = f"Front: {'more' if front['more'] else 'less'} {front['against']} for more money"
    columns = ["", *map(_key, differ), "mean cost", front["against"], *required]
    table = empty(title, columns, keys=1 + len(differ))
    for name, one in zip(ascii_lowercase, points, strict=False):
        values = [one["values"][path] for path in differ]
        outcome = [one["outcome"]] if required else []
        mark = "green" if one["best"] else None
        table.add_row(name, *values, _money(dollars, one), _measure(one["against"]), *outcome, style=mark)
    yield table
    places = [
        Place(name, one["cost_usd"]["mean"], one["against"]["mean"])
        for name, one in zip(ascii_lowercase, points, strict=False)
        if one["against"]["mean"] is not None
    ]
    yield Text(scatter(places, dollars.text, lambda value: _FIGURES[front["kind"]](value, None, None)))


def _reading(summary: Json) -> str:
    """Return how to read the figures, and what the closed form says."""
    formula = summary["formula"]
    text = formula["text"]
    if "regret_usd" in formula:
        regret = formula["regret_usd"]
        more = Dollars([regret["mean"]]).plus_minus(regret["mean"], regret["lo"], regret["hi"], sign=True)
        text = f"the closed form is the {text}; its optimum costs {more} beside the best found, paired"
    return (
        f"± is half of a {summary['level']:.0%} interval over the fresh replications, which had no part in the choice; "
        f"savings are paired. As good: alone, with the others at their best. {text[0].upper()}{text[1:]}."
    )
