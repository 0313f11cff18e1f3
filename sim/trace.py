"""The input table of every engine: one realised workload, with every draw fixed."""

from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sim.errors import EngineError
from sim.once import once

__all__ = [
    "DRAW_BITS",
    "DRAW_COLUMNS",
    "NODE_COLUMNS",
    "REQUEST_COLUMNS",
    "WEATHER",
    "Ints",
    "Piece",
    "Trace",
    "check",
    "exact_sum",
    "shared_tokens",
]

Ints: TypeAlias = npt.NDArray[np.int64]

DRAW_BITS = 32  # a draw u of a column is uniform on the integers [0, 2**32)


class Trace(NamedTuple):
    """A realised workload: n requests, and the tree of the k prompt prefixes that they share.

    Requests stand in the order of ``arrive``, a follower after the request that it follows. Times are integer
    milliseconds since the scenario's start and fall in ``[0, horizon)``. The prompt of request ``i`` is the path from
    the root to ``leaf[i]`` and then ``fresh[i]`` tokens that no other request has: ``depth[leaf] + fresh`` in all.
    """

    arrive: Ints  # (n,) ms since start; of a follower: when its session began, so the earliest it could be
    stream: Ints  # (n,) index into `streams`
    leaf: Ints  # (n,) node of the prefix tree that the prompt starts with, -1 = none
    fresh: Ints  # (n,) tokens after that prefix, shared with nobody
    audio: Ints  # (n,) tokens of these that are audio
    output: Ints  # (n,) tokens generated, thinking included
    thinking: Ints  # (n,) tokens of these that are thinking
    patience: Ints  # (n,) ms from its arrival that the caller can wait
    follows: Ints  # (n,) the request whose answer this one waits for (closed-loop session), -1 = none
    think: Ints  # (n,) ms from that answer to this arrival; 0 where follows is -1
    session: Ints  # (n,) the first request of its conversation, which is itself where there is none
    slowness: Ints  # (n,) draw: how slow the service answers
    luck: Ints  # (n,) draw: whether a live prefix is hit
    retention: Ints  # (n,) draw: how long the service keeps the prefix that this request leaves
    route: Ints  # (n,) draw: which serving cell it goes to
    turnaround: Ints  # (n,) draw: how long a batch job takes whose first member this is
    failure: Ints  # (n,) draw: whether the request fails inside a job
    reply: Ints  # (n,) draw: whether the reply to the creation of a job whose first member this is gets lost
    shed: Ints  # (n,) draw: whether a call is refused because the service is overloaded
    queueing: Ints  # (n,) draw: how long a flex call queues
    jitter: Ints  # (n,) draw: how long its client backs off
    weather: Ints  # (2,) draws of the whole run: when the service is overloaded, when batch is slow
    parent: Ints  # (k,) parent node, smaller than the node itself; -1 = hangs from the root
    depth: Ints  # (k,) tokens from the root to the end of this node
    audio_depth: Ints  # (k,) tokens of these that are audio
    context: Ints  # (k,) 1 + index into `populations` where a strategy may cut an explicit cache here, else 0
    replaced: Ints  # (k,) ms at which other contents take its place, -1 = never
    horizon: int  # ms; arrivals fall in [0, horizon)
    streams: tuple[str, ...] = ("",)  # names of the traffic classes
    populations: tuple[str, ...] = ()  # names of the context populations

    @property
    def requests(self) -> int:
        """Return n, the number of requests."""
        return len(self.arrive)

    @property
    def prompt(self) -> Ints:
        """Return the (n,) prompt lengths in tokens."""
        return _with_shared(self.fresh, self.leaf, self.depth)

    @property
    def heard(self) -> Ints:
        """Return the (n,) tokens of the prompts that are audio."""
        return _with_shared(self.audio, self.leaf, self.audio_depth)

    @property
    def home(self) -> Ints:
        """Return the (n,) route draws of the first requests of their conversations."""
        return _at(self.route, self.session)


@once
def _at(column: Ints, rows: Ints) -> Ints:
    return column[rows]


@once
def _with_shared(own: Ints, leaf: Ints, depth: Ints) -> Ints:
    return own + shared_tokens(leaf, depth)


