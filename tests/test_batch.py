"""The Batch API and its client, rule by rule: collecting, jobs, failures, resubmissions, the guard, caches in jobs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_batch_machine import cases
from worlds import (
    BASE,
    NEVER,
    batch_rules,
    caches,
    calls,
    collecting,
    epoch,
    implicit_rules,
    plan,
    rules,
    simulate,
    world,
)

from sim.billing import price_request, rate
from sim.engines.laws import jobs as law
from sim.engines.reference import run
from sim.ledger import JobState, Mode, Source, Status
from sim.providers import load_book
from sim.strategies.decision import CachePlan, CacheUse, Decision

HALF = 1 << 15  # pending half of the turnaround
FAILS, LASTS = 0, (1 << 32) - 1  # draws below and above every threshold but the extremes


def of_jobs(ledger, *names):
    """The rows of the jobs."""
    return list(zip(*(getattr(ledger, f"job_{name}").tolist() for name in names), strict=True))


# ---------------------------------------------------------------- collecting


def test_a_collection_is_sent_by_size():
    """The request that fills the collection sends it; what is left over goes when nothing else can happen."""
    ledger = simulate(world([1, 4, 6, 9, 11], horizon=40), collecting(size=2), turnaround=5)
    assert ledger.job.tolist() == [0, 0, 1, 1, 2]
    assert ledger.job_created.tolist() == [4, 9, 40]


def test_a_window_runs_from_the_first_request():
    """A collection is sent one window after its first request; the next begins with the next request."""
    ledger = simulate(world([1, 4, 6, 9, 30]), collecting(window=5), turnaround=5)
    assert ledger.job_created.tolist() == [6, 14, 35]
    assert ledger.job.tolist() == [0, 0, 0, 1, 2]


def test_a_grid_is_counted_from_the_start():
    """Jobs go at multiples of the interval since the start, empty ones excepted."""
    ledger = simulate(world([0, 1, 10, 11, 35]), collecting(every=10), turnaround=5)
    assert ledger.job_created.tolist() == [0, 10, 20, 40]
    assert ledger.job.tolist() == [0, 1, 1, 2, 3]


def test_times_of_day_and_what_comes_after_the_last():
    """Jobs go at the instants given; after the last one they go when nothing else can happen."""
    ledger = simulate(world([0, 7, 8], horizon=50), collecting(at=(3, 7)), turnaround=5)
    assert ledger.job_created.tolist() == [3, 7, 50]


@pytest.mark.parametrize(
    ("options", "sends"),
    [({"size": 3, "window": 50}, [9]), ({"size": 4, "window": 5}, [6, 14]), ({"window": 9, "every": 6}, [6, 12])],
)
def test_the_first_rule_that_applies_sends(options, sends):
    """Size, age, grid: whichever comes first."""
    ledger = simulate(world([1, 6, 9]), collecting(**options), turnaround=5)
    assert ledger.job_created.tolist() == sends


@given(cases(caches=False))
@settings(max_examples=150, deadline=None)
def test_size_and_age_are_bounded_at_each_send(case):
    """No job has more members than the size, and no member that was never in a job before waited beyond the window."""
    _, strategy, *_ = case
    ledger, batch = run(*case), strategy.batch
    first = (ledger.job >= 0) & (ledger.attempts == 1) & (ledger.mode == Mode.BATCH)
    if batch.size != NEVER and len(ledger.job_created):
        assert np.bincount(ledger.job[ledger.job >= 0], minlength=1).max() <= batch.size
    if batch.window != NEVER:
        assert np.all(ledger.job_created[ledger.job[first]] - ledger.arrived[first] <= batch.window)


def test_window_zero_makes_every_request_its_own_job():
    """With window 0 or size 1 nothing is waited for, and the price is the batch price: half."""
    book, model = load_book("google"), "gemini-2.5-flash"
    trace = world([0, 5, 9], fresh=1_000, output=200)
    for options in ({"window": 0}, {"size": 1}):
        ledger = simulate(trace, collecting(**options), rules(models=(model,)), turnaround=100)
        assert ledger.job.tolist() == [0, 1, 2]
        assert ledger.job_created.tolist() == ledger.arrived.tolist()
        at = ledger._replace(start_ms=book.checked_ms)
        one = price_request(book, model, Mode.STANDARD, book.checked_ms, prompt=1_000, output=200).total
        assert rate(at, book).total == 3 * one / 2


# ---------------------------------------------------------------- jobs


def test_latency_ends_with_the_look_that_sees_the_result():
    """Looks are every poll from the job's creation on; the answer is there with the first at or after the end."""
    for turnaround, seen in ((59, 60), (60, 60), (61, 120)):
        ledger = simulate(world([7]), collecting(size=1, poll=60), turnaround=turnaround)
        assert ledger.done.tolist() == [7 + seen]
        assert ledger.job_done.tolist() == [7 + turnaround]


