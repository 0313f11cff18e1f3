"""Money: the one place where quantities meet prices. Rating a ledger under another book needs no new run."""

from collections.abc import Iterator
from decimal import ROUND_HALF_EVEN, Context, Decimal
from fractions import Fraction
from math import ceil
from operator import mul
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.errors import EngineError, PriceMissing
from sim.ledger import Ledger, Mode, Source, Status
from sim.providers.prices import LINES, PICO, TIERS, Book, Entry, LineName, Terms, Tier
from sim.providers.rules import SpendLaw
from sim.trace import Ints
from sim.units import HOUR

__all__ = ["Bill", "BillLine", "decimal_text", "padding_pays_from", "price_request", "rate", "spend_weights"]

_SAFE = 2**62  # sums of int64 below it cannot wrap
_NO_LIMIT = np.iinfo(np.int64).max
_DIGITS = 12  # of an amount that has no finite decimal
_FREE = Fraction(0)  # every price of the free tier
_TEXT: tuple[LineName, ...] = ("input", "cached", "output")  # what a call of text uses


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


class _Usage(NamedTuple):
    """The billed calls of one model."""

    mode: Ints
    prompt: Ints
    cached: Ints
    audio: Ints
    cached_audio: Ints
    output: Ints
    at: Ints  # ms since the Unix epoch


def rate(ledger: Ledger, book: Book, terms: Terms | None = None) -> Bill:
    """Return what a ledger costs under a book.

    A request is billed if it is ``DONE``, by the model that served it, at the price in force when its service started;
    a duplicate call is billed besides. A prompt above the long-context limit is billed at the long tier as a whole.
    Of the free tier every line is there, at a price of zero. Raises :class:`PriceMissing` for usage that the book has
    no price for.

    Parameters
    ----------
    ledger
        Metered usage; its ``models`` are the models that served.
    book
        Prices.
    terms
        How to bill what is contested; the book's own terms if left out.
    """
    chosen = terms or book.terms
    lines: list[BillLine] = []
    for index, model in enumerate(ledger.models):
        lines += _call_lines(_calls(ledger, index), model, book, chosen)
        lines += _cache_lines(ledger, index, book, chosen)
    return Bill(book.name, book.digest, chosen, tuple(lines))


def _calls(ledger: Ledger, model: int) -> _Usage:
    """Return the billed calls that a model served: answered requests, then duplicates."""
    asked = (ledger.status == Status.DONE) & (ledger.model == model)
    again = ledger.duplicate_model == model
    columns = ("mode", "prompt", "cached", "audio", "cached_audio", "output", "sent")
    alone = bool(asked.all()) and not again.any()  # then the columns need no copy
    mode, prompt, cached, audio, cached_audio, output, sent = (
        getattr(ledger, name)
        if alone
        else np.concatenate((getattr(ledger, name)[asked], getattr(ledger, f"duplicate_{name}")[again]))
        for name in columns
    )
    if np.any((cached < 0) | (cached > prompt) | (output < 0)):
        raise EngineError("the ledger is broken: 0 <= cached <= prompt and 0 <= output must hold for a billed call")
    heard = audio - cached_audio
    if np.any((cached_audio < 0) | (cached_audio > cached) | (heard < 0) | (heard > prompt - cached)):
        raise EngineError("the ledger is broken: audio is a part of the prompt, of its cached tokens and of the others")
    return _Usage(mode, prompt, cached, audio, cached_audio, output, sent + ledger.start_ms)


def _call_lines(calls: _Usage, model: str, book: Book, terms: Terms) -> Iterator[BillLine]:
    heard = calls.audio - calls.cached_audio
    quantities: tuple[tuple[LineName, Ints], ...] = (
        ("input", calls.prompt - calls.cached - heard),
        ("cached", calls.cached - calls.cached_audio),
        ("audio_input", heard),
        ("audio_cached", calls.cached_audio),
        ("output", calls.output),
    )
    groups = _Groups.of(book, model, calls.at, calls.prompt, calls.mode)
    for name, tokens in quantities:
        for entry, mode, tier, quantity in groups.sums(tokens):
            price = _price(entry, name, mode, tier, terms)
            yield BillLine(name, model, mode, tier, entry.valid_from, quantity, price)


