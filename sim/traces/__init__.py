"""Importers of recorded traces, a file a format."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from sim.errors import InputError, Problem, nearest
from sim.traces import azure, kvct, log_fields, mooncake, usage_log
from sim.traces.lines import Mistakes, first_line, json_rows, names_of
from sim.traces.recorded import Recorded

__all__ = ["FORMATS", "Reader", "Recorded", "load_trace"]

_USAGE = ("prompt", "cached", "candidates", "thoughts", "tool_use", "total")  # fields that make a file a log of calls


class Reader(Protocol):
    """An importer: it reads a whole file, or raises every mistake in it."""

    def __call__(self, path: str | Path, *, sort: bool = False) -> Recorded:
        """Return the record of a file; ``sort`` orders rows that are out of order."""
        ...


FORMATS: Final[Mapping[str, Reader]] = {
    "mooncake": mooncake.read,
    "azure": azure.read,
    "kvct": kvct.read,
    "log": usage_log.read,
}


def load_trace(path: str | Path, format: str = "auto", *, sort: bool = False) -> Recorded:  # noqa: A002 - the option's name
    """Return a recorded trace; ``auto`` knows the format by what the first line holds.

    Raises
    ------
    InputError
        With every mistake of the file and its line, or when the format cannot be told.
    """
    if format == "auto":
        format = _detected(path)  # noqa: A001 - as above
    elif format not in FORMATS:
        raise InputError(
            [Problem("--format", 0, "", "unknown trace format", nearest(format, ["auto", *FORMATS]), format)]
        )
    return FORMATS[format](path, sort=sort)


def _detected(path: str | Path) -> str:
    names = _names(path)
    if names is None:
        return "log"  # an empty file is a log of no call
    for name, keys in (("mooncake", mooncake.KEYS), ("kvct", kvct.KEYS), ("azure", azure.COLUMNS)):
        if set(keys) <= names:
            return name
    if any(log_fields.FIELD_OF.get(name) in _USAGE for name in names):
        return "log"
    what = f"the format cannot be told from the first line, which has {', '.join(sorted(names))}"
    raise InputError(
        [Problem(str(path), 0, "", what, f"a file of {names_of(list(FORMATS))}, or --format to say which")]
    )


def _names(path: str | Path) -> set[str] | None:
    """Return the keys of the first JSON object (a log's nested ones too) or the columns; None for an empty file."""
    mistakes = Mistakes(path)
    text = first_line(mistakes).strip()
    mistakes.settle()
    if not text.startswith(("{", "[")):
        return {name.strip().strip('"') for name in text.split(",")} if text else None
    first = next(json_rows(mistakes), None)
    if first is None:
        mistakes.settle()
        return set()
    return {name for name, _ in log_fields.leaves(first[1])}
