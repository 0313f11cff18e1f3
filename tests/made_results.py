"""Hand-made results of Monte Carlo runs and ledgers, for tests of what comes after a simulation."""

import datetime as dt
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np

from sim.experiments.result import Binding, Caching, Cell, Kept, Refusals, Result, StreamCell, Turnaround, Unread
from sim.ledger import JobState, Ledger, Limit, Mode, Status
from sim.providers.facts import Assumption

START = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)
START_MS = int(START.timestamp()) * 1000


def stream(
    name="",
    *,
    waits=(1000, 2000, 3000),
    total=None,
    patience=2500,
    prompt=400,
    implicit=100,
    explicit=0,
    audio=0,
    output=50,
    thinking=0,
    **ends,
):
    waits = np.sort(np.array(waits, dtype=np.int64))
    done = len(waits)
    counts = {"failed": 0, "expired": 0, "pending": 0, **ends}
    return StreamCell(
        stream=name,
        total=done + sum(counts.values()) if total is None else total,
        done=done,
        within_patience=int(np.count_nonzero(waits <= patience)),
        prompt_tokens=prompt * done,
        implicit_tokens=implicit * done,
        explicit_tokens=explicit * done,
        audio_tokens=audio * done,
        output_tokens=output * done,
        thinking_tokens=thinking * done,
        latency_ms=waits,
        **counts,
    )


def binding(refusals=(), **counts):
    """What bound a cell: refusals are (limit, hour, calls); by default three requests were asked and served at once."""
    usual = dict.fromkeys(("throttled", "shed", "timeouts", "forbidden", "backoff_ms", "queued_ms"), 0)
    usual |= {"start_ms": START_MS, "asked": 3, "calls": 3, "served": (3, 0, 0, 0)}
    return Binding(refusals=tuple(Refusals(*one) for one in refusals), **(usual | counts))


def turnaround(before=(), after=()):
    return Turnaround(np.sort(np.array(before, dtype=np.int64)), np.sort(np.array(after, dtype=np.int64)))


def caching(created=0, *, refused=0, token_ms=0, unread=(0, 0, 0)):
    """What became of explicit caches; ``unread`` is (caches, token-ms, dollars), or None of a run that was cut."""
    return Caching(created, refused, token_ms, None if unread is None else Unread(*unread[:2], Fraction(unread[2])))


def cell(strategy, replication, usd, *, model="flash", streams=None, lines=None, **rest):
    usd = Fraction(usd)
    usual = {"binding": binding(), "jobs": {}, "turnaround": turnaround(), "caches": caching(), "duplicates": 0}
    return Cell(
        strategy=strategy,
        model=model,
        replication=replication,
        total_usd=usd,
        lines_usd={"input": usd} if lines is None else lines,
        streams=(stream(),) if streams is None else tuple(streams),
        **(usual | rest),
    )


def result(costs, *, model="flash", cells=None, **rest):
    """Return a result from each strategy's costs by replication, or from its cells."""
    strategies = tuple(costs)
    made = tuple(cell(name, r, usd, model=model) for name in strategies for r, usd in enumerate(costs[name]))
    defaults = {
        "scenario": "example",
        "question": "What does it cost?",
        "book": "google",
        "seed": 1,
        "replications": len(next(iter(costs.values()))),
        "start": START,
        "time_zone": ZoneInfo("UTC"),
        "horizon_ms": 3_600_000,
        "strategies": strategies,
        "models": (model,),
        "baseline": strategies[0],
        "patience_target": 0.5,
        "ranked": True,
        "random": True,
        "assumptions": (Assumption("service.slowness_cv", "assumed", "Answers are slow at times."),),
        "warnings": (),
        "kept": (),
    }
    return Result(cells=made if cells is None else tuple(cells), **{**defaults, **rest})


def ledger(requests=3, *, model="gemini-2.5-flash", start_ms=1_764_547_200_000 - 86_400_000):
    """Return a small ledger with a row in each of its tables."""
    ints = lambda *values: np.array(values, dtype=np.int64)  # noqa: E731 - a word for a column
    column = lambda value: np.full(requests, value, dtype=np.int64)  # noqa: E731
    at = np.arange(requests, dtype=np.int64) * 1000
    own = {"model": 0, "mode": Mode.STANDARD, "prompt": 5000, "cached": 2000, "source": 2, "output": 100}
    own |= {"audio": 900, "cached_audio": 300, "attempts": 1, "status": Status.DONE, "job": -1}
    own |= {"throttled": 1, "shed": 2, "timeouts": 3, "forbidden": 4, "backoff": 5, "queued": 6}
    return Ledger(
        **{name: column(int(value)) for name, value in own.items()},
        arrived=at,
        sent=at + 10,
        done=at + 500,
        duplicate_request=ints(1),
        duplicate_model=ints(0),
        duplicate_mode=ints(Mode.BATCH),
        duplicate_prompt=ints(5000),
        duplicate_cached=ints(0),
        duplicate_audio=ints(900),
        duplicate_cached_audio=ints(0),
        duplicate_output=ints(7),
        duplicate_sent=ints(1500),
        duplicate_done=ints(1900),
        cache_model=ints(0),
        cache_tokens=ints(4096),
        cache_audio=ints(300),
        cache_born=ints(0),
        cache_until=ints(3_600_000),
        cache_committed=ints(7_200_000),
        cache_reads=ints(requests),
        job_collected=ints(90, 150),
        job_created=ints(100, 200),
        job_started=ints(200, -1),
        job_done=ints(300, 400),
        job_state=ints(JobState.SUCCEEDED, JobState.EXPIRED),
        job_requests=ints(2, 1),
        job_tokens=ints(10_000, 5_000),
        limit_kind=ints(Limit.REQUESTS, Limit.FORBIDDEN),
        limit_hour=ints(0, 1),
        limit_count=ints(3, 12),
        models=(model,),
        start_ms=start_ms,
    )


def kept(strategy="explicit", replication=0, **rest):
    return Kept(strategy, "flash", replication, ledger(**rest))
