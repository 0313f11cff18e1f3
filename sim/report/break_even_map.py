"""A map of break-evens for the terminal: a letter for the best strategy at each point, readable without colour."""

import re
from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from sim.report.figures import share
from sim.report.fine_print import remarks
from sim.report.tables import Json

__all__ = ["break_even_report"]

_WIDE = 3  # characters a step
_NOTHING, _CLOSED = "-", "*"
_COLOURS = ("green", "cyan", "magenta", "yellow", "blue", "red")
_TICK = 9  # characters between two values of the x axis at least
_DECIMAL = re.compile(r"(-?\d+\.\d+)(|/.+)")
_UNITS = re.compile(r"\d+(?:ms|[dhms])")


def break_even_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a map, in order."""
    several = len(summary["maps"]) > 1
    for one in summary["maps"]:
        yield Text(_answer(one, several), style="bold")
    x, y = (axis["path"] for axis in summary["axes"])
    simulated = len(summary["maps"][0]["points"])
    yield Text(
        f"{summary['scenario']}: {summary['question']}\n{x} (across) and {y} (up), {simulated:,} points simulated, "
        f"{_runs(summary)} each; seed {summary['seed']}, price book {summary['book']}.",
        style="dim",
    )
    letters = _letters(summary["strategies"])
    for one in summary["maps"]:
        yield Text()
        yield from _map(summary, one, letters)
        yield from _lines(summary, one)
    yield Text()
    yield Text(_reading(summary), style="dim")
    yield from remarks(summary)


def _runs(summary: Json) -> str:
    count = summary["replications"]
    return "1 replication" if count == 1 else f"{count:,} replications"


def _answer(one: Json, several: bool) -> str:
    """Return how the region is shared out."""
    parts = [
        f"{part['strategy'] or 'none keeps the patience target'} {share(part['share'], digits=0)}"
        for part in one["shares"]
    ]
    unsure = sum(part["undecided"] for part in one["shares"])
    on = f"On {one['model']} the" if several else "The"
    doubt = f"; undecided are {share(unsure, digits=0)}" if unsure else ""
    return f"{on} cheapest in time over the region: {', '.join(parts)}{doubt}."


def _letters(names: Sequence[str]) -> dict[str, str]:
    """Return a capital for each strategy: the first of its name that is free, else of the alphabet.

    >>> _letters(["none", "explicit", "eager", "e"])
    {'none': 'N', 'explicit': 'E', 'eager': 'A', 'e': 'B'}
    """
    letters: dict[str, str] = {}
    for name in names:
        wanted = [char for char in (*name.upper(), *"ABCDEFGHIJKLMNOPQRSTUVWXYZ") if "A" <= char <= "Z"]
        letters[name] = next((char for char in wanted if char not in letters.values()), "?")
    return letters


def _map(summary: Json, one: Json, letters: dict[str, str]) -> Iterator[Text]:
    """Yield the rows from the highest y down, then the x axis and the legend."""
    across, up = summary["axes"]
    ticks = [_short(text) for text in up["ticks"]]
    margin = max(map(len, ticks))
    steps = summary["steps"]
    canvas = _canvas(summary, one, letters)
    colours = {letter: _COLOURS[place % len(_COLOURS)] for place, letter in enumerate(letters.values())}
    yield Text(up["path"], style="bold")
    for j in range(steps, -1, -1):
        row = Text(f"{ticks[j] if j % 2 == 0 or steps <= 8 else '':>{margin}} |")
        for char in canvas[j]:
            row.append(char, style=colours.get(char.upper(), "bold" if char == _CLOSED else ""))
        yield row
    yield Text(" " * margin + " +" + "-" * (_WIDE * steps + 1))
    yield Text(" " * (margin + 2) + _ticks([_short(text) for text in across["ticks"]]) + "  " + across["path"])
    yield Text(_legend(one, letters))


def _canvas(summary: Json, one: Json, letters: dict[str, str]) -> list[list[str]]:
    """Return the rows of characters from the lowest y on: letters at the points, stars of closed forms between them."""
    steps = summary["steps"]
    rows = [[" "] * (_WIDE * steps + 1) for _ in range(steps + 1)]
    for j, names in enumerate(one["lattice"]):
        for i, name in enumerate(names):
            rows[j][_WIDE * i] = _NOTHING if name is None else letters[name]
    for point in one["points"]:
        i, j = point["step"]
        if point["undecided"]:
            rows[j][_WIDE * i] = rows[j][_WIDE * i].lower()
    for line in one["closed_forms"]["boundaries"]:
        for point in line["points"]:
            x, y = point["step"]
            at = round(_WIDE * x)
            if at % _WIDE == 0:  # a letter stands there
                at += 1 if at < _WIDE * steps else -1
            rows[round(y)][at] = _CLOSED
    return rows


def _ticks(texts: Sequence[str]) -> str:
    """Return values of the x axis, each below its point, as many as there is room for; the last one is among them.

    >>> _ticks(["1h", "2h", "3h", "4h", "5h", "6h", "7h"])
    '1h       4h       7h'
    """
    apart = max(_TICK, max(map(len, texts)) + 2)
    last = _WIDE * (len(texts) - 1)
    line = ""
    for place, text in ((_WIDE * number, text) for number, text in enumerate(texts)):
        room = not line or place >= len(line.rstrip()) - len(line.rsplit(maxsplit=1)[-1]) + apart
        if place == last or (room and place + apart <= last):
            line = line.ljust(place) + text
    return line


def _legend(one: Json, letters: dict[str, str]) -> str:
    seen = {name for row in one["lattice"] for name in row}
    parts = [f"{letter} {name}" for name, letter in letters.items() if name in seen]
    parts += [f"{_NOTHING} none keeps the patience target"] if None in seen else []
    if any(point["undecided"] for point in one["points"]):
        parts.append("a small letter: undecided against the next")
    if one["closed_forms"]["boundaries"]:
        parts.append(f"{_CLOSED} where closed forms cost the same")
    return "; ".join(parts)


def _lines(summary: Json, one: Json) -> Iterator[Text]:
    """Yield where each pair of neighbours costs the same: the ends of each line, and its middle."""
    closed = one["closed_forms"]
    yield from _told(summary, one["boundaries"], "simulated")
    yield from _told(summary, closed["boundaries"], "closed form")
    missing = [f"{name}: {why}" for name, why in closed["strategies"].items() if why is not None]
    if missing:
        yield Text(f"No closed form of {'; '.join(missing)}.", style="dim")


def _told(summary: Json, lines: Sequence[Json], what: str) -> Iterator[Text]:
    names = [axis["path"].rpartition(".")[2] for axis in summary["axes"]]
    for line in lines:
        between = " and ".join(name or "nothing in time" for name in line["between"])
        points = line["points"]
        shown = dict.fromkeys((0, len(points) // 2, len(points) - 1))
        ends = "; ".join(f"{names[0]} {_value(points[at], 'x')}, {names[1]} {_value(points[at], 'y')}" for at in shown)
        yield Text(f"{between} ({what}): {ends}")


def _value(point: Json, axis: str) -> str:
    """Return the value of a point on an axis, with its interval where it was interpolated along that."""
    text, interval = _short(point[axis]), point["interval"]
    if interval is None or interval["axis"] != axis:
        return text
    return f"{text} [{_short(interval['lo'])}, {_short(interval['hi'])}]"


def _short(text: str) -> str:
    """Return a value with three digits, or a duration with its two largest units.

    >>> _short("3.07529122036/h"), _short("1h52m24s147ms"), _short("20480"), _short("-0.51234567")
    ('3.08/h', '1h52m', '20480', '-0.512')
    """
    if (match := _DECIMAL.fullmatch(text)) is not None:
        return f"{float(match[1]):.3g}{match[2]}"
    parts = _UNITS.findall(text)
    return "".join(parts[:2]) if "".join(parts) == text else text


def _reading(summary: Json) -> str:
    steps = " x ".join(str(summary["steps"] + 1) for _ in summary["axes"])
    return (
        f"The lattice has {steps} points; those between simulated ones that agree are taken as they are. A point is "
        "undecided where the paired 95 % interval of what the next strategy costs more holds 0. Lines interpolate mean "
        "costs between neighbouring points, [ ] is a 95 % interval along an axis. Shares are of the lattice and have "
        "none."
    )
