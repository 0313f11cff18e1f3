"""The service's own cache: prefixes that earlier prompts left, each live for a while."""

import heapq

from sim.engines.laws.prefix import chance_of, hit_tokens
from sim.engines.physics import Physics
from sim.providers.rules import NOT_OFFERED, ImplicitRules
from sim.trace import Trace

__all__ = ["ImplicitCache"]


class ImplicitCache:
    """The prefix tree with the end of each node's life.

    A node is live on ``[stored, until)``. Prefixes that become available later wait in a heap and are stored, in the
    order of their instants, before anything is looked up at or after them; so the state at an instant depends on
    timestamps only.
    """

    def __init__(self, trace: Trace, physics: Physics, rules: ImplicitRules) -> None:
        self._rules = rules
        self._parent, self._depth = trace.parent.tolist(), trace.depth.tolist()
        self._leaf, self._luck = trace.leaf.tolist(), trace.luck.tolist()
        self._retention = physics.retention_ms.tolist()
        self._until = [0] * len(self._parent)
        self._coming: list[tuple[int, int, int]] = []  # (instant, request, end of its model)

    def hit(self, request: int, now: int, minimum: int) -> int:
        """Return the tokens of the request's prompt that the service reads from its cache now."""
        if minimum == NOT_OFFERED or self._leaf[request] < 0:
            return 0
        tokens = hit_tokens(self._live(self._leaf[request], now), self._rules.block, minimum)
        return tokens if tokens and self._luck[request] < chance_of(tokens, self._rules.steps) else 0

    def leave(self, request: int, available: int, cap: int) -> None:
        """Make the request's prefix available to others from an instant that is not past, until its model ends.

        ``cap`` is the end of the model that served the request, -1 = none: another model has another cache.
        """
        if self._leaf[request] >= 0 and not 0 <= cap <= available:
            heapq.heappush(self._coming, (available, request, cap))

    def _live(self, node: int, now: int) -> int:
        """Return the tokens of the longest live prefix that ends at the node or above it."""
        self._store_until(now)
        until, parent = self._until, self._parent
        best = -1
        while node >= 0:
            if now >= until[node]:
                if self._has_tokens(node):
                    best = -1  # a dead node hides the live ones below it
            elif best < 0:
                best = node
                if self._rules.refreshed:
                    break  # its ancestors were used whenever it was, so they live at least as long
            node = parent[node]
        return self._depth[best] if best >= 0 else 0

    def _has_tokens(self, node: int) -> bool:
        """Return whether the node adds tokens to its parent: one that adds none hides nothing."""
        above = self._parent[node]
        return int(self._depth[node]) > (self._depth[above] if above >= 0 else 0)

    def _store_until(self, now: int) -> None:
        while self._coming and self._coming[0][0] <= now:
            instant, request, cap = heapq.heappop(self._coming)
            until = instant + self._retention[request]
            self._store(self._leaf[request], instant, min(until, cap) if cap >= 0 else until)

    def _store(self, node: int, now: int, until: int) -> None:
        lives = self._until
        while node >= 0:
            if self._rules.refreshed:
                if lives[node] >= until:
                    return  # and so do its ancestors
                lives[node] = until
            elif now >= lives[node]:
                lives[node] = until
            node = self._parent[node]
