"""The explicit cache through the whole engine: a twin that steps through every millisecond, then each rule by hand."""

import dataclasses
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from cache_twins import CACHE_COLUMNS, LIMIT_COLUMNS, REQUEST_COLUMNS, Twin
from examples import times
from hypothesis import event, given, settings
from hypothesis import strategies as st
from workloads import SEED, workload
from worlds import INSTANT, NEVER, caches, calls, epoch, implicit_rules, keeping, physics, plan, rules, simulate, world

from sim.billing import rate
from sim.engines.reference import run
from sim.engines.reference.explicit import ExplicitCaches
from sim.ledger import Limit, Source
from sim.providers import load_book
from sim.providers.rules import CHANCE_ONE, ExplicitRules, LatencyLaw
from sim.strategies.decision import CachePlan
from sim.units import HOUR
from sim.workload.realise import realise

# A context of 4 or 9 tokens is created in 6 or 11 ms: TTLs and gaps that meet these instants and each other.
STEPPED = LatencyLaw(base_ns=2 * 10**6, uncached_ns=10**6, cached_ns=250_000, output_ns=10**6)
GAPS = st.sampled_from([0, 0, 1, 5, 6, 7, 11, 12, 20])
TTLS = st.sampled_from([0, 1, 5, 6, 7, 11, 12, 13, 20, 20, 60, 60])
MINIMUMS = st.sampled_from([1, 1, 1, 4, 4, 5, 9, 10, -1])
TURNS = [6, 12, 30]  # ms at which the service may change
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
    fresh, heard = column(st.integers(0, 2)), draw(st.integers(0, 2))  # halves of a prefix that are audio
    return world(
        arrive,
        column(st.sampled_from([-1, *[*range(len(depth))] * 2])),
        fresh=fresh,
        audio=[tokens * heard // 2 for tokens in fresh],
        audio_depth=[tokens * heard // 2 for tokens in depth],
        replaced=[draw(st.sampled_from([NEVER, *TURNS])) for _ in depth],
        output=column(st.sampled_from([0, 1, 6])),
        luck=column(st.sampled_from([0, CHANCE_ONE // 2 - 1, CHANCE_ONE // 2, CHANCE_ONE - 1])),
        depth=depth,
        parent=parent,
        context=context,
        follows=follows,
        think=think,
    )


@st.composite
def services(draw):
    """Rules of up to three epochs, of other limits or of other models, which end the caches of those before."""
    since = [0, *sorted(draw(st.sets(st.sampled_from(TURNS), max_size=2)))]
    models = sorted(draw(st.lists(st.integers(0, 1), min_size=len(since), max_size=len(since))))
    made = []
    for at, model in zip(since, models, strict=True):
        until = next((later for later, other in zip(since, models, strict=True) if other > model), NEVER)
        limits = {
            "explicit_minimum": draw(MINIMUMS),
            "explicit_maximum": draw(st.sampled_from([-1, -1, -1, 4, 9])),
        }
        made.append(epoch(at, until=until, model=model, latency=STEPPED, **limits))
    own = implicit_rules(
        on=draw(st.booleans()),
        block=draw(st.sampled_from([1, 4])),
        at_arrival=draw(st.booleans()),
        refreshed=draw(st.booleans()),
        steps=((0, CHANCE_ONE // 2), (9, CHANCE_ONE)),
        sightings=draw(st.sampled_from([1, 1, 2])),
    )
    more = {"explicit": ExplicitRules(draw(st.integers(0, 1))), "refusal_ms": draw(st.sampled_from([1, 5, 6]))}
    return rules(*made, models=("m0", "m1"), implicit=own, service=more)


@st.composite
def keepings(draw):
    """Every way to keep a cache, with times that meet the TTL; whoever names an instant renews nothing."""
    ttl = draw(TTLS)
    renew = draw(st.sampled_from(["never", "on_use", "margin", "both"]))
    margin = draw(st.sampled_from([0, 1, 3, 7, 12, ttl // 2, ttl - 1]))
    delete = draw(st.sampled_from(["never", "idle", "last_use", "both"]))
    instants = draw(st.sampled_from([(), (), (), (6, 30), (7, 12, 31)]))
    return keeping(
        ttl=ttl,
        renew_on_use=int(renew in ("on_use", "both") and not instants),
        renew_margin=margin if renew in ("margin", "both") and 0 <= margin < max(ttl, 1) and not instants else NEVER,
        idle=draw(st.sampled_from([0, 1, 5, 7, 12, ttl])) if delete in ("idle", "both") else NEVER,
        last_use=int(delete in ("last_use", "both")),
        wait=draw(st.integers(0, 1)),
        pad_from=draw(st.sampled_from([NEVER, 3, 4, 5, 9])),
        sightings=draw(st.sampled_from([1, 1, 1, 2, 3])),
        populations=draw(st.sampled_from([-1, -1, -1, 1, 2])),
        own_clock=0 if instants else draw(st.integers(0, 1)),
        expire_at=instants,
        shorten=draw(st.integers(0, 1)),
        delete_replaced=draw(st.integers(0, 1)),
    )


def table(ledger):
    """The ledger as the twin tells it."""
    return calls(ledger, *REQUEST_COLUMNS), caches(ledger, *CACHE_COLUMNS), calls(ledger, *LIMIT_COLUMNS)


@settings(max_examples=times(400), deadline=None)
@given(trees_asked(), keepings(), services(), st.sampled_from([1 << 15, 1 << 16, 3 << 16]), st.data())
def test_the_engine_equals_the_stepping_twin(trace, plan, service, slowness, data):
    """Requests, caches and refusals of the engine are those of a twin that steps through every ms, to the integer."""
    retention, cells = data.draw(st.sampled_from([60, 12, 7, 1])), data.draw(st.sampled_from([1, 1, 2]))
    service_physics = physics(trace, slowness=slowness, retention=retention, cell=np.arange(trace.requests) % cells)
    ledger = run(trace, plan, service, service_physics)
    event(f"caches: {min(len(ledger.cache_born), 3)}")
    event(f"explicit reads: {bool(ledger.cache_reads.sum())}")
    event(f"403: {min(int(ledger.forbidden.max()), 2)}")
    assert table(ledger) == Twin(trace, plan, service, service_physics).run()


@settings(deadline=None)
@given(trees_asked(), keepings(), services())
def test_storage_is_the_integral_of_what_is_alive(trace, plan, service):
    """P22, P31: storage is the sum over every ms of the tokens alive in it, and none is alive outside of a life."""
    ledger = simulate(trace, plan, service)
    lives = caches(ledger)
    end = max((until for _, _, until, _ in lives), default=0)
    alive = [sum(tokens for tokens, born, until, _ in lives if born <= t < until) for t in range(end + 1)]
    assert ledger.storage_token_ms == sum(alive)
    assert alive[-1] == 0


@settings(deadline=None)
@given(trees_asked(), keepings(), services())
def test_a_commitment_is_never_shorter_than_the_life(trace, plan, service):
    """P26: committed lives are at least the actual ones, and equal where nothing is deleted and no model ends.

    They are equal as well where a TTL is shortened instead of a deletion, and no model ends.
    """
    ledger = simulate(trace, plan, service)
    assert np.all(ledger.cache_committed >= ledger.cache_until)
    kept = plan._replace(cache=plan.cache._replace(idle=NEVER, last_use=0, delete_replaced=0))
    steady = simulate(trace, kept, service._replace(epochs=service.epochs[:1]))
    stays = service.epochs[0].until == NEVER
    assert not stays or np.array_equal(steady.cache_committed, steady.cache_until)
    if plan.cache.shorten and all(one.until == NEVER for one in service.epochs):
        assert np.array_equal(ledger.cache_committed, ledger.cache_until)


@settings(deadline=None)
@given(trees_asked(), keepings())
def test_one_context_has_one_cache_at_a_time(trace, plan):
    """P36: the lives of one context's caches never overlap: requests of one instant share one creation."""
    alone = trace._replace(leaf=np.where(trace.leaf >= 0, 0, -1))
    lives = caches(simulate(alone, plan, rules(latency=STEPPED)))
    assert all(until <= born for (_, _, until, _), (_, born, _, _) in pairwise(lives))


@pytest.mark.parametrize(
    ("book", "model", "minimum"),
    [
        ("google", "gemini-2.5-flash", 2_048),
        ("google", "gemini-3.8-flash", 4_096),
        ("guide", "gemini-2.5-flash", 1_024),
        ("guide", "gemini-2.5-pro", 4_096),
    ],
)
@pytest.mark.parametrize("short", [0, 1])
def test_the_minimum_of_a_book_is_the_least_cache(book, model, minimum, short):
    """P23: a context of the minimum is cached; of one token less it is not, and goes uncached without an error."""
    least = load_book(book).facts[model].explicit_minimum.tokens
    assert least == minimum
    trace = world([0], depth=[minimum - short])
    ledger = simulate(trace, plan("explicit"), rules(explicit_minimum=least))
    assert ledger.cached.tolist() == [0 if short else minimum]
    assert len(ledger.cache_born) == 1 - short


def test_a_context_is_padded_to_the_minimum_where_that_pays():
    """A padded cache holds the minimum, and each call that reads it pays for the padding as well."""
    trace = world([0, 50], depth=[6], fresh=5)
    ledger = simulate(trace, keeping(ttl=1_000, pad_from=6), rules(explicit_minimum=8))
    assert calls(ledger, "prompt", "cached") == [(8 + 5, 8)] * 2
    assert ledger.cache_tokens.tolist() == [8]
    below = simulate(trace, keeping(ttl=1_000, pad_from=7), rules(explicit_minimum=8))
    assert calls(below, "prompt", "cached") == [(6 + 5, 0)] * 2


@pytest.mark.parametrize(("period", "ttl"), [
    (1_000, 3_000), (1_000, 2_999), (1_000, 3_001), (1_000, 1_000), (1_000, 999), (7, 60), (1, 5), (60_000, 3_600_000),
])  # fmt: skip
def test_hits_of_a_metronome_count_the_ticks_strictly_inside_a_life(period, ttl):
    """O16, P24, P25: a creation is followed by #{k >= 1: k d < T} hits and is over at T, reads or not."""
    hits = sum(k * period < ttl for k in range(1, ttl // period + 2))
    cycles = 4
    arrive = [period * tick for tick in range(cycles * (hits + 1))]
    ledger = simulate(world(arrive, depth=[9]), keeping(ttl=ttl), rules(latency=INSTANT))
    born = [period * (hits + 1) * cycle for cycle in range(cycles)]
    assert caches(ledger) == [(9, at, at + ttl, hits + 1) for at in born]
    assert ledger.cached.tolist() == [9] * len(arrive)


def test_the_metronome_of_the_catalogue():
    """O16 in numbers: T = 3000, d = 1000 hits 2 of 3 and is always alive; a closed interval would hit 3 of 4."""
    ledger = simulate(world(range(0, 12_000, 1_000), depth=[9]), keeping(ttl=3_000), rules(latency=INSTANT))
    creations = len(ledger.cache_born)
    assert Fraction(12 - creations, 12) == Fraction(2, 3)
    assert ledger.storage_token_ms == 9 * 12_000


@pytest.mark.parametrize(
    ("renewal", "ends"),
    [
        ({}, [100, 250]),
        ({"renew_on_use": 1}, [250]),  # 150 + 100
        ({"renew_margin": 10}, [90 + 100]),  # a keeper renews at 90; at 180 no arrival is to come
        ({"renew_margin": 0}, [100, 250]),  # an update at the expiry is too late
    ],
)
def test_only_an_update_extends_a_life(renewal, ends):
    """P25: a TTL of 100, read at 60 and at 150: the read alone changes nothing, an update starts the TTL anew."""
    ledger = simulate(world([0, 60, 150], depth=[9]), keeping(ttl=100, **renewal), rules(latency=INSTANT))
    assert ledger.cache_until.tolist() == ends


def test_a_wait_and_a_miss_during_the_creation():
    """A context of 9 tokens is created in 11 ms: who arrives meanwhile waits for it, or is answered without."""
    trace = world([0, 4, 11], depth=[9], fresh=1)
    waiting, missing = (simulate(trace, keeping(wait=wait), rules(latency=STEPPED)) for wait in (1, 0))
    assert calls(waiting, "sent", "cached") == [(11, 9), (11, 9), (11, 9)]
    assert calls(missing, "sent", "cached") == [(11, 9), (4, 0), (11, 9)]


@pytest.mark.parametrize("shorten", [0, 1])
@pytest.mark.parametrize(("idle", "last_use", "until"), [(NEVER, 0, 1_000), (40, 0, 1 + 40), (NEVER, 1, 1 + 1 + 1)])
def test_a_deletion_ends_the_storage_but_not_the_commitment(idle, last_use, until, shorten):
    """One use at 1 ms of a TTL of 1 s: over after 40 idle ms, with the last answer at 2 ms, or not before its time.

    A TTL that is shortened instead ends the commitment as well.
    """
    latency = LatencyLaw(10**6, 0, 0, 10**6)  # the answer of one token takes 2 ms
    trace = world([0], depth=[9], output=1)
    kept = keeping(ttl=1_000, idle=idle, last_use=last_use, shorten=shorten)
    ledger = simulate(trace, kept, rules(latency=latency))
    assert caches(ledger, "until", "committed") == [(until, until if shorten else 1_000)]


def test_created_and_deleted_at_one_instant():
    """P32: a cache that is deleted when it is born is stored for 0 ms, and committed for its TTL."""
    held = ExplicitCaches(CachePlan(ttl=500))
    cache = held.create(3, 0, 0, 9, (70, 80, NEVER))
    held.delete(3, 70)
    held.close(70)
    assert (held.until(cache) - cache.born, cache.expiry - cache.born) == (0, 500)
    assert held.current(3, 70) is None


@pytest.mark.parametrize(("held", "end"), [(False, 1 + 40), (True, 300 + 40)])
def test_a_cache_that_a_job_waits_for_is_not_idle(held, end):
    """Read at 1 ms and deleted after 40 idle ms; held until 300 ms it is idle only from there."""
    keeper = ExplicitCaches(CachePlan(ttl=1_000, idle=40))
    cache = keeper.create(0, 0, 0, 9, (0, 1, NEVER))
    if held:
        keeper.hold(cache)
        assert keeper.readable(cache, 299)
        keeper.release(cache, 300)
    keeper.close(0)
    assert keeper.until(cache) == end


def test_a_keeper_does_not_renew_what_is_idle():
    """Read at 1, deleted at 151: the keeper renewed it at 90 and asks for no more, though arrivals go on elsewhere."""
    trace = world([0, 5_000], [0, 1], depth=[9, 9])
    ledger = simulate(trace, keeping(ttl=100, renew_margin=10, idle=150), rules(latency=INSTANT))
    assert caches(ledger, "until", "committed")[0] == (1 + 150, 90 + 100)


def test_what_reads_an_explicit_cache_leaves_nothing_to_the_service():
    """Who misses while the context is created anew finds no prefix of those who read the explicit cache before."""
    trace = world([0, 25, 25], depth=[9])
    both = rules(latency=STEPPED, implicit=implicit_rules(on=True))
    assert calls(simulate(trace, keeping(ttl=20, wait=0), both), "sent", "cached") == [(11, 9), (36, 9), (25, 0)]


@given(st.integers(1, 8), st.lists(st.sampled_from([0, 1, 5, 20]), min_size=1, max_size=8))
def test_splitting_a_cache_leaves_the_storage_as_it_is(part, gaps):
    """P33: one cache of 9 tokens is stored like two of k and 9 - k that are asked for at the same instants."""
    times = np.cumsum(gaps).tolist()
    twice = [t for t in times for _ in range(2)]
    whole = simulate(world(times, depth=[9]), keeping(ttl=12), rules(latency=INSTANT))
    split = world(twice, [0, 1] * len(times), depth=[part, 9 - part])
    assert whole.storage_token_ms == simulate(split, keeping(ttl=12), rules(latency=INSTANT)).storage_token_ms


def test_contexts_do_not_read_each_other():
    """P35: a cache of one context is no use to another, however alike; each has one of its own."""
    ledger = simulate(world([0, 50, 100, 150], [0, 1, 0, 1], depth=[9, 9]), keeping(), rules(latency=INSTANT))
    assert caches(ledger, "born", "reads") == [(0, 2), (50, 2)]


def test_replaced_contents_are_another_context():
    """P35: a document that is replaced every hour needs a new cache every hour, though its TTL is a day."""
    trace = realise(
        workload("""
        [contexts.doc]
        tokens = 5000
        replaced_every = "1h"
        [streams.ask]
        arrivals = { process = "constant", rate = "4/h", first = "start" }
        context = "doc"
        fresh = 50
        output = 10
        patience = "1m"
        """),
        SEED,
        0,
    )
    ledger = simulate(trace, plan("explicit", ttl="1d", delete="never"), rules(latency=INSTANT))
    assert caches(ledger, "born", "reads") == [(hour * HOUR, 4) for hour in range(24)]


@pytest.mark.parametrize(("recreate", "last"), [(1, (1, 501, 1_501, 1)), (0, None)])
def test_a_model_that_ends_takes_its_caches_with_it(recreate, last):
    """The next use is refused (403): known 1 ms later, it creates the cache at the successor, or goes without one."""
    turn = (epoch(until=500, latency=INSTANT), epoch(500, model=1, latency=INSTANT))
    own = rules(*turn, service={"explicit": ExplicitRules(recreate)})
    ledger = simulate(world([0, 499, 500], depth=[9]), keeping(ttl=1_000), own)
    assert caches(ledger, "model", "born", "until", "reads") == [(0, 0, 500, 2), last][: 1 + recreate]
    sent = 501 + recreate  # one more ms to create it
    assert calls(ledger, "model", "sent", "cached", "attempts", "forbidden")[2] == (1, sent, 9 * recreate, 2, 1)
    assert calls(ledger, *LIMIT_COLUMNS) == [(Limit.FORBIDDEN, 0, 1)]


LATE = 11  # ms that a cache of 9 tokens takes to be created, and so an own clock is late


@pytest.mark.parametrize(("ask", "forbidden", "born"), [
    (99, 0, [0]), (100, 1, [0, 101]), (110, 1, [0, 111]), (111, 0, [0, 111]),
])  # fmt: skip
def test_a_client_that_counts_the_ttl_from_the_reply_names_a_cache_that_is_over(ask, forbidden, born):
    """A TTL of 100 ends at 100, which its client takes for 111: whoever asks between is refused, and creates anew."""
    trace = world([0, ask], depth=[9])
    ledger = simulate(trace, keeping(ttl=100, own_clock=1), rules(latency=STEPPED))
    assert ledger.forbidden.tolist() == [0, forbidden]
    assert ledger.cache_born.tolist() == born
    told = simulate(trace, keeping(ttl=100), rules(latency=STEPPED))
    assert told.forbidden.sum() == 0
    assert told.cache_born.tolist() == [0] + [ask] * (ask >= 100)


def test_a_request_that_meets_a_second_403_goes_without():
    """A TTL of 5 is over before the cache is there, at 11: refused at 11 and again at 12 + 11, then uncached."""
    ledger = simulate(world([0], depth=[9]), keeping(ttl=5, own_clock=1), rules(latency=STEPPED))
    assert caches(ledger) == [(9, 0, 5, 0), (9, LATE + 1, LATE + 6, 0)]
    assert calls(ledger, "sent", "cached", "attempts", "forbidden") == [(2 * (LATE + 1), 0, 3, 2)]


@pytest.mark.parametrize(("margin", "until"), [
    (LATE, [100, 150 + 100]),  # due at 111 - 11, when it is over, and so is that of the next one
    (LATE + 1, [187 + 100]),  # due at 111 - 12 = 99, before that: 199; then, as the service named it, at 199 - 12 = 187
])  # fmt: skip
def test_a_keeper_with_a_late_clock_may_come_too_late(margin, until):
    """It renews a margin before 111, but not what is over at 100; once it has renewed, it knows the expiry."""
    kept = keeping(ttl=100, own_clock=1, renew_margin=margin)
    assert simulate(world([0, 150, 208], depth=[9]), kept, rules(latency=STEPPED)).cache_until.tolist() == until


def test_a_cache_expires_at_the_next_of_some_instants():
    """Born at 0 and at 50: over at 50 and at 70, the first instants after; beyond the last one the TTL is left."""
    ledger = simulate(world([0, 49, 50, 80], depth=[9]), keeping(ttl=7, expire_at=(50, 70)), rules(latency=INSTANT))
    assert caches(ledger, "born", "until", "reads") == [(0, 50, 2), (50, 70, 1), (80, 87, 1)]


@pytest.mark.parametrize(("asked", "until", "reads"), [(39, 40, 2), (41, 1_000, 2)])
def test_new_contents_end_the_cache_of_the_old(asked, until, reads):
    """Replaced at 40, the cache is deleted then; who asks for the old contents later keeps a cache of its own."""
    kept = keeping(ttl=1_000, delete_replaced=1)
    ledger = simulate(world([0, 20], depth=[9], replaced=[40]), kept, rules(latency=INSTANT))
    assert caches(ledger, "until", "reads", "committed") == [(40, 2, 1_000)]
    late = simulate(world([asked], depth=[9], replaced=[40]), kept, rules(latency=INSTANT))
    assert late.cache_until.tolist() == [40 if asked < 40 else asked + 1_000]


@pytest.mark.parametrize(("maximum", "cached"), [(9, 9), (8, 4), (4, 4), (3, 0)])
def test_the_maximum_is_the_largest_cache(maximum, cached):
    """A context of the maximum is cached; of one token more it is not, and the deepest that fits is read."""
    trace = world([0, 50], 1, depth=[4, 9], parent=[-1, 0])
    ledger = simulate(trace, keeping(ttl=1_000), rules(explicit_maximum=maximum))
    assert ledger.cached.tolist() == [cached] * 2
    assert ledger.cache_tokens.tolist() == ([cached] if cached else [])


@given(
    st.lists(st.sampled_from([0, 1, 5, 6, 10, 11, 20]), min_size=1, max_size=10), st.sampled_from([5, 6, 10, 11, 20])
)
def test_a_longer_sliding_ttl_never_hits_less(gaps, ttl):
    """P30: caches renewed on use are nested in TTL, so for fixed arrivals the creations do not grow."""
    trace = world(np.cumsum(gaps).tolist(), depth=[9])
    short, long = (
        simulate(trace, keeping(ttl=life, renew_on_use=1), rules(latency=INSTANT)) for life in (ttl, ttl + 1)
    )
    assert len(long.cache_born) <= len(short.cache_born)


MODEL = "gemini-2.5-flash"
GOOGLE = load_book("google")


def billed(trace, strategy, latency=STEPPED, book=GOOGLE, **terms):
    """The ledger and the bill of one run on one model."""
    one = rules(latency=latency, models=(MODEL,))._replace(start_ms=GOOGLE.checked_ms)
    ledger = simulate(trace, strategy, one)
    return ledger, rate(ledger, book, GOOGLE.terms.model_copy(update=terms))


@settings(deadline=None)
@given(trees_asked(), st.integers(0, 1))
def test_a_ttl_of_nothing_is_the_standard_bill_and_the_creations(trace, wait):
    """P27: at TTL 0 nothing is read and nothing stored: the bill is the standard one, and the creations on top."""
    ledger, bill = billed(trace, keeping(ttl=0, wait=wait))
    lines, standard = bill.by_line(), billed(trace, plan("none"))[1].by_line()
    heard, entry = int(ledger.cache_audio.sum()), GOOGLE.entry(MODEL, GOOGLE.checked_ms)
    written = int(ledger.cache_tokens.sum()) - heard
    assert {**lines, "creation": Fraction(0)} == standard
    assert lines["creation"] == (written * entry.price("input") + heard * entry.price("audio_input")) / Fraction(10**12)
    assert billed(trace, keeping(ttl=0, wait=wait), creation="free")[1].total == sum(standard.values())


@settings(deadline=None)
@given(trees_asked())
def test_a_ttl_beyond_the_run_is_always_on(trace):
    """P28: one cache a context from its first use on, read by every request of it, stored for the TTL."""
    long = 10 * HOUR
    ledger, bill = billed(trace, keeping(ttl=long))
    twin = Twin(trace, keeping(), rules(), physics(trace))
    used = {i: nodes[-1] for i in range(trace.requests) if (nodes := twin.contexts(i))}
    nodes = set(used.values())
    assert ledger.source.tolist() == [Source.EXPLICIT if i in used else Source.NONE for i in range(trace.requests)]
    assert sorted(ledger.cache_tokens.tolist()) == sorted(int(trace.depth[node]) for node in nodes)
    stored = sum(int(trace.depth[node]) for node in nodes) * long
    price = GOOGLE.entry(MODEL, GOOGLE.checked_ms).price("storage")
    assert bill.by_line()["storage"] == Fraction(stored * price, HOUR * 10**12)


def with_free_storage(book):
    """The same book, storage at no price."""
    return dataclasses.replace(
        book,
        entries={
            model: tuple(dataclasses.replace(entry, prices={**entry.prices, "storage": 0}) for entry in entries)
            for model, entries in book.entries.items()
        },
    )


@settings(deadline=None)
@given(trees_asked(), keepings())
def test_a_cache_that_costs_nothing_is_never_dearer(trace, strategy):
    """P29: with storage and creation free and no padding, the explicit cache costs at most the standard bill."""
    plain = strategy._replace(cache=strategy.cache._replace(pad_from=NEVER))
    free = with_free_storage(GOOGLE)
    explicit = billed(trace, plain, book=free, creation="free")[1]
    assert explicit.total <= billed(trace, plan("none"), book=free)[1].total


def test_the_deepest_live_cache_is_read_where_the_deepest_context_has_none():
    """A context of many children is cached at its second sighting, and read under children that are seen once each."""
    tree = {"depth": [6, 9, 9, 9, 9], "parent": [-1, 0, 0, 0, 0]}
    trace = world([0, 100, 200, 300], [1, 2, 3, 4], fresh=5, **tree)
    ledger = simulate(trace, plan("explicit", sightings=2))
    assert caches(ledger, "tokens", "born", "reads") == [(6, 100, 3)]
    assert ledger.cached.tolist() == [0, 6, 6, 6]


def test_a_context_of_its_own_is_created_where_it_is_due_although_one_above_is_live():
    """The second request of a child creates the child's cache, and the third reads it."""
    trace = world([0, 100, 200, 300], [0, 0, 1, 1], fresh=5, depth=[6, 9], parent=[-1, 0])
    ledger = simulate(trace, plan("explicit", sightings=2))
    assert ledger.cached.tolist() == [0, 6, 6, 9]


def test_a_context_is_done_when_its_last_answer_is_there():
    """``last_use`` deletes when no request is left and none is in flight, not when the last one sent is answered."""
    slow = epoch(latency=LatencyLaw(0, 0, 0, 10**6))
    trace = world([0, 9], 0, fresh=0, output=[500, 1], depth=[6])
    ledger = simulate(trace, plan("explicit", delete="last_use"), rules(slow))
    assert ledger.done.tolist() == [501, 10]
    assert ledger.cache_until.tolist() == [501]
