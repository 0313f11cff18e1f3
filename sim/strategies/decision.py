"""What a strategy sees of one request and what it says of it; integers only, so that it can be compiled."""

from collections.abc import Callable
from enum import IntEnum
from typing import Any, NamedTuple

__all__ = ["BatchPlan", "CachePlan", "CacheUse", "Decision", "FlexPlan", "Implicit", "NoParams", "Plan", "View"]

NEVER = -1  # of a duration or an instant: it does not come


class View(NamedTuple):
    """One request at its arrival."""

    patience: int  # ms that the caller can wait
    prompt: int  # tokens
    context: int  # tokens of the context that an explicit cache could hold, 0 = none that may be cached
    seen: int  # how often that context was asked for before


class CacheUse(IntEnum):
    """What a request does with the explicit cache of its context."""

    NONE = 0
    READ = 1  # read it if it is alive
    CREATE = 2  # read it, and create it where there is none


class Decision(NamedTuple):
    """Where a request goes."""

    mode: int  # a sim.ledger.Mode: BATCH is collected for a job, the others are sent at once
    cache: int  # a CacheUse


class NoParams(NamedTuple):
    """The parameters of a strategy that has none."""


class Implicit(IntEnum):
    """Whether a strategy's calls meet the service's implicit cache."""

    OFF = 0
    AS_SERVICE = 1  # as the price book's service table says
    ON = 2


class CachePlan(NamedTuple):
    """How explicit caches are kept: all durations in ms, ``NEVER`` = does not apply."""

    ttl: int = 3_600_000
    renew_on_use: int = 0
    renew_margin: int = NEVER  # renewed this long before each expiry
    idle: int = NEVER  # deleted after this long without a use
    last_use: int = 0  # deleted with its context's last request (looks ahead)
    wait: int = 1  # requests that arrive during the creation wait for it
    pad_from: int = NEVER  # contexts of at least so many tokens are filled up to the minimum
    sightings: int = 1  # created at the k-th request of the context
    populations: int = -1  # bit mask of the context populations that may be cached, -1 = all
    own_clock: int = 0  # 1: the client counts the TTL from the reply to the creation, not by the expiry that it names
    expire_at: tuple[int, ...] = ()  # ms since start: instead of a TTL, caches expire at the next of these instants
    shorten: int = 0  # 1: a cache that is no longer wanted has its TTL shortened, instead of being deleted
    delete_replaced: int = 0  # 1: deleted when other contents take the place of its context, unless that is past


class BatchPlan(NamedTuple):
    """How requests are collected into jobs and waited for."""

    size: int = NEVER  # a job is sent when it has so many
    window: int = NEVER  # ms after its first request
    every: int = NEVER  # ms: at each multiple since the start
    at: tuple[int, ...] = ()  # ms since start: at these instants
    poll: int = 1  # ms between two looks at the job
    attempts: int = 1  # times that a request is put into a job at most
    guard: int = NEVER  # a request still open this long before its deadline is sent in real time
    inline: int = 0  # 1: requests are sent inline, in smaller jobs than a file could hold
    deduplicate: int = 0  # 1: a client that got no reply looks for its job before it creates another


class FlexPlan(NamedTuple):
    """How long a caller tries the flex tier before it goes elsewhere."""

    attempts: int = 3  # calls of the flex tier at most
    timeout: int = NEVER  # ms that a call may take, its queueing included
    guard: int = NEVER  # ms before the deadline at which the tier is given up
    fallback: int = 1  # 1: then the standard tier; 0: then it has failed


class Plan(NamedTuple):
    """A strategy with its parameters, ready to run."""

    name: str
    kind: str
    decide: Callable[[Any, View], Decision]
    params: Any  # the NamedTuple of ints that decide takes
    implicit: Implicit
    cache: CachePlan | None = None  # None: it never uses an explicit cache
    batch: BatchPlan | None = None  # None: it never uses the Batch API
    flex: FlexPlan | None = None  # None: it never uses the flex tier
