"""Local wall time: which hour of the week an instant falls in, and when a time of day comes, as clocks change."""

import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from sim.trace import Ints
from sim.units import DAY, HOUR

__all__ = ["Clock", "daily", "days", "doubtful", "hours_of_week", "since_start"]


class Clock(NamedTuple):
    """What every arrival process needs to know of its scenario besides its own parameters."""

    start: dt.datetime  # zoned: instant 0 of the run
    zone: dt.tzinfo  # of local wall time
    horizon: int  # ms; arrivals fall in [0, horizon)
    load: float = 1.0  # multiplies every rate and count of arrivals


def since_start(clock: Clock, wall: dt.datetime) -> int:
    """Return the ms from the start to a naive wall time.

    Of a time that comes twice the first is taken; a time that is skipped counts with the offset before the change.
    """
    return (wall.replace(tzinfo=clock.zone).astimezone(dt.UTC) - clock.start.astimezone(dt.UTC)) // dt.timedelta(
        milliseconds=1
    )


def doubtful(clock: Clock, wall: dt.datetime) -> bool:
    """Return whether a naive wall time is skipped or comes twice, because the clock changes."""
    local = wall.replace(tzinfo=clock.zone)
    return local.utcoffset() != local.replace(fold=1).utcoffset()


def days(clock: Clock) -> list[dt.datetime]:
    """Return the naive midnights of the local days that meet ``[0, horizon)``, one day more at either side."""
    first = clock.start.astimezone(clock.zone).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    return [first + dt.timedelta(days=day) for day in range(-1, clock.horizon // DAY + 4)]


def daily(clock: Clock, time_of_day: int) -> list[tuple[int, dt.datetime]]:
    """Return when in ``[0, horizon)`` a time of day (ms after midnight) comes: ms since the start, and wall time."""
    walls = [midnight + dt.timedelta(milliseconds=time_of_day) for midnight in days(clock)]
    return [(ms, wall) for wall in walls if 0 <= (ms := since_start(clock, wall)) < clock.horizon]


def hours_of_week(clock: Clock) -> tuple[Ints, Ints]:
    """Return the (m + 1,) edges in ms, from 0 to the horizon, and the (m,) hours of the local week, 0 = Monday 00:00.

    An hour that the clock skips has no piece; one that it repeats lasts two hours, or comes again.
    """
    pieces: list[tuple[int, int]] = []
    for midnight, following in pairwise(days(clock)):
        begin, end = since_start(clock, midnight), since_start(clock, following)
        if end - begin == DAY:
            pieces += [(begin + hour * HOUR, midnight.weekday() * 24 + hour) for hour in range(24)]
        else:
            pieces += _hours_between(clock, begin, end)
    edges, hours = (np.array(column, np.int64) for column in zip(*pieces, strict=True))
    clipped = np.append(np.clip(edges, 0, clock.horizon), clock.horizon)
    kept = np.diff(clipped) > 0
    return np.append(clipped[:-1][kept], clock.horizon), hours[kept]


def _hours_between(clock: Clock, begin: int, end: int) -> Iterator[tuple[int, int]]:
    """Yield the begin in ms and the hour of the week of each piece of a day on which the clock changes.

    Clocks change by whole quarters of an hour: mostly by four of them, on Lord Howe Island by two, at Troll by eight.
    """
    before = -1
    for at in range(begin, end, HOUR // 4):
        local = (clock.start + dt.timedelta(milliseconds=at)).astimezone(clock.zone)
        hour = local.weekday() * 24 + local.hour
        if hour != before:
            yield at, hour
        before = hour
