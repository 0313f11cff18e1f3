"""``gcsim tune``: the parameters with which a strategy costs least, and what that saves."""

from typing import Annotated

import typer

from sim.cli.desk import Desk, ScenarioName, as_size, at_desk
from sim.cli.study import as_precision
from sim.decisions.tuning.question import METHODS, REPLICATIONS, Asked, question_of
from sim.decisions.tuning.tune import answer
from sim.report.tune_table import tune_report

__all__ = ["tune"]


@at_desk("tune", replications=f"Those that choose; at least 100 others judge. [{REPLICATIONS}]")
def tune(
    desk: Desk,
    scenario: ScenarioName,
    *,
    strategy: Annotated[
        str | None, typer.Option(metavar="STRATEGY", help="Whose parameters are tuned; has to be given.")
    ] = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH=VALUES",
            help="LO..HI:log, LO..HI:lin or V1,V2,...; may be repeated. [what is usually tuned of the strategy's kind]",
        ),
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="REQUIREMENT", help="Such as 'within_patience >= 95%'; may be repeated."),
    ] = None,
    against: Annotated[
        str, typer.Option(metavar="MEASURE", help="What the Pareto front sets beside the cost.")
    ] = "p95",
    precision: Annotated[
        str, typer.Option(metavar="P", help="The share of the cost that is not worth telling settings apart by.")
    ] = "1%",
    method: Annotated[str, typer.Option(metavar="M", help=f"{' or '.join(METHODS)} (an extra).")] = METHODS[0],
    points: Annotated[
        str | None,
        typer.Option(metavar="N", help="Settings that the search begins with. [17 of a range, 32 of two, ... 128]"),
    ] = None,
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="Which of the scenario's models. [the first]")
    ] = None,
) -> None:
    """Search the parameters of a strategy for the least cost, and say what the best ones save over the present ones."""
    share = desk.read("--precision", precision, as_precision, 0.01)
    count = None if points is None else desk.arguments.read("--points", points, as_size)
    base = desk.scenario(scenario)
    asked = Asked(
        strategy=strategy or "",
        vary=tuple(vary or ()),
        require=tuple(require or ()),
        precision=share,
        against=against,
        method=method,
        points=count,
        replications=desk.replications or REPLICATIONS,
        model=model,
    )
    question = desk.noted(lambda: question_of(base, asked))
    desk.check()
    assert question is not None  # noqa: S101 - `check` raised otherwise
    desk.answer(
        base,
        asked.plain(),
        lambda source: answer(question, source),
        tune_report,
        passed=lambda found: found["outcome"] in {None, "pass"},
    )