def _price(entry: Entry, line: LineName, mode: Mode, tier: Tier, terms: Terms) -> Fraction:
    """Return picodollars per token; the terms decide on cached tokens in batch, and in flex, which has batch prices."""
    if terms.free_tier:
        return _FREE
    discounted = line in ("cached", "audio_cached") and mode in (Mode.BATCH, Mode.FLEX)
    if not discounted or terms.batch_cached == "published":
        return Fraction(entry.price(line, mode, tier))
    entry.price("input", mode, tier)  # the mode itself must be offered
    standard = entry.price(line, Mode.STANDARD, tier)
    return Fraction(standard) / (2 if terms.batch_cached == "stacked" else 1)


def _cache_lines(ledger: Ledger, index: int, book: Book, terms: Terms) -> Iterator[BillLine]:
    """Yield what a model's explicit caches cost: their writing, by the tier of their size, and their storage."""
    model = ledger.models[index]
    own = ledger.cache_model == index
    tokens, born = ledger.cache_tokens[own], ledger.cache_born[own] + ledger.start_ms
    if not tokens.size:
        return
    if terms.creation == "input":
        yield from _creation_lines(model, tokens, ledger.cache_audio[own], born, book, terms)
    until = ledger.cache_until[own] + ledger.start_ms
    if terms.storage == "committed":
        until = _committed(until, ledger.cache_committed[own] + ledger.start_ms, book, model)
    yield from _storage_lines(model, tokens, born, until, book, terms)


def _creation_lines(model: str, tokens: Ints, audio: Ints, born: Ints, book: Book, terms: Terms) -> Iterator[BillLine]:
    """Yield the writing of caches at the input prices of text and audio; one line where these are the same price."""
    groups = _Groups.of(book, model, born, tokens, np.zeros_like(tokens))
    written: dict[tuple[int, Tier, Fraction], int] = {}
    parts: tuple[tuple[LineName, Ints], ...] = (("creation", tokens - audio), ("audio_input", audio))
    for line, part in parts:
        for entry, mode, tier, quantity in groups.sums(part):
            if not terms.free_tier:
                entry.price("creation", mode, tier)  # the model must offer caches, of whatever they hold
            key = (entry.valid_from, tier, _price(entry, line, mode, tier, terms))
            written[key] = written.get(key, 0) + quantity
    for (since, tier, price), quantity in written.items():
        yield BillLine("creation", model, Mode.STANDARD, tier, since, quantity, price)


def _committed(until: Ints, committed: Ints, book: Book, model: str) -> Ints:
    """Return the ends of committed storage: a model that is shut down takes its caches with it, and their TTL."""
    turn = book.redirect(model)
    return committed if turn is None else np.maximum(until, np.minimum(committed, turn.at))


def _storage_lines(model: str, tokens: Ints, born: Ints, until: Ints, book: Book, terms: Terms) -> Iterator[BillLine]:
    """Yield the storage of caches held in ``[born, until)``, split where the model's price changes."""
    held = (until > born) & (tokens > 0)
    if not held.any():
        return
    tokens, born, until = tokens[held], born[held], until[held]
    for instant in (int(born.min()), int(until.max()) - 1):
        book.entry(model, instant)  # raises where a cache was held before or after the book's prices
    for entry in book.periods(model):
        end = until if entry.valid_until is None else np.minimum(until, entry.valid_until)
        ms = np.maximum(end - np.maximum(born, entry.valid_from), 0)
        quantity = sum(map(mul, tokens.tolist(), ms.tolist()))  # Python integers: token-milliseconds outgrow int64
        if quantity:
            price = _price(entry, "storage", Mode.STANDARD, "standard", terms)
            yield BillLine("storage", model, Mode.STANDARD, "standard", entry.valid_from, quantity, price)


