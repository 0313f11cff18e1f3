"""Retries meet their closed forms (O38): shares, attempts, sleeps; delays are kept; what flex sheds goes elsewhere.

Statistical tests are Student's t over 40 runs of the seeds [SEED, number] at level 1e-6, each beside a formula that
the same samples reject.
"""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import generators
from scipy.special import ndtr
from workloads import agrees
from worlds import BASE, INSTANT, NEXT, plan, rules, simulate, world

from sim.billing import rate
from sim.engines.physics import queueing_ms
from sim.ledger import Limit, Mode, Status
from sim.providers import load_book
from sim.providers.rules import CHANCE_ONE, FACTOR_ONE, FlexRules, OverloadRules
from sim.providers.service import Queueing

CALLS = 500  # a run
REFUSAL = 7  # ms until a caller knows that a call was refused
GOOGLE = load_book("google")
MODEL = "gemini-3.8-flash"
NO_JITTER, FULL, EQUAL = 0, 1, 2


def draws(generator):
    """A column of draws as a trace has them."""
    return generator.integers(0, 1 << 32, CALLS)


def calls(generator, **columns):
    """Calls one after the other, with draws of their own."""
    return world(np.arange(CALLS) * 10, shed=draws(generator), jitter=draws(generator), **columns)


def overloaded(trace, chance, **client):
    """The ledger of calls to a service that is always overloaded, and refuses each call with a chance."""
    refused = OverloadRules(shed=round(chance * CHANCE_ONE))
    service = {"overload": refused, "refusal_ms": REFUSAL}
    return simulate(trace, plan("none"), rules(latency=INSTANT, client=client, service=service), overload=(0, NEXT))


@pytest.mark.parametrize(("chance", "attempts"), [(0.3, 2), (0.5, 4), (0.8, 6)])
def test_shares_and_numbers_of_attempts(chance, attempts):
    """O38: of calls that fail with chance p, tried m times, 1 - p^m succeed after (1 - p^m) / (1 - p) attempts each.

    As many attempts as without a limit, 1 / (1 - p), and an attempt more or less are rejected.
    """
    shares, numbers, first = [], [], []
    for generator in generators():
        ledger = overloaded(calls(generator), chance, attempts=attempts, base=0)
        done = ledger.status == Status.DONE
        assert np.array_equal(ledger.shed, ledger.attempts - done)
        assert set(ledger.attempts[~done].tolist()) == {attempts}
        assert ledger.limit_count.sum() == ledger.shed.sum()
        shares.append(done.mean())
        numbers.append(ledger.attempts.mean())
        first.append(np.mean(ledger.attempts == 2))
    assert agrees(shares, 1 - chance**attempts)
    for wrong in (attempts - 1, attempts + 1):
        assert not agrees(shares, 1 - chance**wrong)
    assert agrees(numbers, (1 - chance**attempts) / (1 - chance))
    assert not agrees(numbers, 1 / (1 - chance))
    assert agrees(first, chance * (1 - chance if attempts > 2 else 1))


def ceilings(base, factor, cap, count):
    """The longest back-offs of the first failures: min(cap, b f^i)."""
    return [min(cap, base * factor**i) for i in range(count)]


MEANS = {NO_JITTER: 1.0, FULL: 0.5, EQUAL: 0.75}
JITTERS = list(MEANS)


