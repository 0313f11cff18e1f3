"""Every rule at once: the reference engine equals a naive twin, integer for integer, in every mode."""

from collections import Counter

import numpy as np
from batch_twin import Twin, differences
from examples import times
from hypothesis import Phase, given, settings
from machine_cases import everything

from sim.engines.reference import run
from sim.ledger import JobState, Limit, Mode, Status


def assert_equal(case):
    ledger = run(*case)
    assert differences(ledger, Twin(*case).play()) == []
    return ledger


@given(everything(modes=1))
@settings(max_examples=times(250), deadline=None)
def test_standard_calls_equal_their_twin(case):
    """Slots, quotas, overload, time-outs, back-off, caches that are over: each integer is the twin's."""
    assert_equal(case)


@given(everything(modes=12))
@settings(max_examples=times(250), deadline=None)
def test_flex_and_priority_equal_their_twin(case):
    """Queueing, shedding, guards and fallbacks of flex, overflow of priority, what tiers share: each is the twin's."""
    assert_equal(case)


@given(everything())
@settings(max_examples=times(400), deadline=None)
def test_everything_at_once_equals_its_twin(case):
    """All modes, sessions, caches, jobs and limits in one run: each integer is the twin's."""
    assert_equal(case)


def happened(case, ledger):
    """The names of what happened in a run."""
    _, plan, rules, _ = case
    jobs = ledger.job_state.tolist()
    split = len(set(ledger.job_collected.tolist())) < len(jobs)
    too_large = (
        (ledger.mode == Mode.BATCH) & (ledger.status == Status.FAILED) & (ledger.job < 0) & (ledger.attempts == 0)
    )
    signs = {
        **{f"refused by {limit.name}": np.any(ledger.limit_kind == limit) for limit in Limit},
        **{f"a job {JobState(state).name}": True for state in jobs},
        **{f"a request {Status(state).name}": True for state in ledger.status.tolist()},
        **{f"served by {Mode(mode).name}": True for mode in ledger.mode[ledger.done_mask].tolist()},
        "a duplicate": len(ledger.duplicate_request) > 0,
        "a split collection": split,
        "a request too large for any job": np.any(too_large),
        "a job that waited for room": np.any(ledger.job_created > ledger.job_collected),
        "a wait for a slot": np.any(ledger.queued > 0),
        "time lost to quotas": np.any(ledger.backoff > 0),
        "a cache created twice": len(ledger.cache_born) > 1,
        "a shortened commitment": bool(plan.cache)
        and plan.cache.shorten
        and np.any(ledger.cache_committed == ledger.cache_until),
        "an own clock": bool(plan.cache) and plan.cache.own_clock and np.any(ledger.forbidden > 0),
        "a lost reply": rules.batch.lost_reply > 0 and len(jobs) > 0,
        "another model": np.any(ledger.model[ledger.done_mask] == 1),
    }
    return [name for name, sign in signs.items() if sign]


def test_every_rule_happens_in_the_examples():
    """The comparison is not vacuous: over a fixed sample, whatever can happen does."""
    seen: Counter[str] = Counter()

    @given(everything())
    @settings(max_examples=1_500, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    def look(case):
        seen.update(happened(case, run(*case)))

    look()
    expected = {f"refused by {limit.name}" for limit in Limit}
    expected |= {f"a job {state.name}" for state in JobState if state > JobState.RUNNING}
    expected |= {f"a request {state.name}" for state in Status if state != Status.PENDING}
    expected |= {f"served by {mode.name}" for mode in Mode}
    expected |= {
        "a duplicate",
        "a split collection",
        "a request too large for any job",
        "a job that waited for room",
        "a wait for a slot",
        "time lost to quotas",
        "a cache created twice",
        "a shortened commitment",
        "an own clock",
        "a lost reply",
        "another model",
    }
    assert {name for name in expected if not seen[name]} == set()
