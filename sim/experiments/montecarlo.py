"""Run every strategy on the same realisations: one item of work is a replication, drawn once for all of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from sim.billing import padding_pays_from, rate
from sim.document import Document
from sim.engines.cut import cut
from sim.engines.physics import prepare
from sim.engines.reference import run as simulate
from sim.errors import InputError, NotOffered, Problem, nearest
from sim.experiments.assumptions import in_force
from sim.experiments.result import Cell, Kept, Result, StreamCell
from sim.ledger import JobState, Ledger, Source, Status
from sim.providers.resolve import resolve
from sim.providers.rules import NOT_OFFERED, Rules
from sim.scenario import Arm, ReplaySpec, Scenario, read_scenario
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace
from sim.traces import Recorded, load_trace
from sim.units import iso
from sim.workload.realise import realise
from sim.workload.realise import replay as realise_replay
from sim.workload.spec import WorkloadSpec

__all__ = ["Progress", "replay", "run"]

Progress = Callable[[int, int], None]  # (items done, items in all)
REPLAY_START = "2026-11-23T00:00:00Z"  # of a trace that has no calendar: a date of the shipped books, not the clock


class Pair(NamedTuple):
    """An arm on a model, compiled."""

    arm: Arm
    model: str
    plan: Plan
    rules: Rules
    workload: int  # pairs of one number share their realisations


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
    recorded = _recorded(scenario)
    pairs = _pairs(scenario, recorded)
    cells: list[Cell] = []
    kept: list[Kept] = []
    for replication in range(times):
        traces: dict[int, Trace] = {}
        for pair in pairs:
            if pair.workload not in traces:
                traces[pair.workload] = _realise(pair.arm, recorded, root, replication)
            cell, ledger = _cell(scenario, pair, traces[pair.workload], replication)
            cells.append(cell)
            if keep_requests:
                kept.append(Kept(pair.arm.name, pair.model, replication, ledger))
            if progress is not None:
                progress(len(cells), len(pairs) * times)
    return _result(scenario, cells, kept, pairs, recorded, times, root, baseline)


def _result(
    scenario: Scenario,
    cells: list[Cell],
    kept: list[Kept],
    pairs: list[Pair],
    recorded: Recorded | None,
    times: int,
    seed: int,
    baseline: str | None,
) -> Result:
    strategies = tuple(arm.name for arm in scenario.arms)
    chosen = baseline or scenario.baseline
    if chosen not in strategies:
        hint = nearest(chosen, strategies)
        raise InputError([Problem("command line", 0, "--baseline", "unknown strategy", hint, chosen)])
    order = {(pair.arm.name, pair.model): position for position, pair in enumerate(pairs)}
    cells.sort(key=lambda cell: (order[cell.strategy, cell.model], cell.replication))
    horizon = scenario.spec.workload.horizon if recorded is None else recorded.horizon
    return Result(
        scenario=scenario.name,
        question=scenario.question,
        book=scenario.book.name,
        seed=seed,
        replications=times,
        horizon_ms=horizon,
        strategies=strategies,
        models=tuple(scenario.spec.models),
        baseline=chosen,
        patience_target=scenario.spec.patience_target,
        ranked=scenario.spec.close == "drain",
        random=times == 1 or _varies(cells, times),
        assumptions=in_force(scenario, [pair.plan for pair in pairs]),
        warnings=tuple(_warnings(scenario, pairs, cells, recorded)),
        cells=tuple(cells),
        kept=tuple(kept),
    )


def _varies(cells: list[Cell], times: int) -> bool:
    """Return whether any two replications of a pair differ in a cost or a latency."""
    for first in range(0, len(cells), times):
        same = cells[first]
        for cell in cells[first + 1 : first + times]:
            if cell.total_usd != same.total_usd:
                return True
            for a, b in zip(cell.streams, same.streams, strict=True):
                if not np.array_equal(a.latency_ms, b.latency_ms):
                    return True
    return False


def _recorded(scenario: Scenario) -> Recorded | None:
    spec = scenario.spec.replay
    if spec is None:
        return None
    beside = Path(scenario.document.file).parent / spec.trace
    return load_trace(beside if beside.is_file() else spec.trace, spec.format, sort=spec.sort)


def _realise(arm: Arm, recorded: Recorded | None, seed: int, replication: int) -> Trace:
    if recorded is None or arm.spec.replay is None:
        return realise(arm.spec.workload, seed, replication)
    return realise_replay(recorded, patience=arm.spec.replay.patience, seed=seed, replication=replication)


def _pairs(scenario: Scenario, recorded: Recorded | None) -> list[Pair]:
    pairs: list[Pair] = []
    workloads: list[tuple[WorkloadSpec, ReplaySpec | None]] = []
    for model in scenario.spec.models:
        for arm in scenario.arms:
            workload = arm.spec.workload, arm.spec.replay
            if workload not in workloads:
                workloads.append(workload)
            horizon = arm.spec.workload.horizon if recorded is None else recorded.horizon
            populations = tuple(arm.spec.contexts) if recorded is None else ("recorded",)
            rules = resolve(scenario.book, model, arm.spec.start_ms, arm.service)
            setting = arm.setting(horizon, _pad_from(scenario, model, rules), populations)
            plan = arm.strategy.plan(arm.name, setting)
            pairs.append(Pair(arm, model, plan, rules, workloads.index(workload)))
    return pairs


def _pad_from(scenario: Scenario, model: str, rules: Rules) -> int:
    minimum = rules.epochs[0].explicit_minimum
    if minimum == NOT_OFFERED:
        return NEVER
    served, start = rules.models[0], scenario.spec.start_ms
    return padding_pays_from(scenario.book, served, start, minimum)


def _cell(scenario: Scenario, pair: Pair, trace: Trace, replication: int) -> tuple[Cell, Ledger]:
    attempts = pair.plan.batch.attempts if pair.plan.batch else 0
    physics = prepare(trace, pair.arm.service, attempts)
    ledger = simulate(trace, pair.plan, pair.rules, physics)
    if pair.arm.spec.close == "cut":
        ledger = cut(ledger, trace.horizon)
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
        unread_caches=int(np.count_nonzero(ledger.cache_reads == 0)),
        duplicates=len(ledger.duplicate_request),
    )
    return cell, ledger


def _stream(trace: Trace, ledger: Ledger, number: int, name: str) -> StreamCell:
    mine = trace.stream == number
    done = mine & ledger.done_mask
    latency = np.sort((ledger.done - ledger.arrived)[done])
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
        latency_ms=latency,
    )


def _warnings(scenario: Scenario, pairs: list[Pair], cells: list[Cell], recorded: Recorded | None) -> list[str]:
    """Return what a reader must know before trusting the figures."""
    found: list[str] = [str(problem) for problem in scenario.book.warnings]
    if recorded is not None:
        found += recorded.notes
        if not recorded.block_tokens and not np.any(recorded.context):
            found.append("the trace tells of no shared prefix: no strategy can cache anything in it")
    if scenario.spec.close == "cut":
        found.append("the run was cut at its horizon: what is pending is unbilled, so strategies are not ranked")
    age = scenario.spec.start.date() - scenario.book.checked
    if age.days > 180:
        found.append(f"book {scenario.book.name!r} was checked {age.days} days before the scenario starts")
    for pair in pairs:
        if pair.plan.cache is not None and not any(c.caches for c in cells if c.strategy == pair.arm.name):
            least = pair.rules.epochs[0].explicit_minimum
            found.append(f"{pair.arm.name} on {pair.model} never cached: no context reaches the minimum of {least:,} tokens")
    return list(dict.fromkeys(found))


def replay(
    path: str | Path,
    *,
    format: str = "auto",  # noqa: A002 - the option's name
    models: Sequence[str] = ("gemini-2.5-flash",),
    strategies: Sequence[str] = ("none", "implicit", "explicit", "batch", "hybrid", "routed"),
    baseline: str | None = None,
    book: str = "google",
    start: str = REPLAY_START,
    seed: int = 1,
    replications: int = 10,
    sort: bool = False,
    sets: Sequence[str] = (),
    keep_requests: bool = False,
    progress: Progress | None = None,
) -> tuple[Scenario, Result]:
    """Return the scenario of a recorded trace and what it gave: the requests are fixed, the service is random.

    ``sets`` override the scenario that these arguments make, for example ``replay.patience=10m``.
    """
    name = Path(path).name.partition(".")[0]
    data: dict[str, Any] = {
        "question": f"What would the traffic of {Path(path).name} cost under each strategy, and how long would its callers wait?",
        "start": start,
        "book": book,
        "models": list(models),
        "strategies": {strategy: {} for strategy in strategies},
        "seed": seed,
        "replications": replications,
        "replay": {"trace": str(path), "format": format, "sort": sort},
    }
    if baseline is not None:
        data["baseline"] = baseline
    scenario = read_scenario(Document("command line", data, {}), f"replay-{name}", sets=sets)
    return scenario, run(scenario, keep_requests=keep_requests, progress=progress)
