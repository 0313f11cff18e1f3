"""Results on disk: each run has a folder of its own, complete or not at all, never overwritten.

::

    <out>/<scenario>/<UTC stamp>-<hash8>/
        manifest.json          what was run: scenario as resolved, overrides, book, seed, versions
        summary.json           what was found: gcsim.run/2
        replications.parquet   a row for each strategy, model, replication and stream
        cells.journal          what the statistics are made of, so that the run can be extended; see sim.journal
        ledgers/<strategy>-<model>-<replication>/{requests,duplicates,caches,jobs,limits}.parquet    where kept
"""

import datetime as dt
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from sim.cells import JOURNAL, MANIFEST
from sim.errors import InputError, wrong
from sim.journal import Files, Journal
from sim.ledger import Ledger
from sim.parquet import write_ledger, write_rows
from sim.providers import Terms
from sim.subject import Subject, folder_name

__all__ = ["Record", "prepare", "save"]

ROOM = 16 * 2**20  # bytes that must be free before a run starts


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All that a run leaves behind."""

    subject: Subject
    columns: Mapping[str, str]  # of the rows: name -> type
    rows: Iterable[Mapping[str, Any]]
    summary: Mapping[str, Any]
    cells: Mapping[str, str]  # the text of each cell by its key
    ledgers: Mapping[tuple[str, str, int], Ledger]  # (strategy, model, replication) -> its ledger, where kept
    terms: Mapping[str, Terms]  # strategy -> what its ledgers were rated by
    book_terms: Terms  # the book's own


def prepare(out: Path) -> None:
    """Make sure that results can be written below a folder, before anything is simulated; leave nothing behind.

    Raises :class:`InputError` where ``out`` is a file, cannot be written to, or has no room left.
    """
    place = out
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise _refused(out, f"{place} is a file", "a folder, which need not exist yet")
    try:
        with tempfile.TemporaryFile(dir=place) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
        free = shutil.disk_usage(place).free
    except OSError as error:
        raise _refused(out, f"cannot be written to ({error.strerror})", "a folder that can") from None
    if free < ROOM:
        raise _refused(out, f"only {free // 2**20} MiB are free", f"a disk with at least {ROOM // 2**20} MiB")


def save(out: Path, record: Record) -> Path:
    """Write a run into a new folder below ``out`` and return it.

    Everything is written into a hidden folder beside it, flushed to the disk, and renamed as the last step. Raises
    :class:`InputError` where the disk refuses; then nothing of the run is left.
    """
    manifest = record.subject.manifest()
    home = out / folder_name(record.subject.scenario)
    try:
        home.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".writing-", dir=home))
    except OSError as error:
        raise _refused(out, f"cannot be written to ({error.strerror})", "a folder that can") from None
    try:
        stamp = dt.datetime.now(dt.UTC)
        _write(draft, record, manifest)
        draft.chmod(0o777 & ~_umask())  # mkdtemp's own is for the owner alone
        _flush(draft)
        return _rename(draft, home, f"{stamp:%Y%m%dT%H%M%SZ}-{record.subject.hash8}")
    except (OSError, duckdb.IOException) as error:
        raise _refused(out, f"writing failed ({error}); nothing was saved", "room on the disk") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _refused(out: Path, what: str, allowed: str) -> InputError:
    return InputError([wrong("--out", what, allowed, str(out))])


def _write(draft: Path, record: Record, manifest: dict[str, Any]) -> None:
    _write_json(draft / MANIFEST, manifest)
    _write_json(draft / "summary.json", record.summary)
    write_rows(draft / "replications.parquet", record.columns, record.rows)
    with closing(Journal(draft / JOURNAL, Files())) as journal:
        journal.append(record.cells)
    for (strategy, model, replication), ledger in record.ledgers.items():
        name = f"{folder_name(strategy)}-{folder_name(model)}-{replication}"
        folder = _new_folder(draft / "ledgers", name)
        about = {"strategy": strategy, "model": model, "replication": str(replication)}
        terms = {"terms": record.terms[strategy], "book_terms": record.book_terms}
        write_ledger(folder, ledger, about | {name: stated.model_dump_json() for name, stated in terms.items()})


def _new_folder(home: Path, name: str) -> Path:
    """Make a folder of a name, or of its first number that is free: two names may be spelt alike on a disk."""
    folder, count = home / name, 1
    while folder.exists():
        count += 1
        folder = home / f"{name}-{count}"
    folder.mkdir(parents=True)
    return folder


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _flush(folder: Path) -> None:
    """Flush every file and folder below a folder, and itself, to the disk."""
    for path in (*folder.rglob("*"), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _rename(draft: Path, home: Path, name: str) -> Path:
    """Give the draft its final name: the first of ``name``, ``name-2``, ... that is free."""
    count = 1
    while True:
        final = home / (name if count == 1 else f"{name}-{count}")
        count += 1
        if final.exists():
            continue
        try:
            draft.rename(final)
        except FileExistsError:
            continue
        except OSError:
            if final.exists():  # another run took the name meanwhile
                continue
            raise
        _flush_folder(home)
        return final


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
