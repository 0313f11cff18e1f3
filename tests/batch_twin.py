"""A naive twin of the whole engine but the implicit cache: one list of things to come, and lives replayed ms by ms."""

from fractions import Fraction

import numpy as np

from sim.engines.laws.draws import redraw
from sim.ledger import JobState, Mode, Source, Status
from sim.strategies.decision import CacheUse, View

END, BEGIN = 0, 1
FREE, ANSWER, SEEN, ASK, RUN, GUARD, SEND = range(7)
SECOND_DRAW = 1 << 16  # the draw of a whole job is the first member's own, so many attempts away
REQUEST_COLUMNS = (
    "model",
    "mode",
    "prompt",
    "cached",
    "source",
    "arrived",
    "sent",
    "done",
    "attempts",
    "status",
    "job",
)


class TwinCache:
    """A cache as its diary: what happened to it, in order."""

    def __init__(self, twin, creator, tokens):
        self.plan, self.tokens, self.born = twin.plan.cache, tokens, twin.now
        self.creator, self.reads, self.deleted, self.diary, self.asked = creator, 0, None, [], self.born
        self.ready = twin.now + twin.takes(tokens, 0, 0, creator)

    def note(self, what, now):
        self.diary.append((now, what))

    def life(self, upto):
        """Return (end or None, expiry, last use) at the end of millisecond ``upto``."""
        plan, expiry, used, held = self.plan, self.born + self.plan.ttl, self.ready, 0
        diary = list(self.diary)
        for now in range(self.born, upto + 1):
            ends = [expiry]
            if self.deleted is not None:
                ends.append(self.deleted)
            if plan.idle >= 0 and not held:
                ends.append(used + plan.idle)
            if now >= min(ends):
                return min(ends), expiry, used
            if 0 <= plan.renew_margin < plan.ttl and now == expiry - plan.renew_margin:
                expiry = now + plan.ttl
            while diary and diary[0][0] == now:
                what = diary.pop(0)[1]
                held += {"hold": 1, "release": -1, "read": 0}[what]
                if what != "hold":
                    used = max(used, now)
                if what == "read" and plan.renew_on_use:
                    expiry = max(expiry, now + plan.ttl)
        return None, expiry, used

    def over(self, now):
        self.asked = max(self.asked, now)  # the keeper renews it as long as anybody still asks for it
        return self.life(now)[0] is not None or (self.deleted is not None and self.deleted <= now)

    def last_use(self):
        return max([self.ready, *(at for at, what in self.diary if what != "hold")])


