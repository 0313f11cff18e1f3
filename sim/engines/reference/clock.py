"""SimPy's clock with a stated order of simultaneous events."""

import math
from collections.abc import Callable

import simpy

from sim.engines.laws.order import BEGIN, END, Kind, rank

__all__ = ["BEGIN", "END", "Clock", "Kind"]

_SIMPYS_OWN = 2  # priorities that SimPy keeps for itself


class Clock:
    """Events in the order ``(time, end | begin, request, kind)``, always the smallest next.

    The key's rank is SimPy's event priority, above the two priorities that SimPy uses itself.
    """

    def __init__(self, requests: int) -> None:
        self.env = simpy.Environment()
        self.now = 0  # ms; SimPy's own clock, kept as a plain attribute since everything reads it
        self._requests = requests

    def at(self, time: int, phase: int, request: int, kind: int, action: Callable[[int], None]) -> None:
        """Call ``action(request)`` at a time that is not past."""

        def happen(_event: simpy.Event) -> None:
            self.now = time
            action(request)

        self._event(time, phase, request, kind).callbacks = [happen]

    def until(self, time: int, phase: int, request: int, kind: int) -> simpy.Event:
        """Return an event for a process to wait for, at its place among the others of its instant."""
        event = self._event(time, phase, request, kind)
        event.callbacks = [lambda _event: self._set(time)]
        return event

    def _set(self, time: int) -> None:
        self.now = time

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
