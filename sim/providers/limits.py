"""The limits that a provider publishes by usage tier, and what its platforms do differently."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from sim.document import Strict
from sim.providers.facts import Confidence, Family
from sim.providers.numbers import as_dollars
from sim.providers.project import Tier
from sim.units import PositiveDuration, PositiveTokens, Switch, Whole

__all__ = ["Enqueued", "Platform", "PublishedLimits", "Quota", "Spend"]

Text = Annotated[str, Field(min_length=1)]
Count = Annotated[Whole, Field(ge=1)]


class Quota(Strict):
    """One ``[[quotas]]`` entry: what a project of one tier may ask of one model; a blank limit is none."""

    model: Text
    tier: Tier
    offered: Switch = True  # false: the tier does not have the model
    requests_per_minute: Count | None = None
    tokens_per_minute: PositiveTokens | None = None  # of input, cached ones included
    requests_per_day: Count | None = None  # from one midnight Pacific to the next
    confidence: Confidence
    source: Text

    @property
    def limits(self) -> tuple[int | None, int | None, int | None]:
        """Return requests and tokens a minute, and requests a day."""
        return self.requests_per_minute, self.tokens_per_minute, self.requests_per_day


class Enqueued(Strict):
    """One ``[[enqueued]]`` entry: input tokens of all pending and running jobs of one of a family's models."""

    family: Family
    tier: Tier
    tokens: PositiveTokens
    confidence: Confidence
    source: Text


class Spend(Strict):
    """``[spend]``: dollars in any ten minutes by tier; a tier that is left out has no such limit."""

    usd_per_10_minutes: dict[Literal["free", "1", "2", "3"], Annotated[Any, BeforeValidator(as_dollars)]]
    confidence: Confidence
    source: Text


class Platform(Strict):
    """``[platforms.NAME]``: one way to the models; its service and terms are laid over the book's own."""

    explicit_in_batch: Switch  # whether a batched request may name an explicit cache
    minimum_ttl: PositiveDuration | None = None  # of an explicit cache
    service: dict[str, Any] = {}
    terms: dict[str, Any] = {}
    confidence: Confidence
    source: Text


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedLimits:
    """All limits of a book; what is not in it is taken for unlimited."""

    quotas: Mapping[tuple[str, str], Quota]  # by model and tier
    enqueued: Mapping[tuple[str, str], Enqueued]  # by family and tier
    spend: Spend | None
    priority_share: Fraction | None  # of a model's quota, that calls of the priority tier may use; None: not offered

    def spend_of(self, tier: str) -> Fraction | None:
        """Return the dollars that a tier may spend in any ten minutes, None = no limit."""
        return self.spend.usd_per_10_minutes.get(tier) if self.spend else None  # type: ignore[call-overload]