@pytest.mark.parametrize("jitter", JITTERS)
@pytest.mark.parametrize("chance", [1.0, 0.6])
def test_sleeps_are_a_share_of_their_ceilings(jitter, chance):
    """O38: a caller that fails with chance p sleeps E = share sum_i p^i min(cap, b f^(i-1)) in all; full jitter halves.

    Shares are 1 without jitter, 1/2 with full and 3/4 with equal jitter (Brooker, AWS 2015). Those of the others are
    rejected, and so is a back-off without a cap.
    """
    attempts, base, factor, cap = 6, 1_000, 3, 20_000
    client = {"base": base, "factor": factor * FACTOR_ONE, "cap": cap, "jitter": jitter}
    slept = []
    for generator in generators():
        ledger = overloaded(calls(generator), chance, attempts=attempts, **client)
        done = ledger.status == Status.DONE
        asked_last = np.where(done, ledger.sent, ledger.done - REFUSAL) - ledger.arrived
        slept.append(np.mean(asked_last - (ledger.attempts - 1) * REFUSAL))

    def expected(share, most):
        return share * sum(chance ** (i + 1) * top for i, top in enumerate(ceilings(base, factor, most, attempts - 1)))

    if chance == 1.0 and jitter == NO_JITTER:
        assert set(slept) == {expected(1, cap)}
    assert agrees(slept, expected(MEANS[jitter], cap))
    for other in set(JITTERS) - {jitter}:
        assert not agrees(slept, expected(MEANS[other], cap))
    assert not agrees(slept, expected(MEANS[jitter], 10**9))


def sleeps(trace, number, **client):
    """The sleep after so many failures: what one attempt more takes longer, the news of its refusal aside."""
    fewer, more = (overloaded(trace, 1.0, attempts=number + k, **client) for k in (0, 1))
    return more.done - fewer.done - REFUSAL


