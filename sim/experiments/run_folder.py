"""A run whose cells are kept in its folder as they arrive: it goes on where it was stopped, and is extended later."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from json import dumps
from pathlib import Path
from typing import Any, ClassVar

from sim.cells import JOURNAL, Cells, new_folder
from sim.errors import InputError, Problem, wrong
from sim.experiments.fingerprint import code_digest
from sim.experiments.interrupts import Interrupts
from sim.experiments.items import Done
from sim.experiments.outcome import result_of
from sim.experiments.replications import Asked, Replications
from sim.experiments.result import Result
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.saving import Saver, resumable
from sim.experiments.shelf import is_cell
from sim.experiments.summary import summarise
from sim.journal import Files
from sim.scenario import Scenario
from sim.subject import SCHEMA, Subject, folder_name

__all__ = ["RunCells", "carry_out", "subject_of"]

_ASKED = ("replications", "precision", "baseline")  # what may differ between runs that share their cells
_TOLD = ("created", "argv", "overrides")  # what decides nothing
_OWN = ("replications", "seed", "baseline")  # keys of a file that the manifest has as they were in force


class RunCells(Cells):
    """The cells of one run."""

    schema: ClassVar[str] = SCHEMA
    kind: ClassVar[str] = "run"
    table: ClassVar[str] = "replications.parquet"

    def __len__(self) -> int:
        """Return the number of cells; what the realisations hold is not among them."""
        return sum(is_cell(key) for key in self._journal)

    @classmethod
    def decisive(cls, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what the cells depend on: not how many they are, nor what they are compared with.

        The order of strategies and streams is part of it: rows and cells have it too.
        """
        found = {name: value for name, value in manifest.items() if name not in (*_ASKED, *_TOLD)}
        resolved = manifest.get("resolved")
        if isinstance(resolved, Mapping) and isinstance(file := resolved.get("file"), Mapping):
            kept = {name: value for name, value in file.items() if name not in _OWN}
            found["resolved"] = {**resolved, "file": kept}
        order = hashlib.sha256(dumps(found.get("resolved")).encode()).hexdigest()
        return {**found, "order of resolved": order}


def subject_of(asked: Asked, overrides: Sequence[str] = (), argv: Sequence[str] = ()) -> Subject:
    """Return what is run, as its manifest tells."""
    scenario = asked.scenario
    return Subject(
        scenario=scenario.name,
        resolved=scenario.resolved(),
        overrides=tuple(overrides),
        argv=tuple(argv),
        book=scenario.book.name,
        book_digest=scenario.book.digest,
        seed=asked.seed,
        replications=asked.replications,
        precision=None if asked.until is None else asked.until._asdict(),
        baseline=asked.baseline,
        code=code_digest(),
        recorded=_recorded(scenario),
    )


def _recorded(scenario: Scenario) -> str:
    spec = scenario.spec.replay
    if spec is None:
        return ""
    return hashlib.sha256(Path(scenario.document.beside(spec.trace)).read_bytes()).hexdigest()


class _Shelf:
    """The cells of a run's folder, new ones saved a quarter of a second after their arrival at the latest."""

    def __init__(self, cells: RunCells, saver: Saver) -> None:
        self._cells, self._saver = cells, saver
        self._taken: set[str] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._taken or key in self._cells

    def text(self, key: str) -> str:
        return self._cells.text(key)

    def keep(self, key: str, text: str) -> None:
        self._taken.add(key)
        self._saver.take(Done(key, 0, 0, 0, text))


def carry_out(
    work: Replications, subject: Subject, *, out: Path | None, resume: Path | None = None, files: Files | None = None
) -> Result:
    """Run what is not there yet, write what all of it says, and return it.

    Parameters
    ----------
    work
        The run, of which nothing is computed yet.
    subject
        What its manifest tells.
    out
        Where it gets a new folder; None = ``results``, or beside the one that it goes on from.
    resume
        The folder of an earlier run of the same scenario, seed, book and code. One that was asked for the same goes on
        there, unless ``out`` says otherwise; else its cells are copied into the new folder, and stay as they are.
    files
        What is done with files; a test lets it fail.

    Raises :class:`sim.cells.Resumable` where it stops before its end: by an interrupt or a full disk.
    """
    if resume is not None:
        _assert_kept(resume)
    if resume is None:  # a folder is made for what can be run
        work.look(work.asked.first)
    with Interrupts() as interrupts, ExitStack() as stack:
        interrupts.hold()
        cells = stack.enter_context(_opened(subject, out, resume, files))
        with resumable(cells):
            interrupts.answer()
            with _saving(cells, interrupts, work):
                certainty = work.carry_out()
            interrupts.hold()  # for good: what is left takes no time
            found = replace(result_of(work, certainty), folder=cells.folder)
            cells.conclude(COLUMNS, rows(found), summarise(found))
        return found


@contextmanager
def _saving(cells: RunCells, interrupts: Interrupts, work: Replications) -> Iterator[None]:
    """Save the cells of a run, also those that were taken before it is stopped."""
    saver = Saver(cells, interrupts)
    work.shelf = _Shelf(cells, saver)
    try:
        yield
        saver.save()
    except (KeyboardInterrupt, InputError):
        saver.save()
        raise


def _assert_kept(folder: Path) -> None:
    """Refuse a run that came to its end and has no cells; one that has none yet was killed as it began."""
    if (folder / "summary.json").is_file() and not (folder / JOURNAL).is_file():
        what = "this run kept no cells, so that nothing of it can be used again"
        raise InputError([Problem(str(folder), 0, "", what, "a folder of this version's gcsim run")])


def _opened(subject: Subject, out: Path | None, resume: Path | None, files: Files | None) -> RunCells:
    """Return the folder that the run's cells go to."""
    manifest = subject.manifest()
    if resume is None:
        return _made(subject, manifest, out or Path("results"), files)
    begun = RunCells.begun_as(resume)
    if out is None and all(begun.get(name) == manifest[name] for name in _ASKED):
        return RunCells(resume, manifest, files)
    RunCells.assert_same(resume, manifest)
    journal = resume / JOURNAL
    place = out or resume.absolute().parent.parent
    return _made(subject, manifest, place, files, begun=journal if journal.is_file() else None)


def _made(
    subject: Subject, manifest: Mapping[str, Any], out: Path, files: Files | None, *, begun: Path | None = None
) -> RunCells:
    folder = new_folder(out, folder_name(subject.scenario), subject.identity())
    try:
        return RunCells.made(folder, manifest, files, begun=begun)
    except OSError as error:
        what = f"cannot be written to ({error.strerror})"
        raise InputError([wrong("--out", what, "a folder that can", str(out))]) from None
