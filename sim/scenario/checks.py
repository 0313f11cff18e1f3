"""The rules that bind a scenario's tables to each other and to its price book: every broken one, with its line."""

from collections.abc import Mapping
from typing import Any

from sim.document import Document
from sim.errors import Problem, nearest
from sim.paths import split
from sim.providers.prices import Book
from sim.providers.service import Episodes, Service
from sim.scenario.offers import refused, unoffered
from sim.scenario.spec import ScenarioSpec
from sim.strategies import AnySpec
from sim.strategies.options import BatchOptions, CacheOptions
from sim.units import DAY
from sim.workload import civil, rules

__all__ = ["problems_of", "restless", "times_of", "unchangeable", "unknown_names"]

_COMMON = (
    "prices",
    "models",
    "strategies",
    "baseline",
    "seed",
    "replications",
    "book",
    "question",
    "close",
    "patience_target",
)
_MOST_EPISODES = 1_000_000  # expected: more of them is a mistake, and drawing them takes minutes
_AFTER_MS = 14 * DAY  # after the last arrival there is weather still


def unchangeable(document: Document, changes: Mapping[str, Any], name: str) -> list[Problem]:
    """Return what an arm cannot change for itself alone."""
    allowed = "keys of streams, contexts, service, client, project, terms, start, horizon or load, and replay.patience"
    return [
        document.problem(("strategies", name, "set"), f"{path} is common to all strategies", allowed)
        for path in changes
        if (key := split(path))[0] in _COMMON or (key[0] == "replay" and key != ("replay", "patience"))
    ]


def problems_of(document: Document, spec: ScenarioSpec, book: Book) -> list[Problem]:
    """Return what is wrong with a scenario whose every table is right in itself."""
    problems = _traffic(document, spec)
    dated = not problems and spec.replay is None
    problems += _models_and_baseline(document, book)
    if len(set(spec.models)) < len(spec.models):
        problems.append(document.problem(("models",), "a model is named twice", "each model once"))
    problems += _sizes_of_no_picture(document, spec)
    problems += refused(document, spec, book)
    for name, strategy in spec.strategies.items():
        problems += _contexts(document, spec, name, strategy)
        problems += _times(document, spec.workload.clock, name, strategy) if dated else []
        problems += unoffered(document, spec, book, name, strategy)
    return problems


def unknown_names(document: Document, book: Book | None) -> list[Problem]:
    """Return the names that a document uses and that nothing in it or in its book has; it may be no scenario yet."""
    contexts = _table(document, "contexts")
    used = [(("streams", name, "context"), table) for name, table in _table(document, "streams").items()]
    used += [(("contexts", name, "under"), table) for name, table in contexts.items()]
    named = [(path, table[path[-1]]) for path, table in used if isinstance(table, dict) and path[-1] in table]
    return [
        *_models_and_baseline(document, book),
        *(
            document.problem(path, "unknown context", nearest(name, contexts), name)
            for path, name in named
            if isinstance(name, str) and name not in contexts
        ),
    ]


def _models_and_baseline(document: Document, book: Book | None) -> list[Problem]:
    models, baseline = document.data.get("models"), document.data.get("baseline")
    strategies = _table(document, "strategies")
    problems = [
        document.problem(("models", index), "unknown model", nearest(model, book.models), model)
        for index, model in enumerate(models if isinstance(models, list) else [])
        if book is not None and isinstance(model, str) and model not in book.models
    ]
    problems += [
        document.problem(("prices", model), "unknown model", nearest(model, book.models), model)
        for model in _table(document, "prices")
        if book is not None and model not in book.models
    ]
    if isinstance(baseline, str) and baseline not in strategies:
        problems.append(document.problem(("baseline",), "unknown strategy", nearest(baseline, strategies), baseline))
    return problems


def _table(document: Document, name: str) -> dict[str, Any]:
    table = document.data.get(name)
    return table if isinstance(table, dict) else {}


def _traffic(document: Document, spec: ScenarioSpec) -> list[Problem]:
    if spec.replay is not None:
        extra = [key for key in ("streams", "contexts", "horizon") if getattr(spec, key)]
        return [document.problem((key,), "a replay has its traffic from the trace", "remove this") for key in extra]
    missing = [key for key in ("streams", "horizon") if not getattr(spec, key)]
    if missing:
        return [document.problem((key,), "a required key is missing", "or a [replay] table") for key in missing]
    return rules.check(spec.workload, document, most=spec.most_requests)


def restless(document: Document, service: Service, horizon: int) -> list[Problem]:
    """Return which episodes of a service are so short that a run has too many of them."""
    weathers: dict[str, Episodes | None] = {"overload": service.overload, "batch.slow": service.batch.slow}
    problems = []
    for name, law in weathers.items():
        count = 0 if law is None else (horizon + _AFTER_MS) // (law.every + law.lasts)
        if count > _MOST_EPISODES:
            what = f"{count:,} episodes are expected until two weeks after the horizon"
            allowed = f"longer or rarer ones, {_MOST_EPISODES:,} at most"
            problems.append(document.problem(("service", *name.split(".")), what, allowed))
    return problems


def _sizes_of_no_picture(document: Document, spec: ScenarioSpec) -> list[Problem]:
    """Return the sizes of pictures that are given where there are none."""
    tables = {("streams", name): stream.parts for name, stream in spec.streams.items()}
    tables |= {("contexts", name): context.parts for name, context in spec.contexts.items()}
    return [
        document.problem((*path, "parts", "image_px"), "the size of pictures, and there are none", "images beside it")
        for path, parts in tables.items()
        if parts is not None and "image_px" in parts.model_fields_set and parts.images is None
    ]


def _contexts(document: Document, spec: ScenarioSpec, name: str, strategy: AnySpec) -> list[Problem]:
    named = strategy.contexts or [] if isinstance(strategy, CacheOptions) else []
    return [
        document.problem(("strategies", name, "contexts"), "unknown context", nearest(context, spec.contexts), context)
        for context in named
        if spec.replay is None and context not in spec.contexts
    ]


def _times(document: Document, clock: civil.Clock, name: str, strategy: AnySpec) -> list[Problem]:
    """Return the times of day of a strategy that the clock skips or repeats while the traffic lasts."""
    times = [(key, index, time) for key, given in times_of(strategy).items() for index, time in enumerate(given)]
    walls = [(key, index, wall) for key, index, time in times for _, wall in civil.daily(clock, time)]
    what, allowed = f"the clock of {clock.zone} skips or repeats this time", 'another time, or time_zone = "UTC"'
    return [
        document.problem(("strategies", name, key, index), what, allowed, f"{wall:%Y-%m-%d %H:%M:%S}")
        for key, index, wall in walls
        if civil.doubtful(clock, wall)
    ]


def times_of(strategy: AnySpec) -> dict[str, list[int]]:
    """Return the times of day that a strategy names, in ms after midnight, by option."""
    times = {"at": strategy.at} if isinstance(strategy, BatchOptions) else {}
    return times | ({"expire_at": strategy.expire_at} if isinstance(strategy, CacheOptions) else {})
