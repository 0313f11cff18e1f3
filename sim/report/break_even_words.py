"""A map of break-evens in words: how a region is shared out, what is undecided and why, and the lines between."""

import re
from collections.abc import Iterator, Sequence

from rich.text import Text

from sim.report.figures import share
from sim.report.tables import Json
from sim.stats import LEVEL

__all__ = ["doubted", "lines_of", "reading", "shared_out", "short"]

_DECIMAL = re.compile(r"(-?\d+\.\d+)(|/.+)")
_UNITS = re.compile(r"\d+(?:ms|[dhms])")


def shared_out(one: Json, several: bool) -> str:
    """Return how the region is shared out."""
    parts = [
        f"{part['strategy'] or 'none keeps the patience target'} {share(part['share'], digits=0)}"
        for part in one["shares"]
    ]
    unsure = sum(part["undecided"] for part in one["shares"])
    on = f"On {one['model']} the" if several else "The"
    late = sum(part["unsure_in_time"] for part in one["shares"])
    why = f", {share(late, digits=0)} as to who keeps the patience target" if late else ""
    doubt = f"; undecided are {share(unsure, digits=0)}{why}" if unsure else ""
    return f"{on} cheapest in time over the region: {', '.join(parts)}{doubt}."


def doubted(one: Json) -> str:
    """Return which strategies may keep the patience target or miss it, where that makes a point undecided."""
    names = dict.fromkeys(name for point in one["points"] for name in point["unsure_in_time"])
    return f", or as it may be in time or late ({', '.join(names)})" if names else ""


def lines_of(summary: Json, one: Json) -> Iterator[Text]:
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
        yield Text(f"{between} ({what}{_by(points)}): {ends}")


def _by(points: Sequence[Json]) -> str:
    """Return that it is no cost that changes at a line, if so: one of the two begins to miss the patience target."""
    late = [point["by"] == "patience" for point in points if point["by"] is not None]
    return (", by the patience target" if all(late) else ", in part by the patience target") if any(late) else ""


def _value(point: Json, axis: str) -> str:
    """Return the value of a point on an axis, with its interval where it was interpolated along that."""
    text, interval = short(point[axis]), point["interval"]
    if interval is None or interval["axis"] != axis:
        return text
    return f"{text} [{short(interval['lo'])}, {short(interval['hi'])}]"


def short(text: str) -> str:
    """Return a value with three digits, or a duration with its two largest units.

    >>> short("3.07529122036/h"), short("1h52m24s147ms"), short("20480"), short("-0.51234567")
    ('3.08/h', '1h52m', '20480', '-0.512')
    """
    if (match := _DECIMAL.fullmatch(text)) is not None:
        return f"{float(match[1]):.3g}{match[2]}"
    parts = _UNITS.findall(text)
    return "".join(parts[:2]) if "".join(parts) == text else text


def reading(summary: Json) -> str:
    """Return how a map is to be read."""
    steps = " x ".join(str(summary["steps"] + 1) for _ in summary["axes"])
    return (
        f"The lattice has {steps} points; those between simulated ones that agree are taken as they are. A point is "
        "undecided where another strategy's share in time is not surely below the patience target, and the paired 95 % "
        "interval of what it costs more holds 0 or lies below; and where the best one's own share may be below. Lines "
        "part the cheapest that do not surely miss the target: they interpolate mean costs between neighbouring points "
        "([ ] is a 95 % interval along an axis), or are halfway to where one is surely late. Shares are of the lattice "
        f"and have none.{_unseen(summary['replications'])}"
    )


def _unseen(runs: int) -> str:
    """Return what so few replications do not see: a chance of ``1 - 0.05^(1/n)`` escapes n of them in 5 % of cases."""
    often = 1 - (1 - LEVEL) ** (1 / runs)
    return (
        f" Who is in time in all of {runs} counts as that, though up to {share(often, digits=0)} of runs may be late."
    )
