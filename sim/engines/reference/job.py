"""A batch job as the engine knows it: who is in it, when it runs and ends, and what its members met."""

from dataclasses import dataclass, field

from sim.engines.laws.jobs import EXPIRED, STOPPED, finished
from sim.engines.reference.explicit import Cache
from sim.engines.reference.world import Reading
from sim.ledger import JobState
from sim.strategies.decision import NEVER

__all__ = ["Job", "Met"]


@dataclass(slots=True)
class Met:
    """What one member of a job met when the job ran."""

    model: int
    reading: Reading
    forbidden: bool  # 403: the cache that it names was not alive


@dataclass(slots=True)
class Job:
    """One batch job; its draws and its place among simultaneous events are those of its first member."""

    row: int
    members: list[int]
    creations: list[int]  # of each member: the jobs that it stood in, this one included
    caches: dict[int, Cache]  # member -> the cache that its request names
    tokens: int  # of the prompts: what it takes of the enqueued limit
    collected: int
    created: int
    started: int
    end: int
    how: int  # ENDED, EXPIRED or STOPPED
    running: int  # ms that its whole run would take
    open: int  # members that nobody has claimed from it
    known: int  # ms: when its client learnt of it; of an orphan meaningless
    orphan: bool = False  # its client never learnt of it
    state: int = JobState.PENDING
    seen: int = NEVER  # ms: when its client saw that it had ended; of an orphan its end
    met: dict[int, Met] = field(default_factory=dict)

    @property
    def expired(self) -> bool:
        """Return whether it ends without results."""
        return self.how == EXPIRED

    @property
    def answered(self) -> int:
        """Return how many of its members, the first ones, are worked off when it ends."""
        if self.how != STOPPED:
            return len(self.members)
        return finished(len(self.members), self.end - self.started, self.running)

    def outcome(self, failed: int) -> int:
        """Return the state in which the job ends, given how many of its members failed."""
        if self.expired:
            return JobState.EXPIRED
        if not failed:
            return JobState.SUCCEEDED
        if failed < len(self.members):
            return JobState.PARTIALLY_SUCCEEDED
        return JobState.CANCELLED if self.how == STOPPED else JobState.FAILED
