"""``gcsim rate``: what saved ledgers cost under a book and its terms, exactly, without a new simulation."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from rich.box import HORIZONTALS
from rich.table import Table

from sim.billing import Bill, decimal_text
from sim.billing import rate as rate_ledger
from sim.cli.arguments import Arguments
from sim.cli.console import print_json, stdout
from sim.errors import InputError, nearest
from sim.parquet import read_about, read_ledger
from sim.providers import LINES, Book, Terms
from sim.providers.facts import day_of

__all__ = ["rate"]

_WHOSE = ("strategy", "model", "replication")


def rate(
    ledgers: Annotated[
        list[Path], typer.Argument(metavar="LEDGER...", help="Folders of saved ledgers, or of runs that kept them.")
    ],
    book: Annotated[str, typer.Option(metavar="BOOK", help="google, guide, or the path of a TOML file.")] = "google",
    creation: Annotated[str | None, typer.Option(help="input or free; else as the book says.")] = None,
    storage: Annotated[str | None, typer.Option(help="lifetime or committed; else as the book says.")] = None,
    batch_cached: Annotated[
        str | None, typer.Option(help="published, standard or stacked; else as the book says.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.rate/1 as JSON.")] = False,
) -> None:
    """Rate saved ledgers under another price book or other terms."""
    arguments = Arguments()
    chosen = {"creation": creation, "storage": storage, "batch_cached": batch_cached}
    for name, value in chosen.items():
        allowed = get_args(Terms.model_fields[name].annotation)
        if value is not None and value not in allowed:
            arguments.refuse(f"--{name.replace('_', '-')}", "unknown choice", nearest(value, allowed), value)
    folders = _folders(arguments, ledgers)
    opened = arguments.book(book)
    arguments.check()
    assert opened is not None  # noqa: S101 - `check` raised otherwise
    terms = opened.terms.model_copy(update={name: value for name, value in chosen.items() if value is not None})
    rated = [(folder, _whose(folder), rate_ledger(read_ledger(folder), opened, terms)) for folder in folders]
    if as_json:
        print_json(_document(opened, terms, rated))
    else:
        _print(opened, terms, rated)


Rated = tuple[Path, dict[str, Any], Bill]


def _folders(arguments: Arguments, given: Sequence[Path]) -> list[Path]:
    """Return the folders of ledgers that were named, each once; a run stands for all that it kept."""
    folders: dict[Path, None] = {}
    for path in given:
        below = sorted((path / "ledgers").glob("*/requests.parquet"))
        if (path / "manifest.json").is_file() and not below:
            arguments.refuse("LEDGER", "the run kept no ledgers", "a run made with --keep-requests", str(path))
            continue
        found = [file.parent for file in below] or [path.parent if path.name == "requests.parquet" else path]
        for folder in found:
            try:
                read_about(folder)
            except InputError as error:
                arguments.problems += error.problems
            folders[folder] = None
    return list(folders)


def _whose(folder: Path) -> dict[str, Any]:
    about = read_about(folder)
    return {name: about.get(name) for name in _WHOSE} | {"replication": int(about.get("replication", "0"))}


def _document(book: Book, terms: Terms, rated: Sequence[Rated]) -> dict[str, Any]:
    """Return the bills as ``gcsim.rate/1``; exact amounts are decimal texts."""
    return {
        "schema": "gcsim.rate/1",
        "book": book.name,
        "book_sha256": book.digest,
        "terms": terms.model_dump(mode="json"),
        "ledgers": [
            {
                "ledger": str(folder),
                **whose,
                "lines": _lines(bill),
                "lines_usd": {name: decimal_text(usd) for name, usd in bill.by_line().items()},
                "total_usd": bill.exact,
            }
            for folder, whose, bill in rated
        ],
    }


def _lines(bill: Bill) -> list[dict[str, Any]]:
    return [
        {
            "line": line.line,
            "model": line.model,
            "mode": line.mode.name.lower(),
            "tier": line.tier,
            "price_since": day_of(line.since),
            "quantity": line.quantity,
            "unit": "token-milliseconds" if line.line == "storage" else "tokens",
            "usd_per_mtok": decimal_text(line.usd_per_mtok),
            "usd": decimal_text(line.usd),
        }
        for line in bill.lines
    ]


def _print(book: Book, terms: Terms, rated: Sequence[Rated]) -> None:
    said = ", ".join(f"{name} {value}" for name, value in terms.model_dump(mode="json").items())
    caption = f"Exact under book {book.name}: {said}. A ledger is fixed usage, so there are no intervals."
    table = Table(title="Bills in USD", title_justify="left", caption=caption, caption_justify="left", box=HORIZONTALS)
    table.add_column("strategy")
    table.add_column("model")
    table.add_column("run", justify="right")
    for line in LINES:
        table.add_column(line, justify="right")
    table.add_column("total", justify="right")
    for _, whose, bill in rated:
        lines = [_usd(usd) if usd else "–" for usd in bill.by_line().values()]
        table.add_row(*(str(whose[name]) for name in _WHOSE), *lines, _usd(bill.total))
    stdout().print(table)


def _usd(usd: Fraction) -> str:
    return decimal_text(Fraction(round(usd * 10**6), 10**6))
