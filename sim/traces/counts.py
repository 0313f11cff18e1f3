"""The counts and times in a trace file, whatever way they are written: exact, or a mistake with its place."""

import re
from decimal import Decimal
from typing import Final

from sim.traces.lines import Mistakes

__all__ = ["MOST", "count", "milliseconds", "number"]

MOST: Final = 2**53  # as in sim.units: a count or a time beyond it is a mistake, and floats in tables would round it

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,5})?|nan|[+-]?inf(inity)?", re.ASCII | re.IGNORECASE)


def number(value: object) -> Decimal | None:
    """Return the number that a JSON value or a CSV cell holds, exactly; None if it holds none.

    >>> number("12.50"), number(7), number(True), number("1_000"), number("")
    (Decimal('12.50'), Decimal('7'), None, None, None)
    """
    if isinstance(value, Decimal):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return Decimal(value.strip())
    return None


def count(mistakes: Mistakes, line: int, path: str, value: object) -> int:
    """Return a whole number in [0, 2**53]; note a mistake and return 0 for anything else."""
    if type(value) is int and 0 <= value <= MOST:
        return value
    exact = number(value)
    what = _range_mistake(exact)
    if exact is not None and not what and exact != exact.to_integral_value():
        what = "must be a whole number"
    if exact is None or what:
        mistakes.add(line, path, what, "a whole number from 0 to 2^53", value)
        return 0
    return int(exact)


def milliseconds(mistakes: Mistakes, line: int, path: str, value: object, *, unit_ms: int) -> int:
    """Return a time in units of ``unit_ms``, cut to whole ms; note a mistake and return 0 for anything else."""
    exact = number(value)
    what = _range_mistake(exact)
    if exact is None or what or exact * unit_ms > MOST:
        mistakes.add(line, path, what or "beyond what the clock can count", "a time >= 0", value)
        return 0
    return int(exact * unit_ms)


def _range_mistake(exact: Decimal | None) -> str:
    if exact is None:
        return "not a number"
    if not exact.is_finite():
        return "must be finite"
    if exact < 0:
        return "must be >= 0"
    return "more than can be counted" if exact.adjusted() > 16 or exact > MOST else ""
