"""Sketches of times: every quantile to 1 %, sums and sizes exactly, merged without loss."""

import functools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim import stats
from sim.sketch import Sketch, joined, same, total

TIMES = st.lists(st.one_of(st.integers(0, 200), st.integers(0, 2**62 - 1)), min_size=1, max_size=40)


@given(TIMES, st.floats(0, 1))
def test_a_quantile_is_within_a_hundredth(times, q):
    """Any quantile of any sample is within 1 % of the exact one."""
    exact, found = stats.quantile(times, q), stats.quantile(Sketch.of(np.array(times)), q)
    assert abs(found - exact) <= 0.01 * exact + 1e-9


def test_every_bucket_keeps_its_promise_at_both_ends():
    """The worst values are the ends of the buckets: just under 1 % off, and 0 below 50 ms."""
    worst = 0.0
    for value in [*range(20_000), *(10**power + step for power in range(5, 19) for step in range(-200, 200))]:
        off = abs(Sketch.of(np.array([value])).quantile(0.5) - value) / max(value, 1)
        assert off == 0 or value >= 50
        worst = max(worst, off)
    assert 0.009 < worst <= 0.01


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_merging_loses_nothing(parts):
    """The sketch of parts is that of the whole, in any order, with the exact size and sum."""
    whole = Sketch.of(np.array(functools.reduce(operator.iadd, parts, [])))
    made = [Sketch.of(np.array(part)) for part in parts]
    assert Sketch.merged(made) == whole == Sketch.merged(made[::-1])
    assert len(whole) == sum(map(len, parts))
    assert whole.total == sum(map(sum, parts)) == total(np.array(functools.reduce(operator.iadd, parts, [])))


def test_a_sample_is_joined_as_a_sketch_where_one_is():
    """Arrays stay exact, and one sketch among them makes all of them one."""
    one, other = np.array([1, 5]), np.array([3])
    assert joined([one, other]).tolist() == [1, 5, 3]
    assert same(joined([one, Sketch.of(other)]), Sketch.of(np.array([1, 3, 5])))
    assert not same(Sketch.of(one), one)
    assert len(joined([])) == len(Sketch.merged([])) == 0


def test_pooled_quantiles_take_sketches():
    """The pooled quantile of sketches is that of the samples to 1 %, with an interval from how they differ."""
    samples = [np.arange(100, 1_000 + 300 * shift) for shift in range(3)]
    exact = stats.pooled_quantile(samples, 0.95)
    found = stats.pooled_quantile([Sketch.of(sample) for sample in samples], 0.95)
    assert found.mean == pytest.approx(exact.mean, rel=0.01)
    assert found.hi - found.mean == pytest.approx(exact.hi - exact.mean, rel=0.05)
