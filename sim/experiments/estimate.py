"""How much a sweep asks for, from timing a small item of it: cells, requests, time and memory."""

import resource
import sys
import time
import tracemalloc
from collections.abc import Container
from typing import NamedTuple

from sim.errors import SimError
from sim.experiments.items import Bench, Item
from sim.experiments.plan import Plan, items_of

__all__ = ["Estimate", "estimated"]

_KIB = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


class Estimate(NamedTuple):
    """What is still to be done of a sweep."""

    settings: int
    cells: int
    items: int
    requests: int  # request-runs: a request under one strategy and setting
    seconds: float  # on one core
    bytes_each: int  # that a worker needs at its largest item
    seconds_each: float  # a request-run


def estimated(plan: Plan, done: Container[str] = ()) -> Estimate:
    """Return what the cells that are not done will take, judged by the smallest group's first replication."""
    items = list(items_of(plan, done))
    requests = sum(plan.requests[item.group] * len(item.members) for item in items)
    pace, size = _measured(plan)
    largest = max((plan.requests[item.group] for item in items), default=0)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KIB
    return Estimate(
        settings=len(plan.settings),
        cells=sum(len(item.members) for item in items),
        items=len(items),
        requests=requests,
        seconds=requests * pace,
        bytes_each=int(base + largest * size),
        seconds_each=pace,
    )


def _measured(plan: Plan) -> tuple[float, float]:
    """Return the seconds and the bytes at most of a request-run, of one run of each task of the smallest group."""
    smallest = min(range(len(plan.requests)), key=lambda group: plan.requests[group])
    members = tuple(range(len(plan.study.groups[smallest].tasks)))[:8]
    bench, count = Bench(plan.study), max(1, plan.requests[smallest])
    if plan.study.engine == "fast":
        list(bench.cells(Item(smallest, members[:1], 0)))  # compiles, or loads what is compiled
    started = time.perf_counter()
    cells = list(bench.cells(Item(smallest, members, 0)))
    spent = time.perf_counter() - started
    if all(cell.text is None for cell in cells):
        raise SimError(f"no cell of the first item can be computed: {cells[0].error}")
    tracemalloc.start()
    try:
        list(bench.cells(Item(smallest, members[:1], 0)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return spent / (count * len(members)), peak / count
