"""A workload a piece at a time, so that a run of any length never stands in memory whole.

The draws are those of :func:`sim.workload.realise.realise`, made block by block of a stream's sessions. A stream says
up to when its requests are all known; where all streams know theirs a piece is cut, between two instants. What arrives
later, the further turns of open loops above all, waits as rows for a later piece.

A row names other rows by a reference: a number from 0 is a row of the same block, ``-2 - number`` a request or a node
that an earlier piece gave (or a document), -1 nothing.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from sim.providers.media import Media
from sim.trace import REQUEST_COLUMNS, Ints, Piece, Trace, shared_tokens
from sim.workload.arrivals import instants
from sim.workload.contexts import NEVER, Asked, Forest, Shelf, Sizes, find, pick, plant, shelve, survey
from sim.workload.media import Content
from sim.workload.realise import Flow, Luck, columns_of, draw_flow, draw_sizes, end_prompts, merged, within_horizon
from sim.workload.sessions import Chain
from sim.workload.sizes import mean
from sim.workload.spec import WorkloadSpec

__all__ = ["pieces"]

_BLOCK = 1 << 17  # requests of a stream that are drawn at once; no part of the results
_OF_REQUESTS = ("follows", "session")  # columns that refer to requests
_OF_NODES = ("leaf", "above", "floor")  # columns that refer to nodes: a row stands for the node that it adds
_REFERENCES = (*_OF_REQUESTS, *_OF_NODES)
_BESIDES = ("prompt", "heard", "home", "floor")  # columns of a piece besides its trace
_COLUMNS = (*REQUEST_COLUMNS, *_BESIDES, "above", "adds")
_NONE = np.empty(0, np.int64)
_NO_ROWS = dict.fromkeys(_COLUMNS, _NONE)
_MANY = 16  # blocks of a stream that wait before they become one; no part of the results

Half: TypeAlias = npt.NDArray[np.bool_] | slice

Rows: TypeAlias = dict[str, Ints]
"""Columns of some requests of one stream, in its own order: those of a trace, and what a piece says besides."""


def pieces(
    spec: WorkloadSpec, seed: int, replication: int, media: Media | None = None, *, size: int = 1 << 20
) -> Iterator[Piece]:
    """Give the trace of one replication of a workload in pieces of about ``size`` requests each, at least one piece.

    Parameters are those of :func:`sim.workload.realise.realise`. The requests of one instant stand in one piece.
    """
    luck = Luck(seed, replication)
    library = _library(spec, luck, media)
    block = min(size, _block(library.documents, *(context.count for context in spec.contexts.values())))
    lanes = [_Lane(_blocks(spec, n, library, luck, media, block)) for n in range(len(spec.streams))]
    forest, first, first_node = library.forest, 0, 0
    while (cut := _cut(lanes, size, spec.horizon)) is not None or not first_node + first:
        taken = _taken(lanes, spec.horizon if cut is None else cut, first, first_node + len(forest.parent))
        forest = Forest.joined([forest, _added(taken.rows)])
        yield Piece(
            trace=Trace(
                **{name: taken.rows[name] for name in REQUEST_COLUMNS},
                **forest._asdict(),
                weather=luck.weather(),
                horizon=spec.horizon,
                streams=tuple(spec.streams),
                populations=tuple(spec.contexts),
            ),
            first=first,
            first_node=first_node,
            **{name: taken.rows[name] for name in _BESIDES},
            live_node=taken.live_node,
            documents=library.documents,
        )
        if cut is None:
            return
        first, first_node = first + len(taken.rows["arrive"]), first_node + len(forest.parent)
        forest = Forest(*[_NONE] * len(Forest._fields))


def _block(*documents: int) -> int:
    """Return how many requests to draw at once: more where there are many documents, as each block weighs them all."""
    return max(_BLOCK, *(count // 8 for count in documents))


class _Library(NamedTuple):
    """The documents in use."""

    forest: Forest
    shelves: Mapping[str, Shelf]
    sizes: Sizes

    @property
    def documents(self) -> int:
        return len(self.forest.parent)


def _library(spec: WorkloadSpec, luck: Luck, media: Media | None) -> _Library:
    """Return the documents in use, from a first pass over the arrivals and what is asked for alone."""

    def uses(population: str) -> Iterator[Asked]:
        for name, stream in spec.streams.items():
            if stream.shares == population:
                done, spans = 0, luck.spans(f"streams.{name}")
                for begin in instants(stream.arrivals, spec.clock, spans, _block(spec.contexts[population].count)):
                    u = spans("context")(done, done + len(begin))
                    done += len(begin)
                    yield Asked(pick(spec.contexts[population], u), begin)

    asked = {name: survey(spec.contexts, name, uses(name)) for name in spec.contexts}
    sizes = _remembered(draw_sizes(spec, luck, media))
    return _Library(plant(spec.contexts, asked, sizes)[0], shelve(spec.contexts, asked), sizes)


def _remembered(sizes: Sizes) -> Sizes:
    """Return the same supplier, which draws each document of a population about twice at most."""
    known: dict[str, Content] = {}

    def of_population(context: str, count: int) -> Content:
        if context not in known or len(known[context].tokens) < count:
            known[context] = sizes(context, count)
        return known[context].at(np.arange(count))

    return of_population


def _blocks(
    spec: WorkloadSpec, number: int, library: _Library, luck: Luck, media: Media | None, size: int
) -> Iterator[tuple[Rows, int]]:
    """Give the rows of a stream by blocks of sessions, each with the ms before which no later block has an arrival."""
    name, stream = list(spec.streams.items())[number]
    turns = 1.0 if stream.session is None else max(1.0, mean(stream.session.turns))
    sessions = requests = 0
    for begin in instants(stream.arrivals, spec.clock, luck.spans(f"streams.{name}"), max(1, int(size / turns))):
        if len(begin):
            drawn = draw_flow(spec, name, begin, luck, media, sessions=sessions, requests=requests)
            sessions, requests = sessions + len(begin), requests + len(drawn.arrive)
            flow = within_horizon(drawn, spec.horizon)
            leaf = _NONE
            if stream.shares is not None:
                leaf = find(spec.contexts, stream.shares, library.shelves[stream.shares], flow.asked)
            prompts = end_prompts(spec, flow, leaf, library.forest, library.documents, library.sizes)
            yield _rows(flow, number, prompts, library.forest), int(begin[-1])


def _rows(flow: Flow, number: int, prompts: Chain, forest: Forest) -> Rows:
    """Return the rows of a block; each node that it adds is the whole prompt of one of them."""
    columns = columns_of(flow, number, prompts)
    documents, starts = len(forest.parent), flow.turns.starts
    adds = flow.turns.left > 0 if len(prompts.parent) else np.zeros(len(starts), np.bool_)
    adder = np.flatnonzero(adds)

    def reference(node: Ints) -> Ints:
        given = -2 - node
        return np.where(node >= documents, adder[np.maximum(node - documents, 0)], given) if len(adder) else given

    above = np.full(len(starts), -1, np.int64)
    above[adder] = reference(prompts.parent)
    depth = np.concatenate((forest.depth, prompts.depth.tokens))
    heard = np.concatenate((forest.audio_depth, prompts.depth.audio))
    return columns | {
        "leaf": reference(prompts.leaf),
        "above": above,
        "adds": adds.astype(np.int64),
        "floor": np.where(adds[starts], starts, -1),
        "prompt": columns["fresh"] + shared_tokens(prompts.leaf, depth),
        "heard": columns["audio"] + shared_tokens(prompts.leaf, heard),
        "home": flow.draws["route"][starts],
    }


@dataclass(slots=True)
class _Lane:
    """One stream on its way into pieces: the one place here that changes, because a stream is drawn as it is needed."""

    blocks: Iterator[tuple[Rows, int]]
    waiting: list[Rows] = field(default_factory=list)  # in the stream's own order; all turns of a session in one
    until: int | None = 0  # ms before which all that arrives is waiting; None: all is

    def draw(self) -> None:
        """Let one block more wait."""
        rows, self.until = next(self.blocks, (None, None))
        if rows is not None:
            self.waiting.append(rows)

    def arrivals(self, until: int) -> list[Ints]:
        """Return the ms of what is waiting and arrives before an instant."""
        return [arrive[arrive < until] for arrive in (rows["arrive"] for rows in self.waiting)]

    def keep(self, rows: Sequence[Rows]) -> None:
        """Let these rows wait instead; many small blocks become one, so that long sessions cost no time."""
        left = [part for part in rows if len(part["arrive"])]
        self.waiting = left if len(left) <= _MANY else [_joined(left)]


def _joined(parts: Sequence[Rows]) -> Rows:
    """Return blocks as one, each a piece of the same stream's own order."""
    first = np.cumsum([0, *(len(part["arrive"]) for part in parts)]).tolist()
    moved = [_moved(part, _REFERENCES, partial(np.add, own)) for part, own in zip(parts, first, strict=False)]
    return {name: np.concatenate([part[name] for part in moved]) for name in _COLUMNS}


