"""What every command shares of the terminal: results to stdout, everything else to stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from sim.errors import InputError, SimError

__all__ = ["deliver", "fail", "print_json", "progress_bar", "stderr", "stdout"]


class Console(RichConsole):
    """A console that leaves a reader who left to the command line, which knows the exit code."""

    def on_broken_pipe(self) -> None:
        """Raise what was met, where Rich would end the process."""
        raise BrokenPipeError


def stdout() -> Console:
    """Return a console for results: as wide as the terminal, 120 columns where there is none.

    Names are a user's own, so brackets in them are no markup.
    """
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, markup=False, emoji=False)


def stderr() -> Console:
    """Return a console for progress and logs."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


def print_json(document: dict[str, Any]) -> None:
    """Print a result as JSON; a NaN is a defect and raises."""
    print(json.dumps(document, indent=2, allow_nan=False))


def deliver(document: dict[str, Any], report: Iterable[RenderableType], *, as_json: bool) -> None:
    """Print a result as JSON, or as a report that is not made otherwise."""
    if as_json:
        print_json(document)
    else:
        stdout().print(*report, sep="\n")
    sys.stdout.flush()


@contextmanager
def progress_bar(doing: str, *more: ProgressColumn) -> Iterator[Callable[[float, int], None]]:
    """Show a bar on stderr, where that is a terminal: give what is told how much is done of how much in all."""
    columns = (TextColumn(doing), BarColumn(), MofNCompleteColumn(), *more, TimeRemainingColumn())
    console = stderr()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def fail(error: SimError) -> NoReturn:
    """Print an error, one line a mistake, and leave with its exit code."""
    for line in [str(p) for p in error.problems] if isinstance(error, InputError) else [f"gcsim: {error}"]:
        print(line, file=sys.stderr)
    sys.exit(error.exit_code)
