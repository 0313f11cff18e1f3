"""What an interrupt does to a sweep: the first ends it in good order, the second at once."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interrupts"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Turn the first SIGINT or SIGTERM into :class:`KeyboardInterrupt`, but never while something is being saved.

    The second one meets the system's own answer and ends the process, whatever it is doing; what is saved stays valid.
    A hang-up does nothing: a sweep goes on when its terminal has gone. In a destructor, or the callback of a weak
    reference, an interrupt can end nothing; it is answered at the next save.
    """

    def __init__(self) -> None:
        self._saving = False
        self._asked = False
        self._before: dict[int, object] = {}
        self._told = sys.unraisablehook

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}
            if hasattr(signal, "SIGHUP"):
                self._before[signal.SIGHUP] = signal.signal(signal.SIGHUP, signal.SIG_IGN)
            self._told, sys.unraisablehook = sys.unraisablehook, self._quietly
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal gave
        if self._before:
            sys.unraisablehook = self._told

    def _quietly(self, lost: "sys.UnraisableHookArgs") -> None:
        """Print the traceback of what could not be raised, unless it is an interrupt: that is answered later."""
        if lost.exc_type is not KeyboardInterrupt:
            self._told(lost)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        self._asked = True
        if not self._saving:
            raise KeyboardInterrupt

    def hold(self) -> None:
        """Keep an interrupt back from here on, until :meth:`answer`."""
        self._saving = True

    def answer(self) -> None:
        """Raise :class:`KeyboardInterrupt` for an interrupt that was kept back, and keep none back any more."""
        self._saving = False
        if self._asked:
            self._asked = False
            raise KeyboardInterrupt

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Let what is being saved be finished before an interrupt is answered."""
        self.hold()
        try:
            yield
        except BaseException:
            self._saving = False
            raise
        self.answer()
