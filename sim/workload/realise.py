"""Turn a workload into a trace with every draw fixed: the one module in which chance enters.

Every draw is a uniform that is named by the seed, the replication, the stream or context, the purpose, and its number.
So a strategy, a worker, another stream or a changed parameter changes no draw, and a longer horizon only adds draws at
the end. Draws of a request are numbered in the order of its stream: by arrival, and in sessions by the session's
arrival, then by turn (so another law of ``turns`` renumbers the draws of the turns, but neither the arrivals nor the
contexts of the sessions).
"""

from collections.abc import Collection
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.random import PCG64DXSM, SeedSequence

from sim.errors import EngineError
from sim.providers.media import Media
from sim.trace import DRAW_BITS, DRAW_COLUMNS, WEATHER, Ints, Trace, check
from sim.workload.arrivals import times
from sim.workload.contexts import NEVER, Asked, Forest, Sizes, contents, pick, plant
from sim.workload.intensity import Draw, Span, Spans, Take
from sim.workload.laws import SizeLaw
from sim.workload.media import Content, PartsSpec, parts_content, text
from sim.workload.recording import Recording
from sim.workload.sessions import Chain, Turns, hang, said, since_first, unfold
from sim.workload.sizes import Floats, quantile
from sim.workload.spec import StreamSpec, WorkloadSpec

__all__ = [
    "Flow",
    "Luck",
    "columns_of",
    "draw_flow",
    "draw_sizes",
    "end_prompts",
    "merged",
    "realise",
    "replay",
    "uniforms",
    "within_horizon",
]

_CHUNK = 8_192  # draws a generator; part of the results: another value is another luck


def uniforms(seed: int, replication: int, name: str, purpose: str, stop: int, start: int = 0) -> Floats:
    """Return the uniforms ``[start, stop)`` of a name and a purpose, on the odd multiples of 2^-53, so never 0 or 1.

    >>> few, many = (uniforms(7, 0, "streams.chat", "fresh", n) for n in (3, 10_000))
    >>> bool(np.all(few == many[:3]))
    True
    """
    draws = _raw(seed, replication, name, purpose, stop, start)
    draws >>= np.uint64(12)
    whole = draws.astype(np.float64)
    whole *= 2.0**-52
    whole += 2.0**-53
    return whole


