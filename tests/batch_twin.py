"""A naive twin of the whole engine but the implicit cache: calls of ``calls_twin``, and the jobs of the Batch API.

It is written from the rules and not from the engine; what it counts with is not shared with it.
"""

from fractions import Fraction

import numpy as np
from calls_twin import BEGIN, END, GUARD, ORPHAN, REQUEST_COLUMNS, RUN, SECOND_DRAW, SEEN, SEND, Calls
from quota_twin import FOREVER

from sim.engines.laws.draws import redraw
from sim.ledger import JobState, Ledger, Limit, Mode, Status
from sim.strategies.decision import CacheUse

ENDED, STOPPED, EXPIRED = range(3)  # what happens first of what happens at one instant
LIST_COLUMNS = Ledger._fields[len(REQUEST_COLUMNS) : -2]


class Job:
    """A batch job and what its client knows of it."""

    def __init__(self, members, named, collected):
        self.members, self.named, self.collected = members, named, collected
        self.state, self.met, self.answered, self.orphan = JobState.PENDING, {}, [], False
        self.open = set(members)

    def let_go(self, now):
        """Give up every hold on a cache."""
        for cache in self.named.values():
            cache.release(now)


def timeline(created, turnaround, batch):
    """Return (started or -1, end, how): whatever comes first ends a job, itself before any limit."""
    whole = FOREVER if turnaround < 0 else turnaround
    pending = FOREVER if turnaround < 0 else min(int(Fraction(turnaround * batch.pending_share, 65_536)), whole - 1)
    ends = [(whole, ENDED)]
    if batch.running_limit >= 0:
        ends.append((pending + batch.running_limit, STOPPED))
    if batch.expires_after >= 0:
        ends.append((batch.expires_after, EXPIRED))
    if 0 <= batch.pending_limit < pending:
        ends.append((batch.pending_limit, EXPIRED))
    end, how = min(ends)
    return created + pending if pending < end else -1, created + end, how