class Twin:
    """One run; ``play`` returns the ledger's columns as lists."""

    def __init__(self, trace, plan, rules, physics):
        self.trace, self.plan, self.rules, self.physics = trace, plan, rules, physics
        self.n, self.now, self.agenda = trace.requests, 0, []
        self.row = [dict.fromkeys(REQUEST_COLUMNS, 0) for _ in range(self.n)]
        for row in self.row:
            row.update(
                arrived=-1, sent=-1, done=-1, job=-1, status=Status.PENDING, mode=Mode.STANDARD, source=Source.NONE
            )
        self.pot, self.pot_number, self.uses, self.tries, self.gone = [], 0, {}, [0] * self.n, set()
        self.jobs, self.duplicates, self.caches, self.cache_of, self.asked_before = [], [], [], {}, {}
        self.slots_used, self.line = 0, []

    # ------------------------------------------------------------ time

    def later(self, time, phase, request, kind, action):
        self.agenda.append((time, phase, request, kind, action))

    def play(self):
        for request in range(self.n):
            if self.trace.follows[request] < 0:
                self.later(int(self.trace.arrive[request]), BEGIN, request, ASK, lambda r=request: self.ask(r))
        self.until_quiet()
        while self.pot:
            self.now = max(self.now, self.trace.horizon)
            self.send()
            self.until_quiet()
        return self.columns()

    def until_quiet(self):
        while self.agenda:
            entry = min(self.agenda, key=lambda e: e[:4])
            self.agenda.remove(entry)
            assert entry[0] >= self.now
            self.now = entry[0]
            entry[4]()

    def takes(self, uncached, cached, output, request):
        law = self.rules.epochs[0].latency
        ns = law.base_ns + law.uncached_ns * uncached + law.cached_ns * cached + law.output_ns * output
        return max(1, int(Fraction(ns * int(self.physics.slowness[request]), 65_536 * 10**6)))

    # ------------------------------------------------------------ what is asked

    def context(self, request):
        """Return the node that may be cached (the tree of these tests has one level), or None."""
        leaf = int(self.trace.leaf[request])
        if self.plan.cache is None or leaf < 0 or not self.trace.context[leaf]:
            return None
        return leaf if self.trace.depth[leaf] >= max(1, self.rules.epochs[0].explicit_minimum) else None

    def ask(self, request):
        node, seen, tokens = self.context(request), 0, 0
        self.row[request]["arrived"] = self.now
        if node is not None:
            tokens, seen = int(self.trace.depth[node]), self.asked_before.get(node, 0)
            self.asked_before[node] = seen + 1
        view = View(int(self.trace.patience[request]), int(self.trace.prompt[request]), tokens, seen)
        batch, use = self.plan.decide(self.plan.params, view)
        self.uses[request] = use
        if self.plan.batch is None or not batch:
            self.call(request)
            return
        if self.plan.batch.guard >= 0:
            at = max(self.now, self.now + int(self.trace.patience[request]) - self.plan.batch.guard)
            self.later(at, BEGIN, request, GUARD, lambda: self.fall_back(request))
        self.collect(request)

    def cache_for(self, request):
        node, use = self.context(request), self.uses[request]
        if node is None or use == CacheUse.NONE:
            return None
        if node in self.cache_of and not self.cache_of[node].over(self.now):
            return self.cache_of[node]
        if use == CacheUse.READ:
            return None
        cache = self.cache_of[node] = TwinCache(self, request, int(self.trace.depth[node]))
        self.caches.append(cache)
        return cache

    # ------------------------------------------------------------ ordinary calls

    def call(self, request):
        if 0 <= self.rules.concurrency <= self.slots_used:
            self.line.append(request)
            return
        self.slots_used += 1
        self.start(request)

    def free(self):
        self.slots_used -= 1
        if self.line:
            self.slots_used += 1
            self.start(self.line.pop(0))

    def start(self, request):
        cache = self.cache_for(request)
        if cache is not None and self.now < cache.ready:
            if self.plan.cache.wait or cache.creator == request:
                self.later(cache.ready, BEGIN, request, ASK, lambda: self.after_creation(request))
                return
            cache = None
        self.answer(request, cache)

    def after_creation(self, request):
        cache = self.cache_of.get(self.context(request))
        good = cache is not None and cache.ready <= self.now and not cache.over(self.now)
        self.answer(request, cache if good else None)

    def answer(self, request, cache):
        row, prompt = self.row[request], int(self.trace.prompt[request])
        cached = 0 if cache is None else cache.tokens
        if cache is not None:
            cache.reads += 1
            cache.note("read", self.now)
        done = self.now + self.takes(prompt - cached, cached, int(self.trace.output[request]), request)
        source = Source.NONE if cache is None else Source.EXPLICIT
        row.update(mode=Mode.STANDARD, job=-1, prompt=prompt, cached=cached, source=source, sent=self.now)
        row["attempts"] += 1
        if self.rules.concurrency >= 0:
            self.later(done, END, request, FREE, self.free)
        self.settle(request, Status.DONE, done)

    def settle(self, request, status, done):
        self.row[request].update(status=status, done=done)
        node = self.context(request)
        if node is not None and self.plan.cache.last_use:
            mine = [r for r in range(self.n) if self.context(r) == node]
            if all(self.row[r]["status"] != Status.PENDING for r in mine) and node in self.cache_of:
                self.cache_of[node].deleted = max(self.row[r]["done"] for r in mine)
        for follower in range(self.n):
            if self.trace.follows[follower] == request:
                self.later(done, END, request, ANSWER, lambda f=follower: self.go_on(request, f))

    def go_on(self, request, follower):
        if self.row[request]["status"] == Status.DONE:
            think = int(self.trace.think[follower])
            self.later(self.now + think, BEGIN, follower, ASK, lambda: self.ask(follower))
        else:
            self.settle(follower, Status.FAILED, self.now)

    # ------------------------------------------------------------ jobs

    def collect(self, request):
        plan = self.plan.batch
        self.pot.append(request)
        if len(self.pot) == plan.size:
            self.send()
        elif len(self.pot) == 1:
            due = self.now
            timed = plan.window >= 0 or plan.every > 0 or any(at >= self.now for at in plan.at)
            while timed and not (
                due == self.now + plan.window or (plan.every > 0 and due % plan.every == 0) or due in plan.at
            ):
                due += 1
            if timed:
                self.later(due, BEGIN, self.n, SEND, lambda number=self.pot_number: self.send(number))

    def send(self, number=None):
        if number is not None and number != self.pot_number:
            return
        members, self.pot = self.pot, []
        self.pot_number += 1
        if not members:
            return
        named = {}
        for request in members:
            cache = self.cache_for(request)
            if cache is not None:
                named[request] = cache
                cache.note("hold", self.now)
        created = max([self.now, *(cache.ready for cache in named.values())])
        if created == self.now:
            self.create(members, named)
        else:
            self.later(created, BEGIN, members[0], SEND, lambda: self.create(members, named))

    def create(self, members, named):
        for request in [r for r in members if r in self.gone and r in named]:
            named.pop(request).note("release", self.now)
        members = [r for r in members if r not in self.gone]
        if not members:
            return
        first, batch = members[0], self.rules.batch
        for request in members:
            self.tries[request] += 1
            self.row[request]["attempts"] += 1
        takes = int(self.physics.turnaround_ms[self.tries[first] - 1][first])
        job = {"members": members, "named": named, "created": self.now, "state": JobState.PENDING, "met": {}}
        job.update(expired=takes < 0 or takes > batch.expires_after, started=-1, open=set(members))
        job["end"] = self.now + (batch.expires_after if job["expired"] else takes)
        pending = min(takes * batch.pending_share // 65_536, takes - 1)
        if takes >= 0 and (not job["expired"] or pending < batch.expires_after):
            job["started"] = self.now + pending
            self.later(job["started"], BEGIN, first, RUN, lambda: self.run(job))
        look = self.now
        while look < job["end"]:
            look += self.plan.batch.poll
        self.later(look, END, first, SEEN, lambda: self.see(job))
        self.jobs.append(job)

    def run(self, job):
        if job["state"] == JobState.CANCELLED:
            return
        job["state"] = JobState.RUNNING
        for request in job["members"]:
            cache, met = job["named"].get(request), {"cached": 0, "source": Source.NONE, "forbidden": False}
            if cache is not None:
                met["forbidden"] = cache.ready > self.now or cache.over(self.now)
                if not met["forbidden"]:
                    met.update(cached=cache.tokens, source=Source.EXPLICIT)
                    cache.reads += 1
                    cache.note("read", self.now)
                cache.note("release", self.now)
            job["met"][request] = met

    def see(self, job):
        if job["state"] == JobState.CANCELLED:
            return
        job["seen"] = self.now
        if job["started"] < 0:
            for cache in job["named"].values():
                cache.note("release", self.now)
        failed = [] if job["expired"] else [r for r in job["members"] if self.fails(job, r)]
        if job["expired"]:
            job["state"] = JobState.EXPIRED
        elif len(failed) == len(job["members"]):
            job["state"] = JobState.FAILED
        else:
            job["state"] = JobState.PARTIALLY_SUCCEEDED if failed else JobState.SUCCEEDED
        for request in job["members"]:
            answered = not job["expired"] and request not in failed
            if answered and request in self.gone:
                self.duplicates.append((request, job))
            elif answered:
                met = job["met"][request]
                self.row[request].update(mode=Mode.BATCH, job=self.jobs.index(job), sent=job["started"])
                self.row[request].update(
                    prompt=int(self.trace.prompt[request]), cached=met["cached"], source=met["source"]
                )
                self.settle(request, Status.DONE, self.now)
            elif request not in self.gone:
                self.no_answer(request, job)

    def fails(self, job, request):
        first, batch = job["members"][0], self.rules.batch
        whole = redraw(int(self.trace.turnaround[first]), self.tries[first] + SECOND_DRAW) < batch.job_failure
        alone = redraw(int(self.trace.failure[request]), self.tries[request]) < batch.failure
        return whole or alone or job["met"][request]["forbidden"]

    def no_answer(self, request, job):
        if request in job["met"] and job["met"][request]["forbidden"]:
            self.uses[request] = CacheUse.NONE
        if self.tries[request] < self.plan.batch.attempts:
            self.collect(request)
            return
        self.row[request].update(mode=Mode.BATCH, job=self.jobs.index(job), prompt=int(self.trace.prompt[request]))
        self.settle(request, Status.EXPIRED if job["expired"] else Status.FAILED, self.now)

    def fall_back(self, request):
        if self.row[request]["status"] != Status.PENDING:
            return
        self.gone.add(request)
        if request in self.pot:
            self.pot.remove(request)
            self.pot_number += not self.pot
        for job in self.jobs:
            if job["state"] == JobState.PENDING and request in job["open"] and job["end"] > self.now:
                job["open"].discard(request)
                if not job["open"]:
                    job.update(state=JobState.CANCELLED, end=self.now, started=-1)
                    for cache in job["named"].values():
                        cache.note("release", self.now)
        self.call(request)

    # ------------------------------------------------------------ the ledger

    def columns(self):
        made = {name: [int(row[name]) for row in self.row] for name in REQUEST_COLUMNS}
        made["duplicate_request"] = [request for request, _ in self.duplicates]
        made["duplicate_cached"] = [job["met"][request]["cached"] for request, job in self.duplicates]
        made["duplicate_sent"] = [job["started"] for _, job in self.duplicates]
        made["duplicate_done"] = [job["seen"] for _, job in self.duplicates]
        last = max((row["arrived"] for row in self.row), default=0)
        lives = [cache.life(max(last, cache.asked, cache.last_use())) for cache in self.caches]
        ends = [self.end(cache, life) for cache, life in zip(self.caches, lives, strict=True)]
        made["cache_tokens"] = [cache.tokens for cache in self.caches]
        made["cache_born"] = [cache.born for cache in self.caches]
        made["cache_until"] = ends
        made["cache_committed"] = [max(life[1], end) for life, end in zip(lives, ends, strict=True)]
        made["cache_reads"] = [cache.reads for cache in self.caches]
        for name in ("created", "started", "state"):
            made[f"job_{name}"] = [int(job[name]) for job in self.jobs]
        made["job_done"] = [job["end"] for job in self.jobs]
        return made

    @staticmethod
    def end(cache, life):
        """Return when a cache ended, once nothing happens to it any more."""
        end, expiry, used = life
        if end is not None:
            return end
        ends = [expiry] + ([used + cache.plan.idle] if cache.plan.idle >= 0 else [])
        return min(ends + ([cache.deleted] if cache.deleted is not None else []))


def differences(ledger, columns):
    """Return the columns in which a ledger and a twin differ: (name, ledger's, twin's)."""
    pairs = [(name, np.asarray(getattr(ledger, name)).tolist(), values) for name, values in columns.items()]
    return [(name, ours, theirs) for name, ours, theirs in pairs if ours != theirs]
