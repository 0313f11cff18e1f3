"""Intervals against closed forms, coverage and their own definitions."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr, ndtri, stdtrit
from scipy.stats import binom

from sim import stats

amounts = st.one_of(st.sampled_from([0.0, 1.0, 1.5, 2.0, 7.0]), st.floats(0, 1e6, allow_subnormal=False))
samples = st.lists(amounts, min_size=2, max_size=40)

MACRO = 1_000
# 1,000 macro-replications of a 95 % interval: exact binomial quantiles at alpha 1e-6
BAND = (binom.ppf(5e-7, MACRO, 0.95) / MACRO, binom.ppf(1 - 5e-7, MACRO, 0.95) / MACRO)


def covered(draws, truth, half_width):
    means = draws.mean(axis=1)
    return np.mean(np.abs(means - truth) <= half_width(draws))


def own_coverage(draws, truth):
    found = [stats.mean_interval(row.tolist()) for row in draws]
    return np.mean([i.lo <= truth <= i.hi for i in found])


def test_a_t_interval_covers_normal_data_as_often_as_it_says():
    """O40: over 1,000 macro-replications of 5 normal values, coverage lies in the exact binomial band; z does not."""
    draws = np.random.default_rng(40).normal(3.0, 2.0, (MACRO, 5))
    low, high = BAND
    assert low <= own_coverage(draws, 3.0) <= high
    with_z = covered(draws, 3.0, lambda d: ndtri(0.975) * d.std(axis=1, ddof=1) / math.sqrt(5))
    assert not low <= with_z <= high


def test_the_interval_of_a_mean_restates_its_formula():
    """mean ± t(n - 1) s / sqrt(n)."""
    values = [1.0, 2.0, 4.0, 8.0]
    half = stdtrit(3, 0.975) * np.std(values, ddof=1) / math.sqrt(4)
    assert stats.mean_interval(values) == pytest.approx((3.75, 3.75 - half, 3.75 + half), rel=1e-12)


def test_one_replication_has_no_interval():
    """P81: one value gives no bound, never one of width 0."""
    assert stats.mean_interval([4.0]) == (4.0, None, None)
    assert stats.paired_difference([4.0], [1.0]) == (3.0, None, None)
    assert stats.ratio_interval([1], [4]) == (0.25, None, None)
    assert stats.pooled_quantile([[1.0, 2.0, 3.0]], 0.5) == (2.0, None, None)
    assert stats.quantile_interval([4.0], 0.5) == (4.0, None, None)
    assert stats.variance_ratio([4.0], [1.0]) is None


@given(st.sampled_from([0.1, 1 / 3, 7.0, 1e-9]), st.integers(2, 50))
def test_constant_outputs_have_intervals_of_width_zero(value, n):
    """P81: replications that are all the same leave nothing uncertain, whatever floats do."""
    assert stats.mean_interval([value] * n) == (value, value, value)
    assert stats.pooled_quantile([[value] * 3] * n, 0.95) == (value, value, value)
    assert stats.ratio_interval([3] * n, [10] * n) == (0.3, 0.3, 0.3)


@given(samples)
def test_a_mean_lies_among_its_values_and_in_its_interval(values):
    """P80: min <= mean <= max, lo <= mean <= hi, and a wider level contains a narrower one."""
    mean, lo, hi = stats.mean_interval(values, 0.95)
    assert min(values) <= mean <= max(values)
    assert lo <= mean <= hi
    _, inner_lo, inner_hi = stats.mean_interval(values, 0.5)
    assert lo <= inner_lo
    assert inner_hi <= hi


def test_four_times_the_replications_halve_the_interval():
    """P80: the same values four times over have half of the width, up to t and n - 1."""
    values = np.random.default_rng(80).normal(0, 1, 30).tolist()
    short, long = stats.mean_interval(values), stats.mean_interval(values * 4)
    expected = stdtrit(119, 0.975) / stdtrit(29, 0.975) * math.sqrt(29 / 119)
    assert (long.hi - long.lo) / (short.hi - short.lo) == pytest.approx(expected, rel=1e-12)
    assert expected == pytest.approx(0.5, abs=0.03)


@given(samples, st.randoms(use_true_random=False))
def test_no_statistic_depends_on_the_order_of_the_replications(values, luck):
    """P83: a permutation changes no bit."""
    shuffled = values.copy()
    luck.shuffle(shuffled)
    assert stats.mean_interval(shuffled) == stats.mean_interval(values)
    assert stats.quantile(shuffled, 0.95) == stats.quantile(values, 0.95)
    assert stats.quantile_interval(shuffled, 0.5) == stats.quantile_interval(values, 0.5)


@given(samples, st.floats(0, 1))
def test_a_quantile_is_interpolated_between_its_neighbours(values, q):
    """P83: the value at position q (n - 1) of the sorted sample, and monotone in q."""
    ordered, position = sorted(values), q * (len(values) - 1)
    below = math.floor(position)
    above = min(below + 1, len(values) - 1)
    expected = ordered[below] + (position - below) * (ordered[above] - ordered[below])
    assert stats.quantile(values, q) == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert stats.quantile(values, 0.5) <= stats.quantile(values, 0.95) <= stats.quantile(values, 0.99)


def test_order_statistics_bound_the_p95_of_200_runs():
    """O41: the ranks are 184 and 197, and they cover with 0.967; Wilks: 59 runs for 95/95, 299 for 99/95."""
    assert stats.quantile_interval([float(x) for x in range(1, 201)], 0.95)[1:] == (184.0, 197.0)
    assert binom.cdf(196, 200, 0.95) - binom.cdf(183, 200, 0.95) == pytest.approx(0.967, abs=5e-4)
    assert (stats.least_sample(0.95, 0.05), stats.least_sample(0.99, 0.05)) == (59, 299)


@given(st.integers(1, 300), st.sampled_from([0.05, 0.5, 0.95]))
def test_the_ranks_are_the_tightest_with_both_tails_small_enough(n, q):
    """O41: P(B < l) <= 2.5 % and not for l + 1; P(B >= u) <= 2.5 % and not for u - 1."""
    low, high = stats.ranks(n, q)
    tail = (1 - 0.95) / 2

    def below(rank):
        return bdtr(rank - 1, n, q) if rank >= 1 else 0.0

    def beyond(rank):
        return 1 - below(rank)

    least = low or 0
    assert below(least) <= tail
    assert below(least + 1) > tail
    most = n + 1 if high is None else high
    assert high is None or beyond(most) <= tail + 1e-12
    assert beyond(most - 1) > tail
    assert (high is None) == (n < stats.least_sample(q))


def test_order_statistics_cover_a_skewed_quantile():
    """O41: the interval of the p95 covers lognormal data as its ranks say; one between wrong ranks does not."""
    truth = math.exp(1.5 * ndtri(0.95))
    draws = np.random.default_rng(41).lognormal(0.0, 1.5, (MACRO, 200))
    hits = sum(i.lo <= truth < i.hi for i in (stats.quantile_interval(row.tolist(), 0.95) for row in draws))
    exact = binom.cdf(196, 200, 0.95) - binom.cdf(183, 200, 0.95)
    band = binom.ppf(5e-7, MACRO, exact), binom.ppf(1 - 5e-7, MACRO, exact)
    assert band[0] <= hits <= band[1]
    ordered = np.sort(draws, axis=1)
    narrow = np.count_nonzero((ordered[:, 187] <= truth) & (truth < ordered[:, 192]))
    assert not band[0] <= narrow <= band[1]


def test_common_random_numbers_leave_the_variance_of_the_difference_of_the_factors():
    """O42: for costs a X and b X the ratio is (a - b)^2 / (a^2 + b^2), here 0.0516; independent runs give about 1."""
    x, y = np.random.default_rng(42).gamma(2.0, 1.0, (2, 400))
    own = [float(v) for v in 1.25 * x]
    expected = (1.25 - 0.90) ** 2 / (1.25**2 + 0.90**2)
    assert expected == pytest.approx(0.0516, abs=5e-5)
    assert stats.variance_ratio(own, [float(v) for v in 0.90 * x]) == pytest.approx(expected, rel=1e-9)
    assert stats.variance_ratio(own, [float(v) for v in 0.90 * y]) > 0.5


@given(st.lists(st.tuples(amounts, amounts), min_size=2, max_size=30))
def test_a_paired_difference_has_the_difference_of_the_means(pairs):
    """P84: mean(a - b) = mean a - mean b, exactly for fractions."""
    a, b = ([Fraction(pair[i]) for pair in pairs] for i in (0, 1))
    assert stats.paired_difference(a, b).mean == float(sum(a) / len(a) - sum(b) / len(b))


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=2, max_size=20))
def test_a_ratio_has_the_jackknife_interval(pairs):
    """sum a / sum b, with the variance (n - 1)/n sum (r[i] - mean r)^2 of the ratios without one replication."""
    above, below = [min(pair) for pair in pairs], [pair[1] for pair in pairs]
    n = len(pairs)
    left = np.array([(sum(above) - a) / (sum(below) - b) for a, b in zip(above, below, strict=True)])
    half = stdtrit(n - 1, 0.975) * math.sqrt((n - 1) / n * np.sum((left - left.mean()) ** 2))
    found = stats.ratio_interval(above, below)
    assert found.mean == sum(above) / sum(below)
    assert found.hi - found.mean == pytest.approx(half, rel=1e-6, abs=1e-12)


def test_a_ratio_without_a_denominator_is_not_available():
    """Nothing over nothing is no number; with data in one replication alone there is no interval."""
    assert stats.ratio_interval([0, 0], [0, 0]) is None
    assert stats.ratio_interval([1, 0], [4, 0]) == (0.25, None, None)


def test_a_ratio_interval_covers_the_true_ratio():
    """O40 for ratios: with Poisson many requests, 30 and 5 replications stay in the band; z of 5 leaves it."""
    rng = np.random.default_rng(43)

    def coverage(n, interval):
        below = 1 + rng.poisson(200, (MACRO, n))
        above = rng.binomial(below, 0.3)
        found = [interval(a.tolist(), b.tolist()) for a, b in zip(above, below, strict=True)]
        return np.mean([i.lo <= 0.3 <= i.hi for i in found])

    def with_z(above, below):
        exact = stats.ratio_interval(above, below)
        half = (exact.hi - exact.mean) * ndtri(0.975) / stdtrit(len(above) - 1, 0.975)
        return stats.Interval.around(exact.mean, half)

    assert BAND[0] <= coverage(30, stats.ratio_interval) <= BAND[1]
    assert BAND[0] <= coverage(5, stats.ratio_interval) <= BAND[1]
    assert not BAND[0] <= coverage(5, with_z) <= BAND[1]


def test_pooled_quantiles_ignore_replications_without_values():
    """A replication in which nothing was answered counts in neither the estimate nor its interval."""
    filled = [[1.0, 2.0], [3.0, 4.0]]
    assert stats.pooled_quantile([*filled, []], 0.5) == stats.pooled_quantile(filled, 0.5)
    assert stats.pooled_quantile([[], []], 0.5) is None
    own = [1.5, 3.5]
    half = stdtrit(1, 0.975) * np.std(own, ddof=1) / math.sqrt(2)
    assert stats.pooled_quantile(filled, 0.5) == pytest.approx((2.5, 2.5 - half, 2.5 + half), rel=1e-12)


@given(st.dictionaries(st.sampled_from("abcd"), st.just(0), min_size=1), st.data())
def test_shares_of_the_cheapest_add_up_to_one(names, data):
    """In each replication the cheapest share one win; ties are exact."""
    runs = data.draw(st.integers(1, 8))
    cost = st.sampled_from([Fraction(1, 3), Fraction(1, 3) + Fraction(1, 10**12), Fraction(2)])
    costs = {name: data.draw(st.lists(cost, min_size=runs, max_size=runs)) for name in names}
    found = stats.share_cheapest(costs)
    assert sum(found.values()) == pytest.approx(1.0, abs=1e-12)
    for name, own in costs.items():
        wins = [
            Fraction(
                own[r] == min(c[r] for c in costs.values()),
                sum(c[r] == min(d[r] for d in costs.values()) for c in costs.values()),
            )
            for r in range(runs)
        ]
        assert found[name] == float(sum(wins) / runs)


def test_a_scaled_interval_keeps_its_bounds_in_order():
    """Minus one times [1, 3] is [-3, -1]; what cannot be is cut off."""
    assert stats.Interval(2.0, 1.0, 3.0).scaled(-1.0) == (-2.0, -3.0, -1.0)
    assert stats.Interval(0.5, -0.1, 1.1).within(0.0, 1.0) == (0.5, 0.0, 1.0)
