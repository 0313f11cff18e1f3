"""The space of what is tuned: points of one strategy's parameters, and the ones that a search begins with."""

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from sim.decisions.tuning.dimension import Dimension
from sim.errors import InputError, Problem
from sim.experiments.designs import Design, Span, settings_of
from sim.scenario import Scenario, read_scenario

__all__ = ["Dimension", "Point", "Space", "design", "refusals"]

_MOST_LISTED = 64  # points of lists that are all tried
_ON_A_LINE = 17  # points of one range that are tried at first: its ends, and what parts it in sixteen

Point: TypeAlias = tuple[str, ...]  # a value a dimension, as --set reads it


class Space(NamedTuple):
    """All points: one value of each dimension."""

    strategy: str
    dimensions: tuple[Dimension, ...]
    left_out: tuple[str, ...] = ()  # why a usual dimension is none here

    @property
    def ranges(self) -> tuple[int, ...]:
        """Return the numbers of the dimensions that are ranges."""
        return tuple(number for number, one in enumerate(self.dimensions) if one.span is not None)

    def point(self, shares: Iterable[float]) -> Point:
        """Return the point at some shares, one a dimension."""
        return tuple(one.value(share) for one, share in zip(self.dimensions, shares, strict=True))

    def shares(self, point: Point) -> list[float]:
        """Return the shares of a point of the space."""
        found = [one.share(text) for one, text in zip(self.dimensions, point, strict=True)]
        return [0.5 if share is None else share for share in found]

    def holds(self, point: Point) -> bool:
        """Return whether a point is in every range and list."""
        return all(one.share(text) is not None for one, text in zip(self.dimensions, point, strict=True))

    def sets(self, point: Point | None) -> tuple[str, ...]:
        """Return a point as ``--set`` takes it; None is the scenario as it is."""
        return () if point is None else tuple(f"{one.path}={text}" for one, text in zip(self.dimensions, point))  # noqa: B905 - as long as the space

    def named(self, point: Point) -> dict[str, str]:
        """Return a point by the paths of its values."""
        return {one.path: text for one, text in zip(self.dimensions, point, strict=True)}

    def beside(self, point: Point, number: int, text: str) -> Point:
        """Return a point with another value in one dimension."""
        return (*point[:number], text, *point[number + 1 :])

    def allowed(self, base: Scenario, point: Point) -> bool:
        """Return whether a scenario takes the values of a point together."""
        return not refusals(base, self.sets(point))


def refusals(base: Scenario, sets: Sequence[str]) -> list[Problem]:
    """Return why a scenario does not take some overrides; nothing where it does."""
    try:
        read_scenario(base.document, base.name, sets=sets)
    except InputError as error:
        return error.problems
    return []


def design(space: Space, size: int | None, seed: int) -> list[Point]:
    """Return the points that a search begins with, each once.

    Of one range its ends and fifteen between; of lists all points, up to 64; else a Sobol net over all dimensions, of
    16 points for each up to 128, or of ``size`` (the power of two from it on).
    """
    count = math.prod(len(one.axis.values) for one in space.dimensions)  # a range has none, which makes it 0
    if count and count <= (size or _MOST_LISTED):
        return _every(space)
    if len(space.dimensions) == 1 and space.ranges:
        parts = (size or _ON_A_LINE) - 1
        return list(dict.fromkeys(space.point([step / max(parts, 1)]) for step in range(parts + 1)))
    wanted = size or min(16 * len(space.dimensions), 128)
    unit = Span(Fraction(0), Fraction(1), "number", "", "lin", None)
    axes = [one.axis._replace(values=(), span=unit) for one in space.dimensions]
    net = settings_of(axes, Design("sobol", 1 << (wanted - 1).bit_length()), seed, lambda *_: False)
    return list(dict.fromkeys(space.point(float(text) for _, text in one.values) for one in net))


def _every(space: Space) -> list[Point]:
    points: list[Point] = [()]
    for one in space.dimensions:
        points = [(*point, text) for point in points for text in dict.fromkeys(one.axis.values)]
    return points
