"""The prices that a closed form takes: one model at one instant, in one price tier, under given terms."""

from fractions import Fraction
from typing import NamedTuple

from sim.billing.termed import price_under
from sim.errors import PriceMissing
from sim.ledger import Mode
from sim.providers.prices import PICO, Book, Entry, LineName, Terms, Tier

__all__ = ["Piece", "Tariff", "Use", "pieces"]


class Use(NamedTuple):
    """What a request asks for, on average: a shared prefix, and what it shares with nobody."""

    prefix: Fraction | int  # tokens
    fresh: Fraction | int = 0  # tokens after the prefix
    output: Fraction | int = 0  # tokens


class Tariff(NamedTuple):
    """Exact dollars a token, of storage a token-hour; None where the book has no such price."""

    model: str  # that serves
    input: Fraction
    cached: Fraction | None
    output: Fraction
    creation: Fraction | None  # of an explicit cache, a token written: zero where the terms take it to be free
    storage: Fraction | None
    batch_input: Fraction | None
    batch_cached: Fraction | None
    batch_output: Fraction | None
    committed: bool  # whether storage is paid until the expiry that was asked for, however early the cache is deleted

    @classmethod
    def of(cls, book: Book, model: str, at_ms: int, terms: Terms, *, tokens: int = 0, fresh: int = 0) -> "Tariff":
        """Return the prices of prompts of a prefix of ``tokens`` and ``fresh`` others, ``at_ms`` since the Unix epoch.

        The tier of a request is that of its whole prompt, the tier of a creation that of the prefix alone. Redirects
        are followed. Raises :class:`PriceMissing` where the book has no input or output price.

        >>> from sim.providers import load_book
        >>> book = load_book("google")
        >>> tariff = Tariff.of(book, "gemini-2.5-flash", book.checked_ms, book.terms, tokens=50_000)
        >>> [float(price * 10**6) for price in (tariff.input, tariff.cached, tariff.creation, tariff.storage)]
        [0.3, 0.03, 0.3, 1.0]
        """
        served = book.served(model, at_ms)
        entry = book.entry(served, at_ms)
        asked, written = entry.tier(tokens + fresh), entry.tier(tokens)

        def known(line: LineName, mode: Mode = Mode.STANDARD, tier: Tier = asked) -> Fraction | None:
            return _known(terms, entry, line, mode, tier)

        return cls(
            model=served,
            input=_dollars(price_under(terms, entry, "input", Mode.STANDARD, asked)),
            cached=known("cached"),
            output=_dollars(price_under(terms, entry, "output", Mode.STANDARD, asked)),
            creation=Fraction(0) if terms.creation == "free" and entry.explicit else known("creation", tier=written),
            storage=known("storage", tier="standard"),
            batch_input=known("input", Mode.BATCH),
            batch_cached=known("cached", Mode.BATCH),
            batch_output=known("output", Mode.BATCH),
            committed=terms.storage == "committed",
        )

    def need(self, name: str) -> Fraction:
        """Return a price by its field; raise :class:`PriceMissing` where the book has none."""
        price = getattr(self, name)
        if price is None:
            raise PriceMissing(f"there is no {name.replace('_', ' ')} price of {self.model}")
        return Fraction(price)

    @property
    def spared(self) -> Fraction:
        """Return what reading a token from a cache costs less than computing it."""
        return self.input - self.need("cached")


class Piece(NamedTuple):
    """Prefixes of ``least`` to ``most`` tokens, both included, that share their prices."""

    least: int
    most: int
    tariff: Tariff


def pieces(
    book: Book, model: str, at_ms: int, terms: Terms, *, fresh: int = 0, minimum: int | None = None
) -> list[Piece]:
    """Return the prefixes that can be cached explicitly, by their prices: from the minimum to the context window.

    A break-even depends on prices alone, so it is one number a piece. Of a model with a long-context tier there are
    three: all in the low tier; requests in the long one while the creation is not, as ``prefix + fresh`` is above the
    limit and ``prefix`` is not; and all above. ``minimum`` is the book's unless given. Raises :class:`NotOffered`
    where the model has no explicit caches.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> found = pieces(book, "gemini-2.5-pro", book.checked_ms, book.terms, fresh=500)
    >>> [(piece.least, piece.most) for piece in found]
    [(2048, 199500), (199501, 200000), (200001, 1048576)]
    """
    facts = book.facts[book.served(model, at_ms)]
    least = facts.explicit_minimum.tokens if minimum is None else minimum
    most = facts.context_window.tokens
    limit = book.entry(facts.model, at_ms).long_over
    ends = [most] if limit is None else [limit - fresh, limit, most]
    found: list[Piece] = []
    for end in ends:
        if least <= min(end, most):
            tariff = Tariff.of(book, model, at_ms, terms, tokens=least, fresh=fresh)
            found.append(Piece(least, min(end, most), tariff))
            least = end + 1
    return found


def _known(terms: Terms, entry: Entry, line: LineName, mode: Mode, tier: Tier) -> Fraction | None:
    try:
        return _dollars(price_under(terms, entry, line, mode, tier))
    except PriceMissing:
        return None


def _dollars(pico: Fraction) -> Fraction:
    return pico / PICO
