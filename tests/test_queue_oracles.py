"""The client's queue equals Kiefer and Wolfowitz on any trace with c slots at any load; Little's law on any path."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from queues import (
    MEAN,
    SERVICES,
    erlang_b,
    erlang_c,
    generators,
    in_an_mmc,
    integral,
    kiefer_wolfowitz,
    served,
    work_in_an_mg1,
)
from scipy import optimize, stats
from workloads import agrees
from worlds import BASE, SLOWNESS_ONE, plan, rules, simulate, world

from sim.engines.laws.latency import answer_ms
from sim.ledger import Status
from sim.providers.rules import CHANCE_ONE, FACTOR_ONE, ExplicitRules, FlexRules, LatencyLaw, OverloadRules

clashing = st.lists(st.tuples(st.sampled_from([0, 0, 1, 5, 10, 11, 20]), st.sampled_from([0, 1, 10, 35])), max_size=25)


@given(clashing, st.integers(1, 4))
@settings(max_examples=300)
def test_any_trace_meets_kiefer_and_wolfowitz(rows, slots):
    """O9: the starts of service are those of the workload vector, whatever arrives when and takes how long."""
    gaps, fresh = zip(*rows, strict=True) if rows else ((), ())
    arrive = np.cumsum(gaps, dtype=np.int64).tolist()
    ledger = simulate(world(arrive, fresh=list(fresh)), plan("none"), rules(concurrency=slots))
    service = [BASE + tokens for tokens in fresh]
    assert ledger.sent.tolist() == kiefer_wolfowitz(arrive, service, slots)
    assert (ledger.done - ledger.sent).tolist() == service


@pytest.mark.parametrize("load", [0.5, 0.95, 1.0, 1.5])
@pytest.mark.parametrize("slots", [1, 7])
def test_any_load_meets_kiefer_and_wolfowitz(load, slots):
    """O9 at high load too, where no statistical test converges, with slowness and output in the service times."""
    generator = np.random.default_rng(9)
    n, law = 1_500, LatencyLaw(250_000_000, 18_000, 4_500, 4_310_345)
    fresh, output = generator.integers(0, 50_000, n), generator.integers(0, 900, n)
    slowness = generator.integers(SLOWNESS_ONE // 4, 4 * SLOWNESS_ONE, n)
    rows = zip(fresh.tolist(), output.tolist(), slowness.tolist(), strict=True)
    service = [answer_ms(law, a, 0, b, s) for a, b, s in rows]
    arrive = np.cumsum(generator.exponential(np.mean(service) / slots / load, n)).astype(np.int64).tolist()
    trace = world(arrive, fresh=fresh, output=output)
    ledger = simulate(trace, plan("none"), rules(latency=law, concurrency=slots), slowness=slowness)
    assert ledger.sent.tolist() == kiefer_wolfowitz(arrive, service, slots)


def test_the_oracle_rejects_other_disciplines():
    """The oracle has power: two slots are not one that is twice as fast, nor is last come first served first come."""
    arrive, fresh = [0, 0, 0, 0], [30, 10, 20, 5]
    ledger = simulate(world(arrive, fresh=fresh), plan("none"), rules(concurrency=2))
    service = [BASE + tokens for tokens in fresh]
    assert ledger.sent.tolist() == kiefer_wolfowitz(arrive, service, 2) == [0, 0, 20, 40]
    assert ledger.sent.tolist() != kiefer_wolfowitz(arrive, [length // 2 for length in service], 1)
    assert ledger.sent.tolist() != kiefer_wolfowitz(arrive, service[::-1], 2)


@given(clashing, st.integers(1, 4))
@settings(max_examples=100)
def test_little_holds_on_every_path(rows, slots):
    """O10: the integral of the number in the system (queue, slots) is the sum of sojourns (waits, services)."""
    gaps, fresh = zip(*rows, strict=True) if rows else ((), ())
    arrive = np.cumsum(gaps, dtype=np.int64).tolist()
    ledger = simulate(world(arrive, fresh=list(fresh)), plan("none"), rules(concurrency=slots))
    arrived, sent, done = (column.tolist() for column in (ledger.arrived, ledger.sent, ledger.done))
    service = [BASE + tokens for tokens in fresh]
    waits = [s - a for s, a in zip(kiefer_wolfowitz(arrive, service, slots), arrive, strict=True)]
    assert integral(arrived, done)[0] == sum(waits) + sum(service)
    assert integral(arrived, sent)[0] == sum(waits)
    area, most = integral(sent, done)
    assert area == sum(service)
    assert most <= slots


@given(clashing)
@settings(max_examples=50)
def test_as_many_slots_as_requests_are_no_limit(rows):
    """P54: a limit that is never reached is none."""
    gaps, fresh = zip(*rows, strict=True) if rows else ((), ())
    trace = world(np.cumsum(gaps, dtype=np.int64).tolist(), fresh=list(fresh))
    free, limited = (simulate(trace, plan("none"), rules(concurrency=c)) for c in (-1, max(1, len(rows))))
    assert free.done.tolist() == limited.done.tolist()


# ---------------------------------------------------------------- the same queue under every other rule

OFF = {
    "nothing else": {},
    "patient retries": {"client": {"attempts": 64, "jitter": 2, "give_up": 10**12, "timeout": 10**12}},
    "wide quotas": {"quota": {"requests": 10**9, "tokens": 10**10, "day": 10**9, "spend": 1, "concurrency": 10**6}},
    "wide windows": {"quota": {"requests": 10**9, "tokens": 10**10, "fixed_window": 1, "rejected_consume": 1}},
    "an overload that nobody notices": {"service": {"overload": OverloadRules(shed=0, slowdown=FACTOR_ONE)}},
    "late news of refusals that never come": {"service": {"refusal_ms": 10**6, "days": (0, 15)}},
    "flex and 403s": {"service": {"flex": FlexRules(shed=CHANCE_ONE), "explicit": ExplicitRules(recreate=0)}},
}


@pytest.mark.parametrize("name", OFF)
@given(rows=clashing, slots=st.integers(1, 4))
@settings(max_examples=50)
def test_rules_that_never_bind_leave_the_queue_as_it_is(name, rows, slots):
    """O9, P54: retries, quotas, time-outs, overloads without an effect: the starts are Kiefer and Wolfowitz's still."""
    gaps, fresh = zip(*rows, strict=True) if rows else ((), ())
    arrive = np.cumsum(gaps, dtype=np.int64).tolist()
    asked = dict(OFF[name])
    client = {"concurrency": slots, **asked.pop("client", {})}
    others = world(arrive, fresh=list(fresh), shed=0, jitter=2**31, queueing=7, failure=0, weather=[1, 2])
    found = simulate(others, plan("none"), rules(client=client, **asked), overload=(0, 10**9), slow=(0, 10**9))
    service = [BASE + tokens for tokens in fresh]
    starts = kiefer_wolfowitz(arrive, service, slots)
    assert found.sent.tolist() == starts
    assert found.queued.tolist() == [start - at for start, at in zip(starts, arrive, strict=True)]
    assert set(found.attempts.tolist()) <= {1}
    assert not len(found.limit_kind)


short = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 5, 10, 400, 900]), st.sampled_from([0, 1, 10, 35])), min_size=1, max_size=20
)
quotas = st.sampled_from(
    [
        {"requests": 60, "burst_ms": 2_000},
        {"requests": 6_000, "burst_ms": 30, "tokens": 3_000},
        {"tokens": 2_000, "rejected_consume": 1, "burst_ms": 1_100},
        {"concurrency": 1},
        {"requests": 2, "fixed_window": 1},
    ]
)


@given(short, st.integers(1, 3), quotas, st.integers(1, 4), st.integers(0, 2), st.integers(0, 2**32 - 1))
@settings(max_examples=200)
def test_little_holds_for_whole_sojourns_with_retries(rows, slots, quota, attempts, jitter, draw):
    """O10: the integral of the requests in the system is the time queued, backed off and served, retries or not."""
    gaps, fresh = zip(*rows, strict=True)
    arrive = np.cumsum(gaps, dtype=np.int64).tolist()
    client = {"concurrency": slots, "attempts": attempts, "jitter": jitter, "base": 300, "cap": 1_000}
    trace = world(arrive, fresh=list(fresh), jitter=draw)
    ledger = simulate(trace, plan("none"), rules(quota=quota, client=client, service={"refusal_ms": 3}))
    done = ledger.status == Status.DONE
    served = (ledger.done - ledger.sent)[done]
    assert served.tolist() == (BASE + trace.fresh)[done].tolist()
    spent = int(ledger.queued.sum() + ledger.backoff.sum() + served.sum())
    assert integral(ledger.arrived.tolist(), ledger.done.tolist())[0] == spent
    in_slots, most = integral((ledger.arrived + ledger.queued).tolist(), ledger.done.tolist())
    assert in_slots == spent - ledger.queued.sum()
    assert most <= slots


