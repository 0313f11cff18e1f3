"""The numbers of a price book, exactly as they are written: never by way of a float."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction

from pydantic_core import PydanticCustomError

__all__ = ["as_dollars", "as_factor", "as_picodollars", "as_share", "number"]

_PICO_PER_UNIT = 10**6  # 1 USD per Mtok is 10^6 picodollars per token
_DEAREST = 10**6  # USD per Mtok: a dollar a token; above it the unit is wrong
_PER_TOKEN = Decimal("0.0001")  # USD per Mtok: below it the value is a price per token


def number(text: str) -> Decimal:
    """Return a TOML decimal exactly, never by way of a float; what decimals cannot hold is infinite.

    >>> number("0.0125"), number("1e99999999999999999999")
    (Decimal('0.0125'), Decimal('Infinity'))
    """
    try:
        return Decimal(text.replace("_", ""))
    except InvalidOperation:
        return Decimal("Infinity")


def as_picodollars(value: object) -> int:
    """Return a price in USD per 1M tokens as whole picodollars per token.

    >>> as_picodollars(Decimal("0.0375")), as_picodollars(10)
    (37500, 10000000)
    """
    amount = _decimal(value)
    if amount < 0:
        raise _wrong("a price must be >= 0", "USD per 1M tokens")
    if amount > _DEAREST:
        raise _wrong("more than a dollar a token", "USD per 1M tokens")
    if 0 < amount < _PER_TOKEN:
        raise _wrong("this looks like a price per token: did you mean usd_per_mtok?", "USD per 1M tokens")
    pico = Fraction(amount) * _PICO_PER_UNIT
    if pico.denominator != 1:
        raise _wrong("not a whole number of picodollars per token", "at most 6 decimals of USD per 1M tokens")
    return int(pico)


def as_factor(value: object) -> Fraction:
    """Return a factor on prices."""
    amount = _decimal(value)
    if not _PER_TOKEN <= amount <= 100:
        raise _wrong("not a factor on a price", "at most 100, such as 1.8")
    return Fraction(amount)


def as_share(value: object) -> Fraction:
    """Return a share of limits."""
    amount = _decimal(value)
    if not 0 < amount <= 1:
        raise _wrong("not a share of a limit", "above 0 and at most 1, such as 0.3")
    return Fraction(amount)


def as_dollars(value: object) -> Fraction:
    """Return an amount of dollars that is a limit."""
    amount = _decimal(value)
    if not 0 < amount <= _DEAREST:
        raise _wrong("not a limit of spend", "USD above 0 and at most 1,000,000")
    return Fraction(amount)


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _wrong("not a number", "a plain decimal such as 0.125, without quotes")
    if isinstance(value, Decimal) and not value.is_finite():
        raise _wrong("not a finite number", "a plain decimal such as 0.125")
    return Decimal(value)


def _wrong(what: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("price", "{what}; {allowed}", {"what": what, "allowed": allowed})
