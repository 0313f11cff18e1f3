"""A bill: lines of one quantity at one price each, and amounts as text."""

from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from typing import NamedTuple

from sim.ledger import Mode
from sim.providers.prices import LINES, PICO, LineName, Terms, Tier
from sim.units import HOUR

__all__ = ["Bill", "BillLine", "decimal_text"]

_DIGITS = 12  # of an amount that has no finite decimal


class BillLine(NamedTuple):
    """One quantity at one price: a line of one model in one mode, tier and price period."""

    line: LineName
    model: str
    mode: Mode
    tier: Tier
    since: int  # ms since the Unix epoch: when the price came into force
    quantity: int  # tokens; of storage token-milliseconds
    price: Fraction  # picodollars per token; of storage per token-hour

    @property
    def usd(self) -> Fraction:
        """Return the exact dollars; storage divides by the hour last."""
        per = PICO * HOUR if self.line == "storage" else PICO
        return self.quantity * self.price / per

    @property
    def usd_per_mtok(self) -> Fraction:
        """Return the price as it is published: dollars per 1M tokens, or per 1M tokens and hour."""
        return self.price / 10**6


class Bill(NamedTuple):
    """What a ledger costs under a book and its terms, exactly."""

    book: str
    digest: str  # of the book
    terms: Terms
    lines: tuple[BillLine, ...]

    @property
    def total(self) -> Fraction:
        """Return the dollars of all lines."""
        return sum((line.usd for line in self.lines), Fraction(0))

    @property
    def exact(self) -> str:
        """Return the total as a decimal: exact, or to 12 digits where storage has no finite decimal."""
        return decimal_text(self.total)

    def by_line(self) -> dict[LineName, Fraction]:
        """Return the dollars of each kind of line, zero where nothing was used."""
        dollars = dict.fromkeys(LINES, Fraction(0))
        for line in self.lines:
            dollars[line.line] += line.usd
        return dollars


def decimal_text(usd: Fraction) -> str:
    """Return an amount as a decimal: exactly where it is finite, else rounded half to even to 12 digits.

    >>> decimal_text(Fraction(4050, 30000)), decimal_text(Fraction(12)), decimal_text(Fraction(1, 3))
    ('0.135', '12', '0.333333333333')
    """
    rest, digits = usd.denominator, 0
    for prime in (2, 5):
        power = 0
        while rest % prime == 0:
            rest, power = rest // prime, power + 1
        digits = max(digits, power)
    if rest != 1:
        digits = _DIGITS
    scaled = round(usd * 10**digits)  # half to even; exact where the decimal is finite
    context = Context(prec=max(28, len(str(abs(scaled))) + digits), rounding=ROUND_HALF_EVEN)
    text = f"{Decimal(scaled).scaleb(-digits, context):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
