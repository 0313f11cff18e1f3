"""The memory of a run before its first event: the columns of the trace, the rules as integers, and room for the rest.

Rows that "cannot" exceed a bound are given room for it, which costs nothing until it is touched. Where there is no
bound, the loop stops before an event that could overflow, and goes on with twice the room.
"""

from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from sim.engines.fast.contexts import cuts
from sim.engines.fast.decide import MOST_PARAMS
from sim.engines.fast.record import FILLED, Memory, Service
from sim.engines.fast.room import Room
from sim.engines.fast.tables import RECORDS
from sim.engines.physics import Physics
from sim.ledger import Mode
from sim.once import once
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, BatchPlan, CachePlan, FlexPlan, Implicit, Plan
from sim.trace import Ints, Trace
from sim.units import HOUR

__all__ = ["LIMITS", "asked_of", "build", "longest_wait", "metered_of", "of_plan", "of_rules", "service_of"]

LIMITS = 10  # kinds of refusals


def _column(count: int, value: int = 0) -> Ints:
    return np.zeros(count, dtype=np.int64) if value == 0 else np.full(count, value, dtype=np.int64)


def _records(name: str, rows: list[Any]) -> Any:
    """Return a NamedTuple's integers as records of a table."""
    made = np.zeros(len(rows), dtype=RECORDS[name])
    for position, row in enumerate(rows):
        made[position] = tuple(int(getattr(row, field)) for field in made.dtype.names or ())
    return made


def _listed(values: Any) -> Ints:
    """Return a column of given values, of which there may be none."""
    return np.array(list(values), dtype=np.int64)


def build(trace: Trace, plan: Plan, rules: Rules, physics: Physics) -> Memory:
    """Return the memory of a run before its first event."""
    room = Room()
    cut, above = cuts(trace, plan, rules)
    tables = {f"asked_{name}": column for name, column in asked_of(trace, trace.prompt, physics, cut).items()}
    tables |= {f"metered_{name}": column for name, column in metered_of(trace.requests).items()}
    tables |= of_plan(plan, physics)
    tables |= of_rules(rules) | _of_state(trace, plan, rules, physics, room) | {"nodes": _nodes(trace, above, room)}
    return Memory(
        {name: np.ascontiguousarray(table) for name, table in tables.items()},
        service_of(trace, plan, rules, physics),
        room,
    )


@lru_cache(maxsize=64)
def of_rules(rules: Rules) -> MappingProxyType[str, Any]:
    """Return the rules as tables, which are never changed."""
    quotas = [quota for epoch in rules.epochs for quota in (epoch.quota, epoch.priority)]
    epochs = np.zeros(len(rules.epochs), dtype=RECORDS["epochs"])
    for name in epochs.dtype.names or ():
        epochs[name] = [getattr(epoch, "enqueued_tokens" if name == "enqueued" else name) for epoch in rules.epochs]
    return MappingProxyType(
        {
            "epochs": epochs,
            "latency": _records("latency", [epoch.latency for epoch in rules.epochs]),
            "quota": _records("quota", quotas),
            "weights": _records("weights", [law for quota in quotas for law in quota.weights]),
            "batch": _records("batch", [rules.batch]),
            "client": _records("client", [rules.client]),
            "steps": np.array(rules.implicit.steps, dtype=np.int64).reshape(-1, 2),
            "days": _listed(rules.days),
        }
    )


def of_plan(plan: Plan, physics: Physics) -> dict[str, Any]:
    """Return what else is never changed."""
    return {
        "at": _listed(plan.batch.at if plan.batch else ()),
        "expire_at": _listed(plan.cache.expire_at if plan.cache else ()),
        "overload": physics.overload,
        "slow": physics.slow,
        "params": _listed([*plan.params, *[0] * (MOST_PARAMS - len(plan.params))]),
    }


def _of_state(trace: Trace, plan: Plan, rules: Rules, physics: Physics, room: Room) -> dict[str, Any]:
    """Return what is written while it runs."""
    n, k = trace.requests, len(trace.parent)
    submissions = n * len(physics.turnaround_ms) if plan.batch is not None else 0
    cells = (int(physics.cell.max(initial=0)) + 1) * k
    hours = (trace.horizon + longest_wait(plan, rules)) // HOUR + 64
    rows = dict.fromkeys(FILLED, submissions + 1) | {"caches": 2 * n + 64, "line": 3 * submissions + n + 64}
    callers = room.zeros("callers", max(n, 1), RECORDS["callers"])
    callers["target"] = callers["job"] = NEVER
    counters = room.zeros("counters", 2, RECORDS["counters"])
    counters["model"] = NEVER
    return {
        "callers": callers,
        "counters": counters,
        **{name: room.sparse(name, count, RECORDS[name]) for name, count in rows.items()},
        "pool": room.rough("pool", 3 * submissions + n + 64),
        "queue": room.rough("queue", n),
        "collected": room.rough("collected", n),
        "cell_until": room.zeros("cell_until", cells),
        "cell_seen": room.zeros("cell_seen", cells),
        "cell_coming": room.rough("cell_coming", 4 * (2 * n + 64)).reshape(-1, 4),
        "heap": room.rough("heap", 4 * (8 * n + 4 * submissions + 64)).reshape(-1, 4),
        "spends": room.rough("spends", 2 * (n + 64)).reshape(-1, 2),
        "refusals": room.zeros("refusals", hours * LIMITS).reshape(-1, LIMITS),
    }


