"""The parameters of a service and its client in the integers of an engine: thresholds, factors, nanoseconds."""

from sim.providers.client import ClientOptions
from sim.providers.rules import (
    CHANCE_ONE,
    FACTOR_ONE,
    SHARE_ONE,
    UNLIMITED,
    BatchRules,
    ClientRules,
    ImplicitRules,
    LatencyLaw,
    OverloadRules,
)
from sim.providers.service import BatchService, ImplicitService, Latency, Overload

__all__ = ["batch_rules", "client_rules", "implicit_rules", "law", "overload_rules", "threshold"]

_IN_BATCH = {"none": 0, "parallel": 1, "sequential": 2}
_JITTER = {"none": 0, "full": 1, "equal": 2}


def law(latency: Latency) -> LatencyLaw:
    """Return a latency in whole nanoseconds."""
    return LatencyLaw(
        base_ns=round(latency.base_s * 1e9),
        uncached_ns=round(latency.per_uncached_token_ms * 1e6),
        cached_ns=round(latency.per_cached_token_ms * 1e6),
        output_ns=round(1e9 / latency.output_tokens_per_s),
    )


def implicit_rules(service: ImplicitService) -> ImplicitRules:
    """Return the rules of the service's own cache."""
    steps = sorted((step.from_tokens, threshold(step.chance)) for step in service.hit_chance)
    return ImplicitRules(
        on=service.on,
        block=service.block_tokens,
        at_arrival=service.available == "arrival",
        refreshed=service.retention.refreshed,
        steps=tuple(steps),
        in_batch=_IN_BATCH[service.in_batch],
        sightings=service.sightings,
    )


def batch_rules(service: BatchService) -> BatchRules:
    """Return the rules of the Batch API; the tokens that fit into a file are rounded down."""
    return BatchRules(
        pending_share=round(service.turnaround.pending_share * SHARE_ONE),
        expires_after=_limit(service.expires_after),
        failure=threshold(service.failure_chance),
        job_failure=threshold(service.job_failure_chance),
        pending_limit=_limit(service.pending_limit),
        running_limit=_limit(service.running_limit),
        jobs=_limit(service.jobs),
        job_requests=_limit(service.job_requests),
        job_tokens=_tokens(service.file_bytes, service.bytes_per_token),
        inline_tokens=_tokens(service.inline_bytes, service.bytes_per_token),
        lost_reply=threshold(service.lost_reply_chance),
        lost_after=service.lost_after,
        slow_factor=FACTOR_ONE if service.slow is None else _scaled(service.slow.factor),
    )


def client_rules(client: ClientOptions) -> ClientRules:
    """Return the rules of the caller's software."""
    backoff = client.backoff
    return ClientRules(
        concurrency=_limit(client.concurrency),
        attempts=client.attempts,
        base=backoff.base,
        factor=_scaled(backoff.factor),
        cap=backoff.cap,
        jitter=_JITTER[backoff.jitter],
        honour=int(backoff.honour_retry_delay),
        timeout=_limit(client.timeout),
        give_up=_limit(client.give_up_after),
    )


def overload_rules(overload: Overload | None) -> OverloadRules:
    """Return what an overloaded service does; without episodes it is never asked."""
    if overload is None:
        return OverloadRules()
    return OverloadRules(shed=threshold(overload.shed_chance), slowdown=_scaled(overload.slowdown))


def _limit(value: int | None) -> int:
    return UNLIMITED if value is None else value


def _tokens(size: int | None, bytes_per_token: int) -> int:
    return UNLIMITED if size is None else size // bytes_per_token


def threshold(chance: float) -> int:
    """Return a chance as a threshold for 32-bit draws."""
    return round(chance * CHANCE_ONE)


def _scaled(factor: float) -> int:
    return round(factor * FACTOR_ONE)
