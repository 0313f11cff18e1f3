"""What a Monte Carlo run found: one cell for each strategy, model and replication, before any statistics."""

from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from sim.ledger import Ledger
from sim.providers.facts import Assumption
from sim.trace import Ints

__all__ = ["Cell", "Kept", "Result", "StreamCell"]


class StreamCell(NamedTuple):
    """What the requests of one stream met in one cell."""

    stream: str
    total: int  # requests
    done: int
    failed: int
    expired: int
    pending: int
    within_patience: int  # answered within the caller's patience
    prompt_tokens: int  # of answered requests, as the next two
    implicit_tokens: int  # read from the service's own cache
    explicit_tokens: int  # read from explicit caches
    latency_ms: Ints  # (done,) from arrival to answer, sorted


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One strategy on one model in one replication."""

    strategy: str
    model: str
    replication: int
    total_usd: Fraction
    lines_usd: dict[str, Fraction]  # input, cached, creation, output, storage
    streams: tuple[StreamCell, ...]
    jobs: dict[str, int]  # batch jobs by state, in lower case; states that did not occur are left out
    caches: int  # explicit caches created
    unread_caches: int | None  # of them never read; None where the run was cut, since some are read later
    duplicates: int  # calls that were billed although another one settled the same request


class Kept(NamedTuple):
    """A whole ledger, kept on request."""

    strategy: str
    model: str
    replication: int
    ledger: Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All cells of a run, in the order strategy, model, replication, with what the reader must know of them."""

    scenario: str  # its name
    question: str
    book: str
    seed: int
    replications: int
    horizon_ms: int
    strategies: tuple[str, ...]  # in the scenario's order
    models: tuple[str, ...]  # as asked for
    baseline: str
    patience_target: float  # the share of requests that must be answered within patience
    ranked: bool  # false where the run was cut at the horizon: deferred work would win
    random: bool  # whether anything in the run is random: if not, replications are identical
    assumptions: tuple[Assumption, ...]  # in force
    warnings: tuple[str, ...]
    cells: tuple[Cell, ...]
    kept: tuple[Kept, ...] = ()

    def of(self, strategy: str, model: str) -> list[Cell]:
        """Return the cells of a (strategy, model) pair by replication."""
        return [cell for cell in self.cells if cell.strategy == strategy and cell.model == model]
