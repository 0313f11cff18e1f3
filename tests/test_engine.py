"""Order of simultaneous events, slots, sessions, the cut at the horizon, and the laws that every ledger keeps."""

import itertools
import random

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import cases, everything
from worlds import (
    BASE,
    NEVER,
    batch_rules,
    calls,
    collecting,
    ints,
    keeping,
    physics,
    plan,
    rules,
    simulate,
    world,
)

from sim.engines.conservation import assert_conserved
from sim.engines.cut import cut
from sim.engines.reference import clock, run
from sim.errors import EngineError
from sim.ledger import JobState, Ledger, Mode, Source, Status

COLUMNS = [name for name in Ledger._fields if name not in ("models", "start_ms")]


def the_bytes(ledger):
    """Everything that a ledger says, as bytes."""
    return b"".join(name.encode() + getattr(ledger, name).tobytes() for name in COLUMNS)


# ---------------------------------------------------------------- the order of simultaneous events


class Shuffled:
    """SimPy's event numbers, which break its ties, in another order: each ``next`` is a number not given before."""

    def __init__(self, seed):
        self.given, self.random = set(), random.Random(seed)  # noqa: S311 - a permutation, no secret

    def __next__(self):
        while (number := self.random.randrange(1 << 60)) in self.given:
            pass
        self.given.add(number)
        return number


def numbered_by(monkeypatch, counter):
    """Let every SimPy environment number its events by a counter of ours."""
    plain = simpy.Environment

    def environment():
        made = plain()
        assert hasattr(made, "_eid")
        made._eid = counter()
        return made

    monkeypatch.setattr(clock.simpy, "Environment", environment)


@given(cases() | everything())
@settings(max_examples=100, deadline=None)
def test_simpys_own_order_moves_nothing(case):
    """Permuting the numbers by which SimPy breaks ties leaves every byte of the ledger as it was."""
    usual = the_bytes(run(*case))
    for counter in (lambda: itertools.count(0, -1), lambda: Shuffled(1), lambda: Shuffled(2)):
        with pytest.MonkeyPatch.context() as patch:
            numbered_by(patch, counter)
            assert the_bytes(run(*case)) == usual


def test_simpys_order_is_really_permuted():
    """The permutation test has power: events of one priority do come in the other order."""
    seen = []
    with pytest.MonkeyPatch.context() as patch:
        numbered_by(patch, lambda: itertools.count(0, -1))
        env = clock.simpy.Environment()
    for name in "ab":
        env.timeout(1).callbacks.append(lambda _event, name=name: seen.append(name))
    env.run()
    assert seen == ["b", "a"]


def test_what_ends_comes_before_what_begins():
    """A slot that frees at an instant serves the request that arrives at it."""
    trace = world([0, BASE + 5], fresh=5)
    ledger = simulate(trace, plan("none"), rules(concurrency=1))
    assert calls(ledger, "sent", "done") == [(0, 15), (15, 30)]


def test_the_request_index_decides_among_arrivals():
    """Of requests that arrive at one instant the lower index has the slot first."""
    trace = world([0, 0, 0], fresh=[9, 1, 1])
    ledger = simulate(trace, plan("none"), rules(concurrency=1))
    assert ledger.sent.tolist() == [0, 19, 30]


def test_a_look_comes_before_the_guard():
    """A job that is seen done at the guard's very instant needs no guard."""
    trace = world([0], patience=150)
    in_time = simulate(trace, collecting(size=1, poll=100, guard=50), turnaround=100)
    assert calls(in_time, "mode", "done", "attempts") == [(Mode.BATCH, 100, 1)]
    late = simulate(trace, collecting(size=1, poll=100, guard=51), turnaround=100)
    assert calls(late, "mode", "sent", "attempts") == [(Mode.STANDARD, 99, 2)]


def test_the_timer_of_a_collection_is_last_of_its_instant():
    """Who arrives at the instant at which a collection is sent still comes along."""
    trace = world([0, 10, 11])
    ledger = simulate(trace, collecting(window=10), turnaround=7)
    assert ledger.job.tolist() == [0, 0, 1]
    assert ledger.job_created.tolist() == [10, 21]


# ---------------------------------------------------------------- slots of the client


