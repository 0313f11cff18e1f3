"""Hand-made worlds for tests of the engines: a trace, a service and a strategy whose every number is in sight.

By default nothing interferes: no implicit cache, minimum 1, no draws, and times that can be added up in the head. A
call takes ``BASE`` ms and 1 ms a computed token; cached and output tokens take no time.
"""

import numpy as np

from sim.engines.physics import Physics
from sim.engines.reference import run
from sim.ledger import Ledger
from sim.providers.rules import (
    CHANCE_ONE,
    BatchRules,
    ClientRules,
    Epoch,
    ImplicitRules,
    LatencyLaw,
    QuotaRules,
    Rules,
)
from sim.providers.service import Service
from sim.strategies import STRATEGIES
from sim.strategies.decision import NEVER, BatchPlan, CachePlan
from sim.strategies.options import Setting
from sim.trace import DRAW_COLUMNS, WEATHER, Trace, check

NEXT = 10**15  # ms: beyond every instant of a test
SLOWNESS_ONE = 1 << 16
BASE = 10  # ms

MS_PER_TOKEN = LatencyLaw(base_ns=BASE * 10**6, uncached_ns=10**6, cached_ns=0, output_ns=0)
INSTANT = LatencyLaw(0, 0, 0, 0)  # every call takes the shortest time there is: 1 ms


def ints(values):
    """A column."""
    return np.array(values, dtype=np.int64)


def world(arrive, leaf=None, *, fresh=5, output=0, patience=60_000, depth=(), parent=None, context=None, **columns):
    """A trace of ``len(arrive)`` requests; scalars stand for whole columns.

    ``depth`` gives the nodes of the prefix tree. Without ``parent`` each hangs from the root, without ``context`` each
    may be cached explicitly; without ``leaf`` every request starts with node 0, or with none if there is none.
    """
    n, k = len(arrive), len(depth)

    def column(value):
        return np.full(n, value, dtype=np.int64) if np.ndim(value) == 0 else ints(value)

    horizon = columns.pop("horizon", max(arrive, default=0) + 1)
    draws = {name: column(columns.pop(name, 0)) for name in DRAW_COLUMNS}
    contexts = ints([1] * k if context is None else context)
    follows = column(columns.pop("follows", -1))
    return check(
        Trace(
            arrive=ints(arrive),
            stream=column(columns.pop("stream", 0)),
            leaf=column((0 if k else -1) if leaf is None else leaf),
            fresh=column(fresh),
            audio=column(columns.pop("audio", 0)),
            output=column(output),
            thinking=column(columns.pop("thinking", 0)),
            patience=column(patience),
            follows=follows,
            think=column(columns.pop("think", 0)),
            session=column(columns.pop("session", beginnings(follows))),
            **draws,
            weather=ints(columns.pop("weather", [0] * WEATHER)),
            parent=ints([-1] * k if parent is None else parent),
            depth=ints(depth),
            audio_depth=ints(columns.pop("audio_depth", [0] * k)),
            context=contexts,
            replaced=ints(columns.pop("replaced", [-1] * k)),
            horizon=horizon,
            populations=tuple(f"p{number}" for number in range(int(contexts.max(initial=0)))),
            **columns,
        )
    )


def beginnings(follows):
    """The first request of each request's session."""
    first = list(range(len(follows)))
    for request, before in enumerate(follows):
        if before >= 0:
            first[request] = first[before]
    return first


def epoch(
    since=0, *, until=NEVER, model=0, implicit_minimum=1, explicit_minimum=1, latency=MS_PER_TOKEN, quota=None, **more
):
    """From one change of the service to the next; ``quota`` may be a dict of its limits."""
    limits = QuotaRules(**(quota or {}))
    return Epoch(since, until, model, implicit_minimum, explicit_minimum, latency, quota=limits, **more)


