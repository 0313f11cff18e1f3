"""Conversations: turns whose prompts repeat all that was said before, and the chain of prefixes that they leave."""

from typing import NamedTuple

import numpy as np

from sim.trace import Ints
from sim.workload.media import Content

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
    fresh: Content  # (n,) after the leaf
    parent: Ints  # (k,)
    depth: Content  # (k,) from the root; nodes stand as the turns that end at them


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


def said(turns: Turns, question: Content, answer: Ints) -> Content:
    """Return the content of a session up to each turn: all earlier questions and answers, and this question.

    >>> question = Content(np.array([10, 20, 30]), np.array([0, 5, 0]))
    >>> grown = said(unfold(np.array([3])), question, np.array([1, 2, 3]))
    >>> grown.tokens.tolist(), grown.audio.tolist()
    ([10, 31, 63], [0, 5, 5])
    """
    before = np.where(turns.number > 0, np.concatenate(([0], answer[:-1])) if len(answer) else answer, 0)
    first = question.at(turns.starts)
    return Content(
        since_first(turns, question.tokens + before) + first.tokens,
        since_first(turns, question.audio) + first.audio,
    )


def hang(turns: Turns, grown: Content, leaf: Ints, above: Content, node: int) -> Chain:
    """Return the prefixes that sessions leave, below the context nodes that they start from.

    A turn that another follows ends at a node of its own, the whole prompt; the last turn ends at its predecessor's
    node with the rest as ``fresh``. So the longest common prefix of two turns is exactly the earlier one's prompt.

    Parameters
    ----------
    turns
        The (n,) turns.
    grown
        The (n,) content of the session up to each turn, from :func:`said`.
    leaf, above
        (n,) node of the session's context, -1 = none, and its content from the root.
    node
        The number of the first node to add.
    """
    kept = turns.left > 0
    own = np.where(kept, node + np.cumsum(kept) - 1, -1)
    first = turns.number == 0
    before = np.maximum(turns.follows, 0)  # of a first turn unused
    parent = np.where(first, leaf, own[before]) if len(own) else leaf
    prompt = above.plus(grown)

    def rest(whole: Ints, start: Ints) -> Ints:
        """Return what comes after the node that a last turn hangs from."""
        return np.where(kept, 0, whole - np.where(first, start, whole[before])) if len(own) else whole

    fresh = Content(rest(prompt.tokens, above.tokens), rest(prompt.audio, above.audio))
    return Chain(np.where(kept, own, parent), fresh, parent[kept], prompt.at(kept))
