"""How much a sweep asks for, from timing a small item of it: cells, requests, time and memory."""

import resource
import sys
import time
import tracemalloc
from collections.abc import Callable, Container, Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import NamedTuple

from sim.errors import EngineError, SimError
from sim.experiments.items import Bench, Done, Item
from sim.experiments.large import first_piece, fits_in_pieces, is_large
from sim.experiments.pairs import Pair
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
    """Return the seconds and the bytes at most of a request-run, of one run of each task of the smallest group.

    Of a large replication the first piece is run, and its memory is that of the whole.
    """
    smallest = min(range(len(plan.requests)), key=lambda group: plan.requests[group])
    pairs = [task.pair for task in plan.study.groups[smallest].tasks[:8]]
    if plan.study.engine == "fast" and is_large(pairs[0]):
        return _measured_in_pieces([pair for pair in pairs if fits_in_pieces(pair)], plan, plan.requests[smallest])
    members, bench = tuple(range(len(pairs))), Bench(plan.study)
    _check(bench.cells(Item(smallest, members, 0)))  # compiles, or loads what is compiled
    count = max(1, plan.requests[smallest])
    seconds = _seconds(lambda: list(bench.cells(Item(smallest, members, 0))))
    return seconds / (count * len(members)), _bytes(lambda: list(bench.cells(Item(smallest, members[:1], 0)))) / count


def _measured_in_pieces(pairs: Sequence[Pair], plan: Plan, requests: int) -> tuple[float, float]:
    """Return the same of the first piece of a large replication; a strategy that fails is told when it is run."""
    paces, sizes = [], []
    for pair in pairs:
        with suppress(Exception):
            count = first_piece([pair], plan.study.seed)  # compiles, or loads what is compiled
            paces.append(_seconds(partial(first_piece, [pair], plan.study.seed)) / count)
            sizes.append(_bytes(partial(first_piece, [pair], plan.study.seed)) / requests)
    if not paces:
        raise SimError("no strategy of a large replication can be run in pieces, nor held in memory to be measured")
    return sum(paces) / len(paces), max(sizes)


def _check(cells: Iterable[Done]) -> None:
    """Refuse to go on where nothing can be computed, or nothing that is can be trusted."""
    found = list(cells)
    for cell in found:
        if cell.fatal:
            raise EngineError(cell.error)
    if all(cell.text is None for cell in found):
        raise SimError(f"no cell of the first item can be computed: {found[0].error}")


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _bytes(work: Callable[[], object]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
