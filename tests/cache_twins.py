"""Naive twins of both caches: every millisecond stepped through, every token of every prompt compared, nothing clever.

They are written from the definitions and not from the engine; what they count with must not be shared with it.
"""

import heapq

from sim.ledger import Source
from sim.strategies.decision import NEVER

REQUEST_COLUMNS = ("model", "prompt", "cached", "source", "output", "arrived", "sent", "done", "attempts")
CACHE_COLUMNS = ("model", "tokens", "born", "until", "committed", "reads")


class Life:
    """One explicit cache: what happened to it, from which its life is stepped through again at every question."""

    def __init__(self, keep, born, ready, tokens, model, cap):
        self.keep, self.born, self.ready, self.tokens, self.model, self.cap = keep, born, ready, tokens, model, cap
        self.uses, self.deleted, self.holds = [], None, []  # holds: [from, to or None)
        self.asked = born  # the last instant before which somebody looked for it: its keeper went on until then

    def story(self, now, keeper_until=None):
        """Step from the birth through ``now``: (instant at which it was over or None, last expiry asked for)."""
        keep, expiry, used = self.keep, self.born + self.keep.ttl, self.ready
        keeper_until = now if keeper_until is None else keeper_until
        for t in range(self.born, now + 1):
            used = max([used, *(end for _, end in self.holds if end == t)])  # a hold is a use until it ends
            held = any(start <= t and (end is None or t < end) for start, end in self.holds)
            idle = keep.idle != NEVER and not held and t >= used + keep.idle
            if t >= expiry or idle or (self.deleted is not None and t >= self.deleted) or t >= self.cap >= 0:
                return t, expiry
            if keep.renew_margin > 0 and t == expiry - keep.renew_margin and t <= keeper_until:
                expiry = t + keep.ttl
            if t in self.uses:
                used = max(used, t)
                if keep.renew_on_use:
                    expiry = max(expiry, t + keep.ttl)
        return None, expiry

    def over(self, now):
        """Whether its life has ended by now."""
        return self.story(now)[0] is not None

    def readable(self, now):
        """Whether it can be read now; whoever waits for it may ask after the last arrival."""
        self.asked = max(self.asked, now - 1)
        return now >= self.ready and not self.over(now)

    def close(self, last_arrival):
        """Its end, and the last expiry that was asked for, when nothing more will be asked of it."""
        keeper_until = max([last_arrival, self.ready, self.asked, *self.uses, *(end for _, end in self.holds)])
        later = keeper_until
        while (told := self.story(later, keeper_until))[0] is None:
            later += self.keep.ttl + 1
        return told[0], max(told)


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
    """The service's own cache: every prompt that was left, token by token."""

    def __init__(self, trace, physics, rules):
        self.prompts = [tokens_of(trace, request) for request in range(trace.requests)]
        self.luck, self.keeps, self.rules = trace.luck.tolist(), physics.retention_ms.tolist(), rules
        self.left = []  # (available from, request, end of its model)

    def live(self, request, now):
        """The longest prefix of the prompt that is live now."""
        left = sorted((at, other, cap) for at, other, cap in self.left if at <= now and at < cap)
        if self.rules.refreshed:
            kept = [other for at, other, cap in left if now < min(cap, at + self.keeps[other])]
            return max((common(self.prompts[request], self.prompts[other]) for other in kept), default=0)
        until = {}  # of each token's prefix: when the service forgets it
        for at, other, cap in left:
            for token in self.prompts[other]:
                if at >= until.get(token, at):
                    until[token] = min(cap, at + self.keeps[other])
        prompt = self.prompts[request]
        return next((n for n, token in enumerate(prompt) if now >= until.get(token, now)), len(prompt))

    def hit(self, request, now, minimum):
        """Tokens that the service reads from its cache."""
        if minimum == -1:
            return 0
        live = self.live(request, now)
        whole = live // self.rules.block * self.rules.block
        chances = [chance for start, chance in self.rules.steps if whole >= start]
        return whole if live >= minimum and chances and self.luck[request] < chances[-1] else 0


