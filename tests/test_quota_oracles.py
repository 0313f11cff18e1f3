"""Quotas meet their closed forms: Erlang's loss, the envelope of a bucket, M/D/1/K, whole minutes, days, and spend.

Statistical tests are Student's t over 40 runs of the seeds [SEED, number] at level 1e-6, each beside a formula that
the same samples reject. Whole ms are 1e-4 of a mean gap or less, below what they resolve.
"""

import datetime as dt
from fractions import Fraction
from math import exp, factorial
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from queues import SERVICES, erlang_b, erlang_c, generators, in_a_loss_system, served
from scipy import stats
from workloads import agrees
from worlds import INSTANT, plan, rules, simulate, world

from sim.billing import rate
from sim.ledger import Limit, Mode, Status
from sim.providers import load_book
from sim.providers.pacific import midnights
from sim.providers.rules import QuotaRules, SpendLaw
from sim.units import DAY, HOUR, since_epoch

MINUTE = 60_000  # ms
GOOGLE = load_book("google")


def asked(arrive, quota, *, kind="none", fresh=5, client=None, **of_rules):
    """The ledger of calls that take 1 ms and are made once, unless the client says otherwise."""
    trace = world(arrive, fresh=fresh)
    return simulate(trace, plan(kind), rules(latency=INSTANT, quota=quota, client=client, **of_rules))


def admitted(ledger):
    """Which calls passed."""
    return ledger.status == Status.DONE


# ---------------------------------------------------------------- calls in flight


@pytest.mark.parametrize("name", SERVICES)
def test_calls_in_flight_are_an_erlang_loss_system(name):
    """O3: of calls that are made once, the share refused is Erlang's B(c, a), whatever the law of the answer times.

    40 runs of 2,000 arrivals, started stationary: in M/G/c/c that is a cut Poisson number of calls, each with the rest
    of its answer (Gross-Harris 5.2). Rejected are Erlang C, one slot more or less, and a Poisson tail.
    """
    slots, load, law, shares = 4, 3.0, SERVICES[name], []
    for generator in generators():
        first = law.rest(generator, in_a_loss_system(load, slots, generator))
        gaps, services = generator.exponential(1 / load, 2_000), law.draw(generator, 2_000)
        ledger = served(first, gaps, services, quota={"concurrency": slots})
        assert set(ledger.limit_kind.tolist()) == {Limit.CONCURRENCY}
        assert ledger.throttled.sum() == ledger.limit_count.sum()
        assert np.all((ledger.done - ledger.sent)[admitted(ledger)] >= 1)
        shares.append(np.mean(ledger.status == Status.FAILED))
    assert agrees(shares, erlang_b(load, slots))
    wrong = erlang_c(load, slots), erlang_b(load, slots + 1), erlang_b(load, slots - 1)
    for share in (*wrong, stats.poisson.sf(slots - 1, load)):
        assert not agrees(shares, share)


# ---------------------------------------------------------------- buckets

gaps_of_calls = st.sampled_from([0, 0, 0, 1, 499, 500, 501, 1_000, 9_999, 10_000, 60_000])
callers = st.lists(st.tuples(gaps_of_calls, st.sampled_from([0, 1, 4, 9])), min_size=1, max_size=25)
limits = st.sampled_from([1, 2, 6, 10, 60, 120])
bursts = st.sampled_from([1_000, 10_000, 59_999, 60_000, 120_000])


@given(callers, limits, limits, bursts, st.integers(1, 3), st.integers(0, 1))
@settings(max_examples=300)
def test_a_bucket_has_an_envelope(rows, requests, tokens, burst, attempts, consume):
    """O35, P53: what passes in any window of w ms is at most B + r w, requests and tokens at once, retries or not."""
    gaps, fresh = zip(*rows, strict=True)
    quota = {"requests": requests, "tokens": tokens, "burst_ms": burst, "rejected_consume": consume}
    client = {"attempts": attempts, "base": 100, "jitter": 0, "honour": consume}
    ledger = asked(np.cumsum(gaps), quota, fresh=list(fresh), client=client)
    passed = admitted(ledger)
    order = np.argsort(ledger.sent[passed], kind="stable")
    times, sizes = ledger.sent[passed][order].tolist(), ledger.prompt[passed][order].tolist()
    for first in range(len(times)):
        count, total = 0, 0
        for time, size in zip(times[first:], sizes[first:], strict=True):
            count, total = count + 1, total + size
            assert count * MINUTE <= requests * (burst + time - times[first])
            assert total * MINUTE <= tokens * (burst + time - times[first])