def test_a_slot_is_held_while_a_cache_is_created():
    """A call that waits for the cache that it wants holds its slot to its end."""
    trace = world([0, 1], [0, -1], depth=(20,), fresh=5)
    ledger = simulate(trace, keeping(ttl=1_000), rules(concurrency=1))
    created = BASE + 20
    assert calls(ledger, "sent", "done") == [(created, created + 15), (created + 15, created + 30)]


def test_a_queue_is_first_come_first_served_whatever_the_size():
    """The order of service is the order of arrival."""
    trace = world([0, 1, 2, 3], fresh=[90, 70, 5, 1])
    ledger = simulate(trace, plan("none"), rules(concurrency=1))
    assert ledger.sent.tolist() == [0, 100, 180, 195]


def test_batch_jobs_take_no_slots():
    """Calls in flight are limited; members of jobs are not calls."""
    trace = world([0, 0, 0])
    ledger = simulate(trace, collecting(size=3), rules(concurrency=1), turnaround=9)
    assert calls(ledger, "sent", "done") == [(0, 9)] * 3


# ---------------------------------------------------------------- sessions


def test_a_turn_follows_the_answer_and_the_think_time():
    """In a closed loop a turn asks once the answer before it is there and the think time is over."""
    trace = world([0, 0, 0], fresh=5, follows=[-1, 0, 1], think=[0, 7, 0])
    ledger = simulate(trace, plan("none"))
    assert calls(ledger, "arrived", "done") == [(0, 15), (22, 37), (37, 52)]


def test_a_turn_follows_the_poll_that_sees_the_answer():
    """Under batch the think time runs from the look that saw the answer."""
    trace = world([0, 0], follows=[-1, 0], think=[0, 7])
    ledger = simulate(trace, collecting(size=1, poll=60), turnaround=50)
    assert calls(ledger, "arrived", "done") == [(0, 60), (67, 127)]


def test_a_session_ends_with_a_failure_for_good():
    """After a terminal failure the rest of the session failed, never asked, at the instant of the failure."""
    trace = world([0, 0, 0], follows=[-1, 0, 1], think=[0, 7, 7], horizon=10)
    ledger = simulate(trace, collecting(size=1), rules(batch=batch_rules(failure=1)), turnaround=50, attempts=1)
    assert calls(ledger, "status", "arrived", "sent", "done") == [
        (Status.FAILED, 0, -1, 50),
        (Status.FAILED, -1, -1, 50),
        (Status.FAILED, -1, -1, 50),
    ]


def test_a_failed_try_is_not_the_end_of_a_session():
    """A resubmission that succeeds lets the session go on from the look that saw it."""
    trace = world([0, 0], follows=[-1, 0], think=[0, 1], failure=[0, 1 << 31])
    ledger = simulate(trace, collecting(size=1, attempts=2), rules(batch=batch_rules(failure=1)), turnaround=50)
    assert calls(ledger, "status", "attempts", "done") == [(Status.DONE, 2, 100), (Status.DONE, 1, 151)]


# ---------------------------------------------------------------- nothing and next to nothing


@pytest.mark.parametrize("strategy", ["none", "implicit", "explicit", "batch", "hybrid", "routed"])
def test_an_empty_workload_costs_nothing(strategy):
    """No request, no row."""
    ledger = simulate(world([], horizon=100), plan(strategy))
    assert all(len(getattr(ledger, name)) == 0 for name in COLUMNS)
    assert ledger.storage_token_ms == 0


def test_one_request_by_hand():
    """One request: 10 ms, and 1 ms a token."""
    ledger = simulate(world([3], fresh=40, output=9), plan("none"))
    row = calls(ledger, "arrived", "sent", "done", "prompt", "cached", "output", "attempts", "status")
    assert row == [(3, 3, 53, 40, 0, 9, 1, Status.DONE)]


@given(cases())
@settings(max_examples=100, deadline=None)
def test_causes_come_before_effects(case):
    """No service before the arrival, no answer before the service, no job before its members' arrivals."""
    ledger = run(*case)
    done = ledger.done_mask
    assert np.all(ledger.sent[done] >= ledger.arrived[done])
    assert np.all(ledger.done[done] > ledger.sent[done])
    first = case[0].follows < 0
    assert np.array_equal(ledger.arrived[first], case[0].arrive[first])
    settled = done & (ledger.job >= 0)
    assert np.all(ledger.job_created[ledger.job[settled]] >= ledger.arrived[settled])
    assert np.all(ledger.job_done[ledger.job[settled]] <= ledger.done[settled])
    assert np.array_equal(ledger.job_started[ledger.job[settled]], ledger.sent[settled])
    ran = ledger.job_started >= 0
    assert np.all(ledger.job_started[ran] >= ledger.job_created[ran])
    assert np.all(ledger.job_done[ran] > ledger.job_started[ran])