class Piece(NamedTuple):
    """Requests ``[first, first + n)`` of a workload in the order of arrival, and the prefixes that they add.

    Pieces are cut between two instants, and all pieces together are the whole trace, but for the numbers of nodes: here
    documents come first, then what sessions add, in the order of the requests that add it. A request and those that
    follow it are in one piece.
    """

    trace: Trace  # of these requests; follows, session, leaf and parent count from the start of the workload
    first: int  # number of its first request
    first_node: int  # number of its first node
    prompt: Ints  # (n,) tokens of the whole prompt
    heard: Ints  # (n,) tokens of the whole prompt that are audio
    home: Ints  # (n,) the route draw of the first request of its conversation
    floor: Ints  # (n,) the first node that its session adds, -1 = its session adds none
    live_node: int  # no prompt of a later piece passes a node of [documents, live_node)
    documents: int  # nodes [0, documents) are documents; all are in the first piece


def shared_tokens(leaf: Ints, depth: Ints) -> Ints:
    """Return the (n,) tokens that prompts share with others: the depth of the node that each starts with, 0 = none."""
    if not len(depth):
        return np.zeros_like(leaf)
    return np.where(leaf >= 0, depth[leaf], 0)


def exact_sum(column: Ints) -> int:
    """Return the exact sum of a column, by halves of 32 bits each where int64 could wrap: numpy says nothing then.

    >>> exact_sum(np.array([2**62, 2**62, 2**62]))
    13835058055282163712
    """
    if int(column.min(initial=0)) >= 0 and int(column.max(initial=0)) * len(column) < 1 << 62:
        return int(column.sum())
    return (int((column >> 32).sum()) << 32) + int((column & 0xFFFFFFFF).sum())


REQUEST_COLUMNS = Trace._fields[: Trace._fields.index("weather")]
DRAW_COLUMNS = Trace._fields[Trace._fields.index("slowness") : Trace._fields.index("weather")]
NODE_COLUMNS = ("parent", "depth", "audio_depth", "context", "replaced")
WEATHER = 2  # draws of a whole run


def check(trace: Trace) -> Trace:
    """Return the trace if it keeps the promises of :class:`Trace`, else raise :class:`EngineError` for the first."""
    n, k = len(trace.arrive), len(trace.parent)
    for names, size in ((REQUEST_COLUMNS, n), (NODE_COLUMNS, k), (("weather",), WEATHER)):
        for name in names:
            column = getattr(trace, name)
            _need(column.dtype == np.int64 and column.shape == (size,), f"{name} must be int64 of shape ({size},)")
    index = np.arange(n)
    first = trace.follows < 0
    _need(np.all(np.diff(trace.arrive) >= 0), "arrive must not decrease")
    _need(n == 0 or (trace.arrive[0] >= 0 and trace.arrive[-1] < trace.horizon), "arrive must lie in [0, horizon)")
    _need(np.all(trace.follows[~first] < index[~first]), "a follower stands after the request that it follows")
    _need(len(np.unique(trace.follows[~first])) == np.count_nonzero(~first), "a request has one follower at most")
    _need(np.all((trace.leaf >= -1) & (trace.leaf < k)), "leaf must be a node or -1")
    for name in ("fresh", "audio", "output", "thinking", "patience", "think"):
        _need(np.all(getattr(trace, name) >= 0), f"{name} must be >= 0")
    _need(np.all(trace.audio <= trace.fresh), "audio is a part of fresh")
    _need(np.all(trace.thinking <= trace.output), "thinking is a part of output")
    _need(np.all((trace.session >= 0) & (trace.session <= index)), "a session begins with its first request")
    for name in (*DRAW_COLUMNS, "weather"):
        column = getattr(trace, name)
        _need(np.all((column >= 0) & (column < 1 << DRAW_BITS)), f"{name} must be a draw of {DRAW_BITS} bits")
    _need(np.all((trace.parent >= -1) & (trace.parent < np.arange(k))), "a parent is smaller than its node")
    above = np.where(trace.parent >= 0, trace.depth[trace.parent], 0) if k else trace.depth
    _need(np.all(trace.depth >= above), "depth must not fall from parent to child")
    heard = np.where(trace.parent >= 0, trace.audio_depth[trace.parent], 0) if k else trace.audio_depth
    _need(np.all(trace.audio_depth >= heard), "audio_depth must not fall from parent to child")
    _need(np.all(trace.audio_depth - heard <= trace.depth - above), "audio is a part of its node")
    return trace


def _need(holds: Any, what: str) -> None:
    if not holds:
        raise EngineError(f"the trace is broken: {what}")
