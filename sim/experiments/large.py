"""Replications too large to be held in memory: drawn in pieces, all strategies of a workload in step on each piece.

Whether a replication is large is decided by the scenario alone, never by the memory that there is, so the results are
the same everywhere: of a large one sketches of the latencies are kept, on either engine and in any number of pieces.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from sim.engines.choice import stream_of, uncovered
from sim.engines.parts import Streaming
from sim.engines.physics import Physics, prepare
from sim.engines.witness import assert_equal
from sim.errors import InputError, Problem
from sim.experiments.pairs import Pair, realised
from sim.experiments.result import Cell
from sim.experiments.simulate import jobs_of
from sim.experiments.tally import Tally, sketched
from sim.providers.prices import Book
from sim.strategies.decision import NEVER
from sim.trace import NODE_COLUMNS, Piece, Trace
from sim.traces import Recorded
from sim.workload.pieces import pieces
from sim.workload.rules import expected_requests

__all__ = ["cells_in_pieces", "first_piece", "fits_in_pieces", "is_large", "kept", "seen"]

LARGE = 2_000_000  # requests of a replication, as expected, from which it is not held in memory
PIECE = 1 << 18  # requests at a time; decides nothing but memory and speed


def is_large(pair: Pair) -> bool:
    """Return whether a replication of a pair's workload is large; a recorded one never is, for its file was read."""
    return pair.arm.spec.replay is None and expected_requests(pair.arm.spec.workload) > LARGE


def fits_in_pieces(pair: Pair) -> bool:
    """Return whether a pair can be run in pieces: not if it is cut at the horizon, nor if it looks ahead."""
    looks_ahead = pair.plan.cache is not None and bool(pair.plan.cache.last_use)
    return pair.arm.spec.close != "cut" and not looks_ahead


def kept(cell: Cell, pair: Pair) -> Cell:
    """Return what is kept of a cell: of a large replication only sketches of the latencies."""
    return replace(cell, streams=tuple(map(sketched, cell.streams))) if is_large(pair) else cell


def seen(pair: Pair, recorded: Recorded | None, seed: int, replication: int) -> Iterator[Trace]:
    """Yield a realisation to be looked at: as one trace, or a large one as several.

    Those are without the prefixes of sessions, but their prompts are as long as they are.
    """
    if is_large(pair):
        return map(_flat, _pieces(pair, seed, replication))
    return iter([realised(pair.arm, pair.media, recorded, seed, replication)])


def cells_in_pieces(
    pairs: Sequence[Pair],
    books: Sequence[Book],
    seed: int,
    replication: int,
    witnessed: Sequence[bool],
    step: Callable[[float], None] | None = None,
) -> Iterator[Cell]:
    """Yield the cells of pairs that share their workload, each equal to that of the workload as a whole.

    Each pair has a price book of its own. Of a pair that is witnessed the first requests are run on the reference
    engine too, and must be equal. ``step`` is told after each piece which share of the workload is done.
    """
    if not pairs:
        return
    tallies: list[Tally] = []
    streams = [_stream(pair) for pair in pairs]
    for piece in _pieces(pairs[0], seed, replication):
        if not tallies:
            tree = _documents(piece)
            tallies = [Tally(pair, book, tree) for pair, book in zip(pairs, books, strict=True)]
        for pair, stream, tally, witness in zip(pairs, streams, tallies, witnessed, strict=True):
            physics = _physics(pair, piece)
            _assert_covered(pair, piece, physics)
            if witness and piece.first == 0:
                assert_equal(piece.trace, pair.plan, pair.rules, physics)
            tally.add(stream.feed(piece, physics))
        if step is not None and len(piece.trace.arrive):
            step(int(piece.trace.arrive[-1]) / piece.trace.horizon)
    for stream, tally in zip(streams, tallies, strict=True):
        tally.add(stream.finish())
        yield tally.cell(replication)


def first_piece(pairs: Sequence[Pair], seed: int) -> int:
    """Run the first piece of a large replication and return its requests: what it takes tells what the whole will."""
    piece = next(_pieces(pairs[0], seed, 0))
    for pair in pairs:
        _stream(pair).feed(piece, _physics(pair, piece))
    return len(piece.prompt)


def _stream(pair: Pair) -> Streaming:
    return stream_of(pair.plan, pair.rules, pair.arm.service.implicit.cells)


def _physics(pair: Pair, piece: Piece) -> Physics:
    return prepare(piece.trace, pair.arm.service, jobs_of(pair), home=piece.home)


def _pieces(pair: Pair, seed: int, replication: int) -> Iterator[Piece]:
    return pieces(pair.arm.spec.workload, seed, replication, pair.media, size=PIECE)


def _documents(piece: Piece) -> Trace:
    """Return a piece's trace with its documents as the only nodes; all of them are in the first piece."""
    count = max(0, piece.documents - piece.first_node)
    return piece.trace._replace(**{name: getattr(piece.trace, name)[:count] for name in NODE_COLUMNS})


def _flat(piece: Piece) -> Trace:
    return _documents(piece)._replace(leaf=np.full_like(piece.trace.leaf, NEVER), fresh=piece.prompt, audio=piece.heard)


def _assert_covered(pair: Pair, piece: Piece, physics: Physics) -> None:
    """Refuse what the compiled engine cannot count, which alone runs in pieces."""
    why = uncovered(_flat(piece), pair.plan, pair.rules, physics)
    if why:
        what = f"{pair.arm.name} on {pair.model} cannot be run in pieces, for it has {why}"
        raise InputError([Problem("run", 0, "", what, f"at most {LARGE:,} requests a replication for that")])
