"""Cases for the twins: small worlds in which instants clash, under a strategy that reads everything that it may see.

``cases`` are those of jobs, caches and slots where nobody refuses anything; ``everything`` has every rule there is.
"""

from typing import NamedTuple

from hypothesis import strategies as st
from worlds import batch_rules, epoch, ints, physics, rules, world

from sim.ledger import Mode
from sim.providers.rules import (
    ExplicitRules,
    FlexRules,
    ImplicitRules,
    LatencyLaw,
    OverloadRules,
    QuotaRules,
    SpendLaw,
)
from sim.strategies.decision import NEVER, BatchPlan, CachePlan, Decision, FlexPlan, Implicit, Plan, View

LATENCY = LatencyLaw(base_ns=1_000_000, uncached_ns=500_000, cached_ns=100_000, output_ns=250_000)
DRAWS = (0, 1 << 30, (1 << 31) + 7, (1 << 32) - 1)
HALF, ALWAYS = 1 << 31, 1 << 32
ONE = 1 << 16
INSTANTS = (0, 1, 5, 10, 11, 20)
STARTS = (0, 0, 59_990, 3_599_990)  # ms: a new minute and a new hour begin while the requests arrive
TREES = (((2,), (-1,)), ((2, 4), (-1, -1)), ((6, 3), (-1, -1)), ((2, 5), (-1, 0)), ((3, 4, 6), (-1, 0, 0)))


class Probe(NamedTuple):
    """The weights with which :func:`probe` reads everything that a strategy may see."""

    patience: int
    prompt: int
    context: int
    seen: int
    modes: int  # bit mask of the modes that it chooses from
    caching: int  # of 4: 0 never, 3 always


