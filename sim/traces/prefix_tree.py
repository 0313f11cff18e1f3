"""The tree of the prefixes that recorded prompts share, compressed: a node only where paths part or a prompt ends.

All blocks of an edge are in the same prompts, so they are always touched together: whatever holds of a node holds of
each of its blocks, and a replay on the compressed tree is exact.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from sim.trace import Ints

__all__ = ["PrefixTree", "Run", "TreeBuilder", "branching", "no_tree", "runs_of"]

Run: TypeAlias = tuple[int, int]  # consecutive block ids [first, stop)


class PrefixTree(NamedTuple):
    """The k nodes, parents before children."""

    parent: Ints  # (k,) -1 = hangs from the root
    depth: Ints  # (k,) tokens from the root to the end of this node
    context: Ints  # (k,) 1 where an explicit cache may be cut, else 0


def no_tree() -> PrefixTree:
    """Return the tree of a file that tells of no shared prefix."""
    none = np.empty(0, dtype=np.int64)
    return PrefixTree(none, none, none)


def branching(parent: Ints, endings: Ints) -> Ints:
    """Return 1 for the (k,) nodes at which prompts part in at least two ways, or at which two end, else 0.

    A prompt that one other extends is no such node: else a chat would be cached anew, whole, at its every turn.
    """
    children = np.bincount(parent[parent >= 0], minlength=len(parent))
    return ((children >= 2) | (endings >= 2)).astype(np.int64)


def runs_of(ids: Iterable[int]) -> list[Run]:
    """Return block ids as runs of consecutive ones.

    >>> runs_of([1, 2, 3, 9, 4])
    [(1, 4), (9, 10), (4, 5)]
    """
    runs: list[Run] = []
    for block in ids:
        if runs and runs[-1][1] == block:
            runs[-1] = (runs[-1][0], block + 1)
        else:
            runs.append((block, block + 1))
    return runs


class TreeBuilder:
    """A radix tree under construction; prompts of different ``scope`` share nothing."""

    def __init__(self) -> None:
        self._parent: list[int] = []  # the roots are -1 - scope
        self._edge: list[list[Run]] = []  # from the parent to the node
        self._blocks: list[int] = []  # from the root to the end of the node
        self._endings: list[int] = []  # prompts that end at the node
        self._child: dict[tuple[int, int], int] = {}  # (node, first block of the edge) -> node

    def insert(self, runs: Sequence[Run], scope: int = 0) -> int:
        """Add a prompt's whole blocks and return the node where they end, -1 for no block."""
        node, rest = -1 - scope, list(runs)
        while rest:
            child = self._child.get((node, rest[0][0]))
            if child is None:
                node, rest = self._grow(node, rest), []
                continue
            shared, edge_rest, rest = _parted(self._edge[child], rest)
            node = self._split(child, shared, edge_rest) if edge_rest else child
        if node < 0:
            return -1
        self._endings[node] += 1
        return node

    def _grow(self, parent: int, edge: list[Run]) -> int:
        node = len(self._parent)
        above = self._blocks[parent] if parent >= 0 else 0
        self._parent.append(parent)
        self._edge.append(edge)
        self._blocks.append(above + sum(stop - first for first, stop in edge))
        self._endings.append(0)
        self._child[parent, edge[0][0]] = node
        return node

    def _split(self, child: int, shared: list[Run], rest: list[Run]) -> int:
        """Cut the edge above a node in two and return the new node between them."""
        middle = self._grow(self._parent[child], shared)
        self._parent[child], self._edge[child] = middle, rest
        self._child[middle, rest[0][0]] = child
        return middle

    def finish(self, block_tokens: int, leaf: list[int]) -> tuple[PrefixTree, list[int]]:
        """Return the tree, and the nodes that :meth:`insert` returned by their final numbers."""
        blocks = np.array(self._blocks, dtype=np.int64)
        order = np.argsort(blocks, kind="stable")  # a child is deeper than its parent, so parents come first
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        old_parent = np.array(self._parent, dtype=np.int64)[order]
        parent = np.full(len(order), -1, np.int64)
        parent[old_parent >= 0] = rank[old_parent[old_parent >= 0]]
        context = branching(parent, np.array(self._endings, dtype=np.int64)[order])
        ranks = rank.tolist()
        tree = PrefixTree(parent, blocks[order] * block_tokens, context)
        return tree, [ranks[node] if node >= 0 else -1 for node in leaf]


def _parted(edge: list[Run], prompt: list[Run]) -> tuple[list[Run], list[Run], list[Run]]:
    """Return the common beginning of two block sequences that begin alike, and what is left of each.

    >>> _parted([(1, 6), (8, 9)], [(1, 4), (7, 8)])
    ([(1, 4)], [(4, 6), (8, 9)], [(7, 8)])
    """
    shared: list[Run] = []
    i = j = 0
    a, a_stop = edge[0]
    b, b_stop = prompt[0]
    while a == b:
        step = min(a_stop - a, b_stop - b)
        shared.append((a, a + step))
        a, b = a + step, b + step
        if a == a_stop:
            i += 1
            a, a_stop = edge[i] if i < len(edge) else (-1, -1)
        if b == b_stop:
            j += 1
            b, b_stop = prompt[j] if j < len(prompt) else (-2, -2)
    return shared, _rest(edge, i, a), _rest(prompt, j, b)


def _rest(runs: list[Run], index: int, first: int) -> list[Run]:
    return [(first, runs[index][1]), *runs[index + 1 :]] if index < len(runs) else []
