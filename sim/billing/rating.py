"""The rating of a ledger: its quantities meet prices. Another book needs no new run."""

from collections.abc import Iterator
from fractions import Fraction
from operator import mul
from typing import NamedTuple

import numpy as np

from sim.billing.bill import Bill, BillLine
from sim.billing.groups import Groups
from sim.billing.termed import price_under
from sim.errors import EngineError
from sim.ledger import Ledger, Mode, Status
from sim.providers.prices import Book, LineName, Terms, Tier
from sim.trace import Ints

__all__ = ["rate"]


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
    groups = Groups.of(book, model, calls.at, calls.prompt, calls.mode)
    for name, tokens in quantities:
        for entry, mode, tier, quantity in groups.sums(tokens):
            price = price_under(terms, entry, name, mode, tier)
            yield BillLine(name, model, mode, tier, entry.valid_from, quantity, price)


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
    groups = Groups.of(book, model, born, tokens, np.zeros_like(tokens))
    written: dict[tuple[int, Tier, Fraction], int] = {}
    parts: tuple[tuple[LineName, Ints], ...] = (("creation", tokens - audio), ("audio_input", audio))
    for line, part in parts:
        for entry, mode, tier, quantity in groups.sums(part):
            if not terms.free_tier:
                entry.price("creation", mode, tier)  # the model must offer caches, of whatever they hold
            key = (entry.valid_from, tier, price_under(terms, entry, line, mode, tier))
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
            price = price_under(terms, entry, "storage", Mode.STANDARD, "standard")
            yield BillLine("storage", model, Mode.STANDARD, "standard", entry.valid_from, quantity, price)
