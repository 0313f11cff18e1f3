"""Reading the rows of a trace file, plain or gzip: every mistake is noted with its line, none stops the next one."""

import csv
import gzip
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final

from sim.errors import InputError, Problem

__all__ = ["Mistakes", "csv_rows", "first_line", "json_rows", "names_of"]

_GZIP = b"\x1f\x8b"
_SHOWN = 20  # mistakes shown of one file


class Mistakes:
    """What is wrong in one file, collected so that a user sees all of it at once."""

    def __init__(self, path: str | Path) -> None:
        self.file = str(path)
        self.problems: list[Problem] = []
        self.total = 0

    def add(self, line: int, path: str, what: str, allowed: str = "", got: object = None) -> None:
        """Note a mistake; the first 20 are kept, the others counted."""
        self.total += 1
        if self.total <= _SHOWN + 1:
            self.problems.append(Problem(self.file, line, path, what, allowed, got))

    def settle(self) -> None:
        """Raise the mistakes noted so far, if any."""
        if self.total > _SHOWN:
            line = max(problem.line for problem in self.problems)
            # "…" sorts last in its line
            more = Problem(self.file, line, "…", f"and {self.total - _SHOWN} mistakes more")
            raise InputError([*self.problems[:_SHOWN], more])
        if self.total:
            raise InputError(self.problems)


def _raw_lines(mistakes: Mistakes) -> Iterator[tuple[int, bytes]]:
    number, path = 0, Path(mistakes.file)
    try:
        if path.exists() and not path.is_file():
            # the first line is looked at before the file is read, which would eat it from a pipe
            mistakes.add(0, "", "not a regular file", "a file, plain or .gz")
            return
        with path.open("rb") as probe:
            packed = probe.read(2) == _GZIP
        with gzip.open(path) if packed else path.open("rb") as stream:
            for number, raw in enumerate(stream, 1):
                yield number, raw
    except EOFError:
        mistakes.add(number, "", "the gzip stream is cut off after this line", "a whole file")
    except (zlib.error, gzip.BadGzipFile) as error:
        # the lines before may be garbage already, and what is wrong in them says nothing
        damaged = Problem(mistakes.file, 0, "", f"the gzip stream is damaged: {error}", "a whole file")
        raise InputError([damaged]) from None
    except OSError as error:
        mistakes.add(0, "", f"cannot be read: {error.strerror}", "a readable file, plain or .gz")


def _lines(mistakes: Mistakes) -> Iterator[tuple[int, str]]:
    """Yield (1-based number, text with its line end); a byte order mark is dropped."""
    for number, raw in _raw_lines(mistakes):
        if b"\0" in raw:
            mistakes.add(number, "", f"a NUL byte at column {raw.index(0) + 1}", "text")
            continue
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            mistakes.add(number, "", f"not UTF-8 at byte {error.start + 1} of the line", "UTF-8 text")


def first_line(mistakes: Mistakes) -> str:
    """Return the first line that is not blank, or ``""``."""
    return next((text for _, text in _lines(mistakes) if text.strip()), "")


def json_rows(mistakes: Mistakes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line, object) of a file with a JSON object a line; numbers with a point are exact ``Decimal``."""
    for line, text in _lines(mistakes):
        if not text.strip():
            continue
        row = _parsed(text, line, mistakes)
        if isinstance(row, dict):
            yield line, row
        elif row is not _BROKEN:
            mistakes.add(line, "", "not a JSON object", "one JSON object a line", type(row).__name__)


_BROKEN: Final = object()


def _parsed(text: str, line: int, mistakes: Mistakes) -> object:
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=Decimal, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        cut = "" if text.endswith("\n") else "the last line is cut off, or "
        what = f"{cut}not JSON: {error.msg} at column {error.colno}"
    except RecursionError:
        what = "not JSON: nested too deeply"
    except (ValueError, InvalidOperation) as error:
        what = f"not JSON: {str(error) or 'a number out of range'}"
    mistakes.add(line, "", what, "one JSON object a line")
    return _BROKEN


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"key {next(n for n in names if names.count(n) > 1)!r} stands twice in one object")
    return row


class _Texts:
    """The lines of a file as ``csv.reader`` takes them, and where it stands in them."""

    def __init__(self, mistakes: Mistakes) -> None:
        self.mistakes = mistakes
        self.read = 0  # lines
        self.cut = False  # the last one has no line end

    def __iter__(self) -> Iterator[str]:
        for number, text in _lines(self.mistakes):
            self.read = number
            self.cut = not text.endswith("\n")
            yield text


def csv_rows(mistakes: Mistakes, needs: Mapping[str, Collection[str]]) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line, cells by column name) of a CSV file with a header; a line is where its row starts.

    ``needs`` says what the header must have: a text for the user, and the names of which one must be there.
    """
    texts = _Texts(mistakes)
    header: list[str] = []
    for line, cells in _csv_cells(texts):
        if not header:
            header = [cell.strip() for cell in cells]
            if not _header_holds(header, line, needs, mistakes):
                return
        elif len(cells) != len(header):
            cut = "; the last line is cut off" if texts.cut and len(cells) < len(header) else ""
            mistakes.add(line, "", f"the row has {len(cells)} cells and the header {len(header)}{cut}")
        else:
            yield line, dict(zip(header, cells, strict=True))


def _csv_cells(texts: _Texts) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of the rows that are not blank, up to the first that is no CSV."""
    reader = csv.reader(texts, strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = texts.read + 1
    except csv.Error as error:
        end = str(error) == "unexpected end of data"
        texts.mistakes.add(
            line, "", "a quote is never closed" if end else f"not CSV: {error}", "comma-separated values"
        )


def _header_holds(header: list[str], line: int, needs: Mapping[str, Collection[str]], mistakes: Mistakes) -> bool:
    before = mistakes.total
    for said, names in needs.items():
        if not set(names) & set(header):
            mistakes.add(line, "", f"no column {said}", f"the header has {', '.join(header)}")
    for name in sorted({name for name in header if header.count(name) > 1}):
        mistakes.add(line, name, "the column stands twice", "a name once")
    return mistakes.total == before


def names_of(names: Sequence[str]) -> str:
    """Return names as a choice.

    >>> names_of(["time", "time_s", "time_ms"])
    'time, time_s or time_ms'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
