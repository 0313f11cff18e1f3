"""The shape of a price book's file: what each key may hold, checked key by key."""

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sim.document import Strict
from sim.providers.facts import Confidence, Family, Generation, LatencyFact
from sim.providers.limits import Enqueued, Platform, Quota, Spend
from sim.providers.media import MediaTable
from sim.providers.numbers import as_factor, as_picodollars, as_share
from sim.providers.prices import Terms
from sim.providers.service import Service
from sim.units import PositiveTokens, Switch

__all__ = ["PRICE_COLUMNS", "BookFile", "PriceRow"]

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
    generation: Generation
    implicit: Switch
    explicit: Switch
    batch: Switch
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
    """The priority tier: a factor on every standard price, and a share of the standard limits."""

    factor: Annotated[Any, BeforeValidator(as_factor)]
    limit_share: Annotated[Any, BeforeValidator(as_share)]


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
    platforms: Annotated[dict[Literal["developer", "vertex"], Platform], Field(min_length=1)]
    quotas: tuple[Quota, ...] = ()
    enqueued: tuple[Enqueued, ...] = ()
    spend: Spend | None = None
    media: dict[Literal["2", "3"], MediaTable] = {}
    latency: Annotated[dict[str, LatencyFact], Field(default_factory=dict)]
    models: dict[str, ModelTable]
    prices: Annotated[list[PriceRow], Field(min_length=1)]
    redirects: tuple[RedirectRow, ...] = ()
    assumptions: tuple[AssumptionRow, ...] = ()
