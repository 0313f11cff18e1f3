"""``gcsim sweep``: a scenario under many settings, on one machine or a cluster, with nothing lost on the way."""

from json import dumps
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import ProgressColumn, Task
from rich.text import Text

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
    note,
    read_replications,
    read_seed,
    refuse_contradictions,
    refuse_engine,
    refuse_scenario,
)
from sim.engines.choice import ENGINES
from sim.experiments.designs import Design, design_of
from sim.experiments.estimate import Estimate, estimated
from sim.experiments.plan import Plan, plan_of
from sim.experiments.simulate import compiling
from sim.experiments.sweep import Sweep, carry_out
from sim.experiments.workers import chosen, cores, reach
from sim.report.sweep_table import plan_table, sweep_report
from sim.scenario import load
from sim.units import SECOND, as_duration

__all__ = ["sweep"]


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
    workers: WorkersText = None,
    scheduler: Scheduler = None,
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
    count = None if workers is None else arguments.read("--workers", workers, as_workers)
    limit = None if cell_timeout is None else arguments.read("--cell-timeout", cell_timeout, as_duration)
    if limit == 0:
        arguments.refuse("--cell-timeout", "must be longer than nothing", "a time such as 30m", cell_timeout)
    note_places(arguments, workers, scheduler, out, resume, writes=not dry_run)
    how = noted(arguments, lambda: design_of(design, zipped=zipped))
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
    with progress_bar("sweeping", _Rate()) as progress:
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
            tell_how_to_go_on(stopped)
            raise typer.Exit(stopped.exit_code) from None
    _conclude(found, as_json=as_json)


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
        base = noted(arguments, lambda: load(scenario, sets=options["sets"], book=book))
    plan = None
    if base is not None and design is not None and options["engine"] in ENGINES:
        plan = noted(arguments, lambda: plan_of(base, vary, design=design, **options))
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
    deliver(document, plan_table(document), as_json=as_json)


def _conclude(found: Sweep, *, as_json: bool) -> None:
    """Print what a sweep found and where it is; leave with 1 if a cell could not be computed."""
    try:
        deliver(found.summary, sweep_report(found.summary), as_json=as_json)
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
