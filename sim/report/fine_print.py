"""What stands below the figures of a run: how to read them, what to beware of, and what was assumed."""

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from sim.report.tables import Json

__all__ = ["fine_print", "remarks"]


def fine_print(summary: Json) -> Iterator[RenderableType]:
    """Yield what is to be printed below the verdict of a run."""
    yield Text(_reading(summary), style="dim")
    yield from _sureness(summary)
    yield from remarks(summary)


def _reading(summary: Json) -> str:
    """Return how to read the figures: what an interval is here, and which ones there are none of."""
    runs = summary["replications"]
    if runs == 1:
        return "One replication: no intervals. Latency and hits are of all answered requests."
    lost = any(pair["backoff_s"]["total"] for pair in summary["results"])
    quotas = "; lost to quotas is the time from a refused call to what followed it" if lost else ""
    return (
        f"± is the longer half of a {summary['level']:.0%} interval over {runs:,} replications of the same luck for "
        "every strategy; differences are paired, and intervals of dollars allow for bills that are seldom much dearer "
        "(Hall 1992). [ ] holds a quantile between order statistics. Hits are cached over prompt tokens; in patience "
        f"is of all requests; paid twice are calls that were billed although another one answered{quotas}."
    )


def _sureness(summary: Json) -> Iterator[Text]:
    """Yield how a run until sure ended: its rule, its looks, and the measure that kept it going."""
    found = summary.get("precision")
    if found is None:
        return
    width = found["widths"][found["widest"]]
    known = "which has no interval" if width is None else f"± {100 * width:.3g} %"
    end = "reached" if found["reached"] else "missed"
    yield Text(
        f"Run until sure: {end} ± {100 * found['asked']:.3g} % of every mean cost, "
        f"and of every difference to {summary['baseline']} as a share of its mean cost, at {summary['replications']:,} "
        f"replications; looks at {', '.join(f'{look:,}' for look in found['looks'])}; the widest: {found['widest']}, "
        f"{known}. Rule: {found['rule']}.",
        style="dim",
    )


def remarks(summary: Json) -> Iterator[RenderableType]:
    """Yield the warnings of a document, then what was assumed."""
    yield from _warnings(summary)
    yield from _assumptions(summary)


def _warnings(summary: Json) -> Iterator[Text]:
    for warning in summary["warnings"]:
        yield Text(f"Warning: {warning}", style="yellow")


def _assumptions(summary: Json) -> Iterator[RenderableType]:
    if not summary["assumptions"]:
        return
    yield Text()
    yield Text(
        "Assumptions in force (A two sources, B one, C secondary, ? contested, assumed: calibrate)", style="bold"
    )
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column()
    for assumption in summary["assumptions"]:
        grid.add_row(assumption["confidence"], Text(assumption["text"]))
    yield grid
