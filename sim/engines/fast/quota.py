"""What the service lets a project ask: the counters of its limits on one model, and which of them refuses a call."""

from typing import Any

from sim.engines.fast import tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World
from sim.engines.laws import quota as law
from sim.ledger import Limit

__all__ = ["ask", "hold", "refuse", "spend", "tier"]

_REQUESTS, _TOKENS, _DAY = int(Limit.REQUESTS), int(Limit.TOKENS), int(Limit.DAY)
_SPEND, _CONCURRENCY = int(Limit.SPEND), int(Limit.CONCURRENCY)


@kernel
def refuse(w: World, limit: int, now: int) -> None:
    """Count a call that a limit refused."""
    tables.refusals(w)[now // 3_600_000, limit] += 1


@kernel
def tier(w: World, at: int, which: int) -> int:
    """Return the place of an epoch's quota of a tier (0 standard, 1 priority); another model counts anew."""
    place, now = 2 * at + which, w[0].now
    u = tables.counters(w)
    if u[0].model != tables.epochs(w)[at].model:
        for each in range(2):
            rules = tables.quota(w)[2 * at + each]
            u[each].model, u[each].filled = tables.epochs(w)[at].model, now
            u[each].requests_level = rules.requests * rules.burst_ms
            u[each].tokens_level = rules.tokens * rules.burst_ms
            u[each].requests_used, u[each].tokens_used, u[each].window = 0, 0, law.window_of(now)
            u[each].day_used, u[each].midnight = 0, law.next_midnight(tables.days(w), now)
            u[each].spent, u[each].first, u[each].in_flight = 0, u[each].last, 0
    return place


@kernel
def ask(w: World, place: int, tokens: int) -> tuple[int, int]:
    """Let a call pass and count it: (-1, 0); or refuse it: (Limit, retry delay in ms)."""
    rules, u = tables.quota(w)[place], tables.counters(w)[place % 2]
    every, account = tables.quota(w)[place - place % 2], tables.counters(w)[0]  # what calls of all tiers share
    _pass_time(w, place)
    limit, delay = -1, 0
    wait = _minute_wait(rules, rules.requests, u.requests_used, u.requests_level, 1, w[0].now)
    if wait > delay:
        limit, delay = _REQUESTS, wait
    wait = _minute_wait(rules, rules.tokens, u.tokens_used, u.tokens_level, tokens, w[0].now)
    if wait > delay:
        limit, delay = _TOKENS, wait
    wait = u.midnight - w[0].now if 0 <= rules.day <= u.day_used else 0
    if wait > delay:
        limit, delay = _DAY, wait
    wait = _spend_wait(w, every.spend, w[0].now) if every.spend >= 0 else 0
    if wait > delay:
        limit, delay = _SPEND, wait
    if 0 <= every.concurrency <= account.in_flight and delay < 1:
        limit, delay = _CONCURRENCY, 0
    if limit < 0 or rules.rejected_consume:
        u.requests_used += 1
        u.tokens_used += tokens
        u.day_used += 1
        u.requests_level = max(0, u.requests_level - law.SCALE)
        u.tokens_level = max(0, u.tokens_level - tokens * law.SCALE)
    return limit, delay


@kernel
def _pass_time(w: World, place: int) -> None:
    """Bring the counters of a quota to the present."""
    rules, u, now = tables.quota(w)[place], tables.counters(w)[place % 2], w[0].now
    if rules.fixed_window:
        if law.window_of(now) != u.window:
            u.requests_used, u.tokens_used, u.window = 0, 0, law.window_of(now)
    else:
        passed, burst = now - u.filled, rules.burst_ms
        u.filled = now
        if rules.requests >= 0:
            u.requests_level = law.refilled(u.requests_level, rules.requests, burst, passed)
        if rules.tokens >= 0:
            u.tokens_level = law.refilled(u.tokens_level, rules.tokens, burst, passed)
    if rules.day >= 0 and now >= u.midnight:
        u.day_used, u.midnight = 0, law.next_midnight(tables.days(w), now)


@kernel
def _minute_wait(rules: Any, limit: int, used: int, level: int, cost: int, now: int) -> int:
    """Return how long a limit a minute makes a call wait; a minute for what can never pass, as a caller is told."""
    if limit < 0:
        return 0
    if rules.fixed_window:
        wait = law.wait_window(used, limit, cost, now)
    else:
        wait = law.wait_bucket(level, limit, rules.burst_ms, cost)
    return wait if wait >= 0 else law.MINUTE


@kernel
def _spend_wait(w: World, limit: int, now: int) -> int:
    calls, u = tables.spends(w), tables.counters(w)[0]
    while u.first < u.last and calls[u.first, 0] + law.SPEND_WINDOW <= now:
        u.spent -= calls[u.first, 1]
        u.first += 1
    left, wait = u.spent, 0
    for position in range(u.first, u.last):
        if left < limit:
            break
        left, wait = left - calls[position, 1], calls[position, 0] + law.SPEND_WINDOW - now
    return wait


@kernel
def spend(w: World, place: int, mode: int, prompt: int, cached: int, output: int) -> None:
    """Count a call's weight against the spend limit from its start on."""
    if tables.quota(w)[place].spend >= 0:
        calls, u = tables.spends(w), tables.counters(w)[0]
        weight = law.spend_of(tables.weights(w)[place * 4 + mode], prompt, cached, output)
        calls[u.last, 0], calls[u.last, 1] = w[0].now, weight
        u.last += 1
        u.spent += weight


@kernel
def hold(w: World, place: int) -> bool:
    """Count a call in flight; return whether anybody must release it."""
    tables.counters(w)[0].in_flight += 1
    return tables.quota(w)[place].concurrency >= 0
