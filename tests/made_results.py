"""Hand-made results of Monte Carlo runs and ledgers, for tests of what comes after a simulation."""

from fractions import Fraction

import numpy as np

from sim.experiments.result import Cell, Kept, Result, StreamCell
from sim.ledger import JobState, Ledger, Mode, Status
from sim.providers.facts import Assumption


def stream(
    name="", *, waits=(1000, 2000, 3000), total=None, patience=2500, prompt=400, implicit=100, explicit=0, **ends
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
        latency_ms=waits,
        **counts,
    )


def cell(strategy, replication, usd, *, model="flash", streams=None, lines=None, **rest):
    usd = Fraction(usd)
    return Cell(
        strategy=strategy,
        model=model,
        replication=replication,
        total_usd=usd,
        lines_usd={"input": usd} if lines is None else lines,
        streams=(stream(),) if streams is None else tuple(streams),
        **{"jobs": {}, "caches": 0, "unread_caches": 0, "duplicates": 0, **rest},
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
    own |= {"attempts": 1, "status": Status.DONE, "job": -1}
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
        duplicate_output=ints(7),
        duplicate_sent=ints(1500),
        duplicate_done=ints(1900),
        cache_model=ints(0),
        cache_tokens=ints(4096),
        cache_born=ints(0),
        cache_until=ints(3_600_000),
        cache_committed=ints(7_200_000),
        cache_reads=ints(requests),
        job_created=ints(100, 200),
        job_started=ints(200, -1),
        job_done=ints(300, 400),
        job_state=ints(JobState.SUCCEEDED, JobState.EXPIRED),
        models=(model,),
        start_ms=start_ms,
    )


def kept(strategy="explicit", replication=0, **rest):
    return Kept(strategy, "flash", replication, ledger(**rest))
