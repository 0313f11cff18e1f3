"""A scenario compiled: every strategy on every model, with the rules and the workload that each meets."""

from typing import NamedTuple

from sim.billing import padding_pays_from, spend_weights
from sim.providers.media import Media
from sim.providers.quotas import ByMode
from sim.providers.resolve import resolve
from sim.providers.rules import NOT_OFFERED, Rules
from sim.scenario import Arm, ReplaySpec, Scenario, ScenarioSpec
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace
from sim.traces import Recorded, load_trace
from sim.workload.realise import realise
from sim.workload.realise import replay as realise_replay
from sim.workload.spec import WorkloadSpec, has_parts

__all__ = ["Pair", "horizon_ms", "media_of", "pairs_of", "realised", "recorded_of"]


class Pair(NamedTuple):
    """An arm on a model, compiled."""

    arm: Arm
    model: str  # as asked for
    plan: Plan
    rules: Rules
    media: Media | None  # what the model makes of pictures, film and sound; None where there are none
    workload: int  # pairs of one number share their realisations


def recorded_of(scenario: Scenario) -> Recorded | None:
    """Return the recorded trace of a replay; a path is taken relative to the scenario's file first."""
    spec = scenario.spec.replay
    if spec is None:
        return None
    return load_trace(scenario.document.beside(spec.trace), spec.format, sort=spec.sort)


def horizon_ms(spec: ScenarioSpec, recorded: Recorded | None) -> int:
    """Return how long the traffic of a scenario, or of one of its arms, lasts."""
    return spec.workload.horizon if recorded is None else recorded.horizon


def realised(arm: Arm, media: Media | None, recorded: Recorded | None, seed: int, replication: int) -> Trace:
    """Return the realisation of an arm's workload, or the recorded one with the replication's luck."""
    if recorded is None or arm.spec.replay is None:
        return realise(arm.spec.workload, seed, replication, media=media)
    return realise_replay(recorded, patience=arm.spec.replay.patience, seed=seed, replication=replication)


def media_of(scenario: Scenario, arm: Arm, model: str) -> Media | None:
    """Return what the model that serves at the start makes of an arm's pictures, film and sound, if it has any."""
    if not has_parts(arm.spec.workload):
        return None
    served = scenario.book.served(model, arm.spec.start_ms)
    return scenario.book.media[scenario.book.facts[served].generation]


def pairs_of(scenario: Scenario, recorded: Recorded | None) -> list[Pair]:
    """Return the pairs by model, then in the order of the strategies in the file."""
    pairs: list[Pair] = []
    workloads: list[tuple[WorkloadSpec, ReplaySpec | None, Media | None]] = []
    for model in scenario.spec.models:
        for arm in scenario.arms:
            workload = arm.spec.workload, arm.spec.replay, media_of(scenario, arm, model)
            if workload not in workloads:
                workloads.append(workload)
            pairs.append(_pair(scenario, arm, model, recorded, workloads.index(workload)))
    return pairs


def _pair(scenario: Scenario, arm: Arm, model: str, recorded: Recorded | None, workload: int) -> Pair:
    book, spec, horizon = scenario.book, arm.spec, horizon_ms(arm.spec, recorded)
    populations = tuple(spec.contexts) if recorded is None else ("recorded",)

    def weights(served: str, at_ms: int) -> ByMode:
        return spend_weights(book, served, at_ms, arm.terms)

    rules = resolve(
        book, model, spec.start_ms, arm.service, spec.client, spec.project, horizon_ms=horizon, weights=weights
    )
    setting = arm.setting(horizon, _pad_from(scenario, rules), populations)
    plan = arm.strategy.plan(arm.name, setting)
    return Pair(arm, model, plan, rules, media_of(scenario, arm, model), workload)


def _pad_from(scenario: Scenario, rules: Rules) -> int:
    minimum = rules.epochs[0].explicit_minimum
    if minimum == NOT_OFFERED:
        return NEVER
    return padding_pays_from(scenario.book, rules.models[0], rules.start_ms, minimum)
