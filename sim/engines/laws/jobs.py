"""The times of a batch job, and the moments at which its client acts."""

from collections.abc import Sequence

__all__ = ["guard_at", "next_send", "seen_at", "times"]


def times(created: int, turnaround: int, pending_share: int, expires_after: int) -> tuple[int, int, bool]:
    """Return when a job starts to run (-1 = never), when it ends, and whether it ended by expiring.

    ``turnaround`` is -1 for a job that never ends; ``pending_share`` is in 1/65,536. A job that is not done after
    ``expires_after`` expires, half-open: one that would end at that very instant has ended. A job that ends has run for
    1 ms at least, so that its end comes after its start.

    >>> times(0, 1_000, 65_536, 5_000)
    (999, 1000, False)
    >>> times(0, 1_000, 45_875, 5_000), times(0, 6_000, 45_875, 5_000), times(0, -1, 45_875, 5_000)
    ((699, 1000, False), (4199, 5000, True), (-1, 5000, True))
    """
    if turnaround < 0:
        return -1, created + expires_after, True
    pending = min(turnaround * pending_share // 65_536, turnaround - 1)
    if turnaround <= expires_after:
        return created + pending, created + turnaround, False
    started = created + pending if pending < expires_after else -1
    return started, created + expires_after, True


def seen_at(created: int, end: int, poll: int) -> int:
    """Return the first look at or after the end; looks are every ``poll`` ms from the creation on.

    >>> seen_at(100, 159, 60), seen_at(100, 160, 60), seen_at(100, 161, 60)
    (160, 160, 220)
    """
    return created + -((created - end) // poll) * poll


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
