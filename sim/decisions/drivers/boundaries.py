"""Lines between regions of a lattice in which different strategies are the best, by interpolation of what they cost.

Nodes are pairs of whole numbers; a cell is a square between four of them. A line crosses an edge where the difference
of the two strategies' mean costs is 0, taken as linear between the edge's ends; in its middle where one of the two will
do at one end only, so that no cost tells where.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, TypeAlias

from scipy.special import stdtrit

from sim.stats import LEVEL

__all__ = ["Cell", "Corner", "Line", "Node", "Vertex", "boundaries", "corners_of"]

Node: TypeAlias = tuple[int, int]
Edge: TypeAlias = tuple[Node, Node]
Pair: TypeAlias = tuple[str | None, str | None]
By: TypeAlias = Literal["cost", "patience"]


class Cell(NamedTuple):
    """A square of the lattice."""

    i: int
    j: int
    size: int


class Corner(NamedTuple):
    """What is known at a node."""

    best: str | None  # None: no strategy will do
    costs: Mapping[str, Sequence[float]]  # of those that will do, each replication, the same ones at every node


class Vertex(NamedTuple):
    """A point of a line, in steps of the lattice."""

    x: float
    y: float
    half: float | None  # of its 95 % interval along its edge; None where there is none
    along: str  # "x" or "y": the axis of its edge; "" inside of a cell, where three regions meet
    by: By | None = None  # what changes along that edge: which costs less, or which will do


class Line(NamedTuple):
    """A line between two regions."""

    between: Pair
    points: list[Vertex]


def corners_of(cell: Cell) -> tuple[Node, Node, Node, Node]:
    """Return the corners of a cell, around it."""
    i, j, size = cell
    return (i, j), (i + size, j), (i + size, j + size), (i, j + size)


def boundaries(cells: Iterable[Cell], corners: Mapping[Node, Corner]) -> list[Line]:
    """Return the lines between regions, as long as they go on, those of the first pair first.

    >>> half = {(i, j): Corner("a" if i == 0 else "b", {"a": [i], "b": [1 - i]}) for i in (0, 1) for j in (0, 1)}
    >>> [(line.between, [point[:2] for point in line.points]) for line in boundaries([Cell(0, 0, 1)], half)]
    [(('a', 'b'), [(0.5, 0.0), (0.5, 1.0)])]
    """
    vertices: dict[object, Vertex] = {}
    segments: dict[Pair, list[tuple[object, object]]] = {}
    for cell in cells:
        for pair, one, other in _segments(cell, corners, vertices):
            segments.setdefault(pair, []).append((one, other))
    return [
        Line(pair, [vertices[key] for key in path])
        for pair in sorted(segments, key=str)
        for path in _joined(segments[pair])
    ]


def _segments(
    cell: Cell, corners: Mapping[Node, Corner], vertices: dict[object, Vertex]
) -> Iterator[tuple[Pair, object, object]]:
    """Yield the pieces of lines in a cell: its two regions part between two edges; three meet inside of it."""
    around = corners_of(cell)
    crossed: dict[Pair, list[Edge]] = {}
    for one, other in pairwise((*around, around[0])):
        edge = min(one, other), max(one, other)
        best = [corners[node].best for node in edge]
        if best[0] != best[1]:
            vertices.setdefault(edge, _crossing(edge, corners))
            pair = min(best, key=str), max(best, key=str)
            crossed.setdefault(pair, []).append(edge)
    alone = [edges[-1] for edges in crossed.values() if len(edges) % 2]
    if alone:
        x, y = (math.fsum(getattr(vertices[edge], axis) for edge in alone) / len(alone) for axis in ("x", "y"))
        vertices[cell] = Vertex(x, y, None, "")
    for pair, edges in crossed.items():
        for first in range(0, len(edges) - 1, 2):
            yield pair, edges[first], edges[first + 1]
        if len(edges) % 2:
            yield pair, edges[-1], cell


def _crossing(edge: Edge, corners: Mapping[Node, Corner]) -> Vertex:
    """Return where an edge is crossed."""
    (i, j), (right, up) = edge
    one, other = (corners[node] for node in edge)
    along = "x" if right > i else "y"
    if any(name not in corner.costs for name in (one.best, other.best) for corner in (one, other)):
        return Vertex((i + right) / 2, (j + up) / 2, None, along, "patience")
    size = (right - i) + (up - j)
    share, half = _zero(one, other)
    return Vertex(i + share * (right - i), j + share * (up - j), None if half is None else half * size, along, "cost")


def _zero(one: Corner, other: Corner) -> tuple[float, float | None]:
    """Return the share of the way at which two strategies cost the same, and the half-width of its interval.

    With the difference ``(1 - t) D0 + t D1`` of each replication the interval is that of its mean over its slope.
    """
    a, b = str(one.best), str(other.best)
    here, there = ([y - x for x, y in zip(corner.costs[a], corner.costs[b], strict=True)] for corner in (one, other))
    n, start, end = len(here), math.fsum(here) / len(here), math.fsum(there) / len(there)
    if not start >= 0 >= end or start == end:
        return 0.5, None
    share = start / (start - end)
    if n < 2:
        return share, None
    mixed = [(1 - share) * x + share * y for x, y in zip(here, there, strict=True)]
    variance = math.fsum(value**2 for value in mixed) / (n - 1)  # their mean is 0
    return share, float(stdtrit(n - 1, (1 + LEVEL) / 2)) * math.sqrt(variance / n) / (start - end)


def _joined(segments: Sequence[tuple[object, object]]) -> Iterator[list[object]]:
    """Yield paths of segments that share their ends, open ones first; a closed one ends where it began."""
    beside: dict[object, list[object]] = {}
    for one, other in segments:
        beside.setdefault(one, []).append(other)
        beside.setdefault(other, []).append(one)
    ends = [key for key, others in beside.items() if len(others) == 1]
    for start in (*ends, *beside):
        if beside[start]:
            yield _walked(start, beside)


def _walked(start: object, beside: dict[object, list[object]]) -> list[object]:
    """Return the path from a point on, and take its segments away."""
    path = [start]
    while others := beside[path[-1]]:
        following = others.pop()
        beside[following].remove(path[-1])
        path.append(following)
    return path
