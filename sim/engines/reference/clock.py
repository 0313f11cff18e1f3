"""SimPy's clock with a stated order of simultaneous events."""

from collections.abc import Callable

import simpy

__all__ = ["BEGIN", "END", "Clock", "Kind"]

END, BEGIN = 0, 1  # of what happens at one instant, that which ends comes first


class Kind:
    """What happens, in the order in which it happens to one request at one instant."""

    FREE, ANSWER, SEEN, ASK, RUN, GUARD, SEND = range(7)
    COUNT = 7


class Clock:
    """Events in the order ``(time, end | begin, request, kind)``, always the smallest next.

    The key's rank is SimPy's event priority, above the two priorities that SimPy uses itself.
    """

    def __init__(self, requests: int) -> None:
        self.env = simpy.Environment()
        self.now = 0  # ms; SimPy's own clock, kept as a plain attribute since everything reads it
        self._requests = requests + 1

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
        rank = 2 + (phase * self._requests + request) * Kind.COUNT + kind
        self.env.schedule(event, priority=rank, delay=time - self.env.now)  # type: ignore[arg-type]  # an int priority
        return event

    def run(self) -> None:
        """Run until nothing is left to happen."""
        self.env.run()
