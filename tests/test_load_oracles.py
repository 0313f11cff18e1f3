"""What a load meets over time: Poisson arrivals see averages, a daily wave lags, and overloads come and go.

Statistical tests are Student's t over 40 runs of the seeds [SEED, number] at level 1e-6, each beside a formula that
the same samples reject.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import MEAN, SERVICES, generators, whole
from workloads import SEED, agrees, workload
from worlds import BASE, INSTANT, NEXT, plan, rules, service, simulate, world

from sim.engines.physics import episodes, prepare
from sim.ledger import Limit, Mode, Status
from sim.providers.rules import CHANCE_ONE, FACTOR_ONE, LatencyLaw, OverloadRules, QuotaRules
from sim.providers.service import Episodes, Overload, SlowBatch
from sim.units import HOUR, MINUTE
from sim.workload.realise import realise

RUNS = 40
A_TOKEN_A_MS = LatencyLaw(0, 10**6, 0, 0)

# ---------------------------------------------------------------- what arrivals see


def poisson(generator, rate, until):
    """Instants of a Poisson process on [0, until)."""
    return np.sort(generator.uniform(0, until, generator.poisson(rate * until)))


def metronome(_generator, rate, until):
    """The same rate without chance."""
    return np.arange(0.5, rate * until) / rate


def bursts(generator, rate, until):
    """The same rate in fours."""
    return np.repeat(poisson(generator, rate / 4, until), 4)


def seen_and_average(arrive, law, slots, until, generator):
    """What each arrival sees of the busy slots, and their average over [0, until)."""
    at, horizon = (arrive * MEAN).astype(np.int64), round(until * MEAN)
    trace = world(at, fresh=whole(law.draw(generator, len(at))))
    ledger = simulate(trace, plan("none"), rules(latency=A_TOKEN_A_MS, concurrency=slots))
    begun = np.minimum(np.searchsorted(ledger.sent, at, side="right"), np.arange(len(at)))  # by earlier arrivals
    ended = np.searchsorted(np.sort(ledger.done), at, side="right")
    busy = np.minimum(ledger.done, horizon) - np.minimum(ledger.sent, horizon)
    return begun - ended, busy.sum() / horizon


@pytest.mark.parametrize("name", SERVICES)
def test_poisson_arrivals_see_time_averages(name):
    """O11: on any horizon, from empty, the sum of what Poisson arrivals see is rate times the integral, in the mean.

    Wolff 1982: what comes after an instant does not matter to what is seen at it, so this needs no stationary start. A
    metronome sees fewer busy slots, and calls in bursts see more: the same statistic rejects both.
    """
    slots, load, until, law = 3, 1.8, 400, SERVICES[name]
    for process, sign in ((poisson, 0), (metronome, -1), (bursts, 1)):
        rests = []
        for generator in generators():
            seen, average = seen_and_average(process(generator, load, until), law, slots, until, generator)
            rests.append(seen.sum() - load * until * average)
        assert agrees(rests, 0) == (process is poisson)
        assert process is poisson or np.sign(np.mean(rests)) == sign


# ---------------------------------------------------------------- a daily wave

MEAN_RATE, SWING, LASTS = 200, 160, 2.0  # calls an hour, the height of the wave, hours that a call lasts
WAVE = 2 * np.pi / 24  # an hour
STEPS = [MEAN_RATE + SWING * np.sin(WAVE * (hour + 0.5)) for hour in range(24)]  # calls an hour in each hour


def in_service(hours):
    """Mean calls in service from empty: while the rate is r, m moves towards r / mu as e^{-mu t}."""
    m = 0.0
    for hour in range(int(np.ceil(hours))):
        m += (STEPS[hour] * LASTS - m) * -np.expm1(-min(1.0, hours - hour) / LASTS)
    return m


def eick_massey_whitt(hours):
    """The same under the wave itself, long after its start: (a + b (sin gt - q cos gt) / (1 + q^2)) / mu, q = g/mu."""
    q = WAVE * LASTS
    return (MEAN_RATE + SWING * (np.sin(WAVE * hours) - q * np.cos(WAVE * hours)) / (1 + q**2)) * LASTS


@pytest.fixture(scope="module")
def waves():
    """The calls in service at an hour, of each run."""
    hourly = [f"{rate:.15f}/h" for rate in STEPS]
    arrivals = f'{{ process = "profile", hourly = {hourly} }}'
    text = f'[streams.x]\narrivals = {arrivals}\nfresh = 1\noutput = 0\npatience = "1d"'
    spec = workload(text, 'start = "2026-11-16T00:00:00Z"\nhorizon = "17h"\n')
    runs = []
    for replication, generator in enumerate(generators()):
        arrive = realise(spec, SEED, replication).arrive
        lengths = np.ceil(generator.exponential(LASTS * HOUR, len(arrive)))
        ledger = simulate(world(arrive, fresh=lengths), plan("none"), rules(latency=A_TOKEN_A_MS))
        runs.append((ledger.sent, np.sort(ledger.done)))

    def at(hours):
        begun, ended = ([np.searchsorted(run[end], hours * HOUR, "right") for run in runs] for end in (0, 1))
        return np.subtract(begun, ended)

    return at


@pytest.mark.parametrize("hours", [1.0, 3.0, 5.5, 11.0, 13.25, 16.5])
def test_a_wave_of_calls_is_met_by_its_integral(waves, hours):
    """O33: from empty m(t) calls of exponential length are in service, the integral of rate(u) e^{-mu (t - u)} to t.

    The rate of the hour times the length of a call, as if the wave stood still, is rejected.
    """
    assert agrees(waves(hours), in_service(hours))
    assert not agrees(waves(hours), STEPS[int(hours)] * LASTS)


def test_the_peak_of_a_wave_lags(waves):
    """O33: the rate peaks at 6 h, the calls in service arctan(g / mu) / g later: more are there at 8 h than at 6 h.

    Hourly steps are the sinusoid of Eick, Massey and Whitt (1993) to a hundredth, once the empty start is forgotten.
    """
    peak = 6 + np.arctan(WAVE * LASTS) / WAVE
    hours = np.arange(14, 24)
    assert [in_service(hour) for hour in hours] == pytest.approx(eick_massey_whitt(hours), rel=0.015)
    assert max(np.arange(24), key=in_service) == round(peak) == 8
    gained = waves(8.0) - waves(6.0)
    assert agrees(gained, in_service(8.0) - in_service(6.0))
    assert not agrees(gained, 0)
    assert np.mean(gained) > 0 > STEPS[8] - STEPS[6]


def test_calls_of_a_wave_are_poisson(waves):
    """O33: at every instant the variance of the calls in service is their mean; twice that, of pairs, is rejected."""
    hours = [1.0, 4.0, 7.0, 10.0, 13.0, 16.0]
    spread = np.mean([(waves(hour) - in_service(hour)) ** 2 / in_service(hour) for hour in hours], axis=0)
    assert agrees(spread, 1)
    assert not agrees(spread, 2)


# ---------------------------------------------------------------- overloads

EVERY, LAST = 3 * HOUR, HOUR  # mean gap, mean length
LAW = Episodes(every="3h", lasts="1h")
ON = LAST / (EVERY + LAST)
DRAWS = 50  # of the weather in a run


def weathers(replication, until, law=LAW):
    """Episodes of some draws of the weather."""
    draws = np.random.default_rng([SEED, replication]).integers(0, 1 << 32, DRAWS)
    return [episodes(law, int(draw), until) for draw in draws]


def time_on(edges, until):
    """The ms of [0, until) in an episode."""
    cut = np.minimum(edges, until)
    return int((cut[1::2] - cut[::2]).sum())


def on_at(edges, at):
    """Whether an instant lies in an episode."""
    return bool(np.searchsorted(edges, at, "right") % 2)


@pytest.mark.parametrize("hours", [1, 24])
def test_an_overload_takes_its_share_of_any_horizon(hours):
    """The mean share of time on is p = lasts / (every + lasts) on any [0, H), as the process starts stationary.

    Its variance is 2 p (1 - p) (x - 1 + e^{-x}) / x^2, x = H (1/every + 1/lasts), as of any on/off Markov process; from
    fair weather its mean is p (1 - (1 - e^{-x}) / x). One episode begins each every + lasts. Rejected are the ratio of
    the two, a share that is all or nothing, a begin each ``every``, and the mean from fair weather.
    """
    until = hours * HOUR
    shares, begins, squares, fair = [], [], [], []
    for replication in range(RUNS):
        found = weathers(replication, until)
        on = np.array([time_on(edges, until) for edges in found]) / until
        shares.append(on.mean())
        squares.append(np.mean((on - ON) ** 2))
        begins.append(np.mean([np.count_nonzero((edges[::2] > 0) & (edges[::2] < until)) for edges in found]))
        fair.append(on[[not on_at(edges, 0) for edges in found]].mean())
    x = until * (1 / EVERY + 1 / LAST)
    assert agrees(shares, ON)
    assert not agrees(shares, LAST / EVERY)
    assert agrees(squares, 2 * ON * (1 - ON) * (x - 1 + np.exp(-x)) / x**2)
    assert not agrees(squares, ON * (1 - ON))
    assert agrees(fair, ON * (1 + np.expm1(-x) / x))
    assert not agrees(fair, ON) or hours > 1
    assert agrees(begins, until / (EVERY + LAST))
    assert not agrees(begins, until / EVERY)


@pytest.mark.parametrize("minutes", [0, 1, 600])
def test_an_overload_is_on_at_any_instant_with_the_same_chance(minutes):
    """P(on at t) = p at the start as at any other instant; half an hour later it is on still, or again, as Markov says.

    That has the chance p + (1 - p) e^{-s (1/every + 1/lasts)}; that a spell stays, or that the two instants know
    nothing of each other, is rejected.
    """
    shares, both, later = [], [], minutes * MINUTE + HOUR // 2
    for replication in range(RUNS):
        found = weathers(replication, 24 * HOUR)
        now = np.array([on_at(edges, minutes * MINUTE) for edges in found])
        shares.append(now.mean())
        both.append(np.mean(now & [on_at(edges, later) for edges in found]))
    assert agrees(shares, ON)
    assert not agrees(shares, LAST / EVERY)
    assert agrees(both, ON * (ON + (1 - ON) * np.exp(-HOUR / 2 * (1 / EVERY + 1 / LAST))))
    for wrong in (ON, ON**2):
        assert not agrees(both, wrong)


def test_episodes_and_gaps_are_exponential():
    """Lengths have mean ``lasts``, gaps ``every``, and a share 1/e of each is longer than its mean."""
    lengths, gaps, longer = [], [], []
    for replication in range(RUNS):
        found = weathers(replication, 24 * HOUR)
        on = np.array([(edges[1::2] - edges[::2])[:20] for edges in found])
        off = np.array([(edges[2::2] - edges[1:-1:2])[:20] for edges in found])
        assert on.shape == off.shape == (DRAWS, 20)
        lengths.append(on.mean())
        gaps.append(off.mean())
        longer.append((np.mean(on > LAST) + np.mean(off > EVERY)) / 2)
    assert agrees(lengths, LAST)
    assert agrees(gaps, EVERY)
    assert not agrees(gaps, EVERY - LAST)  # every, taken from beginning to beginning
    assert agrees(longer, np.exp(-1))
    assert not agrees(longer, 0.5)


@given(st.integers(0, 2**32 - 1), st.integers(0, 10**8), st.integers(0, 10**9), st.sampled_from(["1s", "7m", "3h"]))
def test_a_longer_horizon_keeps_every_earlier_episode(draw, short, more, every):
    """Edges rise, begin after gaps of 1 ms at least, reach over the horizon, and a longer run only adds some."""
    law = Episodes(every=every, lasts="1h")
    early, late = (episodes(law, draw, until) for until in (short, short + more))
    assert early.tolist() == late[: len(early)].tolist()
    for edges, until in ((early, short), (late, short + more)):
        assert len(edges) % 2 == 0
        assert np.all(np.diff(edges) >= 1)
        assert edges[0] >= 0
        assert edges[-1] >= until


def test_no_episode_comes_again():
    """However long the run, lengths are drawn anew: of thousands of them hardly two are equal to the ms."""
    lengths = np.diff(episodes(LAW, 5, 6_000 * HOUR))
    assert len(lengths) > 2_000
    assert len(np.unique(lengths)) > 0.99 * len(lengths)


def test_overload_and_slow_batch_have_weather_of_their_own():
    """Without a law there is no episode; with the same law twice the two draws of a run give different episodes."""
    spell, trace = {"every": "3h", "lasts": "1h"}, world([0], weather=[1, 2])
    plain = service()
    slow = plain.batch.model_copy(update={"slow": SlowBatch(**spell, factor=2.0)})
    heavy = plain.model_copy(update={"overload": Overload(**spell, shed_chance=1.0), "batch": slow})
    fair, made = prepare(trace, plain, 1), prepare(trace, heavy, 1)
    assert len(fair.overload) == len(fair.slow) == len(episodes(None, 5, 10**9)) == 0
    until = trace.horizon + 60 * 24 * HOUR
    assert made.overload.tolist() == episodes(LAW, 1, until).tolist()
    assert made.slow.tolist() == episodes(LAW, 2, until).tolist() != made.overload.tolist()


def spells(shed, slowdown=FACTOR_ONE):
    """What an overload does."""
    return {"overload": OverloadRules(shed=round(shed * CHANCE_ONE), slowdown=slowdown)}


def test_calls_meet_the_overload_of_their_instant():
    """Of calls that are made once, a share p lasts / (every + lasts) is refused; a metronome's as in its episodes.

    Rejected is the chance p alone, as if it were always overloaded.
    """
    shares, chance = [], 0.6
    for replication in range(RUNS):
        draw = np.random.default_rng([SEED, replication, 1])
        refused = []
        for _ in range(10):
            arrive = np.arange(0, 12 * HOUR, 6 * MINUTE)
            shed = draw.integers(0, 1 << 32, len(arrive))
            trace = world(arrive, shed=shed, weather=draw.integers(0, 1 << 32, 2))
            heavy = Overload(every="3h", lasts="1h", shed_chance=chance)
            edges = prepare(trace, service().model_copy(update={"overload": heavy}), 1).overload
            ledger = simulate(trace, plan("none"), rules(latency=INSTANT, service=spells(chance)), overload=edges)
            on = np.array([on_at(edges, at) for at in arrive.tolist()])
            failed = ledger.status == Status.FAILED
            assert failed.tolist() == (on & (shed < chance * 2**32)).tolist()
            refused.append(failed.mean())
        shares.append(np.mean(refused))
    assert agrees(shares, chance * ON)
    assert not agrees(shares, chance)
    assert not agrees(shares, ON)


@given(st.lists(st.integers(0, 60), max_size=12), st.sampled_from([FACTOR_ONE, 3 * FACTOR_ONE // 2, 7 * FACTOR_ONE]))
def test_answers_are_slower_by_a_factor_while_it_lasts(gaps, factor):
    """A call whose service starts in [begin, end) takes its time times the factor; priority calls notice nothing."""
    arrive = np.cumsum(gaps)
    edges = [15, 40, 41, 90]
    for kind in ("none", "flex", "priority"):
        own = rules(service=spells(1.0 if kind == "priority" else 0.0, factor))
        ledger = simulate(world(arrive), plan(kind), own, overload=edges)
        slow = np.array([on_at(edges, at) for at in arrive.tolist()], bool) & (kind != "priority")
        expected = np.where(slow, (BASE + 5) * factor // FACTOR_ONE, BASE + 5)
        assert (ledger.done - ledger.sent).tolist() == expected.tolist()
        assert not ledger.shed.any()


def test_priority_calls_pass_an_overload_that_stops_all_others():
    """With chance 1 the priority tier serves everything, and what overflows from it is refused like any other call."""
    arrive = np.arange(100)
    whole_tier = simulate(world(arrive), plan("priority"), rules(service=spells(1.0)), overload=(0, NEXT))
    others = simulate(world(arrive), plan("none"), rules(service=spells(1.0)), overload=(0, NEXT))
    assert set(whole_tier.mode.tolist()) == {Mode.PRIORITY}
    assert set(others.status.tolist()) == {Status.FAILED}
    limited = rules(service=spells(1.0), priority=QuotaRules(requests=30, fixed_window=1))
    part = simulate(world(arrive), plan("priority"), limited, overload=(0, NEXT))
    assert (part.status == Status.DONE).tolist() == (arrive < 30).tolist()
    assert dict(zip(part.limit_kind.tolist(), part.limit_count.tolist(), strict=True)) == {
        Limit.OVERLOAD: 70,
        Limit.PRIORITY: 70,
    }
