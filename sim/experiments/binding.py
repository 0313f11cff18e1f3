"""What bound a strategy, over its replications: which limit, how much and when; what it cost in time; who served."""

import datetime as dt
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np

from sim import stats
from sim.experiments.estimates import (
    LEVEL,
    Json,
    Tree,
    amount,
    counted,
    mean,
    part,
    quantiles,
    seconds_each,
    share,
    whole,
)
from sim.experiments.result import LIMIT_NAMES, Binding, Cell, Unread
from sim.ledger import Limit, Mode
from sim.units import HOUR, MINUTE, SECOND

__all__ = ["Refused", "met", "refusals", "refused_by"]

_EPOCH, _MS = dt.datetime(1970, 1, 1, tzinfo=dt.UTC), dt.timedelta(milliseconds=1)
_LONG_MS = MINUTE  # a job that was created later than this after its collection waited for room: caches take seconds
_COUNTS = ("throttled", "shed", "timeouts", "forbidden")


class Refused(NamedTuple):
    """What one limit refused in all replications together."""

    limit: Limit
    calls: tuple[int, ...]  # by replication
    peak: str  # ISO: the hour with the most of all replications together, the first of equal ones
    in_peak: int
    first: str  # ISO: the first hour in which it refused anything


def refused_by(cells: Sequence[Binding], zone: ZoneInfo) -> list[Refused]:
    """Return what each limit refused, if anything, given the replications; the one that refused most stands first."""
    found = []
    for limit in Limit:
        hours: dict[int, int] = {}
        for cell in cells:
            for refusal in cell.refusals:
                if refusal.limit == limit:
                    hours[refusal.hour] = hours.get(refusal.hour, 0) + refusal.calls
        if hours:
            peak = min(hours, key=lambda hour: (-hours[hour], hour))
            calls = tuple(cell.refused(limit) for cell in cells)
            times = (instant(cells[0].start_ms, hour, zone) for hour in (peak, min(hours)))
            found.append(Refused(limit, calls, next(times), hours[peak], next(times)))
    return sorted(found, key=lambda one: -sum(one.calls))


def instant(start_ms: int, hour: int, zone: ZoneInfo) -> str:
    """Return the ISO text of the begin of an hour of a run, as clocks in a zone show it.

    Nine hours from 23:00 in the night in which summer time ends it is seven o'clock:

    >>> instant(1_793_512_800_000, 9, ZoneInfo("America/Los_Angeles"))
    '2026-11-01T07:00:00-08:00'
    """
    return (_EPOCH + (start_ms + hour * HOUR) * _MS).astimezone(zone).isoformat(timespec="seconds")


def refusals(cells: Sequence[Cell], zone: ZoneInfo) -> list[Json]:
    """Return what each limit refused: the mean of a replication with its interval, and when."""
    found = refused_by([cell.binding for cell in cells], zone)
    return [
        {
            "limit": LIMIT_NAMES[one.limit],
            **counted(one.calls)._asdict(),
            "peak_hour": one.peak,
            "in_peak_hour": whole(Fraction(one.in_peak, len(cells))),
            "first_hour": one.first,
        }
        for one in found
    ]


def met(cells: Sequence[Cell]) -> dict[str, Tree]:
    """Return the estimates of all that stood in the way of a pair's requests, given its replications."""
    seen = [cell.binding for cell in cells]
    asked = [cell.asked for cell in seen]
    before = [cell.turnaround.before_ms for cell in cells]
    return {
        "binding": {
            **{name: counted([getattr(cell, name) for cell in seen]) for name in _COUNTS},
            "jobs_waited": counted([int(np.count_nonzero(ms > _LONG_MS)) for ms in before]),
        },
        "attempts_per_request": stats.ratio_interval([cell.calls for cell in seen], asked, LEVEL),
        "backoff_s": _lost([cell.backoff_ms for cell in seen], asked),
        "queued_s": _lost([cell.queued_ms for cell in seen], asked),
        "tiers": {
            **{mode.name.lower(): counted([cell.served[mode] for cell in seen]) for mode in Mode},
            "overflow": counted([cell.refused(Limit.PRIORITY) for cell in seen]),
        },
        "jobs": _jobs(cells),
        "turnaround_s": {
            "before_creation": quantiles(before),
            "after_creation": quantiles([cell.turnaround.after_ms for cell in cells]),
        },
        "caches": _caches(cells),
        "storage_share": part(
            [cell.lines_usd.get("storage", Fraction(0)) for cell in cells], [cell.total_usd for cell in cells]
        ),
    }


def _lost(ms: Sequence[int], asked: Sequence[int]) -> dict[str, Tree]:
    return {"total": mean([Fraction(one, SECOND) for one in ms]), "per_request": seconds_each(ms, asked)}


def _jobs(cells: Sequence[Cell]) -> dict[str, Tree]:
    states = dict.fromkeys(state for cell in cells for state in cell.jobs)
    return {state: counted([cell.jobs.get(state, 0) for cell in cells]) for state in states}


def _caches(cells: Sequence[Cell]) -> dict[str, Tree]:
    caches = [cell.caches for cell in cells]
    held = [one.token_ms for one in caches]
    return {
        "created": counted([one.created for one in caches]),
        "refused": counted([one.refused for one in caches]),
        "token_hours": mean([Fraction(ms, HOUR) for ms in held]),
        **_unread([one.unread for one in caches if one.unread is not None], held),
    }


def _unread(found: Sequence[Unread], held: Sequence[int]) -> dict[str, Tree]:
    """Return what concerns caches that were never read; all of it None where the run was cut."""
    if not found:
        return dict.fromkeys(("unread", "unread_token_hours", "unread_share", "unread_usd"))
    return {
        "unread": counted([one.caches for one in found]),
        "unread_token_hours": mean([Fraction(one.token_ms, HOUR) for one in found]),
        "unread_share": share([one.token_ms for one in found], held),
        "unread_usd": amount([one.usd for one in found]).within(0.0),
    }
