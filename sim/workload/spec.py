"""What a scenario says about its traffic: ``[contexts.NAME]``, ``[streams.NAME]`` and the keys above them."""

from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import Field

from sim.document import Strict
from sim.units import Duration, Instant, Positive, PositiveDuration, Real, Zone
from sim.workload.arrivals import Arrivals
from sim.workload.civil import Clock
from sim.workload.laws import DurationLaw, SizeLaw
from sim.workload.media import PartsSpec

__all__ = ["ContextSpec", "SessionSpec", "StreamSpec", "WorkloadSpec", "has_parts"]


class ContextSpec(Strict):
    """A population of shared prompt prefixes: system prompts, documents, tool definitions.

    Document ``j`` of a population ``under`` another follows that one's document ``j mod count`` in the prompt.
    """

    under: str | None = None  # the context that precedes this one in the prompt
    count: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] = 1  # documents
    tokens: SizeLaw  # of the text of a document, without what precedes it
    parts: PartsSpec | None = None  # what a document holds besides its text
    zipf: Annotated[Real, Field(ge=0, le=10)] = 0.0  # document j is asked for in proportion to (j + 1)^-zipf
    replaced_every: PositiveDuration | None = (
        None  # every document has new contents, of the same size, from k x this on
    )


class SessionSpec(Strict):
    """A conversation: each turn's prompt repeats all questions and answers before it."""

    turns: SizeLaw
    think: DurationLaw  # from an answer to the next question; in an open loop from a question to the next
    loop: Literal["closed", "open"] = "closed"  # closed: the next question waits for the answer


class StreamSpec(Strict):
    """A class of traffic. With a ``session`` the arrivals are those of sessions."""

    arrivals: Arrivals
    context: str | None = None
    order: Literal["shared_first", "variable_first"] = "shared_first"  # variable text in front leaves no common prefix
    fresh: SizeLaw  # tokens of the text of a question
    parts: PartsSpec | None = None  # what a question holds besides its text
    output: SizeLaw  # tokens of an answer; without a law of thinking the thinking is among them
    thinking: SizeLaw | None = None  # tokens of thinking before an answer, which no later prompt repeats
    patience: Duration  # from a request's arrival to when its caller gives it up
    session: SessionSpec | None = None

    @property
    def shares(self) -> str | None:
        """Return the context whose nodes the prompts start from, None where they share none."""
        return self.context if self.order == "shared_first" else None


class WorkloadSpec(Strict):
    """All traffic of a scenario. The rules that bind tables to each other are in ``sim.workload.rules``."""

    start: Instant
    horizon: PositiveDuration
    time_zone: Zone = ZoneInfo("UTC")  # of profiles and schedules
    load: Positive = 1.0  # multiplies the arrivals of every stream; contexts stay as many as they are
    contexts: dict[str, ContextSpec] = Field(default_factory=dict)
    streams: Annotated[dict[str, StreamSpec], Field(min_length=1)]

    @property
    def clock(self) -> Clock:
        """Return what the arrival processes need of this."""
        return Clock(self.start, self.time_zone, self.horizon, self.load)


def has_parts(spec: WorkloadSpec) -> bool:
    """Return whether a workload holds pictures, film or sound, whose tokens depend on the model."""
    parts = [stream.parts for stream in spec.streams.values()] + [one.parts for one in spec.contexts.values()]
    return any(part is not None for part in parts)