def test_a_job_is_priced_when_it_starts_to_run():
    """``sent`` of a batched request, which dates its price, is the start of its job's running."""
    ledger = simulate(world([7]), collecting(size=1), rules(batch=batch_rules(pending_share=HALF)), turnaround=101)
    assert of_jobs(ledger, "created", "started", "done", "state") == [(7, 57, 108, JobState.SUCCEEDED)]
    assert ledger.sent.tolist() == [57]


def test_the_model_of_a_batched_request_is_the_one_that_runs_it():
    """A job that starts after a redirect is served by the successor."""
    after = epoch(50, model=1)
    service = rules(epoch(until=50), after, batch=batch_rules(pending_share=HALF))
    for turnaround, model in ((98, 0), (100, 1)):
        assert simulate(world([0]), collecting(size=1), service, turnaround=turnaround).model.tolist() == [model]


@pytest.mark.parametrize(
    ("turnaround", "row"),
    [
        (100, (0, 50, 100, JobState.SUCCEEDED)),
        (101, (0, 50, 100, JobState.EXPIRED)),
        (199, (0, 99, 100, JobState.EXPIRED)),
        (200, (0, -1, 100, JobState.EXPIRED)),
        (-1, (0, -1, 100, JobState.EXPIRED)),
    ],
)
def test_a_job_expires_half_open(turnaround, row):
    """A job that would end at the instant of its expiry has ended; later it has expired, without results."""
    service = rules(batch=batch_rules(pending_share=HALF, expires_after=100))
    ledger = simulate(world([0]), collecting(size=1, attempts=1), service, turnaround=turnaround)
    assert of_jobs(ledger, "created", "started", "done", "state") == [row]
    expired = row[3] == JobState.EXPIRED
    assert calls(ledger, "status", "done") == [(Status.EXPIRED if expired else Status.DONE, 100)]


@given(st.integers(0, 10**6), st.integers(-1, 10**5), st.integers(0, 1 << 16), st.integers(1, 10**5))
def test_a_job_runs_before_it_ends(created, turnaround, share, expires_after):
    """A job that runs starts at or after its creation and strictly before its end, whatever share of it is pending."""
    if turnaround == 0:
        return
    started, end, how = law.times(created, turnaround, batch_rules(pending_share=share, expires_after=expires_after))
    expired = how == law.EXPIRED
    assert how in (law.ENDED, law.EXPIRED)
    assert end == created + (expires_after if expired else turnaround)
    assert started == NEVER or created <= started < end
    assert expired or started != NEVER


def test_a_turnaround_that_is_all_pending_still_runs():
    """With a pending share of 1 the job runs for its last millisecond."""
    ledger = simulate(world([0]), collecting(size=1), rules(batch=batch_rules(pending_share=1 << 16)), turnaround=9)
    assert of_jobs(ledger, "started", "done", "state") == [(8, 9, JobState.SUCCEEDED)]


# ---------------------------------------------------------------- failures and resubmissions


def test_a_failed_request_stands_in_another_job():
    """A request that failed in a job is collected again, by the same rules; the others are settled."""
    service = rules(batch=batch_rules(failure=1 << 20))
    trace = world([0, 0], failure=[FAILS, LASTS])
    ledger = simulate(trace, collecting(window=3, attempts=5), service, turnaround=10, attempts=5)
    assert of_jobs(ledger, "created", "done", "state")[0] == (3, 13, JobState.PARTIALLY_SUCCEEDED)
    assert ledger.done[1] == 13
    assert ledger.job_created[1] == 13 + 3


