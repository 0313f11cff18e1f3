"""From a book's facts and a service's parameters to the integer rules that an engine plays by."""

from collections.abc import Mapping
from typing import Any

from sim.errors import NotOffered
from sim.providers.client import ClientOptions
from sim.providers.facts import ModelFacts
from sim.providers.prices import Book
from sim.providers.rules import (
    CHANCE_ONE,
    NOT_OFFERED,
    SHARE_ONE,
    BatchRules,
    Epoch,
    ImplicitRules,
    LatencyLaw,
    Rules,
)
from sim.providers.service import Latency, Service

__all__ = ["merged", "resolve"]

_IN_BATCH = {"none": 0, "parallel": 1, "sequential": 2}
_NEVER = -1
_NO_LIMITS = ClientOptions()


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return one table laid over another key by key; lists and values are replaced whole.

    >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    result = dict(below)
    for key, value in above.items():
        inner = result.get(key)
        result[key] = merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return result


def resolve(book: Book, model: str, start_ms: int, service: Service, client: ClientOptions = _NO_LIMITS) -> Rules:
    """Return the rules for a model from an instant on, through every redirect and every change of a minimum.

    ``start_ms`` counts from the Unix epoch; a latency given in the service holds for every model, else each model has
    its own.
    """
    serving = _serving(book, model, start_ms, redirects=service.redirects)
    models = tuple(dict.fromkeys(name for _, _, name in serving))
    epochs = [
        epoch
        for since, until, name in serving
        for epoch in _epochs(book, name, models, since, until, start_ms, service)
    ]
    implicit, batch = service.implicit, service.batch
    steps = sorted((step.from_tokens, round(step.chance * CHANCE_ONE)) for step in implicit.hit_chance)
    return Rules(
        models=models,
        start_ms=start_ms,
        epochs=tuple(epochs),
        implicit=ImplicitRules(
            on=implicit.on,
            block=implicit.block_tokens,
            at_arrival=implicit.available == "arrival",
            refreshed=implicit.retention.refreshed,
            steps=tuple(steps),
            in_batch=_IN_BATCH[implicit.in_batch],
        ),
        batch=BatchRules(
            pending_share=round(batch.turnaround.pending_share * SHARE_ONE),
            expires_after=batch.expires_after,
            failure=round(batch.failure_chance * CHANCE_ONE),
            job_failure=round(batch.job_failure_chance * CHANCE_ONE),
        ),
        concurrency=_NEVER if client.concurrency is None else client.concurrency,
    )


def _serving(book: Book, model: str, start_ms: int, *, redirects: bool) -> list[tuple[int, int | None, str]]:
    """Return (since, until, model that serves), in ms since the Unix epoch, from the start on."""
    if not redirects:
        return [(start_ms, None, model)]
    spans: list[tuple[int, int | None, str]] = []
    since, name = start_ms, book.served(model, start_ms)
    while (turn := book.redirect(name)) is not None:
        spans.append((since, turn.at, name))
        since, name = turn.at, book.served(turn.to, turn.at)
    return [*spans, (since, None, name)]


def _epochs(
    book: Book, name: str, models: tuple[str, ...], since: int, until: int | None, start_ms: int, service: Service
) -> list[Epoch]:
    """Return the epochs of one serving model: one for each of its minimums."""
    facts = book.facts[name]
    latency = law(service.latency or facts.latency or _no_latency(facts))
    explicit = service.explicit.minimum_tokens
    if not facts.explicit:
        explicit = NOT_OFFERED
    elif explicit is None:
        explicit = facts.explicit_minimum.tokens
    changes = [m.valid_from for m in facts.minimums if m.valid_from > since and (until is None or m.valid_from < until)]
    return [
        Epoch(
            since=at - start_ms,
            until=_NEVER if until is None else until - start_ms,
            model=models.index(name),
            implicit_minimum=_implicit_minimum(facts, at, service),
            explicit_minimum=explicit,
            latency=latency,
        )
        for at in [since, *changes]
    ]


def _implicit_minimum(facts: ModelFacts, at_ms: int, service: Service) -> int:
    if not facts.implicit:
        return NOT_OFFERED
    if service.implicit.minimum_tokens is not None:
        return service.implicit.minimum_tokens
    return facts.implicit_minimum(at_ms).tokens


def _no_latency(facts: ModelFacts) -> Latency:
    raise NotOffered(f"book {facts.book!r} has no latency of {facts.model} or its family; give [service.latency]")


def law(latency: Latency) -> LatencyLaw:
    """Return a latency in whole nanoseconds."""
    return LatencyLaw(
        base_ns=round(latency.base_s * 1e9),
        uncached_ns=round(latency.per_uncached_token_ms * 1e6),
        cached_ns=round(latency.per_cached_token_ms * 1e6),
        output_ns=round(1e9 / latency.output_tokens_per_s),
    )