def test_little_with_retries_has_power():
    """O10's control: without the back-off, or with a slot given back while backing off, the identity is missed."""
    quota, client = {"requests": 1}, {"concurrency": 1, "attempts": 2, "jitter": 0}
    ledger = simulate(world([0, 0, 0]), plan("none"), rules(quota=quota, client=client))
    assert ledger.sent.tolist() == [0, 60_001, 120_002]  # a minute after the one before, learnt 1 ms late
    area, _ = integral(ledger.arrived.tolist(), ledger.done.tolist())
    served = 3 * (BASE + 5)
    assert ledger.backoff.sum() > 0
    assert area == served + ledger.queued.sum() + ledger.backoff.sum()
    assert area != served + ledger.queued.sum()


# ---------------------------------------------------------------- closed forms


def test_waits_of_an_mm1():
    """O1: mean wait rho / (mu - lambda), P(W_q > t) = rho e^{-(mu - lambda) t}, sojourns exponential (Kleinrock 3.2).

    40 runs of 2,000 arrivals, started stationary; mu = 1. A sojourn without a queue, and M/D/1's mean, are rejected.
    """
    load = 0.6
    waits, late, below = [], {0.0: [], 1.0: [], 3.0: []}, {0.5: [], 0.95: []}
    for generator in generators():
        first = generator.exponential(size=in_an_mmc(load, 1, generator))
        gaps, services = generator.exponential(1 / load, 2_000), generator.exponential(size=2_000)
        ledger = served(first, gaps, services, concurrency=1)
        found, sojourns = (ledger.sent - ledger.arrived) / MEAN, (ledger.done - ledger.arrived) / MEAN
        assert np.array_equal(ledger.queued, ledger.sent - ledger.arrived)
        waits.append(found.mean())
        for t, shares in late.items():
            shares.append(np.mean(found > t))
        for q, shares in below.items():
            shares.append((np.mean(sojourns <= -np.log(1 - q) / (1 - load)), np.mean(sojourns <= -np.log(1 - q))))
    assert agrees(waits, load / (1 - load))
    assert not agrees(waits, load / (1 - load) / 2)
    for t, shares in late.items():
        assert agrees(shares, load * np.exp(-(1 - load) * t))
        assert not agrees(shares, np.exp(-(1 - load) * t))
    for q, shares in below.items():
        queued, alone = np.transpose(shares)
        assert agrees(queued, q)
        assert not agrees(alone, q)


@pytest.mark.parametrize(("slots", "load"), [(2, 1.4), (5, 3.75)])
def test_waits_of_an_mmc(slots, load):
    """O2: mean wait C / (c mu - lambda) and P(W_q > t) = C e^{-(c mu - lambda) t} (Gross-Harris 2.3).

    40 runs of 2,000 arrivals, started stationary; mu = 1. One slot that is c times as fast, and the loss system's
    chance B for C, are rejected.
    """
    waits, late = [], {0.0: [], 0.5: []}
    for generator in generators():
        first = generator.exponential(size=in_an_mmc(load, slots, generator))
        gaps, services = generator.exponential(1 / load, 2_000), generator.exponential(size=2_000)
        ledger = served(first, gaps, services, concurrency=slots)
        found = (ledger.sent - ledger.arrived) / MEAN
        waits.append(found.mean())
        for t, shares in late.items():
            shares.append(np.mean(found > t))
    left = slots - load  # c mu - lambda
    assert agrees(waits, erlang_c(load, slots) / left)
    for wrong in (load / slots / left, erlang_b(load, slots) / left):
        assert not agrees(waits, wrong)
    for t, shares in late.items():
        assert agrees(shares, erlang_c(load, slots) * np.exp(-left * t))
        assert not agrees(shares, load / slots * np.exp(-left * t))


@pytest.mark.parametrize("name", SERVICES)
def test_waits_of_an_mg1(name):
    """O4: mean wait lambda E[S^2] / (2 (1 - rho)) (Pollaczek-Khinchine), a constant service half of an exponential one.

    40 runs of 2,500 arrivals, each after a call that is the stationary work; the means of the other services, and
    that of a service whose variance is taken for its second moment, are rejected.
    """
    load, law = 0.5, SERVICES[name]
    waits = []
    for generator in generators():
        work = work_in_an_mg1(load, law, generator)
        gaps, services = generator.exponential(1 / load, 2_500), law.draw(generator, 2_500)
        ledger = served([work] if work > 0 else [], gaps, services, concurrency=1)
        waits.append(np.mean(ledger.sent - ledger.arrived) / MEAN)
    assert agrees(waits, load * law.square / (2 * (1 - load)))
    for other in SERVICES.values():
        assert other is law or not agrees(waits, load * other.square / (2 * (1 - load)))
    assert not agrees(waits, load * (law.square - 1) / (2 * (1 - load)))


