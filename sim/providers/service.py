"""The parameters of a service's behaviour: what a price book assumes of it and a scenario may override.

Every value has its place in a book's ``[service]`` table beside a confidence mark, so nothing is a silent constant; a
scenario's own ``[service]`` table is laid over it key by key.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from sim.document import Strict
from sim.units import Positive, PositiveDuration, Real, Share, Tokens, Whole

__all__ = ["BatchService", "ExplicitService", "ImplicitService", "Latency", "Retention", "Service", "Turnaround"]


_ROUND_OFF = 1e-12  # what adding decimal weights as floats may cost


class Latency(Strict):
    """Time to the answer: base + per uncached token + per cached token, then output at a rate, all times a slowness."""

    base_s: Annotated[Real, Field(ge=0)]  # s to the first token of an empty prompt
    per_uncached_token_ms: Annotated[Real, Field(ge=0)]  # ms a prompt token that is computed
    per_cached_token_ms: Annotated[Real, Field(ge=0)]  # ms a prompt token that is read from a cache
    output_tokens_per_s: Positive


class Retention(Strict):
    """How long the service keeps a prefix that it has seen."""

    law: Literal["fixed", "exponential", "lognormal"]
    median: PositiveDuration  # of the lognormal law; the lifetime of the fixed law; the median of the exponential law
    sigma: Annotated[Real, Field(ge=0)] = 0.0  # of the logarithm (lognormal law)
    at_most: PositiveDuration = 24 * 3_600_000
    refreshed: bool = True  # true: idle time, each use starts it anew; false: time since the prefix was stored


class HitChance(Strict):
    """The chance that a live prefix of at least so many tokens is hit."""

    from_tokens: Tokens
    chance: Share


def _rising(steps: list[HitChance]) -> list[HitChance]:
    starts = [step.from_tokens for step in steps]
    if any(later <= earlier for earlier, later in pairwise(starts)):
        what = f"from_tokens must rise from step to step; it is {starts}"
        raise PydanticCustomError("steps", "{what}", {"what": what})
    return steps


class ImplicitService(Strict):
    """The cache that the service keeps by itself."""

    on: bool  # whether calls of other strategies that read no explicit cache meet it too
    minimum_tokens: Tokens | None = None  # None: the model's published minimum at the date
    block_tokens: Annotated[Whole, Field(ge=1)] = 1  # hits are rounded down to whole blocks
    available: Literal["arrival", "first_token"] = "first_token"  # when a prompt's prefix can be hit by others
    hit_chance: Annotated[list[HitChance], AfterValidator(_rising)]  # below the first step nothing is hit
    retention: Retention
    in_batch: Literal["none", "parallel", "sequential"] = "parallel"


class ExplicitService(Strict):
    """The cache that the caller creates."""

    minimum_tokens: Tokens | None = None  # None: the model's published minimum


class Component(Strict):
    """A part of the turnaround mixture."""

    weight: Share
    median: PositiveDuration | None = None  # None: never ends, so the job expires
    sigma: Annotated[Real, Field(ge=0)] = 0.0


def _sum_to_one(components: list[Component]) -> list[Component]:
    total = math.fsum(component.weight for component in components)
    if abs(total - 1) > _ROUND_OFF:
        what = f"the weights must sum to 1; their sum is {total:.12g}"
        raise PydanticCustomError("weights", "{what}", {"what": what})
    return components


class Turnaround(Strict):
    """From a job's creation to its end: a mixture of lognormal laws; a part of it is spent pending."""

    components: Annotated[list[Component], Field(min_length=1), AfterValidator(_sum_to_one)]
    pending_share: Share


class BatchService(Strict):
    """The Batch API."""

    turnaround: Turnaround
    expires_after: PositiveDuration
    failure_chance: Share  # of one request in a job that succeeds otherwise
    job_failure_chance: Share = 0.0  # of a whole job


class Service(Strict):
    """All of it. ``latency`` overrides the figures of the model when it is given."""

    latency: Latency | None = None
    slowness_cv: Annotated[Real, Field(ge=0)]  # lognormal, mean 1
    implicit: ImplicitService
    explicit: ExplicitService = ExplicitService()
    batch: BatchService
    redirects: bool = True  # serve and bill the successor once a model is shut down
