"""What ``gcsim run`` and ``gcsim replay`` share: reading their options, the progress bar, saving and printing."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic_core import PydanticCustomError

from sim.cli.arguments import Arguments
from sim.cli.console import deliver, progress_bar, stderr
from sim.engines.choice import ENGINES
from sim.errors import InputError, nearest
from sim.experiments.replications import Asked
from sim.experiments.result import Result
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.run_folder import subject_of
from sim.experiments.shelf import records
from sim.experiments.summary import summarise
from sim.report.run_table import run_report
from sim.scenario import Scenario, shipped
from sim.store import Record, prepare, save

__all__ = [
    "as_precision",
    "conclude",
    "examined",
    "note",
    "read_replications",
    "read_seed",
    "refuse_contradictions",
    "refuse_engine",
    "refuse_scenario",
    "simulating",
]

RESULTS = Path("results")
MOST_REPLICATIONS = 1_000_000
_SEED_BITS = 128

# text, not int: a wrong number is one line among all the mistakes of the command line
Replications = Annotated[
    str | None, typer.Option("--replications", metavar="N", help="Independent replications; else the scenario's.")
]
Seed = Annotated[str | None, typer.Option("--seed", metavar="S", help="Root of all luck; else the scenario's.")]
Sets = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key of the scenario; may be repeated."),
]
Baseline = Annotated[
    str | None, typer.Option("--baseline", metavar="STRATEGY", help="What the others are compared with.")
]
BookName = Annotated[
    str | None, typer.Option("--book", metavar="BOOK", help="google, guide, or the path of a TOML file.")
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the run gets a new folder. [results]")]
Keep = Annotated[bool, typer.Option("--keep-requests", help="Save every request, cache and job; see gcsim rate.")]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="E", help=f"{', '.join(ENGINES)}: the same results at another speed.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print gcsim.run/2 as JSON.")]


def read_replications(arguments: Arguments, text: str | None) -> int | None:
    """Return the number of replications asked for, None if none was."""
    return None if text is None else arguments.read("--replications", text, _as_count)


def read_seed(arguments: Arguments, text: str | None) -> int | None:
    """Return the seed asked for, None if none was."""
    return None if text is None else arguments.read("--seed", text, _as_seed)


def _as_count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,12}", text) and 1 <= int(text) <= MOST_REPLICATIONS:
        return int(text)
    raise PydanticCustomError("count", "not a number of replications; a whole number from 1 to 1,000,000")


def as_precision(text: str) -> float:
    """Return a share, given in percent or as a number.

    >>> as_precision("2%"), as_precision("0.5 %"), as_precision("0.02")
    (0.02, 0.005, 0.02)
    """
    if found := re.fullmatch(r"([0-9]{1,3}(?:\.[0-9]{1,6})?|\.[0-9]{1,6})( ?%)?", text):
        share = float(found[1]) / (100 if found[2] else 1)
        if 0 < share < 1:
            return share
    raise PydanticCustomError("precision", "not a relative precision; more than 0 and less than 100%, such as 2%")


def _as_seed(text: str) -> int:
    # 2^128 has 39 digits: a longer text need not be read, and Python would refuse one of thousands
    if (
        re.fullmatch(r"[0-9]{1,39}|0x[0-9a-fA-F]{1,32}", text)
        and (seed := int(text, 0 if "x" in text else 10)) < 1 << 128
    ):
        return seed
    raise PydanticCustomError("seed", "not a seed; a whole number from 0 to 2^128 - 1, hexadecimal after 0x")


def refuse_contradictions(arguments: Arguments, sets: Sequence[str], flags: Mapping[str, object]) -> None:
    """Refuse a key that is set twice: by ``--set KEY=...`` and by the flag of its name."""
    keys = {text.partition("=")[0].strip() for text in sets}
    for key in sorted(keys & {name for name, value in flags.items() if value is not None}):
        arguments.refuse(f"--{key}", f"contradicts --set {key}=...", "one of the two")


def refuse_scenario(arguments: Arguments, scenario: str) -> bool:
    """Refuse what is neither a file nor a shipped scenario, and tell whether it was."""
    if Path(scenario).exists() or Path(scenario).suffix == ".toml" or scenario in shipped():
        return False
    hint = f"a file that ends in .toml, or a shipped one: {nearest(scenario, shipped())}"
    arguments.refuse("SCENARIO", "no such scenario", hint, scenario)
    return True


def refuse_engine(arguments: Arguments, engine: str) -> None:
    """Refuse an engine that there is not."""
    if engine not in ENGINES:
        arguments.refuse("--engine", "unknown engine", nearest(engine, ENGINES), engine)


def examined(arguments: Arguments, read: Callable[[], Scenario], baseline: str | None, out: Path | None) -> Scenario:
    """Return the scenario if it, the baseline and the folder for results are in order; else raise every mistake."""
    scenario = None
    try:
        scenario = read()
    except InputError as error:
        arguments.problems += error.problems
    if scenario is not None and baseline is not None:
        names = [arm.name for arm in scenario.arms]
        if baseline not in names:
            arguments.refuse("--baseline", "unknown strategy", nearest(baseline, names), baseline)
    try:
        prepare(out or RESULTS)
    except InputError as error:
        arguments.problems += error.problems
    except OSError as error:
        arguments.refuse(
            "--out", f"cannot be a folder ({error.strerror})", "a folder, which need not exist yet", str(out)
        )
    arguments.check()
    assert scenario is not None  # noqa: S101 - `check` raised otherwise
    return scenario


def note(sentence: str) -> None:
    """Tell on stderr what is known before the results are there; a progress bar stays below it."""
    print(f"gcsim: {sentence}", file=sys.stderr)


@contextmanager
def simulating() -> Iterator[Callable[[float, int], None]]:
    """Show a bar on stderr while a run goes on; an interrupt ends the command, with nothing written."""
    try:
        with progress_bar("simulating") as progress:
            yield progress
    except KeyboardInterrupt:
        print("gcsim: interrupted; nothing was written", file=sys.stderr)
        raise typer.Exit(3) from None


def conclude(asked: Asked, result: Result, *, sets: Sequence[str], out: Path | None, as_json: bool) -> None:
    """Save a run, unless it is, print it, and tell where it is."""
    summary = summarise(result)
    folder = result.folder or save(out or RESULTS, _record(asked, result, summary, sets))
    try:
        deliver(summary, run_report(summary), as_json=as_json)
    finally:  # also for a reader who left before the end
        stderr().print(f"saved: {folder}", soft_wrap=True)


def _record(asked: Asked, result: Result, summary: dict[str, Any], sets: Sequence[str]) -> Record:
    scenario = asked.scenario
    return Record(
        subject=subject_of(asked, sets, sys.argv[1:]),
        columns=COLUMNS,
        rows=rows(result),
        summary=summary,
        cells=dict(records(result)),
        ledgers={(kept.strategy, kept.model, kept.replication): kept.ledger for kept in result.kept},
        terms={arm.name: arm.terms for arm in scenario.arms},
        book_terms=scenario.book.terms,
    )
