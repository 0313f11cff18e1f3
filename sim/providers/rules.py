"""The rules that an engine plays by, all integers: what one model on one book does from one date to the next."""

from typing import NamedTuple

__all__ = ["CHANCE_ONE", "NOT_OFFERED", "SHARE_ONE", "BatchRules", "Epoch", "ImplicitRules", "LatencyLaw", "Rules"]

CHANCE_ONE = 1 << 32  # a chance of 1 as a threshold for 32-bit draws: a draw below the threshold happens
SHARE_ONE = 1 << 16  # a share of 1 in scaled integers
NOT_OFFERED = -1  # as a minimum: the model does not have that kind of cache


class LatencyLaw(NamedTuple):
    """Time to the answer, in nanoseconds so that every published figure is whole."""

    base_ns: int
    uncached_ns: int  # a prompt token that is computed
    cached_ns: int  # a prompt token that is read from a cache
    output_ns: int  # a token generated


class Epoch(NamedTuple):
    """From one change of the service to the next, ``[since, next.since)``."""

    since: int  # ms since the run's start; of the first epoch 0
    until: int  # ms at which the serving model changes next, -1 = never: explicit caches end there
    model: int  # index into Rules.models: the model that serves
    implicit_minimum: int  # tokens, NOT_OFFERED = no implicit caching
    explicit_minimum: int  # tokens, NOT_OFFERED = no explicit caching
    latency: LatencyLaw


class ImplicitRules(NamedTuple):
    """The service's own cache."""

    on: bool  # whether strategies that do not ask for it meet it
    block: int  # tokens: hits are rounded down to whole blocks
    at_arrival: bool  # a prefix can be hit from its request's arrival, else from its first token
    refreshed: bool  # each use starts the lifetime anew
    steps: tuple[tuple[int, int], ...]  # (from tokens, threshold of a 32-bit draw), rising
    in_batch: int  # 0 none, 1 parallel, 2 sequential


class BatchRules(NamedTuple):
    """The Batch API."""

    pending_share: int  # of a turnaround, in 1/SHARE_ONE
    expires_after: int  # ms
    failure: int  # threshold of a 32-bit draw: a request fails
    job_failure: int  # threshold of a 32-bit draw: a whole job fails


class Rules(NamedTuple):
    """Everything an engine knows of the service."""

    models: tuple[str, ...]  # names of the models that serve
    start_ms: int  # ms since the Unix epoch of the run's instant 0
    epochs: tuple[Epoch, ...]
    implicit: ImplicitRules
    batch: BatchRules
    concurrency: int = -1  # the client's calls in flight at most, -1 = no limit
