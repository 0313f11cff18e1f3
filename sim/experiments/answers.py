"""What a worker answered, held against what it was asked: nothing else is ever saved."""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, NoReturn

from sim.errors import EngineError
from sim.experiments.items import Done, Item, Study, cell_key
from sim.experiments.rows import COLUMNS

__all__ = ["Asked", "asked", "failed", "sorted_out"]

_log = logging.getLogger(__name__)  # its warnings reach stderr


class Asked(NamedTuple):
    """A cell that a worker is to compute."""

    key: str
    group: int
    member: int
    replication: int

    @property
    def item(self) -> Item:
        """Return the work of this cell alone."""
        return Item(self.group, (self.member,), self.replication)


def asked(study: Study, items: Iterable[Item]) -> list[Asked]:
    """Return the cells of items, in the order in which a worker computes them."""
    return [
        Asked(
            cell_key(study.groups[item.group].tasks[member].identity, item.replication),
            item.group,
            member,
            item.replication,
        )
        for item in items
        for member in item.members
    ]


def failed(cells: Iterable[Asked], reason: str) -> list[Done]:
    """Return cells as failed for a reason."""
    return [Done(*cell, None, reason) for cell in cells]


def sorted_out(wanted: list[Asked], found: Iterable[Any], worker: str) -> tuple[list[Done], list[Asked]]:
    """Return the cells that were wanted and are there, each once, and those that are not.

    What nobody asked for is dropped and told. A cell that comes twice is taken once; with two results it raises
    :class:`EngineError`, for then the results of cells depend on more than they should.
    """
    by_key = {cell.key: cell for cell in wanted}
    taken: dict[str, Done] = {}
    for done in found:
        if not isinstance(done, Done) or by_key.get(done.key) != done[:4]:
            key = done.key if isinstance(done, Done) else type(done).__name__
            _log.warning("dropped a cell that worker %s was not asked for: %s", worker, key)
        elif taken.setdefault(done.key, done) != done:
            raise EngineError(f"worker {worker} gave two results of one cell, {done.key}: results cannot be trusted")
    missing = [cell for cell in wanted if cell.key not in taken]
    return [_sound(done) for done in taken.values()], missing


def _sound(done: Done) -> Done:
    """Return a cell, or its failure where its text is no table of rows: what is stored is never what a worker likes."""
    if done.text is None or _is_table(done.text):
        return done
    return done._replace(text=None, error="its worker returned something else than its rows")


def _is_table(text: object) -> bool:
    if not isinstance(text, str) or "\n" in text:
        return False
    try:
        table = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return False
    return isinstance(table, list) and bool(table) and all(_is_row(row) for row in table)


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)


_KINDS: Mapping[str, tuple[type, ...]] = {"VARCHAR": (str,), "BIGINT": (int,), "DOUBLE": (float, int)}
_COLUMNS = [(*_KINDS[kind], type(None)) for kind in COLUMNS.values()]


def _is_row(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == len(_COLUMNS)
        and all(type(value) in kinds for value, kinds in zip(row, _COLUMNS, strict=True))
    )
