"""A batch job as the engine knows it: who is in it, when it runs and ends, and what its members met."""

from dataclasses import dataclass, field

from sim.engines.reference.explicit import Cache
from sim.ledger import JobState
from sim.strategies.decision import NEVER

__all__ = ["Job", "Reading"]


@dataclass(slots=True)
class Reading:
    """What one member of a job met when the job ran."""

    model: int
    prompt: int
    cached: int
    source: int
    forbidden: bool  # 403: the cache that it names was not alive


@dataclass(slots=True)
class Job:
    """One batch job; its draws and its place among simultaneous events are those of its first member."""

    row: int
    members: list[int]
    caches: dict[int, Cache]  # member -> the cache that its request names
    created: int
    started: int
    end: int
    expired: bool
    open: int  # members that nobody has claimed from it
    state: int = JobState.PENDING
    seen: int = NEVER  # ms: when its client saw that it had ended
    readings: dict[int, Reading] = field(default_factory=dict)

    def outcome(self, failed: int) -> int:
        """Return the state in which the job ends, given how many of its members failed."""
        if self.expired:
            return JobState.EXPIRED
        if not failed:
            return JobState.SUCCEEDED
        return JobState.FAILED if failed == len(self.members) else JobState.PARTIALLY_SUCCEEDED
