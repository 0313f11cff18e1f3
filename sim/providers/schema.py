"""The shape of a price book's file: what each key may hold, checked key by key."""

import datetime as dt
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from sim.document import Strict
from sim.providers.facts import Confidence, Family, LatencyFact
from sim.providers.prices import Terms
from sim.providers.service import Service
from sim.units import PositiveTokens

__all__ = ["PRICE_COLUMNS", "BookFile", "PriceRow", "number"]

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


def _factor(value: object) -> Fraction:
    amount = _decimal(value)
    if not _PER_TOKEN <= amount <= 100:
        raise _wrong("not a factor on a price", "at most 100, such as 1.8")
    return Fraction(amount)


def _decimal(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise _wrong("not a number", "a plain decimal such as 0.125, without quotes")
    if isinstance(value, Decimal) and not value.is_finite():
        raise _wrong("not a finite number", "a plain decimal such as 0.125")
    return Decimal(value)


def _wrong(what: str, allowed: str) -> PydanticCustomError:
    return PydanticCustomError("price", "{what}; {allowed}", {"what": what, "allowed": allowed})


Price = Annotated[int, BeforeValidator(as_picodollars)]
Day = Annotated[dt.date, Field(strict=True)]
Text = Annotated[str, Field(min_length=1)]


class Head(Strict):
    """The ``[book]`` table: what the file is, and the units of every number below it."""

    schema_: Annotated[Literal["gcsim.book/1"], Field(alias="schema")]
    name: Text
    currency: Literal["USD"]
    unit: Literal["usd_per_mtok"]
    storage_unit: Literal["usd_per_mtok_hour"]
    zone: Literal["UTC"]  # of the midnights at which dated values begin
    checked: Day
    source: Text


class PriceRow(Strict):
    """One ``[[prices]]`` entry: a model's prices in ``[valid_from, valid_until)``; a blank price is not offered."""

    model: Text
    valid_from: Day
    valid_until: Day | None = None
    input: Price
    output: Price
    cached: Price | None = None
    batch_input: Price | None = None
    batch_output: Price | None = None
    batch_cached: Price | None = None
    long_over: PositiveTokens | None = None
    long_input: Price | None = None
    long_output: Price | None = None
    long_cached: Price | None = None
    long_batch_input: Price | None = None
    long_batch_output: Price | None = None
    long_batch_cached: Price | None = None
    storage: Price | None = None  # per 1M token-hours
    audio_input: Price | None = None  # a blank audio price is the text price
    audio_cached: Price | None = None
    batch_audio_input: Price | None = None
    source: Text
    confidence: Confidence
    note: str = ""


_NOT_PRICES = frozenset({"model", "valid_from", "valid_until", "long_over", "source", "confidence", "note"})
PRICE_COLUMNS = tuple(name for name in PriceRow.model_fields if name not in _NOT_PRICES)


class FigureTable(Strict):
    """A token count with its confidence."""

    tokens: PositiveTokens
    confidence: Confidence
    note: str = ""


class MinimumRow(Strict):
    """One dated minimum of implicit caching, in ``[valid_from, valid_until)``."""

    valid_from: Day
    valid_until: Day | None = None
    tokens: PositiveTokens
    confidence: Confidence
    note: str = ""


class ModelTable(Strict):
    """What one model offers."""

    family: Family
    implicit: bool
    explicit: bool
    batch: bool
    context_window: FigureTable
    explicit_minimum: FigureTable | None = None
    minimums: tuple[MinimumRow, ...] = ()


class RedirectRow(Strict):
    """A model's shut-down, after which another one serves its requests."""

    model: Text
    at: Day
    to: Text
    confidence: Confidence
    source: Text


class Priority(Strict):
    """The priority tier: a factor on every standard price."""

    factor: Annotated[Any, BeforeValidator(_factor)]


class Flex(Strict):
    """The flex tier: the batch prices, cached price included."""

    prices: Literal["batch"]


class AssumptionRow(Strict):
    """One sentence on a value that is not a plain published fact."""

    path: Text
    confidence: Confidence
    text: Text


class BookFile(Strict):
    """The whole file."""

    book: Head
    terms: Terms
    priority: Priority | None = None
    flex: Flex | None = None
    service: Service
    latency: Annotated[dict[str, LatencyFact], Field(default_factory=dict)]
    models: dict[str, ModelTable]
    prices: Annotated[list[PriceRow], Field(min_length=1)]
    redirects: tuple[RedirectRow, ...] = ()
    assumptions: tuple[AssumptionRow, ...] = ()
