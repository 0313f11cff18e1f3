"""Saving the cells of a study as they arrive, and saying of whatever stops it how far it came, and where."""

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import duckdb

from sim.cells import Cells, Resumable, new_folder
from sim.errors import EngineError, InputError, wrong
from sim.experiments.interrupts import Interrupts
from sim.experiments.items import Done
from sim.journal import Files, Gone

__all__ = ["Saver", "made", "placed", "resumable"]

T = TypeVar("T")

SAVE_S = 0.25  # between two flushes to the disk: what is lost at most when the driver is killed


def made(
    name: str, manifest: Mapping[str, Any], out: Path, files: Files | None = None, *, kind: type[Cells] = Cells
) -> Cells:
    """Return the new folder of a study of some kind below ``out/name``."""
    try:
        return kind.made(new_folder(out, name, manifest), manifest, files)
    except OSError as error:
        what = f"cannot be written to ({error.strerror})"
        raise InputError([wrong("--out", what, "a folder that can", str(out))]) from None


def placed(out: str | Path | None, resume: str | Path | None, carry: Callable[[Path, Path | None], T]) -> T:
    """Carry a study out in the folder that was asked for; without one its cells go with what is returned."""
    if out is not None or resume is not None:
        return carry(Path(out or "results"), None if resume is None else Path(resume))
    place = Path(tempfile.mkdtemp(prefix="gcsim-"))
    found = carry(place, None)
    weakref.finalize(found, shutil.rmtree, place, ignore_errors=True)
    return found


@contextmanager
def resumable(cells: Cells, work: int | None = None) -> Iterator[None]:
    """Say of whatever stops a study how many of its cells are saved, and where; ``work`` is their number, if known."""
    try:
        yield
    except KeyboardInterrupt:
        reason = "interrupted"
    except Resumable as error:
        reason = error.reason
    except Gone as error:  # what was saved is wherever the folder is now, if it is
        raise Resumable(f"{error}; put it back and resume, or begin anew") from None
    except (OSError, duckdb.Error) as error:
        reason = f"saving failed ({error})"
    else:
        return
    of_all = "" if work is None else f" of {work}"
    raise Resumable(f"{reason}; {len(cells)}{of_all} cells are saved in {cells.folder}", cells.folder)


class Saver:
    """Saves cells as they arrive, some at a time."""

    def __init__(self, cells: Cells, interrupts: Interrupts) -> None:
        self.cells, self.failed = cells, list[Done]()
        self._interrupts = interrupts
        self._open: dict[str, str] = {}
        self._saved_at = time.monotonic()

    def take(self, done: Done) -> None:
        """Keep a cell, on the disk a quarter of a second later at the latest."""
        if done.fatal:
            self.save()
            raise EngineError(done.error)
        if done.text is None:
            self.failed.append(done)
        else:
            self._open[done.key] = done.text
        if time.monotonic() - self._saved_at >= SAVE_S:
            self.save()

    def save(self) -> None:
        """Flush what was taken to the disk. What could not be written is not tried again."""
        with self._interrupts.saving():
            records, self._open = self._open, {}
            if records:
                self.cells.add(records)
        self._saved_at = time.monotonic()
