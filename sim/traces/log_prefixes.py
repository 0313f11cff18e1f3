"""Which prefixes the calls of a log share, from what the log says of contexts and sessions."""

from typing import NamedTuple

import numpy as np

from sim.traces.lines import Mistakes
from sim.traces.prefix_tree import PrefixTree, branching
from sim.traces.recorded import Calls

__all__ = ["Shared", "prefixes"]


class Shared(NamedTuple):
    """What a row says of the prefix that its prompt shares."""

    context: str  # "" = none
    context_tokens: int | None  # None = not told
    session: str  # "" = none


def prefixes(
    calls: Calls, order: list[int], shared: list[Shared], mistakes: Mistakes
) -> tuple[PrefixTree, list[int], list[str]]:
    """Return the tree of a log, the node of each row (in file order), and what was assumed.

    A context hangs from the root. A prompt of a session hangs from the session's former prompt if it is at least as
    long and in the same context, else from its context; it is a node itself, so that the next one can extend it.
    """
    depths, guessed = _context_depths(calls, shared, mistakes)
    parent: list[int] = []
    depth: list[int] = []
    nodes: dict[str, int] = {}  # context -> node
    last: dict[str, tuple[str, int]] = {}  # session -> (context, node of its former prompt)
    leaf = [-1] * len(order)
    for row in order:
        said, prompt = shared[row], calls.prompt[row]
        node = -1
        if depths.get(said.context):
            node = nodes.setdefault(said.context, len(parent))
            if node == len(parent):
                parent.append(-1)
                depth.append(depths[said.context])
        if said.session:
            context, former = last.get(said.session, ("", -1))
            node = former if former >= 0 and context == said.context and depth[former] <= prompt else node
            parent.append(node)
            depth.append(prompt)
            node = len(parent) - 1
            last[said.session] = (said.context, node)
        leaf[row] = node
    tree = _tree(parent, depth, leaf, set(nodes.values()))
    return tree, leaf, _notes(guessed, sessions=len(last))


def _context_depths(calls: Calls, shared: list[Shared], mistakes: Mistakes) -> tuple[dict[str, int], int]:
    """Return the tokens of each context, and how many of them are only bounded by their smallest prompt."""
    told: dict[str, tuple[int, int]] = {}  # context -> (tokens, line)
    smallest: dict[str, tuple[int, int]] = {}
    for said, prompt, line in zip(shared, calls.prompt, calls.line, strict=True):
        if not said.context:
            continue
        smallest[said.context] = min(smallest.get(said.context, (prompt, line)), (prompt, line))
        if said.context_tokens is not None:
            tokens, first = told.setdefault(said.context, (said.context_tokens, line))
            if tokens != said.context_tokens:
                what = f"context {said.context!r} has {tokens} tokens in line {first}"
                mistakes.add(line, "context_tokens", what, "one length a context", said.context_tokens)
    for name, (tokens, first) in told.items():
        prompt, line = smallest[name]
        if prompt < tokens:
            what = f"the prompt is shorter than its context {name!r}, which has {tokens} tokens in line {first}"
            mistakes.add(line, "context_id", what, "a prompt that holds its context", prompt)
    depths = {name: told[name][0] if name in told else prompt for name, (prompt, _) in smallest.items()}
    return depths, len(smallest.keys() - told.keys())


def _tree(parent: list[int], depth: list[int], leaf: list[int], declared: set[int]) -> PrefixTree:
    """Return the tree; a cache may be cut at the declared contexts or, where there is none, at the branching nodes."""
    parents, size = np.array(parent, dtype=np.int64), len(parent)
    ends = np.array([node for node in leaf if node >= 0], dtype=np.int64)
    if declared:
        context = np.isin(np.arange(size), list(declared)).astype(np.int64)
    else:
        context = branching(parents, np.bincount(ends, minlength=size))
    return PrefixTree(parents, np.array(depth, dtype=np.int64), context)


def _notes(guessed: int, sessions: int) -> list[str]:
    notes: list[str] = []
    if guessed:
        text = "{} contexts without context_tokens are taken to be as long as their smallest prompt: an upper bound"
        notes.append(text.format(guessed))
    if sessions:
        notes.append(
            "a prompt that is at least as long as its session's former one is taken to extend it: an upper bound"
        )
        notes.append("calls arrive at their recorded times: a faster or slower answer does not move the next one")
    return notes
