"""Naive twins of both caches: every millisecond stepped through, every token of every prompt compared, nothing clever.

They are written from the definitions and not from the engine; what they count with must not be shared with it.
"""

import heapq
from typing import NamedTuple

from sim.ledger import Limit, Source, Status
from sim.strategies.decision import NEVER

REQUEST_COLUMNS = (
    *("model", "prompt", "cached", "audio", "cached_audio", "source", "output"),
    *("arrived", "sent", "done", "attempts", "status", "forbidden"),
)
CACHE_COLUMNS = ("model", "tokens", "audio", "born", "until", "committed", "reads")
LIMIT_COLUMNS = ("limit_kind", "limit_hour", "limit_count")
HOUR = 3_600_000


class Story(NamedTuple):
    """What became of an explicit cache up to an instant."""

    over: int | None  # ms: when its life ended
    expiry: int  # ms: as last asked for
    lag: int  # ms by which its client's own clock is late
    let_go: bool  # whether its client had let it go when it was over


class Life:
    """One explicit cache: what happened to it, from which its life is stepped through again at every question."""

    def __init__(self, keep, creator, model, sizes, times):
        self.keep, self.creator, self.model = keep, creator, model
        self.tokens, self.audio = sizes
        self.born, self.ready, self.cap = times
        later = [instant for instant in keep.expire_at if instant > self.born]
        self.first = later[0] if later else self.born + keep.ttl
        self.uses, self.deleted = [], None
        self.asked = self.born  # the last instant before which somebody looked for it: its keeper went on until then

    def let_go(self, now):
        """Whether its client has let it go by now: it was idle for too long, or deleted."""
        used = max([self.ready, *(use for use in self.uses if use < now)])
        idle = self.keep.idle != NEVER and now >= used + self.keep.idle
        return idle or (self.deleted is not None and now >= self.deleted)

    def story(self, now, keeper_until=None):
        """Step from the birth through ``now``; the keeper renews at no instant after ``keeper_until``."""
        keep, expiry, lag = self.keep, self.first, (self.ready - self.born) * self.keep.own_clock
        for t in range(self.born, now + 1):
            if t >= expiry or self.let_go(t) or t >= self.cap >= 0:
                return Story(t, expiry, lag, self.let_go(t))
            due = keep.renew_margin > 0 and t == expiry + lag - keep.renew_margin
            if due and (keeper_until is None or t <= keeper_until):
                expiry, lag = t + keep.ttl, 0
            if t in self.uses and keep.renew_on_use and t + keep.ttl > expiry:
                expiry, lag = t + keep.ttl, 0
        return Story(None, expiry, lag, let_go=False)

    def believed(self, now):
        """Whether its client takes it to be alive: it knows of no end of a model, and its own clock may be late."""
        self.asked = max(self.asked, now - 1)
        told = self.story(now)
        return now < told.expiry + told.lag and not self.let_go(now)

    def readable(self, now):
        """Whether it can be read now, in truth; whoever waits for it may ask after the last arrival."""
        self.asked = max(self.asked, now - 1)
        return now >= self.ready and self.story(now).over is None

    def close(self, last_arrival):
        """Its end, and the end of what was committed to, when nothing more will be asked of it."""
        later = keeper_until = max([last_arrival, self.ready, self.asked, *self.uses])
        while (told := self.story(later, keeper_until)).over is None:
            later += self.keep.ttl + 1
        shortened = self.keep.shorten and told.let_go
        return told.over, told.over if shortened else max(told.expiry, told.over)


