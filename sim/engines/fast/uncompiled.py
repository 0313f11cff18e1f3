"""How kernels find their tables when numba does not compile them, for coverage and for a debugger.

With ``NUMBA_DISABLE_JIT=1`` kernels are plain Python functions. They are handed a :class:`PlainWorld` then: every
number in it is Python's, and every index is checked against both ends of its table, where a compiled kernel trusts it.
"""

from collections.abc import Callable, Mapping
from operator import index
from typing import Any

import numpy as np

__all__ = ["PlainWorld", "plain_table"]


class Table:
    """A view of a table, as long as the table is where it was."""

    __slots__ = ("_names", "_view", "_width", "array")

    def __init__(self, array: Any) -> None:
        names = array.dtype.names or ()
        self.array = array
        self._names = {name: column for column, name in enumerate(names)}
        self._width = len(names) or (array.shape[1] if array.ndim > 1 else 0)
        shape = (len(array), self._width) if self._width else (len(array),)
        self._view = memoryview(array.view(np.int64).reshape(shape))

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, place: Any) -> Any:
        """Return a number of a column or of a matrix, a row of a matrix, or a record."""
        if isinstance(place, tuple):
            return self._view[self._checked(place[0], len(self)), self._checked(place[1], self._width)]
        row = self._checked(place, len(self))
        if self._names:
            return Record(self._view, row, self._names)
        return tuple(self._view[row, column] for column in range(self._width)) if self._width else self._view[row]

    def __setitem__(self, place: Any, value: Any) -> None:
        """Set a number of a column or of a matrix."""
        if isinstance(place, tuple):
            self._view[self._checked(place[0], len(self)), self._checked(place[1], self._width)] = index(value)
        else:
            self._view[self._checked(place, len(self))] = index(value)

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
    """The record of a run's numbers, and its tables by name."""

    def __init__(self, numbers: Any, tables: Mapping[str, Any]) -> None:
        self._numbers, self._tables = Table(numbers), tables
        self._views: dict[str, Table] = {}

    def __getitem__(self, row: int) -> Any:
        return self._numbers[row]

    def table(self, name: str) -> Table:
        """Return a view of a table, of its new place if it has grown."""
        view = self._views.get(name)
        if view is None or view.array is not self._tables[name]:
            view = self._views[name] = Table(self._tables[name])
        return view


def plain_table(name: str) -> Callable[[PlainWorld], Table]:
    """Return what finds a table in a plain world."""

    def view(w: PlainWorld) -> Table:
        return w.table(name)

    return view
