"""From a book's facts and a service's parameters to the integer rules that an engine plays by."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sim.errors import NotOffered
from sim.providers.client import ClientOptions
from sim.providers.facts import ModelFacts
from sim.providers.pacific import midnights
from sim.providers.prices import Book
from sim.providers.project import ProjectOptions
from sim.providers.quotas import Weights, allowance, priority_rules, quota_rules
from sim.providers.rules import NOT_OFFERED, UNLIMITED, Epoch, ExplicitRules, FlexRules, Rules
from sim.providers.scaled import batch_rules, client_rules, implicit_rules, law, overload_rules, threshold
from sim.providers.service import Latency, Service
from sim.units import DAY

__all__ = ["merged", "resolve"]

_NEVER = -1
_NO_OPTIONS = ClientOptions()
_NO_PROJECT = ProjectOptions()
_AFTER_MS = 60 * DAY  # after the last arrival, by when nobody waits for a daily quota any more


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


class _Asked(NamedTuple):
    """What the rules of a model depend on."""

    book: Book
    start_ms: int  # since the Unix epoch
    service: Service
    project: ProjectOptions
    weights: Weights


def resolve(
    book: Book,
    model: str,
    start_ms: int,
    service: Service,
    client: ClientOptions = _NO_OPTIONS,
    project: ProjectOptions = _NO_PROJECT,
    *,
    horizon_ms: int = 0,
    weights: Weights | None = None,
) -> Rules:
    """Return the rules for a model from an instant on, through every redirect and every change of a minimum.

    Parameters
    ----------
    book, model
        The model as it is asked for; redirects are followed.
    start_ms
        Since the Unix epoch.
    service
        A latency given in it holds for every model, else each model has its own.
    client, project
        The caller's side.
    horizon_ms
        Until when requests arrive: the midnights of daily quotas go on 60 days longer.
    weights
        What calls count against a spend limit, of a model at an instant; needed only where there is such a limit.
    """
    asked = _Asked(book, start_ms, service, project, weights or _unweighed)
    serving = _serving(book, model, start_ms, redirects=service.redirects)
    models = tuple(dict.fromkeys(name for _, _, name in serving))
    return Rules(
        models=models,
        start_ms=start_ms,
        epochs=tuple(epoch for since, until, name in serving for epoch in _epochs(asked, models, name, since, until)),
        implicit=implicit_rules(service.implicit),
        batch=batch_rules(service.batch),
        client=client_rules(client),
        explicit=ExplicitRules(recreate=int(client.on_forbidden == "recreate")),
        flex=FlexRules(shed=threshold(service.flex.shed_chance)),
        overload=overload_rules(service.overload),
        refusal_ms=service.refusal,
        days=midnights(start_ms, horizon_ms + _AFTER_MS),
    )


def _unweighed(model: str, at_ms: int) -> Any:
    raise NotOffered(f"a spend limit needs the weights of a call of {model} at {at_ms}")


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


def _epochs(asked: _Asked, models: tuple[str, ...], name: str, since: int, until: int | None) -> list[Epoch]:
    """Return the epochs of one serving model: one for each of its minimums and, under a spend limit, of its prices."""
    book, service = asked.book, asked.service
    facts = book.facts[name]
    allowed = allowance(book.limits, facts, asked.project)
    changes = {minimum.valid_from for minimum in facts.minimums}
    if allowed.spend != UNLIMITED:
        changes |= {entry.valid_from for entry in book.periods(name)}
    latency = law(service.latency or facts.latency or _no_latency(facts))
    epochs = []
    for at in [since, *sorted(at for at in changes if since < at and (until is None or at < until))]:
        weights = None if allowed.spend == UNLIMITED else asked.weights(name, at)
        quota = quota_rules(allowed, asked.project.limits, weights)
        epochs.append(
            Epoch(
                since=at - asked.start_ms,
                until=_NEVER if until is None else until - asked.start_ms,
                model=models.index(name),
                implicit_minimum=_implicit_minimum(facts, at, service),
                explicit_minimum=_explicit_minimum(facts, service),
                latency=latency,
                explicit_maximum=service.explicit.maximum_tokens or facts.context_window.tokens,
                quota=quota,
                priority=priority_rules(quota, book.limits.priority_share),
                enqueued_tokens=allowed.enqueued,
            )
        )
    return epochs


def _implicit_minimum(facts: ModelFacts, at_ms: int, service: Service) -> int:
    if not facts.implicit:
        return NOT_OFFERED
    if service.implicit.minimum_tokens is not None:
        return service.implicit.minimum_tokens
    return facts.implicit_minimum(at_ms).tokens


def _explicit_minimum(facts: ModelFacts, service: Service) -> int:
    if not facts.explicit:
        return NOT_OFFERED
    if service.explicit.minimum_tokens is not None:
        return service.explicit.minimum_tokens
    return facts.explicit_minimum.tokens


def _no_latency(facts: ModelFacts) -> Latency:
    raise NotOffered(f"book {facts.book!r} has no latency of {facts.model} or its family; give [service.latency]")
