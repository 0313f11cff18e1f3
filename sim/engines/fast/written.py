"""What a run has written down, as the columns of a ledger."""

from typing import Any

import numpy as np

from sim.engines.fast import explicit, tables
from sim.engines.fast.compile import loop
from sim.engines.fast.memory import World
from sim.engines.fast.record import Memory
from sim.ledger import Mode
from sim.trace import Ints

__all__ = ["caches", "close", "duplicates", "jobs", "limits"]


@loop
def close(w: World, last_arrival: int) -> None:
    """Settle every cache: no renewal comes after the last arrival and the last question for the cache."""
    for row in range(w[0].caches):
        explicit.keep(w, row, max(last_arrival, tables.caches(w)[row].used) + 1)


@loop
def _ends(w: World, until: Ints, committed: Ints) -> None:
    """Fill in when each cache ended, and what was asked for last."""
    for row in range(w[0].caches):
        until[row] = max(tables.caches(w)[row].born, explicit.ends(w, row))
        committed[row] = explicit.committed(w, row)


def duplicates(rows: Any, members: Any, of_jobs: Any, output: Ints, audio: Ints) -> dict[str, Ints]:
    """Return the columns of calls that were billed besides, given the tables that their rows point into."""
    request, member, job = rows["request"].copy(), members[rows["member"]], of_jobs[rows["job"]]
    return {
        "duplicate_request": request,
        "duplicate_model": member["model"].copy(),
        "duplicate_mode": np.full(len(rows), int(Mode.BATCH), dtype=np.int64),
        "duplicate_prompt": member["prompt"].copy(),
        "duplicate_cached": member["cached"].copy(),
        "duplicate_audio": audio[request],
        "duplicate_cached_audio": member["cached_audio"].copy(),
        "duplicate_output": output[request],
        "duplicate_sent": job["started"].copy(),
        "duplicate_done": job["seen"].copy(),
    }


def caches(memory: Memory) -> dict[str, Ints]:
    """Return the columns of explicit caches."""
    count = int(memory.w[0].caches)
    until, committed = np.empty(count, dtype=np.int64), np.empty(count, dtype=np.int64)
    _ends(memory.w, until, committed)
    rows = memory.tables["caches"][:count]
    names = ("model", "tokens", "born", "reads")
    return {
        **{f"cache_{name}": rows[name].copy() for name in names},
        "cache_audio": memory.tables["nodes"]["audio"][rows["node"]],
        "cache_until": until,
        "cache_committed": committed,
    }


def jobs(rows: Any) -> dict[str, Ints]:
    """Return the columns of batch jobs."""
    names = {"done": "end", "requests": "members"}
    own = ("collected", "created", "started", "done", "state", "requests", "tokens")
    return {f"job_{name}": rows[names.get(name, name)].copy() for name in own}


def limits(refusals: Ints) -> dict[str, Ints]:
    """Return the columns of what was refused, by limit and hour."""
    kinds, hours = np.nonzero(refusals.T)
    return {
        "limit_kind": kinds.astype(np.int64),
        "limit_hour": hours.astype(np.int64),
        "limit_count": refusals[hours, kinds],
    }
