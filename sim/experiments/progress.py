"""How far a run has come, as its caller is told."""

from collections.abc import Callable

from sim.experiments.replication import Step

__all__ = ["Bar", "Progress"]

Progress = Callable[[float, int], None]  # (cells done, cells in all so far); of a large replication also in between


class Bar:
    """Shows how far a run has come, and never goes back: in a large replication all of its cells advance together."""

    def __init__(self, progress: Progress | None, done: int, cells: int) -> None:
        self._progress, self._cells, self._shown = progress, cells, float(done)

    def show(self, done: float) -> None:
        """Show the cells that are done."""
        self._shown = max(self._shown, done)
        if self._progress is not None:
            self._progress(self._shown, self._cells)

    def of(self, before: int, count: int) -> Step:
        """Return what shows that a share of the next ``count`` cells is done."""
        return lambda share: self.show(before + share * count)
