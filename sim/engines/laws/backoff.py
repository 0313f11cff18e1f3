"""How long a client waits before it calls again: exponential back-off with jitter."""

from sim.providers.rules import FACTOR_ONE

__all__ = ["EQUAL", "FULL", "NONE", "ceiling", "sleep"]

NONE, FULL, EQUAL = 0, 1, 2  # jitters
_DRAW_BITS = 32


def ceiling(base: int, factor: int, cap: int, failures: int) -> int:
    """Return the longest back-off after so many failures in a row: ``min(cap, base * factor^(failures - 1))``.

    ``factor`` is in 1/65,536; each step is rounded down to whole ms.

    >>> [ceiling(1_000, 2 << 16, 5_000, failures) for failures in (1, 2, 3, 4, 60)]
    [1000, 2000, 4000, 5000, 5000]
    """
    wait = min(base, cap)
    for _ in range(failures - 1):
        if wait >= cap or factor <= FACTOR_ONE:
            break
        wait = min(cap, wait * factor // FACTOR_ONE)
    return wait


def sleep(longest: int, jitter: int, draw: int) -> int:
    """Return a back-off in ms: all of the longest, or a draw from all of it (full) or from its upper half (equal).

    The draw is uniform on whole ms, both ends included (Brooker, Exponential Backoff And Jitter, AWS 2015): the mean
    of full jitter is half of the longest, of equal jitter three quarters.

    >>> top = (1 << 32) - 1
    >>> sleep(1_000, NONE, 7), sleep(1_000, FULL, 0), sleep(1_000, FULL, top), sleep(1_000, EQUAL, 0)
    (1000, 0, 1000, 500)
    """
    if jitter == NONE:
        return longest
    low = longest // 2 if jitter == EQUAL else 0
    return low + (draw * (longest - low + 1) >> _DRAW_BITS)