def test_attempts_are_exhausted():
    """With failure certain a request fails for good after its last attempt, unbilled, and each job failed."""
    service = rules(batch=batch_rules(failure=1 << 32))
    ledger = simulate(world([0]), collecting(size=1, attempts=3), service, turnaround=10)
    assert of_jobs(ledger, "created", "done", "state") == [(t, t + 10, JobState.FAILED) for t in (0, 10, 20)]
    assert calls(ledger, "status", "attempts", "done", "job") == [(Status.FAILED, 3, 30, 2)]
    assert rate(ledger._replace(models=("gemini-2.5-flash",)), load_book("google")).total == 0


def test_a_job_fails_as_a_whole():
    """A job's own draw fails all of it."""
    service = rules(batch=batch_rules(job_failure=1 << 32))
    ledger = simulate(world([0, 0]), collecting(size=2, attempts=1), service, turnaround=10)
    assert of_jobs(ledger, "state") == [(JobState.FAILED,)]
    assert ledger.status.tolist() == [Status.FAILED] * 2


def test_a_second_job_has_a_turnaround_of_its_own():
    """Job k of a first member takes that member's k-th turnaround."""
    service = rules(batch=batch_rules(expires_after=50))
    ledger = simulate(world([0]), collecting(size=1, attempts=3), service, turnaround=[[-1], [60], [7]], attempts=3)
    assert of_jobs(ledger, "created", "done") == [(0, 50), (50, 100), (100, 107)]
    assert calls(ledger, "status", "attempts", "done") == [(Status.DONE, 3, 107)]


@given(cases())
@settings(max_examples=150, deadline=None)
def test_every_request_ends_in_one_place(case):
    """Each request: one job that answered it, one call in real time, or a failure; the tokens are those submitted."""
    trace = case[0]
    ledger = run(*case)
    done, asked = ledger.done_mask, ledger.arrived >= 0
    batched = ledger.mode == Mode.BATCH
    assert np.all((ledger.job >= 0) == (batched & asked))
    assert np.array_equal(ledger.prompt[asked], trace.prompt[asked])
    assert np.array_equal(ledger.output, trace.output)
    assert np.all(ledger.sent[~done] == NEVER)
    answered = set(ledger.job[done & batched].tolist())
    ended = {JobState.SUCCEEDED, JobState.PARTIALLY_SUCCEEDED}
    assert all(ledger.job_state[job] in ended for job in answered)
    twice = ledger.duplicate_request
    assert len(set(twice.tolist())) == len(twice)
    assert np.all(ledger.mode[twice] == Mode.STANDARD)


@given(cases())
@settings(max_examples=100, deadline=None)
def test_attempts_are_bounded(case):
    """A request stands in at most so many jobs, and then in one call."""
    ledger = run(*case)
    most = case[1].batch.attempts
    assert np.all(ledger.attempts <= most + (ledger.mode == Mode.STANDARD))
    assert np.all(ledger.attempts[ledger.done_mask] >= 1)


# ---------------------------------------------------------------- the guard


def test_the_guard_takes_what_is_still_collected():
    """A request that waits in the collection leaves it, and the collection goes on without it."""
    trace = world([0, 1], patience=[30, 10_000])
    ledger = simulate(trace, collecting(window=40, guard=10), turnaround=5)
    assert calls(ledger, "mode", "sent", "attempts") == [(Mode.STANDARD, 20, 1), (Mode.BATCH, 40, 1)]
    assert of_jobs(ledger, "created") == [(40,)]


def test_a_collection_that_the_guard_empties_is_never_sent():
    """An emptied collection is gone, and the next request begins another with a timer of its own."""
    trace = world([0, 25], patience=[30, 10_000])
    ledger = simulate(trace, collecting(window=40, guard=10), turnaround=5)
    assert of_jobs(ledger, "created") == [(65,)]


def test_a_pending_job_that_nobody_waits_for_is_cancelled():
    """A job whose members all fell back while it was pending never runs and is never billed."""
    service = rules(batch=batch_rules(pending_share=HALF))
    ledger = simulate(world([0], patience=40), collecting(size=1, guard=10), service, turnaround=100)
    assert of_jobs(ledger, "started", "done", "state") == [(-1, 30, JobState.CANCELLED)]
    assert calls(ledger, "mode", "sent", "done", "attempts", "job") == [(Mode.STANDARD, 30, 45, 2, -1)]
    assert len(ledger.duplicate_request) == 0


