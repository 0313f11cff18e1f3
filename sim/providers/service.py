"""The parameters of a service's behaviour: what a price book assumes of it and a scenario may override.

Every value has its place in a book's ``[service]`` table beside a confidence mark, so nothing is a silent constant; a
scenario's own ``[service]`` table is laid over it key by key.
"""

import math
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from sim.document import Strict
from sim.units import (
    SECOND,
    Duration,
    Positive,
    PositiveDuration,
    PositiveTokens,
    Real,
    Share,
    Switch,
    Tokens,
    Whole,
    duration,
)

__all__ = [
    "BatchService",
    "Episodes",
    "ExplicitService",
    "FlexService",
    "ImplicitService",
    "Latency",
    "Overload",
    "Queueing",
    "Retention",
    "Service",
    "SlowBatch",
    "Turnaround",
]


_ROUND_OFF = 1e-12  # what adding decimal weights as floats may cost


def _none_if(word: str) -> BeforeValidator:
    """Return the reading of a limit that a word takes away, since TOML has no null."""
    return BeforeValidator(lambda value: None if value == word else value)


_Span = Annotated[PositiveDuration | None, _none_if("never")]  # ms
_Limit = Annotated[Annotated[Whole, Field(ge=1)] | None, _none_if("unlimited")]


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
    refreshed: Switch = True  # true: idle time, each use starts it anew; false: time since the prefix was stored


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

    on: Switch  # whether calls of other strategies that read no explicit cache meet it too
    minimum_tokens: Tokens | None = None  # None: the model's published minimum at the date
    block_tokens: Annotated[Whole, Field(ge=1)] = 1  # hits are rounded down to whole blocks
    available: Literal["arrival", "first_token"] = "first_token"  # when a prompt's prefix can be hit by others
    hit_chance: Annotated[list[HitChance], AfterValidator(_rising)]  # below the first step nothing is hit
    retention: Retention
    in_batch: Literal["none", "parallel", "sequential"] = "parallel"
    sightings: Annotated[Whole, Field(ge=1)] = 1  # times that a prefix is seen in a cell before it can be hit there
    cells: Annotated[Whole, Field(ge=1, le=4096)] = 1  # serving cells, each with a cache of its own
    affinity: Share = 0.0  # chance that a turn goes to the cell of its conversation, instead of any


class ExplicitService(Strict):
    """The cache that the caller creates."""

    minimum_tokens: Tokens | None = None  # None: the model's published minimum
    maximum_tokens: PositiveTokens | None = None  # None: the model's context window

    @model_validator(mode="after")
    def _some_size_is_allowed(self) -> Self:
        least, most = self.minimum_tokens, self.maximum_tokens
        if least is not None and most is not None and most < least:
            what = f"maximum_tokens {most:,} is below minimum_tokens {least:,}, so that nothing could be cached"
            raise PydanticCustomError("maximum", "{what}", {"what": what})
        return self


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


def _spell(value: int) -> int:
    """Refuse spells so short that a run has millions of them."""
    if value < SECOND:
        raise PydanticCustomError("spell", "too short for an episode; at least 1s on average")
    return value


class Episodes(Strict):
    """Spells of another weather: they begin at exponential gaps and last exponential times, as an on/off process."""

    every: Annotated[Duration, AfterValidator(_spell)]  # mean, from one's end to the next
    lasts: Annotated[Duration, AfterValidator(_spell)]  # mean


class SlowBatch(Episodes):
    """Slow days of the Batch API: jobs created in one take longer by a factor."""

    factor: Annotated[Positive, Field(le=1000)]


class BatchService(Strict):
    """The Batch API. What a price book leaves out is a matter of the platform, whose table is laid over the service's.

    The words ``"never"`` and ``"unlimited"`` take a limit of the platform away.
    """

    turnaround: Turnaround
    expires_after: _Span = None  # from creation, without results
    pending_limit: _Span = None  # pending: expires without results
    running_limit: _Span = None  # running: stopped, and what was finished by then is billed
    failure_chance: Share  # of one request in a job that succeeds otherwise
    job_failure_chance: Share = 0.0  # of a whole job
    jobs: _Limit = None  # pending or running at once
    job_requests: _Limit = None  # in one job
    file_bytes: _Limit = None  # of one job as a file
    inline_bytes: _Limit = None  # of one job sent inline
    bytes_per_token: Annotated[Whole, Field(ge=1)] = 5  # of a prompt in its file
    lost_reply_chance: Share = 0.0  # of the reply to the creation of a job
    lost_after: PositiveDuration = 60_000  # after which a client takes a reply for lost
    slow: SlowBatch | None = None

    @property
    def endless(self) -> bool:
        """Return whether a job may stay pending for ever."""
        stuck = any(part.median is None and part.weight > 0 for part in self.turnaround.components)
        return stuck and self.expires_after is None and self.pending_limit is None


class Queueing(Strict):
    """How long a flex call queues before its service: lognormal."""

    median: Duration
    sigma: Annotated[Real, Field(ge=0)]
    at_most: PositiveDuration

    @model_validator(mode="after")
    def _half_are_not_cut(self) -> Self:
        if self.median > self.at_most:
            what = f"the median {duration(self.median)} is above at_most {duration(self.at_most)}"
            raise PydanticCustomError("queueing", "{what}", {"what": what})
        return self


class FlexService(Strict):
    """The flex tier: half the price, no promise of time."""

    queueing: Queueing = Queueing.model_validate({"median": "2m", "sigma": 0.8, "at_most": "15m"})
    shed_chance: Share = 0.05  # a call is refused (503 or 429)


class Overload(Episodes):
    """Episodes in which the service is overloaded; calls of the priority tier do not notice."""

    shed_chance: Share  # a call is refused (503)
    slowdown: Annotated[Positive, Field(ge=1, le=1000)] = 1.0  # factor on the time of an answer


class Service(Strict):
    """All of it. ``latency`` overrides the figures of the model when it is given."""

    latency: Latency | None = None
    slowness_cv: Annotated[Real, Field(ge=0)]  # lognormal, mean 1
    refusal: PositiveDuration = 100  # until a caller knows that a call was refused
    implicit: ImplicitService
    explicit: ExplicitService = ExplicitService()
    batch: BatchService
    flex: FlexService = FlexService()
    overload: Overload | None = None
    redirects: Switch = True  # serve and bill the successor once a model is shut down
