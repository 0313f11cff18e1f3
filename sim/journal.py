r"""An append-only journal of finished cells: a line each with its length and its checksum, so that no damage spreads.

A line is ``<sha256, 16 hex digits> <bytes of the text> <key> <text>\n``; the checksum is that of everything after it.
The text is JSON on one line. What a crash, a full disk or a bad sector leaves is told apart by where it stands: bytes
after the last line's end are a torn record, which was never promised to anybody and is cut off; a line that does not
check is corrupt, and is set aside in ``cells.<digest>.bad``. Either way the cell is simply not there and runs again.
"""

import errno
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sim.errors import EngineError, InputError, Problem

__all__ = ["Damage", "Files", "Gone", "Journal", "Place"]

_SUM = 16


class Files:
    """The operations on files that a sweep relies on; a test lets one after the other fail."""

    def open(self, path: Path, flags: int) -> int:
        """Open a file; the handle is not inherited."""
        return os.open(path, flags, 0o666)

    def write(self, handle: int, data: bytes) -> int:
        """Write what the disk takes, and return how much that was."""
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        """Flush to the disk. Where this fails the pages may be gone: it is never tried again."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """Close; a disk may say only now that it is full."""
        os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """Rename at once, over what is there."""
        source.replace(target)

    def mkdir(self, folder: Path) -> None:
        """Make a folder that is not there, and those above it."""
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()

    def write_all(self, handle: int, data: bytes) -> None:
        """Write everything."""
        rest = memoryview(data)
        while rest:
            rest = rest[self.write(handle, bytes(rest)) :]

    def put(self, path: Path, *parts: bytes) -> None:
        """Make a file of bytes complete or not at all."""
        self.put_all(path, parts)

    def put_all(self, path: Path, parts: Iterable[bytes]) -> None:
        """Make a file complete or not at all: written beside it, flushed, renamed, and the folder flushed."""
        draft = path.with_name(f".{path.name}.writing")
        handle = self.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        try:
            for part in parts:
                self.write_all(handle, part)
            self.fsync(handle)
        finally:
            self.close(handle)
        self.settle(draft, path)

    def settle(self, draft: Path, path: Path) -> None:
        """Give a flushed draft its name for good."""
        self.replace(draft, path)
        self.flush(path.parent)

    def flush(self, path: Path) -> None:
        """Flush a file or the names in a folder to the disk."""
        handle = self.open(path, os.O_RDONLY)
        try:
            self.fsync(handle)
        finally:
            self.close(handle)


class Gone(OSError):
    """A journal is not where it was made: its folder was moved or removed meanwhile."""


class Place(NamedTuple):
    """Where a record's text stands in the journal."""

    start: int
    size: int


class Damage(NamedTuple):
    """What was wrong with a journal when it was opened."""

    torn: int  # bytes cut off its end
    corrupt: int  # lines set aside


class Journal:
    """The records of one file by their keys; one process appends to it.

    Raises :class:`InputError` where two good records of one key differ: the results of a cell are always the same.
    """

    def __init__(self, path: Path, files: Files) -> None:
        self._path, self._files = path, files
        self._places: dict[str, Place] = {}
        self._failed = False
        torn, bad = self._index()
        self.damage = Damage(torn, len(bad))
        if bad or torn:
            self._mend(bad)
        self._handle = files.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        self._size = os.fstat(self._handle).st_size
        try:
            files.flush(path.parent)
        except BaseException:
            os.close(self._handle)
            raise

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def text(self, key: str) -> str:
        """Return the text of a record."""
        place = self._places[key]
        return os.pread(self._handle, place.size, place.start).decode()

    def append(self, records: Mapping[str, str]) -> None:
        """Add records and flush them to the disk: when this returns, they are safe.

        Of a record that is there already the text must be the same; one that differs raises :class:`EngineError`. Once
        writing has failed nothing more is written: what the disk has of it is not known, and a flush is never tried
        twice. A folder that is not there any more raises :class:`Gone`.
        """
        if self._failed:
            raise OSError(errno.EIO, "an earlier write failed, and what came after it is not written", str(self._path))
        new = {key: text for key, text in records.items() if not self._holds(key, text)}
        self.assert_in_place()
        lines = [_line(key, text) for key, text in new.items()]
        try:
            self._files.write_all(self._handle, b"".join(lines))
            self._files.fsync(self._handle)
        except BaseException:
            self._failed = True
            raise
        for (key, text), line in zip(new.items(), lines, strict=True):
            size = len(text.encode())
            self._places[key] = Place(self._size + len(line) - 1 - size, size)
            self._size += len(line)

    def assert_in_place(self) -> None:
        """Raise :class:`Gone` where the path does not lead to this file any more."""
        try:
            there = self._path.stat()
        except OSError:
            there = None
        if there is None or not os.path.samestat(there, os.fstat(self._handle)):
            raise Gone(f"{self._path.parent} was moved or removed meanwhile")

    def close(self) -> None:
        """Let go of the file; everything is on the disk already."""
        self._files.close(self._handle)

    def _holds(self, key: str, text: str) -> bool:
        """Return whether a record is there; raise where it is another one."""
        if key not in self._places:
            return False
        if self.text(key) != text:
            raise EngineError(f"{self._path}: cell {key} has two results: they depend on more than its key")
        return True

    def _index(self) -> tuple[int, list[bytes]]:
        """Note the place of every good line; return the bytes of a torn end, and the other lines."""
        torn, bad = 0, []
        for start, line in _lines(self._path):
            found = _record(line)
            if not line.endswith(b"\n"):
                torn = len(line)
            elif found is None:
                bad.append(line)
            else:
                key, place = found
                place = place._replace(start=start + place.start)
                self._assert_same(key, self._places.setdefault(key, place), place)
        return torn, bad

    def _assert_same(self, key: str, one: Place, other: Place) -> None:
        """Refuse two records of a cell that differ."""
        if one == other:
            return
        with self._path.open("rb") as file:
            texts = {os.pread(file.fileno(), place.size, place.start) for place in (one, other)}
        if len(texts) > 1:
            what = "two records of one cell differ: its results depend on more than its key says"
            raise InputError([Problem(str(self._path), 0, key, what, "one result")])

    def _mend(self, bad: list[bytes]) -> None:
        """Set corrupt lines aside, then write the journal anew without them and without its torn end."""
        if bad:
            digest = hashlib.sha256(b"".join(bad)).hexdigest()[:8]
            self._files.put(self._path.with_name(f"{self._path.stem}.{digest}.bad"), *bad)
        good = (line for _, line in _lines(self._path) if line.endswith(b"\n") and _record(line) is not None)
        self._files.put_all(self._path, good)
        self._places = {}
        self._index()


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, the last one perhaps without its end, each with the place where it starts."""
    if not path.exists():
        return
    start = 0
    with path.open("rb") as file:
        for line in file:
            yield start, line
            start += len(line)


def _line(key: str, text: str) -> bytes:
    data = text.encode()
    rest = b" %d %s %s\n" % (len(data), key.encode(), data)
    return _checksum(rest) + rest


def _checksum(rest: bytes) -> bytes:
    return hashlib.sha256(rest).hexdigest()[:_SUM].encode()


def _record(line: bytes) -> tuple[str, Place] | None:
    """Return the key of a line and the place of its text in it; None if the line does not check."""
    if _checksum(line[_SUM:]) != line[:_SUM]:
        return None
    _, size, key, _ = line.split(b" ", 3)
    return key.decode(), Place(len(line) - 1 - int(size), int(size))
