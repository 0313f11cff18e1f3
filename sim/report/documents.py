"""A report for every document: what the commands print follows from the JSON that they save, so it can be had again."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType

from sim.errors import InputError, Problem, nearest
from sim.report.advise_table import advise_report
from sim.report.break_even_map import break_even_report
from sim.report.capacity_table import capacity_report
from sim.report.run_table import run_report
from sim.report.sensitivity_table import sensitivity_report
from sim.report.sweep_table import sweep_report
from sim.report.tune_table import tune_report
from sim.report.uncertainty_table import uncertainty_report
from sim.report.validate_table import validate_report

__all__ = ["REPORTS", "read_document", "report_of", "show"]

SUMMARY = "summary.json"

REPORTS: dict[str, Callable[[dict[str, Any]], Iterator[RenderableType]]] = {
    "gcsim.run/2": run_report,
    "gcsim.sweep/1": sweep_report,
    "gcsim.advise/1": advise_report,
    "gcsim.break-even/1": break_even_report,
    "gcsim.capacity/1": capacity_report,
    "gcsim.sensitivity/1": sensitivity_report,
    "gcsim.tune/1": tune_report,
    "gcsim.uncertainty/1": uncertainty_report,
    "gcsim.validate/1": validate_report,
}


def report_of(document: Mapping[str, Any]) -> list[RenderableType]:
    """Return what is to be printed of a document, in order.

    Raises :class:`InputError` for one that has no report, or that does not hold what its schema says.
    """
    schema = document.get("schema")
    if not isinstance(schema, str) or schema not in REPORTS:
        raise InputError([Problem(SUMMARY, 0, "schema", "no report of it", nearest(str(schema), REPORTS), schema)])
    try:
        return list(REPORTS[schema](dict(document)))
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        what = f"not what {schema} holds ({type(error).__name__}: {error})"
        raise InputError([Problem(SUMMARY, 0, "", what, "a document as a command of gcsim saved it")]) from None


def read_document(path: Path) -> dict[str, Any]:
    """Return the document of a saved run or study: of its folder, or a file as ``--json`` prints it.

    Raises :class:`InputError` where there is none, and where it is no JSON.
    """
    place = path / SUMMARY if path.is_dir() else path
    try:
        found = json.loads(place.read_bytes())
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        allowed = "a folder that a run or a study came to its end in, or a file with its JSON"
        raise InputError([Problem(str(place), 0, "", what, allowed)]) from None
    except ValueError:
        raise InputError([Problem(str(place), 0, "", "torn, or no JSON", "what a command of gcsim wrote")]) from None
    if not isinstance(found, dict):
        raise InputError([Problem(str(place), 0, "", "not a document", "a JSON object with a schema")])
    return found


def show(document: Mapping[str, Any], *, assumptions: bool = True, width: int = 120) -> None:
    """Print a document as its command does: for scripts, with ``summarise(result)`` or the summary of a finding.

    A script that shows several of one scenario may leave out the list of ``assumptions``, which are the same.
    """
    document = {**document, "assumptions": document.get("assumptions") if assumptions else []}
    console = Console(width=width, highlight=False, markup=False, emoji=False)
    console.print(*report_of(document), sep="\n")
