"""Tables in Parquet by DuckDB: one thread, so that bytes never depend on scheduling, and never the network."""

import json
from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from pydantic import ValidationError

from sim.errors import InputError, Problem
from sim.ledger import Ledger
from sim.providers import Terms

__all__ = ["read_about", "read_ledger", "read_terms", "write_ledger", "write_rows"]

SCHEMA = "gcsim.ledger/2"
_TERMS = ("terms", "book_terms")
_CHUNK = 10_000  # rows in memory at once

_REQUESTS = Ledger._fields[: Ledger._fields.index("duplicate_request")]
TABLES: dict[str, tuple[str, ...]] = {  # file -> the ledger's columns in it
    "requests": _REQUESTS,
    "duplicates": tuple(name for name in Ledger._fields if name.startswith("duplicate_")),
    "caches": tuple(name for name in Ledger._fields if name.startswith("cache_")),
    "jobs": tuple(name for name in Ledger._fields if name.startswith("job_")),
    "limits": tuple(name for name in Ledger._fields if name.startswith("limit_")),
}


def _connect() -> duckdb.DuckDBPyConnection:
    offline = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    # a type is taken from all values of a chunk: from a sample a count of many digits was taken for one of few
    whole = {"pandas_analyze_sample": _CHUNK}
    return duckdb.connect(":memory:", config={"threads": 1, **offline, **whole})


def write_rows(path: Path, columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of the given column types (DuckDB's names); a value of None is null."""
    with _connect() as base:
        base.execute(f"CREATE TABLE rows ({', '.join(f'{_name(name)} {kind}' for name, kind in columns.items())})")
        every = iter(rows)
        while chunk := list(islice(every, _CHUNK)):
            typed = [f"CAST({_name(name)} AS {kind})" for name, kind in columns.items()]
            table = {name: np.array([row[name] for row in chunk], dtype=object) for name in columns}
            base.register("chunk", table)
            base.execute(f"INSERT INTO rows SELECT {', '.join(typed)} FROM chunk")
            base.unregister("chunk")
        base.execute(f"COPY rows TO {_text(path)} (FORMAT parquet)")


def write_ledger(folder: Path, ledger: Ledger, about: Mapping[str, str]) -> None:
    """Write a ledger into a folder, a file for each of its five tables; ``about`` goes into their metadata.

    A run says whose the ledger is (``strategy``, ``model``, ``replication``) and by what it was rated: its ``terms``,
    and those of its book as ``book_terms``, both as JSON.
    """
    facts = {"schema": SCHEMA, "models": json.dumps(ledger.models), "start_ms": str(ledger.start_ms), **about}
    metadata = ", ".join(f"{_name(key)}: {_text(value)}" for key, value in facts.items())
    with _connect() as base:
        for table, names in TABLES.items():
            base.register("columns", {name: getattr(ledger, name) for name in names})
            target = _text(folder / f"{table}.parquet")
            base.execute(f"COPY (SELECT * FROM columns) TO {target} (FORMAT parquet, KV_METADATA {{{metadata}}})")
            base.unregister("columns")


def read_ledger(folder: Path) -> Ledger:
    """Return the ledger of a folder that :func:`write_ledger` filled.

    Raises :class:`InputError` where a file is missing, torn, or of another schema.
    """
    about = read_about(folder)
    columns: dict[str, Any] = {}
    with _connect() as base:
        for table, names in TABLES.items():
            path = folder / f"{table}.parquet"
            chosen = ", ".join(_name(name) for name in names)
            try:
                found = base.execute(f"SELECT {chosen} FROM read_parquet({_text(path)})").fetchnumpy()
            except duckdb.Error as error:
                raise _broken(path, error) from None
            columns |= {name: np.ascontiguousarray(found[name], dtype=np.int64) for name in names}
    return Ledger(**columns, models=tuple(json.loads(about["models"])), start_ms=int(about["start_ms"]))


def read_about(folder: Path) -> dict[str, str]:
    """Return what a saved ledger says of itself: schema, models, start, whose it is, and its terms."""
    path = folder / "requests.parquet"
    if not path.is_file():
        raise InputError([Problem(str(folder), 0, "", "no saved ledger", "a folder that holds requests.parquet")])
    with _connect() as base:
        try:
            found = base.execute(f"SELECT key, value FROM parquet_kv_metadata({_text(path)})").fetchall()
        except duckdb.Error as error:
            raise _broken(path, error) from None
    about = {key.decode(): value.decode() for key, value in found}
    if about.get("schema") != SCHEMA:
        raise InputError([Problem(str(path), 0, "schema", "not a ledger of this version", SCHEMA, about.get("schema"))])
    return about


def read_terms(folder: Path) -> tuple[Terms, Terms] | None:
    """Return the terms that the run of a saved ledger was rated by, and its book's own; None where it says neither.

    Raises :class:`InputError` where they are not terms.
    """
    about = read_about(folder)
    if not set(_TERMS) <= set(about):
        return None
    try:
        terms, usual = (Terms.model_validate_json(about[name]) for name in _TERMS)
    except ValidationError:
        path = str(folder / "requests.parquet")
        raise InputError(
            [Problem(path, 0, "terms", "not terms of this version", "a file that gcsim run wrote")]
        ) from None
    return terms, usual


def _broken(path: Path, error: duckdb.Error) -> InputError:
    reason = str(error).splitlines()[0]
    return InputError([Problem(str(path), 0, "", f"cannot be read ({reason})", "a file that gcsim run wrote")])


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"