class _Split(NamedTuple):
    """The (n,) rows of a block, parted at an instant; references still name rows as they were."""

    now: Rows
    later: Rows
    place: Ints  # (n,) row within its half
    taken: Half  # (n,) what is taken now

    @classmethod
    def of(cls, rows: Rows, cut: int) -> "_Split":
        """Part rows by what arrives before ``cut``."""
        taken = rows["arrive"] < cut
        count = int(np.count_nonzero(taken))
        if np.all(taken[:count]):  # nothing moves, and a slice copies nothing
            halves: tuple[Half, Half] = (slice(count), slice(count, None))
            place = np.arange(len(taken))
            place[count:] -= count
        else:
            halves = (taken, ~taken)
            place = np.where(taken, np.cumsum(taken), np.cumsum(halves[1])) - 1
        now, later = ({name: column[half] for name, column in rows.items()} for half in halves)
        return cls(_moved(now, _REFERENCES, place.__getitem__), later, place, halves[0])

    def still(self, request: Ints, node: Ints) -> Rows:
        """Return the rows that wait on, given the numbers of what is taken and of the nodes that it adds."""
        rows = self.later
        for names, number in ((_OF_REQUESTS, request), (_OF_NODES, node)):
            reference = self.place.copy()
            reference[self.taken] = -2 - number
            rows = _moved(rows, names, reference.__getitem__)
        return rows


