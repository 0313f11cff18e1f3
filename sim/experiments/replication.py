"""One replication: the cells of all pairs that share its workload, which is drawn once for all of them."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sim.experiments.cells import measure
from sim.experiments.large import cells_in_pieces, fits_in_pieces, is_large, kept
from sim.experiments.pairs import Pair, realised
from sim.experiments.result import Cell
from sim.experiments.simulate import Notice, compiling, ledger_of, silent
from sim.ledger import Ledger
from sim.providers.prices import Book
from sim.trace import Trace
from sim.traces import Recorded

__all__ = ["Luck", "Played", "Step", "replicate"]

Step = Callable[[float], None]  # told which share of a replication is done


class Luck(NamedTuple):
    """What names a realisation of a workload."""

    seed: int
    replication: int
    recorded: Recorded | None = None  # the trace of a replay, of which the luck of the service is drawn only
    drawn: Trace | None = None  # the realisation itself, where it is at hand


class Played(NamedTuple):
    """A cell, and the ledger that it is of, unless that came in pieces."""

    pair: Pair
    cell: Cell
    ledger: Ledger | None


def replicate(
    sharing: Sequence[Pair],
    book: Book,
    luck: Luck,
    *,
    engine: str,
    witnessed: Sequence[bool],
    whole: bool = False,
    notice: Notice = silent,
    step: Step | None = None,
) -> Iterator[Played]:
    """Yield what becomes of each pair in a replication.

    Parameters
    ----------
    sharing
        Pairs that share their workload.
    book
        The prices.
    luck
        Which realisation.
    engine
        ``reference`` or ``fast``; the results are the same.
    witnessed
        Of each pair, whether the first requests of a fast run are run on both engines, and must be equal.
    whole
        Hold a large replication in memory too, so that there is a ledger of it.
    notice
        Told what a user should know meanwhile.
    step
        Told now and then which share is done.
    """
    rest = list(zip(sharing, witnessed, strict=True))
    if engine == "fast" and is_large(sharing[0]) and not whole:
        streamed = [(pair, witness) for pair, witness in rest if fits_in_pieces(pair)]
        rest = [(pair, witness) for pair, witness in rest if not fits_in_pieces(pair)]
        compiling(notice)
        pairs = [pair for pair, _ in streamed]
        witnesses, books = [witness for _, witness in streamed], [book] * len(pairs)
        found = cells_in_pieces(pairs, books, luck.seed, luck.replication, witnesses, step)
        yield from (Played(pair, cell, None) for pair, cell in zip(pairs, found, strict=True))
    if not rest:
        return
    first = sharing[0]
    trace = luck.drawn or realised(first.arm, first.media, luck.recorded, luck.seed, luck.replication)
    for pair, witness in rest:
        ledger = ledger_of(pair, trace, engine=engine, witness=witness, notice=notice)
        yield Played(pair, kept(measure(ledger, trace, pair, book, luck.replication), pair), ledger)
