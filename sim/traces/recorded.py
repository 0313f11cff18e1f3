"""What a recorded trace can know of a workload; the draws, the patience and the stream come from a scenario."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from sim.trace import Ints, shared_tokens
from sim.traces.lines import Mistakes
from sim.traces.prefix_tree import PrefixTree

__all__ = ["Calls", "Recorded", "assemble", "in_order"]


class Recorded(NamedTuple):
    """The recorded part of a :class:`sim.trace.Trace`: n requests in order of arrival, a tree of k shared prefixes.

    The columns keep the promises that ``sim.trace.check`` asks for. The recorded times are kept as they are (open
    loop), so no request follows another: an answer that is slower than the recorded one does not move the next call.
    """

    arrive: Ints  # (n,) ms since the first request, non-decreasing; cut to whole ms
    leaf: Ints  # (n,) node of the prefix tree that the prompt starts with, -1 = none
    fresh: Ints  # (n,) tokens after that node, shared with nobody as far as the file tells
    output: Ints  # (n,) tokens generated, thinking included
    thinking: Ints  # (n,) tokens of these that are thinking, as far as the file tells
    follows: Ints  # (n,) -1: the times are recorded
    think: Ints  # (n,) ms, 0
    parent: Ints  # (k,) parent node, smaller than the node itself; -1 = hangs from the root
    depth: Ints  # (k,) tokens from the root to the end of this node
    context: Ints  # (k,) 1 where an explicit cache may be cut, else 0
    recorded_cached: Ints  # (n,) tokens that the log itself says were read from a cache, -1 = unknown
    horizon: int  # ms; the last arrival + 1, so arrivals fall in [0, horizon); 0 without requests
    format: str  # the importer's name
    block_tokens: int  # the grain of the prefixes; 0 = the file tells of no shared prefix
    notes: tuple[str, ...] = ()  # what the importer assumed

    @property
    def requests(self) -> int:
        """Return n, the number of requests."""
        return len(self.arrive)

    @property
    def prompt(self) -> Ints:
        """Return the (n,) prompt lengths in tokens."""
        return self.fresh + shared_tokens(self.leaf, self.depth)


@dataclass(slots=True)
class Calls:
    """The rows of a file that were read without a mistake, in file order."""

    line: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)  # ms, from whatever origin
    prompt: list[int] = field(default_factory=list)
    output: list[int] = field(default_factory=list)
    thinking: list[int] = field(default_factory=list)
    cached: list[int] = field(default_factory=list)  # -1 = unknown
    shown: list[object] = field(default_factory=list)  # the time as the file writes it

    def add(
        self,
        line: int,
        time: int,
        prompt: int,
        output: int,
        *,
        thinking: int = 0,
        cached: int = -1,
        shown: object = None,
    ) -> None:
        """Append a row."""
        self.line.append(line)
        self.time.append(time)
        self.prompt.append(prompt)
        self.output.append(output)
        self.thinking.append(thinking)
        self.cached.append(cached)
        self.shown.append(shown)


def in_order(calls: Calls, mistakes: Mistakes, *, sort: bool) -> tuple[list[int], list[str]]:
    """Return the rows in order of time, equal times as they stand in the file, and a note if they had to be sorted.

    A row that is earlier than the row before it is a mistake unless ``sort``. The message has both times as the file
    writes them, so that a clock set back (a change of summer time) is seen by its hour.
    """
    back = [i for i in range(1, len(calls.time)) if calls.time[i] < calls.time[i - 1]]
    notes: list[str] = []
    if back and sort:
        notes = [f"sorted by time: {len(back)} rows were earlier than the row before"]
    elif back:
        i = back[0]
        what = f"earlier than the row before, {calls.shown[i - 1]} (rows like this: {len(back)})"
        mistakes.add(calls.line[i], "time", what, "rows in order of time, or --sort", str(calls.shown[i]))
    return sorted(range(len(calls.time)), key=calls.time.__getitem__), notes


def assemble(
    name: str, calls: Calls, order: list[int], leaf: list[int], tree: PrefixTree, block_tokens: int, notes: list[str]
) -> Recorded:
    """Return the record of rows that are right; ``order`` lists them by time, ``leaf`` is in file order."""

    def column(values: list[int]) -> Ints:
        return np.array(values, dtype=np.int64)[at]

    at = np.array(order, dtype=np.int64)
    n = len(order)
    arrive, leaves = column(calls.time), column(leaf)
    arrive = arrive - arrive[:1] if n else arrive
    return Recorded(
        arrive=arrive,
        leaf=leaves,
        fresh=column(calls.prompt) - shared_tokens(leaves, tree.depth),
        output=column(calls.output),
        thinking=column(calls.thinking),
        follows=np.full(n, -1, np.int64),
        think=np.zeros(n, np.int64),
        parent=tree.parent,
        depth=tree.depth,
        context=tree.context,
        recorded_cached=column(calls.cached),
        horizon=int(arrive[-1]) + 1 if n else 0,
        format=name,
        block_tokens=block_tokens if len(tree.depth) else 0,
        notes=tuple(notes if n else [*notes, "the file holds no request"]),
    )
