"""A heap in an array of four columns: rows in the order of their first two, each row's other two go along."""

from typing import Any

from sim.engines.fast.compile import kernel

__all__ = ["pop", "push"]


@kernel
def push(heap: Any, count: int, first: int, second: int, third: int, fourth: int) -> int:
    """Put a row among ``count`` others; return their number then."""
    at = count
    while at > 0:
        above = (at - 1) >> 1
        if heap[above, 0] < first or (heap[above, 0] == first and heap[above, 1] < second):
            break
        _move(heap, above, at)
        at = above
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = first, second, third, fourth
    return count + 1


@kernel
def pop(heap: Any, count: int) -> int:
    """Take the first of ``count`` rows away, which has been read; return the number of those that are left."""
    last = count - 1
    if last == 0:
        return 0
    first, second = heap[last, 0], heap[last, 1]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= last:
            break
        other = below + 1
        if other < last and _before(heap, other, heap[below, 0], heap[below, 1]):
            below = other
        if first < heap[below, 0] or (first == heap[below, 0] and second < heap[below, 1]):
            break
        _move(heap, below, at)
        at = below
    _move(heap, last, at)
    return last


@kernel
def _before(heap: Any, row: int, first: int, second: int) -> bool:
    return heap[row, 0] < first or (heap[row, 0] == first and heap[row, 1] < second)


@kernel
def _move(heap: Any, source: int, target: int) -> None:
    for column in range(4):
        heap[target, column] = heap[source, column]