def common(a, b):
    """Length of the longest common prefix."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Twin:
    """The whole flow of unbatched requests: (time, request) by (time, request)."""

    def __init__(self, trace, plan, rules, physics):
        self.trace, self.plan, self.keep, self.rules = trace, plan, plan.cache, rules
        self.slow, self.now = physics.slowness.tolist(), 0
        own = plan.implicit == 2 or (plan.implicit == 1 and rules.implicit.on)
        self.memory = Memory(trace, physics, rules.implicit) if own else None
        self.rows = [dict.fromkeys(REQUEST_COLUMNS, -1) for _ in range(trace.requests)]
        self.lives, self.latest, self.sightings = [], {}, {}
        first = [(t, i) for i, t in enumerate(trace.arrive.tolist()) if trace.follows[i] < 0]
        self.events = [(t, i, None) for t, i in first]
        heapq.heapify(self.events)
        self.ended = {}

    def run(self):
        """Every row of the requests and of the caches."""
        while self.events:
            self.now, request, waited = heapq.heappop(self.events)
            if waited is None:
                self.ask(request)
            else:
                self.call(request, self.deepest(waited))
        last = max((row["arrived"] for row in self.rows), default=0)
        rows = [tuple(row[name] for name in REQUEST_COLUMNS) for row in self.rows]
        ends = [life.close(last) for life in self.lives]
        return rows, [
            (life.model, life.tokens, life.born, end, asked, len(life.uses))
            for life, (end, asked) in zip(self.lives, ends, strict=True)
        ]

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
        if depth >= epoch.explicit_minimum:
            return depth
        return epoch.explicit_minimum if 0 < self.keep.pad_from <= depth else 0

    def contexts(self, request):
        """The contexts of the prompt that a cache could ever hold, from the root."""
        nodes = path(self.trace, int(self.trace.leaf[request]))
        return [node for node in nodes if any(self.holds(node, epoch) for epoch in self.rules.epochs)]

    def deepest(self, nodes):
        """The cache of the deepest of some contexts that can be read now, with its node, or nothing."""
        live = [(node, self.latest[node]) for node in nodes if node in self.latest]
        return next(((node, life) for node, life in reversed(live) if life.readable(self.now)), None)

    def ask(self, request):
        """An arrival."""
        self.rows[request]["arrived"] = self.now
        nodes = [node for node in self.contexts(request) if self.holds(node, self.epoch())]
        if not nodes:
            self.call(request, None)
            return
        for node in nodes:
            self.sightings[node] = self.sightings.get(node, 0) + 1
        due = [node for node in nodes if self.sightings[node] >= self.keep.sightings]
        target = due[-1] if due else nodes[-1]
        fit = self.contexts(request)
        upwards = fit[: fit.index(target) + 1]
        life = self.latest.get(target)
        created = False
        if life is None or life.over(self.now):
            if not due:
                self.call(request, self.deepest(upwards))
                return
            size = self.holds(target, self.epoch())
            ready = self.now + took(self.epoch().latency, size, 0, 0, self.slow[request])
            life = Life(self.keep, self.now, ready, size, self.epoch().model, self.epoch().until)
            self.lives.append(life)
            self.latest[target], created = life, True
        if self.now >= life.ready:
            self.call(request, (target, life))
        elif created or self.keep.wait:
            heapq.heappush(self.events, (life.ready, request, upwards))
        else:
            self.call(request, self.deepest(upwards))

    def call(self, request, found):
        """A call that reads a cache, given with its context, or the service's own."""
        row, epoch, slow = self.rows[request], self.epoch(), self.slow[request]
        prompt, cached, source = int(self.trace.prompt[request]), 0, Source.NONE
        if found is not None:
            node, life = found
            prompt += life.tokens - int(self.trace.depth[node])
            cached, source = life.tokens, Source.EXPLICIT
            life.uses.append(self.now)
        elif self.memory is not None:
            cached = self.memory.hit(request, self.now, epoch.implicit_minimum)
            source = Source.IMPLICIT if cached else Source.NONE
            wait = took(epoch.latency, prompt - cached, cached, 0, slow)
            cap = epoch.until if epoch.until >= 0 else float("inf")
            self.memory.left.append((self.now + (0 if self.rules.implicit.at_arrival else wait), request, cap))
        output = int(self.trace.output[request])
        done = self.now + took(epoch.latency, prompt - cached, cached, output, slow)
        row |= {"model": epoch.model, "prompt": prompt, "cached": cached, "source": int(source), "output": output}
        row |= {"sent": self.now, "done": done, "attempts": 1}
        self.settle(request, done)

    def settle(self, request, done):
        """The end of a request: its follower goes on, and the last of a context deletes its cache."""
        self.ended[request] = done
        for follower in range(self.trace.requests):
            if self.trace.follows[follower] == request:
                heapq.heappush(self.events, (done + int(self.trace.think[follower]), follower, None))
        for node in self.contexts(request) if self.keep is not None and self.keep.last_use else ():
            mine = {other for other in range(self.trace.requests) if node in self.contexts(other)}
            if node in self.latest and mine <= set(self.ended):
                life = self.latest[node]
                life.deleted = max(self.ended[other] for other in mine) if life.deleted is None else life.deleted
