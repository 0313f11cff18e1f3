"""Where closed forms of what strategies cost say that two of them cost the same, over the lattice of a map."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sim.decisions.drivers.boundaries import Cell, Corner, Line, Node, Pair, boundaries, corners_of
from sim.decisions.drivers.formulas import NoForm, expected_cost
from sim.decisions.drivers.map_question import Question
from sim.scenario import Scenario, read_scenario

__all__ = ["Implied", "implied"]


class Implied(NamedTuple):
    """What closed forms say of the pairs that part somewhere."""

    lines: list[Line]
    why: dict[str, str | None]  # a strategy has no closed form anywhere; None: it has one


def implied(question: Question, base: Scenario, model: str, between: Iterable[Pair]) -> Implied:
    """Return where closed forms of pairs cost the same, and which strategies have none."""
    pairs = [pair for pair in dict.fromkeys(between) if None not in pair]
    names = list(dict.fromkeys(name for pair in pairs for name in pair if name is not None))
    forms = _forms(question, base, model, names)
    lines = [line for pair in pairs for line in _parted(question, pair, forms)]
    return Implied(lines, {name: None if forms[name].costs else forms[name].why for name in names})


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


def _parted(question: Question, pair: Pair, forms: dict[str, _Form]) -> list[Line]:
    """Return where two closed forms cost the same, as far as there are both."""
    names = [name for name in pair if name is not None]
    corners = {}
    for node in set.intersection(*(set(forms[name].costs) for name in names)):
        costs = {name: [forms[name].costs[node]] for name in names}
        corners[node] = Corner(min(names, key=lambda name: costs[name]), costs)
    cells = [Cell(i, j, 1) for i in range(question.steps) for j in range(question.steps)]
    return boundaries([cell for cell in cells if all(node in corners for node in corners_of(cell))], corners)