def _moved(rows: Rows, names: Collection[str], move: Callable[[Ints], Ints]) -> Rows:
    """Return the columns whose references to rows are moved; ``move`` gets 0 in place of all other references."""
    named = [name for name in names if np.any(rows[name] >= 0)]
    return rows | {name: np.where(rows[name] >= 0, move(np.maximum(rows[name], 0)), rows[name]) for name in named}


def _cut(lanes: list[_Lane], size: int, horizon: int) -> int | None:
    """Return the ms before which about ``size`` requests are waiting, having drawn so many; None = none are left."""
    while True:
        # all that a finished stream holds comes before the horizon
        ends = [horizon if lane.until is None else lane.until for lane in lanes]
        known = np.concatenate([_NONE, *(part for lane in lanes for part in lane.arrivals(min(ends)))])
        if len(known) >= size:
            return int(np.partition(known, size - 1)[size - 1]) + 1
        unfinished = [lane for lane in lanes if lane.until is not None]
        if not unfinished:
            return horizon if len(known) else None
        min(unfinished, key=lambda lane: lane.until or 0).draw()


class _Taken(NamedTuple):
    """The rows of a piece, with numbers in place of references, and up to which node no other piece needs one."""

    rows: Rows
    live_node: int


def _taken(lanes: list[_Lane], cut: int, first: int, first_node: int) -> _Taken:
    """Take what arrives before an instant out of the lanes; its requests and what it adds are numbered from there."""
    splits = [[_Split.of(rows, cut) for rows in lane.waiting] for lane in lanes]
    rows, place = merged([_NO_ROWS, *(one.now for lane in splits for one in lane)], _REFERENCES)
    request = first + np.arange(len(place))
    node = first_node + np.cumsum(rows["adds"]) - 1  # of a row that adds one
    live_node, done = first_node + int(rows["adds"].sum()), 0
    for lane, mine in zip(lanes, splits, strict=True):
        left = []
        for one in mine:
            where = place[done : (done := done + len(one.now["arrive"]))]
            left.append(one.still(request[where], node[where]))
            floor = left[-1]["floor"]
            live_node = int(np.min(-2 - floor[floor < -1], initial=live_node))
        lane.keep(left)
    for names, number in ((_OF_REQUESTS, request), (_OF_NODES, node)):
        numbers = _moved(rows, names, (-2 - number).__getitem__)
        rows |= {name: -2 - numbers[name] for name in names}
    return _Taken(rows, live_node)


def _added(rows: Rows) -> Forest:
    """Return the nodes that the rows of a piece add."""
    adds = rows["adds"] > 0
    none = np.zeros(np.count_nonzero(adds), np.int64)
    return Forest(rows["above"][adds], rows["prompt"][adds], rows["heard"][adds], none, np.full_like(none, NEVER))
