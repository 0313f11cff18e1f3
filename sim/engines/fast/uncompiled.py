"""How kernels find their tables when numba does not compile them, for coverage and for a debugger.

With ``NUMBA_DISABLE_JIT=1`` kernels are plain Python functions. They are handed a :class:`PlainWorld` then: every
number in it is Python's, and every index is checked against both ends of its table, where a compiled kernel trusts it.
"""

import ctypes
from collections.abc import Callable, Mapping
from functools import wraps
from operator import index
from typing import Any

import numpy as np

__all__ = ["PlainWorld", "entered", "plain_table"]


class Table:
    """A view of a table, as long as the table is where it was."""

    __slots__ = ("_names", "_rows", "_view", "_width", "place")

    def __init__(self, at: int, rows: int, kind: np.dtype[Any], width: int = 0) -> None:
        self.place = at, rows
        self._names = {name: column for column, name in enumerate(kind.names or ())}
        self._rows, self._width = rows, len(self._names) or width
        shape = (rows, self._width) if self._width else (rows,)
        items: Any = ctypes.c_int64 * (rows * max(1, self._width))
        borrowed = np.ctypeslib.as_array(items.from_address(at))  # the run keeps its tables alive
        numbers: Any = borrowed.view(np.dtype(np.int64))  # in the order of bytes that a memoryview knows
        self._view: Any = memoryview(numbers.reshape(shape))

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, place: Any) -> Any:
        """Return a number of a column or of a matrix, a row of a matrix, or a record."""
        if isinstance(place, tuple):
            return self._view[self._checked(place[0], self._rows), self._checked(place[1], self._width)]
        row = self._checked(place, self._rows)
        if self._names:
            return Record(self._view, row, self._names)
        return tuple(self._view[row, column] for column in range(self._width)) if self._width else self._view[row]

    def __setitem__(self, place: Any, value: Any) -> None:
        """Set a number of a column or of a matrix."""
        if isinstance(place, tuple):
            self._view[self._checked(place[0], self._rows), self._checked(place[1], self._width)] = index(value)
        else:
            self._view[self._checked(place, self._rows)] = index(value)

    @staticmethod
    def _checked(place: Any, size: int) -> int:
        at = index(place)
        if not 0 <= at < size:
            raise IndexError(f"{at} of {size}")
        return at


class Record:
    """A record of a table; its fields are attributes."""

    __slots__ = ("_names", "_row", "_view")
    _names: Mapping[str, int]
    _row: int
    _view: Any

    def __init__(self, view: Any, row: int, names: Mapping[str, int]) -> None:
        for name, value in (("_view", view), ("_row", row), ("_names", names)):
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> int:
        return self._view[self._row, self._names[name]]

    def __setattr__(self, name: str, value: Any) -> None:
        self._view[self._row, self._names[name]] = index(value)


class PlainWorld:
    """The record of a run, and the tables that it leads to."""

    def __init__(self, record: Any) -> None:
        self._record = Table(record.ctypes.data, 1, record.dtype)
        self._views: dict[str, Table] = {}

    def __getitem__(self, row: int) -> Any:
        return self._record[row]

    def table(self, name: str, kind: np.dtype[Any], width: int) -> Table:
        """Return a view of a table, of its new place if it has moved."""
        leads, view = self._record[0], self._views.get(name)
        place = getattr(leads, f"{name}_at"), getattr(leads, f"{name}_rows")
        if view is None or view.place != place:
            view = self._views[name] = Table(*place, kind, width)
        return view


def plain_table(name: str, kind: np.dtype[Any], width: int) -> Callable[[PlainWorld], Table]:
    """Return what finds a table in a plain world."""

    def view(w: PlainWorld) -> Table:
        return w.table(name, kind, width)

    return view


def entered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a loop that is handed a plain world where its caller gives the record of a run."""

    @wraps(function)
    def plainly(*arguments: Any) -> Any:
        return function(*(PlainWorld(one) if isinstance(one, np.recarray) else one for one in arguments))

    return plainly
