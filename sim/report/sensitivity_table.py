"""A sensitivity for the terminal: what drives the best strategy in a sentence, its indices, and those of the others."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import NONE, Dollars, duration, percent
from sim.report.fine_print import remarks
from sim.report.tables import FigureTable, Json, empty

__all__ = ["sensitivity_report"]

_ORIGINS = {
    "given": "varied as asked for",
    "scenario": "the values that the scenario has laws for",
    "derived": "half to twice of what usually matters, as neither --vary nor the scenario says what is uncertain",
}
_METHODS = ("tornado", "morris", "sobol", "pawn")
_MOST_ROWS = 12


def sensitivity_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a sensitivity, in order."""
    lead = _lead(summary)
    yield Text(_answer(summary, lead), style="bold")
    runs = summary["replications"]
    yield Text(
        f"{summary['scenario']}: {summary['question']}\n{len(summary['inputs'])} inputs: {_ORIGINS[summary['origin']]}."
        f" {_sizes(summary)}, {runs['points']} replications each{_tornado_runs(summary)}; seed {summary['seed']}, "
        f"price book {summary['book']}.",
        style="dim",
    )
    for output in summary["outputs"]:
        if (output["strategy"], output["model"]) == lead:
            yield from _tables(summary, output)
    yield from _changes(summary)
    yield _others(summary)
    yield Text(_reading(summary), style="dim")
    yield from remarks(summary)


def _sizes(summary: Json) -> str:
    parts = [
        f"{name.capitalize()} {summary[name]['points']:,} points"
        for name in ("morris", "sobol", "pawn")
        if summary[name] is not None
    ]
    return ", ".join(parts) if parts else "One input at a time"


def _tornado_runs(summary: Json) -> str:
    few, many = summary["replications"]["tornado"], summary["replications"]["points"]
    shown = summary["tornado"] is not None and few != many
    return f" ({few} one at a time)" if shown else ""


def _lead(summary: Json) -> tuple[str, str]:
    """Return the strategy and model to show in full: the best one as the scenario is, else the first."""
    first = summary["outputs"][0]
    for best in (summary["tornado"] or {"winners": []})["winners"]:
        if best["strategy"] is not None:
            return best["strategy"], best["model"]
    return first["strategy"], first["model"]


def _answer(summary: Json, lead: tuple[str, str]) -> str:
    strategy, model = lead
    best = summary["tornado"] is not None and any(one["strategy"] == strategy for one in summary["tornado"]["winners"])
    who = strategy + (f" on {model}" if _several(summary) else "")
    names = _names([one["path"] for one in summary["inputs"]])
    parts = [
        f"its {one['measure']} by {_and([names[path] for path in one['inputs']])}"
        if one["inputs"]
        else f"its {one['measure']} by no input"
        for one in summary["drivers"]
        if (one["strategy"], one["model"]) == lead
    ]
    return f"{who}{' is the cheapest in time' if best else ''}: {'; '.join(parts)}."


def _several(summary: Json) -> bool:
    return len({output["model"] for output in summary["outputs"]}) > 1


def _names(paths: Sequence[str]) -> dict[str, str]:
    """Return a name for each path: its last two parts, or as many more as tell it from the others.

    >>> list(_names(["streams.chat.fresh.mean", "streams.desk.fresh.mean", "strategies.explicit.ttl"]).values())
    ['chat.fresh.mean', 'desk.fresh.mean', 'explicit.ttl']
    """
    parts = {path: re.findall(r'(?:"[^"]*"|[^."])+', path) for path in paths}
    names = {}
    for path, own in parts.items():
        others = [other for one, other in parts.items() if one != path]
        count = next((n for n in range(2, len(own)) if all(other[-n:] != own[-n:] for other in others)), len(own))
        names[path] = ".".join(own[-count:])
    return names


