"""The client's queue equals Kiefer and Wolfowitz on any trace with c slots at any load; Little's law on any path."""

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import BASE, SLOWNESS_ONE, plan, rules, simulate, world

from sim.engines.laws.latency import answer_ms
from sim.providers.rules import LatencyLaw


def kiefer_wolfowitz(arrive, service, slots):
    """Return the starts of c FIFO servers (Kiefer and Wolfowitz 1955): each takes the server that is free first."""
    free = [0] * slots
    starts = []
    for time, length in zip(arrive, service, strict=True):
        start = max(time, heapq.heappop(free))
        heapq.heappush(free, start + length)
        starts.append(start)
    return starts


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


def integral(begins, ends):
    """The integral of the number inside over time, by stepping through the events, and the highest number."""
    events = sorted([(time, 1) for time in begins] + [(time, -1) for time in ends])
    total = inside = most = last = 0
    for time, step in events:
        total += inside * (time - last)
        inside, last, most = inside + step, time, max(most, inside + step)
    assert inside == 0
    return total, most


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
