"""The fast engine equals the reference in every integer of every column."""

import numpy as np
import pytest
from examples import times
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import (
    STARTS,
    Probe,
    cases,
    everything,
    everything_and_implicit,
    guarded_flex,
    late_clock,
    late_comer,
    late_keeper,
    nothing_refused,
    replaced_at_once,
    stale_timer,
)
from shipped import FLASH
from worlds import implicit_rules, physics, plan, rules, world

import sim
from sim.engines.choice import chosen, engine_of, uncovered
from sim.engines.fast import engine
from sim.engines.fast.engine import run as fast
from sim.engines.fast.world import build
from sim.engines.physics import prepare
from sim.engines.reference import run as reference
from sim.engines.shrink import some_requests, the_fewest
from sim.engines.witness import assert_equal, first_requests
from sim.errors import EngineError, InputError
from sim.experiments import simulate
from sim.experiments.pairs import pairs_of, realised
from sim.ledger import Ledger, Status
from sim.scenario import shipped
from sim.strategies.decision import Decision, View
from sim.trace import check

COLUMNS = [name for name in Ledger._fields if name not in ("models", "start_ms")]


def probe(params: Probe, view: View) -> Decision:
    """The probe of the machine cases in words that compile: it reads every field of the view."""
    mixed = params.patience * view.patience + params.prompt * view.prompt
    mixed += params.context * view.context + params.seen * view.seen
    count = 0
    for mode in range(4):
        count += params.modes >> mode & 1
    wanted, chosen = mixed % count, 0
    for mode in range(4):
        if params.modes >> mode & 1:
            if wanted == 0:
                chosen = mode
            wanted -= 1
    use = 0
    if view.context:
        use = min(2, mixed // 3 % 4 * params.caching // 3)
    return Decision(chosen, use)


def differences(one, other):
    """The columns in which two ledgers differ, with both."""
    pairs = [(name, getattr(one, name), getattr(other, name)) for name in COLUMNS]
    return [(name, a.tolist(), b.tolist()) for name, a, b in pairs if a.dtype != b.dtype or not np.array_equal(a, b)]


def compiled(case):
    """The case under the probe that compiles."""
    trace, plan, rules, physics = case
    return trace, plan._replace(decide=probe), rules, physics


def assert_same(case, **more):
    """Both engines write the same ledger, but for the case's probe."""
    case = compiled(case)
    assert differences(fast(*case, **more), reference(*case, **more)) == []


@given(cases())
@settings(max_examples=times(300), deadline=None)
def test_jobs_and_caches_are_equal(case):
    """Where nothing is refused, both engines write the same ledger."""
    assert_same(case)


@given(everything())
@settings(max_examples=times(1_000), deadline=None)
def test_everything_at_once_is_equal(case):
    """With every rule there is and few clashing instants, both engines write the same ledger."""
    assert_same(case)


@given(everything_and_implicit())
@settings(max_examples=times(300), deadline=None)
def test_the_services_own_cache_is_equal_too(case):
    """With a cache of the service's own beside every other rule, both engines write the same ledger."""
    assert_same(case)


@given(nothing_refused())
@settings(max_examples=times(300), deadline=None)
def test_the_short_way_of_standard_calls_is_equal(case):
    """Where no standard call can be refused or held up, both engines write the same ledger."""
    assert_same(case)


@pytest.mark.parametrize("case", [late_comer, late_clock, late_keeper, guarded_flex, replaced_at_once, stale_timer])
def test_what_examples_seldom_meet_is_equal(case):
    """Given up in the queue; a cache that is not waited for, or over by a late clock; a back-off that a guard ends."""
    assert_same(case())


def test_a_prefix_is_over_at_the_instant_of_its_end():
    """A prefix of the service's own cache is hit up to the last ms of its life, and no longer, by either engine."""
    for second, cached in ((39, 30), (40, 0)):
        trace = world([0, second], depth=[30])
        case = trace, plan("implicit"), rules(implicit=implicit_rules()), physics(trace, retention=40)
        assert [run(*case).cached.tolist() for run in (fast, reference)] == [[0, cached]] * 2


def instants_of(ledger):
    """Every instant that a ledger names, and the ms after it."""
    columns = ("arrived", "sent", "done", "duplicate_done", "cache_born", "job_created", "job_started", "job_done")
    named = {at for name in columns for at in getattr(ledger, name).tolist() if at >= 0}
    return sorted({0} | named | {at + 1 for at in named})


@given(everything_and_implicit(), st.data())
@settings(max_examples=times(300), deadline=None)
def test_a_run_that_is_stopped_is_equal(case, data):
    """Stopped at an instant at which something happens, or just after it, both engines have counted the same."""
    ends = instants_of(reference(*compiled(case)))
    assert_same(case, stop=data.draw(st.sampled_from([*ends, case[0].horizon])))


# ---------------------------------------------------------------- room


def used(memory):
    """Of each table that may have to grow, whether it holds something."""
    w = memory.w[0]
    return {
        "caches": w.caches > 0,
        "cell_coming": w.coming > 0,
        "spends": memory.tables["counters"]["last"][0] > 0,
        "heap": w.heap > 0,
        "refusals": bool(memory.tables["refusals"].any()),
    }


def least(n):
    """Rows without which even the first event of n requests might find no room."""
    return {"caches": n + 1, "cell_coming": n + 1, "spends": 2, "heap": 4 * n + 8, "refusals": 2}


@pytest.mark.parametrize("name", engine._BOUNDLESS)
def test_a_table_that_grows_under_way_is_equal(name, monkeypatch):
    """A run that begins with the least room in a table writes the same ledger, though it grows with something in it."""
    grown = []

    def tiny(*case):
        memory = build(*case)
        memory.tables[name] = memory.tables[name][: least(memory.w[0].requests)[name]].copy()
        memory.place()
        grow = memory.grow

        def noted(table):
            if table == name:
                grown.append(used(memory)[name])
            grow(table)

        memory.grow = noted
        return memory

    monkeypatch.setattr(engine, "build", tiny)

    def look(case):
        assert_same(case)

    before_the_hour = everything_and_implicit(starts=STARTS[-1:])  # refusals are counted by hours
    settings(max_examples=150, deadline=None, derandomize=True, database=None)(given(before_the_hour)(look))()
    assert any(grown)


@given(everything())
@settings(max_examples=200, deadline=None)
def test_the_probe_that_compiles_is_the_probe(case):
    """The probe of these tests decides as the one of the machine cases."""
    plan = case[1]
    for patience in (0, 4, 30):
        for prompt, context, seen in ((2, 0, 0), (5, 2, 0), (6, 4, 3)):
            view = View(patience, prompt, context, seen)
            assert tuple(probe(plan.params, view)) == tuple(map(int, plan.decide(plan.params, view)))


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_scenario_is_equal(name):
    """Every pair of every shipped scenario, on a replication of its own."""
    scenario = sim.load(name)
    for pair in pairs_of(scenario, None):
        trace = realised(pair.arm, pair.media, None, scenario.seed, 1)
        attempts = 2 * pair.plan.batch.attempts if pair.plan.batch else 0
        physics = prepare(trace, pair.arm.service, attempts)
        made, wanted = (engine(trace, pair.plan, pair.rules, physics) for engine in (fast, reference))
        assert differences(made, wanted) == [], (pair.arm.name, pair.model)


def test_the_scenarios_have_a_price_in_common():
    """The comparison is not vacuous: the quickstart has requests on the model that it names."""
    assert sim.load("quickstart").spec.models == [FLASH]


# ---------------------------------------------------------------- the choice, and the witness


def test_a_run_gives_the_same_results_on_either_engine():
    """Costs, counts and latencies of a run are the same to the last digit, whichever engine ran it."""
    scenario = sim.load("quickstart")
    slow, quick = (sim.run(scenario, replications=2, engine=engine) for engine in ("reference", "fast"))
    assert sim.summarise(slow) == sim.summarise(quick)


@pytest.mark.parametrize("name", ["quickstart", "tier-1-queue", "cache-expires-before-the-batch"])
def test_a_run_that_is_cut_is_compiled_too(name, monkeypatch):
    """With ``close = "cut"`` every pair runs on the engine that was asked for, with the same ledger."""
    scenario, asked, pending = sim.load(name, sets=["close=cut"]), [], 0
    monkeypatch.setattr(simulate, "engine_of", lambda name: asked.append(name) or engine_of(name))
    for pair in pairs_of(scenario, None):
        trace = realised(pair.arm, pair.media, None, scenario.seed, 1)
        made, wanted = (simulate.ledger_of(pair, trace, engine=engine) for engine in ("fast", "reference"))
        assert differences(made, wanted) == [], (pair.arm.name, pair.model)
        pending += np.count_nonzero(wanted.status == Status.PENDING)
    assert pending > 0
    assert asked == ["fast", "reference"] * len(pairs_of(scenario, None))


def test_small_runs_do_not_pay_for_the_start_up():
    """``auto`` takes the reference for little, and the fast engine for much, more of it where nothing is compiled."""
    assert [chosen("auto", runs) for runs in (0, 50_000, 10**8)] == ["reference", "reference", "fast"]
    assert chosen("reference", 10**8) == "reference"
    assert chosen("fast", 0) == "fast"


def test_an_unknown_engine_is_refused():
    """The error names the engines that there are."""
    with pytest.raises(InputError, match="allowed: auto, fast, reference"):
        sim.run(sim.load("quickstart"), engine="quick")


def test_what_int64_cannot_count_takes_the_reference():
    """A run whose products pass 2^62 is not covered, and says why; the same run with smaller numbers is."""
    trace = world([0, 1], fresh=[5, 10**6])
    slow, usual = 1 << 60, 1 << 16
    assert uncovered(trace, plan("none"), rules(), physics(trace, slowness=usual)) == ""
    why = uncovered(trace, plan("none"), rules(), physics(trace, slowness=slow))
    assert why == "answers that take too long to be counted"


def test_the_witness_names_the_smallest_trace_that_differs():
    """A fast engine with a fault is caught, with the number of first requests that show it and their rows."""
    trace = world([0, 7, 9, 30, 31], fresh=[5, 6, 7, 8, 9])

    def faulty(part, *others, stop):
        ledger = reference(part, *others, stop=stop)
        done = ledger.done.copy()
        done[3:] += 1
        return ledger._replace(done=done)

    case = trace, plan("none"), rules(), physics(trace)
    assert_equal(*case)
    with pytest.raises(
        EngineError, match="under none in done, from its 4 first requests on, of which 4 show it"
    ) as told:
        assert_equal(*case, fast=faulty)
    assert str(told.value).splitlines()[-1] == "3 3 30 -1 8 0 60000 -1 0"


gaps_of_sixty = st.lists(st.integers(0, 20), min_size=60, max_size=60)


@given(gaps_of_sixty, st.integers(0, 9), st.integers(10, 59), st.integers(6, 14))
@settings(max_examples=times(15), deadline=None)
def test_the_witness_drops_what_does_not_matter(gaps, one, other, turns):
    """A fault that takes two far-apart requests, and the turns of a session before them, is shown by these alone."""
    follows = [request - 1 if 0 < request < turns else -1 for request in range(60)]
    trace = world(np.cumsum(gaps).tolist(), fresh=[1_000 + request for request in range(60)], follows=follows)

    def faulty(part, *others, stop):
        check(part)
        ledger = reference(part, *others, stop=stop)
        wrong = {1_000 + one, 1_000 + other} <= set(part.fresh.tolist())
        return ledger._replace(done=ledger.done + 1) if wrong else ledger

    with pytest.raises(EngineError, match=f"from its {other + 1} first requests on") as told:
        assert_equal(trace, plan("none"), rules(), physics(trace), fast=faulty)
    shown = [int(line.split()[1]) for line in str(told.value).splitlines()[2:]]
    needed = {one, other} | {request for last in (one, other) if last < turns for request in range(last)}
    assert shown == sorted(needed)


@given(everything_and_implicit(), st.data())
@settings(max_examples=times(60), deadline=None)
def test_some_requests_are_a_trace_of_their_own(case, data):
    """Whatever is dropped, what is left is a trace that an engine runs; with nothing dropped it is the same trace."""
    trace, plan, rules, physics = case
    shows = data.draw(st.functions(like=lambda *_: True, returns=st.booleans(), pure=True))
    part, luck = some_requests(trace, physics, the_fewest(trace, trace.requests, lambda some: shows(*some.tolist())))
    assert reference(check(part), plan, rules, luck).status.shape == (part.requests,)
    whole, _ = some_requests(trace, physics, np.arange(trace.requests))
    assert np.array_equal(whole.follows, trace.follows)
    assert np.array_equal(whole.session, trace.session)


@given(everything(), st.integers(1, 8))
@settings(max_examples=100, deadline=None)
def test_the_first_requests_are_a_trace_of_their_own(case, count):
    """Any first part of a trace is a trace that both engines run, with the same draws."""
    trace, plan, rules, physics = case
    part, luck = first_requests(trace, physics, count)
    check(part)
    assert part.requests == min(count, trace.requests)
    assert reference(part, plan, rules, luck).status.shape == (part.requests,)
