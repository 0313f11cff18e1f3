"""Where the cells of a run are kept as text while it goes on, and under which keys."""

from collections.abc import Container, Iterator
from itertools import product
from typing import Protocol

from sim.experiments.preserved import text_of, text_of_seen
from sim.experiments.result import Result

__all__ = ["Shelf", "is_cell", "key_of", "key_of_seen", "records"]


class Shelf(Container[str], Protocol):
    """Where cells are kept; see :func:`records` for the keys."""

    def text(self, key: str) -> str:
        """Return what is kept under a key."""

    def keep(self, key: str, text: str) -> None:
        """Keep a text."""


def key_of(replication: int, number: int) -> str:
    """Return the key of a cell, ``number`` being that of its pair."""
    return f"{replication}/{number}"


def is_cell(key: str) -> bool:
    """Return whether a key is that of a cell, and not of what a realisation holds."""
    return not key.endswith("/seen")


def key_of_seen(replication: int) -> str:
    """Return the key of what the realisation of a replication holds."""
    return f"{replication}/seen"


def records(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the cells of a run as a shelf holds them, and what its realisations hold.

    Keys are ``<replication>/<number of the pair>``, by model and then by strategy, and ``<replication>/seen``.
    """
    for replication, found in enumerate(result.seen):
        yield key_of_seen(replication), text_of_seen(found)
    pairs = list(product(result.models, result.strategies))
    for cell in result.cells:
        yield key_of(cell.replication, pairs.index((cell.model, cell.strategy))), text_of(cell)