def root(load):
    """The sigma < 1 of GI/M/1 with gaps of two stages: the transform (2 rho / (2 rho + 1 - sigma))^2 at itself."""
    return optimize.brentq(lambda s: (2 * load / (2 * load + 1 - s)) ** 2 - s, 0, 1 - 1e-9)


def test_kingmans_bound():
    """O8: waits of GI/G/1 are at most lambda (var gap + var service) / (2 (1 - rho)); here they are known exactly.

    Gaps are Erlang-2 and services exponential, so W_q = sigma / (1 - sigma) (Gross-Harris 5.3.1), and an arrival finds
    a geometric number, which is how the 40 runs of 2,000 begin. The bound of one variance alone is broken.
    """
    load = 0.7
    sigma, waits = root(load), []
    for generator in generators():
        first = generator.exponential(size=generator.geometric(1 - sigma) - 1)
        gaps = generator.gamma(2.0, 1 / (2 * load), 2_000)
        gaps[0] = 0  # an arrival at the start, which finds the first ones
        ledger = served(first, gaps, generator.exponential(size=2_000), concurrency=1)
        waits.append(np.mean(ledger.sent - ledger.arrived) / MEAN)

    def bound(of_gaps, of_services):
        return load * (of_gaps + of_services) / (2 * (1 - load))

    gap = 1 / (2 * load**2)
    assert agrees(waits, sigma / (1 - sigma))
    assert not agrees(waits, load / (1 - load))  # of Poisson arrivals
    assert sigma / (1 - sigma) < bound(gap, 1)
    assert below(waits, bound(gap, 1))
    for broken in (bound(gap, 0), bound(0, 1)):
        assert not below(waits, broken)


@pytest.mark.parametrize(("cv", "name"), [(0.5, "exponential"), (1.5, "constant"), (1.5, "exponential")])
def test_kingmans_bound_of_other_gaps(cv, name):
    """O8: it holds for gamma gaps and any service too; a queue that starts empty waits less than the stationary one.

    Half of the bound is broken where gaps vary little, and the mean of Poisson arrivals where they vary more.
    """
    load, law = 0.7, SERVICES[name]
    waits = []
    for generator in generators():
        gaps = generator.gamma(1 / cv**2, cv**2 / load, 2_000)
        ledger = served([], gaps, law.draw(generator, 2_000), concurrency=1)
        waits.append(np.mean(ledger.sent - ledger.arrived) / MEAN)
    bound = load * ((cv / load) ** 2 + law.square - 1) / (2 * (1 - load))
    assert below(waits, bound)
    assert not below(waits, bound / 2 if cv < 1 else load * law.square / (2 * (1 - load)))


def below(samples, bound):
    """Whether Student's t test of independent samples shows at level 1e-6 that their mean is below a bound."""
    assert len(samples) >= 30
    return stats.ttest_1samp(samples, bound, alternative="less").pvalue < 1e-6


@pytest.mark.parametrize("load", [0.8, 1.3])
def test_a_deadline_is_missed_as_a_dam_overflows(load):
    """With a deadline D from the arrival, r / (1 - rho (1 - r)) of an M/M/1 fail, r = (1 - rho) e^{-(1 - rho) D}.

    A call in service is hung up at its deadline, so the work is that of a dam of height D, whose law is that of the
    infinite one cut at D (Cohen, The Single Server Queue, III.5.4): at any load, also above 1. 40 runs, begun with it.
    """
    deadline, shares = 2.0, []
    for generator in generators():
        ledger = served(
            dammed(load, deadline, generator),
            generator.exponential(1 / load, 2_000),
            generator.exponential(size=2_000),
            client={"concurrency": 1, "give_up": int(deadline * MEAN)},
        )
        failed = ledger.status == Status.FAILED
        assert np.all((ledger.done - ledger.arrived)[failed] == deadline * MEAN)
        shares.append(failed.mean())
    over = np.exp(-(1 - load) * deadline)
    assert agrees(shares, (1 - load) * over / (1 - load * over))
    assert not agrees(shares, np.exp(-deadline))  # a service alone that is too long
    assert load > 1 or not agrees(shares, over)  # a sojourn of the queue in which nobody gives up


def dammed(load, height, generator):
    """The work in a dam of the height, of exponential services, at a random instant: none or one call of it.

    P(V <= x) = (1 - rho e^{-(1 - rho) x}) / (1 - rho e^{-(1 - rho) D}), by its inverse.
    """
    part = generator.uniform() * (1 - load * np.exp(-(1 - load) * height))
    return [np.log((1 - part) / load) / (load - 1)] if abs(part) > abs(1 - load) else []
