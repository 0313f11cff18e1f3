"""What a quota counts: a bucket that refills, a whole minute, a day, the spend of ten minutes.

Each tells how long a call of some cost has to wait (0 = not at all), and is charged with it.
"""

from collections import deque
from collections.abc import Sequence

from sim.engines.laws import quota as law

__all__ = ["Bucket", "Day", "Spend", "Window"]


class Bucket:
    """A token bucket: full at first, it refills all the time."""

    def __init__(self, limit: int, burst_ms: int, now: int) -> None:
        self._limit, self._burst, self._at = limit, burst_ms, now
        self._level = limit * burst_ms

    def wait(self, now: int, cost: int) -> int:
        """Return the ms until the bucket holds a cost; a minute for what it can never hold, as everybody is told."""
        self._level = law.refilled(self._level, self._limit, self._burst, now - self._at)
        self._at = now
        wait = law.wait_bucket(self._level, self._limit, self._burst, cost)
        return wait if wait >= 0 else law.MINUTE

    def take(self, cost: int) -> None:
        """Take a cost out of the bucket, as far as it is there."""
        self._level = max(0, self._level - cost * law.SCALE)


class Window:
    """A count that starts anew each whole minute of the run."""

    def __init__(self, limit: int, now: int) -> None:
        self._limit, self._used, self._window = limit, 0, law.window_of(now)

    def wait(self, now: int, cost: int) -> int:
        """Return the ms until the next minute, where this one has no room for a cost; a minute where none ever has."""
        if law.window_of(now) != self._window:
            self._used, self._window = 0, law.window_of(now)
        wait = law.wait_window(self._used, self._limit, cost, now)
        return wait if wait >= 0 else law.MINUTE

    def take(self, cost: int) -> None:
        """Count a cost."""
        self._used += cost


class Day:
    """A count that starts anew at midnight."""

    def __init__(self, limit: int, days: Sequence[int], now: int) -> None:
        self._limit, self._days, self._used = limit, days, 0
        self._midnight = law.next_midnight(days, now)

    def wait(self, now: int, _cost: int) -> int:
        """Return the ms until midnight, where today has no room for a call."""
        if now >= self._midnight:
            self._used, self._midnight = 0, law.next_midnight(self._days, now)
        return 0 if self._used < self._limit else self._midnight - now

    def take(self, cost: int) -> None:
        """Count a call."""
        self._used += cost


class Spend:
    """The weight of the calls of the last ten minutes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._sum = limit, 0
        self._calls: deque[tuple[int, int]] = deque()  # (instant, weight)

    def wait(self, now: int, _cost: int) -> int:
        """Return the ms until enough has left the window that what is in it lies below the limit."""
        calls = self._calls
        while calls and calls[0][0] + law.SPEND_WINDOW <= now:
            self._sum -= calls.popleft()[1]
        left, wait = self._sum, 0
        for instant, weight in calls:
            if left < self._limit:
                break
            left, wait = left - weight, instant + law.SPEND_WINDOW - now
        return wait

    def take(self, cost: int) -> None:
        """Count nothing: what a call weighs is known when its service starts."""

    def add(self, now: int, weight: int) -> None:
        """Count the weight of a call whose service starts now."""
        self._calls.append((now, weight))
        self._sum += weight
