"""Run every strategy on the same realisations: one item of work is a replication, drawn once for all of them."""

from collections.abc import Callable, Iterator

import numpy as np

from sim.billing import rate
from sim.errors import InputError, Problem, nearest
from sim.experiments.assumptions import in_force
from sim.experiments.caveats import assert_fits, caveats, longest_context
from sim.experiments.pairs import Pair, horizon_ms, pairs_of, realised, recorded_of
from sim.experiments.result import Cell, Kept, Result, StreamCell
from sim.experiments.simulate import ledger_of
from sim.ledger import JobState, Ledger, Source, Status
from sim.scenario import Scenario
from sim.trace import Trace
from sim.traces import Recorded

__all__ = ["Progress", "run"]

Progress = Callable[[int, int], None]  # (items done, items in all)


def run(
    scenario: Scenario,
    *,
    replications: int | None = None,
    seed: int | None = None,
    baseline: str | None = None,
    keep_requests: bool = False,
    progress: Progress | None = None,
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
    progress
        Called after each cell with the cells done and the cells in all.
    """
    times = scenario.replications if replications is None else replications
    root = scenario.seed if seed is None else seed
    _check(scenario, times, root, baseline)
    recorded = recorded_of(scenario)
    pairs = pairs_of(scenario, recorded)
    cells: list[Cell] = []
    kept: list[Kept] = []
    longest = _surveyed(scenario, pairs, recorded, root, times)
    for replication, trace, sharing in _realisations(pairs, recorded, root, times):
        for pair in sharing:
            cell, ledger = _cell(scenario, pair, trace, replication)
            cells.append(cell)
            if keep_requests:
                kept.append(Kept(pair.arm.name, pair.model, replication, ledger))
            if progress is not None:
                progress(len(cells), len(pairs) * times)
    created = {(cell.strategy, cell.model) for cell in cells if cell.caches}
    warnings = caveats(scenario, pairs, recorded, longest, created)
    horizon = horizon_ms(scenario.spec, recorded)
    return _result(scenario, cells, kept, pairs, horizon, times, root, baseline, warnings)


def _surveyed(
    scenario: Scenario, pairs: list[Pair], recorded: Recorded | None, seed: int, times: int
) -> dict[int, int]:
    """Look at every realisation before the first is simulated, so that a prompt too long ends no long run late.

    Drawing a workload takes a small part of the time of simulating it. Returns the tokens of the longest context that
    may be cached, by workload; a workload without a request is left out.
    """
    longest: dict[int, int] = {}
    once = times if recorded is None else 1  # the requests of a record are the same in every replication
    for _, trace, sharing in _realisations(pairs, recorded, seed, once):
        if trace.requests:
            workload = sharing[0].workload
            longest[workload] = max(longest.get(workload, 0), longest_context(trace))
        for pair in sharing:
            assert_fits(scenario, pair, trace)
    return longest


def _realisations(
    pairs: list[Pair], recorded: Recorded | None, seed: int, times: int
) -> Iterator[tuple[int, Trace, list[Pair]]]:
    """Yield each replication's traces, one at a time, each with the pairs that share it."""
    workloads = dict.fromkeys(pair.workload for pair in pairs)
    groups = [[pair for pair in pairs if pair.workload == workload] for workload in workloads]
    for replication in range(times):
        for sharing in groups:
            yield replication, realised(sharing[0].arm, recorded, seed, replication), sharing


def _check(scenario: Scenario, times: int, seed: int, baseline: str | None) -> None:
    """Refuse arguments that no run can have; the scenario's own are in order already."""
    names = [arm.name for arm in scenario.arms]
    problems = []
    if times < 1:
        problems.append(Problem("run", 0, "replications", "must be at least 1", "a whole number", times))
    if not 0 <= seed < 1 << 128:
        problems.append(Problem("run", 0, "seed", "out of range", "a whole number from 0 to 2^128 - 1", seed))
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
        horizon_ms=horizon_ms,
        strategies=strategies,
        models=tuple(scenario.spec.models),
        baseline=baseline or scenario.baseline,
        patience_target=scenario.spec.patience_target,
        ranked=scenario.spec.close == "drain",
        random=times == 1 or _varies(cells, times),
        assumptions=in_force(scenario, [pair.plan for pair in pairs]),
        warnings=warnings,
        cells=tuple(cells),
        kept=tuple(kept),
    )


def _varies(cells: list[Cell], times: int) -> bool:
    """Return whether any two replications of a pair differ in a cost, a latency or a number of requests."""
    for first in range(0, len(cells), times):
        same = cells[first]
        for cell in cells[first + 1 : first + times]:
            if cell.total_usd != same.total_usd:
                return True
            for a, b in zip(cell.streams, same.streams, strict=True):
                if a.total != b.total or not np.array_equal(a.latency_ms, b.latency_ms):
                    return True
    return False


def _cell(scenario: Scenario, pair: Pair, trace: Trace, replication: int) -> tuple[Cell, Ledger]:
    ledger, cut_off = ledger_of(pair, trace), pair.arm.spec.close == "cut"
    bill = rate(ledger, scenario.book, pair.arm.terms)
    states = np.bincount(ledger.job_state, minlength=len(JobState)).tolist()
    cell = Cell(
        strategy=pair.arm.name,
        model=pair.model,
        replication=replication,
        total_usd=bill.total,
        lines_usd={str(name): usd for name, usd in bill.by_line().items()},
        streams=tuple(_stream(trace, ledger, number, name) for number, name in enumerate(trace.streams)),
        jobs={state.name.lower(): states[state] for state in JobState if states[state]},
        caches=len(ledger.cache_born),
        unread_caches=None if cut_off else int(np.count_nonzero(ledger.cache_reads == 0)),
        duplicates=len(ledger.duplicate_request),
    )
    return cell, ledger


def _stream(trace: Trace, ledger: Ledger, number: int, name: str) -> StreamCell:
    mine = trace.stream == number
    done = mine & ledger.done_mask
    status = np.bincount(ledger.status[mine], minlength=len(Status)).tolist()
    waited = (ledger.done - ledger.arrived)[done]
    return StreamCell(
        stream=name,
        total=int(np.count_nonzero(mine)),
        done=status[Status.DONE],
        failed=status[Status.FAILED],
        expired=status[Status.EXPIRED],
        pending=status[Status.PENDING],
        within_patience=int(np.count_nonzero(waited <= trace.patience[done])),
        prompt_tokens=int(ledger.prompt[done].sum()),
        implicit_tokens=int(ledger.cached[done & (ledger.source == Source.IMPLICIT)].sum()),
        explicit_tokens=int(ledger.cached[done & (ledger.source == Source.EXPLICIT)].sum()),
        latency_ms=np.sort(waited),
    )
