"""The best closed form that there is for what is tuned: the TTL of explicit caches under Poisson uses."""

from collections.abc import Sequence
from math import ceil, floor
from typing import NamedTuple

from sim.billing.best_ttl import Context, best_shared_ttl, hourly_premium
from sim.billing.tariff import Tariff
from sim.billing.upkeep import Number, Upkeep, fixed_over, sliding_over
from sim.decisions.tuning.space import Point, Space
from sim.errors import PriceMissing
from sim.scenario import Arm, Scenario
from sim.strategies.options import CacheOptions
from sim.units import HOUR, duration
from sim.workload.arrivals import Poisson
from sim.workload.sizes import mean, smallest
from sim.workload.spec import ContextSpec, WorkloadSpec

__all__ = ["Formula", "formula_of"]

_LAWS = {"never": fixed_over, "on_use": sliding_over}  # renew -> the upkeep of a TTL over a horizon


class Formula(NamedTuple):
    """What a closed form says is best, or why there is none."""

    point: Point | None
    text: str


def formula_of(base: Scenario, space: Space, model: str, best: Point) -> Formula:
    """Return the point whose TTL, and renewal, cost least by the closed form; what else is varied is as in ``best``.

    It holds for an explicit strategy whose contexts are each asked for by Poisson callers: see
    :mod:`sim.billing.best_ttl`, here over the scenario's own horizon, from empty.
    """
    arm = next(one for one in base.arms if one.name == space.strategy)
    if why := _unfit(arm, space, best):
        return Formula(None, f"no closed form: {why}")
    span = next(one.span for one in space.dimensions if one.key == "ttl")
    assert span is not None  # noqa: S101 - `_unfit` asked
    ends = [float(end) / HOUR for end in (span.lo, span.hi)]
    contexts = _contexts(arm.spec.workload)
    largest = int(max(one.tokens for one in contexts))
    try:
        tariff = Tariff.of(base.book, model, arm.spec.start_ms, arm.terms, tokens=largest)
        found = [_best(tariff, contexts, ends, law, arm.spec.workload.horizon) for law in _renewals(space, arm)]
    except PriceMissing as missing:
        return Formula(None, f"no closed form: {missing}")
    if _smallest(arm.spec.workload) < _minimum(base, arm, tariff.model):
        return Formula(None, "no closed form: some contexts are too small to be cached")
    _, hours, renew = min(found)
    law = "renewed by its uses" if renew == "on_use" else "never renewed"
    return Formula(
        _point(space, best, hours, renew), f"expected upkeep of caches under Poisson uses over the horizon, a TTL {law}"
    )


def _point(space: Space, best: Point, hours: float, renew: str) -> Point:
    """Return the best point with the formula's values: of a TTL, a renewal, and a cache from the first use on."""

    def value(number: int, text: str) -> str:
        one = space.dimensions[number]
        if one.key == "ttl" and one.span is not None:
            ms = min(max(round(hours * HOUR), ceil(one.span.lo)), floor(one.span.hi))
            return one.value(one.share(duration(ms)) or 0.0)
        wanted = {"renew": renew, "sightings": "1"}.get(one.key, text)
        return wanted if wanted in one.axis.values else text

    return tuple(value(number, text) for number, text in enumerate(best))


def _minimum(base: Scenario, arm: Arm, served: str) -> int:
    least = arm.service.explicit.minimum_tokens
    return base.book.facts[served].explicit_minimum.tokens if least is None else least


def _renewals(space: Space, arm: Arm) -> list[str]:
    varied = next((one.axis.values for one in space.dimensions if one.key == "renew"), None)
    if varied is not None:
        return [value for value in varied if value in _LAWS]
    assert isinstance(arm.strategy, CacheOptions)  # noqa: S101 - `_unfit` asked
    return ["on_use" if arm.strategy.renew.on_use else "never"]


def _best(
    tariff: Tariff, contexts: Sequence[Context], ends: Sequence[float], renew: str, horizon_ms: int
) -> tuple[float, float, str]:
    """Return the dollars an hour of the best TTL under one renewal, that TTL in hours, and the renewal."""
    horizon = horizon_ms / HOUR

    def law(rate: Number, ttl: Number) -> Upkeep:
        return _LAWS[renew](rate, ttl, horizon)

    hours = float(best_shared_ttl(tariff, contexts, ends[0], ends[1], law).hours)
    return hourly_premium(tariff, contexts, hours, law), hours, renew


def _unfit(arm: Arm, space: Space, best: Point) -> str | None:
    """Return why no closed form fits."""
    strategy, workload = arm.strategy, arm.spec.workload
    if arm.strategy.kind != "explicit" or not isinstance(strategy, CacheOptions):
        return f"there is none of kind {arm.strategy.kind}"
    ttl = [one for one in space.dimensions if one.key == "ttl" and one.span is not None]
    if not ttl or arm.spec.replay is not None:
        return "there is one of a range of the ttl only, under traffic that is made"
    renew = [text for one, text in zip(space.dimensions, best, strict=True) if one.key == "renew"]
    if strategy.renew.margin is not None and not renew:
        return "caches are renewed by a margin"
    if strategy.expire_at or strategy.delete is not None or strategy.contexts is not None:
        return "caches end otherwise than by their ttl, or not all contexts are cached"
    return _irregular(workload)


def _irregular(workload: WorkloadSpec) -> str | None:
    """Return what a workload has besides Poisson uses of single contexts."""
    shared = {name: one for name, one in workload.streams.items() if one.shares is not None}
    for name, stream in shared.items():
        if not isinstance(stream.arrivals, Poisson) or stream.session is not None:
            return f"the callers of {name} are not Poisson"
    asked = [workload.contexts[stream.context] for stream in shared.values() if stream.context is not None]
    if not asked:
        return "no stream shares a context"
    if not _contexts(workload):
        return "no stream that shares a context has any callers"
    if any(one.under is not None or one.replaced_every is not None or one.parts is not None for one in asked):
        return "contexts stand under others, are replaced, or hold more than text"
    return None


def _contexts(workload: WorkloadSpec) -> list[Context]:
    """Return every document that is shared, with its uses an hour and its tokens."""
    rates: dict[str, float] = {}
    for stream in workload.streams.values():
        if stream.shares is not None and isinstance(stream.arrivals, Poisson):
            rates[stream.shares] = rates.get(stream.shares, 0.0) + stream.arrivals.rate * workload.load
    return [one for name, rate in rates.items() if rate for one in _documents(workload.contexts[name], rate)]


def _documents(context: ContextSpec, rate: float) -> list[Context]:
    weights = [(place + 1) ** -context.zipf for place in range(context.count)]
    return [Context(rate * weight / sum(weights), mean(context.tokens)) for weight in weights]


def _smallest(workload: WorkloadSpec) -> int:
    """Return the tokens of the smallest context that is shared."""
    shared = {stream.shares for stream in workload.streams.values()} - {None}
    return min(smallest(workload.contexts[name].tokens) for name in shared if name is not None)
