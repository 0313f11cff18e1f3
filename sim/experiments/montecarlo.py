"""Run every strategy on the same realisations: one item of work is a replication, drawn once for all of them."""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import product

import numpy as np

from sim.engines.choice import chosen
from sim.engines.witness import WITNESSED
from sim.errors import InputError, Problem, nearest
from sim.experiments.arguments import wrong_arguments
from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.large import is_large, seen
from sim.experiments.pairs import Pair, horizon_ms, pairs_of, recorded_of
from sim.experiments.replication import Luck, Step, replicate
from sim.experiments.result import Cell, Kept, Result
from sim.experiments.simulate import Notice, silent
from sim.experiments.survey import survey
from sim.scenario import Scenario
from sim.sketch import same
from sim.trace import Trace
from sim.traces import Recorded

__all__ = ["Progress", "run"]

KEPT_BYTES = 256 * 2**20  # of realisations that are kept from the survey to the run; what is beyond is drawn twice

Progress = Callable[[float, int], None]  # (cells done, cells in all); of a large replication also in between


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
    drawn: dict[tuple[int, int], Trace] = {}
    found = survey(scenario, _keeping(_realisations(pairs, recorded, root, once), drawn))
    runs = sum(found.requests.get(pair.workload, 0) for pair in pairs) * times / once
    using, tell = chosen(engine, runs), cache(notice)  # a sentence is told once
    bar = _Bar(progress, len(pairs) * times)
    for replication, sharing in product(range(times), _groups(pairs)):
        played = replicate(
            sharing,
            scenario.book,
            Luck(root, replication, recorded, drawn.pop((replication, sharing[0].workload), None)),
            engine=using,
            witnessed=[(len(cells) + number) % WITNESSED == 0 for number in range(len(sharing))],
            whole=keep_requests,
            notice=tell,
            step=bar.of(len(cells), len(sharing)),
        )
        for pair, cell, ledger in played:
            cells.append(cell)
            if keep_requests and ledger is not None:
                kept.append(Kept(pair.arm.name, pair.model, replication, ledger))
            bar.show(len(cells))
    created = {(cell.strategy, cell.model) for cell in cells if cell.caches.created}
    warnings = caveats(scenario, pairs, recorded, found, created)
    horizon = horizon_ms(scenario.spec, recorded)
    return _result(scenario, cells, kept, pairs, horizon, times, root, baseline, warnings)


class _Bar:
    """Shows how far a run has come, and never goes back: in a large replication all of its cells advance together."""

    def __init__(self, progress: Progress | None, cells: int) -> None:
        self._progress, self._cells, self._shown = progress, cells, 0.0

    def show(self, done: float) -> None:
        """Show the cells that are done."""
        self._shown = max(self._shown, done)
        if self._progress is not None:
            self._progress(self._shown, self._cells)

    def of(self, before: int, count: int) -> Step:
        """Return what shows that a share of the next ``count`` cells is done."""
        return lambda share: self.show(before + share * count)


def _groups(pairs: list[Pair]) -> list[list[Pair]]:
    """Return pairs by the workload that they share."""
    workloads = dict.fromkeys(pair.workload for pair in pairs)
    return [[pair for pair in pairs if pair.workload == workload] for workload in workloads]


def _keeping(
    realisations: Iterable[tuple[int, Trace, list[Pair]]], drawn: dict[tuple[int, int], Trace]
) -> Iterator[tuple[Trace, list[Pair]]]:
    """Yield traces with the pairs that share each; keep the first of them in ``drawn``, as many as memory allows."""
    room = KEPT_BYTES
    for replication, trace, sharing in realisations:
        yield trace, sharing
        room -= sum(column.nbytes for column in trace if isinstance(column, np.ndarray))
        if room >= 0 and not is_large(sharing[0]):
            drawn[replication, sharing[0].workload] = trace


def _realisations(
    pairs: list[Pair], recorded: Recorded | None, seed: int, times: int
) -> Iterator[tuple[int, Trace, list[Pair]]]:
    """Yield each replication's traces, one at a time, each with the pairs that share it; large ones piece by piece."""
    for replication, sharing in product(range(times), _groups(pairs)):
        for trace in seen(sharing[0], recorded, seed, replication):
            yield replication, trace, sharing


def _check(scenario: Scenario, times: int, seed: int, baseline: str | None, engine: str) -> None:
    """Refuse arguments that no run can have; the scenario's own are in order already."""
    names = [arm.name for arm in scenario.arms]
    problems = wrong_arguments("run", times, seed, engine)
    if baseline is not None and baseline not in names:
        problems.append(Problem("run", 0, "baseline", "unknown strategy", nearest(baseline, names), baseline))
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
