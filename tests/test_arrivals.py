"""Oracles O29-O32 and properties P75, P76 of the arrival processes, each with a wrong formula that is rejected."""

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from scipy import stats
from scipy.special import gammaincinv
from workloads import HOUR, agrees, draws, variances

from sim.workload.arrivals import PROCESSES, Arrivals, continuous, expected, profile_intensity, times
from sim.workload.civil import Clock, daily, doubtful, hours_of_week
from sim.workload.intensity import Intensity, cumulative, invert, walk

MONDAY = dt.datetime(2026, 11, 16, tzinfo=dt.UTC)
UTC = ZoneInfo("UTC")
DAY_SHAPE = ["5/h", "0/h", "1/h", "2/h"] + ["30/h"] * 5 + ["200/h"] * 6 + ["80/h"] * 9
LAWS = {
    "poisson": {"rate": "40/h"},
    "gamma": {"rate": "40/h", "cv": 2.0},
    "mmpp": {
        "states": [{"rate": "5/h", "lasts": "1h"}, {"rate": "200/h", "lasts": "10m"}, {"rate": "0/h", "lasts": "30m"}]
    },
    "profile": {"hourly": DAY_SHAPE},
    "schedule": {"at": ["02:30", "22:00"], "count": 25, "over": "1h"},
    "bursts": {"rate": "10/h", "size": {"law": "geometric", "mean": 4.0}, "within": "20m"},
    "constant": {"rate": "40/h"},
}


def law(process: str, **keys: object) -> Arrivals:
    return TypeAdapter(Arrivals).validate_python({"process": process, **(keys or LAWS[process])})


def clock(hours: float = 24, zone: str = "UTC", start: dt.datetime = MONDAY, load: float = 1.0) -> Clock:
    return Clock(start, ZoneInfo(zone), int(hours * HOUR), load)


def gaps(found: np.ndarray) -> np.ndarray:
    return np.diff(found, prepend=0.0)


@pytest.mark.parametrize("process", PROCESSES)
def test_sorted_whole_and_inside(process):
    """Arrivals are whole ms in [0, horizon), in order, whatever the process (P75)."""
    for replication in range(20):
        found = times(law(process), clock(), draws(replication))
        assert found.dtype == np.int64
        assert np.all(np.diff(found) >= 0)
        assert len(found)
        assert found[0] >= 0
        assert found[-1] < 24 * HOUR


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("load", [1.0, 3.0])
def test_mean_number_is_the_stated_one(process, load):
    """The mean number of arrivals is exactly what the process states, at any load; half of it is rejected."""
    at = clock(7.5, load=load)
    counts = np.array([len(continuous(law(process), at, draws(r))) for r in range(400)])
    if counts.std() == 0:
        assert counts[0] == expected(law(process), at)
    else:
        assert agrees(counts, expected(law(process), at))
        assert not agrees(counts, expected(law(process), at) / 2)


@pytest.mark.parametrize("process", PROCESSES)
def test_a_longer_horizon_keeps_the_earlier_arrivals(process):
    """A run over 10 hours begins with the arrivals of a run over 3 hours."""
    for replication in range(10):
        short = continuous(law(process), clock(3), draws(replication))
        long = continuous(law(process), clock(10), draws(replication))
        assert np.array_equal(long[long < 3 * HOUR], short)


@pytest.mark.parametrize(
    ("process", "keys"),
    [
        ("poisson", {"rate": "0/h"}),
        ("gamma", {"rate": "0/h", "cv": 1.0}),
        ("mmpp", {"states": [{"rate": "0/h", "lasts": "1h"}, {"rate": "0/h", "lasts": "2h"}]}),
        ("profile", {"hourly": ["0/h"] * 24}),
        ("schedule", {"at": "01:00", "count": 0}),
        ("bursts", {"rate": "0/h", "size": 5}),
        ("constant", {"rate": "0/h"}),
    ],
)
def test_rate_zero_gives_none(process, keys):
    """A rate of 0 is an empty stream, not an error (P75)."""
    assert len(times(law(process, **keys), clock(), draws(0))) == 0


def test_poisson_gaps_are_exponential():
    """Rescaled gaps of a Poisson process are exponential of mean 1; gaps of the wrong rate are rejected."""
    pooled = np.concatenate([gaps(continuous(law("poisson", rate="2000/h"), clock(), draws(r))) for r in range(30)])
    assert stats.kstest(pooled * 2000 / HOUR, "expon").pvalue > 1e-6
    assert stats.kstest(pooled * 1900 / HOUR, "expon").pvalue < 1e-6


