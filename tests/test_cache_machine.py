"""The keeper of explicit caches as a state machine, against a model that lives from one millisecond to the next."""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from worlds import NEVER

from sim.engines.reference.explicit import ExplicitCaches
from sim.strategies.decision import CachePlan

NODES = st.integers(0, 1)
TAKES = st.sampled_from([1, 2, 3, 9, 10, 12])
CAPS = st.sampled_from([NEVER, NEVER, NEVER, 5, 30])
ENOUGH = 200  # ms: more than any life after the last event


@dataclass
class Model:
    """A cache whose state is brought up to date each millisecond; nothing is computed ahead."""

    born: int
    ready: int
    cap: int
    expiry: int
    used: int
    lag: int  # ms by which its client's own clock is late
    held: int = 0
    reads: int = 0
    deleted: int = NEVER
    over: int = NEVER
    shortened: bool = False  # its client let it go at the instant at which it was over

    def let_go(self, plan, now):
        """Whether its client has let it go by now."""
        idle = plan.idle != NEVER and not self.held and now >= self.used + plan.idle
        return idle or now >= self.deleted >= 0

    def check(self, plan, now):
        """See whether the life is over at this instant."""
        let_go = self.let_go(plan, now)
        if self.over == NEVER and (now >= self.expiry or let_go or now >= self.cap >= 0):
            self.over = now
        if self.over == now:  # the instant decides, not which order came first in it
            self.shortened = let_go and bool(plan.shorten)

    def keep(self, plan, now):
        """Let the keeper act at this instant, after everybody else, by the clock that it has."""
        if self.over == NEVER and plan.renew_margin > 0 and now == self.expiry + self.lag - plan.renew_margin:
            self.expiry, self.lag = now + plan.ttl, 0

    def readable(self, now):
        """Whether it is complete and alive, in truth."""
        return self.over == NEVER and now >= self.ready

    def believed(self, plan, now):
        """Whether its client takes it to be alive: it hears of no end of a model, and its own clock may be late."""
        return now < self.expiry + self.lag and not self.let_go(plan, now)

    def committed(self):
        """When the commitment ends."""
        return self.over if self.shortened else max(self.expiry, self.over)


