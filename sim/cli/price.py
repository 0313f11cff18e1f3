"""``gcsim price``: the exact dollars of one request, line by line."""

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
    prompt: Annotated[str, typer.Option(help='Prompt tokens, cached ones included, such as 1200 or "50k".')] = "0",
    cached: Annotated[str, typer.Option(help="Tokens of the prompt that are read from a cache.")] = "0",
    output: Annotated[str, typer.Option(help="Tokens generated, thinking included.")] = "0",
    mode: Annotated[str, typer.Option(help="standard, batch, flex or priority.")] = "standard",
    date: Annotated[str | None, typer.Option(help="Day (UTC) or instant of the request; else the book's own.")] = None,
    book: Annotated[str, typer.Option(help="google, guide, or the path of a TOML file.")] = "google",
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.price/1 as JSON.")] = False,
) -> None:
    """Print what one request costs, exactly."""
    arguments = Arguments()
    tokens = {
        flag: arguments.read(flag, text, as_tokens)
        for flag, text in (("--prompt", prompt), ("--cached", cached), ("--output", output))
    }
    in_prompt, in_cache = tokens["--prompt"], tokens["--cached"]
    if in_prompt is not None and in_cache is not None and in_cache > in_prompt:
        arguments.refuse("--cached", "more cached tokens than the prompt has", f"at most {in_prompt}", in_cache)
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
    counts = {flag.removeprefix("--"): count or 0 for flag, count in tokens.items()}
    bill = price_request(
        opened, model, MODES[mode], at_ms, prompt=counts["prompt"], cached=counts["cached"], output=counts["output"]
    )
    served = opened.served(model, at_ms)
    tier = opened.entry(served, at_ms).tier(counts["prompt"])
    warn_of_book(opened, at_ms)
    document = _document(bill, model, served, mode, day_of(at_ms), tier)
    if as_json:
        print_json(document)
    else:
        _print(document)


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
