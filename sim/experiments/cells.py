"""One ledger measured: its bill, what its requests met, and what stood in their way."""

from fractions import Fraction

import numpy as np

from sim.billing import rate
from sim.experiments.bounds import refused_contexts
from sim.experiments.pairs import Pair
from sim.experiments.result import Binding, Caching, Cell, Refusals, StreamCell, Turnaround, Unread
from sim.ledger import JobState, Ledger, Limit, Mode, Source, Status
from sim.once import once
from sim.providers.prices import Book, Terms
from sim.trace import Ints, Trace, exact_sum

__all__ = ["binding_of", "caching_of", "jobs_of", "measure", "requests_of", "stream_of", "turnaround_of", "unread_of"]

_ABOUT = ("models", "start_ms")  # of a ledger, besides its columns


def measure(ledger: Ledger, trace: Trace, pair: Pair, book: Book, replication: int) -> Cell:
    """Return the cell of a pair's ledger on one realisation."""
    lines = rate(ledger, book, pair.arm.terms).by_line()
    return Cell(
        strategy=pair.arm.name,
        model=pair.model,
        replication=replication,
        total_usd=sum(lines.values(), Fraction(0)),
        lines_usd={str(name): usd for name, usd in lines.items()},
        streams=tuple(
            stream_of(ledger, name, requests_of(trace.stream, number), trace.patience, trace.thinking)
            for number, name in enumerate(trace.streams)
        ),
        binding=binding_of(ledger),
        jobs=jobs_of(ledger),
        turnaround=turnaround_of(ledger),
        caches=caching_of(ledger, pair, book, refused_contexts(trace, ledger.arrived, pair.plan, pair.rules)),
        duplicates=len(ledger.duplicate_request),
    )


def stream_of(ledger: Ledger, name: str, mine: Ints, patience: Ints, thinking: Ints) -> StreamCell:
    """Return what the requests of one stream met, those of a ledger whose numbers are ``mine``."""
    state = ledger.status[mine]
    status = np.bincount(state, minlength=len(Status)).tolist()
    done = mine if status[Status.DONE] == len(mine) else mine[state == Status.DONE]
    waited = ledger.done[done] - ledger.arrived[done]
    cached, source = ledger.cached[done], ledger.source[done]
    total = _total_of_trace if done is mine else _total
    return StreamCell(
        stream=name,
        total=len(mine),
        done=status[Status.DONE],
        failed=status[Status.FAILED],
        expired=status[Status.EXPIRED],
        pending=status[Status.PENDING],
        within_patience=int(np.count_nonzero(waited <= patience[done])),
        prompt_tokens=exact_sum(ledger.prompt[done]),
        implicit_tokens=exact_sum(cached[source == Source.IMPLICIT]),
        explicit_tokens=exact_sum(cached[source == Source.EXPLICIT]),
        audio_tokens=total(ledger.audio, done),
        output_tokens=total(ledger.output, done),
        thinking_tokens=total(thinking, done),
        latency_ms=_sorted(waited),
    )


@once
def requests_of(streams: Ints, number: int) -> Ints:
    """Return the requests of a stream."""
    return np.flatnonzero(streams == number)


def _total(column: Ints, requests: Ints) -> int:
    return exact_sum(column[requests])


# what a stream asks for in all is the same under every strategy that answers all of it
_total_of_trace = once(_total)


def _sorted(ms: Ints) -> Ints:
    """Return times >= 0 in rising order; short ones take fewer bits, which numpy sorts ten times as fast."""
    longest = int(ms.max(initial=0))
    if longest < 1 << 16:
        return np.sort(ms.astype(np.uint16), kind="stable").astype(np.int64)
    return np.sort(ms.astype(np.int32)).astype(np.int64) if longest < 1 << 31 else np.sort(ms)


def jobs_of(ledger: Ledger) -> dict[str, int]:
    """Return how many batch jobs of a ledger are in each state, in lower case; states of none are left out."""
    states = np.bincount(ledger.job_state, minlength=len(JobState)).tolist()
    return {state.name.lower(): states[state] for state in JobState if states[state]}


def binding_of(ledger: Ledger) -> Binding:
    """Return what stood in the way of a ledger's requests; of one that was cut, what had by the horizon."""
    done = ledger.done_mask
    rows = zip(ledger.limit_kind.tolist(), ledger.limit_hour.tolist(), ledger.limit_count.tolist(), strict=True)
    return Binding(
        start_ms=ledger.start_ms,
        refusals=tuple(sorted(Refusals(Limit(kind), hour, calls) for kind, hour, calls in rows)),
        asked=int(np.count_nonzero(ledger.arrived >= 0)),
        calls=exact_sum(ledger.attempts),
        throttled=exact_sum(ledger.throttled),
        shed=exact_sum(ledger.shed),
        timeouts=exact_sum(ledger.timeouts),
        forbidden=exact_sum(ledger.forbidden),
        backoff_ms=exact_sum(ledger.backoff),
        queued_ms=exact_sum(ledger.queued),
        served=tuple(np.bincount(ledger.mode[done] if not done.all() else ledger.mode, minlength=len(Mode)).tolist()),
    )


def turnaround_of(ledger: Ledger) -> Turnaround:
    """Return how long a ledger's jobs waited for their creation, and how long they took from there."""
    ended = ledger.job_done >= 0
    return Turnaround(
        before_ms=np.sort(ledger.job_created - ledger.job_collected),
        after_ms=np.sort((ledger.job_done - ledger.job_created)[ended]),
    )


def caching_of(ledger: Ledger, pair: Pair, book: Book, refused: int) -> Caching:
    """Return what became of a ledger's explicit caches, given how many contexts could not be cached."""
    cut_off = pair.arm.spec.close == "cut"
    return Caching(
        created=len(ledger.cache_born),
        refused=refused,
        token_ms=ledger.storage_token_ms,
        unread=None if cut_off else unread_of(ledger, book, pair.arm.terms),
    )


def unread_of(ledger: Ledger, book: Book, terms: Terms) -> Unread:
    """Return the caches of a ledger that were never read: rated as a ledger that holds them and nothing else."""
    kept = ledger.cache_reads == 0
    alone = ledger._replace(
        **{
            name: getattr(ledger, name)[kept] if name.startswith("cache_") else getattr(ledger, name)[:0]
            for name in Ledger._fields
            if name not in _ABOUT
        }
    )
    usd = rate(alone, book, terms).total if kept.any() else Fraction(0)
    return Unread(int(np.count_nonzero(kept)), alone.storage_token_ms, usd)
