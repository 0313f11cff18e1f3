"""``gcsim advise``: which strategy to take, by simulation and by the guide, and what common mistakes cost here."""

from typing import Annotated

import typer

from sim.cli.desk import AsJson, Desk, OutOrNone, Resume, ScenarioName, Scheduler, WorkersText
from sim.cli.study import BookName, EngineName, Seed, Sets
from sim.decisions.advising.advise import answer_of, asked_of
from sim.decisions.advising.case import case_of
from sim.report.advise_table import advise_report

__all__ = ["advise"]


def advise(
    scenario: ScenarioName,
    *,
    replications: Annotated[
        str | None,
        typer.Option(metavar="N", help="Independent replications. [100; 10 where nothing is random]"),
    ] = None,
    seed: Seed = None,
    sets: Sets = None,
    book: BookName = None,
    engine: EngineName = "auto",
    workers: WorkersText = None,
    scheduler: Scheduler = None,
    out: OutOrNone = None,
    resume: Resume = None,
    as_json: AsJson = False,
) -> None:
    """Say which strategy to take, what the common guide would take and why they part, and price six common mistakes.

    Without --replications 100 are run, from where a verdict can be decided; 10 where nothing is random.
    """
    desk = Desk(
        "advise",
        replications=replications,
        seed=seed,
        sets=sets,
        book=book,
        engine=engine,
        workers=workers,
        scheduler=scheduler,
        out=out,
        resume=resume,
    )
    base = desk.scenario(scenario)
    case = None if base is None else desk.noted(lambda: case_of(base))
    desk.check()
    assert case is not None  # noqa: S101 - `check` raised otherwise
    times = desk.replications
    desk.answer(case.base, asked_of(times), answer_of(case, times), advise_report, as_json=as_json)
