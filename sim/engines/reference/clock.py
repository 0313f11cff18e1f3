"""SimPy's clock with a stated order of simultaneous events."""

import math
from collections.abc import Callable

import simpy

from sim.engines.laws.order import BEGIN, END, Kind, rank
from sim.errors import EngineError

__all__ = ["BEGIN", "END", "Clock", "Kind"]

_SIMPYS_OWN = 2  # priorities that SimPy keeps for itself
_MOST_AT_ONCE = 10_000, 100  # events of one instant: in any case, and for each request. Random cases have 3 a request
_SHOWN = 20  # of them, where time stands still
_NAMES = {number: name for name, number in vars(Kind).items() if name.isupper() and name != "COUNT"}


class Clock:
    """Events in the order ``(time, end | begin, request, kind)``, always the smallest next.

    The key's rank is SimPy's event priority, above the two priorities that SimPy uses itself.
    """

    def __init__(self, requests: int) -> None:
        self.env = simpy.Environment()
        self.now = 0  # ms; SimPy's own clock, kept as a plain attribute since everything reads it
        self._requests = requests
        base, each = _MOST_AT_ONCE
        self._most, self._count = base + each * requests, 0  # events of one instant: that may be, and that were
        self._last: list[str] = []

    def at(self, time: int, phase: int, request: int, kind: int, action: Callable[[int], None]) -> None:
        """Call ``action(request)`` at a time that is not past."""

        def happen(_event: simpy.Event) -> None:
            self._come(time, request, kind)
            action(request)

        self._event(time, phase, request, kind).callbacks = [happen]

    def until(self, time: int, phase: int, request: int, kind: int) -> simpy.Event:
        """Return an event for a process to wait for, at its place among the others of its instant."""
        event = self._event(time, phase, request, kind)
        event.callbacks = [lambda _event: self._come(time, request, kind)]
        return event

    def _come(self, time: int, request: int, kind: int) -> None:
        """Let an event's instant be now; raise where more of them follow each other at one instant than ever should.

        Every cycle of the service takes a ms at least, so that only a defect lets time stand still for ever.
        """
        if time != self.now:
            self.now, self._count = time, 0
            return
        self._count += 1
        if self._count <= self._most:
            return
        self._last.append(f"{_NAMES[kind]} of {request}")
        if len(self._last) == _SHOWN:
            what = f"time stands still at {time} ms after {self._count:,} events, of {self._requests:,} requests"
            raise EngineError(f"{what}; the last: {', '.join(self._last)}")

    def _event(self, time: int, phase: int, request: int, kind: int) -> simpy.Event:
        event = simpy.Event(self.env)
        event._ok, event._value = True, None
        place = _SIMPYS_OWN + rank(phase, request, kind, self._requests)
        self.env.schedule(event, priority=place, delay=time - self.env.now)  # type: ignore[arg-type]  # an int priority
        return event

    @property
    def pending(self) -> bool:
        """Return whether anything is left to happen."""
        return self.env.peek() < math.inf

    def run(self, stop: int = -1) -> None:
        """Run until nothing is left to happen, or nothing before ``stop`` if that is not -1."""
        if stop < 0:
            self.env.run()
        while self.env.peek() < stop:
            self.env.step()
