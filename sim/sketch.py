"""Times in a fixed number of buckets: what is left of a sample that is too large to keep, mergeable without loss.

A time below 50 ms has a bucket of its own; above, a bucket holds ``[low, low + low // 50 + 1)`` ms and stands for its
middle, which is within 1 % of everything in it. The edges are integers, so a time is in the same bucket everywhere.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self, TypeAlias

import numpy as np

from sim.trace import Ints, exact_sum

__all__ = ["Sample", "Sketch", "joined", "same", "total"]

_LARGEST = 1 << 62


def _edges() -> Ints:
    edges = [0]
    while edges[-1] < _LARGEST:
        edges.append(edges[-1] + edges[-1] // 50 + 1)
    return np.array(edges, dtype=np.int64)


_EDGES = _edges()
_MIDDLES = (_EDGES[:-1] + (_EDGES[1:] - 1)) / 2.0


@dataclass(frozen=True, eq=False)
class Sketch:
    """A sample of times in ms, its values known to 1 %, its size and its sum exactly.

    >>> few = Sketch.of(np.array([10, 20, 30, 1000]))
    >>> len(few), few.total, few.quantile(0.5), round(few.quantile(1.0))
    (4, 1060, 25.0, 996)
    """

    counts: Ints  # (buckets,)
    total: int  # ms

    @classmethod
    def of(cls, times: Ints) -> Self:
        """Return the sketch of (n,) whole ms, 0 or more."""
        bucket = np.searchsorted(_EDGES, times, side="right") - 1
        return cls(np.bincount(bucket, minlength=len(_MIDDLES)).astype(np.int64), exact_sum(times))

    @classmethod
    def merged(cls, sketches: Iterable["Sketch"]) -> Self:
        """Return the sketch of all samples together: that of the joined sample, whatever the parts and their order."""
        found = list(sketches)
        counts = np.zeros(len(_MIDDLES), dtype=np.int64)
        for sketch in found:
            counts += sketch.counts
        return cls(counts, sum(sketch.total for sketch in found))

    def __len__(self) -> int:
        return int(self.counts.sum())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sketch):
            return NotImplemented
        return self.total == other.total and np.array_equal(self.counts, other.counts)

    __hash__ = None  # type: ignore[assignment]  # it holds an array

    def quantile(self, q: float) -> float:
        """Return the q-quantile of a sample that is not empty, by linear interpolation as :func:`sim.stats.quantile`.

        Both values that it lies between are known to 1 %, so it is too.
        """
        place = q * (len(self) - 1)
        below = int(place)
        low, high = (self._value(min(rank, len(self) - 1)) for rank in (below, below + 1))
        return low + (high - low) * (place - below)

    def _value(self, rank: int) -> float:
        """Return the value of a rank, from 0."""
        return float(_MIDDLES[int(np.searchsorted(np.cumsum(self.counts), rank, side="right"))])


Sample: TypeAlias = "Ints | Sketch"  # of times in ms: all of them, sorted, or what is left of them

_NONE = np.empty(0, dtype=np.int64)


def joined(samples: Sequence[Sample]) -> Sample:
    """Return several samples as one; a sketch if any of them is."""
    if any(isinstance(sample, Sketch) for sample in samples):
        return Sketch.merged(sample if isinstance(sample, Sketch) else Sketch.of(sample) for sample in samples)
    whole = [sample for sample in samples if not isinstance(sample, Sketch)]
    return np.concatenate(whole) if whole else _NONE


def same(one: Sample, other: Sample) -> bool:
    """Return whether two samples are equal."""
    if isinstance(one, Sketch) or isinstance(other, Sketch):
        return isinstance(one, Sketch) and isinstance(other, Sketch) and one == other
    return np.array_equal(one, other)


def total(sample: Sample) -> int:
    """Return the sum of a sample in ms, a Python integer that cannot wrap."""
    return sample.total if isinstance(sample, Sketch) else exact_sum(sample)
