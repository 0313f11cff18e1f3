"""A map of break-evens as its document has it: the lattice, what each strategy has of it, and lines in its units."""

from collections import Counter
from collections.abc import Sequence

from sim.decisions.drivers.boundaries import Cell, Line, Node, Vertex, boundaries, corners_of
from sim.decisions.drivers.exploring import Known, place
from sim.decisions.drivers.implied import implied
from sim.decisions.drivers.map_question import Question
from sim.experiments.estimates import Json
from sim.scenario import Scenario

__all__ = ["axis_of", "map_of"]


def axis_of(question: Question, axis: int) -> Json:
    """Return an axis with the value at each step of the lattice."""
    one = question.inputs.every[axis]
    ticks = [question.value(axis, step) for step in range(question.steps + 1)]
    return {"path": one.path, "law": one.text, "log": one.law.name == "loguniform", "ticks": ticks}


def map_of(question: Question, base: Scenario, known: Known, cells: Sequence[Cell]) -> Json:
    """Return the map of a model."""
    lines = boundaries(cells, known.corners)
    forms = implied(question, base, known.model, [line.between for line in lines])
    lattice = _lattice(known, cells)
    return {
        "model": known.model,
        "points": [known.points[node] for node in sorted(known.points)],
        "lattice": [[lattice[i, j] for i in range(question.steps + 1)] for j in range(question.steps + 1)],
        "shares": _shares(known, lattice),
        "boundaries": [_line(question, line) for line in lines],
        "closed_forms": {"strategies": forms.why, "boundaries": [_line(question, line) for line in forms.lines]},
    }


def _lattice(known: Known, cells: Sequence[Cell]) -> dict[Node, str | None]:
    """Return the best strategy at every node: where none was simulated, that of the corners around, which agree."""
    best: dict[Node, str | None] = {}
    for cell in cells:
        for i in range(cell.i, cell.i + cell.size + 1):
            for j in range(cell.j, cell.j + cell.size + 1):
                best.setdefault((i, j), known.best[corners_of(cell)[0]].strategy)
    return best | {node: one.strategy for node, one in known.best.items()}


def _shares(known: Known, lattice: dict[Node, str | None]) -> list[Json]:
    """Return the part of the lattice of each strategy, the largest first, and the parts of it that are undecided."""
    doubtful = Counter(best.strategy for best in known.best.values() if best.undecided)
    unsure = Counter(best.strategy for best in known.best.values() if best.unsure)
    return [
        {
            "strategy": name,
            "share": count / len(lattice),
            "undecided": doubtful[name] / len(lattice),
            "unsure_in_time": unsure[name] / len(lattice),
        }
        for name, count in Counter(lattice.values()).most_common()
    ]


def _line(question: Question, line: Line) -> Json:
    points = [
        {**place(question, one.x, one.y), "interval": _interval(question, one), "by": one.by} for one in line.points
    ]
    return {"between": list(line.between), "points": points}


def _interval(question: Question, vertex: Vertex) -> Json | None:
    """Return between which values of its axis a vertex lies, at 95 %; at most the whole axis."""
    if vertex.half is None:
        return None
    axis = "xy".index(vertex.along)
    middle = (vertex.x, vertex.y)[axis]
    low, high = max(middle - vertex.half, 0.0), min(middle + vertex.half, float(question.steps))
    return {"axis": vertex.along, "lo": question.value(axis, low), "hi": question.value(axis, high)}
