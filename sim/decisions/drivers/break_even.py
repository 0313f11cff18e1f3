"""Where the best strategy changes over two inputs: a map of the cheapest one that keeps the patience target.

The region is looked at on a coarse lattice, and again on one twice as fine wherever neighbours differ. The document is
``gcsim.break-even/1``, besides what every decision has (:mod:`sim.decisions.finding`):

``axes``
    Of x, then y: ``path``, ``law``, ``log`` and the ``ticks``, a value for each step of the lattice.
``strategies``, ``steps``, ``replications``
    Those compared; steps of the lattice an axis; of every point, on the same luck.
``maps``
    One a model. ``points``, those simulated: their ``step`` and values at ``x`` and ``y``, the best ``strategy`` (null:
    none keeps the patience target), the ``second``, its ``margin_usd`` over the best one (paired interval), and whether
    that is ``undecided``; the mean ``cost_usd`` of each, and which are ``in_time``. ``lattice``: rows of the best
    strategy from the lowest y on; where no point was simulated, that of the points around, which agree. ``shares``: of
    the lattice, by strategy, those which are ``undecided`` among them.
    ``boundaries``: lines ``between`` two strategies (null: none is in time) by interpolation of their mean costs, each
    of ``points`` with a ``step``, values, and the 95 % ``interval`` (``lo`` to ``hi``) on the ``axis`` that it was
    interpolated along. ``closed_forms``: for each strategy why it has none, or null, and the ``boundaries`` that they
    imply between the pairs that part in the simulated map.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, Unpack

from sim.decisions.drivers.boundaries import Cell, Corner, Line, Node, Pair, Vertex, boundaries, corners_of
from sim.decisions.drivers.formulas import NoForm, expected_cost
from sim.decisions.drivers.inputs import FORMS, Inputs, inputs_of
from sim.decisions.drivers.tornado import told
from sim.decisions.drivers.winners import Winner, costs_of, keeps, winner
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Ask, Found, Source
from sim.errors import InputError, Problem, nearest
from sim.scenario import Scenario, read_scenario

__all__ = ["GRID", "REFINE", "RUNS", "Question", "answer", "asked", "break_even", "question_of"]

GRID, REFINE, RUNS = 9, 1, 10
MOST_POINTS = 20_000
_CALM = 20  # rounds within one level after which a lattice that still grows is taken as it is

Json: TypeAlias = dict[str, Any]


class Question(NamedTuple):
    """What is asked of a scenario."""

    inputs: Inputs  # two of them
    strategies: tuple[str, ...]
    grid: int = GRID  # points an axis to begin with
    refine: int = REFINE  # how often the lattice is made twice as fine where the best strategy changes
    replications: int = RUNS

    @property
    def steps(self) -> int:
        """Return the steps of the finest lattice an axis."""
        return (self.grid - 1) << self.refine

    def share(self, axis: int, step: float) -> float:
        """Return the share of an input's law at a step of the lattice."""
        low, high = self.inputs.ends(axis)
        return low + step / self.steps * (high - low)

    def value(self, axis: int, step: float) -> str:
        """Return the value of an axis at a step, as ``--set`` reads it."""
        return self.inputs.value(axis, self.share(axis, step))

    def sets(self, node: Node) -> tuple[str, ...]:
        """Return the overrides of a node."""
        return self.inputs.sets([self.share(axis, step) for axis, step in enumerate(node)])


def break_even(
    scenario: str | Path | Scenario,
    vary: Sequence[str],
    *,
    strategies: Sequence[str] | None = None,
    grid: int = GRID,
    refine: int = REFINE,
    replications: int = RUNS,
    **means: Unpack[Means],
) -> Finding:
    """Map where the best strategy of a scenario changes over two of its inputs.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or one from :func:`sim.load`.
    vary
        Two texts ``PATH=LO..HI`` or ``PATH=LO..HI:log``: x, then y.
    strategies
        Those to compare; all by default.
    grid, refine
        Points an axis to begin with, and how often they are made twice as dense where the best strategy changes.
    replications
        Of every point, on the same luck.
    means
        See :class:`sim.decisions.finding.Means`.
    """
    base = read(scenario, means)
    question = question_of(base, vary, strategies, grid, refine, replications)
    return found("break-even", base, asked(question), lambda source: answer(question, source), means)


