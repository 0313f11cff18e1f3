"""What a reader must know before trusting the figures of a run: its warnings, each one line."""

from collections.abc import Collection, Iterator, Sequence

from sim.engines.laws.latency import SLOWNESS_ONE, first_token_ms
from sim.experiments.mismatches import mismatches
from sim.experiments.pairs import Pair, horizon_ms
from sim.experiments.survey import Survey
from sim.providers.rules import NOT_OFFERED, UNLIMITED, Epoch
from sim.scenario import Scenario
from sim.scenario.uncertain import told as told_of
from sim.strategies import routed
from sim.strategies.decision import NEVER
from sim.traces import Recorded
from sim.units import duration
from sim.workload.spec import has_parts

__all__ = ["caveats"]


def caveats(
    scenario: Scenario,
    pairs: Sequence[Pair],
    recorded: Recorded | None,
    found: Survey,
    created: Collection[tuple[str, str]],
) -> tuple[str, ...]:
    """Return the warnings of a run.

    ``created`` are the (strategy, model) pairs that created an explicit cache in any replication.
    """
    told = [*told_of(scenario.uncertain), *(str(problem) for problem in scenario.book.warnings)]
    until = max(arm.spec.start_ms + horizon_ms(arm.spec, recorded) for arm in scenario.arms)
    if (stale := scenario.book.stale(until)) is not None:
        told.append(stale)
    if recorded is not None:
        told += recorded.notes
    if scenario.spec.close == "cut":
        told.append("the run was cut at its horizon: what is pending is unbilled, so strategies are not ranked")
    if any(arm.terms.free_tier for arm in scenario.arms):
        told.append(
            "the free tier costs nothing, and its prompts and answers may be used to improve the provider's products"
        )
    for arm in scenario.arms:
        told += mismatches(arm, scenario.book.platforms.get(arm.spec.project.platform))
    for pair in pairs:
        epochs = _met(pair, horizon_ms(pair.arm.spec, recorded))
        models = list(dict.fromkeys(pair.rules.models[epoch.model] for epoch in epochs))
        told += _unpublished(scenario, pair, models)
        told += _slower_than_its_timeout(pair, epochs)
        told += _thinking_twice(scenario, pair, models, found)
        told += _another_generation(scenario, pair, models)
        told += _too_large(pair, found)
        told += _overspending(pair, found)
        told += _uncached(pair, found, created)
        told += _over_before_it_is_read(pair, epochs, found)
    return tuple(dict.fromkeys(told))


def _met(pair: Pair, horizon: int) -> list[Epoch]:
    """Return the epochs of a pair in which requests arrive."""
    return [epoch for epoch in pair.rules.epochs if epoch.since < horizon]


def _unpublished(scenario: Scenario, pair: Pair, models: Sequence[str]) -> Iterator[str]:
    """Yield which limits of a tier nobody publishes; what the project states itself is no question."""
    project, limits = pair.arm.spec.project, scenario.book.limits
    if project.tier is None:
        return
    own = project.limits
    stated = None not in (own.requests_per_minute, own.tokens_per_minute, own.requests_per_day)
    for model in models:
        if (model, project.tier) not in limits.quotas and not stated:
            yield f"no limits of {model} in tier {project.tier} are published: its calls are taken to be unlimited"
        family = scenario.book.facts[model].family
        if pair.plan.batch and (family, project.tier) not in limits.enqueued and own.enqueued_tokens is None:
            yield f"no limit of enqueued tokens of {model} in tier {project.tier} is published: it is taken for none"


def _slower_than_its_timeout(pair: Pair, epochs: Sequence[Epoch]) -> Iterator[str]:
    """Yield which models answer later than a client waits, as a rule."""
    if pair.plan.batch and not isinstance(pair.arm.strategy, routed.Spec):
        return
    timeouts = [pair.rules.client.timeout] + ([pair.plan.flex.timeout] if pair.plan.flex else [])
    for timeout in timeouts:
        for epoch in epochs:
            if timeout != NEVER and timeout * 10**6 < epoch.latency.base_ns:
                yield (
                    f"{pair.arm.name} gives up a call after {duration(timeout)}, and the first token of "
                    f"{pair.rules.models[epoch.model]} takes {duration(epoch.latency.base_ns // 10**6)}"
                )