class Twin(Calls):
    """One run; ``play`` returns the ledger's columns as lists."""

    def __init__(self, trace, plan, rules, physics):
        super().__init__(trace, plan, rules, physics)
        self.pot, self.pot_number, self.gone, self.again = [], 0, set(), set()
        self.line, self.enqueued, self.jobs_now, self.settling = [], 0, 0, False
        self.jobs, self.duplicates = [], []

    def play(self):
        self.begin()
        self.until_quiet()
        while self.pot:
            self.mark("what is left over is sent at the end")
            self.now = max(self.now, self.trace.horizon)
            self.close()
            self.until_quiet()
        assert not self.line
        assert not self.enqueued
        assert not self.jobs_now
        return self.columns()

    # ------------------------------------------------------------ collecting

    def collect_first(self, request):
        guard = self.plan.batch.guard
        if guard >= 0:
            at = max(self.now, self.now + int(self.trace.patience[request]) - guard)
            self.later(at, BEGIN, request, GUARD, lambda: self.fall_back(request))
        self.collect(request)

    def collect(self, request):
        plan = self.plan.batch
        self.pot.append(request)
        if len(self.pot) == plan.size:
            self.close()
        elif len(self.pot) == 1:
            dues = [self.now + plan.window] if plan.window >= 0 else []
            dues += [t for t in range(self.now, self.now + plan.every) if t % plan.every == 0]
            dues += [at for at in plan.at if at >= self.now]
            if dues:
                number = self.pot_number
                self.later(min(dues), BEGIN, self.n, SEND, lambda: self.close(number))

    def close(self, number=None):
        """Put the collection at the end of the line, unless it is another one by now."""
        if number is not None and number != self.pot_number:
            return
        members, self.pot = self.pot, []
        self.pot_number += 1
        if members:
            self.line.append((members, self.now))
            self.move_line()

    # ------------------------------------------------------------ the line

    def move_line(self):
        """Let jobs leave the line as long as there is room."""
        while self.line and not self.settling:
            members, closed = self.line.pop(0)
            members = [request for request in members if request not in self.gone]
            fit = self.fitting(members)
            if members and not fit:
                self.mark("a request is too large for any job")
                self.too_large(members[0])
                self.line.insert(0, (members[1:], closed))
            elif members and not self.has_room(members[:fit]):
                self.mark("a job waits for room")
                self.line.insert(0, (members, closed))
                return
            elif members:
                if members[fit:]:
                    self.mark("a collection is split")
                self.line.insert(0, (members[fit:], closed))
                self.depart(members[:fit], closed)

    def tokens_of(self, members):
        return sum(int(self.trace.prompt[request]) for request in members)

    def fitting(self, members):
        """Return how many of the first members make one job."""
        batch = self.rules.batch
        limits = [batch.inline_tokens if self.plan.batch.inline else batch.job_tokens, self.epoch().enqueued_tokens]
        most = min([limit for limit in limits if limit >= 0], default=FOREVER)
        count = len(members) if batch.job_requests < 0 else min(len(members), batch.job_requests)
        while self.tokens_of(members[:count]) > most:
            count -= 1
        return count

    def has_room(self, members):
        batch, most = self.rules.batch, self.epoch().enqueued_tokens
        if 0 <= batch.jobs <= self.jobs_now:
            return False
        return most < 0 or self.enqueued + self.tokens_of(members) <= most

    def too_large(self, request):
        self.unanswered(request)
        self.rows[request].update(mode=Mode.BATCH, job=-1)
        self.settle(request, Status.FAILED, self.now)

    def give_back(self, members, jobs):
        self.enqueued -= self.tokens_of(members)
        self.jobs_now -= jobs

    def depart(self, members, closed):
        """Take room, and wait for the caches that the job names."""
        self.enqueued += self.tokens_of(members)
        self.jobs_now += 1
        named = {}
        for request in members:
            cache = self.wanted(request)
            if cache is not None:
                named[request] = cache
                cache.hold(self.now)
        ready = max([self.now, *(cache.ready for cache in named.values())])
        if ready > self.now:
            self.mark("a job waits for its caches")
        if ready == self.now:
            self.create(members, named, closed)
        else:
            self.later(ready, BEGIN, members[0], SEND, lambda: self.create_late(members, named, closed))

    # ------------------------------------------------------------ jobs

    def create_late(self, members, named, closed):
        gone = [request for request in members if request in self.gone]
        kept = [request for request in members if request not in self.gone]
        for request in gone:
            if request in named:
                named.pop(request).release(self.now)
        if gone:
            self.mark("claimed while its job's caches were created")
        self.give_back(gone, jobs=int(not kept))
        if kept:
            self.create(kept, named, closed)
        if gone:
            self.move_line()

    def create(self, members, named, closed):
        first, job, batch = members[0], Job(members, named, closed), self.rules.batch
        again = first in self.again
        for request in members:
            self.asked[request].created += 1
            self.asked[request].jobs += request not in self.again
            self.rows[request]["attempts"] += 1
            self.again.discard(request)
        job.created, job.number = self.now, {request: self.asked[request].created for request in members}
        takes = int(self.physics.turnaround_ms[job.number[first] - 1][first])
        if again:
            self.mark("a job is created again")
        if takes > 0 and self.within(self.physics.slow):
            self.mark("a job is created while batch is slow")
            takes = max(1, int(Fraction(takes * batch.slow_factor, 65_536)))
        job.started, job.end, job.how = timeline(self.now, takes, batch)
        job.running = self.now + takes - job.started
        self.jobs.append(job)
        if job.started >= 0:
            self.later(job.started, BEGIN, first, RUN, lambda: self.run(job))
        lost = not again and redraw(int(self.trace.reply[first]), job.number[first]) < batch.lost_reply
        if lost:
            self.mark("a lost reply is found out" if self.plan.batch.deduplicate else "a reply is lost")
        if lost and not self.plan.batch.deduplicate:
            job.orphan = True
            self.later(job.end, END, first, ORPHAN, lambda: self.orphan_ends(job))
            self.later(self.now + batch.lost_after, BEGIN, first, SEND, lambda: self.send_again(job))
            return
        look = job.known = self.now + (batch.lost_after if lost else 0)
        while look < job.end:
            look += self.plan.batch.poll
        self.later(look, END, first, SEEN, lambda: self.see(job))

    def run(self, job):
        if job.state == JobState.CANCELLED:
            return
        job.state, job.model = JobState.RUNNING, self.epoch().model
        for request in job.members:
            cache = job.named.get(request)
            if cache is not None and not cache.readable(self.now):
                self.rows[request]["forbidden"] += 1
                self.count(Limit.FORBIDDEN, self.now)
                self.mark(f"a job is forbidden because {cache.why_over(self.now)}")
                job.met[request] = "forbidden"
            elif cache is not None:
                cache.read(self.now)
                job.met[request] = cache
        job.let_go(self.now)

    def finish(self, job):
        """Settle the state of a job that has ended, and who was answered."""
        if job.started < 0:
            job.let_go(self.now)
        n = len(job.members)
        self.mark(f"a job {('ends', 'is stopped', 'expires')[job.how]}{' unstarted' if job.started < 0 else ''}")
        if job.how == EXPIRED:
            job.state = JobState.EXPIRED
            return
        reached = n if job.how == ENDED else n * (job.end - job.started) // job.running
        job.answered = [request for request in job.members[:reached] if not self.fails(job, request)]
        if len(job.answered) == n:
            job.state = JobState.SUCCEEDED
        elif job.answered:
            job.state = JobState.PARTIALLY_SUCCEEDED
        else:
            job.state = JobState.CANCELLED if job.how == STOPPED else JobState.FAILED

    def fails(self, job, request):
        first, batch = job.members[0], self.rules.batch
        whole = redraw(int(self.trace.turnaround[first]), job.number[first] + SECOND_DRAW) < batch.job_failure
        alone = redraw(int(self.trace.failure[request]), job.number[request]) < batch.failure
        if whole:
            self.mark("a job fails as a whole")
        if alone:
            self.mark("a request fails in its job")
        return whole or alone or job.met.get(request) == "forbidden"

    def see(self, job):
        if job.state == JobState.CANCELLED:
            return
        self.settling = True
        self.finish(job)
        self.give_back(job.members, jobs=1)
        for request in job.members:
            if request in job.answered and request in self.gone:
                self.mark("a claimed request is answered by its job too")
                self.duplicates.append((request, job, self.now))
            elif request in job.answered:
                cache = job.met.get(request)
                self.answered(request, cache, job.started)
                self.rows[request].update(mode=Mode.BATCH, job=self.jobs.index(job), model=job.model)
                self.settle(request, Status.DONE, self.now)
            elif request not in self.gone:
                self.no_answer(request, job)
        self.settling = False
        self.move_line()

    def no_answer(self, request, job):
        if job.met.get(request) == "forbidden":
            self.asked[request].use = CacheUse.NONE
        if self.asked[request].jobs < self.plan.batch.attempts:
            self.mark("a request is collected again")
            self.collect(request)
            return
        self.unanswered(request)
        self.rows[request].update(mode=Mode.BATCH, job=self.jobs.index(job))
        self.settle(request, Status.EXPIRED if job.how == EXPIRED else Status.FAILED, self.now)

    # ------------------------------------------------------------ lost replies and the guard

    def orphan_ends(self, job):
        self.finish(job)
        if job.answered:
            self.mark("an orphan's answers are billed")
        self.duplicates += [(request, job, self.now) for request in job.answered]
        self.give_back(job.members, jobs=1)
        self.move_line()

    def send_again(self, job):
        members = [request for request in job.members if request not in self.gone]
        self.again.update(members)
        self.line.insert(0, (members, job.collected))
        self.move_line()

    def fall_back(self, request):
        if self.rows[request]["status"] != Status.PENDING:
            return
        self.gone.add(request)
        if any(request in members for members, _ in self.line):
            self.mark("claimed in the line")
        if request in self.pot:
            self.mark("claimed in the collection")
            self.pot.remove(request)
            self.pot_number += not self.pot
        emptied = []
        for job in self.jobs:
            if request in job.open and job.state == JobState.PENDING and job.end > self.now and not job.orphan:
                job.open.discard(request)
                emptied += [job] * (not job.open and self.now >= job.known)
        for job in emptied:
            self.mark("a pending job is cancelled")
            job.state, job.end, job.started = JobState.CANCELLED, self.now, -1
            job.let_go(self.now)
            self.give_back(job.members, jobs=1)
        self.call(request, Mode.STANDARD)
        if emptied:
            self.move_line()

    # ------------------------------------------------------------ the ledger

    def columns(self):
        made = {name: [int(row[name]) for row in self.rows] for name in REQUEST_COLUMNS}
        made |= {name: [] for name in LIST_COLUMNS}
        for request, job, done in self.duplicates:
            self.write("duplicate", made, self.duplicate(request, job, done))
        last = max((row["arrived"] for row in self.rows), default=0)
        for cache in self.caches:
            until, committed = cache.close(last)
            row = {"model": cache.model, "tokens": cache.tokens, "born": cache.born, "reads": cache.reads}
            row |= {"audio": int(self.trace.audio_depth[cache.node]), "until": until, "committed": committed}
            self.write("cache", made, row)
        for job in self.jobs:
            row = {"collected": job.collected, "created": job.created, "started": job.started, "done": job.end}
            row |= {"state": int(job.state), "requests": len(job.members), "tokens": self.tokens_of(job.members)}
            self.write("job", made, row)
        for (kind, hour), count in sorted(self.refusals.items()):
            self.write("limit", made, {"kind": kind, "hour": hour, "count": count})
        return made

    def duplicate(self, request, job, done):
        usage = self.usage(request, job.met.get(request), job.started)
        del usage["source"]
        usage |= {"model": job.model, "mode": int(Mode.BATCH), "output": int(self.trace.output[request])}
        return usage | {"request": request, "done": done}

    @staticmethod
    def write(table, made, row):
        for name, value in row.items():
            made[f"{table}_{name}"].append(value)


def differences(ledger, columns):
    """Return the columns in which a ledger and a twin differ: (name, ledger's, twin's)."""
    pairs = [(name, np.asarray(getattr(ledger, name)).tolist(), values) for name, values in columns.items()]
    return [(name, ours, theirs) for name, ours, theirs in pairs if ours != theirs]
