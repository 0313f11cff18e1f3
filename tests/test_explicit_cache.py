"""The explicit cache through the whole engine: a twin that steps through every millisecond, then each rule by hand."""

from hypothesis import assume, event, example, given, settings
from hypothesis import strategies as st
from cache_twins import CACHE_COLUMNS, REQUEST_COLUMNS, Twin
from worlds import NEVER, caches, calls, epoch, implicit_rules, keeping, physics, rules, simulate, world

from sim.engines.reference import run
from sim.ledger import Source
from sim.providers.rules import CHANCE_ONE, LatencyLaw

# A context of 4 or 9 tokens is created in 6 or 11 ms: TTLs and gaps that meet these instants and each other.
STEPPED = LatencyLaw(base_ns=2 * 10**6, uncached_ns=10**6, cached_ns=250_000, output_ns=10**6)
GAPS = st.sampled_from([0, 0, 1, 5, 6, 7, 11, 12, 20])
TTLS = st.sampled_from([0, 1, 5, 6, 7, 11, 12, 13, 20, 60])
MINIMUMS = st.sampled_from([1, 4, 5, 9, 10])
TREES = st.sampled_from(
    [  # depth, parent, context
        ((4,), (-1,), (1,)),
        ((4, 9), (-1, 0), (1, 2)),
        ((4, 9, 9), (-1, 0, 0), (1, 2, 2)),
        ((4, 9, 4), (-1, 0, -1), (1, 0, 1)),
        ((9, 4, 10), (-1, -1, 0), (2, 1, 1)),
    ]
)


@st.composite
def trees_asked(draw, most=8):
    """A trace on a small tree, times that clash, some of the requests in closed-loop sessions."""
    depth, parent, context = draw(TREES)
    n = draw(st.integers(1, most))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    arrive, now = [], 0
    for gap in column(GAPS):
        now += gap
        arrive.append(now)
    follows, taken = [], set()
    for i, before in enumerate(column(st.integers(-6, most - 1))):
        fits = 0 <= before < i and before not in taken
        follows.append(before if fits else -1)
        taken |= {before} if fits else set()
    think = [value if before >= 0 else 0 for value, before in zip(column(GAPS), follows, strict=True)]
    return world(
        arrive,
        column(st.integers(-1, len(depth) - 1)),
        fresh=column(st.integers(0, 2)),
        output=column(st.sampled_from([0, 1, 6])),
        luck=column(st.sampled_from([0, CHANCE_ONE // 2 - 1, CHANCE_ONE // 2, CHANCE_ONE - 1])),
        depth=depth,
        parent=parent,
        context=context,
        follows=follows,
        think=think,
    )


@st.composite
def services(draw, ms=st.sampled_from([6, 12, 30])):
    """Rules of one or two epochs; the second may be another model, which ends the caches of the first."""
    first, second = (draw(MINIMUMS | st.just(-1)) for _ in range(2))
    turn = draw(ms)
    other = draw(st.integers(0, 2))  # 0 = one epoch, 1 = another minimum, 2 = another model
    made = [epoch(0, until=turn if other == 2 else NEVER, explicit_minimum=first, latency=STEPPED)]
    if other:
        made.append(epoch(turn, model=other - 1, explicit_minimum=second, latency=STEPPED))
    own = implicit_rules(
        on=draw(st.booleans()),
        block=draw(st.sampled_from([1, 4])),
        at_arrival=draw(st.booleans()),
        refreshed=draw(st.booleans()),
        steps=((0, CHANCE_ONE // 2), (9, CHANCE_ONE)),
    )
    return rules(*made, models=("m0", "m1"), implicit=own)


@st.composite
def keepings(draw):
    """Every way to keep a cache, with times that meet the TTL."""
    ttl = draw(TTLS)
    renew = draw(st.sampled_from(["never", "on_use", "margin", "both"]))
    margin = draw(st.sampled_from([0, 1, 3, ttl // 2, ttl - 1]))
    delete = draw(st.sampled_from(["never", "idle", "last_use", "both"]))
    return keeping(
        ttl=ttl,
        renew_on_use=int(renew in ("on_use", "both")),
        renew_margin=margin if renew in ("margin", "both") and 0 <= margin < max(ttl, 1) else NEVER,
        idle=draw(st.sampled_from([0, 1, 5, 7, 12, ttl])) if delete in ("idle", "both") else NEVER,
        last_use=int(delete in ("last_use", "both")),
        wait=draw(st.integers(0, 1)),
        pad_from=draw(st.sampled_from([NEVER, 3, 4, 5, 9])),
        sightings=draw(st.sampled_from([1, 1, 2, 3])),
        populations=draw(st.sampled_from([-1, -1, 1, 2])),
    )


def table(ledger):
    """The ledger as the twin tells it."""
    return calls(ledger, *REQUEST_COLUMNS), caches(ledger, *CACHE_COLUMNS)


@settings(max_examples=400, deadline=None)
@given(trees_asked(), keepings(), services(), st.sampled_from([1 << 15, 1 << 16, 3 << 16]), st.sampled_from([1, 7, 12]))
def test_the_engine_equals_the_stepping_twin(trace, plan, service, slowness, retention):
    """Requests and caches of the engine are those of a twin that steps through every ms, integer for integer."""
    service_physics = physics(trace, slowness=slowness, retention=retention)
    ledger = run(trace, plan, service, service_physics)
    event(f"caches: {min(len(ledger.cache_born), 3)}")
    event(f"explicit reads: {bool(ledger.cache_reads.sum())}")
    assert table(ledger) == Twin(trace, plan, service, service_physics).run()
