"""Run every strategy on the same realisations, as often as asked, or until the costs are known well enough."""

from collections.abc import Sequence
from pathlib import Path

from sim.errors import InputError, Problem, nearest
from sim.experiments.arguments import wrong_arguments
from sim.experiments.outcome import result_of
from sim.experiments.progress import Progress
from sim.experiments.replications import Asked, Replications
from sim.experiments.result import Result
from sim.experiments.run_folder import carry_out, subject_of
from sim.experiments.simulate import Notice, silent
from sim.experiments.until_sure import Until, wrong_precision
from sim.scenario import Scenario
from sim.stopping import CEILING, FLOOR

__all__ = ["Progress", "asked_of", "carried_out", "run"]


def run(  # noqa: PLR0913 - as many as the command has options
    scenario: Scenario,
    *,
    replications: int | None = None,
    precision: float | None = None,
    floor: int = FLOOR,
    ceiling: int = CEILING,
    seed: int | None = None,
    baseline: str | None = None,
    keep_requests: bool = False,
    engine: str = "auto",
    out: str | Path | None = None,
    resume: str | Path | None = None,
    progress: Progress | None = None,
    notice: Notice = silent,
) -> Result:
    """Return what every strategy costs and how long its callers wait, over independent replications.

    Replication ``r`` of a seed is the same whatever the strategies and however many replications there are.

    Parameters
    ----------
    scenario
        From :func:`sim.load`.
    replications, seed, baseline
        Instead of the scenario's own.
    precision, floor, ceiling
        Instead of a number of replications: go on until every mean cost, and every difference to the baseline as a
        share of the baseline's mean cost, is known to that relative half-width, such as 0.02; see
        :mod:`sim.experiments.until_sure`. How it ended is the result's ``certainty``.
    keep_requests
        Keep the ledger of every cell in the result.
    engine
        ``reference``, ``fast``, or ``auto``: the fast one where the run is large enough to repay its start-up. The
        results are the same; of what the fast engine runs, one cell in a hundred is run again on the reference.
    out
        Where the run gets a new folder, into which its cells go as they arrive. A run that is stopped then raises
        :class:`sim.cells.Resumable`. By default nothing is written.
    resume
        The folder of an earlier run of the same scenario, seed, book and code: what is there is not computed again. One
        that was asked for the same goes on in its folder; else there is a new one, below ``out`` or beside it.
    progress
        Called after each cell with the cells done and the cells in all, as far as that is known.
    notice
        Called with each sentence, once, that a user should know meanwhile: that the fast engine is being compiled, or
        that it does not cover a strategy, which then runs on the reference.
    """
    until = None if precision is None else Until(precision, floor, ceiling)
    problems = [] if until is None else wrong_precision(until)
    if until is not None and replications is not None:
        problems.append(Problem("run", 0, "replications", "contradicts precision", "one of the two", replications))
    if keep_requests and (out is not None or resume is not None):
        what = "contradicts out and resume: ledgers are not kept with the cells that they are measured in"
        problems.append(Problem("run", 0, "keep_requests", what, "one of the two"))
    asked = asked_of(
        scenario,
        replications=replications,
        until=until,
        seed=seed,
        baseline=baseline,
        engine=engine,
        problems=problems,
    )
    if out is None and resume is None:
        return carried_out(asked, keep_requests=keep_requests, progress=progress, notice=notice)
    place, earlier = (None if path is None else Path(path) for path in (out, resume))
    work = Replications(asked, progress=progress, notice=notice)
    return carry_out(work, subject_of(asked), out=place, resume=earlier)


def carried_out(
    asked: Asked, *, keep_requests: bool = False, progress: Progress | None = None, notice: Notice = silent
) -> Result:
    """Return the result of what is asked, of which nothing is written."""
    work = Replications(asked, whole=keep_requests, progress=progress, notice=notice)
    return result_of(work, work.carry_out())


def asked_of(
    scenario: Scenario,
    *,
    replications: int | None = None,
    until: Until | None = None,
    seed: int | None = None,
    baseline: str | None = None,
    engine: str = "auto",
    problems: Sequence[Problem] = (),
) -> Asked:
    """Return what is asked of a run, the rest as the scenario says; refuse what no run can have, and ``problems``."""
    times = scenario.replications if replications is None else replications
    root = scenario.seed if seed is None else seed
    names = [arm.name for arm in scenario.arms]
    found = [*problems, *wrong_arguments("run", times, root, engine)]
    if baseline is not None and baseline not in names:
        found.append(Problem("run", 0, "baseline", "unknown strategy", nearest(baseline, names), baseline))
    if found:
        raise InputError(found)
    return Asked(
        scenario=scenario,
        seed=root,
        baseline=baseline or scenario.baseline,
        replications=times if until is None else None,
        until=until,
        engine=engine,
    )
