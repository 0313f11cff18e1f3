"""The rules that an engine plays by, all integers: what one model on one book does from one date to the next."""

from typing import NamedTuple

__all__ = [
    "CHANCE_ONE",
    "FACTOR_ONE",
    "NOT_OFFERED",
    "SHARE_ONE",
    "BatchRules",
    "ClientRules",
    "Epoch",
    "ExplicitRules",
    "FlexRules",
    "ImplicitRules",
    "LatencyLaw",
    "OverloadRules",
    "QuotaRules",
    "Rules",
    "SpendLaw",
]

CHANCE_ONE = 1 << 32  # a chance of 1 as a threshold for 32-bit draws: a draw below the threshold happens
SHARE_ONE = 1 << 16  # a share of 1 in scaled integers
FACTOR_ONE = 1 << 16  # a factor of 1 in scaled integers
NOT_OFFERED = -1  # as a minimum: the model does not have that kind of cache
UNLIMITED = -1  # as a limit, a time-out, a maximum: there is none


class LatencyLaw(NamedTuple):
    """Time to the answer, in nanoseconds so that every published figure is whole."""

    base_ns: int
    uncached_ns: int  # a prompt token that is computed
    cached_ns: int  # a prompt token that is read from a cache
    output_ns: int  # a token generated


class SpendLaw(NamedTuple):
    """What a call counts against the spend limit: weights a token, as a price book gives them for one tier and date.

    A quota in another unit than tokens, no more: the engine bills nothing, and prices decide nothing where there is
    no spend limit.
    """

    input: int = 0
    cached: int = 0
    output: int = 0
    long_over: int = UNLIMITED  # prompt tokens above which the next three weigh instead
    long_input: int = 0
    long_cached: int = 0
    long_output: int = 0


class QuotaRules(NamedTuple):
    """What a project may ask of a model; -1 = no limit."""

    requests: int = UNLIMITED  # a minute
    tokens: int = UNLIMITED  # of input a minute, cached ones included
    day: int = UNLIMITED  # requests from one midnight Pacific to the next
    spend: int = UNLIMITED  # weight of the calls of the last ten minutes
    concurrency: int = UNLIMITED  # calls in flight
    fixed_window: int = 0  # 1: counts start anew each whole minute of the run; 0: a bucket refills all the time
    burst_ms: int = 60_000  # depth of a bucket, as the time in which it fills
    rejected_consume: int = 0  # 1: a refused call uses up what it asked for, as far as it is there
    weights: tuple[SpendLaw, SpendLaw, SpendLaw, SpendLaw] = (SpendLaw(),) * 4  # by Mode


NO_QUOTA = QuotaRules()


class Epoch(NamedTuple):
    """From one change of the service to the next, ``[since, next.since)``."""

    since: int  # ms since the run's start; of the first epoch 0
    until: int  # ms at which the serving model changes next, -1 = never: explicit caches end there
    model: int  # index into Rules.models: the model that serves
    implicit_minimum: int  # tokens, NOT_OFFERED = no implicit caching
    explicit_minimum: int  # tokens, NOT_OFFERED = no explicit caching
    latency: LatencyLaw
    explicit_maximum: int = UNLIMITED  # tokens of an explicit cache
    quota: QuotaRules = NO_QUOTA  # of standard and flex calls
    priority: QuotaRules = NO_QUOTA  # of calls of the priority tier; spend and calls in flight are those of ``quota``
    enqueued_tokens: int = UNLIMITED  # of all batch jobs that are pending or running


class ImplicitRules(NamedTuple):
    """The service's own cache."""

    on: bool  # whether strategies that do not ask for it meet it
    block: int  # tokens: hits are rounded down to whole blocks
    at_arrival: bool  # a prefix can be hit from its request's arrival, else from its first token
    refreshed: bool  # each use starts the lifetime anew
    steps: tuple[tuple[int, int], ...]  # (from tokens, threshold of a 32-bit draw), rising
    in_batch: int  # 0 none, 1 parallel, 2 sequential
    sightings: int = 1  # times that a prefix was left in a cell, in its present life, before it can be hit there


class ExplicitRules(NamedTuple):
    """The caller's own caches."""

    recreate: int = (
        1  # after a 403: 1 = the cache is created anew where the strategy creates, 0 = the call goes without
    )


class BatchRules(NamedTuple):
    """The Batch API; limits of -1 do not exist."""

    pending_share: int  # of a turnaround, in 1/SHARE_ONE
    expires_after: int  # ms from creation: no results
    failure: int  # threshold of a 32-bit draw: a request fails
    job_failure: int  # threshold of a 32-bit draw: a whole job fails
    pending_limit: int = UNLIMITED  # ms pending: expires without results
    running_limit: int = UNLIMITED  # ms running: stopped, and what was finished by then is billed
    jobs: int = UNLIMITED  # pending or running at once
    job_requests: int = UNLIMITED  # in one job
    job_tokens: int = UNLIMITED  # of the prompts of one job: what its file can hold
    inline_tokens: int = UNLIMITED  # the same for a job sent inline
    lost_reply: int = 0  # threshold of a 32-bit draw: the reply to a creation is lost
    lost_after: int = 60_000  # ms after which its client takes a reply for lost
    slow_factor: int = FACTOR_ONE  # on turnarounds of jobs that are created while batch is slow, in 1/FACTOR_ONE


class FlexRules(NamedTuple):
    """The flex tier."""

    shed: int = 0  # threshold of a 32-bit draw: a call is refused


class OverloadRules(NamedTuple):
    """What an overloaded service does to calls that are not of the priority tier."""

    shed: int = 0  # threshold of a 32-bit draw: a call is refused
    slowdown: int = FACTOR_ONE  # on the time of an answer, in 1/FACTOR_ONE


class ClientRules(NamedTuple):
    """The caller's own software."""

    concurrency: int = UNLIMITED  # calls in flight, backing off included; others queue, first come first served
    attempts: int = 1  # calls of a request at most
    base: int = 1_000  # ms: the first back-off before jitter
    factor: int = 2 * FACTOR_ONE  # from one back-off to the next, in 1/FACTOR_ONE
    cap: int = 60_000  # ms: the longest back-off before jitter
    jitter: int = 1  # 0 none, 1 full, 2 equal
    honour: int = 1  # 1: never calls again before the retry delay of a 429 is over
    timeout: int = UNLIMITED  # ms: a call is given up
    give_up: int = UNLIMITED  # ms from its arrival: a request is given up


class Rules(NamedTuple):
    """Everything an engine knows of the service and of the caller's software."""

    models: tuple[str, ...]  # names of the models that serve
    start_ms: int  # ms since the Unix epoch of the run's instant 0
    epochs: tuple[Epoch, ...]
    implicit: ImplicitRules
    batch: BatchRules
    client: ClientRules = ClientRules()
    explicit: ExplicitRules = ExplicitRules()
    flex: FlexRules = FlexRules()
    overload: OverloadRules = OverloadRules()
    refusal_ms: int = 1  # until a caller knows that a call was refused
    days: tuple[int, ...] = ()  # ms since start of the midnights Pacific in and around the run, rising
