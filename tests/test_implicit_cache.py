"""The service's own cache through the whole engine: a twin that compares every token, the ceiling, and laws by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from cache_twins import REQUEST_COLUMNS, Twin, common, tokens_of
from examples import times
from hypothesis import example, given, settings
from hypothesis import strategies as st
from workloads import SEED, workload
from worlds import INSTANT, NEXT, calls, epoch, implicit_rules, physics, plan, rules, simulate, world

from sim.engines.laws.prefix import hit_tokens
from sim.engines.reference import run
from sim.providers.rules import CHANCE_ONE, LatencyLaw
from sim.traces import load_trace
from sim.traces.prefix_tree import TreeBuilder, runs_of
from sim.traces.profile import ceiling
from sim.traces.recorded import Calls, assemble
from sim.workload.realise import realise, replay

needs_traces = pytest.mark.skipif(
    "GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces"
)

HALF = CHANCE_ONE // 2
STEPPED = LatencyLaw(base_ns=2 * 10**6, uncached_ns=10**6, cached_ns=250_000, output_ns=10**6)
GAPS = st.sampled_from([0, 0, 1, 4, 5, 6, 7, 12])
DRAWS = st.sampled_from([0, HALF - 1, HALF, CHANCE_ONE - 1])
IMPLICIT = plan("implicit")
NONE = plan("none")


@st.composite
def shared_prompts(draw, most=12):
    """A trace on a random tree of few short nodes, some of length 0, and times that clash."""
    depth, parent = [], []
    for node in range(draw(st.integers(1, 6))):
        parent.append(draw(st.integers(-1, node - 1)))
        depth.append((depth[parent[-1]] if parent[-1] >= 0 else 0) + draw(st.sampled_from([0, 1, 3, 4])))
    n = draw(st.integers(1, most))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    arrive = np.cumsum(column(GAPS))
    leaf, fresh, luck = column(st.integers(-1, len(depth) - 1)), column(st.integers(0, 2)), column(DRAWS)
    return world(arrive, leaf, fresh=fresh, output=column(st.integers(0, 2)), luck=luck, depth=depth, parent=parent)


memories = st.builds(
    implicit_rules,
    block=st.sampled_from([1, 2, 4]),
    at_arrival=st.booleans(),
    refreshed=st.booleans(),
    steps=st.sampled_from(
        [((0, CHANCE_ONE),), ((0, 0),), ((4, CHANCE_ONE),), ((1, 0), (4, HALF), (7, CHANCE_ONE)), ((0, HALF), (7, 1))]
    ),
)
minimums = st.sampled_from([0, 1, 3, 4, 5, 7, 8, -1])
lifetimes = st.sampled_from([0, 1, 4, 5, 6, 7, 12, NEXT])


def service(memory=None, minimum=0, latency=INSTANT):
    """One epoch of the service's own cache."""
    return rules(epoch(implicit_minimum=minimum, latency=latency), implicit=memory or implicit_rules())


@settings(max_examples=times(400), deadline=None)
@given(st.data(), shared_prompts(), memories, minimums)
def test_the_engine_equals_the_token_by_token_twin(data, trace, memory, minimum):
    """Each request's cached tokens and times are those of a twin that compares all prompts, integer for integer."""
    kept = data.draw(st.lists(lifetimes, min_size=trace.requests, max_size=trace.requests))
    own, body = service(memory, minimum, STEPPED), physics(trace, retention=kept)
    assert calls(run(trace, IMPLICIT, own, body), *REQUEST_COLUMNS) == Twin(trace, IMPLICIT, own, body).run()[0]


@settings(deadline=None)
@given(shared_prompts(), memories, minimums, lifetimes)
def test_a_hit_is_within_its_bounds(trace, memory, minimum, lifetime):
    """P39, P41: at most the longest prefix in common with another prompt, whole blocks, no crumbs, no storage."""
    ledger = simulate(trace, IMPLICIT, service(memory, minimum, STEPPED), retention=lifetime)
    prompts = [tokens_of(trace, request) for request in range(trace.requests)]
    for request, cached in enumerate(ledger.cached.tolist()):
        shared = max((common(prompts[request], prompts[i]) for i in range(trace.requests) if i != request), default=0)
        assert cached <= shared <= trace.prompt[request]
        assert cached % memory.block == 0
        assert (
            cached == 0 or cached + memory.block > minimum >= 0
        )  # the live prefix is at least the minimum, then rounded
    assert ledger.storage_token_ms == 0
    assert not len(ledger.cache_born)


