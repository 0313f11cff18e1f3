"""``gcsim prices``: the catalogue in force on a date, with its sources, its limits and what changes next."""

from fractions import Fraction
from typing import Annotated, Any

import typer
from rich.box import HORIZONTALS
from rich.table import Table

from sim.billing import decimal_text
from sim.cli.arguments import Arguments, as_day, warn_of_book
from sim.cli.console import print_json, stdout
from sim.cli.limits import limits_document, limits_table
from sim.errors import PriceMissing, nearest
from sim.providers import Book, Entry
from sim.providers.facts import day_of

__all__ = ["prices"]

_COLUMNS = (("standard", ""), ("batch", "batch_"), ("long prompts", "long_"))  # heading, prefix of the price columns
_WIDE = 110  # characters in which no figure need be broken


def prices(
    model: Annotated[str | None, typer.Argument(help="One model; else all that have a price on the date.")] = None,
    date: Annotated[str | None, typer.Option(help="Day (UTC) or instant; else the day the book was checked.")] = None,
    book: Annotated[str, typer.Option(help="google, guide, or the path of a TOML file.")] = "google",
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.prices/2 as JSON.")] = False,
) -> None:
    """Print the prices in force on a date."""
    arguments = Arguments()
    at_ms = None if date is None else arguments.read("--date", date, as_day)
    opened = arguments.book(book)
    if opened is not None and model is not None and model not in opened.models:
        arguments.refuse("MODEL", f"not in book {opened.name!r}", nearest(model, opened.models), model)
    arguments.check()
    assert opened is not None  # noqa: S101  # `check` raised otherwise
    at_ms = opened.checked_ms if at_ms is None else at_ms
    wanted = opened.models if model is None else (opened.served(model, at_ms),)
    entries = [entry for name in wanted if (entry := _in_force(opened, name, at_ms, asked=model is not None))]
    warn_of_book(opened, at_ms)
    document = _document(opened, entries, at_ms)
    if as_json:
        print_json(document)
        return
    _print(document)
    for row in document["models"] if model is not None else []:
        _print_limits(row)


def _in_force(book: Book, model: str, at_ms: int, *, asked: bool) -> Entry | None:
    """Return a model's entry; a model that was asked for by name must have one."""
    try:
        return book.entry(model, at_ms)
    except PriceMissing:
        if asked:
            raise
        return None


def _document(book: Book, entries: list[Entry], at_ms: int) -> dict[str, Any]:
    return {
        "schema": "gcsim.prices/2",
        "book": book.name,
        "digest": book.digest,
        "checked": book.checked.isoformat(),
        "date": day_of(at_ms),
        "unit": "usd_per_mtok",
        "storage_unit": "usd_per_mtok_hour",
        "terms": book.terms.model_dump(),
        "models": [_model(book, entry, at_ms) for entry in entries],
        "assumptions": [assumption._asdict() for assumption in book.assumptions],
        "warnings": [str(problem) for problem in book.warnings],
        "priority_limit_share": None if (share := book.limits.priority_share) is None else decimal_text(share),
    }


def _model(book: Book, entry: Entry, at_ms: int) -> dict[str, Any]:
    facts = book.facts[entry.model]
    return {
        "model": entry.model,
        "family": facts.family,
        "implicit_cache": facts.implicit,
        "explicit_cache": facts.explicit,
        "valid_from": day_of(entry.valid_from),
        "valid_until": None if entry.valid_until is None else day_of(entry.valid_until),
        "prices": {column: decimal_text(Fraction(pico, 10**6)) for column, pico in entry.prices.items()},
        "long_over": entry.long_over,
        "confidence": entry.confidence,
        "source": entry.source,
        "note": entry.note,
        "limits": limits_document(book, entry.model),
        "changes": [
            {"date": day_of(change), "what": _change(book, entry, change)}
            for change in book.changes(entry.model, at_ms)
        ],
    }


def _change(book: Book, entry: Entry, at_ms: int) -> str:
    """Return in words what happens to a model at an instant."""
    served = book.served(entry.model, at_ms)
    if served != entry.model:
        return f"served by {served}"
    try:
        after = book.entry(entry.model, at_ms)
    except PriceMissing:
        return "ends"
    before = book.entry(entry.model, at_ms - 1)
    moved = [name for name in {**before.prices, **after.prices} if before.prices.get(name) != after.prices.get(name)]
    names = [name for name in moved if name in ("input", "output", "cached", "storage")] or moved
    values = (f"{name} {_shown(after.prices.get(name))}" for name in names)
    return ", ".join(values) or "the same prices"


def _shown(pico: int | None) -> str:
    return "-" if pico is None else decimal_text(Fraction(pico, 10**6))


def _print(document: dict[str, Any]) -> None:
    stdout().print(f"book {document['book']}, {document['date']}: USD per 1M tokens, input/output/cached")
    if not document["models"]:
        stdout().print("No model has a price on that date.")
        return
    table = Table(box=HORIZONTALS)
    table.add_column("model", no_wrap=True)
    wide = stdout().width >= _WIDE
    for heading, _ in _COLUMNS:
        table.add_column(heading, overflow="fold", no_wrap=wide and heading != _COLUMNS[-1][0])
    table.add_column("storage/h", justify="right")
    table.add_column("source")
    table.add_column("next change", overflow="fold")
    sources = sorted({(m["confidence"], m["source"]) for m in document["models"]})
    for model in document["models"]:
        numbers = model["prices"]
        groups = [_group(numbers, prefix) for _, prefix in _COLUMNS]
        if model["long_over"]:
            groups[-1] = f"over {model['long_over']:,}: {groups[-1] or '-'}"
        mark = f"{model['confidence']} [{sources.index((model['confidence'], model['source'])) + 1}]"
        change = next((f"{c['date']}: {c['what']}" for c in model["changes"]), "")
        table.add_row(model["model"], *groups, numbers.get("storage", "-"), mark, change)
    stdout().print(table)
    for number, (_, source) in enumerate(sources, 1):
        stdout().print(f"[{number}] {source}", markup=False)


def _print_limits(model: dict[str, Any]) -> None:
    if not model["limits"]:
        stdout().print(f"No limits of {model['model']} are published.")
        return
    stdout().print(limits_table(model["model"], model["limits"]))


def _group(numbers: dict[str, str], prefix: str) -> str:
    names = [f"{prefix}{line}" for line in ("input", "output", "cached")]
    return "/".join(numbers.get(name, "-") for name in names) if any(n in numbers for n in names) else ""
