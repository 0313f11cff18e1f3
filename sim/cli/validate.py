"""``gcsim validate``: may a strategy be rolled out; fit for a gate, as its exit code is the verdict."""

import re
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from sim.cli.desk import Desk, ScenarioName, at_desk
from sim.cli.study import refuse_contradictions
from sim.decisions.rollout.claims import CEILING, DRAWS, question_of
from sim.decisions.rollout.validate import answer
from sim.report.validate_table import validate_report
from sim.stats import LEVEL

__all__ = ["validate"]


@at_desk("validate", without=("baseline",), replications="Exactly so many. [looks at 100, 200, 400, ...]")
def validate(
    desk: Desk,
    scenario: ScenarioName,
    *,
    candidate: Annotated[
        str | None, typer.Option(metavar="STRATEGY", help="What is to be rolled out; has to be given.")
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(metavar="STRATEGY", help="What a saving is over; else the scenario's baseline.")
    ] = None,
    require: Annotated[
        list[str] | None,
        typer.Option(metavar="MEASURE>=LIMIT", help="'saving >= 20%' or 'p99 <= 10s'; may be repeated."),
    ] = None,
    confidence: Annotated[
        str, typer.Option(metavar="SHARE", help="That all that a pass or a fail says is right.")
    ] = str(LEVEL),
    model: Annotated[
        list[str] | None, typer.Option(metavar="MODEL", help="Judge it on this model only; may be repeated. [all]")
    ] = None,
    ceiling: Annotated[
        str | None, typer.Option(metavar="N", help=f"No look at more replications than these. [{CEILING}]")
    ] = None,
    draws: Annotated[
        str | None, typer.Option(metavar="K", help=f"Draws of the inputs that are uncertain. [{DRAWS}]")
    ] = None,
    robustness: Annotated[
        bool, typer.Option("--robustness/--no-robustness", help="Try contested billing and uncertain inputs too.")
    ] = True,
) -> None:
    """Judge whether a strategy keeps what is required of it: 0 where it passes, 1 where it fails or is undecided."""
    refuse_contradictions(desk.arguments, desk.sets, {"baseline": baseline})
    if candidate is None:
        desk.arguments.refuse("--candidate", "is missing", "the strategy that is to be rolled out")
    if desk.replications is not None and ceiling is not None:
        desk.arguments.refuse("--ceiling", "contradicts --replications, which are exactly so many", "one of the two")
    sure = desk.read("--confidence", confidence, _as_share, LEVEL)
    most = desk.read("--ceiling", ceiling, _as_whole, CEILING)
    drawn = desk.read("--draws", draws, _as_whole, DRAWS)
    base = desk.scenario(scenario)

    question = desk.noted(
        lambda: question_of(
            base,
            candidate=candidate,
            require=require or (),
            baseline=baseline,
            confidence=sure,
            models=model or (),
            replications=desk.replications,
            ceiling=most,
            draws=drawn,
            robustness=robustness,
        )
    )
    desk.check()
    assert question is not None  # noqa: S101 - `check` raised otherwise
    desk.answer(
        base,
        question.asked,
        lambda source: answer(question, source),
        validate_report,
        passed=lambda document: bool(document["verdict"] == "pass"),
    )


def _as_share(text: str) -> float:
    """Return a share of 1 from ``0.95`` or ``95%``.

    >>> _as_share("0.95"), _as_share("99 %")
    (0.95, 0.99)
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(%?)", text.strip())
    if match is None:
        raise PydanticCustomError("share", "not a share; such as 0.95")
    return float(match[1]) / (100 if match[2] else 1)


def _as_whole(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,12}", text):
        return int(text)
    raise PydanticCustomError("count", "not a whole number")
