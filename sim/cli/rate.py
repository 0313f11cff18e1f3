"""``gcsim rate``: what saved ledgers cost under a book and its terms, exactly, without a new simulation."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_args

import typer

from sim.billing import Bill, decimal_text
from sim.billing import rate as rate_ledger
from sim.cli.arguments import Arguments
from sim.cli.console import print_json, stderr, stdout
from sim.errors import InputError, nearest
from sim.parquet import read_about, read_ledger, read_terms
from sim.providers import LINES, Book, Terms
from sim.providers.facts import day_of
from sim.report.figures import NONE
from sim.report.tables import FigureTable, empty

__all__ = ["rate"]

_WHOSE = ("strategy", "model", "replication")


class Rated(NamedTuple):
    """A saved ledger and its bill, which says by which terms."""

    folder: Path
    whose: Mapping[str, Any]
    by_run: bool  # whether its run stated terms
    bill: Bill


def rate(
    ledgers: Annotated[
        list[Path], typer.Argument(metavar="LEDGER...", help="Folders of saved ledgers, or of runs that kept them.")
    ],
    book: Annotated[str, typer.Option(metavar="BOOK", help="google, guide, or the path of a TOML file.")] = "google",
    creation: Annotated[str | None, typer.Option(help="input or free; else as the run was rated.")] = None,
    storage: Annotated[str | None, typer.Option(help="lifetime or committed; else as the run was rated.")] = None,
    batch_cached: Annotated[
        str | None, typer.Option(help="published, standard or stacked; else as the run was rated.")
    ] = None,
    free_tier: Annotated[
        bool | None, typer.Option("--free-tier/--no-free-tier", help="Pay nothing, or pay; else as the run was rated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print gcsim.rate/2 as JSON.")] = False,
) -> None:
    """Rate saved ledgers under another price book or other terms.

    A ledger is rated by the terms of its run; under another book, by those in which the run differed from its own book,
    and else by the other book's.
    """
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
    given = {name: value for name, value in (chosen | {"free_tier": free_tier}).items() if value is not None}
    rated = [_rated(folder, opened, given) for folder in folders]
    _warn(opened, rated)
    if as_json:
        print_json(_document(opened, given, rated))
    else:
        stdout().print(_table(opened, rated))


def _rated(folder: Path, book: Book, given: Mapping[str, Any]) -> Rated:
    stated = read_terms(folder)
    terms = _under(book, stated).model_copy(update=given)
    return Rated(folder, _whose(folder), stated is not None, rate_ledger(read_ledger(folder), book, terms))


def _under(book: Book, stated: tuple[Terms, Terms] | None) -> Terms:
    """Return a book's terms, save for those in which a run differed from its own book: they are a choice of the run."""
    if stated is None:
        return book.terms
    terms, usual = (one.model_dump() for one in stated)
    return book.terms.model_copy(update={name: value for name, value in terms.items() if value != usual[name]})


def _warn(book: Book, rated: Sequence[Rated]) -> None:
    for one in rated:
        if not one.by_run:
            stderr().print(f"warning: {one.folder}: says no terms; rated by those of book {book.name}", soft_wrap=True)


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
                read_terms(folder)
            except InputError as error:
                arguments.problems += error.problems
            folders[folder] = None
    return list(folders)


def _whose(folder: Path) -> dict[str, Any]:
    about = read_about(folder)
    return {name: about.get(name) for name in _WHOSE} | {"replication": int(about.get("replication", "0"))}


def _document(book: Book, given: Mapping[str, Any], rated: Sequence[Rated]) -> dict[str, Any]:
    """Return the bills as ``gcsim.rate/2``; exact amounts are decimal texts.

    ``overrides`` are the terms given on the command line. Each ledger has the ``terms`` that it was rated by, and in
    ``terms_of`` what they are but for the overrides: those of its ``run``, or of the ``book`` where it says none.
    """
    return {
        "schema": "gcsim.rate/2",
        "book": book.name,
        "book_sha256": book.digest,
        "overrides": dict(given),
        "ledgers": [
            {
                "ledger": str(one.folder),
                **one.whose,
                "terms": one.bill.terms.model_dump(mode="json"),
                "terms_of": "run" if one.by_run else "book",
                "lines": _lines(one.bill),
                "lines_usd": {name: decimal_text(usd) for name, usd in one.bill.by_line().items()},
                "total_usd": one.bill.exact,
            }
            for one in rated
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


def _table(book: Book, rated: Sequence[Rated]) -> FigureTable:
    """Return the bills with the lines that any of them has; terms that differ between ledgers have columns."""
    terms = [_spoken(one.bill.terms) for one in rated]
    differing = [name for name in terms[0] if len({one[name] for one in terms}) > 1]
    used = {line.line for one in rated for line in one.bill.lines}
    lines = [line for line in LINES if line in used]
    columns = [
        "strategy",
        "model",
        "run",
        *(f"term: {name}" for name in differing),
        *(name.replace("_", " ") for name in lines),
        "total",
    ]
    table = empty("Bills in USD", columns, keys=2, caption=_caption(book, terms[0], differing))
    for one, own in zip(rated, terms, strict=True):
        used, usd = {line.line for line in one.bill.lines}, one.bill.by_line()
        cells = [_usd(usd[line]) if line in used else NONE for line in lines]
        table.add_row(
            *(str(one.whose[name]) for name in _WHOSE), *(own[name] for name in differing), *cells, _usd(one.bill.total)
        )
    return table


def _spoken(terms: Terms) -> dict[str, str]:
    """Return terms as words."""
    return {
        "creation": terms.creation,
        "storage": terms.storage,
        "batch cached": terms.batch_cached,
        "free tier": "yes" if terms.free_tier else "no",
    }


def _caption(book: Book, terms: Mapping[str, str], differing: Sequence[str]) -> str:
    said = [f"{name} {value}" for name, value in terms.items() if name not in differing]
    others = [f"{' and '.join(differing)} as told of each ledger"] if differing else []
    return (
        f"Exact under book {book.name}: {', '.join(said + others)}. A ledger is fixed usage, so there are no intervals."
    )


def _usd(usd: Fraction) -> str:
    return decimal_text(Fraction(round(usd * 10**6), 10**6))