def test_a_running_job_is_not_cancelled_and_its_answer_is_billed_twice():
    """A call of the guard does not undo a member of a job that runs: both are billed."""
    service = rules(batch=batch_rules(pending_share=HALF))
    ledger = simulate(world([0], patience=70), collecting(size=1, guard=10), service, turnaround=100)
    assert of_jobs(ledger, "started", "done", "state") == [(50, 100, JobState.SUCCEEDED)]
    assert calls(ledger, "mode", "done") == [(Mode.STANDARD, 75)]
    row = (ledger.duplicate_request, ledger.duplicate_mode, ledger.duplicate_prompt, ledger.duplicate_sent)
    assert [column.tolist() for column in row] == [[0], [Mode.BATCH], [5], [50]]


def test_a_job_that_expired_unseen_is_not_cancelled():
    """The guard cannot cancel a job that had expired before; its state and end stay."""
    service = rules(batch=batch_rules(expires_after=10))
    ledger = simulate(world([0], patience=50), collecting(size=1, poll=100, guard=20), service, turnaround=-1)
    assert of_jobs(ledger, "done", "state") == [(10, JobState.EXPIRED)]
    assert calls(ledger, "mode", "sent") == [(Mode.STANDARD, 30)]


def test_the_guard_at_once_where_patience_is_too_short():
    """A guard longer than the patience sends the request at its arrival."""
    ledger = simulate(world([5], patience=10), collecting(window=40, guard=20), turnaround=5)
    assert calls(ledger, "mode", "sent", "done") == [(Mode.STANDARD, 5, 20)]


# ---------------------------------------------------------------- caches in jobs

CREATION = BASE + 20


def hybrid(**fields):
    """Hybrid with one request a job unless said otherwise."""
    cache = {"ttl": 100, **{key: fields.pop(key) for key in CachePlan._fields if key in fields}}
    if "size" in cache:
        raise AssertionError
    return collecting("hybrid", cache=CachePlan(**cache), **{"size": 1, **fields})


def one(n=1, **columns):
    """Requests at instant 0 on one context of 20 tokens."""
    return world([0] * n, 0, depth=(20,), **columns)


def test_a_job_waits_for_the_caches_that_it_names():
    """The cache is created when the collection is sent; the job is created when the cache can be read."""
    ledger = simulate(one(), hybrid(), turnaround=10)
    assert caches(ledger) == [(20, 0, 100, 1)]
    assert of_jobs(ledger, "created", "done") == [(CREATION, CREATION + 10)]
    assert calls(ledger, "cached", "source", "mode") == [(20, Source.EXPLICIT, Mode.BATCH)]


def test_a_cache_that_died_before_the_job_ran_is_forbidden():
    """403 at run time: the request fails, and stands in the next job without the cache."""
    service = rules(batch=batch_rules(pending_share=HALF))
    ledger = simulate(one(), hybrid(ttl=80, attempts=2), service, turnaround=101)
    assert of_jobs(ledger, "created", "started", "state") == [
        (CREATION, CREATION + 50, JobState.FAILED),
        (CREATION + 101, CREATION + 151, JobState.SUCCEEDED),
    ]
    assert calls(ledger, "cached", "attempts") == [(0, 2)]
    assert caches(ledger) == [(20, 0, 80, 0)]
    alive = simulate(one(), hybrid(ttl=81), service, turnaround=101)
    assert calls(alive, "cached", "attempts") == [(20, 1)]


def test_a_cache_is_renewed_while_a_job_that_needs_it_is_pending():
    """A keeper with a margin holds the cache until the job has run, and it is idle from there."""
    service = rules(batch=batch_rules(pending_share=HALF))
    ledger = simulate(one(), hybrid(ttl=40, renew_margin=10, idle=15), service, turnaround=400)
    ran = CREATION + 200
    assert calls(ledger, "cached", "sent") == [(20, ran)]
    assert caches(ledger) == [(20, 0, ran + 15, 1)]


def test_a_job_that_never_ran_lets_its_caches_go_when_that_is_seen():
    """The hold on a cache ends with the look that sees the job expired."""
    service = rules(batch=batch_rules(expires_after=90))
    ledger = simulate(one(), hybrid(ttl=40, renew_margin=10, idle=15, poll=100, attempts=1), service, turnaround=-1)
    assert caches(ledger) == [(20, 0, CREATION + 100 + 15, 0)]


