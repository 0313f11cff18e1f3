"""The shared prompt prefixes: which document a request asks about, and the prefix tree of the documents in use."""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np

from sim.trace import Ints
from sim.workload.media import Content, text
from sim.workload.sizes import Floats
from sim.workload.spec import ContextSpec

__all__ = [
    "NEVER",
    "Asked",
    "Forest",
    "Shelf",
    "Sizes",
    "chain",
    "contents",
    "find",
    "pick",
    "plant",
    "shelve",
    "survey",
    "version_ends",
]

NEVER = -1  # as an instant: it does not come

Sizes: TypeAlias = Callable[[str, int], Content]
"""Gives the content of the first n documents of a named population."""


class Asked(NamedTuple):
    """Documents of one population asked for, each at an instant, which decides its version."""

    document: Ints  # (n,) from 0
    time: Ints  # (n,) ms

    @classmethod
    def joined(cls, parts: list["Asked"]) -> "Asked":
        """Return several one after another."""
        return cls(*(np.concatenate([part[i] for part in parts]) for i in range(2))) if parts else cls(*[_NONE] * 2)

    def at(self, rows: Ints) -> "Asked":
        """Return some of them, by number."""
        return Asked(self.document[rows], self.time[rows])


class Forest(NamedTuple):
    """A prefix tree of documents, columns as in ``Trace``."""

    parent: Ints  # (k,)
    depth: Ints  # (k,) tokens
    audio_depth: Ints  # (k,) tokens of these that are audio
    context: Ints  # (k,) 1 + index of the population
    replaced: Ints  # (k,) ms at which its version ends, -1 = never

    @classmethod
    def joined(cls, parts: list["Forest"]) -> "Forest":
        """Return several as one; their nodes are numbered one part after another already."""
        return cls(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


_NONE = np.empty(0, np.int64)
_WAITING = 1 << 17  # uses that a survey collects before it drops what it knows


def chain(contexts: Mapping[str, ContextSpec], name: str) -> list[str]:
    """Return the populations from the root of the prompt down to one, itself included."""
    under = contexts[name].under
    return [*(chain(contexts, under) if under is not None else []), name]


def pick(spec: ContextSpec, u: Floats) -> Ints:
    """Return the (n,) documents asked for: ``j`` with probability ``(j + 1)^-zipf`` over the sum of all."""
    if spec.zipf == 0:
        return np.floor(u * spec.count).astype(np.int64)
    steps = np.cumsum(np.arange(1, spec.count + 1, dtype=float) ** -spec.zipf)
    return np.searchsorted(steps[:-1] / steps[-1], u, side="right").astype(np.int64)


def contents(contexts: Mapping[str, ContextSpec], name: str, documents: Ints, sizes: Sizes) -> Content:
    """Return the (n,) contents from the start of the prompt to the end of each document."""
    found = text(np.zeros(len(documents), np.int64))
    for population in reversed(chain(contexts, name)):
        documents = documents % contexts[population].count
        if len(documents):
            found = found.plus(sizes(population, int(documents.max()) + 1).at(documents))
    return found


def version_ends(contexts: Mapping[str, ContextSpec], name: str, times: Ints) -> Ints:
    """Return when the versions of (n,) times end: the first replacement of a document or of any above it, -1 = never.

    >>> spec = ContextSpec.model_validate({"tokens": 9, "replaced_every": "1s"})
    >>> version_ends({"docs": spec}, "docs", np.array([0, 999, 1000])).tolist()
    [1000, 1000, 2000]
    """
    periods = [contexts[population].replaced_every for population in chain(contexts, name)]
    ends = [(times // period + 1) * period for period in periods if period is not None]
    return np.min(ends, axis=0) if ends else np.full_like(times, NEVER)


def plant(
    contexts: Mapping[str, ContextSpec], asked: Mapping[str, Asked], sizes: Sizes
) -> tuple[Forest, dict[str, Ints]]:
    """Return the tree of the documents in use and, for each population, the (n,) nodes of what was asked for.

    A version of a document lives on ``[k x replaced_every, (k + 1) x replaced_every)``; a replaced document, or one
    whose parent is replaced, is another node. Nodes stand parents first, by population, document and version.
    """
    order = _parents_first(contexts)
    used, inverse, below = _used(contexts, asked, order)
    nodes: dict[str, Ints] = {}
    parts = [Forest(*[_NONE] * len(Forest._fields))]
    planted = 0
    parent_of: dict[str, Ints] = {}
    index = {name: i for i, name in enumerate(contexts)}
    for name in order:
        unique = used[name]
        count = len(unique.document)
        node = planted + inverse[name]
        own = len(asked[name].document) if name in asked else 0
        nodes[name] = node[:own]
        for child in below[name]:  # in the order in which _used appended them
            size = len(used[child].document)
            parent_of[child], own = node[own : own + size], own + size
        parent = parent_of.get(name, np.full(count, -1, np.int64))
        depth = contents(contexts, name, unique.document, sizes)
        mark = np.full(count, 1 + index[name], np.int64)
        parts.append(Forest(parent, *depth, mark, version_ends(contexts, name, unique.time)))
        planted += count
    return Forest.joined(parts), nodes


class Shelf(NamedTuple):
    """The documents of one population that are in use, as :func:`plant` numbers their nodes."""

    ranks: tuple[Callable[[Ints], Ints], ...]  # the ranks of labels, document then versions, among those in use
    last: int  # ms of the last use
    first: int  # the node of the first; the others follow


def survey(contexts: Mapping[str, ContextSpec], name: str, parts: Iterable[Asked]) -> Asked:
    """Return one use of each version of each document that is asked for, and never hold all that was asked."""
    kept, waiting, many = Asked.joined([]), list[Asked](), 0
    changing = any(contexts[population].replaced_every is not None for population in chain(contexts, name))
    for part in parts:
        if len(kept.document) == contexts[name].count and not changing:
            return kept  # every document is in use already
        waiting.append(part)
        many += len(part.document)
        if many > len(kept.document) + _WAITING:  # so what is known is sorted in again only as often as it doubles
            kept, waiting, many = _once(contexts, name, [kept, *waiting]), [], 0
    return _once(contexts, name, [kept, *waiting])


def _once(contexts: Mapping[str, ContextSpec], name: str, parts: list[Asked]) -> Asked:
    uses = Asked.joined(parts)
    return uses.at(_distinct(contexts, name, uses)[1])


def shelve(contexts: Mapping[str, ContextSpec], asked: Mapping[str, Asked]) -> dict[str, Shelf]:
    """Return where each population's documents in use stand in the tree that :func:`plant` makes of the same."""
    order = _parents_first(contexts)
    used = _used(contexts, asked, order)[0]
    first = np.cumsum([0, *(len(used[name].document) for name in order)]).tolist()
    return {name: _shelf(contexts, name, used[name], at) for name, at in zip(order, first, strict=False)}


def _shelf(contexts: Mapping[str, ContextSpec], name: str, used: Asked, first: int) -> Shelf:
    ranks = list[Callable[[Ints], Ints]]()

    def ranked(label: Ints) -> Ints:
        labels = label[np.diff(label, prepend=-1) > 0]  # what is used stands in the order of its labels
        ranks.append(labels.searchsorted)
        if len(labels) and _is_dense(labels):
            table = np.zeros(int(labels[-1]) + 1, np.int64)
            table[labels] = np.arange(len(labels))
            ranks[-1] = table.__getitem__
        return ranks[-1](label)

    last = int(np.max(used.time, initial=0))
    ranked(_labelled(contexts, name, used, last, ranked))
    return Shelf(tuple(ranks), last, first)


def find(contexts: Mapping[str, ContextSpec], name: str, shelf: Shelf, asked: Asked) -> Ints:
    """Return the (n,) nodes of what was asked for, all of it in use.

    The number of a document depends only on which others are in use, so some uses of each are as good as all.
    """
    levels = iter(shelf.ranks)

    def ranked(label: Ints) -> Ints:
        ranks = next(levels)
        return ranks(label)

    return shelf.first + ranked(_labelled(contexts, name, asked, shelf.last, ranked))


def _parents_first(contexts: Mapping[str, ContextSpec]) -> list[str]:
    return sorted(
        contexts, key=lambda name: len(chain(contexts, name))
    )  # stable, so the order of the file within a level


def _used(
    contexts: Mapping[str, ContextSpec], asked: Mapping[str, Asked], order: list[str]
) -> tuple[dict[str, Asked], dict[str, Ints], dict[str, list[str]]]:
    """Return each population's documents in use, once a version; which of them each use is; and its child populations.

    The uses of a population are what was asked for, then what stands above the documents in use of each child.
    """
    below: dict[str, list[str]] = {name: [child for child in order if contexts[child].under == name] for name in order}
    used: dict[str, Asked] = {}
    inverse: dict[str, Ints] = {}
    for name in reversed(order):
        parts = [asked[name]] if name in asked else []
        count = contexts[name].count
        parts += [Asked(used[child].document % count, used[child].time) for child in below[name]]
        uses = Asked.joined(parts)
        inverse[name], first = _distinct(contexts, name, uses)
        used[name] = uses.at(first)
    return used, inverse, below


def _distinct(contexts: Mapping[str, ContextSpec], name: str, uses: Asked) -> tuple[Ints, Ints]:
    """Return which distinct (document, versions of it and of all above it) each use is, and a use of each."""
    last = int(np.max(uses.time, initial=0))
    return _numbered(_labelled(contexts, name, uses, last, lambda label: _numbered(label)[0]))


def _labelled(
    contexts: Mapping[str, ContextSpec], name: str, uses: Asked, last: int, ranked: Callable[[Ints], Ints]
) -> Ints:
    """Return (n,) labels >= 0 that rise with document, then version from the root on; no use is after ``last``.

    ``ranked`` gives the ranks of labels among the distinct ones, so that no label grows out of its type.
    """
    label = uses.document
    for population in chain(contexts, name):
        period = contexts[population].replaced_every
        if period is not None:
            label = ranked(label) * (last // period + 1) + uses.time // period
    return label


def _is_dense(label: Ints) -> bool:
    return int(np.max(label, initial=0)) <= 4 * len(label) + 1024


def _numbered(label: Ints) -> tuple[Ints, Ints]:
    """Return the (n,) ranks of labels >= 0 among the distinct ones, and a position of each distinct one."""
    highest = int(label.max()) if len(label) else 0
    if not _is_dense(label):
        _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
        return inverse.astype(np.int64), first.astype(np.int64)
    # few possible labels: a table of them is ten times faster than sorting
    at = np.full(highest + 1, -1, np.int64)
    at[label] = np.arange(len(label))
    present = at >= 0
    return (np.cumsum(present) - 1)[label], at[present]
