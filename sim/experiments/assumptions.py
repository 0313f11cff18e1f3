"""What a run takes for granted: the book's own assumptions, and what its scenario says instead."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sim.providers.facts import Assumption
from sim.scenario import Scenario
from sim.strategies.decision import Implicit, Plan

__all__ = ["in_force"]

Path = tuple[str, ...]


def in_force(scenario: Scenario, plans: Sequence[Plan]) -> tuple[Assumption, ...]:
    """Return every assumption that can move a figure of this run, the overridden ones last."""
    served = {model for name in scenario.spec.models for model in _models(scenario, name)}
    set_here = {f"{table}.{path}" for table in ("service", "terms") for path in _leaves(getattr(scenario.spec, table))}
    relevant = [a for a in scenario.book.assumptions if _matters(a.path, served, plans)]
    stated = [a for a in relevant if not any(_covers(a.path, path) for path in set_here)]
    own = [Assumption(path, "assumed", f"Set by the scenario: {path}.") for path in sorted(set_here)]
    for arm in scenario.arms:
        own += [
            Assumption(path, "assumed", f"Set for {arm.name} alone: {path} = {value!r}.")
            for path, value in arm.strategy.set.items()
        ]
    return (*stated, *own)


def _models(scenario: Scenario, name: str) -> Iterable[str]:
    yield name
    while (turn := scenario.book.redirect(name)) is not None:
        name = turn.to
        yield name


def _matters(path: str, models: set[str], plans: Sequence[Plan]) -> bool:
    """Return whether a value of the book can matter to these plans on these models."""
    parts = path.split(".")
    if parts[0] in ("models", "latency") and len(parts) > 1:
        return parts[0] == "latency" or any(path.startswith(f"models.{model}.") for model in models)
    batch = any(plan.batch for plan in plans)
    cache = any(plan.cache for plan in plans)
    uses = {
        "service.batch": batch,
        "terms.batch_cached": batch,
        "terms.creation": cache,
        "terms.storage": cache,
        "service.explicit": cache,
        "service.implicit": any(plan.implicit != Implicit.OFF for plan in plans),
        "priority": False,
        "flex": False,
    }
    return next((used for prefix, used in uses.items() if _covers(prefix, path)), True)


def _covers(prefix: str, path: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}.")


def _leaves(table: Mapping[str, Any], above: Path = ()) -> Iterable[str]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield ".".join((*above, key))
