"""The folder of a study: its cells as they arrive, for one driver at a time; complete, resumable, never overwritten.

That of a sweep, which others resemble:

::

    <out>/<scenario>/<UTC stamp>-<hash8>/
        manifest.json      what is swept: scenario, design, settings, book, seed, versions, digest of the code
        cells.journal      a record for each finished cell, keyed by its content (see sim.journal)
        cells.<hash8>.bad  records that were damaged, set aside
        results.parquet    a row for each setting, strategy, model, replication and stream; written at the end
        summary.json       what was found: gcsim.sweep/1
        lock               who drives the sweep now
"""

import datetime as dt
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from sim.differences import first_difference
from sim.errors import InputError, Problem, SimError
from sim.journal import Damage, Files, Journal
from sim.locks import locked
from sim.parquet import write_rows

__all__ = ["JOURNAL", "MANIFEST", "Cells", "Resumable", "new_folder"]

SCHEMA = "gcsim.sweep-manifest/1"
MANIFEST, JOURNAL = "manifest.json", "cells.journal"
_PART = 1 << 20  # bytes that are copied at a time


class Resumable(SimError, RuntimeError):
    """A study that ended before its end; what was finished is saved."""

    exit_code = 3

    def __init__(self, reason: str, folder: Path | None = None) -> None:
        self.reason, self.folder = reason, folder
        super().__init__(reason)

    def __reduce__(self) -> tuple[type["Resumable"], tuple[str, Path | None]]:
        return (type(self), (self.reason, self.folder))


class Cells:
    """The finished cells of one study; this process alone may add to them while it is open.

    A study of another kind than a sweep is a subclass that says how it is called, and what of its manifest decides
    about its cells.
    """

    schema: ClassVar[str] = SCHEMA  # of the manifest, unless that names its own
    kind: ClassVar[str] = "sweep"
    table: ClassVar[str] = "results.parquet"

    def __init__(self, folder: Path, manifest: Mapping[str, Any], files: Files | None = None) -> None:
        self.folder = folder
        self._files = files or Files()
        self._lock = locked(folder, self.kind)
        try:
            self.assert_same(folder, manifest)
            self._journal = Journal(folder / JOURNAL, self._files)
        except BaseException as error:
            os.close(self._lock)
            if isinstance(error, OSError):
                raise Resumable(f"the cells in {folder} cannot be opened ({error})", folder) from None
            raise

    @classmethod
    def made(
        cls, folder: Path, manifest: Mapping[str, Any], files: Files | None = None, *, begun: Path | None = None
    ) -> Self:
        """Make the folder of a new study, or the first of ``folder-2``, ``folder-3``, ... that is not there yet.

        It can be resumed as soon as its manifest stands. Its journal begins as a copy of the one at ``begun``.
        """
        used = files or Files()
        fresh = _made(folder, used)
        if begun is not None:
            used.put_all(fresh / JOURNAL, _parts(begun))
        used.put(fresh / MANIFEST, _json({"schema": cls.schema, **manifest}))
        return cls(fresh, manifest, files)

    @classmethod
    def decisive(cls, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the part of a manifest that must agree wherever cells are taken for the same: here all of it."""
        return manifest

    @classmethod
    def assert_same(cls, folder: Path, wanted: Mapping[str, Any]) -> None:
        """Refuse a folder that another study than the wanted one began, with the first difference."""
        expected = json.loads(_json({"schema": cls.schema, **wanted}))
        difference = first_difference(cls.decisive(cls.begun_as(folder)), cls.decisive(expected), "")
        if difference is not None:
            where, was, now = difference
            what = f"this is another {cls.kind}"
            raise InputError([Problem(str(folder / MANIFEST), 0, where, what, f"{was!r} as it began", now)])

    @classmethod
    def begun_as(cls, folder: Path) -> dict[str, Any]:
        """Return the manifest of a folder; raise :class:`InputError` where there is none, or one of nothing."""
        path = folder / MANIFEST
        try:
            found: Any = json.loads(path.read_bytes())
        except OSError as error:
            what = f"no manifest ({error.strerror})"
            raise InputError([Problem(str(folder), 0, "", what, f"a folder that gcsim {cls.kind} made")]) from None
        except ValueError:
            what = "the manifest is torn or no JSON; the cells beside it are untouched"
            raise InputError([Problem(str(path), 0, "", what, f"a manifest that gcsim {cls.kind} wrote")]) from None
        if not isinstance(found, dict):
            what = "the manifest is no object of JSON; the cells beside it are untouched"
            raise InputError([Problem(str(path), 0, "", what, f"a manifest that gcsim {cls.kind} wrote")])
        return found

    @property
    def damage(self) -> Damage:
        """Return what was wrong with the journal."""
        return self._journal.damage

    def __contains__(self, key: object) -> bool:
        return key in self._journal

    def __len__(self) -> int:
        return len(self._journal)

    def add(self, records: Mapping[str, str]) -> None:
        """Save cells, each the JSON of its rows; when this returns they are on the disk."""
        self._journal.append(records)

    def text(self, key: str) -> str:
        """Return a cell as it was added."""
        return self._journal.text(key)

    def rows(self, key: str) -> list[list[Any]]:
        """Return the rows of a cell."""
        found: list[list[Any]] = json.loads(self._journal.text(key))
        return found

    def conclude(
        self, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]], summary: Mapping[str, Any]
    ) -> None:
        """Write the table and the summary, each complete or not at all."""
        self._journal.assert_in_place()
        draft = self.folder / f".{self.table}.writing"
        draft.unlink(missing_ok=True)
        write_rows(draft, columns, rows)
        self._files.flush(draft)
        self._files.settle(draft, self.folder / self.table)
        self._files.put(self.folder / "summary.json", _json(summary))

    def close(self) -> None:
        """Let another driver in."""
        try:
            self._journal.close()
        finally:
            os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except OSError as error:  # every cell was flushed before; what stopped the sweep, if anything did, says more
            if kind is None:
                raise Resumable(f"the cells in {self.folder} could not be closed ({error})", self.folder) from None


def _json(document: Mapping[str, Any]) -> bytes:
    return (json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def new_folder(out: Path, name: str, manifest: Mapping[str, Any]) -> Path:
    """Return a folder below ``out/name``, named by the time and by what is swept."""
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - names a folder, shapes no result
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:8]
    return out / name / f"{now:%Y%m%dT%H%M%SZ}-{digest}"


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(_PART):
            yield part


def _made(folder: Path, files: Files) -> Path:
    """Make a folder, of another number where there is one already: another driver may have begun in the same second."""
    fresh, count = folder, 1
    while True:
        try:
            files.mkdir(fresh)
        except FileExistsError:
            if not fresh.exists():  # it is a file above it that is in the way
                raise
            count += 1
            fresh = folder.with_name(f"{folder.name}-{count}")
            continue
        for above in (folder.parent, folder.parent.parent):
            files.flush(above)
        return fresh
