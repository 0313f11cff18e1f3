"""The service's own cache through the whole engine: a twin that compares every token, the ceiling, and laws by hand."""

import os
from pathlib import Path

import numpy as np
import pytest
from cache_twins import REQUEST_COLUMNS, Twin, common, tokens_of
from examples import times
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from workloads import SEED, workload
from worlds import INSTANT, NEXT, calls, epoch, implicit_rules, physics, plan, rules, simulate, world
from worlds import service as whole_service

from sim.engines.laws.prefix import hit_tokens
from sim.engines.physics import cells
from sim.engines.reference import run
from sim.providers.rules import CHANCE_ONE, LatencyLaw
from sim.trace import REQUEST_COLUMNS as TRACE_COLUMNS
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
GAPS = st.sampled_from([1, 4, 5, 6, 7, 12, 0, 0])
DRAWS = st.sampled_from([0, 0, HALF - 1, HALF, CHANCE_ONE - 1])
IMPLICIT = plan("implicit")
NONE = plan("none")


@st.composite
def shared_prompts(draw, most=12):
    """A trace on a random tree of few short nodes, some of length 0, some of audio in part, and times that clash."""
    depth, parent, heard = [], [], []
    for node in range(draw(st.sampled_from([1, 2, 3, 6]))):
        parent.append(draw(st.sampled_from([*range(node), *range(node), -1])))
        above, tokens = parent[-1], draw(st.sampled_from([4, 4, 3, 1, 0]))
        depth.append((depth[above] if above >= 0 else 0) + tokens)
        heard.append((heard[above] if above >= 0 else 0) + draw(st.sampled_from([0, tokens // 2, tokens])))
    n = draw(st.sampled_from([most, 8, 4, 2, 1]))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    arrive = np.cumsum(column(GAPS))
    leaf = column(st.sampled_from([*[*range(len(depth))] * 3, -1]))
    fresh, luck = column(st.integers(0, 2)), column(DRAWS)
    return world(
        arrive,
        leaf,
        fresh=fresh,
        audio=[tokens // 2 for tokens in fresh],
        output=column(st.integers(0, 2)),
        luck=luck,
        depth=depth,
        audio_depth=heard,
        parent=parent,
    )


memories = st.builds(
    implicit_rules,
    block=st.sampled_from([1, 1, 2, 4]),
    sightings=st.sampled_from([1, 1, 1, 1, 2, 3]),
    at_arrival=st.booleans(),
    refreshed=st.booleans(),
    steps=st.sampled_from([
        *[((0, CHANCE_ONE),)] * 6,
        *[((0, 0),), ((4, CHANCE_ONE),), ((1, 0), (4, HALF), (7, CHANCE_ONE)), ((0, HALF), (7, 1))],
    ]),
)  # fmt: skip
minimums = st.sampled_from([0, 0, 1, 1, 3, 4, 4, 5, 7, -1])
lifetimes = st.sampled_from([NEXT, NEXT, 12, 12, 7, 6, 5, 4, 0])
CELLS = st.sampled_from([0, 0, 0, 0, 7])


def per_request(data, trace, values):
    """A column of draws: one for all requests, or one each."""
    n = trace.requests
    return data.draw(values.map(lambda value: [value] * n) | st.lists(values, min_size=n, max_size=n))


def service(memory=None, minimum=0, latency=INSTANT):
    """One epoch of the service's own cache."""
    return rules(epoch(implicit_minimum=minimum, latency=latency), implicit=memory or implicit_rules())


@settings(max_examples=times(400), deadline=None)
@given(st.data(), shared_prompts(), memories, minimums)
def test_the_engine_equals_the_token_by_token_twin(data, trace, memory, minimum):
    """Each request's cached tokens and times are those of a twin that compares all prompts, integer for integer."""
    kept, cell = per_request(data, trace, lifetimes), per_request(data, trace, CELLS)
    own, body = service(memory, minimum, STEPPED), physics(trace, retention=kept, cell=cell)
    ledger = run(trace, IMPLICIT, own, body)
    event(f"hits: {min(np.count_nonzero(ledger.cached), 3)}")
    event(f"audio of hits: {bool(ledger.cached_audio.sum())}")
    assert calls(ledger, *REQUEST_COLUMNS) == Twin(trace, IMPLICIT, own, body).run()[0]


@settings(deadline=None)
@given(shared_prompts(), memories, minimums, lifetimes)
def test_a_hit_is_within_its_bounds(trace, memory, minimum, lifetime):
    """P39, P41: at most the longest prefix in common with another prompt of its cell, whole blocks, and no storage."""
    cell = np.arange(trace.requests) % 2
    ledger = simulate(trace, IMPLICIT, service(memory, minimum, STEPPED), retention=lifetime, cell=cell)
    prompts = [tokens_of(trace, request) for request in range(trace.requests)]
    assert np.all(ledger.cached_audio <= np.minimum(ledger.cached, ledger.audio))
    for request, cached in enumerate(ledger.cached.tolist()):
        others = [prompts[i] for i in range(request % 2, trace.requests, 2) if i != request]
        shared = max((common(prompts[request], other) for other in others), default=0)
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
    kept, cell = np.array(per_request(data, trace, lifetimes)), per_request(data, trace, CELLS)
    more = kept + np.array(per_request(data, trace, lifetimes))
    short, long = (simulate(trace, IMPLICIT, own, retention=times, cell=cell) for times in (kept, more))
    assert np.all(long.cached >= short.cached)


RISING = ((0, HALF), (4, CHANCE_ONE))  # the longer the prefix, the likelier the hit


@given(shared_prompts(), memories, lifetimes, st.integers(0, 4095))
def test_a_cell_that_serves_everybody_is_the_only_one(trace, memory, lifetime, cell):
    """Where all requests are routed alike, it does not matter how many cells there are beside theirs."""
    own = service(memory, 0, STEPPED)
    ours, only = (simulate(trace, IMPLICIT, own, retention=lifetime, cell=number) for number in (cell, 0))
    assert all(np.array_equal(a, b) for a, b in zip(ours, only, strict=True))


@given(shared_prompts(), memories, lifetimes, st.data())
def test_cells_know_nothing_of_each_other(trace, memory, lifetime, data):
    """The requests of one cell are served as they would be if those of all the others did not exist."""
    own, cell = service(memory, 0, STEPPED), np.array(per_request(data, trace, CELLS))
    ledger = simulate(trace, IMPLICIT, own, retention=lifetime, cell=cell)
    for number in set(cell.tolist()):
        mine = cell == number
        rows = {name: getattr(trace, name)[mine] for name in TRACE_COLUMNS}
        alone = trace._replace(**rows | {"session": np.arange(mine.sum())})
        told = simulate(alone, IMPLICIT, own, retention=lifetime)
        assert calls(told, *REQUEST_COLUMNS) == [
            row for row, is_mine in zip(calls(ledger, *REQUEST_COLUMNS), mine, strict=True) if is_mine
        ]


@given(shared_prompts(), memories, st.data())
def test_splitting_a_cell_never_hits_more(trace, memory, data):
    """Half of a cell has seen less than the whole: prefixes stored at the arrival and refreshed, chances rising."""
    own = service(memory._replace(at_arrival=True, refreshed=True, steps=RISING))
    kept, cell = per_request(data, trace, lifetimes), np.array(per_request(data, trace, CELLS))
    half = 10 * cell + np.array(per_request(data, trace, CELLS))
    whole, split = (simulate(trace, IMPLICIT, own, retention=kept, cell=numbers) for numbers in (cell, half))
    assert np.all(split.cached <= whole.cached)


@given(shared_prompts(), memories, st.data())
def test_more_sightings_never_hit_more(trace, memory, data):
    """What is wanted more often before its first hit is hit less: prefixes stored at the arrival, chances rising."""
    own = memory._replace(at_arrival=True, steps=RISING)
    kept, cell = per_request(data, trace, lifetimes), per_request(data, trace, CELLS)
    few, many = (
        simulate(trace, IMPLICIT, service(own._replace(sightings=k)), retention=kept, cell=cell)
        for k in (memory.sightings, memory.sightings + 1)
    )
    assert np.all(many.cached <= few.cached)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 20))
def test_a_metronome_is_hit_from_its_sightings_on(sightings, cells_of, ticks):
    """Of a prefix that comes round c cells in turn, each cell misses the first s and hits all the others."""
    trace = world(range(ticks), depth=[4])
    own = service(implicit_rules(sightings=sightings))
    ledger = simulate(trace, IMPLICIT, own, cell=np.arange(ticks) % cells_of)
    assert np.count_nonzero(ledger.cached == 0) == min(ticks, sightings * cells_of)
    assert np.all(ledger.cached[sightings * cells_of :] == 4)


def test_sightings_count_in_the_present_life_only():
    """Kept for 5 ms and wanted twice: at 20 the prefix is dead, and its two sightings are forgotten with it."""
    trace = world([0, 4, 8, 20, 24, 28], depth=[4])
    ledger = simulate(trace, IMPLICIT, service(implicit_rules(sightings=2)), retention=5)
    assert ledger.cached.tolist() == [0, 0, 4, 0, 0, 4]


def test_a_prefix_that_was_not_seen_often_enough_hides_what_was():
    """Fixed lifetimes: the node of 4 died and was seen once since, so the 9 below, seen twice, are no use yet."""
    memory = implicit_rules(refreshed=False, sightings=2)
    trace = world([0, 3, 6, 9, 10], [0, 1, 1, 1, 1], depth=[4, 9], parent=[-1, 0])
    ledger = simulate(trace, IMPLICIT, service(memory), retention=[6, 99, 99, 99, 99])
    assert ledger.cached.tolist() == [0, 0, 0, 0, 9]


def test_a_sighting_counts_for_all_of_the_prefix_however_short_its_life():
    """The second prompt would be kept for 5 ms only, no longer than the first: it is a sighting of the shared 4 too."""
    trace = world([0, 1, 2], [1, 1, 2], depth=[4, 9, 9], parent=[-1, 0, 0])
    ledger = simulate(trace, IMPLICIT, service(implicit_rules(sightings=2)), retention=[99, 5, 99])
    assert ledger.cached.tolist() == [0, 0, 4]


@pytest.mark.parametrize(("cached", "block", "audio"), [(10, 1, 6), (8, 4, 4)])
def test_the_audio_of_a_hit_is_its_share_of_the_live_prefix(cached, block, audio):
    """Of 10 live tokens 6 are audio; of the 8 in whole blocks of 4, 6 * 8 // 10 = 4."""
    trace = world([0, 5], depth=[10], audio_depth=[6], fresh=3, audio=2)
    ledger = simulate(trace, IMPLICIT, service(implicit_rules(block=block)))
    assert calls(ledger, "cached", "audio", "cached_audio") == [(0, 8, 0), (cached, 8, audio)]


SESSIONS = 4


@given(st.lists(st.integers(0, SESSIONS - 1), min_size=1, max_size=12), st.data())
def test_with_affinity_one_a_conversation_has_a_cell_of_its_own(turns, data):
    """Four conversations whose first turns go to four cells: every later turn follows its own, wherever it would go."""
    first = {turn: turns.index(turn) for turn in turns}
    session = [first[turn] for turn in turns]
    elsewhere = data.draw(st.lists(DRAWS, min_size=len(turns), max_size=len(turns)))
    heads = [turn * (1 << 30) + 5 for turn in turns]  # a quarter of all draws goes to each cell
    route = [heads[i] if session[i] == i else elsewhere[i] for i in range(len(turns))]
    trace = world(range(len(turns)), depth=[4], session=session, route=route)
    law = whole_service(cells=SESSIONS, affinity=1.0).implicit
    routed, own = (simulate(trace, IMPLICIT, service(), cell=c) for c in (cells(law, trace), trace.session))
    assert routed.cached.tolist() == own.cached.tolist() == [0 if session[i] == i else 4 for i in range(len(turns))]


@given(shared_prompts(), memories, lifetimes)
def test_without_luck_it_is_no_cache_at_all(trace, memory, lifetime):
    """P37: with a hit chance of 0 every column equals that of the strategy without a cache."""
    own = service(memory._replace(steps=((0, 0),)), 0, STEPPED)
    with_it, without = (simulate(trace, strategy, own, retention=lifetime) for strategy in (IMPLICIT, NONE))
    assert all(np.array_equal(a, b) for a, b in zip(with_it, without, strict=True))


@given(shared_prompts())
def test_with_all_the_luck_a_repeated_prompt_is_read_whole(trace):
    """P38: at chance 1, for ever, a prompt that is all prefix and was asked before is cached to its last token."""
    whole = trace._replace(fresh=trace.fresh * 0, audio=trace.audio * 0)
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
