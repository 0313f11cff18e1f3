"""The output table of every engine: metered usage in tokens and milliseconds, with no price in it."""

from enum import IntEnum
from typing import NamedTuple

import numpy as np

from sim.trace import Ints

__all__ = ["JobState", "Ledger", "Mode", "Source", "Status"]


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
    """What one run of one strategy used: n requests, d duplicates, m explicit caches, j batch jobs.

    Only rows whose ``status`` is ``DONE`` are billed. ``cached + fresh input = prompt``; ``cached`` counts tokens read
    from a cache. Times are integer milliseconds since ``start_ms``, lifetimes half-open ``[born, until)``.
    """

    model: Ints  # (n,) the model that served, index into `models`
    mode: Ints  # (n,) a Mode
    prompt: Ints  # (n,) tokens, cached ones and padding included
    cached: Ints  # (n,) tokens of the prompt read from a cache
    source: Ints  # (n,) a Source
    output: Ints  # (n,) tokens
    arrived: Ints  # (n,) ms: when the caller asked; -1 = never (its session ended before)
    sent: Ints  # (n,) ms: when its service started, which dates its price; -1 = never
    done: Ints  # (n,) ms: when the caller had the answer, or knew that none would come; -1 = pending
    attempts: Ints  # (n,) calls made, the last one included
    status: Ints  # (n,) a Status
    job: Ints  # (n,) the batch job that settled it, -1 = none
    duplicate_request: Ints  # (d,) a call that was billed although another one settled the same request
    duplicate_model: Ints  # (d,)
    duplicate_mode: Ints  # (d,)
    duplicate_prompt: Ints  # (d,)
    duplicate_cached: Ints  # (d,)
    duplicate_output: Ints  # (d,)
    duplicate_sent: Ints  # (d,) ms: when its job started to run, which dates its price
    duplicate_done: Ints  # (d,) ms: when its answer came that nobody waited for any more
    cache_model: Ints  # (m,) index into `models`
    cache_tokens: Ints  # (m,) tokens written, padding included
    cache_born: Ints  # (m,) ms: start of the creating call; the TTL and the storage run from here
    cache_until: Ints  # (m,) ms: deleted or expired
    cache_committed: Ints  # (m,) ms: the last expiry that was asked for; never before cache_until
    cache_reads: Ints  # (m,) reads in the whole run, also of a run that was cut
    job_created: Ints  # (j,) ms
    job_started: Ints  # (j,) ms, -1 = never ran
    job_done: Ints  # (j,) ms, -1 = not ended
    job_state: Ints  # (j,) a JobState
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
