"""The command ``gcsim trace``: what a recorded trace is like, and the most that an implicit cache could have hit."""

from pathlib import Path
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError
from rich.box import HORIZONTALS
from rich.table import Table

from sim.cli.console import print_json, stderr, stdout
from sim.errors import InputError, Problem, nearest, wrong
from sim.traces import FORMATS, load_trace
from sim.traces.profile import Ceiling, Profile, Sizes, document, profile
from sim.units import SECOND, as_duration, duration

__all__ = ["trace"]


def trace(
    file: Annotated[
        Path, typer.Argument(metavar="TRACE", help="The recorded trace, plain or .gz.", show_default=False)
    ],
    format_: Annotated[str, typer.Option("--format", help=f"auto, {', '.join(FORMATS)}.")] = "auto",
    idle: Annotated[str, typer.Option(help="Lifetimes of the ceiling, idle and fixed.")] = "60s,300s,600s,3600s",
    sort: Annotated[bool, typer.Option("--sort", help="Sort rows that are out of order of time.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.trace/1.")] = False,
) -> None:
    """Measure a recorded trace: rate, sizes, and the ceiling of implicit cache hits."""
    lifetimes_s = _lifetimes(idle, format_)
    recorded = load_trace(file, format_, sort=sort)
    figures = profile(recorded, lifetimes_s)
    if as_json:
        print_json(document(figures))
    else:
        _print(file, figures)
    for note in recorded.notes:
        stderr().print(f"note: {note}", markup=False, soft_wrap=True)


def _lifetimes(text: str, format_: str) -> list[int]:
    """Return the lifetimes in whole seconds, each once, in the order given; an unknown format is refused besides."""
    lifetimes: dict[int, None] = {}
    problems: list[Problem] = []
    if format_ not in ("auto", *FORMATS):
        hint = nearest(format_, ("auto", *FORMATS))
        problems.append(wrong("--format", "unknown trace format", hint, format_))
    allowed = 'whole seconds above zero, such as "60s,5m,1h"'
    for part in text.split(","):
        try:
            ms = as_duration(part)
        except PydanticCustomError as error:
            problems.append(Problem("--idle", 0, "", error.message().partition(";")[0], allowed, part))
            continue
        if ms <= 0 or ms % SECOND:
            problems.append(Problem("--idle", 0, "", "not a lifetime in whole seconds", allowed, part))
        lifetimes[ms // SECOND] = None
    if problems:
        raise InputError(problems)
    return list(lifetimes)


def _print(file: Path, figures: Profile) -> None:
    console = stdout()
    table = Table(title=f"{file.name}: {figures.format}", show_header=False, title_justify="left", box=HORIZONTALS)
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in _figures(figures):
        table.add_row(name, value)
    console.print(table)
    if figures.ceiling is not None:
        console.print(_ceiling(figures.ceiling, figures.input.total))
        console.print(
            "Ceiling: tokens matched by a prefix that an earlier request left at its arrival, over all input tokens.\n"
            "Idle: a use starts the lifetime anew. Fixed: it runs from storing. Real hits are fewer."
        )
    console.print("Measured on this file as it stands: nothing is estimated, so there are no intervals.")


def _figures(figures: Profile) -> list[tuple[str, str]]:
    rows = [
        ("requests", f"{figures.requests:,}"),
        ("first to last arrival", duration(figures.span_ms)),
        ("requests a second", _real(figures.rate_per_s)),
        ("CV of the gaps", _real(figures.gap_cv)),
        *_sizes("input tokens", figures.input),
        *_sizes("output tokens", figures.output),
    ]
    if figures.recorded_cached is not None:
        cached, prompt = figures.recorded_cached
        share = f" ({cached / prompt:.4%})" if prompt else ""
        rows.append(("cached tokens that the log records", f"{cached:,} of {prompt:,}{share}"))
    grain = f"{figures.block_tokens:,} tokens" if figures.block_tokens else "none told: no cache can be replayed"
    return [*rows, ("grain of shared prefixes", grain)]


def _sizes(name: str, sizes: Sizes) -> list[tuple[str, str]]:
    if sizes.mean is None:
        return [(name, "0")]
    return [
        (f"{name}, total", f"{sizes.total:,}"),
        ("  mean, p50, p99", f"{sizes.mean:,.1f}, {sizes.p50:,}, {sizes.p99:,}"),
    ]


def _ceiling(matched: Ceiling, total: int) -> Table:
    def share(tokens: int) -> str:
        return f"{tokens / total:.6f}" if total else "-"

    table = Table(title="Ceiling of implicit cache hits", title_justify="left", box=HORIZONTALS)
    for name in ("lifetime", "idle", "fixed"):
        table.add_column(name, justify="right")
    table.add_row("unlimited", share(matched.unlimited), share(matched.unlimited))
    for seconds, tokens in matched.idle.items():
        table.add_row(duration(seconds * SECOND), share(tokens), share(matched.fixed[seconds]))
    return table


def _real(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