def test_the_envelope_has_power():
    """O35's control: whole minutes let twice their limit pass within 2 ms of a boundary, which a bucket does not."""
    arrive = [MINUTE - 1] * 4 + [MINUTE] * 4
    for fixed, passes in ((1, 4 + 4), (0, 4)):
        assert admitted(asked(arrive, {"requests": 4, "fixed_window": fixed})).sum() == passes


@pytest.mark.parametrize(("limit", "burst"), [(60, 10_000), (7, 60_000), (90, 20_000)])
@pytest.mark.parametrize("size", [1, 3])
def test_a_bucket_that_is_always_asked_lets_all_of_its_envelope_pass(limit, burst, size):
    """With a call each ms, floor((B + r t) / size) have passed by t, for requests and for tokens of several."""
    quota = {"requests": limit, "burst_ms": burst} if size == 1 else {"tokens": limit, "burst_ms": burst}
    passed = np.cumsum(admitted(asked(np.arange(3_000), quota, fresh=size)))
    assert passed.tolist() == [min(t + 1, limit * (burst + t) // (MINUTE * size)) for t in range(3_000)]


def walked(arrive, limit, burst):
    """Levels of a bucket before each call, and whether each passes, one after the other in exact fractions (P60)."""
    depth = level = Fraction(limit * burst, MINUTE)
    before, passes, last = [], [], 0
    for at in arrive:
        level, last = min(depth, level + Fraction(limit, MINUTE) * (at - last)), at
        before.append(level)
        passes.append(level >= 1)
        level -= passes[-1]
    return before, passes


def full_system(load, places):
    """The chance that an M/D/1 with so many places, the one served included, is full (Brun and Garcia 2000).

    1 - b / (1 + rho b) with b = sum_k (-1)^k / k! (n - k)^k e^{(n - k) rho} rho^k, n = places - 1.
    """
    n = places - 1
    terms = [(-load * (n - k)) ** k / factorial(k) * exp((n - k) * load) for k in range(n + 1)]
    return 1 - sum(terms) / (1 + load * sum(terms))


@pytest.mark.parametrize(("places", "load", "cycles"), [(2, 0.7, 500), (3, 0.8, 300), (4, 1.0, 130)])
def test_a_bucket_on_poisson_calls_is_an_md1k(places, load, cycles):
    """P60: a bucket refuses what M/D/1/K turns away: what it lacks drains like work, and a call adds 1/r to it.

    A call that finds the bucket full begins a new cycle, so over a number of cycles refusals less the share times the
    calls have mean 0. Each path is that of a walk in fractions too. Rejected are one place more and M/M/1/K's share.
    """
    assert full_system(load, 1) == pytest.approx(erlang_b(load, 1))
    limit, burst = 6, 10_000 * places
    powers = load ** np.arange(places + 1)
    rests = {
        share: [] for share in (full_system(load, places), full_system(load, places + 1), powers[-1] / sum(powers))
    }
    for generator in generators():
        arrive = np.cumsum(generator.exponential(MINUTE / limit / load, 1_500)).astype(int)
        ledger = asked(arrive, {"requests": limit, "burst_ms": burst})
        before, passes = walked(arrive.tolist(), limit, burst)
        assert admitted(ledger).tolist() == passes
        starts = [call for call, level in enumerate(before) if level == places]
        calls = starts[cycles]
        for share, rest in rests.items():
            rest.append(calls - sum(passes[:calls]) - share * calls)
    right, *wrong = rests.values()
    assert agrees(right, 0)
    assert not any(agrees(rest, 0) for rest in wrong)


@given(callers, limits, st.integers(1, 5), bursts)
def test_a_wider_bucket_lets_no_fewer_calls_pass(rows, limit, factor, burst):
    """P58: at every instant at least as many calls have passed a higher limit, where refused calls vanish."""
    arrive = np.cumsum([gap for gap, _ in rows])
    narrow, wide = (admitted(asked(arrive, {"requests": k * limit, "burst_ms": burst})) for k in (1, factor))
    assert np.all(np.cumsum(wide) >= np.cumsum(narrow))


# ---------------------------------------------------------------- whole minutes


def least(mean, most):
    """E[min(N, q)] of a Poisson number: sum of P(N >= k) up to q."""
    return float(np.sum(stats.poisson.sf(np.arange(most), mean)))


def minutes_of_calls(mean, generator, minutes=60):
    """Whole-ms instants of Poisson calls, so many a minute."""
    count = generator.poisson(mean * minutes)
    return np.sort(generator.integers(0, minutes * MINUTE, count))


def test_a_limit_a_minute_on_poisson_calls():
    """O37: of calls that are made once whole minutes of limit q let E[min(Poisson(m), q)] / m pass.

    40 runs of 60 minutes. The share of means, min(m, q) / m, that of a limit q + 1, and a bucket's calls are rejected.
    """
    mean, limit, passes, bucket = 8, 8, [], []
    for generator in generators():
        arrive = minutes_of_calls(mean, generator)
        ledger = asked(arrive, {"requests": limit, "fixed_window": 1})
        assert np.bincount(arrive[admitted(ledger)] // MINUTE, minlength=60).max() == limit
        passes.append(admitted(ledger).sum() / 60)
        bucket.append(admitted(asked(arrive, {"requests": limit})).sum() / 60)
    assert agrees(passes, least(mean, limit))
    for wrong in (min(mean, limit), least(mean, limit + 1)):
        assert not agrees(passes, wrong)
    assert not agrees(bucket, least(mean, limit))


def test_tokens_a_minute_count_like_their_calls():
    """O37: calls of s tokens each meet a token limit q s as they meet a call limit q, also with a rest below s."""
    for generator in generators()[:5]:
        arrive = minutes_of_calls(8, generator)
        by_calls = asked(arrive, {"requests": 6, "fixed_window": 1})
        by_tokens = asked(arrive, {"tokens": 6 * 35 + 34, "fixed_window": 1}, fresh=35)
        assert admitted(by_calls).tolist() == admitted(by_tokens).tolist()
        assert (set(by_calls.limit_kind.tolist()), set(by_tokens.limit_kind.tolist())) == (
            {Limit.REQUESTS},
            {Limit.TOKENS},
        )


@given(callers, limits, st.integers(0, 1))
@example([(0, 0)] * 3, 1, 0)
def test_refused_calls_that_use_nothing_up_might_not_have_been(rows, limit, fixed):
    """P59: without the refused calls the others pass as they did, and refusals cost no money."""
    quota = {"requests": limit, "tokens": 2 * limit, "fixed_window": fixed, "burst_ms": 20_000}
    arrive, fresh = np.cumsum([gap for gap, _ in rows]), np.array([size for _, size in rows])
    ledger = asked(arrive, quota, fresh=fresh)
    passed = admitted(ledger)
    alone = asked(arrive[passed], quota, fresh=fresh[passed])
    assert alone.sent.tolist() == ledger.sent[passed].tolist()
    assert rate(billed(alone), GOOGLE).total == rate(billed(ledger), GOOGLE).total


def test_refused_calls_that_use_something_up_keep_others_out():
    """P59's control: where refusals consume, a client that never stops keeps its own bucket empty."""
    arrive = np.arange(0, 3 * MINUTE, 500)
    counts = [admitted(asked(arrive, {"requests": 6, "rejected_consume": x})).sum() for x in (0, 1)]
    assert counts == [6 + 3 * 6 - 1, 6]


# ---------------------------------------------------------------- the priority tier


def billed(ledger, model="gemini-3.8-flash"):
    """The ledger as calls of a model on the day that its prices were checked."""
    return ledger._replace(models=(model,), start_ms=GOOGLE.checked_ms)


def test_what_the_priority_tier_has_no_room_for_is_standard():
    """A tier of limit q serves E[min(N, q)] of N Poisson calls a minute, and billing takes the rest for standard.

    40 runs of 60 minutes. All of the tier's, or as many as it serves on average at most, is rejected.
    """
    mean, limit, shares = 8, 5, []
    tier = QuotaRules(requests=limit, fixed_window=1)
    entry = GOOGLE.entry("gemini-3.8-flash", GOOGLE.checked_ms)
    for generator in generators():
        ledger = asked(minutes_of_calls(mean, generator), {}, kind="priority", priority=tier)
        first = ledger.mode == Mode.PRIORITY
        assert set(ledger.mode.tolist()) == {Mode.PRIORITY, Mode.STANDARD}
        assert (ledger.limit_count.sum(), set(ledger.limit_kind.tolist())) == ((~first).sum(), {Limit.PRIORITY})
        assert admitted(ledger).all()
        assert not ledger.throttled.any()
        prices = {mode: entry.price("input", mode) for mode in (Mode.PRIORITY, Mode.STANDARD)}
        assert prices[Mode.PRIORITY] == Fraction("1.8") * prices[Mode.STANDARD]
        usd = sum(5 * int(np.count_nonzero(ledger.mode == mode)) * price for mode, price in prices.items()) / 10**12
        assert rate(billed(ledger), GOOGLE).total == usd
        shares.append(first.sum() / 60)
    assert agrees(shares, least(mean, limit))
    assert not agrees(shares, limit)
    assert not agrees(shares, mean)


def test_overflow_of_the_priority_tier_meets_the_limits_of_the_others():
    """Behind a tier of limit q a general limit q' serves E[min(N, q + q')] in all; only its refusals are 429s."""
    mean, served_calls, first = 8, [], []
    tier, general = QuotaRules(requests=3, fixed_window=1), {"requests": 4, "fixed_window": 1}
    for generator in generators():
        ledger = asked(minutes_of_calls(mean, generator), general, kind="priority", priority=tier)
        refusals = dict.fromkeys(Limit, 0)
        for kind, count in zip(ledger.limit_kind.tolist(), ledger.limit_count.tolist(), strict=True):
            refusals[kind] += count
        assert refusals[Limit.REQUESTS] == ledger.throttled.sum() == (~admitted(ledger)).sum()
        assert refusals[Limit.PRIORITY] == (ledger.mode != Mode.PRIORITY).sum()
        served_calls.append(admitted(ledger).sum() / 60)
        first.append((admitted(ledger) & (ledger.mode == Mode.PRIORITY)).sum() / 60)
    assert agrees(served_calls, least(mean, 3 + 4))
    assert agrees(first, least(mean, 3))
    assert not agrees(served_calls, least(mean, 4))
    assert not agrees(served_calls, least(mean, 3) + least(mean, 4))


# ---------------------------------------------------------------- days and spend


@pytest.mark.parametrize("change", ["2026-11-01", "2027-03-14", "2026-12-24"])
@pytest.mark.parametrize("limit", [1, 20])
def test_a_limit_a_day_lets_the_first_calls_of_each_day_pass(change, limit):
    """The first q calls of each day of the Pacific calendar pass, on days of 23, 24 and 25 hours."""
    start = since_epoch(dt.datetime.fromisoformat(f"{change}T00:00:00+00:00")) - 36 * HOUR
    arrive = np.arange(0, 5 * DAY, HOUR // 2)
    ledger = asked(arrive, {"day": limit}, service={"days": midnights(start, 5 * DAY)})
    seen, expected = {}, []
    for at in arrive.tolist():
        wall = dt.datetime.fromtimestamp((start + at) / 1000, ZoneInfo("America/Los_Angeles")).date()
        seen[wall] = seen.get(wall, 0) + 1
        expected.append(seen[wall] <= limit)
    assert admitted(ledger).tolist() == expected
    assert 0 < sum(expected) < len(expected)
    assert set(ledger.limit_kind.tolist()) == {Limit.DAY}


@pytest.mark.parametrize(("limit", "calls"), [(1, 1), (50, 1), (51, 2), (100, 2), (725, 15)])
def test_a_spend_limit_lets_calls_pass_until_it_is_reached(limit, calls):
    """Calls of weight w a second each: ceil(limit / w) of them pass in any ten minutes, the first ones of each.

    A call counts on [t, t + 10 min): at the very instant that the first one leaves, the next one passes.
    """
    weights = (SpendLaw(input=7, output=3),) * 4  # 5 tokens of 7 and 5 of 3: 50 a call
    trace = world(np.arange(0, 45 * MINUTE, 1_000), output=5)
    quota = {"spend": limit, "weights": weights}
    ledger = simulate(trace, plan("none"), rules(latency=INSTANT, quota=quota))
    seconds = np.arange(45 * 60) % 600
    assert admitted(ledger).tolist() == (seconds < calls).tolist()


MIDNIGHT = 16 * HOUR
WEIGHED = {"spend": 1, "weights": (SpendLaw(input=1),) * 4}  # one call in ten minutes
WAITS = {  # quota, calls at instant 0 that use it up, ms from then on until one more passes, the limit that is named
    "a bucket of calls": ({"requests": 7}, 7, Fraction(MINUTE, 7), Limit.REQUESTS),
    "a bucket of tokens": ({"requests": 60, "tokens": 9}, 1, Fraction(MINUTE, 9), Limit.TOKENS),  # 4 of 9 left for 5
    "a day": ({"day": 2}, 2, Fraction(MIDNIGHT), Limit.DAY),
    "spend": (WEIGHED, 1, Fraction(10 * MINUTE), Limit.SPEND),
    "a minute": ({"requests": 3, "fixed_window": 1}, 3, Fraction(MINUTE), Limit.REQUESTS),
    "the longest, a day": ({"requests": 1, "tokens": 5, "day": 1, **WEIGHED}, 1, Fraction(MIDNIGHT), Limit.DAY),
    "the longest, spend": ({"requests": 1, "tokens": 5, **WEIGHED}, 1, Fraction(10 * MINUTE), Limit.SPEND),
    "the first of two": ({"requests": 1, "tokens": 5}, 1, Fraction(MINUTE), Limit.REQUESTS),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("later", [0, 1, 1_234])
def test_a_refusal_names_the_first_instant_at_which_a_call_passes(name, later):
    """A call at the end of the retry delay passes at once, one a ms before it is refused.

    A client that honours the delay, and waits for no other reason, calls then: its back-off is the delay. Of several
    limits the one with the longest delay is named, of equal ones the first.
    """
    quota, count, until, limit = WAITS[name]
    days = {"days": (-8 * HOUR, MIDNIGHT)}
    first, delay = [0] * count, -(-(until - later).numerator // until.denominator)
    client = {"attempts": 2, "base": 0, "honour": 1}
    ledger = asked([*first, later], quota, client=client, service={**days, "refusal_ms": 30})
    assert ledger.throttled.tolist() == [0] * count + [1]
    assert ledger.limit_kind.tolist() == [limit]
    assert ledger.backoff[-1] == 30 + delay
    assert ledger.sent[-1] == later + 30 + delay
    for at, passes in ((later + delay, True), (later + delay - 1, False)):
        assert admitted(asked([*first, at], quota, service=days))[-1] == passes


@given(callers, limits, st.integers(0, 1), st.integers(1, 3))
def test_calls_that_can_never_pass_wait_a_minute_each(rows, limit, fixed, attempts):
    """A call larger than its limit is told to wait a minute, as often as it is made, and keeps nobody else out."""
    quota = {"tokens": limit, "fixed_window": fixed}
    arrive = np.cumsum([gap for gap, _ in rows])
    fresh = np.array([limit + 1 if size else 1 for _, size in rows])
    client = {"attempts": attempts, "base": 0, "honour": 1}
    ledger = asked(arrive, quota, fresh=fresh, client=client)
    large = fresh > limit
    assert set(ledger.status[large].tolist()) <= {Status.FAILED}
    assert set(ledger.backoff[large].tolist()) <= {(attempts - 1) * (1 + MINUTE) + 1}
    small = asked(arrive[~large], quota, fresh=1, client=client)
    assert small.sent.tolist() == ledger.sent[~large].tolist()
