"""``close = "cut"``: a drained run seen from the horizon; what had not happened by then is pending, and unbilled."""

import numpy as np

from sim.ledger import JobState, Ledger, Source, Status
from sim.strategies.decision import NEVER
from sim.trace import Ints

__all__ = ["cut"]


def cut(ledger: Ledger, horizon: int) -> Ledger:
    """Return the ledger as it stands at the horizon; the future changes nothing before it, so the past can be cut out.

    Requests that were not answered by then are pending, caches are metered up to it, and jobs are in the state that
    they had.
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
        source=np.where(pending, int(Source.NONE), ledger.source),
        sent=np.where(ledger.sent >= horizon, NEVER, ledger.sent),
        arrived=np.where(ledger.arrived >= horizon, NEVER, ledger.arrived),
        job=_renumbered(ledger.job, existing, number),
        **{name: getattr(ledger, name)[billed] for name in Ledger._fields if name.startswith("duplicate_")},
        cache_model=ledger.cache_model[kept],
        cache_tokens=ledger.cache_tokens[kept],
        cache_born=ledger.cache_born[kept],
        cache_until=np.minimum(ledger.cache_until[kept], horizon),
        cache_committed=np.minimum(ledger.cache_committed[kept], horizon),
        cache_reads=ledger.cache_reads[kept],
        job_created=ledger.job_created[existing],
        job_started=np.where(ledger.job_started >= horizon, NEVER, ledger.job_started)[existing],
        job_done=np.where(ledger.job_done >= horizon, NEVER, ledger.job_done)[existing],
        job_state=_states(ledger, horizon)[existing],
    )


def _states(ledger: Ledger, horizon: int) -> Ints:
    running = (ledger.job_started != NEVER) & (ledger.job_started < horizon)
    before = np.where(running, int(JobState.RUNNING), int(JobState.PENDING))
    return np.where(ledger.job_done >= horizon, before, ledger.job_state)


def _renumbered(job: Ints, existing: np.ndarray[tuple[int], np.dtype[np.bool_]], number: Ints) -> Ints:
    if not len(existing):
        return job
    return np.where((job >= 0) & existing[job], number[job], NEVER)
