"""``gcsim advise``: which strategy to take, by simulation and by the guide, and what common mistakes cost here."""

from sim.cli.desk import Desk, ScenarioName, at_desk
from sim.decisions.advising.advise import answer_of, asked_of
from sim.decisions.advising.case import case_of
from sim.report.advise_table import advise_report

__all__ = ["advise"]


@at_desk("advise", without=("baseline",), replications="Independent replications. [100; 60 where nothing is random]")
def advise(
    desk: Desk,
    scenario: ScenarioName,
) -> None:
    """Say which strategy to take, what the common guide would take and why they part, and price six common mistakes.

    Without --replications 100 are run, from where a verdict can be decided; 60 where these are all alike.
    """
    base = desk.scenario(scenario)
    case = None if base is None else desk.noted(lambda: case_of(base))
    desk.check()
    assert case is not None  # noqa: S101 - `check` raised otherwise
    times = desk.replications
    desk.answer(case.base, asked_of(times), answer_of(case, times), advise_report)
