"""``close = "cut"``: a drained run seen from the horizon; what had not happened by then is pending, and unbilled."""

import numpy as np

from sim.ledger import JobState, Ledger, Source, Status
from sim.strategies.decision import NEVER
from sim.trace import Ints

__all__ = ["cut"]

LIMITS = ("limit_kind", "limit_hour", "limit_count")


COUNTS = ("attempts", "throttled", "shed", "timeouts", "forbidden", "backoff", "queued")


def cut(ledger: Ledger, horizon: int, counted: Ledger) -> Ledger:
    """Return the ledger as it stands at the horizon; the future changes nothing before it, so the past can be cut out.

    Requests that were not answered by then are pending, caches are metered up to it, and jobs are in the state that
    they had. ``counted`` is the ledger of the same run stopped at the horizon: from it come the counts of calls, of
    reads and of refusals, whose instants a ledger does not tell.
    """
    pending = (ledger.done == NEVER) | (ledger.done >= horizon)
    kept = ledger.cache_born < horizon
    billed = ledger.duplicate_done < horizon
    existing = ledger.job_created < horizon
    number = np.cumsum(existing) - 1
    return ledger._replace(
        status=np.where(pending, int(Status.PENDING), ledger.status),
        done=np.where(pending, NEVER, ledger.done),
        cached=np.where(pending, 0, ledger.cached),
        cached_audio=np.where(pending, 0, ledger.cached_audio),
        source=np.where(pending, int(Source.NONE), ledger.source),
        sent=np.where(ledger.sent >= horizon, NEVER, ledger.sent),
        arrived=np.where(ledger.arrived >= horizon, NEVER, ledger.arrived),
        job=_renumbered(ledger.job, existing, number),
        **{name: getattr(ledger, name)[billed] for name in Ledger._fields if name.startswith("duplicate_")},
        **{name: getattr(ledger, name)[kept] for name in ("cache_model", "cache_tokens", "cache_audio", "cache_born")},
        cache_until=np.minimum(ledger.cache_until[kept], horizon),
        cache_committed=np.minimum(ledger.cache_committed[kept], horizon),
        cache_reads=counted.cache_reads[: np.count_nonzero(kept)],
        **{
            name: getattr(ledger, name)[existing]
            for name in ("job_collected", "job_created", "job_requests", "job_tokens")
        },
        job_started=np.where(ledger.job_started >= horizon, NEVER, ledger.job_started)[existing],
        job_done=np.where(ledger.job_done >= horizon, NEVER, ledger.job_done)[existing],
        job_state=_states(ledger, horizon)[existing],
        **{name: getattr(counted, name) for name in (*COUNTS, *LIMITS)},
    )


def _states(ledger: Ledger, horizon: int) -> Ints:
    running = (ledger.job_started != NEVER) & (ledger.job_started < horizon)
    before = np.where(running, int(JobState.RUNNING), int(JobState.PENDING))
    return np.where(ledger.job_done >= horizon, before, ledger.job_state)


def _renumbered(job: Ints, existing: np.ndarray[tuple[int], np.dtype[np.bool_]], number: Ints) -> Ints:
    if not len(existing):
        return job
    return np.where((job >= 0) & existing[job], number[job], NEVER)
