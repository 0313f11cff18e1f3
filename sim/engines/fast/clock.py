"""The heap of things to come, in the order ``(time, rank)``; the arrivals are merged with it by the loop."""

from sim.engines.fast import heap, tables
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
    w[0].heap = heap.push(tables.heap(w), w[0].heap, time, rank(phase, request, kind, w[0].requests), what, payload)


@kernel
def pop(w: World) -> None:
    """Take the first event off the heap; it has been read."""
    w[0].heap = heap.pop(tables.heap(w), w[0].heap)
