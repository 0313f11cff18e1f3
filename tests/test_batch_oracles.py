"""Collecting on Poisson arrivals meets its closed forms (O25-O27), and so do the line of jobs and what becomes of them.

Statistical tests are Student's t over 40 runs of the seeds [SEED, number] at level 1e-6, each beside wrong formulas
that the same samples reject.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import kiefer_wolfowitz
from scipy.special import ndtr
from workloads import SEED, agrees
from worlds import batch_rules, collecting, ints, rules, simulate, world

from sim.engines.physics import turnaround_ms
from sim.ledger import Status
from sim.providers.rules import CHANCE_ONE, FACTOR_ONE
from sim.providers.service import Component, Turnaround
from sim.units import MINUTE

REPLICATIONS = 40
MEAN_GAP = 1_000  # ms


def poisson(replication, count):
    """Whole-ms instants of a Poisson process."""
    generator = np.random.default_rng([20261123, replication])
    return np.floor(np.cumsum(generator.exponential(MEAN_GAP, count))).astype(np.int64)


def collected(arrive, horizon=None, **options):
    """Return (wait of each request until its job is created, the jobs' creations)."""
    trace = world(arrive.tolist(), **({} if horizon is None else {"horizon": horizon}))
    ledger = simulate(trace, collecting(**options), turnaround=1)
    return ledger.job_created[ledger.job] - ledger.arrived, ledger.job_created


def test_a_batch_of_size_n_is_waited_for():
    """O25: with size N the mean wait is (N - 1) / (2 lambda), since the k-th of N waits for N - k gaps."""
    size = 8
    means = [collected(poisson(r, size * 60), size=size)[0].mean() for r in range(REPLICATIONS)]
    assert agrees(means, (size - 1) * MEAN_GAP / 2)
    assert not agrees(means, size * MEAN_GAP / 2)
    assert not agrees(means, (size - 1) * MEAN_GAP)


def test_a_grid_is_waited_for_half():
    """O26: on a grid of T the mean wait is T/2 (whole ms: (T-1)/2); a slot is empty with chance exp(-lambda T)."""
    every, slots = 1_500, 400
    horizon = every * slots
    means, jobs = [], []
    for replication in range(REPLICATIONS):
        arrive = poisson(replication, 2 * slots * every // MEAN_GAP)
        assert arrive[-1] > horizon
        waits, created = collected(arrive[arrive < horizon], horizon, every=every)
        means.append(waits.mean())
        jobs.append(len(created))
    assert agrees(means, (every - 1) / 2)
    assert not agrees(means, every / 2 * 1.1)
    assert not agrees(means, every)

    def full(ms):
        return 1 - np.exp(-ms / MEAN_GAP)

    # the instant 0 is a slot of 1 ms, the last slot lacks its last ms, which is beyond the horizon
    expected = full(1) + (slots - 1) * full(every) + full(every - 1)
    assert agrees(jobs, expected)
    assert not agrees(jobs, slots * full(2 * every))
    assert not agrees(jobs, slots)


def test_a_timer_from_the_first_request_is_waited_for():
    """O27: mean wait T (1 + lambda T/2) / (1 + lambda T), and one send every T + 1/lambda.

    A cycle has waits of T + lambda T T/2 in all and 1 + lambda T requests, both in the mean; cycles are independent:
    so over a fixed number of cycles the waits less the formula times the requests have mean 0.
    """
    window, cycles = 2_000, 150
    load = window / MEAN_GAP
    formula = window * (1 + load / 2) / (1 + load)
    rests = {wait: [] for wait in (formula, window / 2, window, window * (1 + load / 2) / (2 + load))}
    ends = []
    for replication in range(REPLICATIONS):
        arrive = poisson(replication, int(cycles * (2 + load) * 1.5))
        waits, created = collected(arrive, window=window)
        assert len(created) > cycles
        mine = arrive <= created[cycles - 1]
        for wait, rest in rests.items():
            rest.append(waits[mine].sum() - wait * np.count_nonzero(mine))
        ends.append(created[cycles - 1] / cycles)
    assert agrees(rests.pop(formula), 0)
    assert not any(agrees(rest, 0) for rest in rests.values())
    assert agrees(ends, window + MEAN_GAP)
    assert not agrees(ends, window)


def test_size_or_age_lies_between_its_two_pure_policies():
    """P49: with size N and window T a request waits at most as long as under either, and jobs are no larger."""
    for replication in range(5):
        arrive = poisson(replication, 600)
        both, jobs = collected(arrive, size=4, window=2_500)
        _, by_window = collected(arrive, window=2_500)
        by_size, _ = collected(arrive, size=4)
        assert both.max() <= 2_500
        assert both.mean() <= by_size.mean()
        assert len(jobs) >= max(len(by_window), 600 // 4)


def test_size_or_age_equals_a_walk_through_the_arrivals():
    """P49: the sends of min(N, T) are those of a loop over the arrivals."""
    for replication in range(5):
        arrive = poisson(replication, 500)
        sends, first, count = [], None, 0
        for time in arrive.tolist():
            if first is not None and time > first + 2_500:
                sends.append(first + 2_500)
                first, count = None, 0
            first, count = (time, 1) if first is None else (first, count + 1)
            if count == 4:
                sends.append(time)
                first, count = None, 0
        if first is not None:
            sends.append(first + 2_500)
        assert collected(arrive, size=4, window=2_500)[1].tolist() == ints(sends).tolist()


# ---------------------------------------------------------------- the line before the Batch API

PROMPT = 5  # tokens of each request


@pytest.mark.parametrize(("size", "enqueued", "jobs"), [(4, 65, -1), (4, 79, 2), (1, 5, -1), (3, 44, 9), (2, -1, 3)])
@pytest.mark.parametrize(("turnaround", "poll"), [(1_000, 1), (1_000, 300), (7, 7)])
def test_so_many_jobs_run_at_once_as_there_is_room_for(size, enqueued, jobs, turnaround, poll):
    """Of jobs of K tokens m = floor(L / K) are enqueued at once, so the k-th is created after floor(k / m) turnarounds.

    A turnaround ends with the look that sees its end; jobs at once are limited alike. Everything is collected at 0.
    """
    count = 11
    room = [limit for limit in (enqueued // (size * PROMPT) if enqueued >= 0 else -1, jobs) if limit >= 0]
    seen = -(-turnaround // poll) * poll
    limited = rules(batch=batch_rules(jobs=jobs), enqueued_tokens=enqueued)
    ledger = simulate(world([0] * (size * count)), collecting(size=size, poll=poll), limited, turnaround=turnaround)
    assert ledger.job_created.tolist() == [k // min(room) * seen for k in range(count)]
    assert ledger.job_collected.tolist() == [0] * count
    assert (ledger.job_done - ledger.job_created).tolist() == [turnaround] * count
    assert ledger.done.tolist() == [k // min(room) * seen + seen for k in range(count) for _ in range(size)]


lines = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 5, 10, 11]), st.sampled_from([1, 9, 10, 35])), min_size=1, max_size=25
)


@given(lines, st.integers(1, 4), st.integers(0, PROMPT - 1), st.sampled_from([1, 7]))
def test_the_line_is_a_queue_of_as_many_servers_as_there_is_room_for(rows, slots, rest, poll):
    """O9: jobs of one request each begin as Kiefer and Wolfowitz say of floor(L / K) servers, whatever they take."""
    gaps, turnarounds = zip(*rows, strict=True)
    arrive = np.cumsum(gaps)
    limited = rules(batch=batch_rules(), enqueued_tokens=slots * PROMPT + rest)
    ledger = simulate(world(arrive), collecting(size=1, poll=poll), limited, turnaround=list(turnarounds))
    until_seen = [-(-ms // poll) * poll for ms in turnarounds]
    assert ledger.job_created.tolist() == kiefer_wolfowitz(arrive.tolist(), until_seen, slots)
    assert (ledger.done - ledger.job_created[ledger.job]).tolist() == until_seen


def test_the_line_has_power():
    """The control: with one token more in the limit there is room for another job, and the queue is another."""
    arrive, turnarounds = [0, 0, 0, 0], [30, 10, 20, 5]
    limited = rules(batch=batch_rules(), enqueued_tokens=3 * PROMPT - 1)
    created = simulate(world(arrive), collecting(size=1), limited, turnaround=turnarounds).job_created.tolist()
    assert created == kiefer_wolfowitz(arrive, turnarounds, 2) == [0, 0, 10, 30]
    assert created != kiefer_wolfowitz(arrive, turnarounds, 3)


# ---------------------------------------------------------------- what becomes of jobs

JOBS = 500  # a run


def columns_of(replication, *names):
    """Draws of a run by column."""
    generator = np.random.default_rng([SEED, replication])
    return {name: generator.integers(0, 1 << 32, JOBS) for name in names}


def threshold(chance):
    return round(chance * CHANCE_ONE)


@pytest.mark.parametrize("deduplicate", [0, 1])
def test_a_lost_reply_makes_a_second_job_and_bill(deduplicate):
    """With lost replies of chance p a request has 1 + p jobs and is billed 1 + p times; it is p x lost_after later.

    Who looks for the job first has one job, one bill, and no delay beyond the look. Rejected is 1 / (1 - p), as if the
    reply to a second creation were lost as well.
    """
    chance, after, turnaround = 0.3, 400, 1_000
    jobs, bills, took = [], [], []
    for replication in range(REPLICATIONS):
        trace = world(np.arange(JOBS) * 5, **columns_of(replication, "reply"))
        lossy = rules(batch=batch_rules(lost_reply=threshold(chance), lost_after=after))
        ledger = simulate(trace, collecting(size=1, deduplicate=deduplicate), lossy, turnaround=turnaround)
        lost = trace.reply < threshold(chance)
        assert sorted(ledger.duplicate_request.tolist()) == (np.flatnonzero(lost).tolist() if not deduplicate else [])
        assert (ledger.done - ledger.arrived).tolist() == (turnaround + after * lost * (1 - deduplicate)).tolist()
        jobs.append(len(ledger.job_created) / JOBS)
        bills.append(1 + len(ledger.duplicate_request) / JOBS)
        took.append(np.mean(ledger.done - ledger.arrived))
    if deduplicate:
        assert set(jobs) == set(bills) == {1.0}
        return
    for numbers in (jobs, bills):
        assert agrees(numbers, 1 + chance)
        assert not agrees(numbers, 1 / (1 - chance))
    assert agrees(took, turnaround + chance * after)
    assert not agrees(took, turnaround + after)


@pytest.mark.parametrize(("alone", "together", "attempts"), [(0.3, 0.0, 3), (0.0, 0.3, 3), (0.2, 0.3, 2)])
def test_failures_in_jobs_are_tried_again(alone, together, attempts):
    """O38: alone with chance f or with its job, g: a request of m jobs is answered with 1 - q^m, q = 1 - (1-f)(1-g).

    It stands in (1 - q^m) / (1 - q) jobs. Rejected are one job less and one more, and chances that are one draw's.
    """
    q = 1 - (1 - alone) * (1 - together)
    shares, stood = [], []
    for replication in range(REPLICATIONS):
        trace = world(np.arange(JOBS) * 10_000, **columns_of(replication, "failure", "turnaround"))
        failing = rules(batch=batch_rules(failure=threshold(alone), job_failure=threshold(together)))
        ledger = simulate(trace, collecting(size=1, attempts=attempts), failing, turnaround=10)
        done = ledger.status == Status.DONE
        assert set(ledger.attempts[~done].tolist()) == {attempts}
        shares.append(done.mean())
        stood.append(ledger.attempts.mean())
    assert agrees(shares, 1 - q**attempts)
    assert agrees(stood, (1 - q**attempts) / (1 - q))
    for wrong in (attempts - 1, attempts + 1):
        assert not agrees(shares, 1 - q**wrong)
    assert min(alone, together) == 0 or not agrees(shares, 1 - max(alone, together) ** attempts)


def test_whether_a_job_fails_says_nothing_of_how_long_it_takes():
    """Of the jobs that take longer than the median as many fail as of all; none or twice as many is rejected."""
    chance, law = 0.4, Turnaround(components=[Component(weight=1.0, median="10m", sigma=0.8)], pending_share=0.0)
    shares = []
    for replication in range(REPLICATIONS):
        trace = world(np.arange(JOBS), **columns_of(replication, "failure", "turnaround"))
        failing = rules(batch=batch_rules(job_failure=threshold(chance)))
        lengths = turnaround_ms(law, trace.turnaround)
        ledger = simulate(trace, collecting(size=1), failing, turnaround=lengths)
        shares.append(np.mean(ledger.status[lengths > 10 * MINUTE] == Status.FAILED))
    assert agrees(shares, chance)
    assert not agrees(shares, 0)
    assert not agrees(shares, 2 * chance)


@pytest.mark.parametrize(("ran", "answered"), [(499, 49), (500, 50), (1, 0), (999, 99), (1_000, 100), (1_001, 100)])
def test_a_job_that_is_stopped_has_answered_its_share(ran, answered):
    """A run of 1 s that is cut after t answers floor(100 t / 1 s) of 100 requests, the first ones, and no others."""
    cut = rules(batch=batch_rules(running_limit=ran))
    ledger = simulate(world([0] * 100), collecting(size=100), cut, turnaround=1_000)
    done = ledger.status == Status.DONE
    assert done.tolist() == [number < answered for number in range(100)]
    assert ledger.job_done.tolist() == [min(ran, 1_000)]


def test_a_running_limit_answers_the_mean_of_what_it_leaves():
    """Of n in a job of lognormal length, cut at R, E[floor(n min(1, R / T))] / n is answered: sum_k Phi(z_k) / n.

    z_k = ln(n R / (k median)) / sigma, since k are answered if T <= n R / k. Rejected are P(T <= R), as if a cut job
    answered nobody, and R / E[T].
    """
    size, median, sigma, limit = 8, 10 * MINUTE, 0.8, 4 * MINUTE
    law = Turnaround(components=[Component(weight=1.0, median="10m", sigma=sigma)], pending_share=0.0)
    shares = []
    for replication in range(REPLICATIONS):
        own = columns_of(replication, "turnaround")["turnaround"][: JOBS // size * size]
        trace = world(np.arange(len(own)) // size, turnaround=own)
        cut = rules(batch=batch_rules(running_limit=limit))
        lengths = turnaround_ms(law, trace.turnaround)
        shares.append(np.mean(simulate(trace, collecting(size=size), cut, turnaround=lengths).status == Status.DONE))
    k = np.arange(1, size + 1)
    assert agrees(shares, ndtr(np.log(size * limit / (k * median)) / sigma).mean())
    assert not agrees(shares, ndtr(np.log(limit / median) / sigma))
    assert not agrees(shares, limit / (median * np.exp(sigma**2 / 2)))


@given(st.lists(st.integers(0, 40), min_size=1, max_size=12), st.sampled_from([FACTOR_ONE // 4, 3 * FACTOR_ONE // 2]))
def test_jobs_are_slower_by_a_factor_if_created_while_batch_is_slow(gaps, factor):
    """A job created in [begin, end) takes its turnaround times the factor, wherever that ends; no other does."""
    arrive, edges = np.cumsum(gaps), [15, 40, 41, 90]
    own = rules(batch=batch_rules(slow_factor=factor))
    ledger = simulate(world(arrive), collecting(size=1), own, turnaround=100, slow=edges)
    slow = np.searchsorted(edges, arrive, "right") % 2 == 1
    assert (ledger.job_done - ledger.job_created).tolist() == np.where(slow, 100 * factor // FACTOR_ONE, 100).tolist()