def _nodes(trace: Trace, above: Ints, room: Room) -> Any:
    """Return what is known of each node of the prefix tree; a row even where there is none."""
    nodes = room.zeros("nodes", max(len(trace.parent), 1), RECORDS["nodes"])
    if len(trace.parent):
        nodes["parent"], nodes["depth"], nodes["audio"] = trace.parent, trace.depth, trace.audio_depth
        nodes["replaced"], nodes["above"], nodes["cache"] = trace.replaced, above, NEVER
    return nodes


def longest_wait(plan: Plan, rules: Rules) -> int:
    """Return how far beyond an event the refusal lies that it writes down: a time-out."""
    flex = plan.flex.timeout if plan.flex is not None else NEVER
    return max(rules.client.timeout, flex, 0)


def asked_of(trace: Trace, prompt: Ints, physics: Physics, cut: Ints) -> dict[str, Any]:
    """Return what each request is: its row of the trace, and what the service will do to it."""
    return {
        "arrive": trace.arrive,
        "leaf": trace.leaf,
        "prompt": prompt,
        "output": trace.output,
        "patience": trace.patience,
        "follows": trace.follows,
        "follower": _followers(trace.follows),
        "think": trace.think,
        "luck": trace.luck,
        "turnaround": trace.turnaround,
        "failure": trace.failure,
        "reply": trace.reply,
        "shed": trace.shed,
        "jitter": trace.jitter,
        "slowness": physics.slowness,
        "retention": physics.retention_ms,
        "cell": physics.cell,
        "queueing": physics.queueing_ms,
        "cut": cut,
        "takes": _by_request(physics.turnaround_ms),
    }


@once
def _by_request(takes: Ints) -> Ints:
    """Return (attempts, n) turnarounds request by request, so that those of a request stand together."""
    return np.ascontiguousarray(takes.T).reshape(-1)


@once
def _followers(follows: Ints) -> Ints:
    """Return the (n,) requests that wait for the answer of each, -1 = none."""
    found = _column(len(follows), NEVER)
    waiting = np.flatnonzero(follows >= 0)
    found[follows[waiting]] = waiting
    return found


def metered_of(n: int) -> dict[str, Any]:
    """Return what is known of n requests before they are asked."""
    never, rest = ("arrived", "sent", "done", "job"), ("model", "prompt", "cached", "cached_audio", "source")
    counts = ("attempts", "status", "throttled", "shed", "timeouts", "forbidden", "backoff", "queued")
    return {
        **{name: _column(n, NEVER) for name in never},
        **{name: _column(n) for name in (*rest, *counts)},
        "mode": _column(n, int(Mode.STANDARD)),
    }


def _is_plain(rules: Rules, physics: Physics) -> bool:
    """Return whether nothing can refuse a standard call, or hold it up."""
    client, limits = rules.client, ("requests", "tokens", "day", "spend", "concurrency")
    limited = any(getattr(epoch.quota, name) >= 0 for epoch in rules.epochs for name in limits)
    waits = max(client.concurrency, client.timeout, client.give_up) >= 0
    return not limited and not waits and not len(physics.overload)


def service_of(trace: Trace, plan: Plan, rules: Rules, physics: Physics) -> Service:
    """Return the rules and the plan as the record has them."""
    implicit, cache, batch, flex = rules.implicit, plan.cache, plan.batch, plan.flex
    values: dict[str, Any] = {
        "requests": trace.requests,
        "takings": len(physics.turnaround_ms),
        "horizon": trace.horizon,
        "plain": _is_plain(rules, physics),
        "implicit_met": plan.implicit == Implicit.ON or (plan.implicit == Implicit.AS_SERVICE and implicit.on),
        "implicit_block": implicit.block,
        "implicit_at_arrival": implicit.at_arrival,
        "implicit_refreshed": implicit.refreshed,
        "implicit_sightings": implicit.sightings,
        "in_batch": implicit.in_batch,
        "recreate": rules.explicit.recreate,
        "flex_shed": rules.flex.shed,
        "overload_shed": rules.overload.shed,
        "overload_slowdown": rules.overload.slowdown,
        "refusal_ms": rules.refusal_ms,
        "nodes": len(trace.parent),
        "keeps": cache is not None,
        "batches": batch is not None,
    }
    for part, prefix, kind in ((cache, "", CachePlan), (batch, "", BatchPlan), (flex, "flex_", FlexPlan)):
        shown = part if part is not None else kind()
        for name in kind._fields:
            if prefix + name in Service._fields:
                values[prefix + name] = getattr(shown, name)
    return Service(**{name: int(values[name]) for name in Service._fields})
