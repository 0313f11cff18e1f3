"""``gcsim uncertainty``: what not knowing its inputs does to a scenario's costs, and which of them to measure next."""

import re
from typing import Annotated

import typer
from pydantic_core import PydanticCustomError

from sim.cli.desk import Desk, ScenarioName, at_desk
from sim.decisions.doubt.uncertainty import MOST_DRAWS, Question, answer, certain, wrong_question
from sim.report.uncertainty_table import uncertainty_report

__all__ = ["uncertainty"]

_USUAL = Question()


@at_desk("uncertainty", without=("replications", "baseline"))
def uncertainty(
    desk: Desk,
    scenario: ScenarioName,
    *,
    draws: Annotated[
        str | None, typer.Option(metavar="N", help=f"Draws of what is not known. [{_USUAL.draws}]")
    ] = None,
    replications: Annotated[
        str | None, typer.Option(metavar="N", help=f"Runs of every strategy at each draw. [{_USUAL.replications}]")
    ] = None,
) -> None:
    """Draw the uncertain values of a scenario: what costs come of it, how much is luck, and what to measure next.

    A value is uncertain that is a law: rate = "lognormal(120/h, cv=0.3)" in the file, or by --set.
    """
    times = (
        desk.read("--draws", draws, _as_count, _USUAL.draws),
        desk.read("--replications", replications, _as_count, _USUAL.replications),
    )
    base = desk.scenario(scenario)
    question = Question(*times)
    for problem in wrong_question(question, base):
        desk.arguments.problems.append(problem)
    desk.check()
    assert base is not None  # noqa: S101 - `check` raised otherwise
    desk.answer(
        certain(base),
        question._asdict(),
        lambda source: answer(source, question, base),
        uncertainty_report,
    )


def _as_count(text: str) -> int:
    if re.fullmatch(r"[0-9]{1,6}", text) and 1 <= int(text) <= MOST_DRAWS:
        return int(text)
    raise PydanticCustomError("count", f"not a count; a whole number from 1 to {MOST_DRAWS:,}")
