"""``gcsim sweep``: a scenario under many settings, on one machine or a cluster, with nothing lost on the way."""

import re
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from sim.cells import Resumable
from sim.cli.arguments import Arguments
from sim.cli.console import print_json, stderr, stdout
from sim.cli.study import (
    Baseline,
    BookName,
    EngineName,
    Replications,
    Seed,
    Sets,
    note,
    read_replications,
    read_seed,
    refuse_contradictions,
    refuse_engine,
    refuse_scenario,
)
from sim.engines.choice import ENGINES
from sim.errors import InputError
from sim.experiments.designs import Design, design_of
from sim.experiments.estimate import Estimate, estimated
from sim.experiments.plan import Plan, plan_of
from sim.experiments.simulate import compiling
from sim.experiments.sweep import Sweep, carry_out
from sim.experiments.workers import chosen, cores, reach
from sim.report.sweep_table import plan_table, sweep_report
from sim.scenario import load
from sim.store import prepare
from sim.units import SECOND, as_duration

__all__ = ["sweep"]

MOST_WORKERS = 1_000


def sweep(
    scenario: Annotated[str, typer.Argument(metavar="SCENARIO", help="A TOML file, or a shipped scenario's name.")],
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=VALUES", help="1h,2h,4h or 10..1000:log:7 or 0..1:lin:5; may be repeated."),
    ] = None,
    zipped: Annotated[bool, typer.Option("--zip", help="Take the lists side by side; short for --design zip.")] = False,
    design: Annotated[str, typer.Option(metavar="D", help="grid, zip, lhs:N or sobol:N.")] = "grid",
    replications: Replications = None,
    seed: Seed = None,
    sets: Sets = None,
    baseline: Baseline = None,
    book: BookName = None,
    engine: EngineName = "auto",
    workers: Annotated[
        str | None, typer.Option(metavar="N", help="Processes on this machine; 1 = this one alone.")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="tcp://HOST:PORT", help="A Dask scheduler whose workers compute.")
    ] = None,
    cell_timeout: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="When a cell that hangs is given up. [10m, or far more than usual]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the sweep gets a new folder. [results]")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Go on with a sweep that was stopped, in its folder.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.sweep/1, or gcsim.plan/1, as JSON.")] = False,
) -> None:
    """Simulate a scenario under many settings, all on the same luck."""
    arguments = Arguments()
    times, root = read_replications(arguments, replications), read_seed(arguments, seed)
    flags = {"replications": replications, "seed": seed, "baseline": baseline, "book": book}
    refuse_contradictions(arguments, sets or [], flags)
    refuse_engine(arguments, engine)
    count = None if workers is None else arguments.read("--workers", workers, _as_workers)
    limit = None if cell_timeout is None else arguments.read("--cell-timeout", cell_timeout, as_duration)
    if limit == 0:
        arguments.refuse("--cell-timeout", "must be longer than nothing", "a time such as 30m", cell_timeout)
    _places(arguments, workers, scheduler, out, resume, writes=not dry_run)
    how = _noted(arguments, lambda: design_of(design, zipped=zipped))
    overrides = (*(sets or []), *([f"baseline={dumps(baseline)}"] if baseline is not None else []))
    options: dict[str, Any] = {"replications": times, "seed": root, "sets": overrides, "engine": engine}
    plan = _planned(arguments, scenario, book, vary or [], how, {**options, "processes": count or 1})
    if plan.study.engine == "fast":
        compiling(note)
    if count is not None and count > cores():
        stderr().print(f"warning: {count} workers on {cores()} cores", soft_wrap=True)
    if scheduler is not None and not dry_run:
        reach(scheduler)
    estimate = estimated(plan) if dry_run or count != 1 else None
    if dry_run and estimate is not None:
        _tell_plan(plan, estimate, chosen(count, scheduler, estimate).processes, as_json=as_json)
        return
    with _progress() as progress:
        try:
            found = carry_out(
                plan,
                out=out or Path("results"),
                resume=resume,
                workers=count,
                scheduler=scheduler,
                cell_timeout=None if limit is None else limit / SECOND,
                estimate=estimate,
                progress=progress,
            )
        except Resumable as stopped:
            _tell_how_to_go_on(stopped)
            raise typer.Exit(stopped.exit_code) from None
    _conclude(found, as_json=as_json)


