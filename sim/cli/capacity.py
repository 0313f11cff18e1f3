"""``gcsim capacity``: how much load each strategy takes before a requirement is broken, under which usage tier."""

from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from sim.cli.desk import Desk, ScenarioName, at_desk
from sim.decisions.planning.capacity import answer
from sim.decisions.planning.load_question import Asked, question_of
from sim.decisions.planning.loads import RESOLUTION
from sim.report.capacity_table import capacity_report
from sim.stats import LEVEL

__all__ = ["capacity"]


@at_desk("capacity", replications="Of a load that is tested; at least 100. [100]")
def capacity(
    desk: Desk,
    scenario: ScenarioName,
    *,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Such as 'p95 latency of chat <= 5s'; all of them have to be met."),
    ] = None,
    strategy: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Else all of them.")] = None,
    tier: Annotated[
        list[str] | None,
        typer.Option(metavar="T", help="free, 1, 2 or 3; may be repeated. Else the scenario's own."),
    ] = None,
    load: Annotated[
        str | None,
        typer.Option(metavar="LO..HI", help="Loads to try. [64 times the scenario's own, up and down]"),
    ] = None,
    resolution: Annotated[
        str | None, typer.Option(metavar="SHARE", help="How far neighbouring loads are apart. [5%]")
    ] = None,
    confidence: Annotated[
        str | None, typer.Option(metavar="SHARE", help="That the load is not too large. [95%]")
    ] = None,
    growth: Annotated[
        str | None, typer.Option(metavar="FACTOR/month", help="Such as 1.2/month: which tier each month takes.")
    ] = None,
    lasting: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long it grows, such as 12months.")
    ] = None,
) -> None:
    """Find the largest load that still meets every requirement, with the confidence asked."""
    base = desk.scenario(scenario)
    step = desk.read("--resolution", resolution, _as_share, RESOLUTION)
    sure = desk.read("--confidence", confidence, _as_share, LEVEL)
    told = Asked(require or [], strategy or [], tier or [], load, step, sure, desk.replications, growth, lasting)
    asked = desk.noted(lambda: question_of(base, told))
    desk.check()
    assert asked is not None  # noqa: S101 - `check` raised otherwise
    desk.answer(base, asked.asked, lambda source: answer(source, asked), capacity_report)


def _as_share(text: str) -> float:
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise PydanticCustomError("share", "not a share; such as 5% or 0.05") from None
