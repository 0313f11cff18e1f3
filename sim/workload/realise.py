"""Turn a workload into a trace with every draw fixed: the one module in which chance enters.

Every draw is a uniform that is named by the seed, the replication, the stream or context, the purpose, and its number.
So a strategy, a worker, another stream or a changed parameter changes no draw, and a longer horizon only adds draws at
the end. Draws of a request are numbered in the order of its stream: by arrival, and in sessions by the session's
arrival, then by turn (so another law of ``turns`` renumbers the draws of the turns, but neither the arrivals nor the
contexts of the sessions).
"""

from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64DXSM, SeedSequence

from sim.trace import DRAW_BITS, DRAW_COLUMNS, REQUEST_COLUMNS, Ints, Trace, check
from sim.workload.arrivals import times
from sim.workload.contexts import Asked, Forest, Sizes, lengths, pick, plant
from sim.workload.intensity import Draw, Take
from sim.workload.recording import Recording
from sim.workload.sessions import Chain, Turns, hang, said, since_first, unfold
from sim.workload.sizes import Floats, quantile
from sim.workload.spec import StreamSpec, WorkloadSpec

__all__ = ["realise", "replay", "uniforms"]

_CHUNK = 8_192  # draws a generator; part of the results: another value is another luck


def uniforms(seed: int, replication: int, name: str, purpose: str, count: int) -> Floats:
    """Return the first ``count`` uniforms of a name and a purpose, on the odd multiples of 2^-53, so never 0 or 1.

    >>> few, many = (uniforms(7, 0, "streams.chat", "fresh", n) for n in (3, 10_000))
    >>> bool(np.all(few == many[:3]))
    True
    """
    whole = (_raw(seed, replication, name, purpose, count) >> np.uint64(12)).astype(np.float64)
    return whole * 2.0**-52 + 2.0**-53


def _raw(seed: int, replication: int, name: str, purpose: str, count: int) -> npt.NDArray[np.uint64]:
    """Return raw 64-bit draws: numpy promises the same bits for ever of these, not of its laws."""
    draws = np.empty(count, np.uint64)
    for chunk, first in enumerate(range(0, count, _CHUNK)):
        key = (replication, _key(name), _key(purpose), chunk)
        part = draws[first : first + _CHUNK]
        part[:] = PCG64DXSM(SeedSequence(seed, spawn_key=key)).random_raw(len(part))
    return draws