def _and(names: Sequence[str]) -> str:
    return str(names[0]) if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _of(found: Json | None, output: Json) -> dict[str, Json]:
    """Return what a method says of an output, by input."""
    outputs = [] if found is None else found["outputs"]
    return {one["path"]: one for entry in outputs if output.items() <= entry.items() for one in entry["inputs"]}


def _tables(summary: Json, output: Json) -> Iterator[FigureTable]:
    """Yield the indices of one output, the inputs that matter most first."""
    found = {name: _of(summary[name], output) for name in _METHODS}
    paths = _order(summary, found)
    if not paths:
        return
    columns = {"values": {path: _range(summary, path) for path in paths}, **_columns(output, found)}
    spare = ("sigma", "at low", "at high", "PAWN", "tail", "values")
    table = empty(
        f"{_title(output)} of {output['strategy']} on {output['model']}",
        ["input", *columns],
        spare=[name for name in spare if name in columns],
        caption=_left_out(len(paths), len(summary["inputs"])),
    )
    for path in paths[:_MOST_ROWS]:
        table.add_row(path, *(cells.get(path, "") for cells in columns.values()))
    yield table


def _left_out(moving: int, inputs: int) -> str | None:
    """Return what a table does not list."""
    parts = [f"{moving - _MOST_ROWS} inputs that matter less: see --json."] if moving > _MOST_ROWS else []
    parts += [f"{inputs - moving} inputs move it not at all."] if moving < inputs else []
    return " ".join(parts) or None


def _columns(output: Json, found: dict[str, dict[str, Json]]) -> dict[str, dict[str, str]]:
    """Return the columns of the methods that there are: name -> input -> text."""
    text = _unit(output, [one for entries in found.values() for one in entries.values()])
    ends, effects, shares, shifts = (found[name] for name in _METHODS)
    columns = {
        "at low": {path: text(one["low"]) for path, one in ends.items()},
        "at high": {path: text(one["high"]) for path, one in ends.items()},
        "swing": {path: _signed(text, one["swing"]) for path, one in ends.items()},
        "mu*": {path: _plus_minus(text, one["mu_star"]) for path, one in effects.items()},
        "sigma": {path: _plus_minus(text, one["sigma"]) for path, one in effects.items()},
        "first %": {path: _share(one["first"]) for path, one in shares.items()},
        "total %": {path: _share(one["total"]) for path, one in shares.items()},
        "PAWN": {path: _shift(one["whole"]) for path, one in shifts.items()},
        "tail": {path: _shift(one["tail"]) for path, one in shifts.items()},
    }
    return {name: cells for name, cells in columns.items() if cells}


def _title(output: Json) -> str:
    measure = str(output["measure"])
    return measure[:1].upper() + measure[1:]


def _order(summary: Json, found: dict[str, dict[str, Json]]) -> list[str]:
    """Return the inputs that move an output, by the index that all of them have."""
    paths = [one["path"] for one in summary["inputs"]]
    sizes: list[tuple[str, Callable[[Json], float]]] = [
        ("sobol", lambda one: one["total"]["mean"]),
        ("morris", lambda one: one["mu_star"]["mean"]),
        ("tornado", lambda one: abs(one["swing"]["mean"]) if one["swing"] else 0.0),
        ("pawn", lambda one: one["whole"]["median"]),
    ]
    for name, size in sizes:
        if len(found[name]) == len(paths):
            moving = [path for path in paths if size(found[name][path]) > 0]
            return sorted(moving, key=lambda path: -size(found[name][path]))
    return []


def _unit(output: Json, entries: Sequence[Json]) -> Callable[[Any], str]:
    """Return how a value of an output is written."""
    if output["unit"] == "USD":
        amounts = [one["swing"]["mean"] for one in entries if one.get("swing")]
        amounts += [one["mu_star"]["mean"] for one in entries if "mu_star" in one]
        return Dollars([max(map(abs, amounts), default=1.0) / 30]).text
    return duration if output["unit"] == "s" else lambda value: NONE if value is None else f"{percent(value)} %"