def test_profile_passes_the_rescaling_tests():
    """O29: Lambda(t)/Lambda(H) is uniform and rescaled gaps are exponential; a flat profile is rejected."""
    at, shape = clock(48), [f"{int(r[:-2]) * 20}/h" for r in DAY_SHAPE]
    profile = law("profile", hourly=shape)
    intensity = profile_intensity(profile, at)
    runs = [continuous(profile, at, draws(r)) for r in range(30)]
    masses = [cumulative(intensity, found) for found in runs]
    mass = expected(profile, at)
    assert mass == pytest.approx(2 * 20 * sum(int(rate[:-2]) for rate in DAY_SHAPE))
    assert stats.kstest(np.concatenate(masses) / mass, "uniform").pvalue > 1e-6
    assert stats.kstest(np.concatenate([gaps(m) for m in masses]), "expon").pvalue > 1e-6
    flat = [found / at.horizon for found in runs]
    assert stats.kstest(np.concatenate(flat), "uniform").pvalue < 1e-6
    assert stats.kstest(np.concatenate([gaps(f * mass) for f in flat]), "expon").pvalue < 1e-6


def test_profile_counts_are_poisson():
    """O29: the count is Poisson with mean Lambda(H): mean and variance; bursts of the same mean are rejected."""
    at, profile = clock(), law("profile")
    counts = [len(continuous(profile, at, draws(r))) for r in range(1200)]
    mass = expected(profile, at)
    assert agrees(counts, mass)
    assert agrees(variances(counts, 30), mass)
    clumped = law("bursts", rate=f"{mass / 24 / 4}/h", size=4)
    wrong = [len(continuous(clumped, at, draws(r))) for r in range(1200)]
    assert agrees(wrong, mass)
    assert not agrees(variances(wrong, 30), mass)


def test_superposition_is_the_sum():
    """P76: two Poisson streams together pass as one of the summed rate; two of gamma gaps do not."""
    both = {}
    for process, keys in {"poisson": {}, "gamma": {"cv": 3.0}}.items():
        parts = [
            [continuous(law(process, rate=rate, **keys), clock(), draws(r, name)) for r in range(30)]
            for rate, name in (("300/h", "streams.a"), ("900/h", "streams.b"))
        ]
        both[process] = np.concatenate([gaps(np.sort(np.concatenate(pair))) for pair in zip(*parts, strict=True)])
    assert stats.kstest(both["poisson"] * 1200 / HOUR, "expon").pvalue > 1e-6
    assert stats.kstest(both["gamma"] * 1200 / HOUR, "expon").pvalue < 1e-6


@pytest.mark.parametrize("cv", [0.5, 2.0])
def test_gamma_gaps(cv):
    """O30: the gaps have the coefficient of variation 1/sqrt(k); 1/k and exponential gaps are rejected."""
    runs = [np.diff(continuous(law("gamma", rate="1000/h", cv=cv), clock(10), draws(r))) for r in range(40)]
    assert agrees([run.std(ddof=1) / run.mean() for run in runs], cv)
    assert not agrees([run.std(ddof=1) / run.mean() for run in runs], cv**2)
    pooled = np.concatenate(runs) * 1000 / HOUR
    assert stats.kstest(pooled, stats.gamma(cv**-2, scale=cv**2).cdf).pvalue > 1e-6
    assert stats.kstest(pooled, "expon").pvalue < 1e-6


@pytest.mark.parametrize("cv", [0.5, 2.0])
def test_gamma_dispersion(cv):
    """O30: Var N(t) = cv^2 t + (1 - cv^4)/6 from the start on, so IDC -> cv^2 = 1/k; the Poisson t is rejected.

    Cox, Renewal Theory, 4.5: the constant is 1/6 + sigma^4/2 - mu_3/3 with sigma^2 = 1/k and mu_3 = 2/k^2.
    """
    counts = [len(continuous(law("gamma", rate="50/h", cv=cv), clock(1), draws(r))) for r in range(3000)]
    assert agrees(variances(counts, 50), cv**2 * 50 + (1 - cv**4) / 6)
    assert not agrees(variances(counts, 50), 50)


