"""The Batch API and its client: collect, send jobs, look at them, settle or try again; guard deadlines."""

from sim.engines.laws import jobs as law
from sim.engines.laws.draws import redraw
from sim.engines.laws.weather import slowed
from sim.engines.reference.client import Client
from sim.engines.reference.clock import BEGIN, END, Kind
from sim.engines.reference.explicit import Cache
from sim.engines.reference.job import Job, Met
from sim.engines.reference.line import Line
from sim.engines.reference.world import Reading, World
from sim.ledger import JobState, Limit, Mode, Source, Status
from sim.strategies.decision import NEVER, BatchPlan, CacheUse

__all__ = ["BatchQueue"]

_JOB_DRAW = 1 << 16  # attempts of a job's own draw, far from those of its members


class BatchQueue:
    """The open collection, the line of closed ones, and the jobs that were made of earlier ones."""

    def __init__(self, world: World, client: Client, plan: BatchPlan) -> None:
        self.world, self.client, self.plan, self.keeper = world, client, plan, client.keeper
        self.jobs: list[Job] = []
        self.duplicates: list[tuple[int, Job]] = []  # calls that were billed although another settled their request
        self._open: dict[int, None] = {}  # in the order of their collection
        self._collection = 0
        self._line = Line(world, plan)
        n = world.trace.requests
        self._use = [int(CacheUse.NONE)] * n
        self._tries = [0] * n  # submissions
        self._creations = [0] * n  # jobs, those of lost replies included
        self._resent = [False] * n  # on their way into another job, because the reply to one was lost
        self._claimed = [False] * n  # by the guard: in real time
        self._job_of: dict[int, Job] = {}
        self._turnaround = world.physics.turnaround_ms.tolist()
        self._failure, self._own = world.trace.failure.tolist(), world.trace.turnaround.tolist()
        self._reply = world.trace.reply.tolist()
        self._starting: dict[int, tuple[int, list[int], dict[int, Cache]]] = {}

    # ------------------------------------------------------------ collecting

    def ask(self, request: int) -> None:
        """Handle an arrival as the strategy decides: into the collection, or straight to the service."""
        mode, use = self.client.decide(request)
        if mode != Mode.BATCH:
            self.client.call(request, mode, use)
            return
        self._use[request] = use
        if self.plan.guard != NEVER:
            world, now = self.world, self.world.clock.now
            at = law.guard_at(now, world.patience[request], self.plan.guard, now)
            world.clock.at(at, BEGIN, request, Kind.GUARD, self._fall_back)
        self._collect(request)

    def flush(self) -> bool:
        """Send what is still collected when nothing else can happen; return whether there was anything."""
        if not self._open:
            return False
        at = max(self.world.clock.now, self.world.trace.horizon)
        self.world.clock.at(at, BEGIN, self.world.trace.requests, Kind.SEND, lambda _: self._send())
        return True

    def _collect(self, request: int) -> None:
        self._open[request] = None
        if self.plan.size != NEVER and len(self._open) >= self.plan.size:
            self._send()
        elif len(self._open) == 1:
            now, plan, collection = self.world.clock.now, self.plan, self._collection
            due = law.next_send(now, plan.window, plan.every, plan.at)
            if due != NEVER:
                # after everything else of the instant, so that whoever arrives at it still comes along
                last = self.world.trace.requests
                self.world.clock.at(due, BEGIN, last, Kind.SEND, lambda _: self._send_if(collection))

    def _send_if(self, collection: int) -> None:
        if collection == self._collection:
            self._send()

    def _send(self) -> None:
        """Close the collection; its jobs are made as soon as there is room for them."""
        collected, self._open = self._open, {}
        self._collection += 1
        self._line.join(list(collected))
        self._admit()

    # ------------------------------------------------------------ making jobs

    def _admit(self) -> None:
        """Make jobs of what waits in line, as far as there is room."""
        self._line.drop(self._claimed)
        while (found := self._line.next()) is not None:
            closed, members = found
            if self._line.refuses(members[0]):
                self._end(members[0], Status.FAILED, NEVER)
            else:
                self._prepare(closed, members)
            self._line.drop(self._claimed)

    def _prepare(self, closed: int, members: list[int]) -> None:
        """Create the job of some requests, once the caches that they name are there."""
        caches: dict[int, Cache] = {}
        now = created = self.world.clock.now
        for request in members:
            cache = self.keeper.cache(request, self._use[request])
            if cache is not None:
                caches[request] = cache
                self.keeper.hold(cache)
                created = max(created, cache.ready)
        self._starting[members[0]] = closed, members, caches
        if created > now:
            self.world.clock.at(created, BEGIN, members[0], Kind.SEND, self._create)
        else:
            self._create(members[0])

    def _create(self, first: int) -> None:
        """Create the job, without those whom the guard has claimed meanwhile."""
        closed, members, caches = self._starting.pop(first)
        gone = [request for request in members if self._claimed[request]]
        members = [request for request in members if not self._claimed[request]]
        for request in gone:
            self.keeper.let_go(caches.pop(request, None))
        if gone:
            self._line.give(sum(self.world.prompt[request] for request in gone), jobs=int(not members))
        if members:
            again = self._resent[members[0]]
            for request in members:
                self._tries[request] += not self._resent[request]
                self._resent[request] = False
            self._made(closed, members, caches, again=again)
        if gone:
            self._admit()

    def _made(self, closed: int, members: list[int], caches: dict[int, Cache], *, again: bool = False) -> None:
        """Write down a job that exists from now on. ``again``: in place of one whose reply was lost."""
        now, world, rules = self.world.clock.now, self.world, self.world.rules.batch
        for request in members:
            self._creations[request] += 1
            world.meter.attempts[request] += 1
        first = members[0]
        turnaround = self._turnaround[self._creations[first] - 1][first]
        if turnaround > 0 and world.batch_is_slow():
            turnaround = max(1, slowed(turnaround, rules.slow_factor))
        started, end, how = law.times(now, turnaround, rules)
        tokens = sum(world.prompt[request] for request in members)
        creations = [self._creations[request] for request in members]
        times = closed, now, started, end, how, law.run_length(now, started, turnaround)
        lost = not again and redraw(self._reply[first], creations[0]) < rules.lost_reply
        known = now + rules.lost_after if lost else now
        job = Job(len(self.jobs), members, creations, caches, tokens, *times, open=len(members), known=known)
        self.jobs.append(job)
        if lost and not self.plan.deduplicate:
            self._lose(job)
        else:
            for request in members:
                self._job_of[request] = job
            world.clock.at(law.seen_at(known, end, self.plan.poll), END, first, Kind.SEEN, lambda _: self._seen(job))
        if started != NEVER:
            world.clock.at(started, BEGIN, first, Kind.RUN, lambda _: self._run(job))

    def _lose(self, job: Job) -> None:
        """Let a job go on of which its client never learnt; it creates another when it takes the reply for lost."""
        job.orphan = True
        clock, first = self.world.clock, job.members[0]
        clock.at(job.end, END, first, Kind.ORPHAN, lambda _: self._orphan_ends(job))
        clock.at(
            clock.now + self.world.rules.batch.lost_after, BEGIN, first, Kind.SEND, lambda _: self._make_again(job)
        )

    def _make_again(self, job: Job) -> None:
        """Put the members of a lost job at the head of the line, where the room that it takes is missing."""
        members = [request for request in job.members if not self._claimed[request]]
        if members:
            for request in members:
                self._resent[request] = True
            self._line.rejoin(job.collected, members)
            self._admit()

    # ------------------------------------------------------------ running and ending

    def _run(self, job: Job) -> None:
        """Start to run: every member reads what is cached now."""
        if job.state == JobState.CANCELLED:
            return
        job.state = JobState.RUNNING
        for request in job.members:
            job.met[request] = self._meet(job, request)
        if self.world.rules.implicit.in_batch == 1:
            self._leave(job.members, job)

    def _meet(self, job: Job, request: int) -> Met:
        world, cache = self.world, job.caches.get(request)
        epoch = world.epoch()
        if cache is not None:
            forbidden = self.keeper.forbidden(cache)
            if forbidden:
                reading = Reading(world.prompt[request], 0, 0, Source.NONE)
                world.meter.refuse(Limit.FORBIDDEN, world.clock.now)
                world.meter.forbidden[request] += 1
            else:
                reading = self.keeper.read(request, cache, 0)
            self.keeper.let_go(cache)
            return Met(epoch.model, reading, forbidden)
        in_batch = world.rules.implicit.in_batch
        reading = self.keeper.read(request, None, epoch.implicit_minimum if in_batch else NEVER)
        met = Met(epoch.model, reading, forbidden=False)
        if in_batch == 2:
            job.met[request] = met
            self._leave([request], job)
        return met

    def _leave(self, members: list[int], job: Job) -> None:
        """Let the prompts of a running job leave their prefixes in the service's own cache."""
        rules = self.world.rules.implicit
        for request in members:
            if request not in job.caches:
                at_once = rules.at_arrival or rules.in_batch == 2
                self.keeper.leave(request, job.met[request].reading, at_once=at_once)

    def _failed(self, job: Job) -> set[int]:
        """Return the members of a job that has ended who got no answer, though it did not expire."""
        if job.expired:
            return set()
        rules = self.world.rules.batch
        first = job.members[0]
        whole = redraw(self._own[first], job.creations[0] + _JOB_DRAW) < rules.job_failure
        failed = set(job.members[job.answered :])
        for request, creation in zip(job.members, job.creations, strict=True):
            alone = redraw(self._failure[request], creation) < rules.failure
            if whole or alone or job.met[request].forbidden:
                failed.add(request)
        return failed

    def _ended(self, job: Job) -> set[int]:
        """Note a job's end as its client sees it, and give its room back; return the members who got no answer."""
        job.seen = self.world.clock.now
        if job.started == NEVER:
            for cache in job.caches.values():
                self.keeper.let_go(cache)
        failed = self._failed(job)
        job.state = job.outcome(len(failed))
        self._line.give(job.tokens)
        return set(job.members) if job.expired else failed

    def _seen(self, job: Job) -> None:
        """Look at a job that has ended: settle its members, or put them into another job."""
        if job.state == JobState.CANCELLED:
            return
        unanswered = self._ended(job)
        for request in job.members:
            if self._job_of.get(request) is job:
                del self._job_of[request]
            if request in unanswered:
                self._again(request, job)
            elif self._claimed[request]:
                self.duplicates.append((request, job))
            else:
                self._settle(request, job)
        self._admit()

    def _orphan_ends(self, job: Job) -> None:
        """Bill what nobody waits for."""
        unanswered = self._ended(job)
        self.duplicates += [(request, job) for request in job.members if request not in unanswered]
        self._admit()

    def _settle(self, request: int, job: Job) -> None:
        meter, met = self.world.meter, job.met[request]
        meter.model[request], meter.mode[request], meter.job[request] = met.model, Mode.BATCH, job.row
        meter.prompt[request], meter.cached[request] = met.reading.prompt, met.reading.cached
        meter.cached_audio[request] = met.reading.cached_audio
        meter.source[request], meter.sent[request] = met.reading.source, job.started
        self.client.settle(request, Status.DONE, self.world.clock.now)

    def _again(self, request: int, job: Job) -> None:
        """Put a request that got no answer into another job, without a cache that was forbidden, or give it up."""
        if self._claimed[request]:
            return
        met = job.met.get(request)
        if met is not None and met.forbidden:
            self._use[request] = CacheUse.NONE
        if self._tries[request] < self.plan.attempts:
            self._collect(request)
        else:
            self._end(request, Status.EXPIRED if job.expired else Status.FAILED, job.row)

    def _end(self, request: int, status: int, job: int) -> None:
        """Give a request up."""
        meter = self.world.meter
        meter.mode[request], meter.job[request] = Mode.BATCH, job
        meter.prompt[request], meter.model[request] = self.world.prompt[request], self.world.epoch().model
        self.client.settle(request, status, self.world.clock.now)

    # ------------------------------------------------------------ the guard

    def _fall_back(self, request: int) -> None:
        """Send a request at once while its deadline can be met; cancel a pending job that nobody waits for."""
        if self.world.meter.status[request] != Status.PENDING or self._claimed[request]:
            return
        self._claimed[request] = True
        if request in self._open:
            del self._open[request]
            if not self._open:
                self._collection += 1
        cancelled = False
        job = self._job_of.pop(request, None)
        if job is not None:
            job.open -= 1
            cancelled = self._cancelled(job)
        self.client.call(request, Mode.STANDARD, self._use[request])
        if cancelled:
            self._admit()

    def _cancelled(self, job: Job) -> bool:
        """Cancel a job if it is pending and nobody waits for it; one that has expired, unseen, is not pending.

        Nobody can cancel a job whose name they have not found out yet.
        """
        now = self.world.clock.now
        if job.open or job.state != JobState.PENDING or not job.known <= now < job.end:
            return False
        job.state, job.end = JobState.CANCELLED, now
        job.started = NEVER
        for cache in job.caches.values():
            self.keeper.let_go(cache)
        self._line.give(job.tokens)
        return True
