"""The prefixes of a workload in pieces: documents for the whole run, those of a session until it has ended.

The room of a session's prefixes is given to those of a later one, so kernels see a node's place instead of its number:
of the documents ``[0, D)`` the number itself, of a session's node ``D + (number - D) mod R``.
"""

from typing import Any

import numpy as np

from sim.engines.fast.compile import loop
from sim.engines.fast.tables import RECORDS
from sim.strategies.decision import NEVER
from sim.trace import Ints, Piece

__all__ = ["Ring"]


LEAST = 1024  # nodes of sessions that there is room for at once, if there are sessions


class Ring:
    """The tables of nodes, and of what each of the service's cells knows of them."""

    def __init__(self, piece: Piece, cells: int, above: Ints, at_or_above: Ints) -> None:
        self._documents, self._cells = piece.documents, cells
        self._at_or_above = at_or_above  # (D,)
        self.base = self.end = piece.documents  # session nodes [base, end) are there
        self._room = 0
        self.nodes = np.zeros(max(1, piece.documents), dtype=RECORDS["nodes"])
        self._below = np.arange(len(self.nodes))  # the deepest document at or above each place
        self.until, self.seen = (np.zeros((cells, len(self.nodes)), dtype=np.int64) for _ in range(2))
        if piece.documents:
            self._write(np.arange(piece.documents), _documents(piece), above)

    def places(self, nodes: Ints) -> Ints:
        """Return where (n,) nodes are, -1 = none."""
        if not self._room:
            return nodes
        return np.where(nodes < self._documents, nodes, self._documents + (nodes - self._documents) % self._room)

    def load(self, piece: Piece) -> None:
        """Add the nodes of a piece's sessions; those that are there already may move."""
        skipped = max(0, self._documents - piece.first_node)  # the first piece has the documents too
        parent, first = piece.trace.parent[skipped:], piece.first_node + skipped
        if not len(parent):
            return
        self._reserve(first + len(parent) - self.base)
        self.end = first + len(parent)
        documents, places = np.arange(self._documents), self.places(np.maximum(parent, 0))
        above = _inherited(parent, first, self._at_or_above, self.nodes["above"][places])
        below = _inherited(parent, first, documents, self._below[places])
        columns = {name: getattr(piece.trace, name)[skipped:] for name in ("depth", "audio_depth", "replaced")}
        columns["parent"] = self.places(parent)
        places = self.places(np.arange(first, self.end))
        self._write(places, columns, above)
        self._below[places] = below

    def cacheable(self, leaf: Ints) -> Ints:
        """Return the (n,) deepest contexts that may be cached of prompts that start with these nodes, -1 = none."""
        document = self.documents_of(leaf)
        if not self._documents:
            return document
        return np.where(document >= 0, self._at_or_above[np.maximum(document, 0)], NEVER)

    def documents_of(self, leaf: Ints) -> Ints:
        """Return the (n,) deepest documents of prompts that start with these nodes, -1 = none."""
        return np.where(leaf >= 0, self._below[self.places(np.maximum(leaf, 0))], NEVER)

    def forget(self, before: int) -> None:
        """Give back the room of the sessions' nodes before one."""
        self.base = max(self.base, min(before, self.end))

    def numbers(self, places: Ints) -> Ints:
        """Return the nodes that are at places, -1 = none."""
        if not self._room:
            return places
        turn = (places - self.base) % self._room
        return np.where(places < self._documents, places, self.base + turn)

    def _write(self, places: Ints, columns: dict[str, Ints], above: Ints) -> None:
        rows = np.zeros(len(places), dtype=RECORDS["nodes"])
        rows["parent"], rows["depth"], rows["audio"] = columns["parent"], columns["depth"], columns["audio_depth"]
        rows["replaced"], rows["above"], rows["cache"] = columns["replaced"], above, NEVER
        self.nodes[places] = rows
        self.until[:, places] = self.seen[:, places] = 0

    def _reserve(self, count: int) -> None:
        """Make room for so many nodes of sessions."""
        if count <= self._room:
            return
        alive = np.arange(self.base, self.end)
        old, parents = self.places(alive), self.numbers(self.nodes["parent"][self.places(alive)])
        self._room = max(count, 2 * self._room, LEAST)
        new, size = self.places(alive), self._documents + self._room
        nodes, kept = np.zeros(size, dtype=RECORDS["nodes"]), slice(0, self._documents)
        nodes[kept], nodes[new] = self.nodes[kept], self.nodes[old]
        nodes["parent"][new] = self.places(parents)
        below = np.full(size, NEVER)
        below[kept], below[new] = self._below[kept], self._below[old]
        self.nodes, self._below = nodes, below
        self.until, self.seen = (self._moved(table, old, new, size) for table in (self.until, self.seen))

    def _moved(self, table: Any, old: Ints, new: Ints, size: int) -> Any:
        larger = np.zeros((self._cells, size), dtype=np.int64)
        larger[:, : self._documents], larger[:, new] = table[:, : self._documents], table[:, old]
        return larger


def _documents(piece: Piece) -> dict[str, Ints]:
    names = ("parent", "depth", "audio_depth", "replaced")
    return {name: getattr(piece.trace, name)[: piece.documents] for name in names}


def _inherited(parent: Ints, first: int, of_documents: Ints, of_earlier: Ints) -> Ints:
    """Return what each of the nodes of sessions from ``first`` on has from the document that it comes below.

    ``of_earlier`` (n,) is what its parent has, where that came before ``first``.
    """
    found = np.empty(len(parent), dtype=np.int64)
    _inherit(parent, first, of_documents, of_earlier, found)
    return found


@loop
def _inherit(parent: Ints, first: int, of_documents: Ints, of_earlier: Ints, found: Ints) -> None:
    """Fill in what nodes have from their documents, -1 = there is none; parents come first."""
    for node in range(len(parent)):
        if parent[node] < 0:
            found[node] = -1
        elif parent[node] < len(of_documents):
            found[node] = of_documents[parent[node]]
        elif parent[node] < first:
            found[node] = of_earlier[node]
        else:
            found[node] = found[parent[node] - first]
