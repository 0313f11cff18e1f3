"""What a call counts against a limit of spend: weights of a quota and no bill."""

from math import ceil

from sim.billing.termed import price_under
from sim.errors import PriceMissing
from sim.ledger import Mode
from sim.providers.prices import Book, Entry, LineName, Terms, Tier
from sim.providers.rules import SpendLaw

__all__ = ["spend_weights"]

_TEXT: tuple[LineName, ...] = ("input", "cached", "output")  # what a call of text uses


def spend_weights(book: Book, model: str, at_ms: int, terms: Terms) -> tuple[SpendLaw, SpendLaw, SpendLaw, SpendLaw]:
    """Return what a call of each mode counts against a spend limit, in picodollars a token at an instant.

    These are weights of a quota and no bill: whole, so half an odd price counts as the next whole one; of text prices
    only; and zero where the book has no price, which rating refuses.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> spend_weights(book, "gemini-2.5-flash", book.checked_ms, book.terms)[Mode.STANDARD]
    SpendLaw(input=300000, cached=30000, output=2500000, long_over=-1, long_input=0, long_cached=0, long_output=0)
    """
    entry = book.entry(model, at_ms)
    standard, batch, flex, priority = (_weights(entry, mode, terms) for mode in Mode)
    return standard, batch, flex, priority


def _weights(entry: Entry, mode: Mode, terms: Terms) -> SpendLaw:
    def weight(line: LineName, tier: Tier) -> int:
        try:
            return ceil(price_under(terms, entry, line, mode, tier))
        except PriceMissing:
            return 0

    usual = {line: weight(line, "standard") for line in _TEXT}
    if not any(usual.values()):
        return SpendLaw()
    if entry.long_over is None:
        return SpendLaw(**usual)
    return SpendLaw(**usual, long_over=entry.long_over, **{f"long_{line}": weight(line, "long") for line in _TEXT})
