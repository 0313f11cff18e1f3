"""The Batch API and its client: collect, send a job, look at it, settle or try again; guard deadlines."""

from sim.engines.laws import jobs as law
from sim.engines.laws.draws import redraw
from sim.engines.reference.client import Client
from sim.engines.reference.clock import BEGIN, END, Kind
from sim.engines.reference.explicit import Cache
from sim.engines.reference.job import Job, Reading
from sim.engines.reference.world import World
from sim.ledger import JobState, Mode, Status
from sim.strategies.decision import NEVER, BatchPlan, CacheUse

__all__ = ["BatchQueue"]

_JOB_DRAW = 1 << 16  # attempts of a job's own draw, far from those of its members


class BatchQueue:
    """The open collection and the jobs that were made of earlier ones."""

    def __init__(self, world: World, client: Client, plan: BatchPlan) -> None:
        self.world, self.client, self.plan = world, client, plan
        self.jobs: list[Job] = []
        self.duplicates: list[tuple[int, Job]] = []  # calls that were billed after their request was settled elsewhere
        self._open: dict[int, None] = {}  # in the order of their collection
        self._collection = 0
        self._use = [int(CacheUse.NONE)] * world.trace.requests
        self._tries = [0] * world.trace.requests
        self._claimed = [False] * world.trace.requests  # by the guard: in real time
        self._job_of: dict[int, Job] = {}
        self._turnaround = world.physics.turnaround_ms.tolist()
        self._failure, self._own = world.trace.failure.tolist(), world.trace.turnaround.tolist()
        self._starting: dict[int, tuple[list[int], dict[int, Cache]]] = {}

    def ask(self, request: int) -> None:
        """Handle an arrival as the strategy decides: into the collection, or straight to the service."""
        batch, use = self.client.decide(request)
        if not batch:
            self.client.call(request, use)
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
        """Close the collection and create its job, once the caches that it names are there."""
        collected, self._open = self._open, {}
        self._collection += 1
        members = [request for request in collected if not self._claimed[request]]
        if not members:
            return
        caches: dict[int, Cache] = {}
        now = created = self.world.clock.now
        for request in members:
            cache = self.client.cache(request, self._use[request])
            if cache is not None and self.client.caches is not None:
                caches[request] = cache
                self.client.caches.hold(cache)
                created = max(created, cache.ready)
        self._starting[members[0]] = members, caches
        if created > now:
            self.world.clock.at(created, BEGIN, members[0], Kind.SEND, self._create)
        else:
            self._create(members[0])

    def _create(self, first: int) -> None:
        """Create the job of a closed collection, without those that the guard has claimed meanwhile."""
        members, caches = self._starting.pop(first)
        now, world, rules = self.world.clock.now, self.world, self.world.rules.batch
        gone = [request for request in members if self._claimed[request]]
        members = [request for request in members if not self._claimed[request]]
        for request in gone:
            self._let_go(caches.pop(request, None))
        if not members:
            return
        for request in members:
            self._tries[request] += 1
            world.meter.attempts[request] += 1
        first = members[0]
        turnaround = self._turnaround[self._tries[first] - 1][first]
        started, end, expired = law.times(now, turnaround, rules.pending_share, rules.expires_after)
        job = Job(len(self.jobs), members, caches, now, started, end, expired, len(members))
        self.jobs.append(job)
        for request in members:
            self._job_of[request] = job
        if started != NEVER:
            world.clock.at(started, BEGIN, first, Kind.RUN, lambda _: self._run(job))
        world.clock.at(law.seen_at(now, end, self.plan.poll), END, first, Kind.SEEN, lambda _: self._seen(job))

    def _run(self, job: Job) -> None:
        """Start to run: every member reads what is cached now."""
        if job.state == JobState.CANCELLED:
            return
        job.state = JobState.RUNNING
        for request in job.members:
            job.readings[request] = self._read(job, request)
        if self.world.rules.implicit.in_batch == 1:
            self._leave(job.members, job)

    def _read(self, job: Job, request: int) -> Reading:
        world, cache = self.world, job.caches.get(request)
        epoch = world.epoch()
        if cache is not None and self.client.caches is not None:
            readable = self.client.caches.readable(cache, world.clock.now)
            prompt, cached, source = self.client.read(request, cache, 0) if readable else (world.prompt[request], 0, 0)
            self._let_go(cache)
            return Reading(epoch.model, prompt, cached, source, forbidden=not readable)
        in_batch = world.rules.implicit.in_batch
        prompt, cached, source = self.client.read(request, None, epoch.implicit_minimum if in_batch else -1)
        reading = Reading(epoch.model, prompt, cached, source, forbidden=False)
        if in_batch == 2:
            job.readings[request] = reading
            self._leave([request], job)
        return reading

    def _leave(self, members: list[int], job: Job) -> None:
        """Let the prompts of a running job leave their prefixes in the service's own cache."""
        rules = self.world.rules.implicit
        for request in members:
            if request not in job.caches:
                reading = job.readings[request]
                at_once = rules.at_arrival or rules.in_batch == 2
                self.client.leave(request, reading.prompt - reading.cached, reading.cached, at_once=at_once)

    def _seen(self, job: Job) -> None:
        """Look at a job that has ended: settle its members, or put them into another job."""
        if job.state == JobState.CANCELLED:
            return
        job.seen = self.world.clock.now
        if job.started == NEVER:
            for cache in job.caches.values():
                self._let_go(cache)
        failed = {request for request in job.members if self._failed(job, request)}
        job.state = job.outcome(len(failed))
        for request in job.members:
            if self._job_of.get(request) is job:
                del self._job_of[request]
            if request in failed or job.expired:
                self._again(request, job)
            elif self._claimed[request]:
                self.duplicates.append((request, job))
            else:
                self._settle(request, job)

    def _failed(self, job: Job, request: int) -> bool:
        rules, tries = self.world.rules.batch, self._tries[request]
        if job.expired:
            return False
        whole = redraw(self._own[job.members[0]], self._tries[job.members[0]] + _JOB_DRAW) < rules.job_failure
        return whole or job.readings[request].forbidden or redraw(self._failure[request], tries) < rules.failure

    def _settle(self, request: int, job: Job) -> None:
        meter, reading = self.world.meter, job.readings[request]
        meter.model[request], meter.mode[request], meter.job[request] = reading.model, Mode.BATCH, job.row
        meter.prompt[request], meter.cached[request] = reading.prompt, reading.cached
        meter.source[request], meter.sent[request] = reading.source, job.started
        self.client.settle(request, Status.DONE, self.world.clock.now)

    def _again(self, request: int, job: Job) -> None:
        """Put a request that got no answer into another job, without a cache that was forbidden, or give it up."""
        if self._claimed[request]:
            return
        reading = job.readings.get(request)
        if reading is not None and reading.forbidden:
            self._use[request] = CacheUse.NONE
        if self._tries[request] < self.plan.attempts:
            self._collect(request)
            return
        meter = self.world.meter
        meter.mode[request], meter.job[request] = Mode.BATCH, job.row
        meter.prompt[request], meter.model[request] = self.world.prompt[request], self.world.epoch().model
        self.client.settle(request, Status.EXPIRED if job.expired else Status.FAILED, self.world.clock.now)

    def _fall_back(self, request: int) -> None:
        """Send a request at once while its deadline can be met; cancel a pending job that nobody waits for."""
        if self.world.meter.status[request] != Status.PENDING or self._claimed[request]:
            return
        self._claimed[request] = True
        if request in self._open:
            del self._open[request]
            if not self._open:
                self._collection += 1
        job = self._job_of.pop(request, None)
        if job is not None:
            job.open -= 1
            now = self.world.clock.now
            if job.open == 0 and job.state == JobState.PENDING and now < job.end:  # else it has expired, unseen
                job.state, job.end = JobState.CANCELLED, now
                job.started = NEVER
                for cache in job.caches.values():
                    self._let_go(cache)
        self.client.call(request, self._use[request])

    def _let_go(self, cache: Cache | None) -> None:
        if cache is not None and self.client.caches is not None:
            self.client.caches.release(cache, self.world.clock.now)