@given(shared_prompts(), lifetimes)
def test_hits_never_exceed_requests_less_distinct_prefixes(trace, lifetime):
    """P42: with one grain of prefix, the first of each kind pays in full, whatever the luck."""
    roots = trace._replace(leaf=np.where(trace.parent[trace.leaf] < 0, trace.leaf, -1))
    ledger = simulate(roots, IMPLICIT, service(), retention=lifetime)
    shared = roots.leaf[(roots.leaf >= 0) & (roots.depth[roots.leaf] > 0)]
    assert np.count_nonzero(ledger.cached) <= len(shared) - len(set(shared.tolist()))


@given(shared_prompts(), memories, minimums, st.data())
def test_a_longer_idle_lifetime_never_hits_less(trace, memory, minimum, data):
    """P43: prefixes stored at the arrival and refreshed: each request reads at least what it read before."""
    own = service(memory._replace(at_arrival=True, refreshed=True, steps=((0, HALF), (4, CHANCE_ONE))), minimum)
    kept = np.array(data.draw(st.lists(lifetimes, min_size=trace.requests, max_size=trace.requests)))
    more = kept + np.array(data.draw(st.lists(lifetimes, min_size=trace.requests, max_size=trace.requests)))
    short, long = (simulate(trace, IMPLICIT, own, retention=times) for times in (kept, more))
    assert np.all(long.cached >= short.cached)


@given(shared_prompts(), memories, lifetimes)
def test_without_luck_it_is_no_cache_at_all(trace, memory, lifetime):
    """P37: with a hit chance of 0 every column equals that of the strategy without a cache."""
    own = service(memory._replace(steps=((0, 0),)), 0, STEPPED)
    with_it, without = (simulate(trace, strategy, own, retention=lifetime) for strategy in (IMPLICIT, NONE))
    assert all(np.array_equal(a, b) for a, b in zip(with_it, without, strict=True))


@given(shared_prompts())
def test_with_all_the_luck_a_repeated_prompt_is_read_whole(trace):
    """P38: at chance 1, for ever, a prompt that is all prefix and was asked before is cached to its last token."""
    whole = trace._replace(fresh=trace.fresh * 0)
    ledger = simulate(whole, IMPLICIT, service())
    seen = set()
    for leaf, cached in zip(whole.leaf.tolist(), ledger.cached.tolist(), strict=True):
        if leaf in seen:
            assert cached == whole.depth[leaf]
        seen |= {leaf} - {-1}


@pytest.mark.parametrize(("order", "some"), [("shared_first", True), ("variable_first", False)])
def test_variable_text_in_front_never_hits(order, some):
    """P40: the same questions on the same document hit nothing once the question stands in front of it."""
    trace = realise(
        workload(f"""
        [contexts.doc]
        tokens = 5000
        [streams.ask]
        arrivals = {{ process = "poisson", rate = "20/h" }}
        context = "doc"
        order = "{order}"
        fresh = 50
        output = 10
        patience = "1m"
        """),
        SEED,
        0,
    )
    assert np.all(trace.prompt == 5050)
    assert bool(simulate(trace, IMPLICIT, service()).cached.sum()) == some


@pytest.mark.parametrize(("live", "block", "minimum", "cached"), [
    (2_047, 1, 2_048, 0),
    (2_048, 1, 2_048, 2_048),
    (2_049, 64, 2_048, 2_048),
    (2_111, 64, 2_048, 2_048),
    (2_112, 64, 2_048, 2_112),
    (63, 64, 0, 0),
])  # fmt: skip
def test_the_minimum_and_the_blocks_at_their_edges(live, block, minimum, cached):
    """One token below the minimum is not cached, the minimum itself is, and a started block is not."""
    trace = world([0, 5], [0, 0], depth=[live])
    ledger = simulate(trace, IMPLICIT, service(implicit_rules(block=block), minimum))
    assert ledger.cached.tolist() == [0, cached] == [0, hit_tokens(live, block, minimum)]


@pytest.mark.parametrize(("gap", "refreshed", "hits"), [
    (6, True, [0, 4, 4, 4]), (7, True, [0, 0, 0, 0]),
    (6, False, [0, 4, 0, 4]), (3, False, [0, 4, 4, 0]),
])  # fmt: skip
def test_a_lifetime_is_half_open_and_fixed_or_refreshed(gap, refreshed, hits):
    """A prefix kept for 7 ms is hit 6 ms later and not 7; a use starts the time anew only where it is refreshed."""
    trace = world([gap * k for k in range(4)], depth=[4])
    ledger = simulate(trace, IMPLICIT, service(implicit_rules(refreshed=refreshed)), retention=7)
    assert ledger.cached.tolist() == hits


