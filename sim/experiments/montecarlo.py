"""Run every strategy on the same realisations: one item of work is a replication, drawn once for all of them."""

from collections.abc import Callable, Iterator
from functools import cache

from sim.engines.choice import ENGINES, chosen
from sim.errors import InputError, Problem, nearest
from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.cells import measure
from sim.experiments.pairs import Pair, horizon_ms, pairs_of, realised, recorded_of
from sim.experiments.result import Cell, Kept, Result
from sim.experiments.simulate import Notice, ledger_of, silent
from sim.experiments.survey import survey
from sim.scenario import Scenario
from sim.sketch import same
from sim.trace import Trace
from sim.traces import Recorded

__all__ = ["Progress", "run"]

WITNESSED = 100  # one cell of so many that the fast engine ran is run again on the reference

Progress = Callable[[int, int], None]  # (items done, items in all)


def run(
    scenario: Scenario,
    *,
    replications: int | None = None,
    seed: int | None = None,
    baseline: str | None = None,
    keep_requests: bool = False,
    engine: str = "auto",
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
    keep_requests
        Keep the ledger of every cell in the result.
    engine
        ``reference``, ``fast``, or ``auto``: the fast one where the run is large enough to repay its start-up. The
        results are the same; of what the fast engine runs, one cell in a hundred is run again on the reference.
    progress
        Called after each cell with the cells done and the cells in all.
    notice
        Called with each sentence, once, that a user should know meanwhile: that the fast engine is being compiled, or
        that it does not cover a strategy, which then runs on the reference.
    """
    times = scenario.replications if replications is None else replications
    root = scenario.seed if seed is None else seed
    _check(scenario, times, root, baseline, engine)
    recorded = recorded_of(scenario)
    pairs = pairs_of(scenario, recorded)
    cells: list[Cell] = []
    kept: list[Kept] = []
    once = times if recorded is None else 1  # the requests of a record are the same in every replication
    found = survey(scenario, ((trace, sharing) for _, trace, sharing in _realisations(pairs, recorded, root, once)))
    runs = sum(found.requests.get(pair.workload, 0) for pair in pairs) * times / once
    using, tell = chosen(engine, runs), cache(notice)  # a sentence is told once
    for replication, trace, sharing in _realisations(pairs, recorded, root, times):
        for pair in sharing:
            ledger = ledger_of(pair, trace, engine=using, witness=len(cells) % WITNESSED == 0, notice=tell)
            cells.append(measure(ledger, trace, pair, scenario.book, replication))
            if keep_requests:
                kept.append(Kept(pair.arm.name, pair.model, replication, ledger))
            if progress is not None:
                progress(len(cells), len(pairs) * times)
    created = {(cell.strategy, cell.model) for cell in cells if cell.caches.created}
    warnings = caveats(scenario, pairs, recorded, found, created)
    horizon = horizon_ms(scenario.spec, recorded)
    return _result(scenario, cells, kept, pairs, horizon, times, root, baseline, warnings)


def _realisations(
    pairs: list[Pair], recorded: Recorded | None, seed: int, times: int
) -> Iterator[tuple[int, Trace, list[Pair]]]:
    """Yield each replication's traces, one at a time, each with the pairs that share it."""
    workloads = dict.fromkeys(pair.workload for pair in pairs)
    groups = [[pair for pair in pairs if pair.workload == workload] for workload in workloads]
    for replication in range(times):
        for sharing in groups:
            first = sharing[0]
            yield replication, realised(first.arm, first.media, recorded, seed, replication), sharing


def _check(scenario: Scenario, times: int, seed: int, baseline: str | None, engine: str) -> None:
    """Refuse arguments that no run can have; the scenario's own are in order already."""
    names = [arm.name for arm in scenario.arms]
    problems = []
    if times < 1:
        problems.append(Problem("run", 0, "replications", "must be at least 1", "a whole number", times))
    if not 0 <= seed < 1 << 128:
        problems.append(Problem("run", 0, "seed", "out of range", "a whole number from 0 to 2^128 - 1", seed))
    if baseline is not None and baseline not in names:
        problems.append(Problem("run", 0, "baseline", "unknown strategy", nearest(baseline, names), baseline))
    if engine not in ENGINES:
        problems.append(Problem("run", 0, "engine", "unknown engine", nearest(engine, ENGINES), engine))
    if problems:
        raise InputError(problems)


def _result(
    scenario: Scenario,
    cells: list[Cell],
    kept: list[Kept],
    pairs: list[Pair],
    horizon_ms: int,
    times: int,
    seed: int,
    baseline: str | None,
    warnings: tuple[str, ...],
) -> Result:
    strategies = tuple(arm.name for arm in scenario.arms)
    order = {(pair.arm.name, pair.model): position for position, pair in enumerate(pairs)}
    cells.sort(key=lambda cell: (order[cell.strategy, cell.model], cell.replication))
    return Result(
        scenario=scenario.name,
        question=scenario.question,
        book=scenario.book.name,
        seed=seed,
        replications=times,
        start=scenario.spec.start,
        time_zone=scenario.spec.time_zone,
        horizon_ms=horizon_ms,
        strategies=strategies,
        models=tuple(scenario.spec.models),
        baseline=baseline or scenario.baseline,
        patience_target=scenario.spec.patience_target,
        ranked=scenario.spec.close == "drain",
        random=times == 1 or _varies(cells, times),
        assumptions=in_force(scenario, pairs),
        warnings=warnings,
        cells=tuple(cells),
        kept=tuple(kept),
    )


def _varies(cells: list[Cell], times: int) -> bool:
    """Return whether any two replications of a pair differ in a cost, in what they met, or in a latency."""
    for first in range(0, len(cells), times):
        usual = cells[first]
        for cell in cells[first + 1 : first + times]:
            if cell.total_usd != usual.total_usd or cell.binding != usual.binding:
                return True
            for a, b in zip(cell.streams, usual.streams, strict=True):
                if a.total != b.total or not same(a.latency_ms, b.latency_ms):
                    return True
    return False
