"""The days that daily quotas are counted in, from midnight Pacific to midnight: 23 or 25 hours when clocks change."""

import datetime as dt
from zoneinfo import ZoneInfo

from sim.units import since_epoch

__all__ = ["midnights"]

_PACIFIC = ZoneInfo("America/Los_Angeles")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def midnights(start_ms: int, span_ms: int) -> tuple[int, ...]:
    """Return the midnights Pacific around a run in ms since its start, from the last one at or before it on.

    ``start_ms`` counts from the Unix epoch; the last midnight is not after the start plus ``span_ms``. Clocks change at
    2 o'clock, so each day has one midnight: 08:00 UTC in winter, 07:00 UTC in summer.

    >>> midnights(0, 86_400_000)
    (-57600000, 28800000)
    """
    start = _EPOCH + dt.timedelta(milliseconds=start_ms)
    first = start.astimezone(_PACIFIC).date()
    days = (first + dt.timedelta(days=number) for number in range(span_ms // 86_400_000 + 3))
    times = (since_epoch(dt.datetime.combine(day, dt.time(), _PACIFIC)) - start_ms for day in days)
    return tuple(time for time in times if time <= span_ms)
