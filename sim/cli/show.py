"""``gcsim show``: a saved run or study as it was printed when it was new, without a new simulation."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sim.cli.console import print_json, stdout
from sim.report.documents import read_document, report_of

__all__ = ["show"]


def show(
    saved: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a run or a study; or a file with its JSON.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as it was saved.")] = False,
) -> None:
    """Print a saved run or study again."""
    document = read_document(saved)
    report = report_of(document)
    if as_json:
        print_json(document)
    else:
        stdout().print(*report, sep="\n")
    sys.stdout.flush()
