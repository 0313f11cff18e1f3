"""Naive twins of what refuses: a quota that remembers every call, a cache as its client and its service see it.

They are written from the rules and share nothing with the engine: no law is copied, and every count is made anew.
"""

from fractions import Fraction
from itertools import pairwise

from sim.ledger import Limit

MINUTE, DAY, TEN_MINUTES = 60_000, 86_400_000, 600_000
FOREVER = float("inf")
NO_CHANCE = 60_000  # ms that a call waits which can never pass


class QuotaTwin:
    """Every call that used something up, ever; each question goes through all of them."""

    def __init__(self, days, weighed, flying):
        self.days, self.used = days, []
        self.weighed, self.flying = weighed, flying  # of the calls of all tiers

    def ask(self, quota, now, tokens):
        """Return None if a call passes, else its (limit, retry delay)."""
        waits = [
            (Limit.REQUESTS, self.rate_wait(quota, quota.requests, now, 1, lambda _: 1)),
            (Limit.TOKENS, self.rate_wait(quota, quota.tokens, now, tokens, lambda call: call[1])),
            (Limit.DAY, self.day_wait(quota.day, now)),
            (Limit.SPEND, self.spend_wait(quota.spend, now)),
            (Limit.CONCURRENCY, int(0 <= quota.concurrency <= len(self.flying))),
        ]
        longest = max(wait for _, wait in waits)
        if not longest or quota.rejected_consume:
            self.used.append((now, tokens))
        if not longest:
            return None
        limit = next(limit for limit, wait in waits if wait == longest)
        return limit, 0 if limit == Limit.CONCURRENCY else longest

    def rate_wait(self, quota, limit, now, cost, cost_of):
        """Return the ms until a limit a minute has room."""
        if limit < 0:
            return 0
        if quota.fixed_window:
            count = sum(cost_of(call) for call in self.used if call[0] // MINUTE == now // MINUTE)
            if cost > limit:
                return NO_CHANCE
            return 0 if count + cost <= limit else (now // MINUTE + 1) * MINUTE - now
        rate, depth = Fraction(limit, MINUTE), Fraction(limit * quota.burst_ms, MINUTE)
        level, at = depth, 0
        for call in [*self.used, None]:
            until = now if call is None else call[0]
            level, at = min(depth, level + rate * (until - at)), until
            level = level if call is None else max(Fraction(0), level - cost_of(call))
        if level >= cost:
            return 0
        missing = (cost - level) / rate
        return NO_CHANCE if cost > depth else -(-missing.numerator // missing.denominator)

    def day_wait(self, limit, now):
        """Return the ms until the next midnight if the day's calls are used up."""
        since, until = self.day_of(now)
        count = sum(since <= call[0] < until for call in self.used)
        return until - now if 0 <= limit <= count else 0

    def day_of(self, now):
        """Return the midnights around an instant; after the last that is known they come every 24 hours."""
        last = self.days[-1] if self.days else 0
        later = [last + number * DAY for number in range(1, 2 + max(0, now - last) // DAY)]
        nights = [-FOREVER, *(self.days or [0]), *later]
        return next((a, b) for a, b in pairwise(nights) if a <= now < b)

    def spend_wait(self, limit, now):
        """Return the ms until the weight of the last ten minutes is below its limit."""
        over = sorted({0, *(at + TEN_MINUTES - now for at, _ in self.weighed if at + TEN_MINUTES > now)})
        left = {wait: sum(w for at, w in self.weighed if at + TEN_MINUTES > now + wait) for wait in over}
        return 0 if limit < 0 else next((wait for wait in over if left[wait] < limit), NO_CHANCE)


class CacheTwin:
    """One explicit cache, brought forward from renewal to renewal; ``lag`` is how late its client's own clock is."""

    def __init__(self, plan, node, tokens, born, ready, ends, creator):
        self.plan, self.node, self.tokens, self.born, self.ready, self.creator = (
            plan,
            node,
            tokens,
            born,
            ready,
            creator,
        )
        self.model_end, self.replaced = ends
        self.expiry = next((at for at in plan.expire_at if at > born), born + plan.ttl)
        self.lag = ready - born if plan.own_clock else 0
        self.used, self.asked, self.held, self.reads, self.deleted = ready, born, 0, 0, FOREVER

    def released(self):
        """Return when its client ends it: deleted, replaced or idle."""
        idle = self.used + self.plan.idle if self.plan.idle >= 0 and not self.held else FOREVER
        return min(idle, self.deleted, self.outdated())

    def outdated(self):
        """Return when its client deletes it because its contents are replaced."""
        return self.replaced if self.plan.delete_replaced and self.replaced >= self.born else FOREVER

    def why_over(self, now):
        """Return why it is over for whoever has held it: a cache that is held is not idle."""
        ends = {
            "its model is gone": self.model_end,
            "it has expired": self.expiry,
            "its contents were replaced": self.outdated(),
            "its context's last use is over": self.deleted,
        }
        return next(why for why, end in ends.items() if now >= end)

    def bring_to(self, now):
        """Let its keeper do what falls before now."""
        margin = self.plan.renew_margin
        while 0 < margin < self.plan.ttl:
            at = self.expiry + self.lag - margin
            if at >= min(now, self.expiry, self.model_end, self.released()):
                break
            self.expiry, self.lag = at + self.plan.ttl, 0

    def believed(self, now):
        """Return whether its client takes it for alive; its keeper has gone on until this question."""
        self.bring_to(now)
        self.asked = max(self.asked, now - 1)
        return now < min(self.expiry + self.lag, self.released())

    def readable(self, now):
        """Return whether it can be read in truth."""
        self.bring_to(now)
        return self.ready <= now < self.end()

    def end(self):
        """Return when it ends in truth, as things stand."""
        return min(self.expiry, self.released(), self.model_end)

    def read(self, now):
        """Read it, which renews it if the plan says so."""
        self.bring_to(now)
        self.reads, self.used = self.reads + 1, max(self.used, now)
        if self.plan.renew_on_use:
            self.expiry, self.lag = max(self.expiry, now + self.plan.ttl), 0

    def hold(self, now):
        """Let a job need it."""
        self.bring_to(now)
        self.held += 1

    def release(self, now):
        """Let such a job go, which is a use."""
        self.bring_to(now)
        self.held, self.used = self.held - 1, max(self.used, now)

    def close(self, last_arrival):
        """Return (until, committed) when nothing more is asked of it."""
        self.bring_to(max(last_arrival, self.asked, self.used) + 1)
        until = self.end()
        own = self.plan.shorten and self.released() <= until
        return until, until if own else max(self.expiry, until)