def test_a_dead_prefix_hides_what_is_alive_below_it():
    """Kept for 10 ms from being stored: at 12 the 4 tokens of 0 are dead, so the 9 that were stored at 5 are no use."""
    trace = world([0, 5, 12, 14], [0, 1, 1, 1], depth=[4, 9], parent=[-1, 0])
    ledger = simulate(trace, IMPLICIT, service(implicit_rules(refreshed=False)), retention=10)
    assert ledger.cached.tolist() == [0, 4, 0, 9]


@pytest.mark.parametrize(("gap", "cached"), [(5, 0), (6, 4)])
def test_a_prefix_is_there_from_the_first_token_on(gap, cached):
    """The first prompt of 4 tokens has its first token after 2 + 4 ms: one ms before that nobody hits it."""
    trace = world([0, gap], depth=[4], fresh=0, output=9)
    own = service(implicit_rules(at_arrival=False), latency=STEPPED)
    assert simulate(trace, IMPLICIT, own).cached.tolist() == [0, cached]


BLOCK = 10
BLOCK_TRACES = st.lists(
    st.tuples(st.sampled_from([0, 1, 999, 1000, 1001, 2000]), st.lists(st.integers(0, 2), max_size=5)), max_size=25
)


def recorded_blocks(asked):
    """A recorded trace of (ms since the call before, block ids)."""
    builder, table, leaf, now = TreeBuilder(), Calls(), [], 0
    for line, (gap, ids) in enumerate(asked):
        now += gap
        table.add(line, now, BLOCK * len(ids) + 3, 1)
        leaf.append(builder.insert(runs_of(ids)))
    tree, leaf = builder.finish(BLOCK, leaf)
    return assemble("mooncake", table, list(range(len(asked))), leaf, tree, BLOCK, [])


def read_by_engine(recorded, lifetime_s, *, refreshed=True):
    """Tokens that the engine reads from the service's own cache when nothing but time forgets."""
    trace = replay(recorded, patience=60_000, seed=1, replication=0)
    own = service(implicit_rules(block=recorded.block_tokens or 1, refreshed=refreshed))
    kept = NEXT if lifetime_s is None else 1000 * lifetime_s
    return int(simulate(trace, IMPLICIT, own, retention=kept).cached.sum())


@settings(deadline=None)
@given(BLOCK_TRACES)
@example([(0, [0, 1]), (1000, [0]), (1000, [0, 1]), (999, [0, 1])])
@example([(0, [0]), (999, [0, 1]), (1, [0, 1]), (999, [0, 1]), (1, [0, 1])])
def test_the_engine_reaches_the_ceiling_of_a_trace(asked):
    """Chance 1, minimum 0, stored at the arrival: the engine reads what the trace's profile calls its ceiling."""
    recorded = recorded_blocks(asked)
    found = ceiling(recorded, [1, 2])
    assert read_by_engine(recorded, None) == found.unlimited
    assert {s: read_by_engine(recorded, s) for s in (1, 2)} == found.idle
    assert {s: read_by_engine(recorded, s, refreshed=False) for s in (1, 2)} == found.fixed


@needs_traces
def test_the_engine_reads_mooncake_to_the_token():
    """39,802,880 tokens of the real trace without forgetting, and the published shares of idle and fixed lifetimes."""
    recorded = load_trace(Path(os.environ["GCSIM_TRACES"]) / "mooncake/synthetic_trace.jsonl.gz")
    found, total = ceiling(recorded, [300]), int(recorded.prompt.sum())
    assert read_by_engine(recorded, None) == found.unlimited == 39_802_880
    assert read_by_engine(recorded, 300) == found.idle[300] == round(0.594424 * total / 512) * 512
    assert read_by_engine(recorded, 300, refreshed=False) == found.fixed[300]


def test_a_dead_node_without_tokens_hides_nothing():
    """A turn that adds no token ends no prefix: what lives below it is hit although it is dead itself."""
    memory = implicit_rules(refreshed=False)
    trace = world([0, 1, 6], [0, 1, 1], fresh=0, depth=[0, 3], parent=[-1, 0])
    ledger = simulate(trace, IMPLICIT, service(memory, 0, STEPPED), retention=[4, 9, 9])
    assert ledger.cached.tolist() == [0, 0, 3]


def test_a_prefix_does_not_outlive_the_model_that_it_was_left_with():
    """After a redirect the successor has seen nothing: the first request misses, the next one hits its prefix."""
    before = epoch(until=100, latency=STEPPED)
    after = epoch(100, model=1, latency=STEPPED)
    trace = world([0, 50, 100, 150], fresh=0, depth=[5])
    ledger = simulate(trace, IMPLICIT, rules(before, after, implicit=implicit_rules()), retention=1_000)
    assert ledger.model.tolist() == [0, 0, 1, 1]
    assert ledger.cached.tolist() == [0, 5, 0, 5]
