"""What the commands that compute cells share: who computes, where the results go, and how to go on when stopped."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError

from sim.cells import Resumable
from sim.cli.arguments import Arguments
from sim.errors import InputError
from sim.store import prepare

__all__ = ["Scheduler", "WorkersText", "as_workers", "note_places", "noted", "tell_how_to_go_on"]

MOST_WORKERS = 1_000

WorkersText = Annotated[
    str | None, typer.Option("--workers", metavar="N", help="Processes on this machine; 1 = this one alone.")
]
Scheduler = Annotated[
    str | None, typer.Option("--scheduler", metavar="tcp://HOST:PORT", help="A Dask scheduler whose workers compute.")
]


def as_workers(text: str) -> int:
    """Return a number of worker processes.

    >>> as_workers("4")
    4
    """
    if re.fullmatch(r"[0-9]{1,4}", text) and 1 <= int(text) <= MOST_WORKERS:
        return int(text)
    raise PydanticCustomError("count", f"not a number of workers; a whole number from 1 to {MOST_WORKERS:,}")


def note_places(
    arguments: Arguments,
    workers: str | None,
    scheduler: str | None,
    out: Path | None,
    resume: Path | None,
    *,
    writes: bool,
) -> None:
    """Note what is wrong with where a study runs and where its results go."""
    if scheduler is not None and not re.fullmatch(r"(tcp|tls|ucx)://[^\s:/]+:[0-9]{1,5}", scheduler):
        arguments.refuse("--scheduler", "not the address of a scheduler", "such as tcp://10.0.0.5:8786", scheduler)
    if scheduler is not None and workers is not None:
        arguments.refuse("--workers", "contradicts --scheduler, whose workers are its own", "one of the two", workers)
    if resume is not None and out is not None:
        arguments.refuse("--out", "contradicts --resume, which goes on in its folder", "one of the two", str(out))
    if resume is not None and not (resume / "manifest.json").is_file():
        arguments.refuse("--resume", "nothing was begun here", "a folder that this command made", str(resume))
    if resume is None and writes:
        try:
            prepare(out or Path("results"))
        except InputError as error:
            arguments.problems += error.problems
        except OSError as error:
            arguments.refuse("--out", f"cannot be a folder ({error.strerror})", "a folder", str(out))


def noted(arguments: Arguments, read: Callable[[], Any]) -> Any:
    """Return what is read, or note what is wrong with it and return None."""
    try:
        return read()
    except InputError as error:
        arguments.problems += error.problems
        return None


def tell_how_to_go_on(stopped: Resumable) -> None:
    """Print why a study stopped, and the command that goes on with it."""
    print(f"gcsim: {stopped}", file=sys.stderr)
    if stopped.folder is None:
        return
    given = sys.argv[1:]
    kept, skip = [], False
    for word in given:
        if skip or word.startswith(("--out=", "--resume=")):
            skip = False
        elif word in {"--out", "--resume"}:
            skip = True
        else:
            kept.append(word)
    print(f"gcsim: go on with: gcsim {shlex.join([*kept, '--resume', str(stopped.folder)])}", file=sys.stderr)
