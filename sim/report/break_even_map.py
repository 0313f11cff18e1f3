"""A map of break-evens for the terminal: a letter for the best strategy at each point, readable without colour."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from sim.report.break_even_words import doubted, lines_of, reading, shared_out, short
from sim.report.fine_print import remarks
from sim.report.tables import Json

__all__ = ["break_even_report"]

_WIDE = 3  # characters a step
_NOTHING, _MAYBE, _CLOSED = "-", "~", "*"
_COLOURS = ("green", "cyan", "magenta", "yellow", "blue", "red")
_TICK = 9  # characters between two values of the x axis at least


def break_even_report(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed of a map, in order."""
    several = len(summary["maps"]) > 1
    for one in summary["maps"]:
        yield Text(shared_out(one, several), style="bold")
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
        yield from lines_of(summary, one)
    yield Text()
    yield Text(reading(summary), style="dim")
    yield from remarks(summary)


def _runs(summary: Json) -> str:
    count = summary["replications"]
    return "1 replication" if count == 1 else f"{count:,} replications"


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
    ticks = [short(text) for text in up["ticks"]]
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
    yield Text(" " * (margin + 2) + _ticks([short(text) for text in across["ticks"]]) + "  " + across["path"])
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
            rows[j][_WIDE * i] = _MAYBE if point["strategy"] is None else rows[j][_WIDE * i].lower()
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
    nobody = [point["undecided"] for point in one["points"] if point["strategy"] is None]
    parts += [f"{_NOTHING} none keeps the patience target"] if not all(nobody) else []
    parts += [f"{_MAYBE} none by its estimate, but it is undecided"] if any(nobody) else []
    if any(point["undecided"] and point["strategy"] for point in one["points"]):
        parts.append(f"a small letter: undecided against another{doubted(one)}")
    if one["closed_forms"]["boundaries"]:
        parts.append(f"{_CLOSED} where closed forms cost the same")
    return "; ".join(parts)
