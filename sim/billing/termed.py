"""A price under terms: what the book says and what the contested rules make of it."""

from fractions import Fraction

from sim.ledger import Mode
from sim.providers.prices import Entry, LineName, Terms, Tier

__all__ = ["price_under"]

_FREE = Fraction(0)  # every price of the free tier


def price_under(terms: Terms, entry: Entry, line: LineName, mode: Mode, tier: Tier) -> Fraction:
    """Return picodollars per token; the terms decide on cached tokens in batch, and in flex, which has batch prices."""
    if terms.free_tier:
        return _FREE
    discounted = line in ("cached", "audio_cached") and mode in (Mode.BATCH, Mode.FLEX)
    if not discounted or terms.batch_cached == "published":
        return Fraction(entry.price(line, mode, tier))
    entry.price("input", mode, tier)  # the mode itself must be offered
    standard = entry.price(line, Mode.STANDARD, tier)
    return Fraction(standard) / (2 if terms.batch_cached == "stacked" else 1)
