"""The price book: dated prices in whole picodollars, and the terms that they are applied under."""

import datetime as dt
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

from sim.document import Strict
from sim.errors import PriceMissing, Problem, nearest
from sim.ledger import Mode
from sim.providers.facts import Assumption, LatencyFact, ModelFacts, Redirect, day_of, midnight
from sim.providers.limits import Platform, PublishedLimits
from sim.providers.media import Media
from sim.units import DAY, Switch

__all__ = ["LINES", "PICO", "TIERS", "Book", "Entry", "LineName", "Terms", "Tier"]

PICO = 10**12  # picodollars in a dollar
STALE_DAYS = 180  # a book that was checked longer ago than this is worth a warning

LineName: TypeAlias = Literal["input", "cached", "audio_input", "audio_cached", "output", "creation", "storage"]
Tier: TypeAlias = Literal["standard", "long"]

LINES: tuple[LineName, ...] = get_args(LineName)
TIERS: tuple[Tier, ...] = ("standard", "long")


class Terms(Strict):
    """The contested rules of rating; a scenario may override each of them.

    ``stacked`` takes half of the standard cached price in a batch: the mistake of a plan that expects both discounts,
    for study only.
    """

    creation: Literal["input", "free"]  # whether writing an explicit cache costs the input price
    storage: Literal["lifetime", "committed"]  # until the cache ended, or until the last expiry that was asked for
    batch_cached: Literal["published", "standard", "stacked"]  # the price of a cached token in batch and flex
    free_tier: Switch = False  # whether the project pays nothing at all


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The prices of one model in ``[valid_from, valid_until)``.

    A prompt of strictly more than ``long_over`` tokens, cached ones included, is billed at the long tier as a whole:
    with 1,000 tokens of output, 200,000 tokens of Gemini 2.5 Pro cost $0.260 and 200,001 cost $0.5150025.
    """

    book: str
    model: str
    valid_from: int  # ms since the Unix epoch
    valid_until: int | None  # None = open-ended
    prices: Mapping[str, int]  # column of the book -> picodollars per token; of "storage": per token-hour
    long_over: int | None  # None = one tier
    explicit: bool  # whether the model offers explicit caches
    flex: bool  # whether the book offers flex, at batch prices
    priority: Fraction | None  # factor on the standard price; None = the book offers no priority
    source: str
    confidence: str
    note: str

    def tier(self, prompt: int) -> Tier:
        """Return the tier of a prompt: ``long`` strictly above the limit."""
        return "long" if self.long_over is not None and prompt > self.long_over else "standard"

    def price(self, line: LineName, mode: Mode = Mode.STANDARD, tier: Tier = "standard") -> int | Fraction:
        """Return picodollars per token (storage: per token-hour), exactly; of text they are whole.

        Creating a cache is an ordinary call, so ``creation`` is the standard input price of the tier; storage has
        neither mode nor tier. Audio whose price the book leaves blank costs what text does. Raises
        :class:`PriceMissing` where the book gives no price; none is taken instead.
        """
        if line in ("creation", "storage"):
            if not self.explicit:
                raise self._missing(line, mode, tier, "the model offers no explicit cache")
            return self._column("storage" if line == "storage" else _prefix(tier) + "input", line, mode, tier)
        if mode == Mode.PRIORITY:
            if self.priority is None:
                raise self._missing(line, mode, tier, "the book offers no priority")
            return self._published(line, mode, tier) * self.priority
        if mode == Mode.FLEX and not self.flex:
            raise self._missing(line, mode, tier, "the book offers no flex")
        return self._published(line, mode, tier)

    def _published(self, line: LineName, mode: Mode, tier: Tier) -> int | Fraction:
        """Return a price of a call before the priority factor.

        Audio has no price of its own where the column is blank and above the limit of the long tier: it is text there.
        No page prints a price of cached audio in a batch: it is discounted as cached text is, so it is
        ``audio_cached * batch_cached / cached``.
        """
        if line not in ("audio_input", "audio_cached"):
            return self._text(line, mode, tier)
        batched = mode in (Mode.BATCH, Mode.FLEX)
        column = "batch_audio_input" if batched and line == "audio_input" else line
        if tier == "long" or column not in self.prices:
            return self._text(line.removeprefix("audio_"), mode, tier)
        full = self.prices[column]
        if line == "audio_input" or not batched:
            return full
        cached = self._text("cached", Mode.STANDARD, tier)
        return Fraction(full * self._text("cached", mode, tier), cached) if cached else full

    def _text(self, line: str, mode: Mode, tier: Tier) -> int:
        batch = "batch_" if mode in (Mode.BATCH, Mode.FLEX) else ""
        return self._column(f"{_prefix(tier)}{batch}{line}", line, mode, tier)

    def _column(self, column: str, line: str, mode: Mode, tier: Tier) -> int:
        try:
            return self.prices[column]
        except KeyError:
            raise self._missing(line, mode, tier, f"{column} is blank") from None

    def _missing(self, line: str, mode: Mode, tier: Tier, why: str) -> PriceMissing:
        what = line if line in ("creation", "storage") else f"{mode.name.lower()} {line}"
        tail = f", {tier} tier" if line != "storage" else ""
        return PriceMissing(
            f"book {self.book!r} has no {what} price of {self.model}{tail} from {day_of(self.valid_from)}: {why}"
        )


def _prefix(tier: Tier) -> str:
    return "long_" if tier == "long" else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """One provider's catalogue as one file states it: prices, terms, facts, and what is assumed of the service."""

    name: str
    digest: str  # sha256 of the values; independent of key order, layout and how a number is written
    checked: dt.date  # the day whose knowledge the book holds
    source: str
    entries: Mapping[str, tuple[Entry, ...]]  # per model by date, without gap or overlap
    terms: Terms
    priority: Fraction | None
    facts: Mapping[str, ModelFacts]
    redirects: tuple[Redirect, ...]
    service: Mapping[str, Any]  # a valid `sim.providers.service.Service`, as plain values to lay a scenario's own over
    latency: Mapping[str, LatencyFact]  # by model or by family
    limits: PublishedLimits
    media: Mapping[int, Media]  # by generation of models
    platforms: Mapping[str, Platform]
    assumptions: tuple[Assumption, ...]
    warnings: tuple[Problem, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Return the names of the models that the book has prices for."""
        return tuple(sorted(self.entries))

    @property
    def checked_ms(self) -> int:
        """Return the first instant of the day that the book was checked on."""
        return midnight(self.checked)

    def entry(self, model: str, at_ms: int) -> Entry:
        """Return the one entry in force for a model at an instant; raise :class:`PriceMissing` where there is none."""
        entries = self.periods(model)
        position = bisect_right(entries, at_ms, key=lambda e: e.valid_from) - 1
        if position < 0:
            first = day_of(entries[0].valid_from)
            raise PriceMissing(
                f"book {self.name!r} has no price of {model} on {day_of(at_ms)}: its prices begin on {first}"
            )
        found = entries[position]
        if found.valid_until is not None and at_ms >= found.valid_until:
            raise PriceMissing(
                f"book {self.name!r} has no price of {model} on {day_of(at_ms)}: its prices end on "
                f"{day_of(found.valid_until)}"
            )
        return found

    def periods(self, model: str) -> tuple[Entry, ...]:
        """Return a model's entries by date; raise :class:`PriceMissing` for a model that the book does not know."""
        if model not in self.entries:
            raise PriceMissing(f"book {self.name!r} has no model {model!r}; {nearest(model, self.entries)}")
        return self.entries[model]

    def served(self, model: str, at_ms: int) -> str:
        """Return the model that serves a request for a model at an instant: redirects are followed to their end."""
        self.periods(model)
        while (turn := self.redirect(model)) is not None and at_ms >= turn.at:
            model = turn.to
        return model

    def redirect(self, model: str) -> Redirect | None:
        """Return where a model's requests go once it is shut down."""
        return next((r for r in self.redirects if r.model == model), None)

    def changes(self, model: str, from_ms: int) -> list[int]:
        """Return the instants after ``from_ms`` at which a model's prices change, end, or pass to a successor."""
        entries = self.periods(model)
        ends = {e.valid_from for e in entries} | {e.valid_until for e in entries if e.valid_until is not None}
        turn = self.redirect(model)
        return sorted(at for at in ends | ({turn.at} if turn else set()) if at > from_ms)

    def stale(self, at_ms: int) -> str | None:
        """Return a warning where an instant lies more than 180 days after the book was checked."""
        days = (at_ms - self.checked_ms) // DAY
        if days <= STALE_DAYS:
            return None
        return f"book {self.name!r} was checked on {self.checked}, {days} days before {day_of(at_ms)}"
