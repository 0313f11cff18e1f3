"""The times of a batch job, and the moments at which its client acts."""

from collections.abc import Sequence

from sim.providers.rules import SHARE_ONE, BatchRules

__all__ = [
    "ENDED",
    "EXPIRED",
    "STOPPED",
    "finished",
    "fitting",
    "guard_at",
    "next_send",
    "run_length",
    "seen_at",
    "times",
]

ENDED, EXPIRED, STOPPED = 0, 1, 2  # how a job ends: by itself, without results, or cut short with some


def times(created: int, turnaround: int, rules: BatchRules) -> tuple[int, int, int]:
    """Return when a job starts to run (-1 = never), when it ends, and how (``ENDED``, ``EXPIRED`` or ``STOPPED``).

    ``turnaround`` is -1 for a job that never ends. ``pending_share`` of it is pending, the rest running. Limits are
    half-open: a job that would end at the very instant of its limit, or start at that of ``pending_limit``, does. A
    job that ends has run for 1 ms at least, so that its end comes after its start.

    >>> from sim.providers.rules import BatchRules
    >>> developer = BatchRules(pending_share=45_875, expires_after=5_000, failure=0, job_failure=0)
    >>> times(0, 1_000, developer._replace(pending_share=65_536)), times(0, 1_000, developer)
    ((999, 1000, 0), (699, 1000, 0))
    >>> times(0, 6_000, developer), times(0, -1, developer)
    ((4199, 5000, 1), (-1, 5000, 1))
    >>> vertex = BatchRules(45_875, -1, 0, 0, pending_limit=5_000, running_limit=500)
    >>> times(0, 1_000, vertex), times(0, 2_000, vertex), times(0, -1, vertex)
    ((699, 1000, 0), (1399, 1899, 2), (-1, 5000, 1))
    """
    longest = _first(rules.expires_after, rules.pending_limit)
    if turnaround < 0:
        return -1, created + longest, EXPIRED
    pending = min(turnaround * rules.pending_share // SHARE_ONE, turnaround - 1)
    if 0 <= rules.pending_limit < pending:
        return -1, created + longest, EXPIRED
    running = turnaround - pending
    end, how = turnaround, ENDED
    if 0 <= rules.running_limit < running:
        end, how = pending + rules.running_limit, STOPPED
    if 0 <= rules.expires_after < end:
        started = created + pending if pending < rules.expires_after else -1
        return started, created + rules.expires_after, EXPIRED
    return created + pending, created + end, how


def _first(one: int, other: int) -> int:
    """Return the shorter of two limits, of which -1 is none."""
    return min(one, other) if one >= 0 and other >= 0 else max(one, other)


def run_length(created: int, started: int, turnaround: int) -> int:
    """Return how long the whole run of a job would take in ms; 1 for one that never runs.

    >>> run_length(0, 699, 1_000), run_length(0, -1, -1)
    (301, 1)
    """
    return max(1, created + turnaround - started) if started >= 0 else 1


def finished(requests: int, ran: int, running: int) -> int:
    """Return how many of a job's requests are answered after a part of its run: they end evenly, in their order.

    >>> finished(10, 999, 2_000), finished(10, 1_000, 2_000)
    (4, 5)
    """
    return requests * ran // running


def fitting(tokens: Sequence[int], start: int, most_requests: int, most_tokens: int) -> int:
    """Return how many requests from ``start`` on fit into one job, in their order; 0 = the first is too large alone.

    >>> fitting([3, 3, 3, 9], 0, -1, 7), fitting([3, 3, 3, 9], 0, 1, -1), fitting([3, 3, 3, 9], 3, -1, 7)
    (2, 1, 0)
    """
    count, total = 0, 0
    for position in range(start, len(tokens)):
        total += tokens[position]
        if 0 <= most_requests <= count or 0 <= most_tokens < total:
            break
        count += 1
    return count


def seen_at(created: int, end: int, poll: int) -> int:
    """Return the first look at or after the end; looks are every ``poll`` ms from the creation on.

    A client that finds its job late, when it has ended, sees that at once.

    >>> seen_at(100, 159, 60), seen_at(100, 160, 60), seen_at(100, 161, 60), seen_at(100, 40, 60)
    (160, 160, 220, 100)
    """
    return created + max(0, -((created - end) // poll)) * poll


def next_send(now: int, window: int, every: int, at: Sequence[int]) -> int:
    """Return when a collection whose first request came now is sent at the latest, -1 = by size only.

    >>> next_send(70, 50, 100, ()), next_send(70, -1, -1, (10, 90)), next_send(70, -1, -1, ())
    (100, 90, -1)
    """
    due = now + window if window >= 0 else -1
    if every > 0:
        grid = -(-now // every) * every
        due = grid if due < 0 else min(due, grid)
    for instant in at:
        if instant >= now:
            return instant if due < 0 else min(due, instant)
    return due


def guard_at(arrived: int, patience: int, guard: int, now: int) -> int:
    """Return when the guard gives up on a batched request and sends it in real time, not before now.

    >>> guard_at(0, 1_000, 300, 10), guard_at(0, 1_000, 300, 900)
    (700, 900)
    """
    return max(now, arrived + patience - guard)