@given(cases())
@settings(max_examples=50, deadline=None)
def test_a_run_is_the_same_on_repeat(case):
    """The same trace, plan, rules and physics give the same bytes."""
    assert the_bytes(run(*case)) == the_bytes(run(*case))


# ---------------------------------------------------------------- the cut at the horizon


@given(cases(), st.sampled_from([1, 5, 13, 20, 45]))
@settings(max_examples=150, deadline=None)
def test_the_cut_keeps_the_past_and_nothing_else(case, horizon):
    """At the horizon: answers before it stay, the rest is pending and unbilled, lives and jobs are clipped to it."""
    whole = run(*case)
    ledger = cut(whole, horizon, run(*case, stop=horizon))
    past = (whole.done >= 0) & (whole.done < horizon)
    for name in ("status", "done", "cached", "source", "sent"):
        assert np.array_equal(getattr(ledger, name)[past], getattr(whole, name)[past]), name
    rest = ~past
    assert np.all(ledger.status[rest] == Status.PENDING)
    assert np.all(ledger.done[rest] == NEVER)
    assert np.all(ledger.sent < horizon)
    assert np.all(ledger.arrived < horizon)
    assert np.all(ledger.cache_until <= horizon)
    assert np.all(ledger.cache_born < horizon)
    assert np.all(ledger.job_created < horizon)
    assert np.all(ledger.job < len(ledger.job_created))
    ended = ledger.job_done >= 0
    assert np.all(ledger.job_state[~ended] <= JobState.RUNNING)
    assert np.all(ledger.job_state[ended] >= JobState.SUCCEEDED)
    clipped = np.clip(whole.cache_until, None, horizon) - np.clip(whole.cache_born, None, horizon)
    assert ledger.storage_token_ms == int((clipped * whole.cache_tokens).sum())


@given(cases())
@settings(max_examples=50, deadline=None)
def test_a_cut_after_everything_changes_nothing(case):
    """A horizon beyond the last event cuts nothing off."""
    ledger = run(*case)
    assert the_bytes(cut(ledger, 10**9, run(*case, stop=10**9))) == the_bytes(ledger)


@given(cases(), st.sampled_from([5, 13, 45]))
@settings(max_examples=50, deadline=None)
def test_cutting_twice_is_cutting_once(case, horizon):
    """What was cut at a horizon is as it is when it is cut there again."""
    once = cut(run(*case), horizon, run(*case, stop=horizon))
    assert the_bytes(cut(once, horizon, once)) == the_bytes(once)


@given(everything(), st.sampled_from([1, 5, 11, 20, 45]))
@settings(max_examples=150, deadline=None)
def test_the_cut_counts_no_call_of_the_future(case, after):
    """Who had not asked by the horizon has called nobody; nobody called more often than in the whole run."""
    horizon = int(case[0].arrive[0]) + after
    whole = run(*case)
    ledger = cut(whole, horizon, run(*case, stop=horizon))
    asked = (whole.arrived >= 0) & (whole.arrived < horizon)
    for name in ("attempts", "throttled", "shed", "timeouts", "forbidden", "backoff", "queued"):
        assert np.all(getattr(ledger, name)[~asked] == 0), name
        assert np.all(getattr(ledger, name) <= getattr(whole, name)), name
    ended = (whole.done >= 0) & (whole.done < horizon)
    assert np.array_equal(
        ledger.attempts[ended & (whole.mode != Mode.BATCH)], whole.attempts[ended & (whole.mode != Mode.BATCH)]
    )
    assert ledger.limit_count.sum() <= whole.limit_count.sum()


