"""Conversations: turns whose prompts repeat all that was said before, and the chain of prefixes that they leave."""

from typing import NamedTuple

import numpy as np

from sim.trace import Ints

__all__ = ["Chain", "Turns", "hang", "said", "since_first", "unfold"]


class Turns(NamedTuple):
    """The turns of sessions, flattened session by session."""

    session: Ints  # (n,) index of the session
    number: Ints  # (n,) turn, from 0
    left: Ints  # (n,) turns of the session that come after this one

    @property
    def follows(self) -> Ints:
        """Return the (n,) position of the turn before, -1 for a first one."""
        return np.where(self.number > 0, np.arange(len(self.number)) - 1, -1)

    @property
    def starts(self) -> Ints:
        """Return the (n,) position of the first turn of each turn's session."""
        return np.arange(len(self.number)) - self.number


class Chain(NamedTuple):
    """Where each turn's prompt ends in the prefix tree, and the nodes that the sessions add to it."""

    leaf: Ints  # (n,)
    fresh: Ints  # (n,) tokens after the leaf
    parent: Ints  # (k,)
    depth: Ints  # (k,) tokens


def unfold(counts: Ints) -> Turns:
    """Return the turns of (s,) sessions of ``counts`` turns each.

    >>> unfold(np.array([2, 1])).number.tolist()
    [0, 1, 0]
    """
    session = np.repeat(np.arange(len(counts)), counts)
    ends = np.cumsum(counts)
    number = np.arange(len(session)) - (ends - counts)[session]
    return Turns(session, number, counts[session] - 1 - number)


def since_first(turns: Turns, steps: Ints) -> Ints:
    """Return the (n,) sums of the steps of a session up to each turn; a first turn's own step does not count."""
    sums = np.cumsum(steps)
    return sums - sums[turns.starts]


def said(turns: Turns, question: Ints, answer: Ints) -> Ints:
    """Return the (n,) tokens of a session up to each turn: all earlier questions and answers, and this question.

    >>> said(unfold(np.array([3])), np.array([10, 20, 30]), np.array([1, 2, 3])).tolist()
    [10, 31, 63]
    """
    before = np.where(turns.number > 0, np.concatenate(([0], answer[:-1])) if len(answer) else answer, 0)
    return since_first(turns, question + before) + question[turns.starts]


def hang(turns: Turns, grown: Ints, leaf: Ints, depth: Ints, node: int) -> Chain:
    """Return the prefixes that sessions leave, below the context nodes that they start from.

    A turn that another follows ends at a node of its own, the whole prompt; the last turn ends at its predecessor's
    node with the rest as ``fresh``. So the longest common prefix of two turns is exactly the earlier one's prompt.

    Parameters
    ----------
    turns
        The (n,) turns.
    grown
        (n,) tokens of the session up to each turn, from :func:`said`.
    leaf, depth
        (n,) node of the session's context, -1 = none, and its tokens from the root.
    node
        The number of the first node to add.
    """
    kept = turns.left > 0
    own = np.where(kept, node + np.cumsum(kept) - 1, -1)
    first = turns.number == 0
    before = np.maximum(turns.follows, 0)  # of a first turn unused
    parent = np.where(first, leaf, own[before]) if len(own) else leaf
    prompt = depth + grown
    rest = prompt - np.where(first, depth, prompt[before]) if len(own) else grown
    return Chain(np.where(kept, own, parent), np.where(kept, 0, rest), parent[kept], prompt[kept])
