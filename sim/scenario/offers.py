"""What a strategy needs and its model, tier, platform or price book does not offer: nothing is quietly left out."""

from collections.abc import Iterator
from itertools import pairwise

from sim.document import Document
from sim.errors import PriceMissing, Problem, nearest
from sim.ledger import Mode
from sim.providers.limits import Platform
from sim.providers.prices import Book, LineName
from sim.scenario.spec import ScenarioSpec
from sim.strategies import AnySpec, routed
from sim.strategies.options import BatchOptions, CacheOptions
from sim.units import DAY, duration
from sim.workload.spec import has_parts

__all__ = ["refused", "unoffered"]

_WHOLE = "another model, or another strategy"


def refused(document: Document, spec: ScenarioSpec, book: Book) -> Iterator[Problem]:
    """Yield what the platform, the tier or the book refuses of a scenario as a whole."""
    project = spec.project
    if project.platform not in book.platforms:
        what = f"book {book.name!r} knows no such platform"
        yield document.problem(
            ("project", "platform"), what, nearest(project.platform, book.platforms), project.platform
        )
    for index, model in enumerate(spec.models):
        served = book.served(model, spec.start_ms) if model in book.models else model
        quota = book.limits.quotas.get((served, project.tier or ""))
        if quota is not None and not quota.offered:
            what = f"the {_named(project.tier)} does not have {served}"
            yield document.problem(("models", index), what, "another model, or another tier", model)
        if served in book.facts and has_parts(spec.workload) and book.facts[served].generation not in book.media:
            what = f"book {book.name!r} does not tell how many tokens {served} makes of pictures, film and sound"
            yield document.problem(("models", index), what, "another book, or prompts of text", model)


def _named(tier: str | None) -> str:
    return "free tier" if tier == "free" else f"usage tier {tier}"


def unoffered(document: Document, spec: ScenarioSpec, book: Book, name: str, strategy: AnySpec) -> Iterator[Problem]:
    """Yield what one strategy needs and does not get."""
    path = ("strategies", name)
    platform = book.platforms.get(spec.project.platform)
    if platform is not None:
        yield from _on_platform(document, spec, platform, path, strategy)
    if spec.project.tier == "free" and (missing := _not_free(strategy)):
        what = f"the free tier has no {' and no '.join(missing)}"
        yield document.problem(path, what, "another tier, or another strategy", name)
    for model in spec.models:
        if model in book.models:
            yield from _of_model(document, spec, book, book.served(model, spec.start_ms), path, strategy)


def _on_platform(
    document: Document, spec: ScenarioSpec, platform: Platform, path: tuple[str, ...], strategy: AnySpec
) -> Iterator[Problem]:
    where, least = spec.project.platform, platform.minimum_ttl
    if isinstance(strategy, CacheOptions) and least is not None and strategy.contexts != []:
        what = f"below the least lifetime of an explicit cache on {where}"
        if not strategy.expire_at and strategy.ttl < least:
            yield document.problem((*path, "ttl"), what, f"at least {duration(least)}", duration(strategy.ttl))
        closest = _closest(strategy.expire_at)
        if closest < least:
            allowed = f"instants at least {duration(least)} apart"
            yield document.problem((*path, "expire_at"), what, allowed, f"{duration(closest)} apart")
    if _caches_in_batch(strategy) and not platform.explicit_in_batch:
        what = f"{where} refuses an explicit cache in a batched request"
        if isinstance(strategy, routed.Spec):
            allowed = '"none", or another platform'
            yield document.problem((*path, "batch_cache"), what, allowed, strategy.batch_cache)
        else:
            allowed = "another platform, another strategy, or contexts = []"
            yield document.problem(path, what, allowed, path[-1])


def _closest(times: list[int]) -> int:
    """Return the shortest time between two neighbours of some times of day, over midnight too."""
    rising = sorted(set(times))
    return min((after - before for before, after in pairwise([*rising, *(t + DAY for t in rising[:1])])), default=DAY)


def _caches_in_batch(strategy: AnySpec) -> bool:
    """Return whether requests of a strategy may name an explicit cache inside a batch job."""
    if not (isinstance(strategy, CacheOptions) and isinstance(strategy, BatchOptions)) or strategy.contexts == []:
        return False
    return not isinstance(strategy, routed.Spec) or strategy.batch_cache != "none"


def _not_free(strategy: AnySpec) -> list[str]:
    """Return what a strategy needs that must be paid for."""
    missing = ["Batch API"] if isinstance(strategy, BatchOptions) else []
    if isinstance(strategy, CacheOptions) and strategy.contexts != []:
        missing.append("explicit cache, whose storage is billed")
    return missing


def _of_model(
    document: Document, spec: ScenarioSpec, book: Book, model: str, path: tuple[str, ...], strategy: AnySpec
) -> Iterator[Problem]:
    facts = book.facts[model]
    for offered, needs, what in (
        (facts.explicit, CacheOptions, f"{model} offers no explicit cache"),
        (facts.batch, BatchOptions, f"{model} offers no Batch API"),
    ):
        if isinstance(strategy, needs) and not offered:
            yield document.problem(path, what, _WHOLE, path[-1])
            return
    try:
        entry = book.entry(model, spec.start_ms)
        for line, mode in _sure_to_need(strategy):
            entry.price(line, mode)
    except PriceMissing as error:
        yield document.problem(path, str(error), "another model or book, or another start")


def _sure_to_need(strategy: AnySpec) -> Iterator[tuple[LineName, Mode]]:
    """Yield the prices that a strategy cannot do without; the first that is missing is told."""
    for mode in _modes(strategy):
        yield "input", mode
        yield "output", mode
    if isinstance(strategy, CacheOptions):
        for line in ("cached", "creation", "storage"):
            yield line, Mode.STANDARD


def _modes(strategy: AnySpec) -> list[Mode]:
    """Return the modes that a strategy's requests are meant for."""
    ways = [Mode.BATCH] if isinstance(strategy, BatchOptions) else []
    if isinstance(strategy, routed.Spec):
        ways += [Mode.FLEX] if strategy.flex is not None else []
        ways += [Mode.PRIORITY] if strategy.priority is not None else []
    if strategy.kind == "flex":
        ways.append(Mode.FLEX)
    if strategy.kind == "priority":
        ways.append(Mode.PRIORITY)
    return ways or [Mode.STANDARD]