def _raw(seed: int, replication: int, name: str, purpose: str, stop: int, start: int = 0) -> npt.NDArray[np.uint64]:
    """Return raw 64-bit draws: numpy promises the same bits for ever of these, not of its laws."""
    draws = np.empty(stop - start, np.uint64)
    for chunk in range(start // _CHUNK, -(-stop // _CHUNK)):
        key = (replication, _key(name), _key(purpose), chunk)
        source = PCG64DXSM(SeedSequence(seed, spawn_key=key))
        first, last = max(start, chunk * _CHUNK), min(stop, (chunk + 1) * _CHUNK)
        source.advance(first - chunk * _CHUNK)
        draws[first - start : last - start] = source.random_raw(last - first)
    return draws


def _key(name: str) -> int:
    """Return a 32-bit number of a name, the same in every process."""
    return int.from_bytes(blake2b(name.encode(), digest_size=4).digest(), "big")


class Luck(NamedTuple):
    """The draws of one replication."""

    seed: int
    replication: int

    def draw(self, name: str, first: int = 0) -> Draw:
        """Return the supplier of a stream's or a context's uniforms from number ``first`` on, by purpose."""

        def of_purpose(purpose: str) -> Take:
            return lambda count: uniforms(self.seed, self.replication, name, purpose, first + count, first)

        return of_purpose

    def spans(self, name: str) -> Spans:
        """Return the supplier of a stream's uniforms by their range, by purpose."""

        def of_purpose(purpose: str) -> Span:
            return lambda start, stop: uniforms(self.seed, self.replication, name, purpose, stop, start)

        return of_purpose

    def columns(self, name: str, count: int, first: int = 0) -> dict[str, Ints]:
        """Return the draws that a trace hands to the engines, ``floor(u * 2^32)`` of each uniform."""
        return {column: self._whole(name, column, first + count, first) for column in DRAW_COLUMNS}

    def weather(self) -> Ints:
        """Return the draws of the whole run, which no stream, context or other parameter moves."""
        return self._whole("weather", "weather", WEATHER)

    def _whole(self, name: str, purpose: str, stop: int, start: int = 0) -> Ints:
        draws = _raw(self.seed, self.replication, name, purpose, stop, start)
        draws >>= np.uint64(64 - DRAW_BITS)
        return draws.view(np.int64)  # all below the sign


class Flow(NamedTuple):
    """A stream, or some sessions of it that arrive one after another: n requests in s sessions, turn after turn.

    A request without a session is one of its own.
    """

    spec: StreamSpec
    asked: Asked  # (s,) the document of each session, and when it began; empty without a context
    turns: Turns  # (n,)
    arrive: Ints  # (n,) ms
    think: Ints  # (n,) ms
    question: Content  # (n,)
    answer: Ints  # (n,) tokens
    thinking: Ints  # (n,) tokens before the answer
    draws: dict[str, Ints]  # (n,) each


def realise(spec: WorkloadSpec, seed: int, replication: int, media: Media | None = None) -> Trace:
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
    media
        What the model makes of pictures, film and sound; needed where the workload holds any.
    """
    luck, sizes = Luck(seed, replication), draw_sizes(spec, Luck(seed, replication), media)
    flows = []
    for name, stream in spec.streams.items():
        begin = times(stream.arrivals, spec.clock, luck.draw(f"streams.{name}"))
        flows.append(within_horizon(draw_flow(spec, name, begin, luck, media), spec.horizon))
    forest, leaves = _planted(spec, flows, sizes)
    parts, trees, planted = [], [forest], len(forest.parent)
    for number, (flow, leaf) in enumerate(zip(flows, leaves, strict=True)):
        prompts = end_prompts(spec, flow, leaf, forest, planted, sizes)
        parts.append(columns_of(flow, number, prompts))
        no_context = np.zeros_like(prompts.parent)
        trees.append(Forest(prompts.parent, *prompts.depth, no_context, np.full_like(prompts.parent, NEVER)))
        planted += len(prompts.parent)
    return check(
        Trace(
            **merged(parts, ("follows", "session"))[0],
            **Forest.joined(trees)._asdict(),
            weather=luck.weather(),
            horizon=spec.horizon,
            streams=tuple(spec.streams),
            populations=tuple(spec.contexts),
        )
    )


def draw_sizes(spec: WorkloadSpec, luck: Luck, media: Media | None) -> Sizes:
    """Return the supplier of the contents of documents."""

    def sizes(context: str, count: int) -> Content:
        own = spec.contexts[context]
        return _content(own.tokens, "tokens", own.parts, media, luck.draw(f"contexts.{context}"), count)

    return sizes


def _content(
    law: SizeLaw, purpose: str, parts: PartsSpec | None, media: Media | None, draw: Draw, count: int
) -> Content:
    """Draw the text and the parts of questions or documents."""
    words = text(quantile(law, draw(purpose)(count)))
    if parts is None:
        return words
    if media is None:
        raise EngineError("a workload with pictures, film or sound needs the media table of a model")
    return words.plus(parts_content(parts, media, draw, count))


def draw_flow(
    spec: WorkloadSpec,
    name: str,
    begin: Ints,
    luck: Luck,
    media: Media | None,
    *,
    sessions: int = 0,
    requests: int = 0,
) -> Flow:
    """Draw all turns of the sessions of a stream that begin at (s,) ``begin`` ms, in an open loop past the horizon too.

    ``sessions`` and ``requests`` of the stream are drawn already; those of the flow count on from there.
    """
    stream, key = spec.streams[name], f"streams.{name}"
    of_session, draw = luck.draw(key, sessions), luck.draw(key, requests)
    asked = Asked.joined([])
    if stream.context is not None:
        asked = Asked(pick(spec.contexts[stream.context], of_session("context")(len(begin))), begin)
    session = stream.session
    turns = unfold(np.ones_like(begin) if session is None else quantile(session.turns, of_session("turns")(len(begin))))
    count = len(turns.session)
    arrive, think = begin[turns.session], np.zeros(count, np.int64)
    if session is not None:
        think = np.where(turns.number > 0, quantile(session.think, draw("think")(count)), 0)
    question = _content(stream.fresh, "fresh", stream.parts, media, draw, count)
    answer = quantile(stream.output, draw("output")(count))
    thinking = np.zeros(count, np.int64)
    if stream.thinking is not None:
        thinking = quantile(stream.thinking, draw("thinking")(count))
    return Flow(stream, asked, turns, arrive, think, question, answer, thinking, luck.columns(key, count, requests))


def within_horizon(flow: Flow, horizon: int) -> Flow:
    """Return what arrives: in an open loop turns come by thinking alone, and those past the horizon are gone."""
    if flow.spec.session is None or flow.spec.session.loop == "closed":
        return flow
    arrive = flow.arrive + since_first(flow.turns, flow.think)
    # times rise within a session, so what is kept are its first turns
    kept = arrive < horizon
    return flow._replace(
        turns=unfold(np.bincount(flow.turns.session[kept])),
        arrive=arrive[kept],
        think=np.zeros_like(arrive[kept]),
        question=flow.question.at(kept),
        answer=flow.answer[kept],
        thinking=flow.thinking[kept],
        draws={column: values[kept] for column, values in flow.draws.items()},
    )


def _planted(spec: WorkloadSpec, flows: list[Flow], sizes: Sizes) -> tuple[Forest, list[Ints]]:
    """Return the tree of the documents in use and, for each stream, the (s,) node that each session starts from."""
    sharing = {name: [flow for flow in flows if flow.spec.shares == name] for name in spec.contexts}
    forest, nodes = plant(
        spec.contexts, {name: Asked.joined([flow.asked for flow in some]) for name, some in sharing.items()}, sizes
    )
    found = {
        id(flow): part
        for name, some in sharing.items()
        for flow, part in zip(some, np.split(nodes[name], np.cumsum([len(f.asked.time) for f in some])), strict=False)
    }
    return forest, [found.get(id(flow), np.empty(0, np.int64)) for flow in flows]


def end_prompts(spec: WorkloadSpec, flow: Flow, leaf: Ints, forest: Forest, planted: int, sizes: Sizes) -> Chain:
    """Return where each prompt of a stream ends, the (s,) ``leaf`` being the document of each session.

    Nodes that sessions add count from ``planted``. With variable text in front it is all fresh, history included.
    """
    turns = flow.turns
    grown = said(turns, flow.question, flow.answer) if flow.spec.session else flow.question
    none = np.full(len(flow.arrive), -1, np.int64)
    nothing = text(np.zeros_like(none))
    if flow.spec.order == "variable_first":
        before = nothing
        if flow.spec.context is not None:
            before = contents(spec.contexts, flow.spec.context, flow.asked.document, sizes).at(turns.session)
        return Chain(none, before.plus(grown), none[:0], text(none[:0]))
    if flow.spec.context is None:
        return hang(turns, grown, none, nothing, planted)
    if flow.spec.session is None:
        return Chain(leaf, grown, none[:0], text(none[:0]))
    above = Content(forest.depth, forest.audio_depth).at(leaf)
    return hang(turns, grown, leaf[turns.session], above.at(turns.session), planted)


def columns_of(flow: Flow, number: int, prompts: Chain) -> dict[str, Ints]:
    """Return the columns of a stream's requests in its own order; ``follows`` and ``session`` count from its first."""
    count = len(flow.arrive)
    closed = flow.spec.session is not None and flow.spec.session.loop == "closed"
    return {
        "arrive": flow.arrive,
        "stream": np.full(count, number, np.int64),
        "leaf": prompts.leaf,
        "fresh": prompts.fresh.tokens,
        "audio": prompts.fresh.audio,
        "output": flow.answer + flow.thinking,
        "thinking": flow.thinking,
        "patience": np.full(count, flow.spec.patience, np.int64),
        "follows": flow.turns.follows if closed else np.full(count, -1, np.int64),
        "think": flow.think,
        "session": flow.turns.starts,
        **flow.draws,
    }


def merged(parts: list[dict[str, Ints]], references: Collection[str]) -> tuple[dict[str, Ints], Ints]:
    """Return the columns of all parts in the order of arrival, ties in the order of the parts; and each row's place.

    A reference is a column that names rows of its own part from 0; what is below 0 there stays as it is.
    """
    arrive = np.concatenate([part["arrive"] for part in parts])
    sizes = [len(part["arrive"]) for part in parts]
    own = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)  # where its part begins
    place = np.arange(len(arrive))
    ordered = bool(np.all(arrive[1:] >= arrive[:-1]))
    order = place if ordered else np.argsort(arrive, kind="stable")
    if not ordered:
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
    columns = {}
    for name in parts[0]:
        column = np.concatenate([part[name] for part in parts])
        if name in references and np.any(column >= 0):
            column = np.where(column >= 0, place[own + np.maximum(column, 0)], column)
        columns[name] = column if ordered else column[order]
    return columns, place


