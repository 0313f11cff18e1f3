"""Whether an episode is on: the service is overloaded, or batch is slow; decided by timestamps, half-open."""

from collections.abc import Sequence

from sim.providers.rules import FACTOR_ONE

__all__ = ["inside", "slowed"]


def inside(edges: Sequence[int], now: int) -> bool:
    """Return whether an instant lies in one of the ``[begin, end)`` whose edges are listed in rising order.

    >>> [inside([10, 20, 30, 40], now) for now in (9, 10, 19, 20, 30, 40)]
    [False, True, True, False, True, False]
    """
    low, high = 0, len(edges)
    while low < high:  # the number of edges at or before now
        middle = (low + high) // 2
        if edges[middle] > now:
            high = middle
        else:
            low = middle + 1
    return low % 2 == 1


def slowed(value: int, factor: int) -> int:
    """Return a time, or a slowness, under a factor in 1/65,536, rounded down.

    >>> slowed(1_000, 3 << 15)
    1500
    """
    return value * factor // FACTOR_ONE