class _Groups(NamedTuple):
    """Which calls share a price: one code a call, made of price period, tier and mode."""

    entries: tuple[Entry, ...]
    code: npt.NDArray[np.int64]  # (n,) ((period * tiers) + tier) * modes + mode

    @classmethod
    def of(cls, book: Book, model: str, at: Ints, size: Ints, mode: Ints) -> "_Groups":
        """Return the groups of calls at instants, their tier decided by a size in tokens."""
        if not at.size:
            return cls((), at)
        entries = book.periods(model)
        for instant in (int(at.min()), int(at.max())):
            book.entry(model, instant)  # raises where a call lies before or after the book's prices
        limits = np.array([_NO_LIMIT if e.long_over is None else e.long_over for e in entries], dtype=np.int64)
        if len(entries) == 1:
            return cls(entries, (size > limits[0]) * len(Mode) + mode)
        period = np.searchsorted([e.valid_from for e in entries], at, side="right") - 1
        tier = size > limits[period]
        return cls(entries, (period * len(TIERS) + tier) * len(Mode) + mode)

    def sums(self, tokens: Ints) -> Iterator[tuple[Entry, Mode, Tier, int]]:
        """Yield the exact token sum of each group that used any."""
        for code, quantity in enumerate(_totals(self.code, tokens, len(self.entries) * len(TIERS) * len(Mode))):
            if quantity:
                rest, mode = divmod(code, len(Mode))
                period, tier = divmod(rest, len(TIERS))
                yield self.entries[period], Mode(mode), TIERS[tier], quantity


def _totals(code: npt.NDArray[np.int64], tokens: Ints, groups: int) -> list[int]:
    """Return the exact sum of each group: in int64 where that cannot wrap, else in Python integers."""
    if not tokens.any():
        return [0] * groups
    if int(tokens.max()) * tokens.size < _SAFE:
        sums = np.zeros(groups, dtype=np.int64)
        if code.min() == (only := code.max()):
            sums[only] = tokens.sum()
            return sums.tolist()
        np.add.at(sums, code, tokens)
        return sums.tolist()
    totals = [0] * groups
    for group, count in zip(code.tolist(), tokens.tolist(), strict=True):
        totals[group] += count
    return totals


def price_request(  # noqa: PLR0913 - a request has as many quantities
    book: Book,
    model: str,
    mode: Mode,
    at_ms: int,
    *,
    prompt: int,
    cached: int = 0,
    audio: int = 0,
    cached_audio: int = 0,
    output: int = 0,
    terms: Terms | None = None,
) -> Bill:
    """Return what one request costs when its service starts at an instant, billed by the model that serves it then.

    ``audio`` tokens are a part of the prompt, ``cached_audio`` tokens a part of the cached ones and of the audio.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> bill = price_request(book, "gemini-2.5-pro", Mode.STANDARD, book.checked_ms, prompt=100_000, output=1_000)
    >>> bill.exact
    '0.135'
    """
    served = book.served(model, at_ms)
    source = Source.EXPLICIT if cached else Source.NONE
    one = {"model": 0, "mode": mode, "source": source, "status": Status.DONE, "attempts": 1, "job": -1}
    one |= {"prompt": prompt, "cached": cached, "audio": audio, "cached_audio": cached_audio, "output": output}
    one |= {"arrived": 0, "sent": 0, "done": 0}
    columns = {
        name: np.array([one[name]] if name in one else [], dtype=np.int64)
        for name in Ledger._fields
        if name not in ("models", "start_ms")
    }
    return rate(Ledger(**columns, models=(served,), start_ms=at_ms), book, terms)


def padding_pays_from(book: Book, model: str, at_ms: int, minimum: int) -> int:
    """Return the tokens from which filling a context up to the minimum is cheaper than reading it uncached.

    ``minimum`` cached tokens cost less than ``k`` fresh ones for ``k > minimum * cached / input``. Creation and storage
    are left out: they are paid once, reads each time.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> padding_pays_from(book, "gemini-2.5-flash", book.checked_ms, 2_048)
    205
    """
    entry = book.entry(model, at_ms)
    return minimum * entry.price("cached") // entry.price("input") + 1


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
            return ceil(_price(entry, line, mode, tier, terms))
        except PriceMissing:
            return 0

    usual = {line: weight(line, "standard") for line in _TEXT}
    if not any(usual.values()):
        return SpendLaw()
    if entry.long_over is None:
        return SpendLaw(**usual)
    return SpendLaw(**usual, long_over=entry.long_over, **{f"long_{line}": weight(line, "long") for line in _TEXT})