def _as_workers(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,4}", text) and 1 <= int(text) <= MOST_WORKERS:
        return int(text)
    raise PydanticCustomError("count", f"not a number of workers; a whole number from 1 to {MOST_WORKERS:,}")


def _places(
    arguments: Arguments,
    workers: str | None,
    scheduler: str | None,
    out: Path | None,
    resume: Path | None,
    *,
    writes: bool,
) -> None:
    """Note what is wrong with where the sweep runs and where its results go."""
    if scheduler is not None and not re.fullmatch(r"(tcp|tls|ucx)://[^\s:/]+:[0-9]{1,5}", scheduler):
        arguments.refuse("--scheduler", "not the address of a scheduler", "such as tcp://10.0.0.5:8786", scheduler)
    if scheduler is not None and workers is not None:
        arguments.refuse("--workers", "contradicts --scheduler, whose workers are its own", "one of the two", workers)
    if resume is not None and out is not None:
        arguments.refuse("--out", "contradicts --resume, which goes on in its folder", "one of the two", str(out))
    if resume is not None and not (resume / "manifest.json").is_file():
        arguments.refuse("--resume", "no sweep was begun here", "a folder that gcsim sweep made", str(resume))
    if resume is None and writes:
        try:
            prepare(out or Path("results"))
        except InputError as error:
            arguments.problems += error.problems
        except OSError as error:
            arguments.refuse("--out", f"cannot be a folder ({error.strerror})", "a folder", str(out))


def _noted(arguments: Arguments, read: Callable[[], Any]) -> Any:
    """Return what is read, or note what is wrong with it and return None."""
    try:
        return read()
    except InputError as error:
        arguments.problems += error.problems
        return None


def _planned(
    arguments: Arguments,
    scenario: str,
    book: str | None,
    vary: list[str],
    design: Design | None,
    options: dict[str, Any],
) -> Plan:
    """Return the plan if everything is in order; else raise every mistake."""
    base = None
    if not refuse_scenario(arguments, scenario):
        base = _noted(arguments, lambda: load(scenario, sets=options["sets"], book=book))
    plan = None
    if base is not None and design is not None and options["engine"] in ENGINES:
        plan = _noted(arguments, lambda: plan_of(base, vary, design=design, **options))
    arguments.check()
    assert isinstance(plan, Plan)  # noqa: S101 - `check` raised otherwise
    return plan


def _tell_plan(plan: Plan, estimate: Estimate, workers: int, *, as_json: bool) -> None:
    document = {
        "schema": "gcsim.plan/1",
        "scenario": plan.base.name,
        "design": str(plan.design),
        "replications": plan.replications,
        "seed": plan.study.seed,
        "workers": workers,
        "engine": plan.study.engine,
        **estimate._asdict(),
    }
    if as_json:
        print_json(document)
    else:
        stdout().print(*plan_table(document), sep="\n")


def _tell_how_to_go_on(stopped: Resumable) -> None:
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


def _conclude(found: Sweep, *, as_json: bool) -> None:
    """Print what a sweep found and where it is; leave with 1 if a cell could not be computed."""
    try:
        if as_json:
            print_json(found.summary)
        else:
            stdout().print(*sweep_report(found.summary), sep="\n")
        sys.stdout.flush()
    finally:  # also for a reader who left before the end
        errors = stderr()
        if found.witnessed:
            errors.print(
                f"engine: fast; {found.witnessed:,} cells are run on the reference too, and equal", soft_wrap=True
            )
        if found.damage.corrupt:
            errors.print(f"{found.damage.corrupt} damaged records were set aside and computed again", soft_wrap=True)
        for failure in found.failures:
            errors.print(f"failed: {failure}", soft_wrap=True, markup=False)
        errors.print(f"saved: {found.folder}", soft_wrap=True)
    if found.failures:
        raise typer.Exit(1)


class _Rate(ProgressColumn):
    """Cells a second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f} cells/s")


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr with the rate and the time left."""
    columns = (TextColumn("sweeping"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
    console = stderr()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("sweeping", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
