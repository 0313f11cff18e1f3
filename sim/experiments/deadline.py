"""How long one cell may take: a cell that hangs is named as failed, and the sweep goes on."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from sim.errors import SimError
from sim.experiments.estimate import Estimate
from sim.experiments.plan import Plan

__all__ = ["LEAST_S", "TookTooLong", "allowed", "limited", "too_long"]

LEAST_S = 600.0  # that any cell may take
_GENEROUS = 100  # times what its largest cell is expected to take
_SLOW_S = 1e-4  # a request-run, where nothing was measured: six times what the reference engine takes
_AGAIN_S = 1.0  # after which a cell is told again that its time is over


class TookTooLong(SimError, TimeoutError):
    """A cell was still at work when its time was over."""

    exit_code = 1


def too_long(seconds: float) -> str:
    """Return what is said of a cell that hangs.

    >>> too_long(600)
    'still at work after 600 s: given up'
    """
    return f"still at work after {seconds:,.10g} s: given up"


def allowed(plan: Plan, estimate: Estimate | None, asked: float | None) -> float:
    """Return the seconds that a cell may take: as asked, else far more than any should, 10 minutes at least.

    What is expected is the largest group's requests at the pace that was measured.
    """
    if asked is not None:
        return asked
    pace = _SLOW_S if estimate is None else estimate.seconds_each
    return max(LEAST_S, _GENEROUS * pace * max(plan.requests, default=0))


class _Alarm:
    """The alarm clock of this process; armed for one cell after another."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def ring(self, _number: int, _frame: FrameType | None) -> None:
        raise TookTooLong(too_long(self._seconds))

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Let a block raise :class:`TookTooLong` where it is once its time is over."""
        signal.setitimer(signal.ITIMER_REAL, self._seconds, _AGAIN_S)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


class _Endless:
    """An alarm that never rings."""

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Let a block take as long as it takes."""
        yield


@contextmanager
def limited(seconds: float) -> Iterator[_Alarm | _Endless]:
    """Give an alarm for what this process computes itself.

    It is raised between two steps of Python: compiled code ends first, and only a worker process can be stopped there.
    Where signals cannot be had, as in a thread of a larger program, nothing is limited.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield _Endless()
        return
    alarm = _Alarm(seconds)
    before = signal.signal(signal.SIGALRM, alarm.ring)
    try:
        yield alarm
    finally:
        signal.signal(signal.SIGALRM, before)
