"""Cells as text and back, equal in every field, so that a run goes on where it was stopped and is extended later.

The text is JSON. Money is an exact fraction, ``"n/d"``. A column of whole numbers is its differences as int64, the
lowest bytes of all first, then the next ones, through zlib and base64: the high bytes of a sorted sample are nothing,
so that it shrinks to little more than a byte a value.
"""

import json
import zlib
from base64 import b64decode, b64encode
from fractions import Fraction
from typing import Any

import numpy as np

from sim.experiments.result import Binding, Caching, Cell, Refusals, StreamCell, Turnaround, Unread
from sim.experiments.survey import Excess, Survey
from sim.ledger import Limit
from sim.sketch import Sample, Sketch
from sim.trace import Ints

__all__ = ["cell_of", "seen_of", "text_of", "text_of_seen"]

_LEVEL = 1  # of zlib: the others take up to seven times as long for a twentieth less


def text_of(cell: Cell) -> str:
    """Return a cell on one line.

    >>> from sim.experiments.result import Binding, Caching, Cell, Turnaround
    >>> none = np.array([], dtype=np.int64)
    >>> binding = Binding(0, (), *[0] * 8, served=(0, 0, 0, 0))
    >>> cell = Cell(strategy="none", model="flash", replication=7, total_usd=Fraction(1, 3), lines_usd={}, streams=(),
    ...             binding=binding, jobs={}, turnaround=Turnaround(none, none), caches=Caching(0, 0, 0, None),
    ...             duplicates=0)
    >>> text_of(cell)[:70]
    '{"strategy":"none","model":"flash","replication":7,"total_usd":"1/3","'
    >>> cell_of(text_of(cell)).total_usd
    Fraction(1, 3)
    """
    caches, unread = cell.caches, cell.caches.unread
    return _json(
        {
            "strategy": cell.strategy,
            "model": cell.model,
            "replication": cell.replication,
            "total_usd": str(cell.total_usd),
            "lines_usd": {line: str(usd) for line, usd in cell.lines_usd.items()},
            "streams": [[*stream[:-1], _sample(stream.latency_ms)] for stream in cell.streams],
            "binding": cell.binding._asdict() | {"refusals": [list(one) for one in cell.binding.refusals]},
            "jobs": cell.jobs,
            "turnaround": [_packed(times) for times in cell.turnaround],
            "caches": [*caches[:-1], None if unread is None else [*unread[:-1], str(unread.usd)]],
            "duplicates": cell.duplicates,
        }
    )


def cell_of(text: str) -> Cell:
    """Return the cell of a text."""
    found: dict[str, Any] = json.loads(text)
    *caches, unread = found["caches"]
    return Cell(
        strategy=found["strategy"],
        model=found["model"],
        replication=found["replication"],
        total_usd=Fraction(found["total_usd"]),
        lines_usd={line: Fraction(usd) for line, usd in found["lines_usd"].items()},
        streams=tuple(StreamCell._make([*counts, _sample_of(sample)]) for *counts, sample in found["streams"]),
        binding=_binding_of(found["binding"]),
        jobs=found["jobs"],
        turnaround=Turnaround(*map(_unpacked, found["turnaround"])),
        caches=Caching._make([*caches, None if unread is None else Unread._make([*unread[:-1], Fraction(unread[-1])])]),
        duplicates=found["duplicates"],
    )


def _binding_of(found: dict[str, Any]) -> Binding:
    refusals = tuple(Refusals(Limit(limit), hour, calls) for limit, hour, calls in found["refusals"])
    return Binding(**found | {"refusals": refusals, "served": tuple(found["served"])})


def text_of_seen(seen: Survey) -> str:
    """Return what a realisation holds on one line."""
    return _json({name: [_entry(key, value) for key, value in part.items()] for name, part in seen._asdict().items()})


def seen_of(text: str) -> Survey:
    """Return what a realisation holds from its text."""
    found: dict[str, list[list[Any]]] = json.loads(text)
    return Survey(
        requests=dict(found["requests"]),
        contexts={workload: (shortest, longest) for workload, (shortest, longest) in found["contexts"]},
        thinking={workload: tuple(streams) for workload, streams in found["thinking"]},
        excess={tuple(pair): tuple(Excess(*one) for one in some) for pair, some in found["excess"]},
        overspent={tuple(pair): calls for pair, calls in found["overspent"]},
    )


def _entry(key: object, value: object) -> list[object]:
    return [key, value]


def _json(document: object) -> str:
    return json.dumps(document, allow_nan=False, separators=(",", ":"))


def _sample(sample: Sample) -> list[Any]:
    """Return a sample as its times, or as the total and the counts of a sketch."""
    return [sample.total, _packed(sample.counts)] if isinstance(sample, Sketch) else [_packed(sample)]


def _sample_of(parts: list[Any]) -> Sample:
    return Sketch(_unpacked(parts[1]), parts[0]) if len(parts) == 2 else _unpacked(parts[0])


def _packed(values: Ints) -> str:
    """Return whole numbers as text; a difference that wraps at 64 bits wraps back when it is added up."""
    deltas = np.diff(values, prepend=np.int64(0)).astype("<i8")
    by_place = deltas.view(np.uint8).reshape(-1, 8).T.tobytes()
    return b64encode(zlib.compress(by_place, _LEVEL)).decode("ascii")


def _unpacked(text: str) -> Ints:
    """Return the whole numbers of a text.

    >>> _unpacked(_packed(np.array([3, 3, -(2**63), 2**63 - 1]))).tolist()
    [3, 3, -9223372036854775808, 9223372036854775807]
    """
    by_place = np.frombuffer(zlib.decompress(b64decode(text)), dtype=np.uint8).reshape(8, -1)
    deltas = np.ascontiguousarray(by_place.T).view("<i8").ravel()
    return np.cumsum(deltas, dtype=np.int64)
