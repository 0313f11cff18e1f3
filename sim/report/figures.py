"""Figures as a person reads them: dollars, durations and shares with digits that fit, each beside its uncertainty."""

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

__all__ = ["NONE", "Dollars", "count", "counted", "duration", "hour", "percent", "share"]

NONE = "–"
_UNITS = ((86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s"))
_MOST_DIGITS = 9


class Dollars:
    """Dollars with as many decimals as the smallest amount of a table needs, so that its columns line up.

    Two from a dollar on, four from a cent on, and so forth.
    """

    def __init__(self, amounts: Iterable[float]) -> None:
        least = min((abs(amount) for amount in amounts if amount), default=1.0)
        self.digits = 2
        while least < 10.0 ** (2 - self.digits) and self.digits < _MOST_DIGITS - 1:
            self.digits += 2

    def text(self, usd: float | None, *, sign: bool = False) -> str:
        """Return an amount, such as ``$1,234.50``; with ``sign`` a gain in cost has its plus.

        >>> Dollars([20.0]).text(1234.5), Dollars([0.5]).text(-0.2375), Dollars([20.0]).text(3, sign=True)
        ('$1,234.50', '−$0.2375', '+$3.00')
        >>> Dollars([20.0]).text(0.0), Dollars([20.0]).text(0.001), Dollars([20.0]).text(-0.001)
        ('$0.00', '<$0.01', '$0.00')
        >>> Dollars([0.5]).text(0.63125), Dollars([0.5]).text(0.23125)
        ('$0.6312', '$0.2312')
        """
        if usd is None:
            return NONE
        rounded = f"{Decimal(repr(abs(usd))):,.{self.digits}f}"  # half to even of the decimal, not of the float
        if not rounded.strip("0.,"):
            return f"<${10.0**-self.digits:.{self.digits}f}" if usd > 0 and not sign else f"${rounded}"
        return f"{'−' if usd < 0 else '+' if sign else ''}${rounded}"

    def plus_minus(self, usd: float, lo: float | None, hi: float | None, *, sign: bool = False) -> str:
        """Return an amount and the half-width of its interval, where it has one.

        >>> Dollars([20.0]).plus_minus(20.0, 19.5, 20.5), Dollars([20.0]).plus_minus(20.0, None, None)
        ('$20.00 ± 0.50', '$20.00')
        """
        half = _half(usd, lo, hi)
        return self.text(usd, sign=sign) + ("" if half is None else f" ± {_small(half, self.digits)}")


def _half(mean: float, lo: float | None, hi: float | None) -> float | None:
    """Return the half-width of an interval; one that was clipped at 0 or 1 counts by its longer side."""
    return None if lo is None or hi is None else max(hi - mean, mean - lo)


def _small(half: float, digits: int) -> str:
    """Return a half-width with one digit of it shown at least, unless it is nothing.

    >>> _small(0.004, 1), _small(0.0, 1), _small(12.34, 1)
    ('0.004', '0', '12.3')
    """
    if half == 0:
        return "0"
    while round(half, digits) == 0 and digits < _MOST_DIGITS:
        digits += 1
    return f"{half:,.{digits}f}"


def duration(seconds: float | None, lo: float | None = None, hi: float | None = None) -> str:
    """Return a duration in the unit that suits it, with its half-width in the same unit.

    >>> duration(0.85), duration(2.94), duration(14_760.0, 14_400.0, 15_120.0), duration(86_400.0)
    ('850 ms', '2.9 s', '4.1 ± 0.1 h', '24.0 h')
    """
    if seconds is None:
        return NONE
    suits = (pair for pair in _UNITS if seconds >= pair[0] * (2 if pair[1] == "d" else 0.9995))
    size, unit = next(suits, (0.001, "ms"))
    digits = 0 if unit == "ms" or seconds / size >= 100 else 1
    half = _half(seconds, lo, hi)
    beside = "" if half is None else f" ± {_small(half / size, digits)}"
    return f"{seconds / size:,.{digits}f}{beside} {unit}"


def percent(part: float | None, lo: float | None = None, hi: float | None = None, *, digits: int = 1) -> str:
    """Return a part of one in percent, with its half-width; what is not quite all or nothing never looks like it.

    >>> percent(0.5), percent(1.0), percent(0.99999), percent(0.00001), percent(-0.2)
    ('50.0', '100.0', '>99.9', '<0.1', '−20.0')
    >>> percent(0.951, 0.949, 0.953), percent(None)
    ('95.1 ± 0.2', '–')
    """
    if part is None:
        return NONE
    half = _half(part, lo, hi)
    return _percent(part, digits) + ("" if half is None else f" ± {_small(half * 100, digits)}")


def _percent(part: float, digits: int) -> str:
    step = 10.0**-digits
    rounded = round(part * 100, digits)
    if part < 1 and rounded == 100:
        return f">{100 - step:.{digits}f}"
    if part > 0 and rounded == 0:
        return f"<{step:.{digits}f}"
    return f"{'−' if rounded < 0 else ''}{abs(rounded):,.{digits}f}"


def share(part: float | None, lo: float | None = None, hi: float | None = None, *, digits: int = 1) -> str:
    """Return a percentage with its sign.

    >>> share(0.951, 0.949, 0.953), share(0.25, digits=0)
    ('95.1 ± 0.2 %', '25 %')
    """
    return NONE if part is None else f"{percent(part, lo, hi, digits=digits)} %"


def count(value: float) -> str:
    """Return a mean count: whole where it is, else with a decimal.

    >>> count(12345), count(1234.567), count(0.033)
    ('12,345', '1,234.6', '0.033')
    """
    if value == int(value):
        return f"{int(value):,}"
    return f"{value:,.1f}" if value >= 1 else f"{value:.2g}"


def counted(value: float | None, lo: float | None = None, hi: float | None = None) -> str:
    """Return a mean count with its half-width; a large one in whole numbers.

    >>> counted(12345.0, 12300.0, 12390.0), counted(1.25, None, None), counted(3.0, 3.0, 3.0), counted(None)
    ('12,345 ± 45', '1.2', '3 ± 0', '–')
    >>> counted(0.25, 0.125, 0.375), counted(1234.5, 1222.25, 1246.75)
    ('0.25 ± 0.12', '1,234 ± 12')
    """
    if value is None:
        return NONE
    half = _half(value, lo, hi)
    large = value >= 1_000 or value == int(value)
    digits = 0 if large else 1 if value >= 1 else 2
    return (f"{value:,.0f}" if large else count(value)) + ("" if half is None else f" ± {_small(half, digits)}")


def hour(iso: str) -> str:
    """Return an instant of a document as the clock of its zone shows it.

    >>> hour("2026-11-23T14:00:00+01:00")
    'Mon 2026-11-23 14:00'
    """
    return f"{dt.datetime.fromisoformat(iso):%a %Y-%m-%d %H:%M}"