def question_of(
    base: Scenario,
    vary: Sequence[str],
    strategies: Sequence[str] | None = None,
    grid: int = GRID,
    refine: int = REFINE,
    replications: int | None = None,
) -> Question:
    """Return the question; raise every mistake in it."""
    runs = RUNS if replications is None else replications
    problems = [*_wrong_sizes(grid, refine, runs), *_unknown(base, strategies or ())]
    inputs = None
    try:
        inputs = inputs_of(base, vary) if vary else None
    except InputError as error:
        problems += error.problems
    if len(vary) != 2:
        problems.append(_wrong("--vary", f"a map has two axes, got {len(vary)}", "two PATH=LO..HI or PATH=LO..HI:log"))
    for one, text in zip(inputs.every, inputs.texts, strict=True) if inputs else ():
        if one.law.items or one.group:
            problems.append(_wrong("--vary", "an axis is a range", FORMS.partition(", V1")[0], text))
    if problems or inputs is None:
        raise InputError(problems)
    names = tuple(dict.fromkeys(strategies or [arm.name for arm in base.arms]))
    return Question(inputs, names, grid, refine, runs)


def _wrong(flag: str, what: str, allowed: str, got: object = None) -> Problem:
    return Problem("command line", 0, flag, what, allowed, got)


def _unknown(base: Scenario, strategies: Sequence[str]) -> Iterator[Problem]:
    known = [arm.name for arm in base.arms]
    for name in strategies:
        if name not in known:
            yield _wrong("--strategy", "unknown strategy", nearest(name, known), name)
    if len(set(strategies or known)) < 2:
        yield _wrong("--strategy", "there is nothing to compare", "two strategies at least", ", ".join(strategies))


def _wrong_sizes(grid: int, refine: int, replications: int) -> Iterator[Problem]:
    if not 2 <= grid <= 65:
        yield _wrong("--grid", "out of range", "from 2 to 65", grid)
    elif not 0 <= refine <= 6:
        yield _wrong("--refine", "out of range", "from 0 to 6", refine)
    elif ((grid - 1 << refine) + 1) ** 2 > MOST_POINTS:
        yield _wrong("--refine", f"the lattice has more than {MOST_POINTS:,} points", "a smaller --grid or --refine")
    if replications < 1:
        yield _wrong("--replications", "must be at least 1", "a whole number", replications)


def asked(question: Question) -> Json:
    """Return all that an answer depends on besides the scenario."""
    return {
        "vary": list(question.inputs.texts),
        "strategies": list(question.strategies),
        "grid": question.grid,
        "refine": question.refine,
        "replications": question.replications,
    }


class _Map:
    """The points of one model as they become known, and the cells between them."""

    def __init__(self, question: Question, model: str) -> None:
        self.question, self.model = question, model
        self.best: dict[Node, Winner] = {}
        self.corners: dict[Node, Corner] = {}
        self.points: dict[Node, Json] = {}

    def add(self, node: Node, point: Found) -> None:
        """Take what a point gave."""
        names = self.question.strategies
        best = winner(point, names, self.model)
        costs = {name: [float(cost) for cost in costs_of(point, name, self.model)] for name in names}
        in_time = [name for name in names if keeps(point, name, self.model)]
        self.best[node] = best
        self.corners[node] = Corner(best.strategy, {name: costs[name] for name in in_time})
        self.points[node] = {
            **_place(self.question, *node),
            **told(best),
            "cost_usd": {name: math.fsum(own) / len(own) for name, own in costs.items()},
            "in_time": in_time,
        }

    def differs(self, cell: Cell) -> bool:
        """Return whether the points that are known on the edges of a cell have different winners."""
        i, j, size = cell
        steps = range(size + 1)
        edge = {(i + a, j + b) for a in steps for b in steps if a in (0, size) or b in (0, size)}
        return len({self.best[node].strategy for node in edge if node in self.best}) > 1


def answer(question: Question, source: Source) -> Json:
    """Return the maps, from cells."""
    models = source.base.spec.models
    maps = [_Map(question, model) for model in models]
    pairs = len(question.strategies) * len(models)
    source.expect(question.grid**2 * pairs * question.replications)
    cells = _explored(question, source, maps)
    return {
        "axes": [_axis(question, axis) for axis in (0, 1)],
        "strategies": list(question.strategies),
        "steps": question.steps,
        "replications": question.replications,
        "maps": [_told(question, source.base, one, cells) for one in maps],
        "warnings": _warnings(question),
    }


def _warnings(question: Question) -> list[str]:
    if question.replications > 1:
        return []
    return ["one replication has no interval: every point is undecided unless costs are the same"]


def _explored(question: Question, source: Source, maps: Sequence[_Map]) -> list[Cell]:
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


def _look(question: Question, source: Source, maps: Sequence[_Map], nodes: Iterable[Node]) -> None:
    """Ask for the points that are not known yet, all at once."""
    new = [node for node in dict.fromkeys(nodes) if node not in maps[0].points]
    asks = [Ask(question.sets(node), question.strategies) for node in new]
    for node, point in zip(new, source.find(asks, range(question.replications)), strict=True):
        for one in maps:
            one.add(node, point)


