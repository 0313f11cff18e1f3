"""Results on disk: complete or not there, never overwritten, and read back as they were."""

import json
import os
import shutil
from collections import namedtuple

import duckdb
import numpy as np
import pytest
from made_results import kept, ledger, result

from sim import parquet, store
from sim.errors import InputError
from sim.experiments.preserved import text_of
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.shelf import records
from sim.experiments.summary import summarise
from sim.journal import Files, Journal
from sim.ledger import Ledger, Limit
from sim.parquet import TABLES, read_about, read_ledger, read_terms, write_ledger, write_rows
from sim.providers import Terms
from sim.subject import Subject

USUAL = Terms(creation="input", storage="lifetime", batch_cached="published")
TERMS = Terms(creation="free", storage="lifetime", batch_cached="published", free_tier=True)


def subject(**changes):
    values = {
        "scenario": "example",
        "resolved": {"file": {"question": "What?"}},
        "overrides": ("load=2",),
        "argv": ("run", "example"),
        "book": "google",
        "book_digest": "abc",
        "seed": 1,
        "replications": 2,
        "precision": None,
        "baseline": "none",
        "code": "def",
        "recorded": "",
    }
    return Subject(**{**values, **changes})


def record(what=None, **changes):
    run = result({"none": [3, 4], "explicit": [1, 2]}, kept=(kept(),))
    values = {
        "subject": what or subject(),
        "columns": COLUMNS,
        "rows": rows(run),
        "summary": summarise(run),
        "cells": dict(records(run)),
        "ledgers": {(k.strategy, k.model, k.replication): k.ledger for k in run.kept},
        "terms": dict.fromkeys(("none", "explicit"), TERMS),
        "book_terms": USUAL,
    }
    return store.Record(**{**values, **changes})


def same(a: Ledger, b: Ledger) -> bool:
    arrays = [name for name in Ledger._fields if name not in ("models", "start_ms")]
    equal = all(np.array_equal(getattr(a, name), getattr(b, name)) for name in arrays)
    typed = all(getattr(b, name).dtype == np.int64 for name in arrays)
    return equal and typed and (a.models, a.start_ms) == (b.models, b.start_ms)


def test_a_saved_run_says_what_was_run_and_what_was_found(tmp_path):
    """The folder is <scenario>/<stamp>-<hash8> and holds the manifest, the summary, the rows and the ledgers."""
    folder = store.save(tmp_path, record())
    assert folder.parent == tmp_path / "example"
    assert sorted(p.name for p in folder.iterdir()) == [
        "cells.journal",
        "ledgers",
        "manifest.json",
        "replications.parquet",
        "summary.json",
    ]
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["schema"] == "gcsim.manifest/1"
    assert manifest["overrides"] == ["load=2"]
    assert manifest["book"] == {"name": "google", "sha256": "abc"}
    assert {"python", "numpy", "scipy", "simpy", "pydantic", "duckdb"} <= set(manifest["versions"])
    assert json.loads((folder / "summary.json").read_text())["schema"] == "gcsim.run/2"


def test_the_cells_of_a_run_are_kept(tmp_path):
    """The journal holds a record for each cell, from which the run can be extended."""
    folder = store.save(tmp_path, record())
    journal = Journal(folder / "cells.journal", Files())
    assert sorted(journal) == ["0/0", "0/1", "1/0", "1/1"]
    cells = result({"none": [3, 4], "explicit": [1, 2]}).cells
    assert [journal.text(key) for key in ("0/0", "1/0", "0/1", "1/1")] == [text_of(cell) for cell in cells]
    journal.close()


def test_the_rows_can_be_queried(tmp_path):
    """replications.parquet holds a row a cell with exact costs as text and doubles beside."""
    folder = store.save(tmp_path, record())
    query = (
        f"SELECT strategy, replication, cost_usd, cost_usd_exact FROM '{folder}/replications.parquet' WHERE stream = ''"
    )
    assert duckdb.sql(query).fetchall() == [
        ("none", 0, 3.0, "3"),
        ("none", 1, 4.0, "4"),
        ("explicit", 0, 1.0, "1"),
        ("explicit", 1, 2.0, "2"),
    ]


def test_a_ledger_read_back_is_the_ledger_written(tmp_path):
    """P89: writing then reading is the identity, int64 columns, models and start included."""
    folder = store.save(tmp_path, record())
    found = read_ledger(folder / "ledgers" / "explicit-flash-0")
    assert same(ledger(), found)
    assert read_about(folder / "ledgers" / "explicit-flash-0")["strategy"] == "explicit"


