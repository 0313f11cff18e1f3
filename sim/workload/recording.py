"""What a replay needs of a recorded trace: a shape and no import, since the importers are of the same layer."""

from typing import Protocol

from sim.trace import Ints

__all__ = ["Recording"]


class Recording(Protocol):
    """The recorded columns of a ``Trace``, without its draws."""

    @property
    def arrive(self) -> Ints:
        """Return the (n,) arrivals in ms, non-decreasing."""

    @property
    def leaf(self) -> Ints:
        """Return the (n,) nodes that the prompts start with, -1 = none."""

    @property
    def fresh(self) -> Ints:
        """Return the (n,) tokens after that node."""

    @property
    def output(self) -> Ints:
        """Return the (n,) tokens generated."""

    @property
    def thinking(self) -> Ints:
        """Return the (n,) tokens of these that are thinking."""

    @property
    def follows(self) -> Ints:
        """Return the (n,) requests waited for, -1 = none."""

    @property
    def think(self) -> Ints:
        """Return the (n,) ms from that request's answer."""

    @property
    def parent(self) -> Ints:
        """Return the (k,) parent nodes, -1 = root."""

    @property
    def depth(self) -> Ints:
        """Return the (k,) tokens from the root to the end of a node."""

    @property
    def context(self) -> Ints:
        """Return the (k,) marks, above 0 where an explicit cache may be cut."""

    @property
    def horizon(self) -> int:
        """Return the ms in which all arrivals fall."""