def rules(*epochs, models=None, implicit=None, batch=None, concurrency=-1, client=None, service=None, **first):
    """The rules of a service: one epoch unless several are given; ``first`` are fields of the one epoch.

    ``client`` are fields of the client's rules, ``service`` other fields of the rules.
    """
    epochs = epochs or (epoch(**first),)
    names = models or tuple(f"m{number}" for number in range(max(e.model for e in epochs) + 1))
    asked = ClientRules(**{"concurrency": concurrency, **(client or {})})
    served = implicit or implicit_rules(on=False), batch or batch_rules()
    return Rules(names, 0, tuple(epochs), *served, asked, **(service or {}))


def implicit_rules(
    *, on=True, block=1, at_arrival=True, refreshed=True, steps=((0, CHANCE_ONE),), in_batch=0, sightings=1
):
    """The service's own cache; a live prefix is always hit by default."""
    return ImplicitRules(on, block, at_arrival, refreshed, steps, in_batch, sightings)


def batch_rules(*, pending_share=0, expires_after=NEXT, failure=0, job_failure=0, **more):
    """The Batch API; nothing fails by default."""
    return BatchRules(pending_share, expires_after, failure, job_failure, **more)


def physics(
    trace,
    *,
    slowness=SLOWNESS_ONE,
    retention=NEXT,
    turnaround=1_000,
    attempts=4,
    cell=0,
    queueing=0,
    overload=(),
    slow=(),
):
    """What the service does to each request: constants, or columns; ``turnaround`` may be (attempts, n)."""
    n = trace.requests
    return Physics(
        slowness=np.broadcast_to(ints(slowness), (n,)).copy(),
        retention_ms=np.broadcast_to(ints(retention), (n,)).copy(),
        turnaround_ms=np.broadcast_to(ints(turnaround), (attempts, n)).copy(),
        cell=np.broadcast_to(ints(cell), (n,)).copy(),
        queueing_ms=np.broadcast_to(ints(queueing), (n,)).copy(),
        overload=ints(overload),
        slow=ints(slow),
    )


def service(**implicit):
    """A whole service as a scenario writes it, of fixed times and certain hits; keywords go to its implicit cache."""
    kept = {"law": "fixed", "median": "5m"}
    own = {"on": False, "hit_chance": [{"from_tokens": 0, "chance": 1.0}], "retention": kept, **implicit}
    turnaround = {"components": [{"weight": 1.0, "median": "10m"}], "pending_share": 0.0}
    batch = {"turnaround": turnaround, "expires_after": "48h", "failure_chance": 0.0}
    return Service.model_validate({"slowness_cv": 0.0, "implicit": own, "batch": batch})


def plan(kind, *, params=None, populations=(), pad_from=NEVER, sightings=1, daily=None, **options):
    """The plan of a strategy as a scenario writes it, e.g. ``plan("explicit", ttl="1h", renew="on_use")``."""
    setting = Setting(populations=populations, daily=daily or {}, pad_from=pad_from, sightings=sightings)
    compiled = STRATEGIES[kind].model_validate({"kind": kind, **options}).plan(kind, setting)
    return compiled if params is None else compiled._replace(params=params)


def keeping(kind="explicit", **fields):
    """The plan of a strategy with the integers of its cache plan as they are, e.g. ``keeping(ttl=5, idle=NEVER)``."""
    made = plan(kind, sightings=fields.get("sightings", 1))
    return made._replace(cache=CachePlan(**fields))


def collecting(kind="batch", *, cache=None, **fields):
    """The plan of a strategy with the integers of its batch plan (and of its cache plan) as they are."""
    made = plan(kind)
    return made._replace(batch=BatchPlan(**fields), cache=made.cache if cache is None else cache)


def simulate(trace, strategy, service_rules=None, **of_physics) -> Ledger:
    """The ledger of one run."""
    return run(trace, strategy, service_rules or rules(), physics(trace, **of_physics))


def calls(ledger, *names):
    """The rows of the requests, each a tuple of the named columns."""
    return list(zip(*(getattr(ledger, name).tolist() for name in names), strict=True))


def caches(ledger, *names):
    """The rows of the caches; by default (tokens, born, until, reads)."""
    columns = [getattr(ledger, f"cache_{name}").tolist() for name in names or ("tokens", "born", "until", "reads")]
    return list(zip(*columns, strict=True))
