"""``gcsim show``: a saved run or study as it was printed when it was new, without a new simulation."""

from pathlib import Path
from typing import Annotated

import typer

from sim.cli.console import deliver
from sim.report.documents import read_document, report_of

__all__ = ["show"]


def show(
    saved: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a run or a study; or a file with its JSON.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the document as it was saved.")] = False,
) -> None:
    """Print a saved run or study again."""
    document = read_document(saved)
    report = report_of(document)  # which refuses what is no document, as JSON too
    deliver(document, report, as_json=as_json)
