"""Exact sums of tokens by what they share a price with: one code a call, and totals that cannot wrap."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from sim.ledger import Mode
from sim.providers.prices import TIERS, Book, Entry, Tier
from sim.trace import Ints

__all__ = ["Groups"]

_SAFE = 2**62  # sums of int64 below it cannot wrap
_NO_LIMIT = np.iinfo(np.int64).max


class Groups(NamedTuple):
    """Which calls share a price: one code a call, made of price period, tier and mode."""

    entries: tuple[Entry, ...]
    code: npt.NDArray[np.int64]  # (n,) ((period * tiers) + tier) * modes + mode

    @classmethod
    def of(cls, book: Book, model: str, at: Ints, size: Ints, mode: Ints) -> "Groups":
        """Return the groups of calls at instants, their tier decided by a size in tokens."""
        if not at.size:
            return cls((), at)
        entries = book.periods(model)
        for instant in (int(at.min()), int(at.max())):
            book.entry(model, instant)  # raises where a call lies before or after the book's prices
        limits = np.array([_NO_LIMIT if e.long_over is None else e.long_over for e in entries], dtype=np.int64)
        if len(entries) == 1:
            return cls(entries, (size > limits[0]) * len(Mode) + mode)
        period = np.searchsorted([e.valid_from for e in entries], at, side="right") - 1
        tier = size > limits[period]
        return cls(entries, (period * len(TIERS) + tier) * len(Mode) + mode)

    def sums(self, tokens: Ints) -> Iterator[tuple[Entry, Mode, Tier, int]]:
        """Yield the exact token sum of each group that used any."""
        for code, quantity in enumerate(_totals(self.code, tokens, len(self.entries) * len(TIERS) * len(Mode))):
            if quantity:
                rest, mode = divmod(code, len(Mode))
                period, tier = divmod(rest, len(TIERS))
                yield self.entries[period], Mode(mode), TIERS[tier], quantity


def _totals(code: npt.NDArray[np.int64], tokens: Ints, groups: int) -> list[int]:
    """Return the exact sum of each group: in int64 where that cannot wrap, else in Python integers."""
    if not tokens.any():
        return [0] * groups
    if int(tokens.max()) * tokens.size < _SAFE:
        sums = np.zeros(groups, dtype=np.int64)
        if code.min() == (only := code.max()):
            sums[only] = tokens.sum()
            return sums.tolist()
        np.add.at(sums, code, tokens)
        return sums.tolist()
    totals = [0] * groups
    for group, count in zip(code.tolist(), tokens.tolist(), strict=True):
        totals[group] += count
    return totals
