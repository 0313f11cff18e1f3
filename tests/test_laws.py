"""The arithmetic of the service's rules, against plain stepping and exact fractions."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats
from workloads import SEED, agrees

from sim.engines.laws.draws import redraw
from sim.engines.laws.latency import SLOWNESS_ONE, answer_ms, first_token_ms
from sim.engines.laws.prefix import chance_of, hit_tokens
from sim.engines.laws.ttl import alive, ended, renewed
from sim.engines.physics import redraws
from sim.providers.rules import LatencyLaw
from sim.workload.realise import uniforms

DRAWS = st.integers(0, 2**32 - 1)
INSTANTS = st.integers(0, 12)
MAYBE = st.integers(-1, 12)


@given(st.integers(0, 12), st.integers(0, 8), st.integers(0, 8), st.integers(0, 60))
@example(born=0, ttl=4, margin=0, limit=40)
@example(born=0, ttl=4, margin=4, limit=40)
@example(born=0, ttl=5, margin=2, limit=3)
@example(born=0, ttl=5, margin=2, limit=4)
def test_renewals_are_those_of_a_keeper_who_looks_every_ms(born, ttl, margin, limit):
    """The expiry after all renewals before a limit is that of a keeper who looks at the clock each ms."""
    expiry = born + ttl
    for now in range(born, limit):
        if 0 < margin < ttl and now == expiry - margin:
            expiry = now + ttl
    assert renewed(born + ttl, ttl, margin, limit) == expiry


@given(st.integers(0, 12), st.integers(1, 8), st.integers(0, 8), st.integers(0, 60), st.integers(0, 60))
def test_renewing_in_steps_is_renewing_at_once(born, ttl, margin, first, second):
    """Looking at an earlier limit first changes nothing: the keeper's work does not depend on who looks."""
    early, late = sorted((first, second))
    stepwise = renewed(renewed(born + ttl, ttl, margin, early), ttl, margin, late)
    assert stepwise == renewed(born + ttl, ttl, margin, late)


@given(INSTANTS, MAYBE, MAYBE)
def test_an_end_is_the_first_of_its_causes(expiry, deleted, cap):
    """Expiry, deletion and the model's end: the first that comes; -1 does not come."""
    assert ended(expiry, deleted, cap) == min(at for at in (expiry, deleted, cap) if at != -1)


@given(INSTANTS, INSTANTS, INSTANTS)
def test_alive_is_half_open(ready, until, now):
    """A cache is readable at exactly the instants of range(ready, until)."""
    assert alive(ready, until, now) == (now in range(ready, until))


@given(st.integers(0, 40), st.integers(1, 7), st.integers(0, 40))
def test_hits_are_counted_block_by_block(live, block, minimum):
    """A hit is as many whole blocks as fit into the live prefix, or nothing if that is below the minimum."""
    whole = 0
    while whole + block <= live:
        whole += block
    assert hit_tokens(live, block, minimum) == (whole if live >= minimum else 0)


@given(st.integers(0, 12), st.dictionaries(st.integers(0, 12), st.integers(0, 9)))
def test_the_chance_is_that_of_the_last_step_reached(tokens, steps):
    """Of the steps that do not begin above the prefix, the highest counts; below all of them there is no chance."""
    reached = [start for start in steps if start <= tokens]
    assert chance_of(tokens, sorted(steps.items())) == (steps[max(reached)] if reached else 0)


COUNTS = st.sampled_from([0, 1, 999, 1_000]) | st.integers(0, 10**6)
LAWS = st.builds(LatencyLaw, *[st.sampled_from([0, 1, 4_500, 999_999, 10**6, 11 * 10**9])] * 4)


@given(LAWS, COUNTS, COUNTS, COUNTS, st.sampled_from([0, 1, SLOWNESS_ONE - 1, SLOWNESS_ONE, 3 * SLOWNESS_ONE]))
def test_a_latency_is_the_exact_product_rounded_down_once(law, uncached, cached, output, slowness):
    """Base, prompt and output times a slowness, in rationals, cut to whole ms at the very end, at least 1."""
    first = law.base_ns + uncached * law.uncached_ns + cached * law.cached_ns
    scale = Fraction(slowness, 65_536) / 10**6
    assert first_token_ms(law, uncached, cached, slowness) == max(1, floor(first * scale))
    assert answer_ms(law, uncached, cached, output, slowness) == max(1, floor((first + output * law.output_ns) * scale))


@given(LAWS, COUNTS, COUNTS, COUNTS, st.integers(0, 4 * SLOWNESS_ONE))
def test_the_last_token_never_comes_before_the_first(law, uncached, cached, output, slowness):
    """An answer takes at least the time to its first token, and exactly that where it has no token."""
    first = first_token_ms(law, uncached, cached, slowness)
    assert answer_ms(law, uncached, cached, output, slowness) >= first
    assert answer_ms(law, uncached, cached, 0, slowness) == first


def test_a_redraw_is_the_finaliser_of_murmurhash():
    """The first attempt is the draw itself; the mixing takes 0 to 0 and 1 to 0x514E28B7, MurmurHash3's own vectors."""
    golden = 2 * 0x9E3779B9
    assert redraw((0 - golden) % 2**32, 2) == 0
    assert redraw((1 - golden) % 2**32, 2) == 0x514E28B7
    assert [redraw(draw, 1) for draw in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]


@given(DRAWS, DRAWS, st.integers(1, 1 << 17))
def test_a_redraw_keeps_different_draws_different(a, b, attempt):
    """For each attempt the redraw is one to one on 32 bits, so it keeps a uniform draw uniform."""
    assert (redraw(a, attempt) == redraw(b, attempt)) == (a == b)
    assert 0 <= redraw(a, attempt) < 2**32


@given(st.lists(DRAWS, max_size=20), st.integers(1, 5))
def test_a_column_is_redrawn_like_its_rows(column, attempt):
    """The redraw of a column is the redraw of each of its draws."""
    found = redraws(np.array(column, dtype=np.int64), attempt).tolist()
    assert found == [redraw(draw, attempt) for draw in column]


@pytest.mark.parametrize("attempt", [2, 3, 1 << 16])
def test_attempts_are_independent_of_each_other(attempt):
    """Among draws below a half, half of the redraws are below a half too; keeping the draw is rejected."""
    shares, kept = [], []
    for replication in range(40):
        column = (uniforms(SEED, replication, "laws", "draw", 2_000) * 2**32).astype(np.int64)
        low = column[column < 2**31]
        shares.append(np.mean([redraw(draw, attempt) < 2**31 for draw in low.tolist()]))
        kept.append(np.mean(redraws(column, attempt) / 2**32))
    assert agrees(shares, 0.5)
    assert not agrees(shares, 1.0)
    assert agrees(kept, 0.5)
    assert stats.kstest(redraws(column, attempt) / 2**32, "uniform").pvalue > 1e-6
