"""How much a project may still ask for: token buckets, fixed windows, days, and the spend of the last ten minutes.

A bucket counts in 1/60,000 of its unit, so that a limit a minute refills by whole numbers every millisecond.
"""

from collections.abc import Sequence

from sim.providers.rules import SpendLaw

__all__ = [
    "DAY",
    "MINUTE",
    "SCALE",
    "SPEND_WINDOW",
    "next_midnight",
    "refilled",
    "spend_of",
    "wait_bucket",
    "wait_window",
    "window_of",
]

MINUTE = 60_000  # ms
DAY = 86_400_000  # ms
SCALE = 60_000  # parts of a unit in a bucket
SPEND_WINDOW = 600_000  # ms: a call counts on [t, t + SPEND_WINDOW)


def refilled(level: int, limit: int, burst_ms: int, passed: int) -> int:
    """Return the level of a bucket, in 1/SCALE of a unit, ``passed`` ms later.

    It holds ``limit * burst_ms`` at most and gains ``limit`` every ms, so it is full again after ``burst_ms``.

    >>> refilled(0, 120, 60_000, 500) // SCALE, refilled(0, 120, 60_000, 10**12) // SCALE
    (1, 120)
    """
    if passed >= burst_ms:  # and no product can overflow
        return limit * burst_ms
    return min(limit * burst_ms, level + limit * passed)


def wait_bucket(level: int, limit: int, burst_ms: int, cost: int) -> int:
    """Return the ms until a bucket holds a cost in units, 0 = it does now, -1 = it never can.

    >>> wait_bucket(0, 120, 60_000, 1), wait_bucket(SCALE, 120, 60_000, 1), wait_bucket(0, 120, 60_000, 121)
    (500, 0, -1)
    """
    missing = cost * SCALE - level
    if missing <= 0:
        return 0
    if cost * SCALE > limit * burst_ms:
        return -1
    return -(-missing // limit)


def window_of(now: int) -> int:
    """Return the number of the fixed window that an instant falls in: whole minutes of the run, half-open.

    >>> window_of(59_999), window_of(60_000)
    (0, 1)
    """
    return now // MINUTE


def wait_window(used: int, limit: int, cost: int, now: int) -> int:
    """Return the ms until a fixed window has room for a cost, 0 = this one has, -1 = none ever has.

    >>> wait_window(119, 120, 1, 59_000), wait_window(120, 120, 1, 59_000), wait_window(0, 120, 121, 59_000)
    (0, 1000, -1)
    """
    if used + cost <= limit:
        return 0
    return -1 if cost > limit else (window_of(now) + 1) * MINUTE - now


def next_midnight(days: Sequence[int], now: int) -> int:
    """Return the first midnight after an instant; beyond the known ones a day has 24 hours.

    >>> next_midnight([-5, 10, 20], 10), next_midnight([0], DAY), next_midnight([], 5)
    (20, 172800000, 86400000)
    """
    low, high = 0, len(days)
    while low < high:  # the first position with days[position] > now
        middle = (low + high) // 2
        if days[middle] > now:
            high = middle
        else:
            low = middle + 1
    if low < len(days):
        return days[low]
    last = days[len(days) - 1] if len(days) > 0 else 0
    return last + ((now - last) // DAY + 1) * DAY


def spend_of(law: SpendLaw, prompt: int, cached: int, output: int) -> int:
    """Return what a call weighs against the spend limit: by the long weights strictly above their limit.

    >>> from sim.providers.rules import SpendLaw
    >>> law = SpendLaw(10, 1, 100, 5, 20, 2, 150)
    >>> spend_of(law, 5, 3, 1), spend_of(law, 6, 3, 1)
    (123, 216)
    """
    if 0 <= law.long_over < prompt:
        return (prompt - cached) * law.long_input + cached * law.long_cached + output * law.long_output
    return (prompt - cached) * law.input + cached * law.cached + output * law.output