def _key(name: str) -> int:
    """Return a 32-bit number of a name, the same in every process."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")


class _Luck(NamedTuple):
    """The draws of one replication."""

    seed: int
    replication: int

    def draw(self, name: str) -> Draw:
        """Return the supplier of a stream's or a context's uniforms, by purpose."""

        def of_purpose(purpose: str) -> Take:
            return lambda count: uniforms(self.seed, self.replication, name, purpose, count)

        return of_purpose

    def columns(self, name: str, count: int) -> dict[str, Ints]:
        """Return the draws that a trace hands to the engines, ``floor(u * 2^32)`` of each uniform."""
        shift = np.uint64(64 - DRAW_BITS)
        return {
            column: (_raw(self.seed, self.replication, name, column, count) >> shift).astype(np.int64)
            for column in DRAW_COLUMNS
        }


class _Flow(NamedTuple):
    """One stream: n requests in s sessions, turn after turn; a request without a session is one of its own."""

    spec: StreamSpec
    asked: Asked  # (s,) the document of each session, and when it began; empty without a context
    turns: Turns  # (n,)
    arrive: Ints  # (n,) ms
    think: Ints  # (n,) ms
    fresh: Ints  # (n,) tokens of the question
    output: Ints  # (n,) tokens
    draws: dict[str, Ints]  # (n,) each

    @property
    def shares(self) -> str | None:
        """Return the context whose nodes the prompts start from, None where they share none."""
        return self.spec.context if self.spec.order == "shared_first" else None


def realise(spec: WorkloadSpec, seed: int, replication: int) -> Trace:
    """Return the trace of one replication of a workload; the same bytes in every process.

    Requests that arrive at one instant stand in the order of the streams in the file, then in their stream's own.

    Parameters
    ----------
    spec
        A workload without a broken rule (see ``sim.workload.rules``).
    seed
        A whole number of ``[0, 2^128)``.
    replication
        From 0.
    """
    luck = _Luck(seed, replication)

    def sizes(context: str, count: int) -> Ints:
        return quantile(spec.contexts[context].tokens, luck.draw(f"contexts.{context}")("tokens")(count))

    flows = [_flow(spec, name, luck) for name in spec.streams]
    forest, leaves = _planted(spec, flows, sizes)
    parts, trees, planted = [], [forest], len(forest.parent)
    for number, (flow, leaf) in enumerate(zip(flows, leaves, strict=True)):
        prompts = _prompts(spec, flow, leaf, forest, planted, sizes)
        parts.append(_columns(flow, number, prompts))
        trees.append(Forest(prompts.parent, prompts.depth, np.zeros_like(prompts.depth)))
        planted += len(prompts.parent)
    tree = {name: np.concatenate([getattr(part, name) for part in trees]) for name in Forest._fields}
    return check(
        Trace(
            **_merged(parts),
            **tree,
            horizon=spec.horizon,
            streams=tuple(spec.streams),
            populations=tuple(spec.contexts),
        )
    )


def _flow(spec: WorkloadSpec, name: str, luck: _Luck) -> _Flow:
    """Draw one stream."""
    stream, draw = spec.streams[name], luck.draw(f"streams.{name}")
    begin = times(stream.arrivals, spec.clock, draw)
    asked = Asked(np.empty(0, np.int64), np.empty(0, np.int64))
    if stream.context is not None:
        asked = Asked(pick(spec.contexts[stream.context], draw("context")(len(begin))), begin)
    session = stream.session
    turns = unfold(np.ones_like(begin) if session is None else quantile(session.turns, draw("turns")(len(begin))))
    count = len(turns.session)
    arrive, think = begin[turns.session], np.zeros(count, np.int64)
    if session is not None:
        think = np.where(turns.number > 0, quantile(session.think, draw("think")(count)), 0)
    drawn = {
        "fresh": quantile(stream.fresh, draw("fresh")(count)),
        "output": quantile(stream.output, draw("output")(count)),
        **luck.columns(f"streams.{name}", count),
    }
    if session is not None and session.loop == "open":
        arrive, think = arrive + since_first(turns, think), np.zeros_like(think)
        if not np.all(kept := arrive < spec.horizon):
            # times rise within a session, so what is kept are its first turns
            turns = unfold(np.bincount(turns.session[kept], minlength=len(begin)))
            arrive, think = arrive[kept], think[kept]
            drawn = {column: values[kept] for column, values in drawn.items()}
    return _Flow(stream, asked, turns, arrive, think, drawn.pop("fresh"), drawn.pop("output"), drawn)


def _planted(spec: WorkloadSpec, flows: list[_Flow], sizes: Sizes) -> tuple[Forest, list[Ints]]:
    """Return the tree of the documents in use and, for each stream, the (s,) node that each session starts from."""
    sharing = {name: [flow for flow in flows if flow.shares == name] for name in spec.contexts}
    forest, nodes = plant(
        spec.contexts, {name: Asked.joined([flow.asked for flow in some]) for name, some in sharing.items()}, sizes
    )
    found = {
        id(flow): part
        for name, some in sharing.items()
        for flow, part in zip(some, np.split(nodes[name], np.cumsum([len(f.asked.time) for f in some])), strict=False)
    }
    return forest, [found.get(id(flow), np.empty(0, np.int64)) for flow in flows]


def _prompts(spec: WorkloadSpec, flow: _Flow, leaf: Ints, forest: Forest, planted: int, sizes: Sizes) -> Chain:
    """Return where each prompt of a stream ends; with variable text in front it is all fresh, history included."""
    turns = flow.turns
    grown = said(turns, flow.fresh, flow.output) if flow.spec.session else flow.fresh
    none = np.full(len(grown), -1, np.int64)
    if flow.spec.order == "variable_first":
        before = np.zeros_like(grown)
        if flow.spec.context is not None:
            before = lengths(spec.contexts, flow.spec.context, flow.asked.document, sizes)[turns.session]
        return Chain(none, before + grown, none[:0], none[:0])
    if flow.spec.context is None:
        return hang(turns, grown, none, np.zeros_like(grown), planted)
    if flow.spec.session is None:
        return Chain(leaf, grown, none[:0], none[:0])
    return hang(turns, grown, leaf[turns.session], forest.depth[leaf][turns.session], planted)


def _columns(flow: _Flow, number: int, prompts: Chain) -> dict[str, Ints]:
    """Return the columns of a stream's requests in its own order; ``follows`` counts from its first."""
    count = len(flow.arrive)
    closed = flow.spec.session is not None and flow.spec.session.loop == "closed"
    return {
        "arrive": flow.arrive,
        "stream": np.full(count, number, np.int64),
        "leaf": prompts.leaf,
        "fresh": prompts.fresh,
        "output": flow.output,
        "patience": np.full(count, flow.spec.patience, np.int64),
        "follows": flow.turns.follows if closed else np.full(count, -1, np.int64),
        "think": flow.think,
        **flow.draws,
    }


def _merged(parts: list[dict[str, Ints]]) -> dict[str, Ints]:
    """Return the columns of all streams in the order of arrival; ties keep the order of the streams."""
    first = np.cumsum([0, *(len(part["arrive"]) for part in parts)])
    for part, offset in zip(parts, first, strict=False):
        part["follows"] = np.where(part["follows"] >= 0, part["follows"] + offset, -1)
    columns = {name: np.concatenate([part[name] for part in parts]) for name in REQUEST_COLUMNS}
    order = np.argsort(columns["arrive"], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    if len(order):
        columns["follows"] = np.where(columns["follows"] >= 0, place[columns["follows"]], -1)
    return {name: column[order] for name, column in columns.items()}


def replay(recorded: Recording, *, patience: int, seed: int, replication: int) -> Trace:
    """Return a recorded trace with draws for what no record tells: the luck of its service.

    The requests are the same in every replication. ``patience`` is in ms; nodes that the record marks as contexts are
    of one population, ``recorded``.
    """
    count = len(recorded.arrive)
    told = ("arrive", "leaf", "fresh", "output", "follows", "think", "parent", "depth")
    return check(
        Trace(
            **{name: getattr(recorded, name) for name in told},
            **_Luck(seed, replication).columns("replay", count),
            stream=np.zeros(count, np.int64),
            patience=np.full(count, patience, np.int64),
            context=(recorded.context > 0).astype(np.int64),
            horizon=recorded.horizon,
            streams=("replay",),
            populations=("recorded",) if np.any(recorded.context) else (),
        )
    )
