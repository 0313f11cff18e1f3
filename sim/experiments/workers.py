"""Who computes a sweep: this process while that is quickest, else processes on this machine or a cluster."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeAlias

from sim.experiments.answers import asked, failed
from sim.experiments.deadline import TookTooLong, allowed, limited
from sim.experiments.estimate import Estimate
from sim.experiments.items import Bench, Done, Item, Study
from sim.experiments.plan import Plan

__all__ = ["IN_PROCESS_S", "Compute", "Workers", "at_work", "bundles", "chosen", "cores", "here", "reach"]

IN_PROCESS_S = 20.0  # of work on one core, below which starting workers costs more than they save: see chosen
BUNDLE_S = 0.5  # of work that goes to a worker at once: Dask spends some milliseconds on each

Compute: TypeAlias = Callable[[Iterable[Item]], Iterator[Done]]


class Workers(NamedTuple):
    """Who computes."""

    processes: int  # on this machine; 1 = this one alone
    scheduler: str | None = None  # of a cluster that is there already, whose workers are used instead


def cores() -> int:
    """Return the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def chosen(workers: int | None, scheduler: str | None, estimate: Estimate | None) -> Workers:
    """Return who computes: as asked, else this process for little work and a worker a core for more.

    Starting two workers, which import the simulator and are examined, took 6 to 9 s on a busy machine of two cores; two
    workers save half of the work, so they pay above twice that.
    """
    if scheduler is not None or workers is not None:
        return Workers(workers or 1, scheduler)
    small = estimate is None or estimate.seconds < IN_PROCESS_S
    return Workers(1 if small else cores())


def bundles(requests: Sequence[int], items: Iterable[Item], seconds_each: float) -> Iterator[tuple[Item, ...]]:
    """Yield items together that take half a second on one core; ``requests`` are those of each group."""
    open_: list[Item] = []
    seconds = 0.0
    for item in items:
        open_.append(item)
        seconds += requests[item.group] * len(item.members) * seconds_each
        if seconds >= BUNDLE_S:
            yield tuple(open_)
            open_, seconds = [], 0.0
    if open_:
        yield tuple(open_)


def reach(scheduler: str) -> None:
    """Raise :class:`sim.experiments.joining.Unreachable` within ten seconds where no scheduler answers."""
    from sim.experiments import joining  # noqa: PLC0415 - a second of imports that few sweeps need

    joining.reach(scheduler)


@contextmanager
def at_work(
    workers: Workers, plan: Plan, estimate: Estimate | None, cell_timeout: float | None = None
) -> Iterator[Compute]:
    """Give what computes the cells of items, in any order; a cell may take so many seconds, or what is generous."""
    seconds = allowed(plan, estimate, cell_timeout)
    if workers.scheduler is None and workers.processes == 1:
        yield lambda items: here(plan.study, items, seconds)
        return
    from sim.experiments.cluster import Cluster  # noqa: PLC0415 - a second of imports that few sweeps need

    pace = estimate.seconds_each if estimate else BUNDLE_S
    with Cluster(plan.study, workers=workers.processes, seconds=seconds, scheduler=workers.scheduler) as cluster:
        yield lambda items: cluster.cells(bundles(plan.requests, items, pace))


def here(study: Study, items: Iterable[Item], seconds: float) -> Iterator[Done]:
    """Yield cells that this process computes, one at a time, so that each has its own time."""
    bench = Bench(study)
    with limited(seconds) as alarm:
        for item in items:
            for cell in asked(study, [item]):
                try:
                    with alarm.armed():
                        found = list(bench.cells(cell.item))
                except TookTooLong as error:  # it rang when the cell was as good as done
                    found = failed([cell], str(error))
                yield from found