def took(law, uncached, cached, output, slowness):
    """Milliseconds of a call, rounded down, at least 1; a slowness of 65,536 is 1."""
    ns = law.base_ns + law.uncached_ns * uncached + law.cached_ns * cached + law.output_ns * output
    return max(1, ns * slowness // (65_536 * 10**6))


def path(trace, node):
    """The nodes from the root to a node."""
    return [] if node < 0 else [*path(trace, int(trace.parent[node])), node]


def tokens_of(trace, request):
    """Every token of a prompt, two prompts having one in common exactly where they share a prefix."""
    tokens, above = [], 0
    for node in path(trace, int(trace.leaf[request])):
        tokens += [("node", node, place) for place in range(above, int(trace.depth[node]))]
        above = int(trace.depth[node])
    return tokens + [("fresh", request, place) for place in range(int(trace.fresh[request]))]


class Memory:
    """The service's own cache: what was left in each cell, token by token."""

    def __init__(self, trace, physics, rules):
        self.trace, self.rules = trace, rules
        self.prompts = [tokens_of(trace, request) for request in range(trace.requests)]
        self.luck, self.keeps, self.cells = trace.luck.tolist(), physics.retention_ms.tolist(), physics.cell.tolist()
        self.left = []  # (available from, request, end of its model)

    def live(self, request, now):
        """How many tokens of the prompt, from its beginning, are live in its cell and were left there often enough."""
        until, times = {}, {}  # of each token: when the cell forgets it, how often it was left in its present life
        for at, other, cap in sorted(self.left):
            if at <= now and at < cap and self.cells[other] == self.cells[request]:
                ends = min(cap, at + self.keeps[other])
                for token in self.prompts[other]:
                    alive = at < until.get(token, at)
                    times[token] = times[token] + 1 if alive else 1
                    if self.rules.refreshed or not alive:
                        until[token] = max(until.get(token, at), ends)
        known = [
            now < until.get(token, now) and times[token] >= self.rules.sightings for token in self.prompts[request]
        ]
        return known.index(False) if False in known else len(known)

    def hit(self, request, now, minimum):
        """Tokens that the service reads from its cache, and how many of them are audio: evenly spread in what lives."""
        live = self.live(request, now) if minimum != -1 else 0
        whole = live // self.rules.block * self.rules.block
        chances = [chance for start, chance in self.rules.steps if whole >= start]
        if live < minimum or not whole or not chances or self.luck[request] >= chances[-1]:
            return 0, 0
        ends = [node for node in path(self.trace, int(self.trace.leaf[request])) if self.trace.depth[node] == live]
        return whole, int(self.trace.audio_depth[ends[0]]) * whole // live


def common(a, b):
    """Length of the longest common prefix."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Wish(NamedTuple):
    """What a request would do with explicit caches."""

    target: int  # the context whose cache it waits for, or creates
    upwards: list[int]  # the contexts whose caches it may read: from the root to the target
    create: bool


class Twin:
    """The whole flow of standard calls that nobody refuses but for their caches: (time, request) by (time, request)."""

    def __init__(self, trace, plan, rules, physics):
        self.trace, self.plan, self.keep, self.rules = trace, plan, plan.cache, rules
        self.slow, self.now = physics.slowness.tolist(), 0
        own = plan.implicit == 2 or (plan.implicit == 1 and rules.implicit.on)
        self.memory = Memory(trace, physics, rules.implicit) if own else None
        counts = {"attempts": 0, "forbidden": 0}
        self.rows = [dict.fromkeys(REQUEST_COLUMNS, -1) | counts for _ in range(trace.requests)]
        self.wishes, self.ended, self.limits = {}, {}, {}
        self.lives, self.latest, self.sightings = [], {}, {}
        first = [(t, i) for i, t in enumerate(trace.arrive.tolist()) if trace.follows[i] < 0]
        self.events = [(t, i, self.ask) for t, i in first]
        heapq.heapify(self.events)

    def run(self):
        """Every row of the requests, of the caches, and of what was refused."""
        while self.events:
            self.now, request, step = heapq.heappop(self.events)
            step(request)
        last = max((row["arrived"] for row in self.rows), default=0)
        rows = [tuple(row[name] for name in REQUEST_COLUMNS) for row in self.rows]
        caches = [
            (life.model, life.tokens, life.audio, life.born, *life.close(last), len(life.uses)) for life in self.lives
        ]
        return rows, caches, [(*key, count) for key, count in sorted(self.limits.items())]

    def epoch(self):
        """What the service is like now."""
        return [epoch for epoch in self.rules.epochs if epoch.since <= self.now][-1]

    def holds(self, node, epoch):
        """Tokens that a cache of a context would hold in an epoch, 0 = none possible."""
        if self.keep is None or epoch.explicit_minimum == -1 or not self.trace.context[node]:
            return 0
        if self.keep.populations >= 0 and not self.keep.populations >> int(self.trace.context[node] - 1) & 1:
            return 0
        depth = int(self.trace.depth[node])
        if epoch.explicit_maximum >= 0 and depth > epoch.explicit_maximum:
            return 0
        if depth >= epoch.explicit_minimum:
            return depth
        return epoch.explicit_minimum if 0 < self.keep.pad_from <= depth else 0

    def contexts(self, request):
        """The contexts of the prompt that a cache could ever hold, from the root."""
        nodes = path(self.trace, int(self.trace.leaf[request]))
        return [node for node in nodes if any(self.holds(node, epoch) for epoch in self.rules.epochs)]

    def believed(self, node):
        """The cache of a context that its client takes to be alive, or nothing."""
        life = self.latest.get(node)
        return life if life is not None and life.believed(self.now) else None

    def ask(self, request):
        """An arrival: every context of the prompt is sighted."""
        self.rows[request]["arrived"] = self.now
        nodes = [node for node in self.contexts(request) if self.holds(node, self.epoch())]
        for node in nodes:
            self.sightings[node] = self.sightings.get(node, 0) + 1
        due = [node for node in nodes if self.sightings[node] >= self.keep.sightings]
        if nodes:
            target, fit = (due or nodes)[-1], self.contexts(request)
            self.wishes[request] = Wish(target, fit[: fit.index(target) + 1], create=bool(due))
        self.start(request)

    def start(self, request):
        """See to the cache of the request's context before its first call, or its next one."""
        wish = self.wishes.get(request)
        if wish is not None:
            life = self.believed(wish.target)
            if life is None and wish.create and self.holds(wish.target, self.epoch()):
                life = self.create(wish.target, request)
            if life is not None and self.now < life.ready and (life.creator == request or self.keep.wait):
                heapq.heappush(self.events, (life.ready, request, self.send))
                return
        self.send(request)

    def create(self, node, request):
        """Start the creation of a context's cache."""
        epoch, size, replaced = self.epoch(), self.holds(node, self.epoch()), int(self.trace.replaced[node])
        ready = self.now + took(epoch.latency, size, 0, 0, self.slow[request])
        sizes, times = (size, int(self.trace.audio_depth[node])), (self.now, ready, epoch.until)
        life = self.latest[node] = Life(self.keep, request, epoch.model, sizes, times)
        if self.keep.delete_replaced and replaced >= self.now:
            life.deleted = replaced
        self.lives.append(life)
        return life

    def send(self, request):
        """A call that names the deepest cache that its client takes to be readable, if there is one."""
        wish, row = self.wishes.get(request), self.rows[request]
        row["attempts"] += 1
        for node in reversed(wish.upwards if wish else []):
            life = self.believed(node)
            if life is not None and self.now >= life.ready:
                if life.readable(self.now):
                    self.read(request, node, life)
                else:
                    self.forbid(request, node)
                return
        self.plain(request)

    def forbid(self, request, node):
        """403: the client forgets the cache, and calls again: for another cache the first time, then without."""
        row, key = self.rows[request], (int(Limit.FORBIDDEN), self.now // HOUR)
        del self.latest[node]
        self.limits[key] = self.limits.get(key, 0) + 1
        if row["forbidden"] or not self.rules.explicit.recreate:
            del self.wishes[request]
        row["forbidden"] += 1
        heapq.heappush(self.events, (self.now + self.rules.refusal_ms, request, self.start))

    def read(self, request, node, life):
        """A call that reads an explicit cache."""
        life.uses.append(self.now)
        prompt = int(self.trace.prompt[request]) + life.tokens - int(self.trace.depth[node])
        self.serve(request, prompt, life.tokens, life.audio, Source.EXPLICIT)

    def plain(self, request):
        """A call that reads the service's own cache, if anything, and leaves its prompt there."""
        prompt, cached, audio, epoch = int(self.trace.prompt[request]), 0, 0, self.epoch()
        if self.memory is not None:
            cached, audio = self.memory.hit(request, self.now, epoch.implicit_minimum)
            wait = took(epoch.latency, prompt - cached, cached, 0, self.slow[request])
            cap = epoch.until if epoch.until >= 0 else float("inf")
            self.memory.left.append((self.now + (0 if self.rules.implicit.at_arrival else wait), request, cap))
        self.serve(request, prompt, cached, audio, Source.IMPLICIT if cached else Source.NONE)

    def serve(self, request, prompt, cached, cached_audio, source):
        """The answer of a call."""
        row, epoch, output = self.rows[request], self.epoch(), int(self.trace.output[request])
        leaf, audio = int(self.trace.leaf[request]), int(self.trace.audio[request])
        audio += int(self.trace.audio_depth[leaf]) if leaf >= 0 else 0
        done = self.now + took(epoch.latency, prompt - cached, cached, output, self.slow[request])
        row |= {"model": epoch.model, "prompt": prompt, "cached": cached, "source": int(source), "output": output}
        row |= {"audio": audio, "cached_audio": cached_audio, "sent": self.now, "done": done}
        row["status"] = int(Status.DONE)
        self.settle(request, done)

    def settle(self, request, done):
        """The end of a request: its follower goes on, and the last of a context deletes its cache."""
        self.ended[request] = done
        for follower in range(self.trace.requests):
            if self.trace.follows[follower] == request:
                heapq.heappush(self.events, (done + int(self.trace.think[follower]), follower, self.ask))
        for node in self.contexts(request) if self.keep is not None and self.keep.last_use else ():
            mine = {other for other in range(self.trace.requests) if node in self.contexts(other)}
            if node in self.latest and mine <= set(self.ended):
                life, end = self.latest[node], max(self.ended[other] for other in mine)
                life.deleted = end if life.deleted is None else min(life.deleted, end)
