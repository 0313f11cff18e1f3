"""Every rule at once: the reference engine equals a naive twin, integer for integer, in every mode."""

import ast
import inspect

import batch_twin
import calls_twin
import numpy as np
import pytest
from batch_twin import Twin, differences
from examples import times
from hypothesis import Phase, given, settings
from machine_cases import Probe, everything, guarded_flex, late_comer
from worlds import batch_rules, epoch, physics, rules, world

from sim.engines.reference import run
from sim.ledger import JobState, Limit, Mode, Status
from sim.strategies.decision import NEVER, BatchPlan, CachePlan, CacheUse, Decision, Implicit, Plan

QUOTAS = (Limit.REQUESTS, Limit.TOKENS, Limit.DAY, Limit.SPEND, Limit.CONCURRENCY)


def assert_equal(case):
    twin, ledger = Twin(*case), run(*case)
    assert differences(ledger, twin.play()) == []
    return twin, ledger


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


# ---------------------------------------------------------------- nothing is compared in vain


def endings(ledger):
    """In words, what a ledger says of the ends of its rows."""
    words = {f"a job is {JobState(state).name}" for state in ledger.job_state.tolist()}
    words |= {f"a request is {Status(status).name}" for status in ledger.status.tolist()}
    words |= {f"served by {Mode(mode).name}" for mode in ledger.mode[ledger.done_mask].tolist()}
    words |= {"another model serves"} if np.any(ledger.model[ledger.done_mask] == 1) else set()
    unlike = ledger.cache_committed > ledger.cache_until
    return words | {"a commitment outlives its cache" if apart else "a cache ends as committed" for apart in unlike}


def everything_that_can_happen():
    """The words of every mark in the sources of the twin, and of every ending."""
    words = set()
    for module in (calls_twin, batch_twin):
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "mark":
                words |= literals(node.args[0])
    words |= {f"refused by {limit.name}" for limit in Limit}
    words |= {f"priority has no room by {limit.name}" for limit in QUOTAS}
    words |= {f"a call is forbidden because {why}" for why in ("its model is gone", "the client's own clock is late")}
    words |= {f"a job is forbidden because {why}" for why in ("it has expired", *OVER_BEFORE_ITS_JOB)}
    words |= {"a job ends", "a job is stopped", "a job expires", "a job expires unstarted"}
    words |= {f"a job is {state.name}" for state in JobState if state > JobState.RUNNING}
    words |= {f"a request is {status.name}" for status in Status if status != Status.PENDING}
    words |= {f"served by {mode.name}" for mode in Mode}
    return words | {"another model serves", "a commitment outlives its cache", "a cache ends as committed"}


def literals(node):
    """The strings that an expression may be; those put together of parts are listed by hand."""
    if isinstance(node, ast.IfExp):
        return literals(node.body) | literals(node.orelse)
    return {node.value} if isinstance(node, ast.Constant) else set()


def cached_batch(params, view):
    """Everything goes into a job, with a cache where there is a context."""
    return Decision(Mode.BATCH, CacheUse.CREATE if view.context else CacheUse.NONE)


def over_before_its_job(why):
    """A case in which a cache is over before the job that names it runs, for one reason alone.

    The job is collected at 0 and created at 12, when its cache of 2 tokens is there; it runs from 111 to 112.
    """
    trace = world([0, 0], [0, -1], patience=[40, 200], depth=(2,), replaced=[30 if "replaced" in why else -1])
    cache = CachePlan(ttl=1_000, last_use=int("last use" in why), delete_replaced=1)
    batch = BatchPlan(size=2, guard=0 if "last use" in why else NEVER)
    plan = Plan("cached", "cached", cached_batch, Probe(0, 0, 0, 0, 0, 0), Implicit.OFF, cache=cache, batch=batch)
    turn = 50 if "model" in why else 200
    service = rules(epoch(until=turn), epoch(turn, model=1), batch=batch_rules(pending_share=1 << 16))
    return trace, plan, service, physics(trace, turnaround=100)


OVER_BEFORE_ITS_JOB = {
    "its model is gone": (50, [Status.FAILED, Status.DONE], [112, 112]),
    "its contents were replaced": (30, [Status.FAILED, Status.DONE], [112, 112]),
    # its guard sends the first request at 40; it reads the cache for 10 + 5 ms, and nobody else has the context
    "its context's last use is over": (55, [Status.DONE, Status.DONE], [55, 112]),
}


@pytest.mark.parametrize("why", OVER_BEFORE_ITS_JOB)
def test_a_cache_that_is_over_before_its_job_runs_is_refused(why):
    """Counted by hand: the job's first request meets a 403 at 111, its second one is answered."""
    until, status, done = OVER_BEFORE_ITS_JOB[why]
    twin, ledger = assert_equal(over_before_its_job(why))
    assert f"a job is forbidden because {why}" in twin.marks
    assert (ledger.forbidden.tolist(), ledger.cache_until.tolist()) == ([1, 0], [until])
    assert (ledger.status.tolist(), ledger.done.tolist()) == (status, done)
    assert ledger.job_state.tolist() == [JobState.PARTIALLY_SUCCEEDED]


def test_every_rule_happens_in_the_examples():
    """Over a fixed sample and the cases by hand, whatever can happen in the twin does; there too the two are equal."""
    seen = set()

    def look(case):
        twin, ledger = assert_equal(case)
        seen.update(twin.marks, endings(ledger))

    sample = settings(max_examples=1_500, deadline=None, derandomize=True, database=None, phases=[Phase.generate])
    sample(given(everything())(look))()
    for case in (late_comer(), guarded_flex(), *map(over_before_its_job, OVER_BEFORE_ITS_JOB)):
        look(case)
    assert everything_that_can_happen() - seen == set()


def test_the_late_comer_is_given_up_in_the_queue():
    """Counted by hand: claimed at 10, its deadline at 20, the slot free at 25 only; the other fails at 25."""
    ledger = run(*late_comer())
    assert ledger.status.tolist() == [Status.FAILED, Status.FAILED]
    assert (ledger.done.tolist(), ledger.queued.tolist(), ledger.attempts.tolist()) == ([20, 25], [10, 0], [0, 1])


def test_the_guard_ends_a_back_off_of_flex():
    """Counted by hand: shed at 0 and known at 1, not made again at 1,001 but by the guard at 30, for 10 + 5 ms."""
    ledger = run(*guarded_flex())
    assert (ledger.mode.tolist(), ledger.done.tolist(), ledger.attempts.tolist()) == ([Mode.STANDARD], [45], [2])