def _range(summary: Json, path: str) -> str:
    one = next(one for one in summary["inputs"] if one["path"] == path)
    return f"{one['low']} to {one['high']}"


def _signed(text: Callable[[Any], str], swing: Json | None) -> str:
    """Return a swing with its sign and the half-width of its interval."""
    if swing is None:
        return NONE
    shown = ("−" if swing["mean"] < 0 else "+") + text(abs(swing["mean"]))
    return shown if swing["hi"] is None else f"{shown} ± {text(swing['hi'] - swing['mean'])}"


def _plus_minus(text: Callable[[Any], str], value: Json) -> str:
    if value["hi"] is None:
        return text(value["mean"])
    return f"{text(value['mean'])} ± {text(max(value['hi'] - value['mean'], value['mean'] - value['lo']))}"


def _share(value: Json) -> str:
    return f"{100 * value['mean']:.0f} [{100 * value['lo']:.0f}, {100 * value['hi']:.0f}]"


def _shift(shift: Json) -> str:
    return f"{shift['median']:.2f}" if shift["matters"] else f"({shift['median']:.2f})"


def _changes(summary: Json) -> Iterator[Text]:
    """Yield where the best strategy is another one, one input at a time."""
    for best in (summary["tornado"] or {"winners": []})["winners"]:
        on = f" on {best['model']}" if _several(summary) else ""
        if best["strategy"] is None:
            yield Text(f"As the scenario is, no strategy keeps the patience target{on}{_doubt(best)}.")
            continue
        unsure = _doubt(best)
        if not best["changes"]:
            yield Text(f"{best['strategy']}{unsure} stays the cheapest in time{on} at either end of every input.")
            continue
        yield Text(f"The cheapest in time{on} is {best['strategy']}{unsure}; one input alone makes it another one:")
        for change in best["changes"]:
            other = change["strategy"] or "none keeps the patience target"
            yield Text(f"  {change['path']} = {change['value']}: {other}{_doubt(change)}")


def _doubt(best: Json) -> str:
    """Return what makes a best strategy undecided: rivals, and who may keep the patience target or miss it."""
    parts = [f"against {_and(best['rivals'])}"] if best["rivals"] else []
    late = best["unsure_in_time"]
    parts += [f"as {_and(late)} may keep the patience target or miss it"] if late else []
    return f" (undecided {', '.join(parts)})" if parts else ""


def _others(summary: Json) -> FigureTable:
    """Return what drives every output, in their order."""
    table = empty("What drives each output", ["strategy", "output", "first", "second", "third"], keys=5)
    short = _names([one["path"] for one in summary["inputs"]])
    for one in summary["drivers"]:
        names = [*(short[path] for path in one["inputs"]), *[NONE] * 3][:3]
        who = f"{one['strategy']} on {one['model']}" if _several(summary) else one["strategy"]
        table.add_row(who, one["measure"], *names)
    return table


def _reading(summary: Json) -> str:
    """Return how to read the figures that there are."""
    parts = []
    if summary["tornado"] is not None:
        parts.append(
            "Low and high: one input alone at an end of its values, the others as the scenario has them; the swing's "
            "interval is paired"
        )
    if summary["morris"] is not None:
        parts.append(
            "mu* is the mean absolute effect of an input over all of its values, the others anywhere; a sigma as large "
            "tells that it hangs on the others, or bends"
        )
    if summary["sobol"] is not None:
        parts.append(
            "first and total are shares of the variance that go back to an input alone, and with all that it takes "
            "part in [bootstrap interval]; the inputs left out are as the scenario has them"
        )
    if summary["pawn"] is not None:
        parts.append(
            "PAWN is how far knowing an input moves the distribution of the output (the median distance, 0 to 1), tail "
            "beyond its 90 % quantile; in brackets what an input without influence reaches too, so it has no interval"
        )
    return "; ".join(parts) + ". Intervals are 95 %, over designs, not over luck, which all points share."
