"""Laws that every ledger keeps, whatever the strategy and the engine."""

from typing import Any

import numpy as np

from sim.errors import EngineError
from sim.ledger import JobState, Ledger, Limit, Source, Status
from sim.trace import Ints, Trace

__all__ = ["Account", "assert_conserved"]


def assert_conserved(trace: Trace, ledger: Ledger) -> Ledger:
    """Return the ledger if it keeps every law; raise :class:`EngineError` naming the first that it breaks."""
    account = Account()
    account.add(trace.prompt, ledger)
    account.close(ledger)
    return ledger


class Account:
    """The laws of a ledger whose requests come in parts: those of each request, then those of the whole."""

    def __init__(self) -> None:
        self._refused = self._reads = 0

    def add(self, prompt: Ints, ledger: Ledger) -> None:
        """Check the requests of a part, given the (n,) tokens that were asked."""
        done = _done(ledger)
        rows = Ledger._fields[: Ledger._fields.index("duplicate_request")]
        _need(all(len(getattr(ledger, name)) == len(prompt) for name in rows), "one row a request")
        _need(np.all(ledger.status != Status.PENDING), "every request ends in one state")
        _need(np.all((ledger.cached >= 0) & (ledger.cached <= ledger.prompt)), "cached + fresh = prompt")
        _need(np.all(ledger.prompt[done] >= prompt[done]), "a prompt is at least what was asked")
        heard = ledger.audio - ledger.cached_audio
        _need(np.all((ledger.cached_audio >= 0) & (ledger.cached_audio <= ledger.cached)), "cached audio is cached")
        _need(np.all(((heard >= 0) & (heard <= ledger.prompt - ledger.cached))[done]), "audio is a part of the prompt")
        _need(np.all((ledger.source == Source.NONE) == (ledger.cached == 0)), "cached tokens have a source")
        asked = ledger.arrived >= 0
        _need(np.all(asked[done]), "an answered request was asked")
        _need(np.all(ledger.sent[done] >= ledger.arrived[done]), "service starts at or after the arrival")
        _need(np.all(ledger.done[done] > ledger.arrived[done]), "an answer takes time")
        _need(np.all(ledger.done >= ledger.sent), "an answer comes after its call")
        refused = ledger.throttled + ledger.shed + ledger.timeouts
        _need(np.all(refused <= ledger.attempts), "only a call can be refused")
        self._refused += int(refused.sum())
        self._reads += int(np.count_nonzero(ledger.source[done] == Source.EXPLICIT))

    def close(self, ledger: Ledger) -> None:
        """Check the caches, jobs and limits of the whole against the requests that were added."""
        _need(np.all(ledger.cache_until >= ledger.cache_born), "a cache ends after its birth")
        _need(np.all(ledger.cache_committed >= ledger.cache_until), "a cache never outlives its committed TTL")
        _need(np.all(ledger.job_done >= ledger.job_created), "a job ends after its creation")
        _need(np.all(ledger.job_state >= JobState.SUCCEEDED), "every job ends")
        _need(self._refused == _refusals(ledger), "every refusal has its hour")
        _need(self._reads <= int(ledger.cache_reads.sum()), "an explicit read has a cache")
        _need(_live_integral(ledger) == ledger.storage_token_ms, "storage is the integral of the live tokens")


def _done(ledger: Ledger) -> Any:
    """Return what selects the answered requests; all of them need no copies of columns."""
    done = ledger.done_mask
    return slice(None) if done.all() else done


def _refusals(ledger: Ledger) -> int:
    """Return the calls that were refused or given up, by the hours in which that was; overflow and 403s count apart."""
    apart = (ledger.limit_kind == Limit.PRIORITY) | (ledger.limit_kind == Limit.FORBIDDEN)
    return int(ledger.limit_count[~apart].sum())


def _live_integral(ledger: Ledger) -> int:
    """Return the integral of the live tokens over time, by a sweep over births and ends: not by lifetimes."""
    times = np.concatenate([ledger.cache_born, ledger.cache_until])
    steps = np.concatenate([ledger.cache_tokens, -ledger.cache_tokens])
    order = np.argsort(times, kind="stable")
    live = np.cumsum(steps[order])[:-1].tolist()
    spans = np.diff(times[order]).tolist()
    return sum(tokens * span for tokens, span in zip(live, spans, strict=True))


def _need(holds: Any, law: str) -> None:
    if not holds:
        raise EngineError(f"the engine broke a law: {law}")
