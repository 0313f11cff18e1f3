"""``gcsim price``: the exact dollars of one request, line by line."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.box import HORIZONTALS
from rich.table import Table

from sim.billing import Bill, decimal_text, price_request
from sim.cli.arguments import Arguments, as_day, warn_of_book
from sim.cli.console import print_json, stdout
from sim.errors import PriceMissing, nearest
from sim.ledger import Mode
from sim.providers import Book
from sim.providers.facts import day_of
from sim.units import as_tokens

__all__ = ["price"]

MODES = {mode.name.lower(): mode for mode in Mode}


def price(
    model: Annotated[str, typer.Argument(help="The model asked for.")],
    *,
    prompt: Annotated[str, typer.Option(help='Prompt tokens, cached ones included, such as 1200 or "50k".')] = "0",
    cached: Annotated[str, typer.Option(help="Tokens of the prompt that are read from a cache.")] = "0",
    audio: Annotated[str, typer.Option(help="Tokens of the prompt that are audio.")] = "0",
    cached_audio: Annotated[str, typer.Option(help="Tokens of the cached ones that are audio.")] = "0",
    output: Annotated[str, typer.Option(help="Tokens generated, thinking included.")] = "0",
    mode: Annotated[str, typer.Option(help="standard, batch, flex or priority.")] = "standard",
    date: Annotated[str | None, typer.Option(help="Day (UTC) or instant of the request; else the book's own.")] = None,
    book: Annotated[str, typer.Option(help="google, guide, or the path of a TOML file.")] = "google",
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.price/1 as JSON.")] = False,
) -> None:
    """Print what one request costs, exactly."""
    arguments = Arguments()
    given = {"prompt": prompt, "cached": cached, "audio": audio, "cached_audio": cached_audio, "output": output}
    tokens = {name: arguments.read(_flag(name), text, as_tokens) for name, text in given.items()}
    _check_parts(arguments, tokens)
    if mode not in MODES:
        arguments.refuse("--mode", "unknown mode", nearest(mode, MODES), mode)
    at_ms = None if date is None else arguments.read("--date", date, as_day)
    opened = arguments.book(book)
    if opened is not None:
        at_ms = opened.checked_ms if date is None else at_ms
        _check_model(arguments, opened, model, at_ms)
    arguments.check()
    assert opened is not None  # noqa: S101  # `check` raised otherwise
    assert at_ms is not None  # noqa: S101
    counts = {name: count or 0 for name, count in tokens.items()}
    bill = price_request(opened, model, MODES[mode], at_ms, terms=None, **counts)
    served = opened.served(model, at_ms)
    tier = opened.entry(served, at_ms).tier(counts["prompt"])
    warn_of_book(opened, at_ms)
    document = _document(bill, model, served, mode, day_of(at_ms), tier)
    if as_json:
        print_json(document)
    else:
        _print(document)


_PARTS = (  # what is counted, what it is a part of, and how that is said
    ("cached", "prompt", "more cached tokens than the prompt has"),
    ("audio", "prompt", "more audio tokens than the prompt has"),
    ("cached_audio", "cached", "more tokens than are cached"),
    ("cached_audio", "audio", "more audio tokens than the prompt has of them"),
)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _check_parts(arguments: Arguments, tokens: Mapping[str, int | None]) -> None:
    """Refuse parts that are larger than their whole; counts that were not read are refused already."""
    counts = {name: count for name, count in tokens.items() if count is not None}
    known = [row for row in _PARTS if row[0] in counts and row[1] in counts]
    wrong = [(part, whole, what) for part, whole, what in known if counts[part] > counts[whole]]
    for part, whole, what in wrong:
        arguments.refuse(_flag(part), what, f"at most {counts[whole]}", counts[part])
    if wrong or len(known) < len(_PARTS):
        return
    most = counts["prompt"] - counts["cached"] + counts["cached_audio"]
    if counts["audio"] > most:
        what = "more uncached audio than the prompt has uncached tokens"
        arguments.refuse("--audio", what, f"at most {most} with this --cached-audio", counts["audio"])


def _check_model(arguments: Arguments, book: Book, model: str, at_ms: int | None) -> None:
    if model not in book.models:
        arguments.refuse("MODEL", f"not in book {book.name!r}", nearest(model, book.models), model)
    elif at_ms is not None:
        try:
            book.entry(book.served(model, at_ms), at_ms)
        except PriceMissing as error:
            arguments.refuse("--date", str(error))


def _document(bill: Bill, model: str, served: str, mode: str, date: str, tier: str) -> dict[str, Any]:
    """Return the bill as ``gcsim.price/1``; exact amounts are decimal texts."""
    lines = [
        {
            "line": line.line,
            "tokens": line.quantity,
            "usd_per_mtok": decimal_text(line.usd_per_mtok),
            "usd": decimal_text(line.usd),
        }
        for line in bill.lines
    ]
    return {
        "schema": "gcsim.price/1",
        "model": model,
        "served_model": served,
        "mode": mode,
        "date": date,
        "book": bill.book,
        "tier": tier,
        "lines": lines,
        "total_usd": bill.exact,
    }


def _print(document: dict[str, Any]) -> None:
    served, model = document["served_model"], document["model"]
    title = model if served == model else f"{model}, served and billed as {served}"
    parts = (title, document["mode"], f"{document['tier']} tier", document["date"], f"book {document['book']}")
    stdout().print(", ".join(parts))
    table = Table(show_footer=True, box=HORIZONTALS)
    table.add_column("line", footer="total")
    table.add_column("tokens", justify="right")
    table.add_column("USD per 1M", justify="right")
    table.add_column("USD", justify="right", footer=document["total_usd"])
    for line in document["lines"]:
        table.add_row(line["line"], f"{line['tokens']:,}", line["usd_per_mtok"], line["usd"])
    stdout().print(table)
