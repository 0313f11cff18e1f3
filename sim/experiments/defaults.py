"""What the simulator itself takes for usual, of a client and of quotas, where a scenario is silent and it matters."""

from collections.abc import Iterator, Sequence

from pydantic import BaseModel

from sim.experiments.pairs import Pair
from sim.providers.client import Backoff, ClientOptions
from sim.providers.facts import Assumption
from sim.providers.project import Limits
from sim.providers.rules import UNLIMITED
from sim.scenario import Arm, Scenario
from sim.strategies import routed
from sim.strategies.options import FlexOptions
from sim.units import duration

__all__ = ["defaults"]


def defaults(scenario: Scenario, pairs: Sequence[Pair]) -> Iterator[Assumption]:
    """Yield an assumption for each default that can move a figure of the run."""
    calling = [pair for pair in pairs if pair.plan.batch is None or pair.plan.kind == "routed"]
    refusable = [pair.arm for pair in calling if pair.arm.spec.client.model_fields_set or _refusable(pair)]
    yield from _of_client(refusable)
    yield from _of_quotas(calling)
    yield from _of_flex(scenario.arms)


def _limited(pair: Pair, *counts: str) -> bool:
    """Return whether one of some limits of calls is in force."""
    return any(getattr(epoch.quota, count) != UNLIMITED for epoch in pair.rules.epochs for count in counts)


def _refusable(pair: Pair) -> bool:
    """Return whether anything can refuse or end a call, so that another follows."""
    client = pair.arm.spec.client
    ends = client.timeout is not None or client.give_up_after is not None
    sheds = pair.plan.flex is not None or pair.arm.service.overload is not None
    return ends or sheds or _limited(pair, "requests", "tokens", "day", "spend", "concurrency")


def _silent(options: Sequence[BaseModel], key: str) -> bool:
    """Return whether anybody leaves a key to its default."""
    return any(key not in one.model_fields_set for one in options)


def _of_client(arms: Sequence[Arm]) -> Iterator[Assumption]:
    clients = [arm.spec.client for arm in arms]
    backoffs = [client.backoff for client in clients]
    usual, waits = ClientOptions(), Backoff()
    if _silent(clients, "attempts"):
        yield Assumption("client.attempts", "assumed", f"A request is called {usual.attempts} times at most.")
    words = {
        "base": f"at most {duration(waits.base)} at first",
        "factor": f"{waits.factor:g} times as long each time",
        "cap": f"never longer than {duration(waits.cap)}",
        "jitter": f"with {waits.jitter} jitter",
    }
    if silent := [text for key, text in words.items() if _silent(backoffs, key)]:
        yield Assumption("client.backoff", "assumed", f"A client backs off between calls: {', '.join(silent)}.")
    if _silent(backoffs, "honour_retry_delay"):
        text = "A client never calls again before the retry delay of a refusal is over."
        yield Assumption("client.backoff.honour_retry_delay", "assumed", text)


def _of_quotas(calling: Sequence[Pair]) -> Iterator[Assumption]:
    counted = [pair for pair in calling if _limited(pair, "requests", "tokens", "day")]
    limits = [pair.arm.spec.project.limits for pair in calling if _limited(pair, "requests", "tokens")]
    buckets = [one for one in limits if one.window == "bucket"]
    if _silent(buckets, "window"):
        text = "A limit a minute is a bucket that refills all the time."
        yield Assumption("project.limits.window", "assumed", text)
    if _silent(buckets, "burst"):
        text = f"The bucket of a limit a minute holds what refills in {duration(Limits().burst)}."
        yield Assumption("project.limits.burst", "assumed", text)
    if _silent([pair.arm.spec.project.limits for pair in counted], "rejected"):
        text = "A refused call uses up nothing of a limit; reports conflict."
        yield Assumption("project.limits.rejected", "?", text)
    if any(pair.plan.cache for pair in counted):
        text = "Creating an explicit cache uses up nothing of the limits of requests and tokens."
        yield Assumption("project.limits", "assumed", text)
    if any(_limited(pair, "spend") for pair in calling):
        text = (
            "The spend limit counts calls of all tiers from the start of their service; batch jobs, the creation of "
            "caches and their storage do not count."
        )
        yield Assumption("project.limits.usd_per_10_minutes", "assumed", text)


def _of_flex(arms: Sequence[Arm]) -> Iterator[Assumption]:
    usual = FlexOptions()
    for arm in arms:
        strategy = arm.strategy
        if isinstance(strategy, routed.Spec):
            silent = ["attempts", "fallback"] if strategy.flex is not None else []
        elif isinstance(strategy, FlexOptions):
            silent = [key for key in ("attempts", "fallback") if _silent([strategy], key)]
        else:
            continue
        texts = {
            "attempts": f"{arm.name} calls the flex tier {usual.attempts} times at most for a request.",
            "fallback": f"What the flex tier did not serve {arm.name} sends to the standard tier.",
        }
        yield from (Assumption(f"strategies.{arm.name}.{key}", "assumed", texts[key]) for key in silent)