class Caches(RuleBasedStateMachine):
    """Two contexts whose caches are created, used, held, deleted and looked at, in any order and at any time."""

    @initialize(
        ttl=st.sampled_from([1, 4, 9, 10, 20]),
        margin=st.sampled_from([NEVER, NEVER, 0, 1, 3, 8]),
        on_use=st.integers(0, 1),
        idle=st.sampled_from([NEVER, 0, 2, 5, 10]),
        own_clock=st.integers(0, 1),
        shorten=st.integers(0, 1),
        expire_at=st.sampled_from([(), (), (), (5, 30), (9, 10, 60)]),
    )
    def begin(self, ttl, margin, on_use, idle, own_clock, shorten, expire_at):
        """Choose a plan; who names the instants of expiry renews nothing and needs no clock."""
        kept = {"renew_margin": min(margin, ttl - 1), "renew_on_use": on_use, "own_clock": own_clock}
        if expire_at:
            kept = {"expire_at": expire_at}
        self.plan = CachePlan(ttl=ttl, idle=idle, shorten=shorten, **kept)
        self.now, self.ours, self.pairs = 0, ExplicitCaches(self.plan), []
        self.latest = {}

    def pass_one(self, *, kept=lambda _model: True):
        """Let one millisecond pass in the model: the keeper acts last at an instant, a life ends first at the next."""
        for model, _ in self.pairs:
            if kept(model):
                model.keep(self.plan, self.now)
        self.now += 1
        for model, _ in self.pairs:
            model.check(self.plan, self.now)

    @rule(ms=st.sampled_from([1, 1, 2, 3, 4, 5, 9, 10]))
    def wait(self, ms):
        """Let time pass."""
        for _ in range(ms):
            self.pass_one()

    @rule(node=NODES, takes=TAKES, cap=CAPS)
    def ask(self, node, takes, cap):
        """Ask about a context: its cache is created if none is believed in, read if it can be, forgotten if refused."""
        model, real = self.wanted(node, takes, cap)
        assert self.ours.readable(real, self.now) == model.readable(self.now)
        if model.readable(self.now):
            self.ours.read(real, self.now)
            model.reads += 1
            model.used = max(model.used, self.now)
            if self.plan.renew_on_use and self.now + self.plan.ttl > model.expiry:
                model.expiry, model.lag = self.now + self.plan.ttl, 0
            model.check(self.plan, self.now)
        elif self.now >= model.ready:
            self.forget(node)

    def forget(self, node):
        """Let the client learn that the cache which it names is over (403)."""
        self.ours.forget(self.latest.pop(node)[1])
        assert self.ours.current(node, self.now) is None

    @rule(which=st.integers(0, 9))
    def refused_late(self, which):
        """Let a job learn of an old cache that it is over, when its context may have another by now."""
        over = [pair for pair in self.pairs if pair[0].over != NEVER]
        if over:
            _, real = over[which % len(over)]
            self.ours.forget(real)
            for node, (_, newest) in list(self.latest.items()):
                if newest is real:
                    del self.latest[node]

    @rule(node=NODES, takes=TAKES, cap=CAPS)
    def hold(self, node, takes, cap):
        """Let a job that will need the cache be pending."""
        model, real = self.wanted(node, takes, cap)
        self.ours.hold(real)
        model.held += 1

    @rule(which=st.integers(0, 3))
    def release(self, which):
        """Let such a job end, be the cache alive or not."""
        held = [pair for pair in self.pairs if pair[0].held]
        if held:
            self.let_go(*held[which % len(held)])

    def let_go(self, model, real):
        """Release one hold on both sides."""
        self.ours.release(real, self.now)
        model.held -= 1
        model.used = max(model.used, self.now)
        model.check(self.plan, self.now)

    @rule(node=NODES, later=st.sampled_from([0, 0, 1, 4]))
    def delete(self, node, later):
        """Delete the newest cache of a context, now or at a future instant; of several orders the earliest stands."""
        self.ours.delete(node, self.now + later)
        if node in self.latest:
            model = self.latest[node][0]
            model.deleted = self.now + later if model.deleted == NEVER else min(model.deleted, self.now + later)
            model.check(self.plan, self.now)

    def wanted(self, node, takes, cap):
        """Return both sides' cache of a context, having compared whether its client believes in one."""
        model, twin = self.latest.get(node, (None, None))
        real = self.ours.current(node, self.now)
        assert real is (twin if model is not None and model.believed(self.plan, self.now) else None)
        if real is None:
            until = NEVER if cap == NEVER else self.now + cap
            real = self.ours.create(node, 0, 0, 9, (self.now, self.now + takes, until))
            later = [instant for instant in self.plan.expire_at if instant > self.now]
            expiry = later[0] if later else self.now + self.plan.ttl
            ready, lag = self.now + takes, takes * self.plan.own_clock
            model = Model(self.now, ready, until, expiry, used=ready, lag=lag)
            self.latest[node] = model, real
            self.pairs.append((model, real))
        return model, real

    @rule()
    def look(self):
        """What is over in the model is over at the same instant for the keeper; looking changes nothing."""
        for model, real in self.pairs:
            assert self.ours.readable(real, self.now) == model.readable(self.now)
            assert real.reads == model.reads
            if model.over != NEVER:
                assert self.ours.until(real) == model.over

    def teardown(self):
        """Close: the keeper goes home after now, and every cache ends where the model's does, as committed there."""
        if not hasattr(self, "pairs"):
            return
        for model, real in self.pairs:
            while model.held:
                self.let_go(model, real)
        last = self.now
        self.ours.close(last)
        for _ in range(ENOUGH):
            self.pass_one(kept=lambda model: self.now <= max(last, model.used))
        for model, real in self.pairs:
            assert self.ours.until(real) == model.over
            assert self.ours.committed(real) == model.committed()


TestCaches = Caches.TestCase
TestCaches.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
