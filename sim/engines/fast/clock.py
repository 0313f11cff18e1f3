"""The heap of things to come, in the order ``(time, rank)``; the arrivals are merged with it by the loop."""

from sim.engines.fast import tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World
from sim.engines.laws.order import rank

__all__ = [
    "ANSWERED",
    "CREATED",
    "FLUSHED",
    "FREED",
    "GIVEN_UP",
    "GUARDED",
    "LOST",
    "MADE",
    "ORPHANED",
    "RELEASED",
    "RETRIED",
    "RUNS",
    "SEEN",
    "SENT",
    "SERVED",
    "pop",
    "push",
]

# what an event does, which its kind alone does not tell
RELEASED, FREED, ANSWERED, SEEN, ORPHANED, GIVEN_UP, ASKED, CREATED = range(8)
RETRIED, SERVED, RUNS, GUARDED, SENT, FLUSHED, MADE, LOST = range(8, 16)


@kernel
def push(w: World, time: int, phase: int, request: int, kind: int, what: int, payload: int) -> None:
    """Let something happen at a time that is not past."""
    heap, place = tables.heap(w), rank(phase, request, kind, w[0].requests)
    at = w[0].heap
    w[0].heap = at + 1
    while at > 0:
        above = (at - 1) >> 1
        if heap[above, 0] < time or (heap[above, 0] == time and heap[above, 1] < place):
            break
        for column in range(4):
            heap[at, column] = heap[above, column]
        at = above
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = time, place, what, payload


@kernel
def pop(w: World) -> None:
    """Take the first event off the heap; it has been read."""
    heap = tables.heap(w)
    count = w[0].heap - 1
    w[0].heap = count
    if count == 0:
        return
    time, place, what, payload = heap[count, 0], heap[count, 1], heap[count, 2], heap[count, 3]
    at = 0
    while True:
        below = 2 * at + 1
        if below >= count:
            break
        other = below + 1
        if other < count and (
            heap[other, 0] < heap[below, 0] or (heap[other, 0] == heap[below, 0] and heap[other, 1] < heap[below, 1])
        ):
            below = other
        if time < heap[below, 0] or (time == heap[below, 0] and place < heap[below, 1]):
            break
        for column in range(4):
            heap[at, column] = heap[below, column]
        at = below
    heap[at, 0], heap[at, 1], heap[at, 2], heap[at, 3] = time, place, what, payload
