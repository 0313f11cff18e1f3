"""Run a scenario under many settings: on the same luck for all of them, on any number of workers, losing nothing."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from json import dumps
from pathlib import Path
from typing import Any, TypeAlias

import duckdb
import numpy as np

from sim.cells import Cells, Resumable
from sim.experiments.designs import design_of
from sim.experiments.estimate import Estimate, estimated
from sim.experiments.estimates import Json
from sim.experiments.interrupts import Interrupts
from sim.experiments.items import Done
from sim.experiments.plan import Plan, items_of, plan_of
from sim.experiments.saving import Saver, made, placed, resumable
from sim.experiments.swept import Failure, columns_of, result_rows, summary_of
from sim.experiments.workers import Compute, at_work, chosen, reach
from sim.journal import Damage, Files
from sim.scenario import Scenario, opened
from sim.subject import folder_name

__all__ = ["Sweep", "carry_out", "sweep"]

Progress: TypeAlias = Callable[[int, int], None]  # (cells done, cells in all)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A sweep that came to its end: every cell was computed, or is among the failures."""

    folder: Path
    summary: Json  # gcsim.sweep/1
    failures: tuple[Failure, ...]
    damage: Damage  # of the cells that were there already
    witnessed: int  # cells that are run on both engines

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return the table as a relation of DuckDB, a row for each setting, strategy, model, replication and stream."""
        return duckdb.connect(config={"threads": 1}).read_parquet(str(self.folder / "results.parquet"))

    @property
    def table(self) -> np.ndarray[Any, Any]:
        """Return the table as a structured array; counts that are missing somewhere are floats with NaN there."""
        found = self.relation().fetchnumpy()
        columns = {name: _filled(column) for name, column in found.items()}
        length = len(next(iter(columns.values())))
        table: np.ndarray[Any, Any] = np.empty(length, dtype=[(name, column.dtype) for name, column in columns.items()])
        for name, column in columns.items():
            table[name] = column
        return table

    def to_pandas(self) -> Any:
        """Return the table as a pandas DataFrame; raise :class:`ImportError` where pandas is not installed."""
        if find_spec("pandas") is None:
            raise ImportError("to_pandas() needs pandas, which is not installed; .relation() and .table do without")
        return self.relation().df()


def _filled(column: Any) -> np.ndarray[Any, Any]:
    """Return a column with None for missing texts and NaN for missing numbers."""
    if not np.ma.is_masked(column):
        return np.asarray(column)
    if column.dtype == object:
        return np.asarray(column.filled(None))
    return np.asarray(column.astype(np.float64).filled(np.nan))


def sweep(  # noqa: PLR0913 - as many as the command has options
    scenario: str | Path | Scenario,
    vary: Sequence[str] | Mapping[str, Any],
    *,
    design: str = "grid",
    sets: Sequence[str] = (),
    replications: int | None = None,
    seed: int | None = None,
    baseline: str | None = None,
    book: str | None = None,
    engine: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    cell_timeout: float | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    progress: Progress | None = None,
) -> Sweep:
    """Run a scenario under many settings and return what each costs and how long its callers wait.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or one from :func:`sim.load`.
    vary
        Texts as ``--vary`` takes them, or a mapping from paths to a list of values or to a range such as
        ``"10..1000:log:7"``.
    design
        ``grid``, ``zip``, ``lhs:N`` or ``sobol:N``.
    sets, replications, seed, baseline, book
        Overrides for all settings.
    engine
        ``reference``, ``fast``, or ``auto``: the fast one where the sweep is large enough to repay its start-up. The
        results are the same; of what the fast engine runs, one cell in a hundred is run again on the reference.
    workers, scheduler
        Processes on this machine, 1 for this one alone; or the address of a Dask scheduler.
    cell_timeout
        Seconds after which a cell is given up and told as failed: by default at least 600.
    out, resume
        Where the sweep gets a new folder, by default one that goes with the returned object; or the folder of a sweep
        that was stopped. A stopped sweep raises :class:`sim.cells.Resumable`.
    progress
        Called with the cells done and the cells in all.
    """
    overrides = (*sets, *([f"baseline={dumps(baseline)}"] if baseline is not None else []))
    base = opened(scenario, sets=overrides, book=book)
    texts = [f"{path}={_text(values)}" for path, values in vary.items()] if isinstance(vary, Mapping) else vary
    plan = plan_of(
        base,
        texts,
        design=design_of(design),
        replications=replications,
        seed=seed,
        sets=overrides,
        engine=engine,
        processes=workers or 1,
    )
    who: dict[str, Any] = {"workers": workers, "scheduler": scheduler, "cell_timeout": cell_timeout}
    return placed(out, resume, lambda place, kept: carry_out(plan, out=place, resume=kept, progress=progress, **who))


def _text(values: Any) -> str:
    """Return values as ``--vary`` takes them.

    >>> _text(["1h", 2, True, ["a", "b"]]), _text("1..9:lin:3")
    ('1h,2,true,["a", "b"]', '1..9:lin:3')
    """
    if isinstance(values, str):
        return values
    plain = [isinstance(value, str) and not set(value) & set(",[]{}\"'") for value in values]
    return ",".join(value if as_is else dumps(value) for value, as_is in zip(values, plain, strict=True))


def carry_out(
    plan: Plan,
    *,
    out: Path,
    resume: Path | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    cell_timeout: float | None = None,
    estimate: Estimate | None = None,
    progress: Progress | None = None,
    files: Files | None = None,
) -> Sweep:
    """Compute the cells of a plan that are not there yet, and write what all of them say.

    A cell may take ``cell_timeout`` seconds; see :func:`sim.experiments.deadline.allowed` for what it may by itself.
    Raises :class:`Resumable` where it stops before its end: by an interrupt, a lost cluster or a full disk.
    """
    if scheduler is not None:
        reach(scheduler)
    if estimate is None and workers != 1:
        estimate = estimated(plan)
    who = chosen(workers, scheduler, estimate)
    with Interrupts() as interrupts, ExitStack() as stack:
        kept = None if resume is None else stack.enter_context(Cells(resume, plan.manifest, files))
        compute = stack.enter_context(at_work(who, plan, estimate, cell_timeout))
        interrupts.hold()
        cells = kept or stack.enter_context(made(folder_name(plan.base.name, "sweep"), plan.manifest, out, files))
        with resumable(cells, plan.work):
            interrupts.answer()
            failures = _named(plan, _compute(plan, Saver(cells, interrupts), compute, progress))
            interrupts.hold()  # for good: what is left takes no time
            summary = summary_of(plan, cells, failures)
            cells.conclude(columns_of(plan), result_rows(plan, cells), summary)
        return Sweep(
            folder=cells.folder, summary=summary, failures=failures, damage=cells.damage, witnessed=plan.witnessed
        )


def _compute(plan: Plan, saver: Saver, compute: Compute, progress: Progress | None) -> list[Done]:
    """Compute and save what is not there yet; return what failed."""
    count = len(saver.cells)
    try:
        for done in compute(items_of(plan, saver.cells)):
            saver.take(done)
            count += 1
            if progress is not None:
                progress(count, plan.work)
        saver.save()
    except (KeyboardInterrupt, Resumable):
        saver.save()
        raise
    return saver.failed


def _named(plan: Plan, failed: Sequence[Done]) -> tuple[Failure, ...]:
    """Return what failed as a user knows it."""
    failures = []
    for done in failed:
        task = plan.study.groups[done.group].tasks[done.member]
        settings = tuple(
            number for number, cells in enumerate(plan.cells) if any(cell.identity == task.identity for cell in cells)
        )
        failures.append(Failure(settings, task.pair.arm.name, task.pair.model, done.replication, done.error))
    return tuple(sorted(failures))
