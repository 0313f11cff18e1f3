"""What the commands that decide something share: their options, every mistake at once, progress, and the way out."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import wraps
from inspect import Parameter, signature
from json import dumps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic_core import PydanticCustomError
from rich.console import RenderableType
from rich.progress import TextColumn

from sim.cells import Resumable
from sim.cli.arguments import Arguments
from sim.cli.console import deliver, progress_bar, stderr
from sim.cli.places import Scheduler, WorkersText, as_workers, note_places, noted, tell_how_to_go_on
from sim.cli.study import (
    Baseline,
    BookName,
    EngineName,
    Replications,
    Seed,
    Sets,
    read_replications,
    read_seed,
    refuse_contradictions,
    refuse_engine,
    refuse_scenario,
)
from sim.decisions.finding import carry_out
from sim.decisions.laboratory import Source
from sim.experiments.estimates import Json
from sim.scenario import Scenario, load

__all__ = ["SHARED", "Desk", "ScenarioName", "as_size", "at_desk"]

T = TypeVar("T")

ScenarioName = Annotated[str, typer.Argument(metavar="SCENARIO", help="A TOML file, or a shipped scenario's name.")]
OutOrNone = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Where the study gets a new folder. [results]")
]
Resume = Annotated[
    Path | None, typer.Option("--resume", metavar="DIR", help="Go on with a study that was stopped, in its folder.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the document as JSON.")]


SHARED: dict[str, tuple[Any, Any]] = {  # option -> how Typer reads it, and its default
    "replications": (Replications, None),
    "seed": (Seed, None),
    "sets": (Sets, None),
    "baseline": (Baseline, None),
    "book": (BookName, None),
    "engine": (EngineName, "auto"),
    "workers": (WorkersText, None),
    "scheduler": (Scheduler, None),
    "out": (OutOrNone, None),
    "resume": (Resume, None),
    "as_json": (AsJson, False),
}

Command = Callable[..., None]


def at_desk(name: str, *, without: Collection[str] = (), replications: str = "") -> Callable[[Command], Command]:
    """Give a command the options that all decisions take: its function gets the desk that has read them, first.

    Parameters
    ----------
    name
        Of the command.
    without
        Shared options that make no sense there.
    replications
        The help of ``--replications``, where it means something of the command's own.
    """
    shared = {option: how for option, how in SHARED.items() if option not in without}
    if replications:
        shared["replications"] = Annotated[str | None, typer.Option(metavar="N", help=replications)], None

    def decorated(command: Command) -> Command:
        own = list(signature(command, eval_str=True).parameters.values())[1:]
        theirs = [
            Parameter(option, Parameter.KEYWORD_ONLY, default=at, annotation=as_)
            for option, (as_, at) in shared.items()
        ]

        @wraps(command)
        def call(**given: Any) -> None:
            told = {option: given.pop(option) for option in shared}
            command(Desk(name, **told), **given)

        call.__signature__ = signature(command).replace(parameters=[*own, *theirs])  # type: ignore[attr-defined]
        call.__annotations__ = {parameter.name: parameter.annotation for parameter in (*own, *theirs)}
        return call

    return decorated


def as_size(text: str) -> int:
    """Return how many points a design has."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return int(text)
    raise PydanticCustomError("count", "not a number of points; a whole number")


class Desk:
    """One command at work: it reads what all of them take, then the command its own, then it answers."""

    def __init__(
        self,
        command: str,
        *,
        replications: str | None = None,
        seed: str | None = None,
        sets: Sequence[str] | None = None,
        baseline: str | None = None,
        book: str | None = None,
        engine: str = "auto",
        workers: str | None = None,
        scheduler: str | None = None,
        out: Path | None = None,
        resume: Path | None = None,
        as_json: bool = False,
    ) -> None:
        self.command, self.arguments = command, Arguments()
        self.sets, self.as_json = tuple(sets or ()), as_json
        self.replications = read_replications(self.arguments, replications)
        self._seed = read_seed(self.arguments, seed)
        flags = {"replications": replications, "seed": seed, "baseline": baseline, "book": book}
        refuse_contradictions(self.arguments, self.sets, flags)
        refuse_engine(self.arguments, engine)
        count = None if workers is None else self.arguments.read("--workers", workers, as_workers)
        note_places(self.arguments, workers, scheduler, out, resume, writes=True)
        self._overrides = (*self.sets, *([f"baseline={dumps(baseline)}"] if baseline is not None else []))
        self._book, self._engine = book, engine
        self._workers, self._scheduler = count, scheduler
        self._out, self._resume = out or Path("results"), resume

    def scenario(self, name: str) -> Scenario | None:
        """Return the scenario under the overrides, or note what is wrong with it."""
        if refuse_scenario(self.arguments, name):
            return None
        found: Scenario | None = noted(self.arguments, lambda: load(name, sets=self._overrides, book=self._book))
        return found

    def noted(self, read: Callable[[], T]) -> T | None:
        """Return what the command reads of its own options, or note what is wrong with it."""
        found: T | None = noted(self.arguments, read)
        return found

    def read(self, flag: str, text: str | None, parse: Callable[[Any], T], usual: T) -> T:
        """Return the value of a flag; the usual one where it is not given, or wrong, which is noted."""
        found = None if text is None else self.arguments.read(flag, text, parse)
        return usual if found is None else found

    def answer(
        self,
        base: Scenario | None,
        asked: Json,
        answer: Callable[[Source], Json],
        report: Callable[[Json], Iterator[RenderableType]],
        *,
        passed: Callable[[Json], bool] = lambda _: True,
    ) -> None:
        """Raise every mistake noted; else carry the study out, print it, and leave with 1 where it did not pass.

        A study that is stopped says how to go on and leaves with 3.
        """
        self.check()
        assert base is not None  # noqa: S101 - `check` raised otherwise
        try:
            with progress_bar("simulating", TextColumn("cells")) as progress:
                found = carry_out(
                    self.command,
                    base,
                    asked,
                    answer,
                    out=self._out,
                    resume=self._resume,
                    seed=self._seed,
                    engine=self._engine,
                    workers=self._workers,
                    scheduler=self._scheduler,
                    progress=progress,
                )
        except Resumable as stopped:
            tell_how_to_go_on(stopped)
            raise typer.Exit(stopped.exit_code) from None
        try:
            deliver(found.summary, report(found.summary), as_json=self.as_json)
        finally:  # also for a reader who left before the end
            stderr().print(f"saved: {found.folder}", soft_wrap=True)
        if not passed(found.summary):
            raise typer.Exit(1)

    def check(self) -> None:
        """Raise every mistake noted so far."""
        self.arguments.check()
