"""Collecting on Poisson arrivals meets its closed forms (O25-O27), each with wrong formulas that the samples reject."""

import numpy as np
from workloads import agrees
from worlds import collecting, ints, simulate, world

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
