"""The rules that bind a scenario's tables to each other and to its price book: every broken one, with its line."""

from collections.abc import Mapping
from typing import Any

from sim.document import Document
from sim.errors import PriceMissing, Problem, nearest
from sim.ledger import Mode
from sim.providers.prices import Book, LineName
from sim.scenario.spec import ScenarioSpec
from sim.strategies import AnySpec
from sim.strategies.options import BatchOptions, CacheOptions
from sim.workload import civil, rules

__all__ = ["problems_of", "unchangeable", "unknown_names"]

_COMMON = ("models", "strategies", "baseline", "seed", "replications", "book", "question", "close", "patience_target")


def unchangeable(document: Document, changes: Mapping[str, Any], name: str) -> list[Problem]:
    """Return what an arm cannot change for itself alone."""
    allowed = "keys of streams, contexts, service, client, terms, start, horizon or load, and replay.patience"
    return [
        document.problem(("strategies", name, "set"), f"{path} is common to all strategies", allowed)
        for path in changes
        if path.partition(".")[0] in _COMMON or (path.startswith("replay") and path != "replay.patience")
    ]


def problems_of(document: Document, spec: ScenarioSpec, book: Book) -> list[Problem]:
    """Return what is wrong with a scenario whose every table is right in itself."""
    problems = _traffic(document, spec)
    dated = not problems and spec.replay is None
    problems += _models_and_baseline(document, book)
    if len(set(spec.models)) < len(spec.models):
        problems.append(document.problem(("models",), "a model is named twice", "each model once"))
    for name, strategy in spec.strategies.items():
        problems += _contexts(document, spec, name, strategy)
        problems += _times(document, spec.workload.clock, name, strategy) if dated else []
        problems += _offers(document, spec, book, name, strategy)
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


def _contexts(document: Document, spec: ScenarioSpec, name: str, strategy: AnySpec) -> list[Problem]:
    named = strategy.contexts or [] if isinstance(strategy, CacheOptions) else []
    return [
        document.problem(("strategies", name, "contexts"), "unknown context", nearest(context, spec.contexts), context)
        for context in named
        if spec.replay is None and context not in spec.contexts
    ]


def _times(document: Document, clock: civil.Clock, name: str, strategy: AnySpec) -> list[Problem]:
    """Return the times of day of a strategy that the clock skips or repeats while the traffic lasts."""
    times = enumerate(strategy.at if isinstance(strategy, BatchOptions) else [])
    walls = [(index, wall) for index, time in times for _, wall in civil.daily(clock, time)]
    what, allowed = f"the clock of {clock.zone} skips or repeats this time", 'another time, or time_zone = "UTC"'
    return [
        document.problem(("strategies", name, "at", index), what, allowed, f"{wall:%Y-%m-%d %H:%M:%S}")
        for index, wall in walls
        if civil.doubtful(clock, wall)
    ]


def _offers(document: Document, spec: ScenarioSpec, book: Book, name: str, strategy: AnySpec) -> list[Problem]:
    """Return what a strategy needs that a model of the scenario does not offer; it is never quietly left out."""
    problems: list[Problem] = []
    path = ("strategies", name)
    for model in spec.models:
        if model not in book.models:
            continue
        facts = book.facts[book.served(model, spec.start_ms)]
        for needed, offered in (("explicit", CacheOptions), ("batch", BatchOptions)):
            if isinstance(strategy, offered) and not getattr(facts, needed):
                what = f"{facts.model} offers no {'explicit cache' if needed == 'explicit' else 'Batch API'}"
                problems.append(document.problem(path, what, "another model, or another strategy", name))
                break
        else:
            problems += _unpriced(document, spec, book, facts.model, path, strategy)
    return problems


def _unpriced(
    document: Document, spec: ScenarioSpec, book: Book, model: str, path: tuple[str, ...], strategy: AnySpec
) -> list[Problem]:
    """Return the first price that a strategy is sure to need, and that the book does not have at the start."""
    mode = Mode.BATCH if isinstance(strategy, BatchOptions) else Mode.STANDARD
    needed: list[tuple[LineName, Mode]] = [("input", mode), ("output", mode)]
    if isinstance(strategy, CacheOptions):
        needed += [("cached", Mode.STANDARD), ("creation", Mode.STANDARD), ("storage", Mode.STANDARD)]
    try:
        entry = book.entry(model, spec.start_ms)
        for line, how in needed:
            entry.price(line, how)
    except PriceMissing as error:
        return [document.problem(path, str(error), "another model or book, or another start")]
    return []
