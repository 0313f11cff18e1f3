"""The frame of every decision: a folder for its cells, the work between two interrupts, and what is left behind."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypedDict

import duckdb

from sim.cells import Cells
from sim.decisions.laboratory import Laboratory, Progress, Source
from sim.errors import InputError
from sim.experiments.arguments import wrong_arguments
from sim.experiments.estimates import Json
from sim.experiments.interrupts import Interrupts
from sim.experiments.saving import made, placed, resumable
from sim.experiments.tasks import Records, origin_of
from sim.experiments.workers import Workers, reach
from sim.scenario import Scenario, opened
from sim.subject import folder_name

__all__ = ["Finding", "Means", "carry_out", "found", "read"]


class StudyCells(Cells):
    """The cells of one decision."""

    schema: ClassVar[str] = "gcsim.study-manifest/1"
    kind: ClassVar[str] = "study"


class Means(TypedDict, total=False):
    """By what means a decision is made: every function of this package takes these besides its own arguments."""

    sets: Sequence[str]  # overrides of the scenario
    book: str | None
    seed: int | None
    engine: str  # auto, reference or fast
    workers: int | None  # processes on this machine, 1 = this one alone; None = as many as repay their start
    scheduler: str | None  # the address of a Dask scheduler
    out: str | Path | None  # where the study gets a new folder; None = one that goes with the returned object
    resume: str | Path | None  # the folder of a study that was stopped
    progress: Progress | None


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A decision: its document, and the folder with the cells that it rests on."""

    folder: Path
    summary: Json  # its "schema" says which

    def relation(self) -> duckdb.DuckDBPyRelation:
        """Return the cells as a relation of DuckDB: a row a setting, strategy, model, replication and stream."""
        return duckdb.connect(config={"threads": 1}).read_parquet(str(self.folder / "results.parquet"))


def read(scenario: str | Path | Scenario, means: Means) -> Scenario:
    """Return the scenario of a file, a shipped name or an object, under the overrides of some means."""
    return opened(scenario, sets=tuple(means.get("sets") or ()), book=means.get("book"))


def found(name: str, base: Scenario, asked: Json, answer: Callable[[Source], Json], means: Means) -> Finding:
    """Return a decision that was made by some means; without a folder of its own its cells go with it."""
    options: Any = {key: means[key] for key in ("seed", "engine", "workers", "scheduler", "progress") if key in means}
    return placed(
        means.get("out"),
        means.get("resume"),
        lambda place, kept: carry_out(name, base, asked, answer, out=place, resume=kept, **options),
    )


def carry_out(  # noqa: PLR0913 - as many as a command has options
    name: str,
    base: Scenario,
    asked: Json,
    answer: Callable[[Source], Json],
    *,
    out: Path,
    resume: Path | None = None,
    seed: int | None = None,
    engine: str = "auto",
    workers: int | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> Finding:
    """Let ``answer`` ask for the cells that it wants, and write what it makes of them.

    Parameters
    ----------
    name
        Of the command; names the schema ``gcsim.<name>/1``.
    base
        The scenario.
    asked
        The question's own arguments as JSON: with the scenario all that the answer depends on.
    answer
        From cells to the document, without its head, its assumptions and its warnings; ``"warnings"`` of its own come
        first.
    out, resume
        Where the study gets a new folder; or the folder of the same study, which was stopped: what is there is not
        computed again. A stopped study raises :class:`sim.cells.Resumable`.
    """
    root = base.seed if seed is None else seed
    if problems := wrong_arguments(name, 1, root, engine):
        raise InputError(problems)
    if scheduler is not None:
        reach(scheduler)
    who = None if scheduler is None and workers is None else Workers(workers or 1, scheduler)
    records = Records()
    records.of(base)
    manifest = {"study": name, "scenario": base.name, "seed": root, "asked": asked, **origin_of(base, records)}
    with Interrupts() as interrupts, ExitStack() as stack:
        interrupts.hold()
        cells = _opened(folder_name(base.name, name), manifest, out, resume)
        stack.enter_context(cells)
        with resumable(cells):
            interrupts.answer()
            options: Any = {"seed": root, "engine": engine, "workers": who, "progress": progress}
            with Laboratory(base, cells, interrupts, **options) as laboratory:
                document = answer(laboratory)
                interrupts.hold()  # for good: what is left takes no time
                remarks = laboratory.remarks()
                warnings = [*document.pop("warnings", []), *remarks["warnings"]]
                summary = {
                    **_head(name, base, root),
                    **document,
                    "assumptions": remarks["assumptions"],
                    "warnings": warnings,
                }
                cells.conclude(laboratory.columns, laboratory.table(), summary)
        return Finding(folder=cells.folder, summary=summary)


def _opened(name: str, manifest: Json, out: Path, resume: Path | None) -> Cells:
    return made(name, manifest, out, kind=StudyCells) if resume is None else StudyCells(resume, manifest)


def _head(name: str, base: Scenario, seed: int) -> Json:
    about = {"scenario": base.name, "question": base.question, "book": base.book.name}
    return {"schema": f"gcsim.{name}/1", **about, "seed": seed}