def test_gamma_starts_stationary():
    """The mean number from the start on is rate x time; a process that starts with a whole gap is rejected."""
    counts, naive = [], []
    for r in range(3000):
        counts.append(len(continuous(law("gamma", rate="10/h", cv=2.0), clock(1), draws(r))))
        naive.append(len(walk(draws(r)("gap"), 10.0, lambda u: 4 * gammaincinv(0.25, u))))  # shape 1/4, scale 4
    assert agrees(counts, 10)
    assert not agrees(naive, 10)


@pytest.mark.parametrize("minutes", [6, 60])
def test_mmpp_dispersion(minutes):
    """O31: IDC(t) = 1 + A - A (1 - e^(-st))/(st); the limit 1 + A at once and the Poisson 1 are rejected."""
    states = [{"rate": "20/h", "lasts": "30m"}, {"rate": "200/h", "lasts": "12m"}]
    first, second, r12, r21, t = 20.0, 200.0, 2.0, 5.0, minutes / 60
    at, process = clock(t), law("mmpp", states=states)
    counts = [len(continuous(process, at, draws(r))) for r in range(6000)]
    mean = (first * r21 + second * r12) / (r12 + r21) * t
    s = r12 + r21
    a = 2 * (first - second) ** 2 * r12 * r21 / (s**2 * (first * r21 + second * r12))
    assert agrees(counts, mean)
    assert agrees(variances(counts, 100) / mean, 1 + a - a * (1 - np.exp(-s * t)) / (s * t))
    assert not agrees(variances(counts, 100) / mean, 1 + a)
    assert not agrees(variances(counts, 100) / mean, 1)


def test_burst_dispersion():
    """O32: IDC = E[B^2]/E[B]; E[B] is rejected."""
    size, mean, second = {"law": "geometric", "mean": 4.0}, 4.0, 2 * 4.0**2 - 4.0
    counts = [len(continuous(law("bursts", rate="30/h", size=size), clock(4), draws(r))) for r in range(4000)]
    assert agrees(variances(counts, 50) / (30 * 4 * mean), second / mean)
    assert not agrees(variances(counts, 50) / (30 * 4 * mean), mean)


