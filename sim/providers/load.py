"""Strict loading of a price book: every mistake at once, with its line; nothing is guessed."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any

from sim.document import Document, Strict, parse, read, validate
from sim.errors import InputError, Problem, nearest
from sim.providers.checks import problems_between, warnings_of
from sim.providers.facts import Assumption, Figure, Minimum, ModelFacts, Redirect, midnight
from sim.providers.limits import PublishedLimits
from sim.providers.numbers import number
from sim.providers.prices import Book, Entry, Terms
from sim.providers.resolve import merged
from sim.providers.schema import PRICE_COLUMNS, BookFile, MinimumRow, ModelTable, PriceRow
from sim.providers.service import Service

__all__ = ["SHIPPED", "load_book"]

SHIPPED = ("google", "guide")

_EXACT = Context(prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN)


def load_book(name_or_path: str) -> Book:
    """Return a shipped book by its name, or the book of a TOML file by its path.

    Raises :class:`InputError` with every mistake of the file, or for a name that is neither.

    >>> load_book("google").entry("gemini-2.5-pro", load_book("google").checked_ms).price("input")
    1250000
    """
    if name_or_path in SHIPPED:
        path = Path(__file__).with_name(f"{name_or_path}.toml")
    else:
        path = Path(name_or_path)
        if path.suffix != ".toml" and not path.exists():
            hint = f"{nearest(name_or_path, SHIPPED)}, or the path of a TOML file"
            raise InputError([Problem("price book", 0, "", "no such book", hint, name_or_path)])
    try:
        raw = path.read_bytes()
    except OSError:
        return _book(read(path, parse_float=number))  # which says what is wrong with the file
    return _parsed(str(path), raw)


@lru_cache(maxsize=16)
def _parsed(name: str, raw: bytes) -> Book:
    """Return the book of a file's bytes; a sweep asks for it once a setting."""
    return _book(parse(raw, name, parse_float=number))


def _book(document: Document) -> Book:
    data = document.data
    floats: dict[str, Any] = {key: _floats(data[key]) for key in ("service", "latency", "platforms") if key in data}
    problems = problems_between(document)
    try:
        file = validate(document, BookFile, {**data, **floats})
    except InputError as error:
        raise InputError([*error.problems, *problems]) from None
    if problems := [*problems, *_overlays(document, file, floats["service"])]:
        raise InputError(problems)
    return Book(
        name=file.book.name,
        digest=digest(data),
        checked=file.book.checked,
        source=file.book.source,
        entries={model: _entries(file, model) for model in file.models},
        terms=file.terms,
        priority=file.priority.factor if file.priority else None,
        facts={model: _facts(file, model, table) for model, table in file.models.items()},
        redirects=tuple(Redirect(r.model, midnight(r.at), r.to, r.confidence) for r in file.redirects),
        service=floats["service"],
        latency=file.latency,
        limits=_limits(file),
        media={int(generation): table.media for generation, table in file.media.items()},
        platforms={str(name): platform for name, platform in file.platforms.items()},
        assumptions=tuple(Assumption(a.path, a.confidence, a.text) for a in file.assumptions),
        warnings=tuple(warnings_of(document)),
    )


def _overlays(document: Document, file: BookFile, service: dict[str, Any]) -> Iterator[Problem]:
    """Yield what is wrong with what the platforms lay over the book's service and terms."""
    for name, table in file.platforms.items():
        below: tuple[tuple[str, type[Strict], dict[str, Any], dict[str, Any]], ...] = (
            ("service", Service, service, table.service),
            ("terms", Terms, file.terms.model_dump(), table.terms),
        )
        for key, model, own, above in below:
            try:
                validate(document, model, merged(own, above), ("platforms", name, key))
            except InputError as error:
                yield from error.problems


def _limits(file: BookFile) -> PublishedLimits:
    return PublishedLimits(
        quotas={(row.model, row.tier): row for row in file.quotas},
        enqueued={(row.family, row.tier): row for row in file.enqueued},
        spend=file.spend,
        priority_share=file.priority.limit_share if file.priority else None,
    )


def _entries(file: BookFile, model: str) -> tuple[Entry, ...]:
    rows = sorted((row for row in file.prices if row.model == model), key=lambda row: row.valid_from)
    return tuple(_entry(file, row) for row in rows)


def _entry(file: BookFile, row: PriceRow) -> Entry:
    return Entry(
        book=file.book.name,
        model=row.model,
        valid_from=midnight(row.valid_from),
        valid_until=_end(row.valid_until),
        prices={name: price for name in PRICE_COLUMNS if (price := getattr(row, name)) is not None},
        long_over=row.long_over,
        explicit=file.models[row.model].explicit,
        flex=file.flex is not None,
        priority=file.priority.factor if file.priority else None,
        source=row.source,
        confidence=row.confidence,
        note=row.note,
    )


def _facts(file: BookFile, model: str, table: ModelTable) -> ModelFacts:
    least = table.explicit_minimum
    return ModelFacts(
        model=model,
        book=file.book.name,
        family=table.family,
        generation=table.generation,
        implicit=table.implicit,
        explicit=table.explicit,
        batch=table.batch,
        context_window=Figure(table.context_window.tokens, table.context_window.confidence),
        explicit_figure=Figure(least.tokens, least.confidence) if least else None,
        minimums=tuple(_minimum(row) for row in sorted(table.minimums, key=lambda row: row.valid_from)),
        latency=file.latency.get(model, file.latency.get(table.family)),
    )


def _minimum(row: MinimumRow) -> Minimum:
    return Minimum(midnight(row.valid_from), _end(row.valid_until), Figure(row.tokens, row.confidence))


def _end(day: dt.date | None) -> int | None:
    return None if day is None else midnight(day)


def digest(data: dict[str, Any]) -> str:
    """Return the sha256 of a book's values: no order of keys, layout or spelling of a number changes it.

    >>> digest({"a": Decimal("0.30"), "b": 2}) == digest({"b": Decimal("2.0"), "a": Decimal("0.3")})
    True
    """
    text = json.dumps(_canonical(data), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _canonical(value: Any) -> Any:
    """Return a value as JSON that keeps its kind: the number 1, the text "1" and true differ."""
    if isinstance(value, dict):
        return {key: _canonical(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_canonical(item) for item in value]
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, Decimal)):
        return {"number": str(Decimal(value).normalize(_EXACT)) if value else "0"}  # minus zero is zero
    return {type(value).__name__: value.isoformat()}


def _floats(value: Any) -> Any:
    """Return values with floats for decimals: what is no money is no exact number either."""
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, Decimal) else value
