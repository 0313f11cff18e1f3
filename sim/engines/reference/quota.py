"""What the service lets a project ask: the counters of its limits on one model, and which of them refuses a call."""

from collections.abc import Sequence

from sim.engines.reference.counters import Bucket, Day, Spend, Window
from sim.ledger import Limit
from sim.providers.rules import Epoch, QuotaRules

__all__ = ["Account", "Quota", "Quotas"]

_PASSES = -1, 0


class Account:
    """What calls of all tiers of a model share: the spend of ten minutes, and the calls in flight."""

    def __init__(self, rules: QuotaRules) -> None:
        self.spend = Spend(rules.spend) if rules.spend >= 0 else None
        self.concurrency, self.in_flight = rules.concurrency, 0

    def hold(self) -> bool:
        """Count a call in flight; return whether anybody must release it."""
        self.in_flight += 1
        return self.concurrency >= 0

    def release(self, _request: int) -> None:
        """Undo a hold."""
        self.in_flight -= 1


class Quota:
    """The counters of one tier on one model; a limit of -1 has none."""

    def __init__(self, rules: QuotaRules, account: Account, days: Sequence[int], now: int) -> None:
        self.account = account
        self._consume = rules.rejected_consume
        self._counters: list[tuple[int, Bucket | Window | Day | Spend]] = []  # in the order of Limit
        for kind, limit in ((Limit.REQUESTS, rules.requests), (Limit.TOKENS, rules.tokens)):
            if limit >= 0:
                counter = Window(limit, now) if rules.fixed_window else Bucket(limit, rules.burst_ms, now)
                self._counters.append((int(kind), counter))
        if rules.day >= 0:
            self._counters.append((int(Limit.DAY), Day(rules.day, days, now)))
        if account.spend is not None:
            self._counters.append((int(Limit.SPEND), account.spend))
        self.unlimited = not self._counters and account.concurrency < 0

    def ask(self, now: int, tokens: int) -> tuple[int, int]:
        """Let a call of so many input tokens pass and count it: (-1, 0); or refuse it: (Limit, retry delay in ms).

        Of several limits that refuse it, the one that does so for longest is named. Calls in flight end when they end:
        their limit names no time, and is taken for 1 ms in that comparison.
        """
        limit, delay = _PASSES
        for kind, counter in self._counters:
            wait = counter.wait(now, tokens if kind == Limit.TOKENS else 1)
            if wait > delay:
                limit, delay = kind, wait
        if 0 <= self.account.concurrency <= self.account.in_flight and delay < 1:
            limit, delay = int(Limit.CONCURRENCY), 0
        if limit < 0 or self._consume:
            for kind, counter in self._counters:
                counter.take(tokens if kind == Limit.TOKENS else 1)
        return limit, delay


class Quotas:
    """The quotas of the model that serves now: of standard and flex calls, and of the priority tier."""

    def __init__(self, days: Sequence[int]) -> None:
        self._days = days
        self._model = -1
        self._tiers: tuple[Quota, Quota] | None = None

    def of(self, epoch: Epoch, now: int, *, priority: bool = False) -> Quota:
        """Return the quota of a tier; another model has counters of its own, which begin at its first call."""
        if self._tiers is None or epoch.model != self._model:
            account = Account(epoch.quota)
            rules = epoch.quota, epoch.priority
            usual, first = (Quota(rule, account, self._days, now) for rule in rules)
            self._model, self._tiers = epoch.model, (usual, first)
        return self._tiers[priority]
