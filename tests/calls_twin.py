"""The naive twin of calls in real time: slots, caches believed in, tiers, quotas, overload, time-outs, back-off.

One list of things to come, from which the smallest (time, phase, request, kind) is always next.
"""

from fractions import Fraction

from quota_twin import FOREVER, CacheTwin, QuotaTwin

from sim.engines.laws.draws import redraw
from sim.ledger import Ledger, Limit, Mode, Source, Status
from sim.strategies.decision import CacheUse, View

END, BEGIN = 0, 1
RELEASE, FREE, ANSWER, SEEN, ORPHAN, GIVE_UP, ASK, RETRY, SERVE, RUN, GUARD, SEND = range(12)
SECOND_DRAW = 1 << 16  # a second draw of one request: its own, so many attempts away
HOUR = 3_600_000
REQUEST_COLUMNS = Ledger._fields[: Ledger._fields.index("duplicate_request")]


class Asked:
    """What is known of a request while it is under way."""

    def __init__(self):
        self.mode, self.use, self.target, self.upwards = Mode.STANDARD, CacheUse.NONE, None, []
        self.calls = self.tries = self.jobs = self.created = 0
        self.slot = self.forbidden = False


class Calls:
    """One run of calls in real time."""

    def __init__(self, trace, plan, rules, physics):
        self.trace, self.plan, self.rules, self.physics = trace, plan, rules, physics
        self.n, self.now, self.agenda = trace.requests, 0, []
        self.rows = [dict.fromkeys(REQUEST_COLUMNS, 0) for _ in range(self.n)]
        for request, row in enumerate(self.rows):
            row.update(arrived=-1, sent=-1, done=-1, job=-1, output=int(trace.output[request]))
            row["audio"] = self.usage(request)["audio"]
        self.asked = [Asked() for _ in range(self.n)]
        self.caches, self.current, self.sightings = [], {}, {}
        self.slots_used, self.queue, self.since = 0, [], {}
        self.quotas, self.accounts, self.refusals = {}, {}, {}
        self.marks = set()  # what has happened, in words

    # ------------------------------------------------------------ time

    def later(self, time, phase, request, kind, action):
        assert (time, phase) >= (self.now, END)
        self.agenda.append((time, phase, request, kind, action))

    def begin(self):
        for request in range(self.n):
            if self.trace.follows[request] < 0:
                self.later(int(self.trace.arrive[request]), BEGIN, request, ASK, lambda r=request: self.ask(r))

    def until_quiet(self):
        while self.agenda:
            entry = min(self.agenda, key=lambda e: e[:4])
            self.agenda.remove(entry)
            self.now = entry[0]
            entry[4]()

    def epoch(self):
        return [epoch for epoch in self.rules.epochs if epoch.since <= self.now][-1]

    def takes(self, uncached, cached, output, slowness):
        law = self.epoch().latency
        ns = law.base_ns + law.uncached_ns * uncached + law.cached_ns * cached + law.output_ns * output
        return max(1, int(Fraction(ns * slowness, 65_536 * 10**6)))

    def within(self, episodes):
        edges = episodes.tolist()
        return any(start <= self.now < end for start, end in zip(edges[::2], edges[1::2], strict=True))

    def mark(self, what):
        self.marks.add(what)

    def count(self, limit, at):
        self.mark(f"refused by {Limit(limit).name}")
        key = (int(limit), at // HOUR)
        self.refusals[key] = self.refusals.get(key, 0) + 1

    # ------------------------------------------------------------ contexts and caches

    def path(self, node):
        return [] if node < 0 else [*self.path(int(self.trace.parent[node])), node]

    def holds(self, node, epoch):
        """Return the tokens that a cache of a context would hold, 0 = none."""
        plan, kind, depth = self.plan.cache, int(self.trace.context[node]), int(self.trace.depth[node])
        if plan is None or not kind or epoch.explicit_minimum < 0 or not plan.populations >> (kind - 1) & 1:
            return 0
        if 0 <= epoch.explicit_maximum < depth:
            return 0
        padded = epoch.explicit_minimum if 0 <= plan.pad_from <= depth else 0
        return depth if depth >= epoch.explicit_minimum else padded

    def contexts(self, request):
        """Return the contexts of a prompt that may be cached at some time, from the root."""
        nodes = self.path(int(self.trace.leaf[request]))
        return [node for node in nodes if any(self.holds(node, epoch) for epoch in self.rules.epochs)]

    def choose(self, request):
        """Choose the context whose cache a request wants; return (tokens, how often it was asked for before)."""
        nodes = [node for node in self.contexts(request) if self.holds(node, self.epoch())]
        if not nodes:
            return 0, 0
        for node in nodes:
            self.sightings[node] = self.sightings.get(node, 0) + 1
        due = [node for node in nodes if self.sightings[node] >= self.plan.cache.sightings]
        asked, fit = self.asked[request], self.contexts(request)
        asked.target = (due or nodes)[-1]
        asked.upwards = fit[: fit.index(asked.target) + 1]
        return self.holds(asked.target, self.epoch()), self.sightings[asked.target] - 1

    def believed(self, node):
        cache = self.current.get(node)
        return cache if cache is not None and cache.believed(self.now) else None

    def deepest(self, request):
        """Return the deepest cache that the client takes for readable."""
        for node in reversed(self.asked[request].upwards):
            cache = self.believed(node)
            if cache is not None and cache.ready <= self.now:
                if node != self.asked[request].target:
                    self.mark("a cache above the context is read instead")
                return cache
        return None

    def wanted(self, request):
        """Return the cache of a request's context, ready or not: created if need be, else the deepest above it."""
        asked = self.asked[request]
        if asked.target is None or asked.use == CacheUse.NONE:
            return None
        cache = self.believed(asked.target)
        tokens = self.holds(asked.target, self.epoch())
        if cache is None and asked.use == CacheUse.CREATE and tokens:
            cache = self.create_cache(asked.target, tokens, request)
        return cache or self.deepest(request)

    def create_cache(self, node, tokens, request):
        epoch = self.epoch()
        ready = self.now + self.takes(tokens, 0, 0, int(self.physics.slowness[request]))
        if node in self.current or any(cache.node == node for cache in self.caches):
            self.mark("a cache is created anew")
        if tokens > int(self.trace.depth[node]):
            self.mark("a cache is padded")
        ends = FOREVER if epoch.until < 0 else epoch.until, int(self.trace.replaced[node])
        cache = CacheTwin(self.plan.cache, node, tokens, self.now, ready, ends, request)
        cache.model = epoch.model
        self.current[node] = cache
        self.caches.append(cache)
        return cache

    # ------------------------------------------------------------ arrival and slots

    def ask(self, request):
        self.rows[request]["arrived"] = self.now
        tokens, seen = self.choose(request)
        view = View(int(self.trace.patience[request]), int(self.trace.prompt[request]), tokens, seen)
        mode, self.asked[request].use = self.plan.decide(self.plan.params, view)
        if mode == Mode.BATCH:
            self.collect_first(request)
        else:
            self.call(request, mode)

    def deadline(self, request):
        give_up = self.rules.client.give_up
        return self.rows[request]["arrived"] + give_up if give_up >= 0 else FOREVER

    def flex_until(self, request):
        guard = self.plan.flex.guard
        patience = int(self.trace.patience[request])
        return self.rows[request]["arrived"] + patience - guard if guard >= 0 else FOREVER

    def call(self, request, mode):
        self.asked[request].mode, self.asked[request].tries = mode, 0
        if not 0 <= self.rules.client.concurrency <= self.slots_used:
            self.take_slot(request)
            return
        self.queue.append(request)
        self.since[request] = self.now
        if self.deadline(request) < FOREVER:
            self.later(max(self.now, self.deadline(request)), END, request, GIVE_UP, lambda: self.give_up(request))

    def take_slot(self, request):
        self.slots_used += 1
        self.asked[request].slot = True
        self.start(request)

    def free(self):
        self.slots_used -= 1
        if self.queue:
            self.mark("a slot is handed on")
            request = self.queue.pop(0)
            self.rows[request]["queued"] = self.now - self.since[request]
            self.take_slot(request)

    def give_up(self, request):
        if request in self.queue:
            self.mark("given up in the queue")
            self.queue.remove(request)
            self.rows[request]["queued"] = self.now - self.since[request]
            self.fail(request, self.now)

    # ------------------------------------------------------------ one call

    def start(self, request):
        deadline = self.deadline(request)
        if self.now >= deadline:
            self.mark("given up before a call")
            self.fail(request, self.now)
            return
        cache = self.wanted(request)
        if cache is not None and cache.ready > self.now:
            if self.plan.cache.wait or cache.creator == request:
                self.mark("a call waits for a cache" if cache.creator != request else "a call creates a cache")
                at = min(cache.ready, deadline)
                self.later(at, BEGIN, request, ASK, lambda: self.send(request, self.deepest(request)))
                return
            self.mark("a call does not wait for a cache")
            cache = self.deepest(request)
        self.send(request, cache)

    def send(self, request, cache):
        asked, row, flex = self.asked[request], self.rows[request], self.asked[request].mode == Mode.FLEX
        if self.now >= self.deadline(request):
            self.mark("given up while its cache was created")
            self.fail(request, self.now)
            return
        if flex and self.now >= self.flex_until(request):
            self.mark("too late for flex")
            self.after(request, self.now, 0)
            return
        asked.calls, asked.tries, row["attempts"] = asked.calls + 1, asked.tries + 1, row["attempts"] + 1
        tokens = int(self.trace.prompt[request]) + self.padding(cache)
        tier, refusal = self.admit(request, tokens)
        if refusal is not None:
            limit, delay = refusal
            self.count(limit, self.now)
            quota = limit not in (Limit.OVERLOAD, Limit.SHED)
            row["throttled" if quota else "shed"] += 1
            follows = self.after(request, self.now + self.rules.refusal_ms, delay)
            row["backoff"] += follows - self.now if quota else 0
            return
        ends = min(self.deadline(request), self.flex_until(request) if flex else FOREVER, self.time_out(flex))
        if not flex:
            self.serve(request, cache, tier, ends)
            return
        starts = self.now + int(self.physics.queueing_ms[request])
        if starts >= ends:
            self.mark("hung up in the queue of flex")
            self.hang_up(request, ends)
        else:
            self.later(starts, BEGIN, request, SERVE, lambda: self.serve(request, cache, tier, ends))

    def padding(self, cache):
        return 0 if cache is None else cache.tokens - int(self.trace.depth[cache.node])

    def time_out(self, flex):
        timeout = self.plan.flex.timeout if flex else self.rules.client.timeout
        return self.now + timeout if timeout >= 0 else FOREVER

    def quota(self, tier):
        """Return the state and the limits of a tier of the model that serves now."""
        epoch, key = self.epoch(), (self.epoch().model, tier == Mode.PRIORITY)
        account = self.accounts.setdefault(epoch.model, ([], []))
        state = self.quotas.setdefault(key, QuotaTwin(self.rules.days, *account))
        shared = {"spend": epoch.quota.spend, "concurrency": epoch.quota.concurrency, "weights": epoch.quota.weights}
        return state, (epoch.priority if key[1] else epoch.quota)._replace(**shared)

    def admit(self, request, tokens):
        """Return (tier, None) or (None, (limit, retry delay))."""
        asked, shed = self.asked[request], int(self.trace.shed[request])
        if asked.mode == Mode.PRIORITY:
            state, limits = self.quota(Mode.PRIORITY)
            if (refusal := state.ask(limits, self.now, tokens)) is None:
                return Mode.PRIORITY, None
            self.mark(f"priority has no room by {refusal[0].name}")
            self.count(Limit.PRIORITY, self.now)
        tier = Mode.FLEX if asked.mode == Mode.FLEX else Mode.STANDARD
        if self.within(self.physics.overload) and redraw(shed, asked.calls) < self.rules.overload.shed:
            return None, (Limit.OVERLOAD, 0)
        if tier == Mode.FLEX and redraw(shed, asked.calls + SECOND_DRAW) < self.rules.flex.shed:
            return None, (Limit.SHED, 0)
        state, limits = self.quota(tier)
        return tier, state.ask(limits, self.now, tokens)

    def serve(self, request, cache, tier, ends):
        asked = self.asked[request]
        if cache is not None and not cache.readable(self.now):
            self.refuse_cache(request, cache)
            return
        cached, output = 0 if cache is None else cache.tokens, int(self.trace.output[request])
        prompt = int(self.trace.prompt[request]) + self.padding(cache)
        if cache is not None:
            cache.read(self.now)
        slowness = int(self.physics.slowness[request])
        if self.within(self.physics.overload) and tier == Mode.PRIORITY:
            self.mark("priority does not notice an overload")
        elif self.within(self.physics.overload) and self.rules.overload.slowdown > 65_536:
            self.mark("an overload slows an answer down")
            slowness = int(Fraction(slowness * self.rules.overload.slowdown, 65_536))
        done = self.now + self.takes(prompt - cached, cached, output, slowness)
        state, limits = self.quota(tier)
        state.weighed.append((self.now, weight(limits.weights[tier], prompt, cached, output)))
        flight = object()
        state.flying.append(flight)
        if limits.concurrency >= 0:
            self.later(min(done, ends), END, request, RELEASE, lambda: state.flying.remove(flight))
        if done > ends:
            self.hang_up(request, ends)
            return
        self.answered(request, cache, self.now)
        self.rows[request].update(mode=tier, job=-1)
        asked.tries = 0
        self.settle(request, Status.DONE, done)

    def refuse_cache(self, request, cache):
        """403: the cache that the call names is over."""
        asked = self.asked[request]
        self.mark(f"a call is forbidden because {self.why_over(cache)}")
        self.rows[request]["forbidden"] += 1
        self.count(Limit.FORBIDDEN, self.now)
        if self.current.get(cache.node) is cache:
            del self.current[cache.node]
        if asked.forbidden or not self.rules.explicit.recreate:
            self.mark("forbidden twice" if asked.forbidden else "forbidden once and never again")
            asked.use = CacheUse.NONE
        asked.forbidden = True
        asked.tries -= 1
        self.later(self.now + self.rules.refusal_ms, BEGIN, request, RETRY, lambda: self.start(request))

    def why_over(self, cache):
        """Return why a cache is over in truth for which its client takes it."""
        return "its model is gone" if self.now >= cache.model_end else "the client's own clock is late"

    def hang_up(self, request, ends):
        self.rows[request]["timeouts"] += 1
        self.count(Limit.TIMEOUT, ends)
        self.after(request, ends, 0)

    def after(self, request, known, delay):
        """What follows a call that failed; return when that is."""
        asked, client, deadline = self.asked[request], self.rules.client, self.deadline(request)
        if asked.mode == Mode.FLEX:
            over = asked.tries >= self.plan.flex.attempts or known >= self.flex_until(request)
            if over and not self.plan.flex.fallback:
                self.mark("flex without a fallback fails")
            elif over:
                self.mark("flex falls back")
                asked.mode, asked.tries = Mode.STANDARD, 0
                return self.retry(request, min(known, deadline))
        else:
            over = asked.tries >= client.attempts
        if not over:
            wait = self.sleep(request)
            if delay > wait:
                self.mark("a retry delay is honoured" if client.honour else "a retry delay is ignored")
            then = known + max(wait, delay if client.honour else 0)
            if asked.mode == Mode.FLEX:
                if self.flex_until(request) < then:
                    self.mark("the guard ends a back-off of flex")
                then = min(then, self.flex_until(request))
            if then < deadline:
                return self.retry(request, then)
            self.mark("given up instead of a back-off")
        return self.fail(request, min(known, deadline))

    def sleep(self, request):
        asked, client = self.asked[request], self.rules.client
        longest = min(client.base, client.cap)
        for _ in range(asked.tries - 1):
            longest = min(client.cap, int(Fraction(longest * client.factor, 65_536)))
        shortest = {0: longest, 1: 0, 2: longest // 2}[client.jitter]
        share = Fraction(redraw(int(self.trace.jitter[request]), asked.calls), 1 << 32)
        return shortest + int(share * (longest - shortest + 1))

    def retry(self, request, at):
        self.later(at, BEGIN, request, RETRY, lambda: self.start(request))
        return at

    # ------------------------------------------------------------ the end of a request

    def answered(self, request, cache, sent):
        """Write what an answer used."""
        self.rows[request].update(model=self.epoch().model, **self.usage(request, cache, sent))

    def usage(self, request, cache=None, sent=-1):
        """Return what an answer that reads a cache uses; without one, what is asked."""
        leaf = int(self.trace.leaf[request])
        return {
            "prompt": int(self.trace.prompt[request]) + self.padding(cache),
            "audio": int(self.trace.audio[request]) + (int(self.trace.audio_depth[leaf]) if leaf >= 0 else 0),
            "cached": 0 if cache is None else cache.tokens,
            "cached_audio": 0 if cache is None else int(self.trace.audio_depth[cache.node]),
            "source": Source.NONE if cache is None else Source.EXPLICIT,
            "sent": sent,
        }

    def unanswered(self, request):
        """Write what an answer would have used that never came."""
        self.answered(request, None, -1)

    def fail(self, request, done):
        self.settle(request, Status.FAILED, done)
        return done

    def settle(self, request, status, done):
        self.rows[request].update(status=status, done=done)
        if self.asked[request].slot and self.rules.client.concurrency >= 0:
            self.later(done, END, request, FREE, self.free)
        for node in self.contexts(request) if self.plan.cache is not None and self.plan.cache.last_use else ():
            mine = [other for other in range(self.n) if node in self.contexts(other)]
            if all(self.rows[r]["status"] != Status.PENDING for r in mine) and node in self.current:
                self.mark("a cache is deleted with the last use of its context")
                self.current[node].deleted = max(self.rows[r]["done"] for r in mine)
        for follower in range(self.n):
            if self.trace.follows[follower] == request:
                self.later(done, END, request, ANSWER, lambda f=follower: self.go_on(request, f))

    def go_on(self, request, follower):
        if self.rows[request]["status"] == Status.DONE:
            think = int(self.trace.think[follower])
            self.later(self.now + think, BEGIN, follower, ASK, lambda: self.ask(follower))
        else:
            self.mark("a session ends with a failure")
            self.settle(follower, Status.FAILED, self.now)


def weight(law, prompt, cached, output):
    """What a call weighs against the spend limit."""
    long = 0 <= law.long_over < prompt
    uncached, read, made = (
        (law.long_input, law.long_cached, law.long_output) if long else (law.input, law.cached, law.output)
    )
    return (prompt - cached) * uncached + cached * read + output * made