def probe(params: Probe, view: View) -> Decision:
    """A strategy that reads every input, so that none can be wrong unnoticed."""
    mixed = sum(weight * value for weight, value in zip(params, view, strict=False))
    modes = [mode for mode in Mode if params.modes >> mode & 1]
    use = min(2, mixed // 3 % 4 * params.caching // 3) if view.context else 0
    return Decision(mode=modes[mixed % len(modes)], cache=use)


small = st.integers(0, 3)


def often(*values, none=NEVER):
    """A value that is none half of the time."""
    return st.sampled_from([none] * len(values) + list(values))


@st.composite
def batch_plans(draw, start=0):
    """How requests are collected, with instants that clash."""
    at = draw(st.just(()) | st.sets(st.sampled_from([*INSTANTS, 12, 30, 60]), max_size=3))
    return BatchPlan(
        size=draw(st.sampled_from([NEVER, 1, 2, 3])),
        window=draw(st.sampled_from([NEVER, 0, 1, 4, 9])),
        every=draw(often(*range(1, 9))),  # what hides whether a window is the right one
        at=tuple(start + instant for instant in sorted(at)),
        poll=draw(st.sampled_from([1, 2, 5])),
        attempts=draw(st.integers(1, 3)),
        guard=draw(st.sampled_from([NEVER, NEVER, 0, 3, 10])),
    )


@st.composite
def cache_plans(draw):
    """How explicit caches are kept."""
    ttl = draw(st.sampled_from([2, 5, 12, 40]))
    renew = draw(st.sampled_from(["never", "on_use", "margin"]))
    return CachePlan(
        ttl=ttl,
        renew_on_use=int(renew == "on_use"),
        renew_margin=draw(st.integers(0, ttl - 1)) if renew == "margin" else NEVER,
        idle=draw(st.sampled_from([NEVER, 1, 4, 15])),
        last_use=draw(st.integers(0, 1)),
        wait=draw(st.integers(0, 1)),
    )


@st.composite
def fuller_cache_plans(draw, start):
    """The same with clocks, dates, sizes and ways to let go."""
    cache = draw(cache_plans())
    renewed = cache.renew_on_use or cache.renew_margin != NEVER
    dates = () if renewed else draw(st.sampled_from([(), (), (5, 12, 30)]))
    return cache._replace(
        pad_from=draw(often(1, 2)),
        sightings=draw(st.sampled_from([1, 1, 2])),
        populations=draw(st.sampled_from([-1, -1, 1])),
        own_clock=0 if dates else draw(st.integers(0, 1)),
        expire_at=tuple(start + instant for instant in dates),
        shorten=draw(st.integers(0, 1)),
        delete_replaced=draw(st.integers(0, 1)),
    )


class Column:
    """Draws columns of n values."""

    def __init__(self, draw, n):
        self.draw, self.n = draw, n

    def __call__(self, values):
        return self.draw(st.lists(values, min_size=self.n, max_size=self.n))


def sessions(draw, n):
    """Which request follows which: nobody, or some conversation before."""
    follows = [-1] * n
    if draw(st.booleans()):
        for request in range(1, n):
            before = draw(st.integers(-1, request - 1))
            follows[request] = -1 if before in follows else before
    return follows


@st.composite
def cases(draw, caches=True):
    """Return (trace, plan, rules, physics) of jobs, caches and slots, where nobody refuses anything."""
    n = draw(st.integers(1, 7))
    column = Column(draw, n)
    arrive = sorted(column(st.integers(0, 12)))
    follows = sessions(draw, n)
    depth = draw(st.sampled_from([(2,), (2, 4), (6, 3)])) if caches else ()
    trace = world(
        arrive,
        column(st.integers(-1, len(depth) - 1)),
        fresh=column(small),
        output=column(small),
        patience=column(st.sampled_from([0, 4, 12, 30, 90])),
        follows=follows,
        think=[draw(small) if before >= 0 else 0 for before in follows],
        depth=depth,
        turnaround=column(st.sampled_from(DRAWS)),
        failure=column(st.sampled_from(DRAWS)),
        horizon=draw(st.sampled_from([13, 20])),
    )
    params = Probe(*[draw(small) for _ in range(4)], modes=draw(st.sampled_from([2, 2, 3])), caching=draw(small))
    cache = draw(cache_plans()) if caches else None
    plan = Plan("probe", "probe", probe, params, Implicit.OFF, cache=cache, batch=draw(batch_plans()))
    service = rules(
        explicit_minimum=draw(st.sampled_from([1, 3])),
        latency=LATENCY,
        batch=batch_rules(
            pending_share=draw(st.sampled_from([0, 1 << 15, 1 << 16])),
            expires_after=draw(st.sampled_from([3, 8, 14, 50])),
            failure=draw(st.sampled_from([0, 0, HALF])),
            job_failure=draw(st.sampled_from([0, 0, HALF])),
        ),
        concurrency=draw(st.sampled_from([-1, -1, 1, 2])),
    )
    return trace, plan, service, weather(draw, column, trace, plan.batch.attempts)


def weather(draw, column, trace, attempts, **more):
    """The service's luck: fast and slow answers, jobs that end soon, late, or never."""
    times = [column(st.sampled_from([-1, 1, 2, 5, 8, 14, 20])) for _ in range(attempts)]
    slowness = column(st.sampled_from([1 << 15, 1 << 16, 3 << 16]))
    return physics(trace, slowness=slowness, turnaround=times, attempts=attempts, **more)


# ---------------------------------------------------------------- everything


@st.composite
def traces(draw, start, caches):
    """A trace of up to eight requests, which may have contexts inside contexts, some with other contents soon."""
    n = draw(st.integers(1, 8))
    column = Column(draw, n)
    follows = sessions(draw, n)
    depth, parent = draw(st.sampled_from(TREES)) if caches else ((), ())
    heard = draw(st.integers(0, 1))
    return world(
        sorted(start + instant for instant in column(st.sampled_from(INSTANTS))),
        column(st.integers(-1, len(depth) - 1)),
        fresh=column(small),
        audio=0,
        output=column(small),
        patience=column(st.sampled_from([0, 4, 12, 30, 90])),
        follows=follows,
        think=[draw(small) if before >= 0 else 0 for before in follows],
        depth=depth,
        parent=parent,
        audio_depth=[heard * tokens for tokens in depth],
        context=[draw(st.sampled_from([1, 1, 2])) for _ in depth],
        replaced=[start + instant if instant >= 0 else -1 for instant in draw(replacements(len(depth)))],
        horizon=start + draw(st.sampled_from([21, 30])),
        **{name: column(st.sampled_from(DRAWS)) for name in ("turnaround", "failure", "reply", "shed", "jitter")},
    )


def replacements(k):
    """When the contents of each of k nodes are replaced, -1 = never."""
    return st.lists(often(5, 15, none=-1), min_size=k, max_size=k)


def spend_laws():
    """What a call weighs: little, with another weight above few tokens."""
    weights = dict.fromkeys(("input", "output", "long_input", "long_output"), small)
    cached = {name: st.integers(0, 1) for name in ("cached", "long_cached")}
    return st.builds(SpendLaw, **weights, **cached, long_over=often(3))


@st.composite
def quotas(draw):
    """Limits in small numbers: buckets that refill every few ms, or windows of whole minutes."""
    fixed = draw(st.booleans())
    requests = often(1, 2, 3) if fixed else often(3_000, 6_000, 7_001)
    tokens = often(3, 8, 20) if fixed else often(30_000, 60_000, 70_001)
    return QuotaRules(
        requests=draw(requests),
        tokens=draw(tokens),
        day=draw(st.sampled_from([NEVER] * 4 + [1, 2, 3])),
        spend=draw(st.sampled_from([NEVER] * 4 + [1, 5, 20])),
        concurrency=draw(st.sampled_from([NEVER] * 4 + [1, 2])),
        fixed_window=int(fixed),
        burst_ms=draw(st.sampled_from([10, 20, 33])),
        rejected_consume=draw(st.integers(0, 1)),
    )


NO_LIMITS = st.just(QuotaRules())


@st.composite
def epochs(draw, start):
    """One or two epochs; the second is another model, or the same on other terms; limits are a model's own."""
    limits = {model: (draw(NO_LIMITS | quotas()), draw(NO_LIMITS | quotas())) for model in (0, 1)}
    turns = [0, *draw(st.sampled_from([[], [], [6], [12], [6, 20]]))]
    models = [0]
    for _ in turns[1:]:
        models.append(draw(st.integers(models[-1], 1)))
    made = []
    for number, (turn, model) in enumerate(zip(turns, models, strict=True)):
        until = next((at for at, other in zip(turns, models, strict=True) if at > turn and other != model), None)
        weights = tuple(draw(st.lists(spend_laws(), min_size=4, max_size=4)))
        usual, priority = (quota._replace(weights=weights) for quota in limits[model])
        made.append(
            epoch(
                start + turn if number else 0,
                until=NEVER if until is None else start + until,
                model=model,
                explicit_minimum=draw(st.sampled_from([1, 1, 3, -1])),
                explicit_maximum=draw(st.sampled_from([NEVER, NEVER, NEVER, 4])),
                latency=LATENCY,
                enqueued_tokens=draw(often(6, 12)),
                priority=priority,
            )._replace(quota=usual)
        )
    return made


@st.composite
def clients(draw):
    """The caller's software: slots, attempts, back-off, patience with one call and with one request."""
    return {
        "concurrency": draw(often(1, 2)),
        "attempts": draw(st.integers(1, 3)),
        "base": draw(st.sampled_from([0, 1, 5])),
        "factor": draw(st.sampled_from([ONE, 3 * ONE // 2, 2 * ONE])),
        "cap": draw(st.sampled_from([3, 8, 1_000])),
        "jitter": draw(st.integers(0, 2)),
        "honour": draw(st.integers(0, 1)),
        "timeout": draw(often(3, 10, 30)),
        "give_up": draw(st.sampled_from([NEVER] * 4 + [0, 5, 20, 100])),
    }


@st.composite
def batches(draw):
    """The Batch API with each of its limits; a job that never ends by itself expires."""
    ends = draw(st.sampled_from([(50, NEVER), (3, NEVER), (8, 3), (14, 5), (NEVER, 3), (NEVER, 8)]))
    return batch_rules(
        pending_share=draw(st.sampled_from([0, 1 << 15, 1 << 16])),
        expires_after=ends[0],
        pending_limit=ends[1],
        running_limit=draw(often(1, 4)),
        failure=draw(st.sampled_from([0, 0, HALF])),
        job_failure=draw(st.sampled_from([0, 0, HALF])),
        jobs=draw(often(1, 2)),
        job_requests=draw(often(1, 2)),
        job_tokens=draw(often(3, 5, 9)),
        inline_tokens=draw(often(2, 4)),
        lost_reply=draw(st.sampled_from([0, HALF, ALWAYS])),
        lost_after=draw(st.sampled_from([1, 4, 10])),
        slow_factor=draw(st.sampled_from([ONE // 2, ONE, 3 * ONE])),
    )


def edges(start):
    """Begins and ends of episodes."""
    some = st.sampled_from([(), (), (0, 5), (5, 11), (0, 10, 11, 30)])
    return some.map(lambda instants: tuple(start + instant for instant in instants))


@st.composite
def everything(draw, modes=None, caches=True, starts=STARTS):
    """Return (trace, plan, rules, physics) in which any rule may apply; ``modes`` is a bit mask of those asked for."""
    start = draw(st.sampled_from(starts))
    trace = draw(traces(start, caches))
    column = Column(draw, trace.requests)
    modes = draw(st.sampled_from([1, 2, 4, 8, 3, 3, 5, 9, 15])) if modes is None else modes
    params = Probe(*[draw(small) for _ in range(4)], modes=modes, caching=draw(st.sampled_from([1, 2, 3, 3])))
    flex = draw(st.builds(FlexPlan, st.integers(1, 3), often(3, 10), often(0, 5), st.integers(0, 1)))
    batch = draw(batch_plans(start))._replace(inline=draw(st.integers(0, 1)), deduplicate=draw(st.integers(0, 1)))
    cache = draw(fuller_cache_plans(start)) if caches else None
    plan = Plan("probe", "probe", probe, params, Implicit.OFF, cache=cache, batch=batch, flex=flex)
    others = {
        "explicit": ExplicitRules(draw(st.integers(0, 1))),
        "flex": FlexRules(draw(st.sampled_from([0, 0, HALF]))),
        "overload": OverloadRules(
            draw(st.sampled_from([0, 0, HALF, ALWAYS])), draw(st.sampled_from([ONE, 3 * ONE // 2, 3 * ONE]))
        ),
        "refusal_ms": draw(st.integers(1, 2)),
        "days": tuple(start + night for night in draw(st.sampled_from([(), (-5, 10), (0, 11, 200)]))),
    }
    service = rules(
        *draw(epochs(start)), models=("m0", "m1"), batch=draw(batches()), client=draw(clients()), service=others
    )
    more = {
        "queueing": column(st.sampled_from([0, 1, 5, 20])),
        "overload": draw(edges(start)),
        "slow": draw(edges(start)),
    }
    return trace, plan, service, weather(draw, column, trace, 2 * batch.attempts, **more)


@st.composite
def everything_and_implicit(draw, starts=STARTS):
    """The same where the service has a cache of its own, which the twin of everything does not know."""
    trace, plan, service, what = draw(everything(starts=starts))
    column = Column(draw, trace.requests)
    implicit = ImplicitRules(
        on=True,
        block=draw(st.sampled_from([1, 1, 2])),
        at_arrival=draw(st.booleans()),
        refreshed=draw(st.booleans()),
        steps=draw(st.sampled_from([((0, ALWAYS),), ((0, HALF), (3, ALWAYS)), ((3, ALWAYS),)])),
        in_batch=draw(st.integers(0, 2)),
        sightings=draw(st.sampled_from([1, 1, 2])),
    )
    epochs = (one._replace(implicit_minimum=draw(st.sampled_from([1, 1, 3, -1]))) for one in service.epochs)
    what = what._replace(
        retention_ms=ints(column(st.sampled_from([1, 5, 12, 40]))), cell=ints(column(st.sampled_from([0, 0, 1])))
    )
    return (
        trace._replace(luck=ints(column(st.sampled_from(DRAWS)))),
        plan._replace(implicit=draw(st.sampled_from([Implicit.OFF, Implicit.AS_SERVICE, Implicit.ON, Implicit.ON]))),
        service._replace(implicit=implicit, epochs=tuple(epochs)),
        what,
    )


@st.composite
def nothing_refused(draw):
    """The same where no standard call can be refused or held up, for which the compiled engine has a way of its own."""
    trace, plan, service, what = draw(everything_and_implicit())
    epochs = tuple(one._replace(quota=QuotaRules()) for one in service.epochs)
    client = service.client._replace(concurrency=NEVER, timeout=NEVER, give_up=NEVER)
    return trace, plan, service._replace(epochs=epochs, client=client), what._replace(overload=ints(()))


def late_comer():
    """A case of its own: who falls back to a full house may be given up before those who hold the slots."""
    trace = world([0, 5], fresh=[1, 30], patience=[11, 90])
    plan = Plan("probe", "probe", probe, Probe(1, 0, 0, 0, 3, 0), Implicit.OFF, batch=BatchPlan(guard=1))
    return trace, plan, rules(client={"concurrency": 1, "give_up": 20}), physics(trace)


def late_clock():
    """A case of its own: one call does not wait for a cache, another is refused since its cache's clock was late.

    The cache is asked for at 0, there at 12 and over at 20; its client takes it to live until 32.
    """
    trace = world([0, 5, 25], fresh=5, depth=(2,))
    cache = CachePlan(ttl=20, wait=0, own_clock=1)
    plan = Plan("probe", "probe", probe, Probe(0, 1, 0, 0, 1, 3), Implicit.OFF, cache=cache)
    return trace, plan, rules(), physics(trace)


def guarded_flex():
    """A case of its own: a flex call that is shed would be made again after 1 s, but its guard is due at 30."""
    trace = world([0], patience=[30])
    flex = FlexPlan(attempts=3, guard=0, fallback=1)
    plan = Plan("probe", "probe", probe, Probe(0, 0, 0, 0, 1 << Mode.FLEX, 0), Implicit.OFF, flex=flex)
    backs_off = {"base": 1_000, "cap": 1_000, "jitter": 0}
    return trace, plan, rules(client=backs_off, service={"flex": FlexRules(ALWAYS), "refusal_ms": 1}), physics(trace)


def late_keeper():
    """A case of its own: by a clock that is late a keeper renews at 17 what is over at 20, and not at 5."""
    trace, plan, *others = late_clock()
    return trace, plan._replace(cache=CachePlan(ttl=20, own_clock=1, renew_margin=15)), *others


def replaced_at_once():
    """A case of its own: a cache is created at the very instant at which the contents of its context are replaced."""
    _, plan, *others = late_clock()
    trace = world([5], depth=(2,), replaced=[5])
    return trace, plan._replace(cache=CachePlan(ttl=20, delete_replaced=1)), others[0], physics(trace)


def stale_timer():
    """A case of its own: the timer of a collection that was full at 0 rings at 9 in one that is due at 14."""
    trace = world([0, 0, 5])
    batch = BatchPlan(size=2, window=9)
    plan = Plan("probe", "probe", probe, Probe(0, 0, 0, 0, 1 << Mode.BATCH, 0), Implicit.OFF, batch=batch)
    return trace, plan, rules(), physics(trace)
