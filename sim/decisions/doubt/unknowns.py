"""What a scenario does not know, drawn: every input from its law, by a stream of luck that is named after its path."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sim.scenario.uncertain import Uncertain, drawn
from sim.workload.realise import uniforms
from sim.workload.sizes import Floats

__all__ = ["Unknown", "draws_of", "unknowns_of"]


class Unknown(NamedTuple):
    """What can be learned at once: one uncertain value, or all shares of a joint law."""

    name: str  # its path; of a joint law the list of its members
    members: tuple[Uncertain, ...]
    values: Floats  # (K, m) what stands for it at each draw: of a joint law all shares but the last, which follows


def draws_of(uncertain: Sequence[Uncertain], seed: int, count: int) -> tuple[Floats, list[tuple[str, ...]]]:
    """Return (K, n) uniforms, and the overrides of each draw.

    An input's draws hang on the seed and its path alone: more draws, or other inputs beside it, change none of them.
    """
    columns = [uniforms(seed, 0, f"uncertain {one.path}", "draw", count) for one in uncertain]
    shares = np.array(columns).T
    return shares, [drawn(uncertain, row) for row in shares.tolist()]


def unknowns_of(uncertain: Sequence[Uncertain], shares: Floats, sets: Sequence[Sequence[str]]) -> list[Unknown]:
    """Return the inputs with their values at each draw, those of a joint law as one."""
    found: dict[str, list[int]] = {}
    for place, one in enumerate(uncertain):
        found.setdefault(one.group or one.path, []).append(place)
    return [
        Unknown(name, tuple(uncertain[place] for place in places), _values(uncertain, places, shares, sets))
        for name, places in found.items()
    ]


def _values(
    uncertain: Sequence[Uncertain], places: Sequence[int], shares: Floats, sets: Sequence[Sequence[str]]
) -> Floats:
    """Return (K, m) values: ranks are enough of a single law, the shares themselves are needed of a joint one."""
    first = uncertain[places[0]]
    if first.group:
        return np.array([[float(texts[place].rpartition("=")[2]) for place in places[:-1]] for texts in sets])
    return np.floor(shares[:, places] * len(first.law.items)) if first.law.items else shares[:, places]
