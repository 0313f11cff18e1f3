"""From a project's tier and its own limits to the quotas that an engine counts with."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple, TypeAlias

from sim.providers.facts import ModelFacts
from sim.providers.limits import PublishedLimits
from sim.providers.prices import PICO
from sim.providers.project import Limits, ProjectOptions
from sim.providers.rules import NO_QUOTA, UNLIMITED, QuotaRules, SpendLaw

__all__ = ["Allowance", "Weights", "allowance", "priority_rules", "quota_rules"]

ByMode: TypeAlias = tuple[SpendLaw, SpendLaw, SpendLaw, SpendLaw]
Weights: TypeAlias = Callable[[str, int], ByMode]  # of a model at an instant


class Allowance(NamedTuple):
    """What a project may ask of one model, -1 = no limit."""

    requests: int  # a minute
    tokens: int  # of input a minute
    day: int  # requests a day
    spend: int  # picodollars in ten minutes
    concurrency: int  # calls in flight
    enqueued: int  # tokens of all pending and running batch jobs


def allowance(published: PublishedLimits, facts: ModelFacts, project: ProjectOptions) -> Allowance:
    """Return the limits of a model: the project's own, else those of its tier, else none."""
    tier, own = project.tier or "", project.limits
    quota = published.quotas.get((facts.model, tier))
    calls, tokens, day = quota.limits if quota else (None, None, None)
    batch = published.enqueued.get((facts.family, tier))
    return Allowance(
        requests=_laid(own.requests_per_minute, calls),
        tokens=_laid(own.tokens_per_minute, tokens),
        day=_laid(own.requests_per_day, day),
        spend=_laid(_pico(own.usd_per_10_minutes), _pico(published.spend_of(tier))),
        concurrency=_laid(own.concurrent_requests, None),
        enqueued=_laid(own.enqueued_tokens, batch.tokens if batch else None),
    )


def _laid(own: int | str | None, published: int | str | None) -> int:
    """Return a limit laid over another; a word takes it away.

    >>> _laid(None, 150), _laid(7, 150), _laid("unlimited", 150), _laid(None, None)
    (150, 7, -1, -1)
    """
    limit = published if own is None else own
    return limit if isinstance(limit, int) else UNLIMITED


def _pico(usd: Fraction | float | str | None) -> int | str | None:
    """Return a limit of spend in whole picodollars; a float is taken as it was written, 0.1 for a tenth.

    >>> _pico(0.1), _pico(Fraction(200)), _pico("unlimited")
    (100000000000, 200000000000000, 'unlimited')
    """
    return usd if usd is None or isinstance(usd, str) else max(1, int(Fraction(str(usd)) * PICO))


def quota_rules(allowed: Allowance, limits: Limits, weights: ByMode | None) -> QuotaRules:
    """Return the quota of standard and flex calls; ``weights`` matter only where spend is limited."""
    rules = QuotaRules(
        requests=allowed.requests,
        tokens=allowed.tokens,
        day=allowed.day,
        spend=allowed.spend,
        concurrency=allowed.concurrency,
        fixed_window=int(limits.window == "fixed"),
        burst_ms=limits.burst,
        rejected_consume=int(limits.rejected == "consume"),
    )
    return rules if weights is None else rules._replace(weights=weights)


def priority_rules(quota: QuotaRules, share: Fraction | None) -> QuotaRules:
    """Return the quota of calls of the priority tier: a share of each count, rounded down, and at least one.

    >>> quota = QuotaRules(requests=150, tokens=2_000_000, day=UNLIMITED, spend=9, concurrency=5)
    >>> priority_rules(quota, Fraction(3, 10))[:5]
    (45, 600000, -1, -1, -1)
    """
    if share is None:
        return NO_QUOTA

    def part(limit: int) -> int:
        return UNLIMITED if limit == UNLIMITED else max(1, int(limit * share))

    return QuotaRules(
        requests=part(quota.requests),
        tokens=part(quota.tokens),
        day=part(quota.day),
        fixed_window=quota.fixed_window,
        burst_ms=quota.burst_ms,
        rejected_consume=quota.rejected_consume,
    )
