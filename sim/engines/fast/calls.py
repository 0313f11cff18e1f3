"""The calls of a request in real time: refused or served, given up or answered, and made again after a back-off."""

from sim.engines.fast import asked, clock, explicit, keeper, metered, quota, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.ends import deadline, finish, settle
from sim.engines.fast.memory import World
from sim.engines.laws import backoff as law
from sim.engines.laws.draws import redraw
from sim.engines.laws.latency import answer_ms
from sim.engines.laws.order import BEGIN, END, Kind
from sim.engines.laws.weather import inside, slowed
from sim.ledger import Limit, Mode, Status
from sim.strategies.decision import CacheUse

__all__ = ["begin", "created", "plain", "serve", "start"]

_STANDARD, _FLEX, _PRIORITY = int(Mode.STANDARD), int(Mode.FLEX), int(Mode.PRIORITY)
_OVERLOAD, _SHED, _OVERFLOW = int(Limit.OVERLOAD), int(Limit.SHED), int(Limit.PRIORITY)
_FORBIDDEN, _TIMEOUT = int(Limit.FORBIDDEN), int(Limit.TIMEOUT)
_DONE, _FAILED = int(Status.DONE), int(Status.FAILED)
_NO_CACHE = int(CacheUse.NONE)
_RELEASE, _ASK, _RETRY, _SERVE = Kind.RELEASE, Kind.ASK, Kind.RETRY, Kind.SERVE
_FOREVER = 1 << 62
_FLEX_DRAW = 1 << 16


@kernel
def begin(w: World, request: int, mode: int, use: int) -> None:
    """Start on a request that has its slot."""
    c = tables.callers(w)
    c[request].mode, c[request].use, c[request].tries = mode, use, 0
    start(w, request)


@kernel
def start(w: World, request: int) -> None:
    """Send a request now, or once the cache that it wants is there, unless its caller has given it up."""
    now, until = w[0].now, deadline(w, request)
    if now >= until:
        finish(w, request, _FAILED, now)
        return
    row = keeper.cache(w, request, tables.callers(w)[request].use)
    if row >= 0 and now < tables.caches(w)[row].ready:
        if w[0].wait or tables.caches(w)[row].creator == request:
            clock.push(w, min(tables.caches(w)[row].ready, until), BEGIN, request, _ASK, clock.CREATED, 0)
            return
        row = keeper.readable(w, request)
    _call(w, request, row)


@kernel
def created(w: World, request: int) -> None:
    """Go on when the cache is there that a request has waited for, or when its caller gives it up."""
    if w[0].now >= deadline(w, request):
        finish(w, request, _FAILED, w[0].now)
    else:
        _call(w, request, keeper.readable(w, request))


@kernel
def _call(w: World, request: int, row: int) -> None:
    """Make a call, unless it is of the flex tier and too late for that."""
    c = tables.callers(w)
    now = w[0].now
    if c[request].mode == _FLEX and now >= _flex_until(w, request):
        after(w, request, now, 0)
        return
    c[request].calls += 1
    c[request].tries += 1
    metered.attempts(w)[request] += 1
    tokens = asked.prompt(w)[request]
    if row >= 0:
        tokens += tables.caches(w)[row].tokens - tables.nodes(w)[tables.caches(w)[row].node].depth
    mode = _admit(w, request, tokens)
    if mode < 0:
        return
    ends = _ends(w, request)
    if mode == _FLEX:
        begins = now + asked.queueing(w)[request]
        if begins >= ends:
            _give_up(w, request, ends)
        else:
            c[request].named, c[request].ends = row, ends
            clock.push(w, begins, BEGIN, request, _SERVE, clock.SERVED, 0)
    else:
        serve(w, request, row, mode, ends)


@kernel
def _admit(w: World, request: int, tokens: int) -> int:
    """Return the tier that serves a call, -1 if it is refused."""
    c = tables.callers(w)
    now, mode, at = w[0].now, c[request].mode, keeper.epoch(w)
    if mode == _PRIORITY:
        limit, delay = quota.ask(w, quota.tier(w, at, 1), tokens)
        if limit < 0:
            return mode
        quota.refuse(w, _OVERFLOW, now)
        mode = _STANDARD
    number, shed = c[request].calls, asked.shed(w)[request]
    if inside(tables.overload(w), now) and redraw(shed, number) < w[0].overload_shed:
        limit, delay = _OVERLOAD, 0
    elif mode == _FLEX and redraw(shed, number + _FLEX_DRAW) < w[0].flex_shed:
        limit, delay = _SHED, 0
    else:
        limit, delay = quota.ask(w, quota.tier(w, at, 0), tokens)
    if limit < 0:
        return mode
    quota.refuse(w, limit, now)
    known = now + w[0].refusal_ms
    if limit in (_OVERLOAD, _SHED):
        metered.shed(w)[request] += 1
        after(w, request, known, delay)
    else:
        metered.throttled(w)[request] += 1
        metered.backoff(w)[request] += after(w, request, known, delay) - now
    return -1


@kernel
def serve(w: World, request: int, row: int, mode: int, ends: int) -> None:
    """Start the service of a call: read what is cached, meter it, and know when the answer is there."""
    now = w[0].now
    if row >= 0 and not explicit.readable(w, row, now):
        _forbid(w, request, row)
        return
    at, slowness = keeper.epoch(w), asked.slowness(w)[request]
    if mode != _PRIORITY and inside(tables.overload(w), now):
        slowness = slowed(slowness, w[0].overload_slowdown)
    done, prompt, cached, audio, source = _answer(w, request, row, slowness)
    output = asked.output(w)[request]
    place = quota.tier(w, at, 0)
    quota.spend(w, place, mode, prompt, cached, output)
    if quota.hold(w, place):
        clock.push(w, min(done, ends), END, request, _RELEASE, clock.RELEASED, tables.epochs(w)[at].model)
    if done > ends:
        _give_up(w, request, ends)
        return
    _write(w, request, mode, prompt, cached, audio, source)
    finish(w, request, _DONE, done)


