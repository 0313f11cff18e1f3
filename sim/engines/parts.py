"""What a run whose workload comes in pieces gives in return: its ledger in parts."""

from typing import NamedTuple, Protocol

from sim.engines.physics import Physics
from sim.ledger import Ledger
from sim.trace import Ints, Piece

__all__ = ["Part", "Streaming"]


class Part(NamedTuple):
    """What became of the requests ``[first, first + n)`` of a workload.

    The ledger's caches, jobs and limits are those of the whole run, all of them in the last part; a duplicate is in the
    part before which it was billed. ``duplicate_request`` and ``job`` count from the start of the run.
    """

    ledger: Ledger
    first: int
    stream: Ints  # (n,)
    patience: Ints  # (n,) ms
    thinking: Ints  # (n,) tokens
    document: Ints  # (n,) the deepest document of the prompt, -1 = none


class Streaming(Protocol):
    """A run on its way that is fed with pieces."""

    def feed(self, piece: Piece, physics: Physics) -> Part:
        """Take the next piece; return what has become of the requests before the first that is still open."""

    def finish(self) -> Part:
        """Return what becomes of the rest."""
