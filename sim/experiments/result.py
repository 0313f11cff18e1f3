"""What a Monte Carlo run found: one cell for each strategy, model and replication, before any statistics."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sim.experiments.survey import Survey
from sim.ledger import Ledger, Limit
from sim.providers.facts import Assumption
from sim.sketch import Sample
from sim.trace import Ints

__all__ = [
    "LIMIT_NAMES",
    "Binding",
    "Caching",
    "Cell",
    "Certainty",
    "Kept",
    "Refusals",
    "Result",
    "StreamCell",
    "Turnaround",
    "Unread",
]

LIMIT_NAMES: Mapping[Limit, str] = {  # a limit that a project can state by hand has the name that it states it by
    Limit.REQUESTS: "requests_per_minute",
    Limit.TOKENS: "tokens_per_minute",
    Limit.DAY: "requests_per_day",
    Limit.SPEND: "usd_per_10_minutes",
    Limit.CONCURRENCY: "concurrent_requests",
    Limit.OVERLOAD: "overload",
    Limit.SHED: "flex_shed",
    Limit.PRIORITY: "priority",
    Limit.FORBIDDEN: "forbidden",
    Limit.TIMEOUT: "timeout",
}


class StreamCell(NamedTuple):
    """What the requests of one stream met in one cell."""

    stream: str
    total: int  # requests
    done: int
    failed: int
    expired: int
    pending: int
    within_patience: int  # answered within the caller's patience
    prompt_tokens: int  # of answered requests, as all tokens below
    implicit_tokens: int  # of these: read from the service's own cache
    explicit_tokens: int  # of these: read from explicit caches
    audio_tokens: int  # of these: audio, cached or not
    output_tokens: int
    thinking_tokens: int  # of these
    latency_ms: Sample  # (done,) from arrival to answer, sorted; of a very large run a sketch


class Refusals(NamedTuple):
    """What one limit refused in one hour."""

    limit: Limit
    hour: int  # whole hours since the run's start
    calls: int


class Binding(NamedTuple):
    """What stood in the way of a cell's requests, and which tier served them in the end."""

    start_ms: int  # ms since the Unix epoch of the run's start, from which the hours count
    refusals: tuple[Refusals, ...]  # by limit, then by hour
    asked: int  # requests that were asked; the rest of a session that ended never is
    calls: int  # for them; a batched request counts once for each job that it stood in
    throttled: int  # calls refused by a quota (429)
    shed: int  # calls refused by an overloaded service (503)
    timeouts: int  # calls that their caller gave up waiting for
    forbidden: int  # calls and batched requests whose explicit cache was over (403)
    backoff_ms: int  # that refusals by quotas cost, over all requests
    queued_ms: int  # that requests waited for a slot of their own client, over all requests
    served: tuple[int, ...]  # answered requests by the Mode that served them

    def refused(self, limit: Limit) -> int:
        """Return the calls that a limit refused in all hours."""
        return sum(found.calls for found in self.refusals if found.limit == limit)


class Turnaround(NamedTuple):
    """How long batch jobs took."""

    before_ms: Ints  # (j,) from the close of a job's collection to its creation: for room and for its caches; sorted
    after_ms: Ints  # (k,) from the creation of a job to its end, of all that ended in any state; sorted


class Unread(NamedTuple):
    """Explicit caches that were never read."""

    caches: int
    token_ms: int  # token-milliseconds that they were held
    usd: Fraction  # what they cost: their creation and their storage


class Caching(NamedTuple):
    """What became of explicit caches."""

    created: int
    refused: int  # contexts that were asked for and could not be cached, because of their size
    token_ms: int  # token-milliseconds that caches were held
    unread: Unread | None  # None where the run was cut: some are read later


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One strategy on one model in one replication."""

    strategy: str
    model: str
    replication: int
    total_usd: Fraction
    lines_usd: dict[str, Fraction]  # by sim.providers.prices.LINES
    streams: tuple[StreamCell, ...]
    binding: Binding
    jobs: dict[str, int]  # batch jobs by state, in lower case; states that did not occur are left out
    turnaround: Turnaround
    caches: Caching
    duplicates: int  # calls that were billed although another one settled the same request


class Kept(NamedTuple):
    """A whole ledger, kept on request."""

    strategy: str
    model: str
    replication: int
    ledger: Ledger


class Certainty(NamedTuple):
    """How a run until sure came to its end; see :mod:`sim.experiments.until_sure`."""

    precision: float  # the relative half-width that was asked for
    floor: int  # replications before the first look
    ceiling: int
    looks: tuple[int, ...]  # the replications at each look, the last one being the run's end
    reached: bool
    widths: dict[str, float]  # the relative half-width of each measure at the end; infinite where it has none

    @property
    def widest(self) -> str:
        """Return the measure that kept the run going; of equals the first."""
        return max(self.widths, key=lambda name: self.widths[name])


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All cells of a run, in the order strategy, model, replication, with what the reader must know of them."""

    scenario: str  # its name
    question: str
    book: str
    seed: int
    replications: int
    start: dt.datetime  # of the scenario; an arm may have another
    time_zone: ZoneInfo  # in which hours are told
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
    seen: tuple[Survey, ...] = ()  # what the realisation of each replication holds; of a record, which has one, one
    certainty: Certainty | None = None  # None where the number of replications was given
    folder: Path | None = None  # where the cells are, if they were kept as they arrived

    def of(self, strategy: str, model: str) -> list[Cell]:
        """Return the cells of a (strategy, model) pair by replication."""
        return [cell for cell in self.cells if cell.strategy == strategy and cell.model == model]
