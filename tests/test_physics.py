"""From draws to times: every law of chance against its closed form, and a wrong form rejected on the same samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtr
from workloads import SEED, agrees
from worlds import service, world

from sim.engines.laws.draws import redraw
from sim.engines.physics import cells, prepare, queueing_ms, retention_ms, slowness, turnaround_ms
from sim.providers.service import Component, Queueing, Retention, Turnaround
from sim.workload.realise import uniforms

ONE = 65_536
MINUTE, HOUR = 60_000, 3_600_000
RUNS, DRAWS = 40, 5_000
EDGES = np.array([0, 1, 2**31, 2**32 - 2, 2**32 - 1], dtype=np.int64)
MIXTURE = Turnaround(
    components=[
        Component(weight=0.60, median="10m", sigma=0.8),
        Component(weight=0.37, median="4h", sigma=0.7),
        Component(weight=0.03),
    ],
    pending_share=0.7,
)


def draws(replication):
    """Draws of one replication as a trace has them."""
    return (uniforms(SEED, replication, "physics", "draw", DRAWS) * 2**32).astype(np.int64)


def means(measure):
    """The mean of a measure of the draws in each replication."""
    return [float(np.mean(measure(draws(replication)))) for replication in range(RUNS)]


@pytest.mark.parametrize("cv", [0.1, 0.35, 1.0])
def test_slowness_has_mean_one_and_its_cv(cv):
    """E[x] = 1 and E[x^2] = 1 + cv^2; a lognormal of median 1 is rejected, and so is sigma = cv where they differ."""
    assert agrees(means(lambda d: slowness(cv, d) / ONE), 1.0)
    assert agrees(means(lambda d: (slowness(cv, d) / ONE) ** 2), 1 + cv**2)
    assert not agrees(means(lambda d: slowness(cv, d) / ONE * np.sqrt(1 + cv**2)), 1.0)
    if cv == 1.0:
        assert not agrees(means(lambda d: (slowness(cv, d) / ONE) ** 2), np.exp(cv**2))


def test_without_variation_every_answer_takes_its_time():
    """A CV of 0 gives exactly 1 for every draw."""
    assert slowness(0.0, EDGES).tolist() == [ONE] * len(EDGES)


def test_exponential_retention_is_given_by_its_median():
    """Half are kept longer than the median m; the mean is m / ln 2, not m."""
    law = Retention(law="exponential", median="6m")
    assert agrees(means(lambda d: retention_ms(law, d) < law.median), 0.5)
    assert agrees(means(lambda d: retention_ms(law, d)), law.median / np.log(2))
    assert not agrees(means(lambda d: retention_ms(law, d)), law.median)


def test_exponential_retention_is_cut_at_the_most():
    """E[min(X, c)] = m (1 - e^{-c/m}) with m = median / ln 2; the mean of what is not cut is rejected."""
    law = Retention(law="exponential", median="6m", at_most="10m")
    mean = law.median / np.log(2)
    found = means(lambda d: retention_ms(law, d))
    assert agrees(found, mean * -np.expm1(-law.at_most / mean))
    assert not agrees(found, mean)


def test_lognormal_retention_has_its_median_and_its_cut_mean():
    """E[min(X, c)] = m e^{s^2/2} Phi((r - s^2)/s) + c Phi(-r/s), r = ln(c/m); the uncut mean is rejected."""
    law = Retention(law="lognormal", median="6m", sigma=0.8, at_most="15m")
    ratio, s = np.log(law.at_most / law.median), law.sigma
    whole = law.median * np.exp(s**2 / 2)
    found = means(lambda d: retention_ms(law, d))
    assert agrees(means(lambda d: retention_ms(law, d) < law.median), 0.5)
    assert agrees(found, whole * ndtr((ratio - s**2) / s) + law.at_most * ndtr(-ratio / s))
    assert not agrees(found, whole)


def test_a_fixed_retention_is_fixed():
    """The fixed law keeps every prefix for its lifetime, and none longer than the most."""
    assert set(retention_ms(Retention(law="fixed", median="300ms"), EDGES).tolist()) == {300}
    assert set(retention_ms(Retention(law="fixed", median="300ms", at_most="200ms"), EDGES).tolist()) == {200}


@pytest.mark.parametrize("at", [5 * MINUTE, 10 * MINUTE, HOUR, 4 * HOUR])
def test_turnarounds_follow_their_mixture(at):
    """P(T <= t) = sum of w Phi(ln(t / median) / sigma); with the two weights exchanged it is rejected."""
    found = means(lambda d: (turnaround_ms(MIXTURE, d) >= 0) & (turnaround_ms(MIXTURE, d) <= at))
    shares = [ndtr(np.log(at / c.median) / c.sigma) for c in MIXTURE.components[:2]]
    assert agrees(found, 0.60 * shares[0] + 0.37 * shares[1])
    assert not agrees(found, 0.37 * shares[0] + 0.60 * shares[1])


def test_the_share_that_never_ends():
    """A job of the component without a median never ends, with its weight for a chance, on every attempt."""
    for attempt in (1, 2):
        again = [
            [turnaround_ms(MIXTURE, np.array([redraw(x, attempt) for x in draws(r).tolist()])) < 0] for r in range(RUNS)
        ]
        shares = [float(np.mean(x)) for x in again]
        assert agrees(shares, 0.03)
        assert not agrees(shares, 0.05)


def test_the_edges_of_the_draws_are_finite():
    """The smallest and the greatest draw give whole times, none below its least."""
    assert np.all(slowness(0.35, EDGES) > 0)
    assert np.all(retention_ms(Retention(law="lognormal", median="1m", sigma=3.0), EDGES) >= 0)
    assert np.all(np.isin(turnaround_ms(MIXTURE, EDGES) >= 1, [True, False]))
    assert turnaround_ms(MIXTURE, EDGES)[-1] == -1
    assert np.all(turnaround_ms(MIXTURE, EDGES)[:-2] >= 1)


def test_queueing_is_lognormal_and_cut():
    """Half of the calls queue longer than the median m; E[min(X, c)] is that of the lognormal law, which m is not."""
    law = Queueing(median="2m", sigma=0.8, at_most="4m")
    ratio, s = np.log(law.at_most / law.median), law.sigma
    uncut, found = law.median * np.exp(s**2 / 2), means(lambda d: queueing_ms(law, d))
    assert agrees(means(lambda d: queueing_ms(law, d) < law.median), 0.5)
    assert agrees(found, uncut * ndtr((ratio - s**2) / s) + law.at_most * ndtr(-ratio / s))
    assert not agrees(found, uncut)
    assert not agrees(found, law.median)


def test_queueing_without_spread_is_its_median():
    """A sigma of 0 is the median for every draw; whatever the sigma, nobody queues longer than the most."""
    assert set(queueing_ms(Queueing(median="90s", sigma=0.0, at_most="15m"), EDGES).tolist()) == {90_000}
    assert queueing_ms(Queueing(median="90s", sigma=9.0, at_most="15m"), EDGES).max() == 15 * MINUTE
    assert set(queueing_ms(Queueing(median="0s", sigma=0.8, at_most="15m"), EDGES).tolist()) == {0}


@pytest.mark.parametrize("count", [1, 2, 3, 4_096])
@pytest.mark.parametrize("affinity", [0.0, 0.5, 1.0])
def test_every_draw_has_a_cell(count, affinity):
    """The cells are 0 to c - 1, by the draw's place in (0, 1); with affinity 1 a session has that of its first turn."""
    own = service(cells=count, affinity=affinity).implicit
    alone, one = (
        cells(own, world([0] * len(EDGES), route=EDGES, session=first))
        for first in (range(len(EDGES)), [0] * len(EDGES))
    )
    assert (alone.min(), alone.max()) == (0, count - 1)
    assert alone.tolist() == [draw * count // 2**32 for draw in EDGES.tolist()]
    assert np.all((one >= 0) & (one < count))
    if affinity == 1.0:
        assert set(one.tolist()) == {0}


@given(st.lists(st.integers(0, 2**32 - 1), min_size=2, max_size=20), st.sampled_from(["exponential", "lognormal"]))
def test_a_greater_draw_is_a_longer_time(column, law):
    """Slowness and retention rise with their draw, so common draws make two services comparable."""
    rising = np.array(sorted(column), dtype=np.int64)
    kept = retention_ms(Retention(law=law, median="1m", sigma=0.8), rising)
    assert np.all(np.diff(kept) >= 0)
    assert np.all(np.diff(slowness(0.35, rising)) >= 0)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 2.0, 7.0]))
def test_retention_scales_with_its_median(draw, factor):
    """A service that keeps prefixes k times as long keeps each of them k times as long, to the rounding."""
    column = np.array([draw], dtype=np.int64)
    laws = [Retention(law="lognormal", median=f"{int(60 * k)}s", sigma=0.8, at_most="10000d") for k in (1, factor)]
    once, more = (int(retention_ms(law, column)[0]) for law in laws)
    assert abs(more - factor * once) <= 0.5 * (1 + factor)


def test_prepare_gives_each_attempt_its_own_turnaround():
    """Row k of the turnarounds is the law at the k-th redraw; with no attempt there is no row."""
    trace = world([0, 1, 2], turnaround=[5, 2**31, 2**32 - 1])
    made = prepare(trace, service(), 3)
    law = service().batch.turnaround
    rows = [[redraw(x, attempt) for x in trace.turnaround.tolist()] for attempt in (1, 2, 3)]
    assert made.turnaround_ms.tolist() == [turnaround_ms(law, np.array(row)).tolist() for row in rows]
    assert prepare(trace, service(), 0).turnaround_ms.shape == (0, 3)
    assert (made.slowness.tolist(), made.retention_ms.tolist()) == ([ONE] * 3, [5 * MINUTE] * 3)