def test_a_cancelled_job_lets_its_caches_go():
    """With the guard's cancellation the hold ends; the call in real time reads the cache."""
    cache = CachePlan(ttl=40, renew_margin=10, idle=15)
    strategy = collecting("hybrid", cache=cache, size=1, guard=10)
    service = rules(batch=batch_rules(pending_share=HALF))
    ledger = simulate(one(patience=70), strategy, service, turnaround=400)
    assert of_jobs(ledger, "done", "state") == [(60, JobState.CANCELLED)]
    assert calls(ledger, "mode", "cached", "sent") == [(Mode.STANDARD, 20, 60)]
    assert caches(ledger) == [(20, 0, 75, 1)]


def test_a_request_may_fall_back_while_its_jobs_cache_is_created():
    """Who leaves between the send and the job's creation is in no job; the others still are."""
    strategy = collecting("hybrid", cache=CachePlan(ttl=500), size=2, guard=10)
    ledger = simulate(one(2, patience=[20, 10_000]), strategy, turnaround=50)
    assert calls(ledger, "mode", "sent", "attempts") == [
        (Mode.STANDARD, CREATION, 1),
        (Mode.BATCH, CREATION, 1),
    ]
    assert of_jobs(ledger, "created") == [(CREATION,)]
    assert len(ledger.duplicate_request) == 0


# ---------------------------------------------------------------- the service's own cache in jobs


def in_job(in_batch, **columns):
    """Two requests of one context in one job under an implicit cache that always hits."""
    service = rules(implicit=implicit_rules(in_batch=in_batch))
    return simulate(one(2, **columns), collecting(size=2), service, turnaround=100)


def test_a_job_in_parallel_meets_no_prefix_of_its_own():
    """``parallel``: the members of a job start together, so a cold prefix misses throughout."""
    assert in_job(1).cached.tolist() == [0, 0]


def test_a_job_in_sequence_hits_from_its_second_member_on():
    """``sequential``: each member finds what those before it left."""
    assert in_job(2).cached.tolist() == [0, 20]


def test_a_job_without_implicit_caching_never_hits():
    """``none``: a job neither reads nor leaves prefixes."""
    assert in_job(0).cached.tolist() == [0, 0]
    service = rules(implicit=implicit_rules(in_batch=0))
    trace = world([0, 500], 0, depth=(20,))
    assert simulate(trace, collecting(size=1), service, turnaround=100).cached.tolist() == [0, 0]


def test_a_job_finds_what_an_earlier_job_left():
    """Prefixes outlive jobs."""
    service = rules(implicit=implicit_rules(in_batch=1))
    trace = world([0, 500], 0, depth=(20,))
    assert simulate(trace, collecting(size=1), service, turnaround=100).cached.tolist() == [0, 20]


def test_a_batched_request_with_a_cache_leaves_no_prefix():
    """A request that names an explicit cache is none of the implicit cache's."""
    service = rules(implicit=implicit_rules(in_batch=1))
    trace = world([0, 500], 0, depth=(20,))
    ledger = simulate(trace, hybrid(), service, turnaround=100)
    assert ledger.source.tolist() == [Source.EXPLICIT, Source.EXPLICIT]


def test_routed_splits_by_patience():
    """Below the threshold a call at once, from it on a job, which may read a cache that lives but creates none."""
    strategy = plan("routed", threshold="1s", window="20ms", ttl="10s", poll="1ms", guard="0s")
    trace = world([0, 0, 100, 100], 0, depth=(20,), patience=[999, 1_000, 10, 5_000])
    ledger = simulate(trace, strategy, turnaround=50)
    assert ledger.mode.tolist() == [Mode.STANDARD, Mode.BATCH, Mode.STANDARD, Mode.BATCH]
    assert ledger.sent.tolist() == [CREATION, CREATION, 100, 120]
    assert caches(ledger, "reads") == [(4,)]


def test_a_strategys_decision_is_two_integers():
    """What a strategy says is whether to batch and what to do with the cache."""
    assert Decision(mode=Mode.BATCH, cache=CacheUse.READ) == (1, 1)
