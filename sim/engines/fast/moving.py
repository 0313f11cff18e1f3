"""Tables whose rows come and go in order: only those from ``base`` on are there, yet each keeps its number."""

from typing import Any

import numpy as np

__all__ = ["Moving"]


LEAST = 64  # rows that there is room for at first


class Moving:
    """Rows ``[base, end)`` of a table whose earlier rows are over; ``width`` items make a row."""

    def __init__(self, kind: np.dtype[Any], width: int = 1) -> None:
        self.base = self.end = 0
        self.width = width
        self._kind = kind
        self._items = np.zeros(LEAST * width, dtype=kind)

    @property
    def rows(self) -> Any:
        """Return the items of the rows in use; a view, which the next change of the table may outdate."""
        return self._items[: (self.end - self.base) * self.width]

    @property
    def address(self) -> int:
        """Return where row 0 would be: what leads a kernel to row ``base`` by its number."""
        return int(self._items.ctypes.data) - self.base * self.width * self._kind.itemsize

    @property
    def limit(self) -> int:
        """Return the number of the first item that there is no room for."""
        return self.base * self.width + len(self._items)

    def append(self, items: Any) -> None:
        """Add rows at the end."""
        count = len(items) // self.width
        self.reserve(count)
        self.end += count
        self.rows[len(self.rows) - len(items) :] = items

    def reserve(self, count: int) -> None:
        """Make room for so many rows after the last one."""
        needed = (self.end - self.base + count) * self.width
        if needed > len(self._items):
            larger = np.zeros(max(needed, 2 * len(self._items)), dtype=self._kind)
            larger[: len(self.rows)] = self.rows
            self._items = larger

    def drop(self, before: int) -> None:
        """Forget the rows before one."""
        kept = self.rows[(before - self.base) * self.width :].copy()
        self.base = before
        self.rows[:] = kept
