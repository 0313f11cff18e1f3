"""A price book with prices of one's own laid over it: a negotiated rebate, or a rise that one wants to be ready for."""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, create_model

from sim.document import Strict
from sim.providers.load import digest
from sim.providers.numbers import as_picodollars
from sim.providers.prices import Book, Entry
from sim.providers.schema import PRICE_COLUMNS

__all__ = ["OwnPrices", "amended", "prices_of"]


def _as_written(value: object) -> int:
    """Return picodollars of a TOML number: a float has its shortest digits, which are those that were written."""
    return as_picodollars(Decimal(repr(value)) if isinstance(value, float) else value)


_Price = Annotated[int, BeforeValidator(_as_written)]
_COLUMNS: dict[str, Any] = dict.fromkeys(PRICE_COLUMNS, (_Price | None, None))
OwnPrices = create_model("OwnPrices", __base__=Strict, **_COLUMNS)
"""Prices of one model, by the columns of a price book, in USD per 1M tokens (storage: per 1M token-hours)."""


def prices_of(own: Strict) -> dict[str, int]:
    """Return the prices that are given, in picodollars."""
    return own.model_dump(exclude_none=True)


def amended(book: Book, own: Mapping[str, Mapping[str, int]]) -> Book:
    """Return a book with other prices of some of its models, on all dates; its digest tells it from the book.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> dearer = amended(book, {"gemini-2.5-pro": {"input": 2_000_000}})
    >>> dearer.entry("gemini-2.5-pro", book.checked_ms).price("input"), dearer.digest == book.digest
    (2000000, False)
    """
    if not any(own.values()):
        return book
    entries = {
        model: tuple(_laid_over(entry, own[model]) for entry in found) if model in own else found
        for model, found in book.entries.items()
    }
    plain = {model: dict(prices) for model, prices in own.items() if prices}
    return replace(book, digest=digest({"book": book.digest, "prices": plain}), entries=entries)


def _laid_over(entry: Entry, prices: Mapping[str, int]) -> Entry:
    return replace(entry, prices={**entry.prices, **prices}, source="the scenario", confidence="assumed")
