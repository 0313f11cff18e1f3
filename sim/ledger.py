"""The output table of every engine: metered usage in tokens and milliseconds, with no price in it."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from sim.trace import Ints

__all__ = ["JobState", "Ledger", "Limit", "Mode", "Source", "Status"]


class Mode(IntEnum):
    """How a request was served."""

    STANDARD = 0
    BATCH = 1
    FLEX = 2
    PRIORITY = 3


class Source(IntEnum):
    """Where the cached tokens of a prompt came from."""

    NONE = 0
    IMPLICIT = 1
    EXPLICIT = 2


class Status(IntEnum):
    """The one state in which a request ends."""

    PENDING = 0  # only in a run that was cut at the horizon
    DONE = 1
    FAILED = 2
    EXPIRED = 3  # its last job expired


class Limit(IntEnum):
    """What refused a call, or let a call of the priority tier be served as standard."""

    REQUESTS = 0  # a minute
    TOKENS = 1  # of input, a minute
    DAY = 2  # requests a day
    SPEND = 3  # in ten minutes
    CONCURRENCY = 4  # calls in flight
    OVERLOAD = 5  # 503: no quota, the service itself
    SHED = 6  # 503 of the flex tier
    PRIORITY = 7  # its own limits: served and billed as standard
    FORBIDDEN = 8  # 403: the explicit cache that the call names is over
    TIMEOUT = 9  # the caller's own


class JobState(IntEnum):
    """The state of a batch job at the end of the run."""

    PENDING = 0
    RUNNING = 1
    SUCCEEDED = 2
    PARTIALLY_SUCCEEDED = 3
    FAILED = 4
    EXPIRED = 5
    CANCELLED = 6


class Ledger(NamedTuple):
    """What one run of one strategy used: n requests, d duplicates, m explicit caches, j batch jobs, l refusals.

    Only rows whose ``status`` is ``DONE`` are billed. ``cached + fresh input = prompt``; ``cached`` counts tokens read
    from a cache. Times are integer milliseconds since ``start_ms``, lifetimes half-open ``[born, until)``.
    """

    model: Ints  # (n,) the model that served, index into `models`
    mode: Ints  # (n,) a Mode
    prompt: Ints  # (n,) tokens, cached ones and padding included
    cached: Ints  # (n,) tokens of the prompt read from a cache
    audio: Ints  # (n,) tokens of the prompt that are audio
    cached_audio: Ints  # (n,) tokens of the cached ones that are audio
    source: Ints  # (n,) a Source
    output: Ints  # (n,) tokens
    arrived: Ints  # (n,) ms: when the caller asked; -1 = never (its session ended before)
    sent: Ints  # (n,) ms: when its service started, which dates its price; -1 = never
    done: Ints  # (n,) ms: when the caller had the answer, or knew that none would come; -1 = pending
    attempts: Ints  # (n,) calls made, the last one included
    status: Ints  # (n,) a Status
    job: Ints  # (n,) the batch job that settled it, -1 = none
    throttled: Ints  # (n,) calls refused by a quota (429)
    shed: Ints  # (n,) calls refused by an overloaded service (503)
    timeouts: Ints  # (n,) calls that their caller gave up waiting for
    forbidden: Ints  # (n,) calls and batched requests whose explicit cache was over (403)
    backoff: Ints  # (n,) ms that refusals by quotas cost: each from the call to the next one, or to giving up
    queued: Ints  # (n,) ms that it waited for a slot of its own client
    duplicate_request: Ints  # (d,) a call that was billed although another one settled the same request
    duplicate_model: Ints  # (d,)
    duplicate_mode: Ints  # (d,)
    duplicate_prompt: Ints  # (d,)
    duplicate_cached: Ints  # (d,)
    duplicate_audio: Ints  # (d,)
    duplicate_cached_audio: Ints  # (d,)
    duplicate_output: Ints  # (d,)
    duplicate_sent: Ints  # (d,) ms: when its job started to run, which dates its price
    duplicate_done: Ints  # (d,) ms: when its answer came that nobody waited for any more
    cache_model: Ints  # (m,) index into `models`
    cache_tokens: Ints  # (m,) tokens written, padding included
    cache_audio: Ints  # (m,) tokens of these that are audio
    cache_born: Ints  # (m,) ms: start of the creating call; the TTL and the storage run from here
    cache_until: Ints  # (m,) ms: deleted or expired
    cache_committed: Ints  # (m,) ms: the last expiry that was asked for; never before cache_until
    cache_reads: Ints  # (m,) reads in the whole run, also of a run that was cut
    job_collected: Ints  # (j,) ms: when its collection was closed; from then on it waited for room and for its caches
    job_created: Ints  # (j,) ms
    job_started: Ints  # (j,) ms, -1 = never ran
    job_done: Ints  # (j,) ms, -1 = not ended
    job_state: Ints  # (j,) a JobState
    job_requests: Ints  # (j,) requests in it
    job_tokens: Ints  # (j,) tokens of their prompts, which count against the enqueued limit
    limit_kind: Ints  # (l,) a Limit, with limit_hour in rising order
    limit_hour: Ints  # (l,) whole hours since the start
    limit_count: Ints  # (l,) calls that it refused in that hour
    models: tuple[str, ...]  # names of the served models
    start_ms: int  # ms since the Unix epoch of the run's instant 0

    @property
    def done_mask(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """Return the (n,) mask of the requests that were answered, and so are billed."""
        return np.asarray(self.status == Status.DONE)

    @property
    def storage_token_ms(self) -> int:
        """Return the token-milliseconds that explicit caches were held, a Python int that cannot overflow."""
        lives = self.cache_until - self.cache_born
        return sum(int(t) * int(ms) for t, ms in zip(self.cache_tokens, lives, strict=True))
