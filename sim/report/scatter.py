"""Points as characters of the terminal: one quantity to the right, another upward."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

__all__ = ["Place", "scatter"]

_WIDE, _HIGH = 64, 10  # characters


class Place(NamedTuple):
    """A point by the one character that marks it."""

    mark: str
    across: float
    upward: float


def scatter(places: Sequence[Place], across: Callable[[float], str], upward: Callable[[float], str]) -> str:
    """Return a plot whose ends are labelled by two functions; of marks in one cell the last is seen.

    >>> print(scatter([Place("a", 1, 9), Place("b", 3, 2), Place("c", 2, 4)], str, str).replace("-" * 50, "--"))
      9 |a
        |
        |
        |
        |
        |
        |                                c
        |
        |
      2 |                                                               b
        +----------------
         1                                                              3
    """
    if not places:
        return ""
    xs, ys = [one.across for one in places], [one.upward for one in places]
    rows = [[" "] * _WIDE for _ in range(_HIGH)]
    for one in places:
        rows[_HIGH - 1 - _cell(one.upward, ys, _HIGH)][_cell(one.across, xs, _WIDE)] = one.mark
    high, low = upward(max(ys)), upward(min(ys))
    margin = max(len(high), len(low))
    sides = [high, *[""] * (_HIGH - 2), low]
    lines = [f"  {side:>{margin}} |{''.join(row).rstrip()}".rstrip() for side, row in zip(sides, rows, strict=True)]
    left, right = across(min(xs)), across(max(xs))
    foot = [f"  {'':>{margin}} +{'-' * _WIDE}", f"  {'':>{margin}}  {left}{right:>{_WIDE - len(left)}}"]
    return "\n".join([*lines, *foot])


def _cell(value: float, values: Sequence[float], cells: int) -> int:
    """Return how many of the cells from the least value to the greatest lie before one."""
    low, high = min(values), max(values)
    return 0 if high == low else round((value - low) / (high - low) * (cells - 1))
