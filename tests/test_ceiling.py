"""The profile of a trace and the ceiling of implicit hits, against a naive twin and the published figures."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.traces import Recorded, load_trace
from sim.traces.prefix_tree import TreeBuilder, runs_of
from sim.traces.profile import ceiling, document, profile
from sim.traces.recorded import Calls, assemble

BLOCK = 10
LIFETIMES = (1, 2, 3)  # s

needs_traces = pytest.mark.skipif(
    "GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces"
)

# gaps that meet the ends of the lifetimes, and ids so few that paths clash
GAPS = st.sampled_from([0, 1, 999, 1000, 1001, 2000, 2999, 3000])
BLOCK_TRACES = st.lists(st.tuples(GAPS, st.lists(st.integers(0, 2), max_size=5)), max_size=25)


def block_trace(calls: list[tuple[int, list[int]]], fresh: int = 3) -> Recorded:
    """Calls as (ms since the one before, block ids)."""
    builder, table = TreeBuilder(), Calls()
    leaf, now = [], 0
    for line, (gap, ids) in enumerate(calls):
        now += gap
        table.add(line, now, BLOCK * len(ids) + fresh, 1)
        leaf.append(builder.insert(runs_of(ids)))
    tree, leaf = builder.finish(BLOCK, leaf)
    return assemble("mooncake", table, list(range(len(calls))), leaf, tree, BLOCK, [])


def naive(calls: list[tuple[int, list[int]]], lifetime_s: int | None, *, fixed: bool) -> int:
    """A clock a block, every block of every prompt looked at."""
    clocks: dict[tuple[int, ...], int] = {}
    now = matched = 0
    for gap, ids in calls:
        now += gap
        hit = True
        for end in range(1, len(ids) + 1):
            block = tuple(ids[:end])
            alive = block in clocks and (lifetime_s is None or now - clocks[block] < 1000 * lifetime_s)
            hit = hit and alive
            matched += BLOCK * hit
            if not (fixed and alive):
                clocks[block] = now
    return matched


@given(BLOCK_TRACES)
@example([(0, [0, 1]), (1000, [0]), (1000, [0, 1]), (999, [0, 1])])
def test_the_compressed_ceiling_equals_a_clock_for_every_block(calls):
    """On any block trace the tree's matched tokens are those of a dictionary with a clock a block, for each rule."""
    found = ceiling(block_trace(calls), LIFETIMES)
    assert found.unlimited == naive(calls, None, fixed=False) == naive(calls, None, fixed=True)
    assert found.idle == {s: naive(calls, s, fixed=False) for s in LIFETIMES}
    assert found.fixed == {s: naive(calls, s, fixed=True) for s in LIFETIMES}


def test_a_lifetime_is_half_open():
    """A prefix touched at t is alive on [t, t + T): one ms before the end it is hit, at the end it is not."""
    for gap, blocks in ((999, 1), (1000, 0)):
        found = ceiling(block_trace([(0, [7]), (gap, [7])]), [1])
        assert found.idle[1] == found.fixed[1] == blocks * BLOCK


def test_a_read_moves_the_idle_clock_and_not_the_fixed_one():
    """Reads every 600 ms keep an idle lifetime of 1 s going; the fixed one ends and is stored again at 1,200 ms."""
    found = ceiling(block_trace([(0, [7]), (600, [7]), (600, [7]), (600, [7])]), [1])
    assert found.idle[1] == 3 * BLOCK
    assert found.fixed[1] == 2 * BLOCK


def test_a_live_block_behind_a_dead_one_keeps_its_own_clock():
    """Fixed: block 1 is stored late, outlives block 0, is not matched behind it, and dies at its own time."""
    calls = [(0, [0]), (900, [0, 1]), (200, [0, 1]), (700, [0, 1]), (200, [0, 1])]
    # 0.9 s: 0 hit, 1 stored; 1.1 s: 0 dead, stored again; 1.8 s: both alive; 2.0 s: 0 alive, 1 died at 1.9 s
    assert ceiling(block_trace(calls), [1]).fixed[1] == (0 + 1 + 0 + 2 + 1) * BLOCK


@given(BLOCK_TRACES)
def test_longer_lifetimes_and_sliding_ones_match_no_less(calls):
    """The idle ceiling grows with the lifetime up to the unlimited one, and is never below the fixed one."""
    found = ceiling(block_trace(calls), LIFETIMES)
    idle = [found.idle[s] for s in LIFETIMES]
    assert [*idle, found.unlimited] == sorted([*idle, found.unlimited])
    assert all(found.fixed[s] <= found.idle[s] for s in LIFETIMES)


@given(BLOCK_TRACES)
def test_the_profile_restates_its_definitions(calls):
    """Rate is one over the mean gap, the CV is that of all gaps, a quantile is a count of the file."""
    figures = profile(block_trace(calls), LIFETIMES)
    n = len(calls)
    gaps = np.array([gap for gap, _ in calls[1:]])
    sizes = sorted(BLOCK * len(ids) + 3 for _, ids in calls)
    assert (figures.requests, figures.span_ms, figures.input.total) == (n, gaps.sum(), sum(sizes))
    if n:
        assert figures.input.p50 == sizes[-(-n // 2) - 1]
        assert figures.input.p99 == np.quantile(sizes, 0.99, method="inverted_cdf")
        assert figures.input.mean == sum(sizes) / n
    if gaps.sum():
        assert figures.rate_per_s == pytest.approx(1000 / gaps.mean())
        assert figures.gap_cv == pytest.approx(gaps.std() / gaps.mean())
    else:
        assert (figures.rate_per_s, figures.gap_cv) == (None, None)


def test_a_lifetime_must_be_above_zero():
    """A lifetime of zero is refused by name."""
    with pytest.raises(InputError, match="--idle: must be > 0"):
        profile(block_trace([]), [0])


@needs_traces
@pytest.mark.parametrize(
    ("file", "shares"),
    [
        ("mooncake/synthetic_trace.jsonl.gz", (0.650431, 0.594424, 0.650431, 0.521650)),
        ("kv-cache-tester/kvct_compact_odd.jsonl.gz", (0.961963, 0.916411, 0.959324, 0.795121)),
    ],
)
def test_real_traces_meet_the_published_ceilings(file, shares):
    """Unlimited, idle 300 s, idle 3600 s, fixed 300 s: the figures that were measured apart from this code."""
    figures = document(profile(load_trace(Path(os.environ["GCSIM_TRACES"]) / file)))
    found = figures["ceiling"]
    values = (found["unlimited"], found["idle_s"]["300"], found["idle_s"]["3600"], found["fixed_s"]["300"])
    assert tuple(round(value, 6) for value in values) == shares


@needs_traces
def test_mooncake_matches_whole_blocks_to_the_token():
    """39,802,880 of 61,194,628 input tokens."""
    figures = profile(load_trace(Path(os.environ["GCSIM_TRACES"]) / "mooncake/synthetic_trace.jsonl.gz"))
    assert (figures.ceiling.unlimited, figures.input.total) == (39_802_880, 61_194_628)


@needs_traces
def test_azure_has_the_published_profile():
    """19,366 requests in 3,502 s, input 1,155, output 211, gap CV 1.09, and no ceiling."""
    figures = profile(load_trace(Path(os.environ["GCSIM_TRACES"]) / "azure/AzureLLMInferenceTrace_conv.csv.gz"))
    assert (figures.requests, round(figures.span_ms / 1000)) == (19_366, 3_502)
    assert (round(figures.input.mean), round(figures.output.mean), round(figures.gap_cv, 2)) == (1_155, 211, 1.09)
    assert figures.ceiling is None
