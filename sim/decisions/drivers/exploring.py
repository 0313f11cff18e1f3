"""Which points of a region are looked at: a coarse lattice, and one twice as fine where the best strategy changes."""

import math
from collections.abc import Iterable, Iterator, Sequence

from sim.decisions.drivers.boundaries import Cell, Corner, Node, corners_of
from sim.decisions.drivers.map_question import Question
from sim.decisions.drivers.winners import Winner, cheapest, standings, told, winner
from sim.decisions.laboratory import Ask, Found, Source
from sim.experiments.estimates import Json

__all__ = ["Known", "explored", "place"]

_CALM = 20  # rounds within one level after which a lattice that still grows is taken as it is


class Known:
    """The points of one model as they become known, and the cells between them."""

    def __init__(self, question: Question, model: str) -> None:
        self.question, self.model = question, model
        self.best: dict[Node, Winner] = {}
        self.corners: dict[Node, Corner] = {}
        self.points: dict[Node, Json] = {}

    def add(self, node: Node, point: Found) -> None:
        """Take what a point gave.

        Lines part its leaders: whom the estimate of a share in time drops by luck has not become dearer there.
        """
        known = standings(point, self.question.strategies, self.model)
        costs = {name: [float(cost) for cost in one.costs] for name, one in known.items()}
        open_ones = {name: one for name, one in known.items() if one.may_keep}
        leader = next(iter(cheapest(open_ones)), None)
        self.best[node] = best = winner(known)
        self.corners[node] = Corner(leader, {name: costs[name] for name in open_ones})
        self.points[node] = {
            **place(self.question, *node),
            **told(best),
            "leader": leader,
            "cost_usd": {name: math.fsum(own) / len(own) for name, own in costs.items()},
            "in_time": [name for name, one in known.items() if one.reaches],
        }

    def differs(self, cell: Cell) -> bool:
        """Return whether the points that are known on the edges of a cell have different winners, or leaders."""
        i, j, size = cell
        steps = range(size + 1)
        edge = {(i + a, j + b) for a in steps for b in steps if a in (0, size) or b in (0, size)}
        return len({(self.best[node].strategy, self.corners[node].best) for node in edge if node in self.best}) > 1


def explored(question: Question, source: Source, maps: Sequence[Known]) -> list[Cell]:
    """Look at the coarse lattice, then at finer ones where the best strategy changes; return the cells at the end."""
    size = 1 << question.refine
    starts = range(0, question.steps, size)
    cells = [Cell(i, j, size) for i in starts for j in starts]
    _look(question, source, maps, [node for cell in cells for node in corners_of(cell)])
    while size > 1:
        for _ in range(_CALM):  # a finer neighbour may find a change on the edge of a cell that saw none
            parted = [cell for cell in cells if cell.size == size and any(one.differs(cell) for one in maps)]
            if not parted:
                break
            finer = [quarter for cell in parted for quarter in _quarters(cell)]
            _look(question, source, maps, [node for cell in finer for node in corners_of(cell)])
            cells = [cell for cell in cells if cell not in set(parted)] + finer
        size //= 2
    return cells


def _quarters(cell: Cell) -> Iterator[Cell]:
    half = cell.size // 2
    for i in (cell.i, cell.i + half):
        for j in (cell.j, cell.j + half):
            yield Cell(i, j, half)


def _look(question: Question, source: Source, maps: Sequence[Known], nodes: Iterable[Node]) -> None:
    """Ask for the points that are not known yet, all at once."""
    new = [node for node in dict.fromkeys(nodes) if node not in maps[0].points]
    asks = [Ask(question.sets(node), question.strategies) for node in new]
    for node, point in zip(new, source.find(asks, range(question.replications)), strict=True):
        for one in maps:
            one.add(node, point)


def place(question: Question, x: float, y: float) -> Json:
    """Return a place by its steps and its values in the user's units."""
    return {"step": [x, y], "x": question.value(0, x), "y": question.value(1, y)}