def _thinking_twice(scenario: Scenario, pair: Pair, models: Sequence[str], found: Survey) -> Iterator[str]:
    """Yield which models think twice: before the first token, as their latency was measured, and as a stream says."""
    streams = found.thinking.get(pair.workload, ())
    if not streams or pair.arm.service.latency is not None:
        return
    for model in models:
        latency = scenario.book.facts[model].latency
        if latency is not None and latency.includes_thinking:
            yield (
                f"thinking is counted twice: the time to the first token of {model} includes it, and the streams tell "
                f"it apart ({', '.join(streams)}); give [service.latency] without thinking"
            )


def _another_generation(scenario: Scenario, pair: Pair, models: Sequence[str]) -> Iterator[str]:
    """Yield where a successor counts the tokens of pictures, film and sound in another way."""
    first, *others = ((model, scenario.book.facts[model].generation) for model in models)
    for model, generation in others:
        if has_parts(pair.arm.spec.workload) and generation != first[1]:
            yield (
                f"{model} counts the tokens of pictures, film and sound otherwise than {first[0]}, which it succeeds "
                f"during the run: they are counted as {first[0]} does"
            )


def _too_large(pair: Pair, found: Survey) -> Iterator[str]:
    for excess in found.excess.get((pair.arm.name, pair.model), ()):
        who = f"{pair.arm.name} on {pair.model}: {excess.requests:,} of {found.requests[pair.workload]:,} requests are"
        if excess.most == 0 and not excess.batch:
            yield f"{who} always refused: the bucket of {excess.limit} never holds one, its burst is too short"
        else:
            end = "no job can hold them" if excess.batch else "their calls are always refused"
            yield f"{who} above the limit of {excess.most:,} {excess.limit} by themselves: {end}"


def _overspending(pair: Pair, found: Survey) -> Iterator[str]:
    """Yield how many calls cost more than may be spent: what one costs is counted once it is let through."""
    if requests := found.overspent.get((pair.arm.name, pair.model), 0):
        yield (
            f"{pair.arm.name} on {pair.model}: {requests:,} of {found.requests[pair.workload]:,} requests cost more by "
            "themselves, uncached, than may be spent in ten minutes: a call is let through where less was spent before "
            "it, and goes beyond the limit"
        )


def _uncached(pair: Pair, found: Survey, created: Collection[tuple[str, str]]) -> Iterator[str]:
    """Yield why a strategy with explicit caches has none, unless it asks for none, or nothing was asked for."""
    if pair.plan.cache is None or pair.plan.cache.populations == 0 or not found.requests[pair.workload]:
        return
    if why := _never_cached(pair, found.contexts.get(pair.workload)):
        yield f"{pair.arm.name} on {pair.model} caches nothing: {why}"
    elif (pair.arm.name, pair.model) not in created:
        yield f"{pair.arm.name} on {pair.model} created no cache: no request was due to create one"


def _never_cached(pair: Pair, contexts: tuple[int, int] | None) -> str:
    """Return why no explicit cache can be created for a pair, or nothing."""
    if contexts is None:
        return "no context is shared"
    shortest, longest = contexts
    offering = [epoch for epoch in pair.rules.epochs if epoch.explicit_minimum != NOT_OFFERED]
    padded = pair.plan.cache is not None and pair.plan.cache.pad_from != NEVER
    least = min((epoch.explicit_minimum for epoch in offering), default=0)
    if not padded and longest < least:
        return f"the longest context has {longest:,} tokens, and the least that can be cached is {least:,}"
    most = max((epoch.explicit_maximum for epoch in offering), default=UNLIMITED)
    if most != UNLIMITED and shortest > most:
        return f"the shortest context has {shortest:,} tokens, and the most that can be cached is {most:,}"
    return ""


def _over_before_it_is_read(pair: Pair, epochs: Sequence[Epoch], found: Survey) -> Iterator[str]:
    """Yield where the ttl is so short that not even the shortest cache can be read."""
    cache, contexts = pair.plan.cache, found.contexts.get(pair.workload)
    if cache is None or cache.populations == 0 or cache.expire_at or cache.renew_margin > 0:
        return
    if contexts is None or _never_cached(pair, contexts):
        return
    for epoch in epochs:
        tokens = max(contexts[0], epoch.explicit_minimum)
        creation = first_token_ms(epoch.latency, tokens, 0, SLOWNESS_ONE)
        if epoch.explicit_minimum != NOT_OFFERED and cache.ttl <= creation:
            yield (
                f"{pair.arm.name} on {pair.model}: its ttl of {duration(cache.ttl)} is not longer than the "
                f"{duration(creation)} that a cache of {tokens:,} tokens takes: every request creates a cache that it "
                "cannot read"
            )
            return
