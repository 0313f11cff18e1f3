"""``gcsim run``: what each strategy of a scenario costs, and how long its callers wait."""

import re
import sys
from pathlib import Path
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from sim.cells import MANIFEST, Resumable
from sim.cli.arguments import Arguments
from sim.cli.places import tell_how_to_go_on
from sim.cli.study import (
    AsJson,
    Baseline,
    BookName,
    EngineName,
    Keep,
    Out,
    Replications,
    Seed,
    Sets,
    as_precision,
    conclude,
    examined,
    note,
    read_replications,
    read_seed,
    refuse_contradictions,
    refuse_engine,
    refuse_scenario,
    simulating,
)
from sim.experiments import montecarlo, run_folder
from sim.experiments.progress import Progress
from sim.experiments.replications import Asked
from sim.experiments.replications import Replications as Work
from sim.experiments.result import Result
from sim.experiments.until_sure import MOST, Until
from sim.scenario import load
from sim.stopping import CEILING, FLOOR

__all__ = ["run"]

Precision = Annotated[
    str | None,
    typer.Option(metavar="P%", help="Go on until each cost and difference is known to ± P %, such as 2%."),
]
Floor = Annotated[
    str | None, typer.Option(metavar="N", help=f"With --precision: replications before the first look. [{FLOOR}]")
]
Ceiling = Annotated[str | None, typer.Option(metavar="N", help=f"With --precision: replications at most. [{CEILING}]")]
Resume = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Use what an earlier run computed: go on with it, or extend it."),
]


def run(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A TOML file, or a shipped scenario's name.")],
    *,
    replications: Replications = None,
    precision: Precision = None,
    floor: Floor = None,
    ceiling: Ceiling = None,
    seed: Seed = None,
    sets: Sets = None,
    baseline: Baseline = None,
    book: BookName = None,
    out: Out = None,
    resume: Resume = None,
    keep_requests: Keep = False,
    engine: EngineName = "auto",
    as_json: AsJson = False,
) -> None:
    """Simulate a scenario under all of its strategies, on the same luck for each."""
    arguments = Arguments()
    times, root = read_replications(arguments, replications), read_seed(arguments, seed)
    until = _until(arguments, precision, floor, ceiling)
    overrides = sets or []
    flags = {"replications": replications, "seed": seed, "baseline": baseline, "book": book}
    refuse_contradictions(arguments, overrides, flags)
    _refuse_two_lengths(arguments, precision, replications, overrides)
    refuse_engine(arguments, engine)
    _refuse_folder(arguments, resume, precision, keep_requests=keep_requests)
    if refuse_scenario(arguments, scenario):
        arguments.check()
    place = out if out is not None or resume is None else resume.absolute().parent.parent
    loaded = examined(arguments, lambda: load(scenario, sets=overrides, book=book), baseline, place)
    asked = montecarlo.asked_of(loaded, replications=times, until=until, seed=root, baseline=baseline, engine=engine)
    with simulating() as progress:
        if until is None and resume is None:
            result = montecarlo.carried_out(asked, keep_requests=keep_requests, progress=progress, notice=note)
        else:
            result = _kept(asked, overrides, out, resume, progress)
        conclude(asked, result, sets=overrides, out=out, as_json=as_json)


def _kept(asked: Asked, overrides: list[str], out: Path | None, resume: Path | None, progress: Progress) -> Result:
    """Return the result of a run whose cells are kept as they arrive, or tell how to go on with it."""
    subject = run_folder.subject_of(asked, overrides, sys.argv[1:])
    try:
        return run_folder.carry_out(Work(asked, progress=progress, notice=note), subject, out=out, resume=resume)
    except Resumable as stopped:
        tell_how_to_go_on(stopped)
        raise typer.Exit(stopped.exit_code) from None


def _until(arguments: Arguments, precision: str | None, floor: str | None, ceiling: str | None) -> Until | None:
    """Return how sure the run is to be; None where it has a number of replications, or a mistake was noted."""
    limits = {"--floor": (floor, FLOOR), "--ceiling": (ceiling, CEILING)}
    if precision is None:
        for flag in (flag for flag, (text, _) in limits.items() if text is not None):
            arguments.refuse(flag, "says nothing without --precision", "both, or neither")
        return None
    share = arguments.read("--precision", precision, as_precision)
    least, most = (
        usual if text is None else arguments.read(flag, text, _as_count) for flag, (text, usual) in limits.items()
    )
    if share is None or least is None or most is None:
        return None
    if least > most:
        arguments.refuse("--ceiling", f"is below the floor of {least:,} replications", "at least that", most)
    return Until(share, least, most)


def _as_count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,12}", text) and 2 <= int(text) <= MOST:
        return int(text)
    raise PydanticCustomError("count", f"not a number of replications; a whole number from 2 to {MOST:,}")


def _refuse_two_lengths(arguments: Arguments, precision: str | None, replications: str | None, sets: list[str]) -> None:
    """Refuse a run that is told both when to stop and to find out itself."""
    if precision is None:
        return
    if replications is not None:
        arguments.refuse("--precision", "contradicts --replications, which it decides", "one of the two", precision)
    if any(text.partition("=")[0].strip() == "replications" for text in sets):
        arguments.refuse("--precision", "contradicts --set replications=..., which it decides", "one of the two")


def _refuse_folder(arguments: Arguments, resume: Path | None, precision: str | None, *, keep_requests: bool) -> None:
    """Note what is wrong with an earlier run, and what cannot be had with it."""
    if keep_requests and (resume is not None or precision is not None):
        other = "--precision" if resume is None else "--resume"
        what = f"contradicts {other}: cells are kept as they arrive, and their requests are not among them"
        arguments.refuse("--keep-requests", what, "one of the two")
    if resume is not None and not (resume / MANIFEST).is_file():
        arguments.refuse("--resume", "no run was begun here", "a folder that gcsim run made", str(resume))
