"""The service's own cache: prefixes that earlier prompts left, each live for a while in the cell that served it."""

import heapq

from sim.engines.laws.prefix import audio_of, chance_of, hit_tokens
from sim.engines.physics import Physics
from sim.providers.rules import NOT_OFFERED, ImplicitRules
from sim.trace import Trace

__all__ = ["ImplicitCache"]

_MISS = 0, 0


class Cell:
    """The prefix tree of one serving cell: the end of each node's life, and how often it was left in this life."""

    def __init__(self, nodes: int) -> None:
        self.until = [0] * nodes  # ms
        self.seen = [0] * nodes
        self.coming: list[tuple[int, int, int]] = []  # (instant, request, end of its model)


class ImplicitCache:
    """The cells, each with the prefixes that requests left there.

    A node is live on ``[stored, until)``. Prefixes that become available later wait in a heap and are stored, in the
    order of their instants, before anything is looked up at or after them; so the state at an instant depends on
    timestamps only.
    """

    def __init__(self, trace: Trace, physics: Physics, rules: ImplicitRules) -> None:
        self._rules = rules
        self._parent, self._depth = trace.parent.tolist(), trace.depth.tolist()
        self._audio = trace.audio_depth.tolist()
        self._leaf, self._luck = trace.leaf.tolist(), trace.luck.tolist()
        self._retention, self._cell = physics.retention_ms.tolist(), physics.cell.tolist()
        self._cells: dict[int, Cell] = {}

    def hit(self, request: int, now: int, minimum: int) -> tuple[int, int]:
        """Return the tokens of a request's prompt that its cell reads from its cache now, and those that are audio."""
        if minimum == NOT_OFFERED or self._leaf[request] < 0:
            return _MISS
        node = self._live(self._cell_of(request), self._leaf[request], now)
        if node < 0:
            return _MISS
        depth = self._depth[node]
        tokens = hit_tokens(depth, self._rules.block, minimum)
        if not tokens or self._luck[request] >= chance_of(tokens, self._rules.steps):
            return _MISS
        return tokens, audio_of(tokens, depth, self._audio[node])

    def leave(self, request: int, available: int, cap: int) -> None:
        """Make the request's prefix available to others from an instant that is not past, until its model ends.

        ``cap`` is the end of the model that served the request, -1 = none: another model has another cache.
        """
        if self._leaf[request] >= 0 and not 0 <= cap <= available:
            heapq.heappush(self._cell_of(request).coming, (available, request, cap))

    def _cell_of(self, request: int) -> Cell:
        number = self._cell[request]
        found = self._cells.get(number)
        if found is None:
            found = self._cells[number] = Cell(len(self._parent))
        return found

    def _live(self, cell: Cell, node: int, now: int) -> int:
        """Return the longest live prefix that ends at the node or above it and was seen often enough, -1 = none."""
        self._store_until(cell, now)
        until, seen, parent, sightings = cell.until, cell.seen, self._parent, self._rules.sightings
        best = -1
        while node >= 0:
            if now >= until[node] or seen[node] < sightings:
                if self._has_tokens(node):
                    best = -1  # a dead node hides the live ones below it
            elif best < 0:
                best = node
                if self._rules.refreshed:
                    break  # its ancestors were used whenever it was, so they live as long and were seen as often
            node = parent[node]
        return best

    def _has_tokens(self, node: int) -> bool:
        """Return whether the node adds tokens to its parent: one that adds none hides nothing."""
        above = self._parent[node]
        return int(self._depth[node]) > (self._depth[above] if above >= 0 else 0)

    def _store_until(self, cell: Cell, now: int) -> None:
        coming = cell.coming
        while coming and coming[0][0] <= now:
            instant, request, cap = heapq.heappop(coming)
            until = instant + self._retention[request]
            self._store(cell, self._leaf[request], instant, min(until, cap) if cap >= 0 else until)

    def _store(self, cell: Cell, node: int, now: int, until: int) -> None:
        lives, seen, counted = cell.until, cell.seen, self._rules.sightings > 1
        while node >= 0:
            alive = now < lives[node]
            seen[node] = seen[node] + 1 if alive else 1
            if self._rules.refreshed:
                if lives[node] >= until:
                    if not counted:
                        return  # and so do its ancestors, and nobody counts how often
                else:
                    lives[node] = until
            elif not alive:
                lives[node] = until
            node = self._parent[node]
