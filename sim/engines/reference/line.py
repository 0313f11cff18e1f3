"""Closed collections that wait for room: jobs at once, tokens enqueued, and what a single job can hold."""

from collections import deque

from sim.engines.laws.jobs import fitting
from sim.engines.reference.world import World
from sim.strategies.decision import BatchPlan

__all__ = ["Line"]


class Line:
    """First come, first served: who does not fit keeps those behind waiting.

    Room is given back when a client sees that its job has ended; of a job that it never learnt of, when that ends.
    """

    def __init__(self, world: World, plan: BatchPlan) -> None:
        self._world, self._plan = world, plan
        self._waiting: deque[tuple[int, list[int]]] = deque()  # (when it was closed, its requests)
        self._jobs = self._tokens = 0

    def join(self, members: list[int]) -> None:
        """Put a collection that is closed now at the end of the line."""
        self._waiting.append((self._world.clock.now, members))

    def rejoin(self, closed: int, members: list[int]) -> None:
        """Put requests that stood in line before at its head."""
        self._waiting.appendleft((closed, members))

    def drop(self, claimed: list[bool]) -> None:
        """Forget what nobody waits for any more at the head of the line."""
        while self._waiting:
            closed, members = self._waiting[0]
            kept = [request for request in members if not claimed[request]]
            if kept:
                self._waiting[0] = closed, kept
                return
            self._waiting.popleft()

    def next(self) -> tuple[int, list[int]] | None:
        """Return (when it was closed, requests) of the next job that there is room for, None = there is none.

        A collection too large for one job goes in several. A request too large for any job comes back alone, with
        nothing taken: see :meth:`refuses`.
        """
        if not self._waiting:
            return None
        closed, members = self._waiting[0]
        prompt, batch = self._world.prompt, self._world.rules.batch
        tokens = [prompt[request] for request in members]
        count = fitting(tokens, 0, batch.job_requests, self._most_tokens())
        if count == 0:
            return self._split(closed, members, 1)
        if 0 <= batch.jobs <= self._jobs or 0 <= self._enqueued() < self._tokens + sum(tokens[:count]):
            return None
        self.take(sum(tokens[:count]))
        return self._split(closed, members, count)

    def refuses(self, request: int) -> bool:
        """Return whether a request is too large for any job."""
        return bool(0 <= self._most_tokens() < self._world.prompt[request])

    def take(self, tokens: int) -> None:
        """Give room to a job."""
        self._jobs += 1
        self._tokens += tokens

    def give(self, tokens: int, jobs: int = 1) -> None:
        """Take room back."""
        self._jobs -= jobs
        self._tokens -= tokens

    def _split(self, closed: int, members: list[int], count: int) -> tuple[int, list[int]]:
        self._waiting.popleft()
        if count < len(members):
            self._waiting.appendleft((closed, members[count:]))
        return closed, members[:count]

    def _enqueued(self) -> int:
        return self._world.epoch().enqueued_tokens

    def _most_tokens(self) -> int:
        """Return how many tokens one job can have: what its file holds, and what may be enqueued at all."""
        batch = self._world.rules.batch
        sizes = (batch.inline_tokens if self._plan.inline else batch.job_tokens, self._enqueued())
        return min((size for size in sizes if size >= 0), default=-1)