def test_a_saved_ledger_says_by_which_terms_it_was_rated(tmp_path):
    """The terms of its run and of its book are read back as they were; a ledger that says none has none."""
    folder = store.save(tmp_path, record())
    assert read_terms(folder / "ledgers" / "explicit-flash-0") == (TERMS, USUAL)
    write_ledger(tmp_path, ledger(), {"strategy": "none"})
    assert read_terms(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", '{"creation": "fre", "storage": "lifetime", "batch_cached": "published"}'])
def test_terms_that_are_none_are_refused_in_one_line(tmp_path, text):
    """Broken, missing or unknown terms are bad input, not those of the book."""
    write_ledger(tmp_path, ledger(), {"terms": text, "book_terms": USUAL.model_dump_json()})
    with pytest.raises(InputError, match="terms: not terms of this version"):
        read_terms(tmp_path)


def test_every_column_of_a_ledger_is_in_one_of_its_tables(tmp_path):
    """Requests, duplicates, caches, jobs and limits are a file each; together they hold every column once."""
    columns = [name for names in TABLES.values() for name in names]
    assert sorted(columns) == sorted(set(Ledger._fields) - {"models", "start_ms"})
    write_ledger(tmp_path, ledger(), {})
    assert sorted(p.stem for p in tmp_path.iterdir()) == sorted(TABLES)
    found = duckdb.sql(f"SELECT limit_kind, limit_hour, limit_count FROM '{tmp_path}/limits.parquet'").fetchall()
    assert found == [(Limit.REQUESTS, 0, 3), (Limit.FORBIDDEN, 1, 12)]


def test_an_empty_ledger_with_odd_names_survives(tmp_path):
    """P89: no rows at all, and quotes in names, are read back as they were."""
    empty = {name: np.array([], dtype=np.int64) for name in Ledger._fields if name not in ("models", "start_ms")}
    written = Ledger(**empty, models=("it's", 'a "model"'), start_ms=-1)
    write_ledger(tmp_path, written, {"strategy": "it's"})
    assert same(written, read_ledger(tmp_path))


def test_rows_keep_nulls_wide_integers_and_text(tmp_path):
    """Null stays null whatever the column, 2^53 + 1 stays itself, and an empty table has its columns."""
    columns = {"a": "BIGINT", "b": "DOUBLE", "c": "VARCHAR"}
    table = [{"a": 2**53 + 1, "b": None, "c": ""}, {"a": None, "b": 0.1, "c": None}]
    write_rows(tmp_path / "t.parquet", columns, table)
    assert duckdb.sql(f"SELECT * FROM '{tmp_path}/t.parquet'").fetchall() == [(2**53 + 1, None, ""), (None, 0.1, None)]
    write_rows(tmp_path / "e.parquet", columns, [])
    assert duckdb.sql(f"SELECT * FROM '{tmp_path}/e.parquet'").columns == ["a", "b", "c"]


def test_nothing_is_ever_overwritten(tmp_path):
    """The same run saved again in the same second gets a folder of its own, and the first keeps its bytes."""
    folders = []
    for _ in range(4):
        folders.append(store.save(tmp_path, record()))
        (folders[-1] / "mark").write_text(str(len(folders)))
    assert len(set(folders)) == 4
    assert [(f / "mark").read_text() for f in folders] == ["1", "2", "3", "4"]


def test_the_hash_depends_on_what_was_run_only(tmp_path):
    """P88: another seed is another hash; another path, another spelling of the command or order of keys is not."""
    name = lambda out, **changes: store.save(tmp_path / out, record(subject(**changes))).name.split("-")[1]  # noqa: E731
    assert name("a") == name("b", argv=("run", "./example.toml"))
    assert name("a") != name("a", seed=2)
    assert name("a") != name("a", book_digest="abd")
    assert name("a") != name("a", code="dee")
    one, two = {"x": 1, "y": 2}, {"y": 2, "x": 1}
    assert name("a", resolved=one) == name("a", resolved=two)


@pytest.mark.parametrize("place", [0, 1, 3_333, 9_998, 9_999, 10_000, 12_345])
def test_one_large_count_among_thousands_of_small_ones_is_kept(tmp_path, place):
    """A column's type is told from all of its values: a single one of many digits, or the first that is no null."""
    table = [{"n": index % 9, "text": None, "x": None} for index in range(12_346)]
    table[place] = {"n": 2**62 + 1, "text": "1/3", "x": 0.1}
    write_rows(tmp_path / "t.parquet", {"n": "BIGINT", "text": "VARCHAR", "x": "DOUBLE"}, table)
    assert duckdb.read_parquet(str(tmp_path / "t.parquet")).fetchall() == [tuple(row.values()) for row in table]


@pytest.mark.parametrize("broken", ["write_rows", "write_ledger", "_write_json", "_flush", "_rename"])
def test_a_run_that_cannot_be_saved_leaves_nothing(tmp_path, monkeypatch, broken):
    """Whatever step the disk refuses, no folder of the run remains under any name, and one line tells why."""

    def refuse(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, broken, refuse)
    with pytest.raises(InputError, match="No space left"):
        store.save(tmp_path, record())
    assert list((tmp_path / "example").iterdir()) == []


def test_a_nan_is_never_stored(tmp_path):
    """106: a result that holds NaN is a defect that raises at the write, and leaves nothing."""
    with pytest.raises(ValueError, match="JSON compliant"):
        store.save(tmp_path, record(summary={"mean": float("nan")}))
    assert list((tmp_path / "example").iterdir()) == []


def test_an_interrupted_save_leaves_nothing(tmp_path, monkeypatch):
    """Ctrl-C while the files are written removes the draft."""

    def interrupt(*_args):
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "_flush", interrupt)
    with pytest.raises(KeyboardInterrupt):
        store.save(tmp_path, record())
    assert list((tmp_path / "example").iterdir()) == []


