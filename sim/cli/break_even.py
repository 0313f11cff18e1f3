"""``gcsim break-even``: where the best strategy changes over two inputs, as a map."""

from typing import Annotated

import typer

from sim.cli.desk import Desk, ScenarioName, as_size, at_desk
from sim.decisions.drivers.break_even import GRID, REFINE, RUNS, answer, asked, question_of
from sim.report.break_even_map import break_even_report

__all__ = ["break_even"]


@at_desk("break-even", replications=f"Of every point, on the same luck. [{RUNS}]")
def break_even(
    desk: Desk,
    scenario: ScenarioName,
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH=LO..HI", help="An axis, such as strategies.explicit.ttl=5m..4h:log; x, then y."),
    ] = None,
    strategy: Annotated[list[str] | None, typer.Option(metavar="NAME", help="To compare; else all of them.")] = None,
    grid: Annotated[str | None, typer.Option(metavar="N", help=f"Points an axis to begin with. [{GRID}]")] = None,
    refine: Annotated[
        str | None,
        typer.Option(metavar="N", help=f"How often it is made twice as fine where the best changes. [{REFINE}]"),
    ] = None,
) -> None:
    """Map where the best strategy changes over two inputs."""
    base = desk.scenario(scenario)
    points = desk.read("--grid", grid, as_size, GRID)
    finer = desk.read("--refine", refine, as_size, REFINE)
    question = desk.noted(lambda: question_of(base, vary or (), strategy, points, finer, desk.replications))
    desk.check()
    assert question is not None  # noqa: S101 - `check` raised otherwise
    desk.answer(base, asked(question), lambda source: answer(question, source), break_even_report)
