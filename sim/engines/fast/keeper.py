"""What the caller keeps and what its calls read: the explicit cache of a request's context, and the service's own."""

from sim.engines.fast import asked, explicit, implicit, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World
from sim.engines.laws.latency import first_token_ms
from sim.ledger import Source
from sim.strategies.decision import CacheUse

__all__ = ["cache", "cache_tokens", "epoch", "leave", "let_go", "read", "readable", "sight"]

_CREATE, _NO_CACHE = int(CacheUse.CREATE), int(CacheUse.NONE)
_NONE, _IMPLICIT, _EXPLICIT = int(Source.NONE), int(Source.IMPLICIT), int(Source.EXPLICIT)


@kernel
def epoch(w: World) -> int:
    """Return the epoch of the present instant; the clock never goes back."""
    at = w[0].epoch
    while at + 1 < len(tables.epochs(w)) and tables.epochs(w)[at + 1].since <= w[0].now:
        at += 1
    w[0].epoch = at
    return at


@kernel
def cache_tokens(w: World, node: int) -> int:
    """Return the tokens that a cache of the context holds, padding included; 0 = it may not be cached now."""
    at, depth = epoch(w), tables.nodes(w)[node].depth
    minimum = tables.epochs(w)[at].explicit_minimum
    if minimum < 0 or w[0].keeps == 0 or 0 <= tables.epochs(w)[at].explicit_maximum < depth:
        return 0
    if depth >= minimum:
        return depth
    return minimum if w[0].pad_from != -1 and depth >= w[0].pad_from else 0


@kernel
def sight(w: World, request: int) -> tuple[int, int]:
    """Choose the context whose cache the request would create; return its tokens and how often it was asked for."""
    target, chosen_tokens, chosen_seen = -1, 0, 0
    due = False
    node = asked.cut(w)[request]
    while node >= 0:
        tokens = cache_tokens(w, node)
        if tokens:
            seen = tables.nodes(w)[node].seen
            tables.nodes(w)[node].seen = seen + 1
            enough = seen + 1 >= w[0].sightings
            if target == -1 or (enough and not due):
                target, chosen_tokens, chosen_seen, due = node, tokens, seen, enough
        node = tables.nodes(w)[node].above
    tables.callers(w)[request].target = target
    return chosen_tokens, chosen_seen


@kernel
def cache(w: World, request: int, use: int) -> int:
    """Return the cache that the request may wait for and read, creating it where the use says so; -1 = none."""
    node, now = tables.callers(w)[request].target, w[0].now
    if use == _NO_CACHE or w[0].keeps == 0 or node < 0:
        return -1
    row = explicit.current(w, node, now)
    if row >= 0:
        return row
    tokens = cache_tokens(w, node) if use == _CREATE else 0
    if tokens == 0:
        return readable(w, request)
    at = epoch(w)
    ready = now + first_token_ms(tables.latency(w)[at], tokens, 0, asked.slowness(w)[request])
    row = explicit.create(w, node, request, tables.epochs(w)[at].model, tokens, now, ready, tables.epochs(w)[at].until)
    if w[0].delete_replaced and tables.nodes(w)[node].replaced >= now:
        tables.caches(w)[row].deleted = tables.nodes(w)[node].replaced
    return row


@kernel
def readable(w: World, request: int) -> int:
    """Return the deepest cache, from the request's target upwards, that its client believes can be read now."""
    node, now = tables.callers(w)[request].target, w[0].now
    while node >= 0 and w[0].keeps:
        row = explicit.current(w, node, now)
        if row >= 0 and now >= tables.caches(w)[row].ready:
            return row
        node = tables.nodes(w)[node].above
    return -1


@kernel
def read(w: World, request: int, row: int, minimum: int) -> tuple[int, int, int, int]:
    """Return (prompt, cached, cached audio, source) of a call whose service starts now."""
    prompt = asked.prompt(w)[request]
    if row >= 0:
        explicit.used(w, row, w[0].now)
        node, tokens = tables.caches(w)[row].node, tables.caches(w)[row].tokens
        return prompt + tokens - tables.nodes(w)[node].depth, tokens, tables.nodes(w)[node].audio, _EXPLICIT
    if w[0].implicit_met == 0:
        return prompt, 0, 0, _NONE
    tokens, audio = implicit.hit(w, request, w[0].now, minimum)
    return prompt, tokens, audio, _IMPLICIT if tokens else _NONE


@kernel
def leave(w: World, request: int, uncached: int, cached: int, at_once: int) -> None:
    """Let a call that starts now leave its prefix to the service: at once, or from its first token on."""
    if w[0].implicit_met:
        at = epoch(w)
        wait = 0 if at_once else first_token_ms(tables.latency(w)[at], uncached, cached, asked.slowness(w)[request])
        implicit.leave(w, request, w[0].now + wait, tables.epochs(w)[at].until)


@kernel
def let_go(w: World, row: int) -> None:
    """Undo a hold, if there was one."""
    if row >= 0:
        explicit.release(w, row, w[0].now)
