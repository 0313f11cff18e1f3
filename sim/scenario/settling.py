"""Reading a document with uncertain values: at their centres, and only where the fields take all of their laws."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from typing import NamedTuple, TypeVar

from sim.document import Document, as_toml
from sim.errors import InputError, Problem
from sim.paths import dotted, put
from sim.scenario.uncertain import Uncertain, centre, drawn

__all__ = ["settled"]

_COARSER = (6, 0)  # decimals, where a field refuses twelve digits: prices have six, counts none
_NEAR_THE_CENTRE = (0.5, 0.381966011250105, 0.618033988749895)  # at one of which a law has many decimals
_MIDDLE = 0.5

T = TypeVar("T")


class _Asked(NamedTuple):
    """A document, and what its reading makes of values in place of its laws."""

    document: Document
    read: Callable[[Document], object]

    def with_values(self, uncertain: Sequence[Uncertain], values: Mapping[str, str]) -> Document:
        """Return the document with values in place of laws; every mistake keeps its own place."""
        data = deepcopy(self.document.data)
        for one in uncertain:
            put(data, one.loc, as_toml(values[one.path]))
        return self.document._replace(data=data)

    def problems(self, uncertain: Sequence[Uncertain], values: Mapping[str, str]) -> list[Problem]:
        """Return what is wrong with the document under some values."""
        try:
            self.read(self.with_values(uncertain, values))
        except InputError as error:
            return error.problems
        return []


def settled(
    document: Document, uncertain: Sequence[Uncertain], read: Callable[[Document], T]
) -> tuple[tuple[Uncertain, ...], T]:
    """Return the uncertain values, each as coarse as its field needs it, and what is read at their centres.

    Raises :class:`InputError` where ``read`` refuses the centre of a law, or a value near its ends.
    """
    asked = _Asked(document, read)
    fitted = _fitted(asked, uncertain)
    values = centre(fitted)
    try:
        found = read(asked.with_values(fitted, values))
    except InputError as error:
        raise InputError(dict.fromkeys(_at_centre(problem, fitted, values) for problem in error.problems)) from None
    if problems := [problem for one in fitted for problem in _beyond(asked, fitted, values, one)]:
        raise InputError(dict.fromkeys(problems))
    return fitted, found


def _fitted(asked: _Asked, uncertain: Sequence[Uncertain]) -> tuple[Uncertain, ...]:
    """Return the laws of plain numbers with the decimals that their fields take: the fields themselves answer."""
    fitted = {one.path: one for one in uncertain}
    open_ = [one for one in uncertain if one.law.unit.kind == "number" and not one.law.items and not one.group]
    for decimals in _COARSER:
        if not open_:
            break
        refused = _refused(asked, fitted, open_)
        fitted |= {one.path: one._replace(decimals=decimals) for one in refused}
        open_ = [fitted[one.path] for one in refused]
    # what is refused however coarse it is has another mistake, which is told of the value as drawn
    still = _refused(asked, fitted, open_)
    fitted |= {one.path: one._replace(decimals=None) for one in still}
    return tuple(fitted.values())


def _refused(asked: _Asked, fitted: Mapping[str, Uncertain], among: Sequence[Uncertain]) -> list[Uncertain]:
    """Return which fields refuse a number with as many decimals as they would be given.

    A mistake in one table hides those of others, so it is asked again until nothing new is refused.
    """
    every = tuple(fitted.values())
    values = centre(every)
    tried = {**values, **{one.path: _broken(one) for one in among}}
    refused: list[Uncertain] = []
    while True:
        problems = asked.problems(every, tried)
        rest = [one for one in among if one not in refused]
        new = [one for one in rest if any(_is_about(problem, one) for problem in problems)]
        if not new:
            return refused
        refused += new
        tried |= {one.path: str(round(float(values[one.path]))) for one in new}


def _broken(one: Uncertain) -> str:
    """Return a value near the centre with as many decimals as one may have."""
    return max((one.at(u) for u in _NEAR_THE_CENTRE), key=len)


def _is_about(problem: Problem, one: Uncertain) -> bool:
    return problem.path in (dotted(one.loc), dotted(one.meant))


def _at_centre(problem: Problem, uncertain: Sequence[Uncertain], values: Mapping[str, str]) -> Problem:
    """Return a mistake with the law whose centre it is about, if it is about one."""
    for one in uncertain:
        if _is_about(problem, one):
            what = f"{one.text} is taken at its {one.centre_name} {values[one.path]}: {problem.what}"
            return problem._replace(what=what, got=None)
    return problem


def _beyond(
    asked: _Asked, uncertain: Sequence[Uncertain], values: Mapping[str, str], one: Uncertain
) -> Iterator[Problem]:
    """Yield what is wrong with the document where one law has a value near its ends, the others their centres."""
    for u in one.law.probes:
        tried = _tried(uncertain, values, one, u)
        for problem in asked.problems(uncertain, tried):
            place = "" if one.law.items else f" at its {100 * u:g} % quantile"
            whose = "" if _is_about(problem, one) else f"{problem.path} "
            what = f"{one.text} gives {tried[one.path]}{place}: {whose}{problem.what}"
            yield asked.document.problem(one.loc, what, problem.allowed)


def _tried(uncertain: Sequence[Uncertain], values: Mapping[str, str], one: Uncertain, u: float) -> dict[str, str]:
    """Return the values with one law at ``u``; the other members of a joint law follow it."""
    if not one.group:
        return {**values, one.path: one.at(u)}
    members = [other for other in uncertain if other.group == one.group]
    overrides = drawn(members, [u if other == one else _MIDDLE for other in members])
    return {**values, **{member.path: text.rpartition("=")[2] for member, text in zip(members, overrides, strict=True)}}
