"""What a run takes for granted: the book's own assumptions, and what its scenario says instead."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.experiments.defaults import defaults
from sim.experiments.pairs import Pair
from sim.providers.facts import Assumption
from sim.scenario import Arm, Scenario
from sim.strategies import routed
from sim.strategies.decision import Implicit
from sim.workload.spec import has_parts

__all__ = ["in_force"]

Path = tuple[str, ...]


def in_force(scenario: Scenario, pairs: Sequence[Pair]) -> tuple[Assumption, ...]:
    """Return every assumption that can move a figure of this run, the overridden ones last."""
    served = {model for name in scenario.spec.models for model in _models(scenario, name)}
    names = ("service", "terms", "project", "client", "prices")
    tables = {name: scenario.document.data.get(name, {}) for name in names}
    set_here = set(_leaves(tables))
    unknown = {one.path for one in scenario.uncertain}
    uses = _uses(scenario, pairs)
    relevant = [a for a in scenario.book.assumptions if _matters(a.path, served, uses)]
    stated = [a for a in relevant if not any(_covers(_of_service(a.path), path) for path in set_here)]
    own = [Assumption(path, "assumed", f"Set by the scenario: {path}.") for path in sorted(set_here - unknown)]
    own += [Assumption(one.path, "assumed", f"Uncertain: {one.text}.") for one in scenario.uncertain]
    for arm in scenario.arms:
        own += [
            Assumption(path, "assumed", f"Set for {arm.name} alone: {path} = {value!r}.")
            for path, value in arm.strategy.set.items()
        ]
    return (*stated, *defaults(scenario, pairs), *own)


def _models(scenario: Scenario, name: str) -> Iterable[str]:
    yield name
    while (turn := scenario.book.redirect(name)) is not None:
        name = turn.to
        yield name


def _uses(scenario: Scenario, pairs: Sequence[Pair]) -> dict[str, bool]:
    """Return whether values of the book can matter: by the path of their table, or of a model's by their last key."""
    plans = [pair.plan for pair in pairs]
    projects = [arm.spec.project for arm in scenario.arms]
    tiers = [project.limits for project in projects if project.tier is not None]
    queues = [pair.arm.spec.project for pair in pairs if pair.plan.batch]
    services = [arm.service for arm in scenario.arms]
    batch, cache, flex = (any(getattr(plan, name) for plan in plans) for name in ("batch", "cache", "flex"))
    priority = any(_uses_priority(pair) for pair in pairs)
    implicit = any(plan.implicit != Implicit.OFF for plan in plans)
    limited = bool(tiers) or any(project.limits.model_fields_set for project in projects)
    parts = any(has_parts(arm.spec.workload) for arm in scenario.arms)
    return {
        **_on_platforms(scenario, pairs),
        "service.batch.lost_after": batch and any(service.batch.lost_reply_chance for service in services),
        "service.batch": batch,
        "terms.creation": cache,
        "terms.storage": cache,
        "service.explicit": cache,
        "service.implicit.affinity": implicit and any(service.implicit.cells > 1 for service in services),
        "service.implicit": implicit,
        "service.flex": flex,
        "service.refusal": limited or flex or cache or any(service.overload for service in services),
        "priority.limit_share": priority and limited,
        "priority": priority,
        "flex": flex,
        "quotas": any(None in (own.requests_per_minute, own.tokens_per_minute, own.requests_per_day) for own in tiers),
        "spend": any(own.usd_per_10_minutes is None for own in tiers),
        "enqueued": any(queue.tier is not None and queue.limits.enqueued_tokens is None for queue in queues),
        "media": parts,
        "generation": parts,
        "includes_thinking": any(_tells_thinking(arm) for arm in scenario.arms),
    }


def _on_platforms(scenario: Scenario, pairs: Sequence[Pair]) -> dict[str, bool]:
    """Return whether what the platforms do differently can matter."""
    uses: dict[str, bool] = {}
    for name in scenario.book.platforms:
        plans = [pair.plan for pair in pairs if _platform(pair) == name]
        batch, cache, flex = (any(getattr(plan, part) for plan in plans) for part in ("batch", "cache", "flex"))
        uses |= {
            f"platforms.{name}.service.batch.inline_bytes": any(plan.batch and plan.batch.inline for plan in plans),
            f"platforms.{name}.explicit_in_batch": any(plan.batch and plan.cache for plan in plans),
            f"platforms.{name}.minimum_ttl": cache,
            f"platforms.{name}.terms.batch_cached": batch or flex,
            f"platforms.{name}": batch,
        }
    by_book = [pair for pair in pairs if "batch_cached" not in scenario.book.platforms[_platform(pair)].terms]
    return uses | {"terms.batch_cached": any(pair.plan.batch or pair.plan.flex for pair in by_book)}


def _platform(pair: Pair) -> str:
    return pair.arm.spec.project.platform


def _tells_thinking(arm: Arm) -> bool:
    return arm.spec.replay is not None or any(stream.thinking for stream in arm.spec.streams.values())


def _uses_priority(pair: Pair) -> bool:
    strategy = pair.arm.strategy
    return strategy.kind == "priority" or (isinstance(strategy, routed.Spec) and strategy.priority is not None)


def _matters(path: str, models: set[str], uses: Mapping[str, bool]) -> bool:
    """Return whether a value of the book can matter: the first path of the uses that covers it decides."""
    table, last = path.partition(".")[0], path.rpartition(".")[2]
    if table in ("models", "latency") and path != table:
        mine = table == "latency" or any(path.startswith(f"models.{model}.") for model in models)
        return mine and uses.get(last, True)
    return next((used for prefix, used in uses.items() if _covers(prefix, path)), True)


def _of_service(path: str) -> str:
    """Return the path at which a scenario overrides a value of a platform.

    >>> _of_service("platforms.vertex.service.batch.job_requests"), _of_service("quotas")
    ('service.batch.job_requests', 'quotas')
    """
    return path.split(".", 2)[2] if path.startswith("platforms.") and path.count(".") > 1 else path


def _covers(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}.")


def _leaves(table: Mapping[str, Any], above: Path = ()) -> Iterable[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield ".".join((*above, key))
