"""Tables of one look that keep names whole whatever the width, and the figures of a document beside their bounds."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from rich.box import HORIZONTALS
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.table import Table

__all__ = ["FigureTable", "Json", "beside", "empty"]

Json: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class FigureTable:
    """A table whose first ``keys`` columns name its rows, fitted to the terminal when it is printed.

    Where there is no room the ``spare`` columns are left out, the first of them first, and a line below tells so. Then
    figures go on in the next line at their spaces. Names are never shortened; they fold where whole words of figures
    leave no room for them.
    """

    title: str
    columns: Sequence[str]
    keys: int
    spare: Sequence[str]
    caption: str | None
    _rows: list[tuple[tuple[str, ...], str | None]] = field(default_factory=list)
    _sections: set[int] = field(default_factory=set)  # rows that a rule follows

    def add_row(self, *cells: str, style: str | None = None) -> None:
        """Add a row, a cell for each column."""
        self._rows.append((cells, style))

    def add_section(self) -> None:
        """Draw a rule below the rows so far."""
        self._sections.add(len(self._rows) - 1)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Yield the table as it fits."""
        shown = list(range(len(self.columns)))
        left_out: list[str] = []
        for name in self.spare:
            if sum(map(self._natural, shown)) <= _room(options, shown):
                break
            left_out.append(name)
            shown.remove(list(self.columns).index(name))
        yield self._table(shown, self._widths(shown, _room(options, shown)), left_out)

    def _table(self, shown: Sequence[int], widths: Sequence[int | None], left_out: Sequence[str]) -> Table:
        told = f"No room for {', '.join(left_out)}: see --json." if left_out else None
        table = Table(
            title=self.title,
            title_justify="left",
            title_style="bold",
            caption=" ".join(text for text in (self.caption, told) if text) or None,
            caption_justify="left",
            box=HORIZONTALS,
            collapse_padding=True,
        )
        for place, (number, width) in enumerate(zip(shown, widths, strict=True)):
            justify: JustifyMethod = "left" if number < self.keys else "right"
            whole = width if width is None or place else width + 1  # Rich forgets the padding left of the first one
            table.add_column(self.columns[number], justify=justify, vertical="bottom", overflow="fold", width=whole)
        for row, (cells, style) in enumerate(self._rows):
            table.add_row(*(cells[number] for number in shown), style=style, end_section=row in self._sections)
        return table

    def _widths(self, shown: Sequence[int], room: int) -> Sequence[int | None]:
        """Return the widths of columns: what each would have, the widest cut down until they fit; else Rich's own."""
        for names_fold in (False, True):
            least = [self._least(number, names_fold) for number in shown]
            widths = [self._natural(number) for number in shown]
            while sum(widths) > room and widths != least:
                _, widest = max((width, at) for at, width in enumerate(widths) if width > least[at])
                widths[widest] -= 1
            if sum(widths) <= room:
                return widths
        return [None] * len(shown)

    def _cells(self, number: int) -> list[str]:
        return [cells[number] for cells, _ in self._rows]

    def _natural(self, number: int) -> int:
        return max(map(cell_len, (self.columns[number], *self._cells(number))))

    def _least(self, number: int, names_fold: bool) -> int:
        """Return the width that a column needs: for its names whole, or for the longest word of its figures."""
        heading = re.split(r"[ ._]", self.columns[number])
        words = [word for cell in self._cells(number) for word in cell.split()]
        if number >= self.keys:
            return max(map(cell_len, (*heading, *words)))
        return max(map(cell_len, heading if names_fold else (*heading, *self._cells(number))))


def _room(options: ConsoleOptions, shown: Sequence[int]) -> int:
    """Return the width that is left to columns between their paddings and the edges."""
    return options.max_width - 2 * len(shown) - 2


def empty(
    title: str, columns: Sequence[str], *, keys: int = 1, spare: Sequence[str] = (), caption: str | None = None
) -> FigureTable:
    """Return an empty table whose first ``keys`` columns name its rows; it can do without the ``spare`` ones."""
    return FigureTable(title, columns, keys, spare, caption)


def beside(text: Callable[..., str], pair: Json, *path: str) -> str:
    """Return an estimate of a result with its bounds, as a function of both shows it.

    >>> row = {"tiers": {"flex": 2}, "intervals": {"tiers": {"flex": [1, 3]}}}
    >>> beside(lambda value, lo, hi: f"{value} in [{lo}, {hi}]", row, "tiers", "flex")
    '2 in [1, 3]'
    """
    value: Any = pair
    bounds: Any = pair["intervals"]
    for name in path:
        value, bounds = value[name], bounds[name]
    return text(value, *bounds)
