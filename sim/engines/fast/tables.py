"""The tables that kernels share, a record a row: what their fields are, and how a kernel finds them."""

from typing import Any, NamedTuple

import numpy as np

from sim.engines.fast.memory import column, matrix, records
from sim.providers.rules import BatchRules, ClientRules, LatencyLaw, QuotaRules, SpendLaw


class Caller(NamedTuple):
    """Of each request, what its client knows."""

    mode: int
    use: int
    calls: int
    tries: int
    refused: int  # met a 403
    target: int
    named: int  # cache of a flex call that queues
    ends: int  # when it is hung up on
    since: int  # in the queue
    waits: int  # in the queue
    batch_use: int
    submissions: int
    creations: int
    claimed: int
    resent: int
    job: int
    open: int  # in the open collection
    collected: int  # requests of the open collection in their order


class Nodes(NamedTuple):
    """Of each node of the prefix tree, what it is and what is known of it as a context."""

    parent: int
    depth: int
    audio: int
    replaced: int
    above: int  # next context above that may be cached
    cache: int  # row of the context's cache, -1 = none
    seen: int  # times asked for
    left: int  # requests that have not ended
    busy: int  # when the last of them ended


class Caches(NamedTuple):
    """An explicit cache."""

    node: int
    creator: int
    model: int
    tokens: int
    born: int
    ready: int
    expiry: int
    cap: int
    used: int
    lag: int
    held: int
    deleted: int
    reads: int


class Jobs(NamedTuple):
    """A batch job."""

    first: int  # position of its first member
    members: int
    tokens: int
    collected: int
    created: int
    started: int
    end: int
    how: int
    running: int
    open: int
    orphan: int
    known: int
    state: int
    seen: int


class Members(NamedTuple):
    """A member of a job; those of one job stand together."""

    request: int
    creation: int
    cache: int  # row of the cache that it names, -1 = none
    model: int
    prompt: int
    cached: int
    cached_audio: int
    source: int
    forbidden: int
    unanswered: int


class Line(NamedTuple):
    """A closed collection, linked to the next in line; its requests stand in a pool."""

    closed: int
    begin: int
    end: int
    next: int
    requests: int


class Starting(NamedTuple):
    """A job to be that waits for its caches."""

    closed: int
    first: int
    members: int


class Duplicates(NamedTuple):
    """A call that was billed besides."""

    request: int
    member: int
    job: int


class Counters(NamedTuple):
    """The quota of standard and flex calls, which also has what all calls share; and that of the priority tier."""

    model: int  # -1 = no call yet
    requests_level: int
    tokens_level: int
    filled: int
    requests_used: int
    tokens_used: int
    window: int
    day_used: int
    midnight: int
    spent: int
    first: int  # position of the oldest spending in the window
    last: int
    in_flight: int


class Epochs(NamedTuple):
    """The rules from one date to the next."""

    since: int
    until: int
    model: int
    implicit_minimum: int
    explicit_minimum: int
    explicit_maximum: int
    enqueued: int


def kind_of(row: type[Any], leave_out: tuple[str, ...] = ()) -> np.dtype[Any]:
    """Return the record type with the fields of a NamedTuple, all int64."""
    return np.dtype([(name, np.int64) for name in row._fields if name not in leave_out])


RECORDS: dict[str, np.dtype[Any]] = {
    "callers": kind_of(Caller),  # (n,)
    "nodes": kind_of(Nodes),  # (k,)
    "caches": kind_of(Caches),
    "jobs": kind_of(Jobs),
    "members": kind_of(Members),
    "line": kind_of(Line),
    "starting": kind_of(Starting),
    "duplicates": kind_of(Duplicates),
    "counters": kind_of(Counters),  # (2,)
    "epochs": kind_of(Epochs),  # (e,)
    "latency": kind_of(LatencyLaw),  # (e,)
    "quota": kind_of(QuotaRules, ("weights",)),  # (2 e,) of standard and of priority calls
    "weights": kind_of(SpendLaw),  # (8 e,) by quota and mode
    "batch": kind_of(BatchRules),  # (1,)
    "client": kind_of(ClientRules),  # (1,)
}

callers = records("callers", RECORDS["callers"])
nodes = records("nodes", RECORDS["nodes"])
caches = records("caches", RECORDS["caches"])
jobs = records("jobs", RECORDS["jobs"])
members = records("members", RECORDS["members"])
line = records("line", RECORDS["line"])
starting = records("starting", RECORDS["starting"])
duplicates = records("duplicates", RECORDS["duplicates"])
counters = records("counters", RECORDS["counters"])
epochs = records("epochs", RECORDS["epochs"])
latency = records("latency", RECORDS["latency"])
quota = records("quota", RECORDS["quota"])
weights = records("weights", RECORDS["weights"])
batch = records("batch", RECORDS["batch"])
client = records("client", RECORDS["client"])

days = column("days")
at = column("at")  # times at which collections are sent
expire_at = column("expire_at")
overload = column("overload")
slow = column("slow")
params = column("params")  # of the strategy's decide
queue = column("queue")  # requests in the order of their queueing for a slot
collected = column("collected")  # requests of the open collection, in their order
pool = column("pool")  # requests of the collections in line
cell_until = column("cell_until")  # (cells x k,) of the service's own cache: the end of a node's life
cell_seen = column("cell_seen")  # (cells x k,) and how often it was left in this life

steps = matrix("steps", 2)  # chances of a hit: from tokens, threshold
heap = matrix("heap", 4)  # time, rank, what, payload
cell_coming = matrix("cell_coming", 4)  # a heap of prefixes: instant, request, end of its model
spends = matrix("spends", 2)  # instant and weight of a call
refusals = matrix("refusals", 10)  # by hour and Limit