@pytest.mark.parametrize("name", ["../escape", "a/b", "..", "", "with space", "ü"])
def test_a_scenario_name_is_one_folder_below_the_output(tmp_path, name):
    """No name leaves the output folder or makes a nested one."""
    folder = store.save(tmp_path / "out", record(subject(scenario=name)))
    assert folder.parent.parent == tmp_path / "out"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_that_does_not_exist_yet_is_fine_and_is_not_made_by_the_check(tmp_path):
    """The check before a run leaves nothing behind."""
    store.prepare(tmp_path / "new" / "deep")
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_refused(tmp_path):
    """86: an output that is a file, or lies below one, is refused before the run."""
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="is a file"):
            store.prepare(out)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, monkeypatch):
    """86: the reason of the system is told; permission bits would not stop root, so the call is made to fail."""

    def refuse(**_more):
        raise OSError(30, os.strerror(30))

    monkeypatch.setattr(store.tempfile, "TemporaryFile", refuse)
    with pytest.raises(InputError, match=r"cannot be written to \(Read-only file system\)"):
        store.prepare(tmp_path)


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    """86: a disk without room is refused before the run."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(2**30, 2**30, 2**20))
    with pytest.raises(InputError, match="only 1 MiB are free"):
        store.prepare(tmp_path)


def test_a_torn_ledger_is_refused_in_one_line(tmp_path):
    """A missing, cut or foreign file is bad input, named, not a traceback."""
    with pytest.raises(InputError, match="no saved ledger"):
        read_ledger(tmp_path)
    write_ledger(tmp_path, ledger(), {})
    (tmp_path / "caches.parquet").write_bytes((tmp_path / "caches.parquet").read_bytes()[:40])
    with pytest.raises(InputError, match=r"caches.parquet: cannot be read"):
        read_ledger(tmp_path)
    (tmp_path / "requests.parquet").unlink()
    write_rows(tmp_path / "requests.parquet", {"a": "BIGINT"}, [])
    with pytest.raises(InputError, match="not a ledger of this version"):
        read_ledger(tmp_path)


def test_an_older_ledger_is_refused_in_one_line(tmp_path, monkeypatch):
    """A ledger without the columns of this version says so by its schema; it is not read as if they were zero."""
    monkeypatch.setattr(parquet, "SCHEMA", "gcsim.ledger/1")
    write_ledger(tmp_path, ledger(), {})
    monkeypatch.undo()
    with pytest.raises(InputError, match="not a ledger of this version") as caught:
        read_ledger(tmp_path)
    [problem] = caught.value.problems
    assert (problem.allowed, problem.got) == ("gcsim.ledger/2", "gcsim.ledger/1")
