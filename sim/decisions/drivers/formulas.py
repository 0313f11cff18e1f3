"""What a run is expected to cost by closed forms, for scenarios so plain that there are some, and why not for others.

One stream on one population of documents, its sizes in one price tier, and nobody's luck but the arrivals':

=============  ======================================================================================================
strategy       shape
=============  ======================================================================================================
``none``       any arrivals
``explicit``   Poisson arrivals, a fixed TTL or one that uses renew, over the horizon from empty (O12, O13, O20); or
               all requests at one instant, which is one life
``batch``      any arrivals, nothing hit in a batch
``hybrid``     all requests at one instant, in one job whose cache outlives it and is kept for its TTL
=============  ======================================================================================================

Left out are times to create, failures and resubmissions, which a simulation counts.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

from sim.billing.closed_forms import cost_batch, cost_explicit, cost_hybrid, cost_none
from sim.billing.tariff import Tariff, Use
from sim.billing.upkeep import Number, fixed_over, one_life, sliding_over
from sim.errors import PriceMissing
from sim.scenario import Arm, Scenario
from sim.strategies.options import BatchOptions, CacheOptions
from sim.units import HOUR
from sim.workload.arrivals import Poisson, Schedule
from sim.workload.laws import EmpiricalSize
from sim.workload.rules import expected_requests
from sim.workload.sizes import mean, smallest
from sim.workload.spec import ContextSpec, StreamSpec

__all__ = ["NoForm", "expected_cost"]


class NoForm(ValueError):
    """There is no closed form; the message says why."""


def expected_cost(scenario: Scenario, strategy: str, model: str) -> float:
    """Return the expected dollars of a run; raise :class:`NoForm` where no closed form is known.

    >>> from sim.scenario import load
    >>> guide = load("guide-1-document-analysis-stochastic")  # 20 questions of 50,500 tokens at $1.25 a million
    >>> round(expected_cost(guide, "none", "gemini-2.5-pro"), 4)
    1.2625
    """
    arm = next(arm for arm in scenario.arms if arm.name == strategy)
    if arm.strategy.kind not in _FORMS:
        raise NoForm(f"none of kind {arm.strategy.kind}: what it hits or where it goes is chance")
    stream, context = _plain(arm)
    use = Use(*(Fraction(_mean(law)) for law in (context.tokens, stream.fresh, stream.output)))
    try:
        tariff = Tariff.of(
            scenario.book, model, arm.spec.start_ms, arm.terms, tokens=int(use.prefix), fresh=int(use.fresh)
        )
        cost = sum(uses * _FORMS[arm.strategy.kind](scenario, arm, tariff, use, uses) for uses in _uses(arm, context))
    except PriceMissing as missing:
        raise NoForm(str(missing)) from None
    return float(cost)


def _mean(law: Any) -> float:
    return mean(law) if isinstance(law, EmpiricalSize) else _remembered(law)  # which has lists, and a sum of few


@lru_cache(maxsize=64)
def _remembered(law: Any) -> float:
    """Return the mean of a law: that of a wide lognormal one takes 0.1 s, and a map has hundreds of points."""
    return mean(law)


def _plain(arm: Arm) -> tuple[StreamSpec, ContextSpec]:
    """Return the stream and its context; raise where the traffic is more than that."""
    workload = arm.spec.workload
    if arm.spec.replay is not None or len(workload.streams) != 1:
        raise NoForm("it is of one made stream")
    stream = next(iter(workload.streams.values()))
    if stream.session is not None or stream.shares is None or stream.parts is not None or stream.thinking is not None:
        raise NoForm("it is of single requests of text that share a prefix")
    context = workload.contexts[stream.shares]
    if context.under is not None or context.replaced_every is not None or context.parts is not None:
        raise NoForm("its contexts stand under others, are replaced, or hold more than text")
    if not isinstance(stream.arrivals, Poisson) and not _at_once(stream):
        raise NoForm("the requests come neither as a Poisson process nor at one instant")
    return stream, context


def _at_once(stream: StreamSpec) -> bool:
    arrivals = stream.arrivals
    return isinstance(arrivals, Schedule) and len(arrivals.at) == 1 and arrivals.over == 0


def _uses(arm: Arm, context: ContextSpec) -> Iterator[Number]:
    """Yield the expected requests of each document."""
    every = expected_requests(arm.spec.workload)
    weights = [(place + 1) ** -context.zipf for place in range(context.count)]
    for weight in weights:
        yield every * weight / sum(weights)


def _none(_scenario: Scenario, _arm: Arm, tariff: Tariff, use: Use, _uses: Number) -> Number:
    return cost_none(tariff, use)


def _explicit(scenario: Scenario, arm: Arm, tariff: Tariff, use: Use, uses: Number) -> Number:
    strategy, stream = arm.strategy, next(iter(arm.spec.workload.streams.values()))
    assert isinstance(strategy, CacheOptions)  # noqa: S101 - of its kind
    _is_cached(scenario, arm, tariff)
    if strategy.expire_at or strategy.delete is not None or (strategy.sightings or 1) > 1:
        raise NoForm("caches end otherwise than by their ttl, or are not created by the first use")
    ttl = Fraction(strategy.ttl, HOUR)
    if _at_once(stream):
        return cost_explicit(tariff, use, one_life(Fraction(uses), ttl))
    if strategy.renew.margin is not None:
        raise NoForm("caches are renewed by a margin")
    horizon = Fraction(arm.spec.workload.horizon, HOUR)
    over = sliding_over if strategy.renew.on_use else fixed_over
    return cost_explicit(tariff, use, over(float(uses / horizon), float(ttl), float(horizon)))


def _batch(_scenario: Scenario, arm: Arm, tariff: Tariff, use: Use, _uses: Number) -> Number:
    _misses_in_batch(arm)
    return cost_batch(tariff, use)


def _hybrid(scenario: Scenario, arm: Arm, tariff: Tariff, use: Use, uses: Number) -> Number:
    strategy, stream = arm.strategy, next(iter(arm.spec.workload.streams.values()))
    assert isinstance(strategy, CacheOptions)  # noqa: S101 - of its kind
    assert isinstance(strategy, BatchOptions)  # noqa: S101 - the same
    _is_cached(scenario, arm, tariff)
    if not _at_once(stream) or strategy.size is not None or (strategy.sightings or 1) > 1:
        raise NoForm("it is of requests that all come at once, and go in one job")
    if strategy.expire_at or strategy.renew.on_use or strategy.renew.margin is not None or not _is_kept(strategy):
        raise NoForm('it is of caches that are kept for their ttl: renew = "never", delete = "never"')
    ttl = Fraction(strategy.ttl, HOUR)
    if _longest_hours(arm) + float((strategy.window or 0) / HOUR) >= ttl:
        raise NoForm("a job may outlive its cache")
    return cost_hybrid(tariff, use, Fraction(uses), ttl)


def _is_kept(strategy: CacheOptions) -> bool:
    """Return whether caches are left alone until they expire."""
    return strategy.delete is not None and strategy.delete.idle is None and not strategy.delete.last_use


def _longest_hours(arm: Arm) -> float:
    """Return how long a job takes at most; infinite where that is chance."""
    components = [one for one in arm.service.batch.turnaround.components if one.weight > 0]
    certain = all(one.median is not None and one.sigma == 0 for one in components)
    return max((one.median or 0) / HOUR for one in components) if certain else float("inf")


def _is_cached(scenario: Scenario, arm: Arm, tariff: Tariff) -> None:
    """Raise where a prompt is too small to be cached."""
    context = next(iter(arm.spec.workload.contexts.values()))
    least = arm.service.explicit.minimum_tokens
    needed = scenario.book.facts[tariff.model].explicit_minimum.tokens if least is None else least
    if smallest(context.tokens) < needed:
        raise NoForm("some contexts are too small to be cached")


def _misses_in_batch(arm: Arm) -> None:
    implicit = arm.service.implicit
    if implicit.on and implicit.in_batch != "none" and any(step.chance > 0 for step in implicit.hit_chance):
        raise NoForm("what a batch hits in the service's own cache is chance")


_FORMS: dict[str, Callable[[Scenario, Arm, Tariff, Use, Number], Number]] = {
    "none": _none,
    "explicit": _explicit,
    "batch": _batch,
    "hybrid": _hybrid,
}
