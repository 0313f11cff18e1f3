"""The service's own cache: prefixes that earlier prompts left, each live for a while in the cell that served it."""

from sim.engines.fast import asked, heap, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World
from sim.engines.laws.prefix import audio_of, chance_of, hit_tokens

__all__ = ["hit", "leave", "store_until"]


@kernel
def hit(w: World, request: int, now: int, minimum: int) -> tuple[int, int]:
    """Return the tokens of a request's prompt that its cell reads from its cache now, and those that are audio."""
    leaf = asked.leaf(w)[request]
    if minimum < 0 or leaf < 0:
        return 0, 0
    node = live(w, asked.cell(w)[request] * w[0].nodes, leaf, now)
    if node < 0:
        return 0, 0
    depth = tables.nodes(w)[node].depth
    tokens = hit_tokens(depth, w[0].implicit_block, minimum)
    if tokens == 0 or asked.luck(w)[request] >= chance_of(tokens, tables.steps(w)):
        return 0, 0
    return tokens, audio_of(tokens, depth, tables.nodes(w)[node].audio)


@kernel
def live(w: World, cell: int, node: int, now: int) -> int:
    """Return the longest live prefix at or above a node that was seen often enough in a cell, -1 = none."""
    store_until(w, now)
    best = -1
    while node >= 0:
        above = tables.nodes(w)[node].parent
        if now >= tables.cell_until(w)[cell + node] or tables.cell_seen(w)[cell + node] < w[0].implicit_sightings:
            if tables.nodes(w)[node].depth > (tables.nodes(w)[above].depth if above >= 0 else 0):
                best = -1
        elif best < 0:
            best = node
            if w[0].implicit_refreshed:
                break
        node = above
    return best


@kernel
def leave(w: World, request: int, available: int, cap: int) -> None:
    """Make a request's prefix available from an instant that is not past, until its model ends (-1 = never)."""
    if asked.leaf(w)[request] < 0 or 0 <= cap <= available:
        return
    w[0].coming = heap.push(tables.cell_coming(w), w[0].coming, available, request, cap, 0)


@kernel
def store_until(w: World, now: int) -> None:
    """Store every prefix that became available by an instant."""
    coming = tables.cell_coming(w)
    while w[0].coming > 0 and coming[0, 0] <= now:
        instant, request, cap = coming[0, 0], coming[0, 1], coming[0, 2]
        w[0].coming = heap.pop(coming, w[0].coming)
        until = instant + asked.retention(w)[request]
        if 0 <= cap < until:
            until = cap
        _store(w, asked.cell(w)[request] * w[0].nodes, asked.leaf(w)[request], instant, until)


@kernel
def _store(w: World, cell: int, node: int, now: int, until: int) -> None:
    counted = w[0].implicit_sightings > 1
    while node >= 0:
        ends = tables.cell_until(w)[cell + node]
        alive = now < ends
        tables.cell_seen(w)[cell + node] = tables.cell_seen(w)[cell + node] + 1 if alive else 1
        if w[0].implicit_refreshed:
            if ends >= until:
                if not counted:
                    return
            else:
                tables.cell_until(w)[cell + node] = until
        elif not alive:
            tables.cell_until(w)[cell + node] = until
        node = tables.nodes(w)[node].parent