def replay(recorded: Recording, *, patience: int, seed: int, replication: int) -> Trace:
    """Return a recorded trace with draws for what no record tells: the luck of its service.

    The requests are the same in every replication. ``patience`` is in ms; nodes that the record marks as contexts are
    of one population, ``recorded``. A request that follows none is a conversation of its own.
    """
    count = len(recorded.arrive)
    luck = Luck(seed, replication)
    told = ("arrive", "leaf", "fresh", "output", "thinking", "follows", "think", "parent", "depth")
    return check(
        Trace(
            **{name: getattr(recorded, name) for name in told},
            **luck.columns("replay", count),
            weather=luck.weather(),
            stream=np.zeros(count, np.int64),
            audio=np.zeros(count, np.int64),
            patience=np.full(count, patience, np.int64),
            session=_roots(recorded.follows),
            audio_depth=np.zeros_like(recorded.depth),
            context=(recorded.context > 0).astype(np.int64),
            replaced=np.full_like(recorded.depth, NEVER),
            horizon=recorded.horizon,
            streams=("replay",),
            populations=("recorded",) if np.any(recorded.context) else (),
        )
    )


def _roots(follows: Ints) -> Ints:
    """Return the (n,) first requests of the chains of followers, in as many steps as doubling takes."""
    found = np.where(follows >= 0, follows, np.arange(len(follows)))
    while np.any((above := found[found]) != found):
        found = above
    return found