def test_the_cut_counts_calls_one_by_one():
    """A conversation that has two of its three answers by the horizon has called twice."""
    trace = world([0, 0, 0], fresh=5, follows=[-1, 0, 1])
    ledgers = [run(trace, plan("none"), rules(), physics(trace), stop=stop) for stop in (NEVER, 20)]
    assert cut(ledgers[0], 20, ledgers[1]).attempts.tolist() == [1, 1, 0]


def test_an_answer_at_the_horizon_is_pending():
    """The run is [0, horizon): what happens at the horizon has not happened."""
    trace = world([0, 1], fresh=[5, 5])
    whole = simulate(trace, plan("none"))
    ledger = cut(whole, 15 + 1, whole)
    assert ledger.status.tolist() == [Status.DONE, Status.PENDING]
    assert ledger.done.tolist() == [15, NEVER]


def test_a_duplicate_that_had_not_ended_is_cut_off():
    """A duplicate call is unbilled, as the other answers of its job, if the job had not been seen to end by then."""
    trace = world([0, 0], patience=[20, 10_000])
    half = rules(batch=batch_rules(pending_share=1 << 15))
    ledger = simulate(trace, collecting(size=2, guard=10), half, turnaround=100)
    assert calls(ledger, "mode", "done") == [(Mode.STANDARD, 25), (Mode.BATCH, 100)]
    assert (ledger.duplicate_request.tolist(), ledger.duplicate_sent.tolist()) == ([0], [50])
    assert ledger.duplicate_done.tolist() == [100]
    assert cut(ledger, 100, ledger).duplicate_request.tolist() == []
    assert cut(ledger, 101, ledger).duplicate_request.tolist() == [0]


# ---------------------------------------------------------------- the laws of every ledger

ONE = world([0], 0, depth=(20,), fresh=5)


def sound():
    """A sound ledger of one request that read a cache, and one job."""
    return simulate(ONE, plan("hybrid", size=1, poll="100ms"), turnaround=100)


BREAKS = {
    "one row a request": {"sent": ints([])},
    "every request ends in one state": {"status": ints([Status.PENDING])},
    "cached + fresh = prompt": {"cached": ints([26])},
    "a prompt is at least what was asked": {"prompt": ints([24])},
    "cached audio is cached": {"cached_audio": ints([21])},
    "audio is a part of the prompt": {"audio": ints([6])},
    "only a call can be refused": {
        "throttled": ints([9]),
        "limit_kind": ints([0]),
        "limit_hour": ints([0]),
        "limit_count": ints([9]),
    },
    "every refusal has its hour": {"shed": ints([1])},
    "cached tokens have a source": {"source": ints([Source.NONE])},
    "an answered request was asked": {"arrived": ints([-1])},
    "service starts at or after the arrival": {"sent": ints([-1])},
    "an answer takes time": {"done": ints([0]), "sent": ints([0])},
    "an answer comes after its call": {"done": ints([29])},
    "a cache ends after its birth": {"cache_born": ints([10**8])},
    "a cache never outlives its committed TTL": {"cache_committed": ints([5])},
    "a job ends after its creation": {"job_done": ints([29])},
    "every job ends": {"job_state": ints([JobState.RUNNING])},
    "an explicit read has a cache": {"cache_reads": ints([0])},
}


def test_a_sound_ledger_is_conserved():
    """The ledger that the next test breaks keeps every law."""
    ledger = sound()
    assert assert_conserved(ONE, ledger) is ledger
    assert calls(ledger, "cached", "sent", "done") == [(20, 30, 130)]


@pytest.mark.parametrize("law", BREAKS)
def test_a_broken_law_is_named(law):
    """Each law, broken in a sound ledger, raises an error that names it."""
    with pytest.raises(EngineError, match=law.replace("+", r"\+")):
        assert_conserved(ONE, sound()._replace(**BREAKS[law]))


def test_broken_storage_is_named(monkeypatch):
    """Storage that is not the integral of the live tokens raises an error."""
    monkeypatch.setattr(Ledger, "storage_token_ms", property(lambda _: 1))
    with pytest.raises(EngineError, match="integral of the live tokens"):
        assert_conserved(ONE, sound())


def test_every_law_has_a_test():
    """The laws above are all laws that there are."""
    import inspect
    import re

    from sim.engines import conservation

    laws = set(re.findall(r'_need\(.*"([^"]+)"\)', inspect.getsource(conservation)))
    assert laws == {*BREAKS, "storage is the integral of the live tokens"}
