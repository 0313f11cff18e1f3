"""Where a strategy cannot do what it is meant for under the patience, the client and the platform that it meets."""

from collections.abc import Iterator

from sim.providers.limits import Platform
from sim.scenario import Arm
from sim.strategies import flex, routed
from sim.strategies.options import BatchOptions, CacheOptions
from sim.units import duration

__all__ = ["mismatches"]


def mismatches(arm: Arm, platform: Platform | None) -> Iterator[str]:
    """Yield the warnings of an arm, a sentence each."""
    yield from _late(arm)
    yield from _at_once(arm)
    yield from _idle_client(arm)
    yield from _short_lives(arm, platform)


def _patience(arm: Arm) -> dict[str, int]:
    """Return how long the callers of each stream wait, in ms."""
    if arm.spec.replay is not None:
        return {"replay": arm.spec.replay.patience}
    return {name: stream.patience for name, stream in arm.spec.streams.items()}


def _late(arm: Arm) -> Iterator[str]:
    """Yield the streams whose batched answers are never seen in time: a job is first looked at one poll after it.

    The default is not blamed: who has no minute to wait has no time for a batch at all, and the figures show it.
    """
    strategy = arm.strategy
    if not isinstance(strategy, BatchOptions) or "poll" not in strategy.model_fields_set:
        return
    looks = f"{arm.name} looks at its jobs every {duration(strategy.poll)}"
    for stream, waits in _patience(arm).items():
        if not isinstance(strategy, routed.Spec):
            if waits < strategy.poll:
                yield (
                    f"{looks}, and no caller of {stream} waits longer than {duration(waits)}: each of its answers "
                    "comes late"
                )
        elif waits >= strategy.threshold and 0 < waits - strategy.guard < strategy.poll:
            yield (
                f"{looks}, and its guard sends what is open of {stream} {duration(waits - strategy.guard)} after its "
                "arrival: no batched answer is seen in time"
            )


def _at_once(arm: Arm) -> Iterator[str]:
    """Yield the streams whose whole patience lies within the guard."""
    strategy = arm.strategy
    if not isinstance(strategy, (routed.Spec, flex.Spec)) or strategy.guard is None:
        return
    least = 0
    if isinstance(strategy, routed.Spec):
        least = strategy.threshold if strategy.flex is None else strategy.flex
    for stream, waits in _patience(arm).items():
        if least <= waits <= strategy.guard:
            yield (
                f"{arm.name} sends the requests of {stream} at once: their patience of {duration(waits)} is not "
                f"longer than the guard of {duration(strategy.guard)}"
            )


def _idle_client(arm: Arm) -> Iterator[str]:
    """Yield the limits of a client that end nothing."""
    client, batched = arm.spec.client, isinstance(arm.strategy, BatchOptions)
    if client.give_up_after is None:
        return
    given_up = duration(client.give_up_after)
    if batched:
        yield f"{arm.name} gives up no request in a batch job: client.give_up_after of {given_up} is of calls"
    calls = not batched or isinstance(arm.strategy, routed.Spec)
    if calls and client.timeout is not None and client.timeout > client.give_up_after:
        yield (
            f"the time-out of {duration(client.timeout)} ends no call of {arm.name}: its requests are given up "
            f"{given_up} after their arrival"
        )


def _short_lives(arm: Arm, platform: Platform | None) -> Iterator[str]:
    """Yield where times of day leave a cache a shorter life than the platform allows."""
    strategy, least = arm.strategy, platform.minimum_ttl if platform else None
    if isinstance(strategy, CacheOptions) and strategy.expire_at and strategy.contexts != [] and least is not None:
        yield (
            f"{arm.name}: a cache that is created less than {duration(least)} before an instant of expire_at is "
            f"refused on {arm.spec.project.platform}; the simulation creates it"
        )
