"""``gcsim sensitivity``: which inputs of a scenario drive the cost, the saving and the wait of each strategy."""

from typing import Annotated

import typer

from sim.cli.desk import Desk, ScenarioName, as_size, at_desk
from sim.decisions.drivers.methods import Sizes
from sim.decisions.drivers.outputs import USUAL
from sim.decisions.drivers.sensitivity import CHOICES, USUAL_SIZES, answer, asked, question_of
from sim.report.sensitivity_table import sensitivity_report

__all__ = ["sensitivity"]


@at_desk("sensitivity", replications="Of every point, on the same luck. [2; 10 where there are few]")
def sensitivity(
    desk: Desk,
    scenario: ScenarioName,
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=RANGE",
            help="60/h..240/h, 1k..50k:log, 1h,2h,4h or 'lognormal(120/h, cv=0.3)'; may be repeated. [the scenario's "
            "own laws, else half to twice of what usually matters]",
        ),
    ] = None,
    method: Annotated[
        str,
        typer.Option(metavar="M", help=f"{', '.join(CHOICES)}; auto: Morris, Sobol' of the first five, a tornado."),
    ] = "auto",
    output: Annotated[
        list[str] | None,
        typer.Option(metavar="MEASURE", help=f"Such as 'p95 latency of chat'; may be repeated. [{', '.join(USUAL)}]"),
    ] = None,
    strategy: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Else all of them.")] = None,
    trajectories: Annotated[
        str | None, typer.Option(metavar="N", help=f"Of Morris's design. [{USUAL_SIZES.trajectories}]")
    ] = None,
    rows: Annotated[
        str | None, typer.Option(metavar="N", help=f"Of Sobol's net, a power of two. [{USUAL_SIZES.rows}]")
    ] = None,
    points: Annotated[str | None, typer.Option(metavar="N", help=f"Of PAWN's design. [{USUAL_SIZES.points}]")] = None,
) -> None:
    """Find out which inputs drive the cost, the saving and the wait."""
    base = desk.scenario(scenario)
    sizes = _sizes(desk, {"trajectories": trajectories, "rows": rows, "points": points})
    question = desk.noted(
        lambda: question_of(base, vary or (), method, output or USUAL, strategy, sizes, desk.replications)
    )
    desk.check()
    assert question is not None  # noqa: S101 - `check` raised otherwise
    desk.answer(base, asked(question), lambda source: answer(question, source), sensitivity_report)


def _sizes(desk: Desk, texts: dict[str, str | None]) -> Sizes:
    """Return the sizes of designs, those that are given over the usual ones; note what is no number."""
    usual = USUAL_SIZES._asdict()
    return Sizes(**{name: desk.read(f"--{name}", text, as_size, usual[name]) for name, text in texts.items()})
