"""A scenario compiled: every strategy on every model, with the rules and the workload that each meets."""

from typing import NamedTuple

from sim.billing import padding_pays_from
from sim.providers.resolve import resolve
from sim.providers.rules import NOT_OFFERED, Rules
from sim.scenario import Arm, ReplaySpec, Scenario, ScenarioSpec
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace
from sim.traces import Recorded, load_trace
from sim.workload.realise import realise
from sim.workload.realise import replay as realise_replay
from sim.workload.spec import WorkloadSpec

__all__ = ["Pair", "horizon_ms", "pairs_of", "realised", "recorded_of"]


class Pair(NamedTuple):
    """An arm on a model, compiled."""

    arm: Arm
    model: str  # as asked for
    plan: Plan
    rules: Rules
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


def realised(arm: Arm, recorded: Recorded | None, seed: int, replication: int) -> Trace:
    """Return the realisation of an arm's workload, or the recorded one with the replication's luck."""
    if recorded is None or arm.spec.replay is None:
        return realise(arm.spec.workload, seed, replication)
    return realise_replay(recorded, patience=arm.spec.replay.patience, seed=seed, replication=replication)


def pairs_of(scenario: Scenario, recorded: Recorded | None) -> list[Pair]:
    """Return the pairs by model, then in the order of the strategies in the file."""
    pairs: list[Pair] = []
    workloads: list[tuple[WorkloadSpec, ReplaySpec | None]] = []
    for model in scenario.spec.models:
        for arm in scenario.arms:
            workload = arm.spec.workload, arm.spec.replay
            if workload not in workloads:
                workloads.append(workload)
            pairs.append(_pair(scenario, arm, model, recorded, workloads.index(workload)))
    return pairs


def _pair(scenario: Scenario, arm: Arm, model: str, recorded: Recorded | None, workload: int) -> Pair:
    populations = tuple(arm.spec.contexts) if recorded is None else ("recorded",)
    rules = resolve(scenario.book, model, arm.spec.start_ms, arm.service, arm.spec.client)
    setting = arm.setting(horizon_ms(arm.spec, recorded), _pad_from(scenario, rules), populations)
    return Pair(arm, model, arm.strategy.plan(arm.name, setting), rules, workload)


def _pad_from(scenario: Scenario, rules: Rules) -> int:
    minimum = rules.epochs[0].explicit_minimum
    if minimum == NOT_OFFERED:
        return NEVER
    return padding_pays_from(scenario.book, rules.models[0], rules.start_ms, minimum)
