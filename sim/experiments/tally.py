"""The cell of a run whose workload comes in pieces: summed up part by part, equal to that of the whole.

All counts and all money are those of the whole run, exactly; of the latencies a sketch is kept.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from sim.billing import rate
from sim.engines.parts import Part
from sim.experiments.bounds import refused
from sim.experiments.cells import binding_of, caching_of, jobs_of, requests_of, stream_of, turnaround_of
from sim.experiments.pairs import Pair
from sim.experiments.result import Binding, Cell, StreamCell
from sim.providers.prices import Book
from sim.sketch import Sketch
from sim.trace import Trace

__all__ = ["Tally", "sketched"]


class Tally:
    """What the parts of one run add up to."""

    def __init__(self, pair: Pair, book: Book, tree: Trace) -> None:
        """``tree`` is a trace with the documents as its nodes."""
        self._pair, self._book, self._tree = pair, book, tree
        self._usd: dict[str, Fraction] = {}
        self._streams: tuple[StreamCell, ...] = ()
        self._bindings: list[Binding] = []
        self._refused = np.zeros(len(tree.depth), dtype=np.bool_)
        self._duplicates = 0
        self._last: Part | None = None

    def add(self, part: Part) -> None:
        """Add a part."""
        pair, ledger = self._pair, part.ledger
        for line, usd in rate(ledger, self._book, pair.arm.terms).by_line().items():
            self._usd[line] = self._usd.get(line, Fraction(0)) + usd
        streams = (
            stream_of(ledger, name, requests_of(part.stream, number), part.patience, part.thinking)
            for number, name in enumerate(self._tree.streams)
        )
        own = tuple(sketched(stream) for stream in streams)
        self._streams = tuple(map(_added, self._streams, own)) if self._streams else own
        self._bindings.append(binding_of(ledger))
        self._refused |= refused(self._tree, part.document, ledger.arrived, pair.plan, pair.rules)
        self._duplicates += len(ledger.duplicate_request)
        self._last = part

    def cell(self, replication: int) -> Cell:
        """Return the cell; the last part must have been added, which has the caches and jobs of the whole run."""
        assert self._last is not None  # noqa: S101 - a run has a part at least
        ledger = self._last.ledger
        return Cell(
            strategy=self._pair.arm.name,
            model=self._pair.model,
            replication=replication,
            total_usd=sum(self._usd.values(), Fraction(0)),
            lines_usd=dict(self._usd),
            streams=self._streams,
            binding=_bound(self._bindings),
            jobs=jobs_of(ledger),
            turnaround=turnaround_of(ledger),
            caches=caching_of(ledger, self._pair, self._book, int(np.count_nonzero(self._refused))),
            duplicates=self._duplicates,
        )


def sketched(stream: StreamCell) -> StreamCell:
    """Return a stream with a sketch of its latencies."""
    if isinstance(stream.latency_ms, Sketch):
        return stream
    return stream._replace(latency_ms=Sketch.of(stream.latency_ms))


def _added(one: StreamCell, other: StreamCell) -> StreamCell:
    """Return two parts of a stream together."""
    latencies = [part.latency_ms for part in (one, other) if isinstance(part.latency_ms, Sketch)]
    counts = {name: getattr(one, name) + getattr(other, name) for name in StreamCell._fields[1:-1]}
    return one._replace(**counts, latency_ms=Sketch.merged(latencies))


def _bound(parts: Sequence[Binding]) -> Binding:
    """Return what stood in the way of the requests of all parts; the last one has the refusals of the whole."""
    counts = {
        name: sum(getattr(part, name) for part in parts)
        for name in Binding._fields
        if name not in ("start_ms", "refusals", "served")
    }
    served = tuple(map(sum, zip(*(part.served for part in parts), strict=True)))
    return parts[-1]._replace(**counts, served=served)