def _place(question: Question, x: float, y: float) -> Json:
    """Return a place by its steps and its values in the user's units."""
    return {"step": [x, y], "x": question.value(0, x), "y": question.value(1, y)}


def _axis(question: Question, axis: int) -> Json:
    one = question.inputs.every[axis]
    ticks = [question.value(axis, step) for step in range(question.steps + 1)]
    return {"path": one.path, "law": one.text, "log": one.law.name == "loguniform", "ticks": ticks}


def _told(question: Question, base: Scenario, known: _Map, cells: Sequence[Cell]) -> Json:
    lines = boundaries(cells, known.corners)
    lattice = _lattice(known, cells)
    return {
        "model": known.model,
        "points": [known.points[node] for node in sorted(known.points)],
        "lattice": [[lattice[i, j] for i in range(question.steps + 1)] for j in range(question.steps + 1)],
        "shares": _shares(known, lattice),
        "boundaries": [_line(question, line) for line in lines],
        "closed_forms": _closed(question, base, known.model, [line.between for line in lines]),
    }


def _lattice(known: _Map, cells: Sequence[Cell]) -> dict[Node, str | None]:
    """Return the best strategy at every node: where none was simulated, that of the corners around, which agree."""
    best: dict[Node, str | None] = {}
    for cell in cells:
        for i in range(cell.i, cell.i + cell.size + 1):
            for j in range(cell.j, cell.j + cell.size + 1):
                best.setdefault((i, j), known.best[corners_of(cell)[0]].strategy)
    return best | {node: one.strategy for node, one in known.best.items()}


def _shares(known: _Map, lattice: dict[Node, str | None]) -> list[Json]:
    """Return the part of the lattice of each strategy, the largest first, and the part of that which is undecided."""
    unsure = Counter(best.strategy for best in known.best.values() if best.undecided)
    return [
        {"strategy": name, "share": count / len(lattice), "undecided": unsure[name] / len(lattice)}
        for name, count in Counter(lattice.values()).most_common()
    ]


def _line(question: Question, line: Line) -> Json:
    points = [{**_place(question, one.x, one.y), "interval": _interval(question, one)} for one in line.points]
    return {"between": list(line.between), "points": points}


def _interval(question: Question, vertex: Vertex) -> Json | None:
    """Return between which values of its axis a vertex lies, at 95 %; at most the whole axis."""
    if vertex.half is None:
        return None
    axis = "xy".index(vertex.along)
    middle = (vertex.x, vertex.y)[axis]
    low, high = max(middle - vertex.half, 0.0), min(middle + vertex.half, float(question.steps))
    return {"axis": vertex.along, "lo": question.value(axis, low), "hi": question.value(axis, high)}


def _closed(question: Question, base: Scenario, model: str, between: Iterable[Pair]) -> Json:
    """Return where closed forms of the pairs that part somewhere cost the same, and which strategies have none."""
    pairs = [pair for pair in dict.fromkeys(between) if None not in pair]
    names = list(dict.fromkeys(name for pair in pairs for name in pair if name is not None))
    forms = _forms(question, base, model, names)
    lines = [line for pair in pairs for line in _implied(question, pair, forms)]
    why = {name: None if forms[name].costs else forms[name].why for name in names}
    return {"strategies": why, "boundaries": [_line(question, line) for line in lines]}


class _Form(NamedTuple):
    """A strategy's closed form over the lattice."""

    costs: dict[Node, float]  # where there is one
    why: str | None  # there is none somewhere


def _forms(question: Question, base: Scenario, model: str, names: Sequence[str]) -> dict[str, _Form]:
    steps = range(question.steps + 1)
    forms = {name: _Form({}, None) for name in names}
    for node in ((i, j) for i in steps for j in steps) if names else ():
        here = read_scenario(base.document, base.name, sets=question.sets(node))
        for name, form in forms.items():
            try:
                form.costs[node] = expected_cost(here, name, model)
            except NoForm as error:
                forms[name] = form._replace(why=str(error))
    return forms


def _implied(question: Question, pair: Pair, forms: dict[str, _Form]) -> list[Line]:
    """Return where two closed forms cost the same, as far as there are both."""
    names = [name for name in pair if name is not None]
    corners = {}
    for node in set.intersection(*(set(forms[name].costs) for name in names)):
        costs = {name: [forms[name].costs[node]] for name in names}
        corners[node] = Corner(min(names, key=lambda name: costs[name]), costs)
    cells = [Cell(i, j, 1) for i in range(question.steps) for j in range(question.steps)]
    return boundaries([cell for cell in cells if all(node in corners for node in corners_of(cell))], corners)
