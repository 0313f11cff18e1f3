"""P78: draws are whole, in their bounds, of the stated law and mean, with truncation and rounding included."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import stats
from workloads import SEED, agrees

from sim.workload.laws import DurationLaw, SizeLaw
from sim.workload.realise import uniforms
from sim.workload.sizes import LAWS, mean, quantile, smallest

SIZES = [
    500,
    {"law": "lognormal", "mean": "2k", "cv": 1.5},
    {"law": "lognormal", "mean": 3.0, "cv": 1.2, "at_least": 2, "at_most": 9},
    {"law": "lognormal", "mean": 0.6, "cv": 2.0, "at_least": 0},
    {"law": "lognormal", "mean": "100k", "cv": 3.0, "at_most": "200k"},
    {"law": "geometric", "mean": 4.5},
    {"law": "geometric", "mean": 6.0, "at_least": 3, "at_most": 8},
    {"law": "geometric", "mean": 1.0},
    {"law": "uniform", "low": 10, "high": 20, "at_most": 14},
    {"law": "empirical", "values": [100, 7, 3000], "weights": [0.5, 0.2, 0.3], "at_least": 50},
    {"law": "empirical", "values": [0, 0, 5], "at_least": 0},
]
TIMES = [
    "90s",
    {"law": "lognormal", "mean": "30s", "cv": 0.7},
    {"law": "exponential", "mean": "5ms"},
    {"law": "exponential", "mean": "2m", "at_least": "10s", "at_most": "3m"},
    {"law": "uniform", "low": "0s", "high": "9ms"},
]


def size(value: object) -> SizeLaw:
    return TypeAdapter(SizeLaw).validate_python(value)


def time(value: object) -> DurationLaw:
    return TypeAdapter(DurationLaw).validate_python(value)


ALL = [size(value) for value in SIZES] + [time(value) for value in TIMES]


def grid(count: int) -> np.ndarray:
    return (np.arange(count) + 0.5) / count


def cdf_before(law: object) -> object:
    """Return P(N <= n) of the rounded law before conditioning, written independently with scipy.stats."""
    if law.law == "lognormal":
        sigma = math.sqrt(math.log(1 + law.cv**2))
        x = stats.lognorm(sigma, scale=law.mean * math.exp(-(sigma**2) / 2))
        return lambda n: x.cdf(n + 0.5)
    if law.law == "exponential":
        return lambda n: stats.expon(scale=law.mean).cdf(n + 0.5)
    if law.law == "geometric":
        return lambda n: 1 - (1 - 1 / law.mean) ** np.maximum(np.floor(n), 0)  # scipy warns at mean 1
    if law.law == "uniform":
        return stats.randint(law.low, law.high + 1).cdf
    if law.law == "empirical":
        weights = law.weights or [1 / len(law.values)] * len(law.values)
        pairs = list(zip(law.values, weights, strict=True))
        return np.vectorize(lambda n: math.fsum(w for v, w in pairs if v <= n))
    return lambda n: np.where(np.asarray(n) >= law.value, 1.0, 0.0)


def bounds(law: object) -> tuple[int, float]:
    high = getattr(law, "at_most", None)
    return getattr(law, "at_least", 0), math.inf if high is None else high


def test_every_law_has_a_case():
    """Each law of the table is among the cases below."""
    assert {law.law for law in ALL} == set(LAWS)


@pytest.mark.parametrize("law", ALL, ids=str)
def test_quantiles_have_the_conditioned_distribution(law):
    """Of m evenly spaced uniforms exactly the stated share, to 1/m, is at most n: the law conditioned, not clipped."""
    count = 20_000
    found = quantile(law, grid(count))
    assert found.dtype == np.int64
    assert np.all(np.diff(found) >= 0)
    low, high = bounds(law)
    assert found[0] >= low
    assert found[-1] <= high
    cdf = cdf_before(law)
    values = np.unique(found)
    top = 1.0 if high == math.inf else cdf(high)
    stated = (cdf(values) - cdf(low - 1)) / (top - cdf(low - 1))
    shares = np.searchsorted(found, values, side="right") / count
    assert np.all(np.abs(shares - stated) <= 1 / count + 1e-12)


@pytest.mark.parametrize("law", ALL, ids=str)
def test_sample_means_are_the_stated_mean(law):
    """The mean of 40 replications agrees with mean(law); one five standard errors away in their spread is rejected."""
    samples = [quantile(law, uniforms(SEED, r, "streams.x", "fresh", 2_000)).mean() for r in range(40)]
    if np.std(samples) == 0:
        assert samples[0] == mean(law)
        return
    assert agrees(samples, mean(law))
    assert not agrees(samples, mean(law) + 3 * np.std(samples))


@pytest.mark.parametrize("law", [law for law in ALL if mean(law) < 1e4], ids=str)
def test_mean_is_the_sum_over_the_law(law):
    """mean(law) is the sum of n P(N = n) to 1e-9, P from scipy.stats."""
    low, high = bounds(law)
    last = int(min(high, 3_000_000))
    cdf = cdf_before(law)
    n = np.arange(low, last + 1)
    below = np.concatenate(([cdf(low - 1)], cdf(n)))
    total = (1.0 if high == math.inf else below[-1]) - below[0]
    assert mean(law) == pytest.approx(math.fsum(n * np.diff(below)) / total, rel=1e-8)


def test_truncation_conditions_and_does_not_clip():
    """A truncated law has the conditioned mean; neither the mean before truncation nor the clipped one passes."""
    law = size({"law": "lognormal", "mean": 3.0, "cv": 1.2, "at_least": 2, "at_most": 9})
    free = size({"law": "lognormal", "mean": 3.0, "cv": 1.2, "at_least": 0})
    draws = [uniforms(SEED, r, "streams.x", "fresh", 2_000) for r in range(40)]
    samples = [quantile(law, u).mean() for u in draws]
    clipped = np.mean([np.clip(quantile(free, u), 2, 9).mean() for u in draws])
    assert agrees(samples, mean(law))
    assert not agrees(samples, mean(free))
    assert not agrees(samples, clipped)


def test_long_sums_meet_the_integral():
    """Past 2^20 terms of a mean, the integral that replaces the rest agrees with the continuous law."""
    free = size({"law": "lognormal", "mean": 5e6, "cv": 0.5})
    assert mean(free) == pytest.approx(5e6, rel=1e-9)
    cut = size({"law": "lognormal", "mean": 5e6, "cv": 0.5, "at_most": 6_000_000})
    sigma = math.sqrt(math.log(1.25))
    x = stats.lognorm(sigma, scale=5e6 * math.exp(-(sigma**2) / 2))
    part = 5e6 * stats.norm.cdf(stats.norm.ppf(x.cdf(6_000_000.5)) - sigma)
    assert mean(cut) == pytest.approx(part / x.cdf(6_000_000.5), rel=1e-9)


def test_one_uniform_a_draw_stays_aligned():
    """Doubling a mean doubles each lognormal draw, up to rounding: common random numbers stay aligned (P73)."""
    one, two = (size({"law": "lognormal", "mean": m, "cv": 1.0, "at_least": 0}) for m in ("10k", "20k"))
    u = uniforms(SEED, 0, "streams.x", "fresh", 5_000)
    assert np.all(np.abs(quantile(two, u) - 2 * quantile(one, u)) <= 2)


@given(st.floats(0.1, 1e7), st.floats(0.01, 5), st.integers(0, 50), st.integers(0, 10**7), st.integers(0, 99))
def test_bounds_hold_for_any_parameters(average, cv, low, span, replication):
    """Whatever the parameters, an accepted law gives whole numbers inside its bounds, and so is its mean."""
    table = {"law": "lognormal", "mean": average, "cv": cv, "at_least": low, "at_most": low + span}
    try:
        law = size(table)
    except ValidationError:
        with pytest.raises(ValidationError, match="keep"):
            size(table)
        return
    found = quantile(law, uniforms(SEED, replication, "x", "y", 200))
    assert np.all((found >= low) & (found <= low + span))
    assert low <= mean(law) <= low + span


def test_the_smallest_value_is_known():
    """smallest(law) is the quantile at the lowest uniform, for the laws that reach their bound."""
    expected = [500, 1, 2, 0, 1, 1, 3, 1, 10, 100, 0]
    assert [smallest(size(value)) for value in SIZES] == expected
