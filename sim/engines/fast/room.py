"""Room that one run of a process hands on to the next: memory that was touched before costs no page faults.

The spare buffers are the only state of the engine that outlives a run, and none can change a result: a run takes a set
of them out, so it shares them with no other thread, and every table starts as if it had been made for the run. A run
that is interrupted gives nothing back.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

__all__ = ["Room"]

_MOST_BYTES = 2**30  # of buffers that are kept; most of them are addresses that nobody has touched

_spare: list[dict[str, Any]] = []


class Room:
    """The buffers of one run by table; a table lies at the begin of its buffer."""

    def __init__(self) -> None:
        try:
            self.buffers = _spare.pop()
        except IndexError:
            self.buffers = {}

    def rough(self, name: str, rows: int, kind: Any = np.int64) -> Any:
        """Return a table in which anything may stand."""
        kind = np.dtype(kind)
        size = max(rows, 1) * kind.itemsize
        if name not in self.buffers or len(self.buffers[name]) < size:
            self.buffers[name] = np.zeros(size, dtype=np.uint8)
        return self.buffers[name][: rows * kind.itemsize].view(kind)

    def zeros(self, name: str, rows: int, kind: Any = np.int64) -> Any:
        """Return a table of zeros."""
        table = self.rough(name, rows, kind)
        table.view(np.int64).fill(0)
        return table

    def sparse(self, name: str, rows: int, kind: Any) -> Any:
        """Return a table of zeros of which a run fills the first rows, and tells how many in :meth:`give_back`."""
        return self.rough(name, rows, kind)

    def give_back(self, written: Mapping[str, int]) -> None:
        """Leave the buffers to the next run, given the bytes that were written at the begin of each sparse table."""
        for name, size in written.items():
            self.buffers[name][:size] = 0
        if sum(map(len, self.buffers.values())) <= _MOST_BYTES:
            _spare.append(self.buffers)
        self.buffers = {}