@given(
    base=st.integers(0, 5_000),
    factor=st.sampled_from([1, 2, 3, 100]),
    cap=st.integers(1, 9_000),
    number=st.integers(1, 6),
    jitter=st.sampled_from(JITTERS),
)
def test_every_sleep_lies_in_its_range(base, factor, cap, number, jitter):
    """P55: the k-th sleep is at most min(cap, b f^(k-1)): all of it, any part, or of equal jitter its upper half."""
    trace = world([0] * 8, jitter=[0, 1, 2**31 - 1, 2**31, 2**32 - 1, 5, 7**9, 3**19])
    found = sleeps(trace, number, base=base, factor=factor * FACTOR_ONE, cap=cap, jitter=jitter)
    top = ceilings(base, factor, cap, number)[-1]
    low = {NO_JITTER: top, FULL: 0, EQUAL: top // 2}[jitter]
    assert np.all((low <= found) & (found <= top))


@pytest.mark.parametrize("number", [1, 3])
def test_full_jitter_is_uniform_on_whole_ms(number):
    """The k-th sleep is uniform on {0, ..., top}, of variance top (top + 2) / 12, and says nothing of the next one."""
    top, means, squares, products = 9, [], [], []
    for generator in generators():
        trace = calls(generator)
        found, later = (sleeps(trace, k, base=top, factor=FACTOR_ONE, cap=top) for k in (number, number + 1))
        assert set(found.tolist()) == set(range(top + 1))
        means.append(found.mean())
        squares.append(np.mean((found - top / 2) ** 2))
        products.append(np.mean((found - top / 2) * (later - top / 2)))
    variance = top * (top + 2) / 12
    assert agrees(means, top / 2)
    assert not agrees(means, (top - 1) / 2)
    assert agrees(squares, variance)
    assert not agrees(squares, top**2 / 12)
    assert agrees(products, 0)
    assert not agrees(products, variance)


def test_who_never_fails_tries_once_and_who_always_fails_pays_nothing():
    """P57: chance 0 is one attempt a request; chance 1 is m attempts each, no answer and no bill."""
    (generator, *_) = generators()
    trace = calls(generator)
    never, always = (overloaded(trace, chance, attempts=4) for chance in (0.0, 1.0))
    assert (set(never.attempts.tolist()), set(never.status.tolist())) == ({1}, {Status.DONE})
    assert (set(always.attempts.tolist()), set(always.status.tolist())) == ({4}, {Status.FAILED})
    assert rate(billed(always), GOOGLE).total == 0 < rate(billed(never), GOOGLE).total


# ---------------------------------------------------------------- retry delays


@given(st.integers(1, 59_999), st.integers(0, 3 * 2**30), st.sampled_from(JITTERS), st.sampled_from([0, 1_000, 70_000]))
def test_a_retry_delay_is_never_undercut(at, draw, jitter, base):
    """P55: with one call a minute who calls at t is refused, and calls again after the longer of sleep and delay.

    The delay is what is left of the minute; a client that does not honour it calls after its sleep alone.
    """
    trace = world([0, at], jitter=draw)
    client = {"attempts": 2, "base": base, "cap": base, "jitter": jitter}
    service = {"refusal_ms": REFUSAL}
    limited = {"requests": 1}

    def second(honour):
        asked = rules(latency=INSTANT, quota=limited, client={**client, "honour": honour}, service=service)
        return simulate(trace, plan("none"), asked)

    honoured, hasty = second(1), second(0)
    known, delay, sleep = at + REFUSAL, 60_000 - at, int(sleeps(trace, 1, base=base, cap=base, jitter=jitter)[1])
    assert honoured.sent[1] == known + max(delay, sleep) >= 60_000 + REFUSAL
    assert honoured.backoff[1] == honoured.sent[1] - at
    early = known + sleep < 60_000
    assert hasty.throttled[1] == 1 + early
    assert hasty.done[1] == known + sleep + (REFUSAL if early else 1)
    assert hasty.status[1] == (Status.FAILED if early else Status.DONE)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_time_out_cuts_an_exponential_answer(attempts):
    """Of answers of mean 1 the share e^{-T} takes longer than T: these fail after m calls of T each, and bill nothing.

    The other calls take 1 - T e^{-T} / (1 - e^{-T}) in the mean. All of them done, and one time-out each, is rejected.
    """
    mean, timeout = 10_000, 15_000
    x = timeout / mean
    failed, took, tries = [], [], []
    for generator in generators():
        length = np.ceil(generator.exponential(mean, CALLS)).astype(int)
        trace = world(np.arange(CALLS), fresh=length)
        client = {"attempts": attempts, "base": 0, "timeout": timeout}
        ledger = simulate(trace, plan("none"), rules(latency=INSTANT._replace(uncached_ns=10**6), client=client))
        late = ledger.status == Status.FAILED
        assert late.tolist() == (length > timeout).tolist()
        assert set((ledger.done - ledger.arrived)[late].tolist()) == {attempts * timeout}
        assert ledger.timeouts.sum() == ledger.limit_count.sum() == attempts * late.sum()
        assert (
            rate(billed(ledger), GOOGLE).total == rate(billed(simulate(kept(trace, ~late), plan("none"))), GOOGLE).total
        )
        failed.append(late.mean())
        took.append((ledger.done - ledger.arrived)[~late].mean() / mean)
        tries.append(ledger.attempts.mean())
    assert agrees(failed, np.exp(-x))
    assert not agrees(failed, 0)
    assert agrees(took, 1 - x * np.exp(-x) / (1 - np.exp(-x)))
    assert not agrees(took, 1)
    if attempts > 1:
        assert agrees(tries, 1 + (attempts - 1) * np.exp(-x))
        assert not agrees(tries, 1 / (1 - np.exp(-x)))


@pytest.mark.parametrize("limit", ["timeout", "give_up"])
def test_an_answer_at_the_instant_of_its_limit_has_come(limit):
    """Half-open: an answer that takes as long as the caller waits is there, one that takes a ms longer is not."""
    trace = world([0, 0], fresh=[5, 6])
    ledger = simulate(trace, plan("none"), rules(client={limit: BASE + 5}))
    assert ledger.status.tolist() == [Status.DONE, Status.FAILED]
    assert ledger.done.tolist() == [BASE + 5, BASE + 5]
    assert ledger.timeouts.tolist() == [0, 1]


def kept(trace, mask):
    """The calls of a trace that a mask keeps."""
    return world(trace.arrive[mask], fresh=trace.fresh[mask])


def billed(ledger):
    """The ledger as calls of a model on the day that its prices were checked."""
    return ledger._replace(models=(MODEL,), start_ms=GOOGLE.checked_ms)


# ---------------------------------------------------------------- flex


def flexible(trace, chance, *, queueing=0, options=None, **client):
    """The ledger of calls of the flex tier, which sheds each with a chance."""
    service = {"flex": FlexRules(shed=round(chance * CHANCE_ONE)), "refusal_ms": REFUSAL}
    strategy = plan("flex", **(options or {}))
    return simulate(trace, strategy, rules(latency=INSTANT, client=client, service=service), queueing=queueing)


@pytest.mark.parametrize(("chance", "attempts"), [(0.4, 1), (0.4, 3), (0.8, 4)])
@pytest.mark.parametrize("fallback", ["standard", "fail"])
def test_flex_serves_what_it_does_not_shed(chance, attempts, fallback):
    """Of calls shed with chance p and tried k times 1 - p^k are served in flex, at batch prices; the rest falls back.

    Their calls are (1 - p^k) / (1 - p), and one more of those that fall back. The bill is exact. Rejected are the
    share of an attempt more, and that of a first call that decides for all.
    """
    shares, numbers = [], []
    entry = GOOGLE.entry(MODEL, GOOGLE.checked_ms)
    prices = {mode: (entry.price("input", mode), entry.price("output", mode)) for mode in Mode}
    assert prices[Mode.FLEX] == prices[Mode.BATCH] != prices[Mode.STANDARD]
    for generator in generators():
        trace = calls(generator, output=3)
        ledger = flexible(trace, chance, options={"attempts": attempts, "fallback": fallback}, attempts=1, base=0)
        done, flex = ledger.status == Status.DONE, ledger.mode == Mode.FLEX
        assert done.all() if fallback == "standard" else np.array_equal(done, flex & done)
        usd = 0
        for mode in (Mode.FLEX, Mode.STANDARD):
            count = int(np.count_nonzero(done & (ledger.mode == mode)))
            usd += count * (5 * prices[mode][0] + 3 * prices[mode][1])
        assert rate(billed(ledger), GOOGLE).total == Fraction(usd, 10**12)
        assert set(ledger.limit_kind.tolist()) == {Limit.SHED}
        shares.append(np.mean(done & flex))
        numbers.append(ledger.attempts.mean())
    right = 1 - chance**attempts
    assert agrees(shares, right)
    for wrong in (1 - chance ** (attempts + 1), 1 - chance if attempts > 1 else 1.0):
        assert not agrees(shares, wrong)
    assert agrees(numbers, right / (1 - chance) + (chance**attempts if fallback == "standard" else 0))
    assert not agrees(numbers, 1 / (1 - chance))


def test_an_overload_and_flex_shed_by_chances_of_their_own():
    """In an overload that sheds p a flex call that is shed with q is served with chance (1 - p) (1 - q)."""
    p, q, shares, kinds = 0.3, 0.4, [], []
    service = {"flex": FlexRules(shed=round(q * CHANCE_ONE)), "overload": OverloadRules(shed=round(p * CHANCE_ONE))}
    for generator in generators():
        strategy = plan("flex", attempts=1, fallback="fail")
        ledger = simulate(calls(generator), strategy, rules(service=service), overload=(0, NEXT))
        shares.append(np.mean(ledger.status == Status.DONE))
        kinds.append(ledger.limit_count[ledger.limit_kind == Limit.SHED].sum() / CALLS)
    assert agrees(shares, (1 - p) * (1 - q))
    assert not agrees(shares, 1 - max(p, q))
    assert agrees(kinds, (1 - p) * q)
    assert not agrees(kinds, q)


def test_a_flex_call_queues_before_its_service():
    """A call of flex is served after its queueing, in whole ms; half of the calls wait longer than the median."""
    law = Queueing(median="2m", sigma=0.8, at_most="5m")
    late, waits = [], []
    for generator in generators():
        trace = world(np.arange(CALLS), queueing=draws(generator))
        queueing = queueing_ms(law, trace.queueing)
        ledger = flexible(trace, 0.0, queueing=queueing)
        assert (ledger.sent - ledger.arrived).tolist() == queueing.tolist()
        assert set((ledger.done - ledger.sent).tolist()) == {1}
        late.append(np.mean(ledger.sent - ledger.arrived > law.median))
        waits.append(np.mean(ledger.sent - ledger.arrived))
    ratio, s = np.log(law.at_most / law.median), law.sigma
    uncut = law.median * np.exp(s**2 / 2)
    assert agrees(late, 0.5)
    assert not agrees(late, ndtr(-s / 2))  # a median that is the mean
    assert agrees(waits, uncut * ndtr((ratio - s**2) / s) + law.at_most * ndtr(-ratio / s))
    assert not agrees(waits, law.median)
    assert not agrees(waits, uncut)


def test_a_flex_call_that_queues_too_long_is_served_as_standard():
    """With a time-out T flex serves Phi(ln(T / median) / sigma): a request's k calls queue alike; others wait k T."""
    law, timeout = Queueing(median="2m", sigma=0.8, at_most="1d"), 180_000
    shares = []
    for generator in generators():
        trace = world(np.arange(CALLS), queueing=draws(generator))
        queueing = queueing_ms(law, trace.queueing)
        ledger = flexible(trace, 0.0, queueing=queueing, options={"attempts": 2, "timeout": "3m"}, base=0)
        flex = ledger.mode == Mode.FLEX
        assert flex.tolist() == (queueing + 1 <= timeout).tolist()
        assert set((ledger.sent - ledger.arrived)[~flex].tolist()) == {2 * timeout}
        assert ledger.timeouts.tolist() == (2 * ~flex).tolist()
        shares.append(flex.mean())
    share = ndtr(np.log(timeout / law.median) / law.sigma)
    assert agrees(shares, share)
    assert not agrees(shares, 1 - (1 - share) ** 2)  # as if the second call queued anew


waiting = st.tuples(st.integers(0, 400), st.integers(0, 500), st.integers(0, 2**32 - 1))


@given(st.lists(waiting, min_size=1, max_size=12), st.integers(1, 4), st.sampled_from([15, 60, 300]), st.floats(0, 1))
def test_a_guard_keeps_every_deadline_of_flex(rows, attempts, guard, chance):
    """Who leaves flex a guard before the deadline is answered in time, if no refusal crosses that."""
    patience, queueing, shed = (np.array(column) for column in zip(*rows, strict=True))
    trace = world([0] * len(rows), patience=patience + guard, shed=shed)
    strategy = plan("flex", attempts=attempts, guard=f"{guard}ms")
    service = {"flex": FlexRules(shed=round(chance * CHANCE_ONE)), "refusal_ms": 1}
    ledger = simulate(trace, strategy, rules(client={"base": 0}, service=service), queueing=queueing)
    assert set(ledger.status.tolist()) == {Status.DONE}
    standard = ledger.mode == Mode.STANDARD
    assert np.all(ledger.sent[standard] <= patience[standard])
    assert np.all(ledger.done <= patience + guard)
    flex = np.logical_not(standard)
    assert np.all(ledger.sent[flex] + BASE + 5 == ledger.done[flex])


def test_a_guard_ends_a_back_off_that_crosses_it():
    """A refused flex call sleeps no longer than to its guard, at which the request goes to the standard tier."""
    trace = world([0], patience=100_000, shed=0)
    service = rules(client={"base": 60_000, "jitter": 0, "attempts": 9}, service={"flex": FlexRules(1 << 32)})
    ledger = simulate(trace, plan("flex", guard="15s", attempts=9), service)
    # refused at 0 and, a minute after it is known, again; the next minute would end after the guard
    assert (ledger.sent.tolist(), ledger.mode.tolist(), ledger.shed.tolist()) == ([85_000], [Mode.STANDARD], [2])