@kernel
def plain(w: World, request: int, use: int) -> None:
    """Send a standard request where nothing can refuse it: no quota, no overload, no slots, no time-outs."""
    now, row = w[0].now, keeper.cache(w, request, use)
    if row >= 0 and now < tables.caches(w)[row].ready:
        if w[0].wait or tables.caches(w)[row].creator == request:
            tables.callers(w)[request].use = use
            clock.push(w, tables.caches(w)[row].ready, BEGIN, request, _ASK, clock.CREATED, 0)
            return
        row = keeper.readable(w, request)
    metered.attempts(w)[request] += 1
    if row >= 0 and not explicit.readable(w, row, now):
        tables.callers(w)[request].use = use
        tables.callers(w)[request].tries = 1
        _forbid(w, request, row)
        return
    done, prompt, cached, audio, source = _answer(w, request, row, asked.slowness(w)[request])
    _write(w, request, _STANDARD, prompt, cached, audio, source)
    settle(w, request, _DONE, done)


@kernel
def _answer(w: World, request: int, row: int, slowness: int) -> tuple[int, int, int, int, int]:
    """Return when the answer of a call comes whose service starts now, and what the call reads; leave its prefix."""
    at = keeper.epoch(w)
    prompt, cached, audio, source = keeper.read(w, request, row, tables.epochs(w)[at].implicit_minimum)
    took = answer_ms(tables.latency(w)[at], prompt - cached, cached, asked.output(w)[request], slowness)
    if row < 0:
        keeper.leave(w, request, prompt - cached, cached, w[0].implicit_at_arrival)
    return w[0].now + took, prompt, cached, audio, source


@kernel
def _write(w: World, request: int, mode: int, prompt: int, cached: int, audio: int, source: int) -> None:
    """Write down a call that is answered."""
    metered.model(w)[request], metered.mode(w)[request] = tables.epochs(w)[w[0].epoch].model, mode
    metered.prompt(w)[request], metered.cached(w)[request] = prompt, cached
    metered.cached_audio(w)[request], metered.source(w)[request] = audio, source
    metered.sent(w)[request], metered.job(w)[request] = w[0].now, -1


@kernel
def _forbid(w: World, request: int, row: int) -> None:
    """Tell a client that its cache is over: it creates another or goes without, from the second time on the latter."""
    c = tables.callers(w)
    now, node = w[0].now, tables.caches(w)[row].node
    metered.forbidden(w)[request] += 1
    quota.refuse(w, _FORBIDDEN, now)
    if tables.nodes(w)[node].cache == row:
        tables.nodes(w)[node].cache = -1
    if c[request].refused or w[0].recreate == 0:
        c[request].use = _NO_CACHE
    c[request].refused = 1
    c[request].tries -= 1
    clock.push(w, now + w[0].refusal_ms, BEGIN, request, _RETRY, clock.RETRIED, 0)


@kernel
def _give_up(w: World, request: int, at: int) -> None:
    """Hang up on a call that takes too long."""
    metered.timeouts(w)[request] += 1
    quota.refuse(w, _TIMEOUT, at)
    after(w, request, at, 0)


@kernel
def after(w: World, request: int, known: int, delay: int) -> int:
    """Decide what follows a call of which it is known at an instant that it failed; return when that comes."""
    c = tables.callers(w)
    tries, until, number = c[request].tries, deadline(w, request), c[request].calls
    if c[request].mode == _FLEX:
        over = tries >= w[0].flex_attempts or known >= _flex_until(w, request)
        if over and w[0].flex_fallback:
            c[request].mode, c[request].tries = _STANDARD, 0
            return _again(w, request, min(known, until))
    else:
        over = tries >= tables.client(w)[0].attempts
    if not over:
        longest = law.ceiling(tables.client(w)[0].base, tables.client(w)[0].factor, tables.client(w)[0].cap, tries)
        wait = law.sleep(longest, tables.client(w)[0].jitter, redraw(asked.jitter(w)[request], number))
        if tables.client(w)[0].honour:
            wait = max(wait, delay)
        then = known + wait
        if c[request].mode == _FLEX:
            then = min(then, _flex_until(w, request))
        if then < until:
            return _again(w, request, then)
    end = min(known, until)
    finish(w, request, _FAILED, end)
    return end


@kernel
def _again(w: World, request: int, at: int) -> int:
    clock.push(w, at, BEGIN, request, _RETRY, clock.RETRIED, 0)
    return at


@kernel
def _ends(w: World, request: int) -> int:
    """Return when the caller hangs up on a call that is made now."""
    timeout, until = tables.client(w)[0].timeout, deadline(w, request)
    if tables.callers(w)[request].mode == _FLEX:
        timeout, until = w[0].flex_timeout, min(until, _flex_until(w, request))
    return until if timeout < 0 else min(until, w[0].now + timeout)


@kernel
def _flex_until(w: World, request: int) -> int:
    """Return when the flex tier is given up for a request, so that its deadline can still be kept."""
    if w[0].flex_guard < 0:
        return _FOREVER
    return metered.arrived(w)[request] + asked.patience(w)[request] - w[0].flex_guard