@given(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=1, max_size=6), st.integers(0, 10))
def test_no_arrival_in_a_piece_of_rate_zero(rates, seed):
    """A piece of rate 0 gets no arrival, and inverting undoes cumulating (P75)."""
    intensity = Intensity(np.arange(len(rates) + 1) * 7.0, np.array(rates))
    mass = sum(rates) * 7.0
    points = walk(draws(seed)("gap"), mass)
    points = np.unique(np.concatenate((points, np.arange(mass // 3.5) * 3.5)))
    found = invert(intensity, points)
    assert np.all(np.array(rates)[(found // 7).astype(int)] > 0)
    assert np.allclose(cumulative(intensity, found), points)


def test_pieces_leave_their_gaps_empty():
    """Pieces are half-open, the rate between and after them is 0, and the integral is that of the pieces."""
    pieces = [{"since": "1h", "until": "2h", "rate": "500/h"}, {"since": "5h", "until": "9h", "rate": "50/h"}]
    process = law("profile", pieces=pieces)
    found = continuous(process, clock(), draws(1)) / HOUR
    assert np.all(((found >= 1) & (found < 2)) | ((found >= 5) & (found < 9)))
    assert expected(process, clock()) == pytest.approx(500 + 4 * 50)
    assert expected(process, clock(6)) == pytest.approx(500 + 50)


def test_weights_are_relative_to_the_mean_rate():
    """Weights 3 for six hours and 1 for the others, at a mean of 15/h, are 30/h and 10/h."""
    weighted = law("profile", rate="15/h", weights=[3] * 6 + [1] * 18)
    assert np.allclose(profile_intensity(weighted, clock()).rates * HOUR, [30] * 6 + [10] * 18)
    weekly = law("profile", rate="1/h", weekly_weights=[[0] * 24] * 5 + [[7] * 24] * 2)
    intensity = profile_intensity(weekly, clock(7 * 24))
    assert expected(weekly, clock(7 * 24)) == pytest.approx(7 * 24)
    assert np.all(intensity.rates[: 5 * 24] == 0)


def test_schedule_is_exact():
    """A schedule gives its count at each of its local times, spread evenly over [at, at + over)."""
    process = law("schedule", at=["22:00", "01:00"], count=4, over="1h")
    found = times(process, clock(48), draws(0)) / HOUR
    assert found.tolist() == [
        1,
        1.25,
        1.5,
        1.75,
        22,
        22.25,
        22.5,
        22.75,
        25,
        25.25,
        25.5,
        25.75,
        46,
        46.25,
        46.5,
        46.75,
    ]
    assert times(process, clock(22.5), draws(0))[-2:].tolist() == [22 * HOUR, 22 * HOUR + HOUR // 4]
    west = clock(48, zone="America/Los_Angeles")
    assert times(law("schedule", at="22:00", count=1), west, draws(0)).tolist() == [6 * HOUR, 30 * HOUR]
    assert len(times(law("schedule", at="22:00", count=3), clock(load=2.5), draws(0))) == 8  # 7.5 rounds up


def test_constant_is_a_metronome():
    """Arrivals stand one gap apart, the first after a gap or at the start."""
    assert times(law("constant", rate="4/h"), clock(1), draws(0)).tolist() == [HOUR // 4, HOUR // 2, 3 * HOUR // 4]
    assert times(law("constant", rate="2/h", first="start"), clock(1), draws(0)).tolist() == [0, HOUR // 2]


ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
]
CHANGES = [
    dt.datetime(2026, 3, 28, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 24, 11, 17, tzinfo=dt.UTC),
    dt.datetime(2026, 10, 3, tzinfo=dt.UTC),
    dt.datetime(2026, 4, 4, tzinfo=dt.UTC),
    dt.datetime(2011, 12, 29, tzinfo=dt.UTC),
]


@example("Pacific/Apia", dt.datetime(2011, 12, 29, tzinfo=dt.UTC), 57 * HOUR)  # a whole local day is skipped
@given(st.sampled_from(ZONES), st.sampled_from(CHANGES), st.integers(0, 60 * HOUR - 1))
def test_hours_follow_the_local_clock(zone, start, ms):
    """The hour of the week of any instant is the one that the local clock shows, across every change of the clock."""
    edges, hours = hours_of_week(clock(60, zone, start))
    assert edges[0] == 0
    assert edges[-1] == 60 * HOUR
    assert np.all(np.diff(edges) > 0)
    local = (start + dt.timedelta(milliseconds=ms)).astimezone(ZoneInfo(zone))
    assert hours[np.searchsorted(edges, ms, side="right") - 1] == local.weekday() * 24 + local.hour


def test_a_skipped_hour_is_empty_and_a_repeated_one_lasts_two():
    """A rate at local hour 2 only counts 0 hours when the clock goes forward and 2 hours when it goes back."""
    process = law("profile", hourly=["0/h", "0/h", "10/h"] + ["0/h"] * 21)
    forward = dt.datetime(2026, 3, 28, 23, tzinfo=dt.UTC)  # midnight in Berlin
    back = dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC)
    assert expected(process, clock(20, "Europe/Berlin", forward)) == 0
    assert expected(process, clock(20, "Europe/Berlin", back)) == pytest.approx(20)


def test_two_hours_that_are_repeated_come_one_after_the_other_again():
    """At Troll the clock goes back by two hours: 1, 2, 1, 2."""
    back = clock(8, "Antarctica/Troll", dt.datetime(2026, 10, 24, 22, tzinfo=dt.UTC))  # midnight
    edges, hours = hours_of_week(back)
    sunday = 6 * 24
    assert (hours - sunday).tolist() == [0, 1, 2, 1, 2, 3, 4, 5]
    assert edges.tolist() == [hour * HOUR for hour in range(9)]


def test_doubtful_wall_times_are_known():
    """A wall time that is skipped or repeated is doubtful; its neighbours are not."""
    berlin = clock(48, "Europe/Berlin", dt.datetime(2026, 3, 28, 12, tzinfo=dt.UTC))
    at = [doubtful(berlin, dt.datetime.fromisoformat(f"2026-03-29T0{hour}:30")) for hour in (1, 2, 3)]
    assert at == [False, True, False]
    assert [ms for ms, _ in daily(berlin, 3 * HOUR)] == [13 * HOUR, 37 * HOUR]
    assert doubtful(berlin, dt.datetime.fromisoformat("2026-10-25T02:30"))
