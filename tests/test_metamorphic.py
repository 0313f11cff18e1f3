"""Two runs compared: what a change of the world must not change, from the trace to the bill (P61-P71).

P61, P62, P63 and P69 are in ``test_engine`` and ``test_queue_oracles``. P70 has no subject: no run is resumed inside.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import cases, everything
from worlds import batch_rules, calls, collecting, epoch, implicit_rules, ints, physics, plan, rules, simulate, world

from sim.billing import rate
from sim.engines.reference import run
from sim.ledger import Ledger, Limit, Mode
from sim.providers import load_book
from sim.providers.rules import LatencyLaw, QuotaRules, SpendLaw
from sim.strategies.decision import NEVER, BatchPlan, CacheUse, Decision, FlexPlan
from sim.trace import REQUEST_COLUMNS

BOOK = load_book("google")
STABLE = "gemini-3.1-flash-lite"
INSTANTS = (
    "arrived",
    "sent",
    "done",
    "duplicate_sent",
    "duplicate_done",
    "cache_born",
    "cache_until",
    "cache_committed",
)
INSTANTS += ("job_collected", "job_created", "job_started", "job_done")
COUNTS = tuple(name for name in Ledger._fields if name not in (*INSTANTS, "models", "start_ms"))


DURATIONS = ("queued", "backoff")


def bill(ledger, model=STABLE, start=BOOK.checked_ms):
    return rate(ledger._replace(models=(model,) * len(ledger.models), start_ms=start), BOOK).total


def moved(values, by):
    return np.where(values == NEVER, NEVER, values + by)


# ---------------------------------------------------------------- P64 time shift


@given(cases(), st.sampled_from([1, 7, 1_000]))
@settings(max_examples=100, deadline=None)
def test_a_time_shift_moves_instants_and_nothing_else(case, by):
    """Everything later by the same time: the same counts, every instant moved, the same bill at the same dates."""
    trace, strategy, service, what = case
    batch = strategy.batch
    grid = batch.every * by if batch.every > 0 else by  # a grid is counted from the start
    later = trace._replace(arrive=trace.arrive + grid, horizon=trace.horizon + grid)
    plan_later = strategy._replace(batch=batch._replace(at=tuple(at + grid for at in batch.at)))
    before, after = run(*case), run(later, plan_later, service, what)
    for name in COUNTS:
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    for name in INSTANTS:
        assert np.array_equal(moved(getattr(before, name), grid), getattr(after, name)), name
    assert bill(before) == bill(after, start=BOOK.checked_ms - grid)


@given(st.lists(st.sampled_from([0, 5, 10, 50]), max_size=8), st.sampled_from([1, 500]))
@settings(max_examples=60, deadline=None)
def test_a_redirect_shifts_along(gaps, by):
    """Arrivals and dated changes of the service later by the same time: the same caches, hits and models."""

    def made(shift):
        turn = 60 + shift
        service = rules(epoch(until=turn), epoch(turn, model=1, explicit_minimum=30), implicit=implicit_rules())
        trace = world((np.cumsum(gaps, dtype=np.int64) + shift).tolist(), 0, depth=(20,))
        return simulate(trace, plan("explicit", ttl="40ms"), service)

    before, after = made(0), made(by)
    assert all(np.array_equal(getattr(before, name), getattr(after, name)) for name in COUNTS)
    assert all(np.array_equal(moved(getattr(before, name), by), getattr(after, name)) for name in INSTANTS)


FAR = 840 * 3_600_000  # ms: whole minutes, hours, days of 24 h, and steps of every grid of these cases


@given(everything())
@settings(max_examples=150, deadline=None)
def test_a_time_shift_of_everything_moves_instants_and_nothing_else(case):
    """Quotas, weather, dates of models and contexts, all later by whole days: only instants and their hours move."""
    trace, strategy, service, what = case

    def at(instants):
        return tuple(instant + FAR for instant in instants)

    later = trace._replace(arrive=trace.arrive + FAR, horizon=trace.horizon + FAR, replaced=moved(trace.replaced, FAR))
    cache = strategy.cache._replace(expire_at=at(strategy.cache.expire_at))
    strategy = strategy._replace(batch=strategy.batch._replace(at=at(strategy.batch.at)), cache=cache)
    first, *others = (one._replace(until=int(moved(one.until, FAR))) for one in service.epochs)
    epochs = first, *(one._replace(since=one.since + FAR) for one in others)
    moved_service = service._replace(epochs=epochs, days=at(service.days))
    moved_what = what._replace(overload=what.overload + FAR, slow=what.slow + FAR)
    before, after = run(*case), run(later, strategy, moved_service, moved_what)
    for name in set(COUNTS) - {"limit_hour"}:
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    for name in INSTANTS:
        assert np.array_equal(moved(getattr(before, name), FAR), getattr(after, name)), name
    assert np.array_equal(before.limit_hour + FAR // 3_600_000, after.limit_hour)


# ---------------------------------------------------------------- P54 a limit that is never reached is none


AMPLE = 10**9
QUOTAS = ("requests", "tokens", "day", "spend", "concurrency")
CALLERS = ("concurrency", "timeout", "give_up")
JOBS = ("jobs", "job_requests", "job_tokens", "inline_tokens", "running_limit")


def with_limit(case, name, limit):
    """The case with one of its limits set, in every epoch, and all others as they are."""
    trace, strategy, service, what = case
    where, field = name.split(".")
    changed = {field: limit}
    if where in ("client", "batch"):
        service = service._replace(**{where: getattr(service, where)._replace(**changed)})
    elif where == "flex":
        strategy = strategy._replace(flex=strategy.flex._replace(**changed))
    elif where == "epoch":
        service = service._replace(epochs=tuple(one._replace(**changed) for one in service.epochs))
    else:
        tiers = ("quota", "priority")
        epochs = (
            one._replace(**{tier: getattr(one, tier)._replace(**changed) for tier in tiers}) for one in service.epochs
        )
        service = service._replace(epochs=tuple(epochs))
    return trace, strategy, service, what


LIMITS = [f"quota.{name}" for name in QUOTAS] + ["epoch.enqueued_tokens", "epoch.explicit_maximum", "flex.timeout"]
LIMITS += [f"client.{name}" for name in CALLERS] + [f"batch.{name}" for name in JOBS]


@pytest.mark.parametrize("name", LIMITS)
@given(case=everything())
@settings(max_examples=60, deadline=None)
def test_a_limit_that_is_never_reached_is_none(name, case):
    """Beside all other limits, an ample one leaves every column as it is without it."""
    trace, strategy, *others = case
    window = strategy.batch._replace(window=5)  # what is left over is sent when nothing else happens: see below
    timed = (trace, strategy._replace(batch=window), *others)
    before, after = (run(*with_limit(timed, name, limit)) for limit in (NEVER, AMPLE))
    for column in (*COUNTS, *INSTANTS):
        assert np.array_equal(getattr(before, column), getattr(after, column)), column


def test_every_limit_of_a_quota_is_among_them():
    """The fields of a quota that are limits are those whose default is none."""
    none = [name for name, value in QuotaRules()._asdict().items() if value == NEVER]
    assert sorted(none) == sorted(QUOTAS)


@pytest.mark.parametrize("fixed", [0, 1])
@pytest.mark.parametrize("name", QUOTAS)
def test_the_same_limit_binds_when_it_is_small(name, fixed):
    """The law above has power: each of these limits refuses something when it is 1."""
    quota = {name: 1, "fixed_window": fixed, "weights": (SpendLaw(1, 1, 1),) * 4}
    ledger = simulate(world([0, 0, 1], fresh=[1, 5, 5]), plan("none"), rules(quota=quota, client={"attempts": 1}))
    assert ledger.limit_kind.tolist() == [Limit[name.upper()]]


# ---------------------------------------------------------------- P58 a higher limit


@pytest.mark.parametrize("quota", [{"requests": 1}, {"requests": 1, "fixed_window": 1}, {"day": 1}])
@given(st.lists(st.sampled_from([0, 1, 7_000, 20_000, 61_000]), max_size=12), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_a_higher_limit_lets_no_fewer_calls_pass(quota, gaps, limit, more):
    """By every instant as many calls have passed, or more, where refused calls vanish."""
    trace = world(np.cumsum(gaps, dtype=np.int64).tolist())
    field = next(iter(quota))
    service = {"days": (0, 30_000, 90_000)}
    low, high = (
        simulate(trace, plan("none"), rules(quota=quota | {field: most}, service=service)).done_mask
        for most in (limit, limit + more)
    )
    assert np.all(np.cumsum(high) >= np.cumsum(low))


# ---------------------------------------------------------------- P65 unit scale


@given(cases(), st.sampled_from([2, 3, 1_000]))
@settings(max_examples=100, deadline=None)
def test_a_scale_of_time_scales_instants_and_nothing_else(case, k):
    """All durations times k: instants and storage times k, counts as they were."""
    trace, strategy, service, what = case

    def wide(record, *names):
        return record._replace(
            **{
                name: getattr(record, name) * k
                for name in names
                if getattr(record, name) is not NEVER and getattr(record, name) != NEVER
            }
        )

    whole = LatencyLaw(2 * 10**6, 10**6, 0, 10**6)  # whole ms, never below 1: nothing is rounded
    small = service._replace(
        epochs=(service.epochs[0]._replace(latency=whole),), batch=service.batch._replace(pending_share=0)
    )
    large = small._replace(
        epochs=(service.epochs[0]._replace(latency=LatencyLaw(*(ns * k for ns in whole))),),
        batch=wide(small.batch, "expires_after"),
    )
    columns = {name: getattr(trace, name) * k for name in ("arrive", "patience", "think")}
    slow = trace._replace(**columns, horizon=trace.horizon * k)
    batch = wide(strategy.batch, "window", "every", "poll", "guard")
    cache = wide(strategy.cache, "ttl", "idle", "renew_margin")
    strategy_slow = strategy._replace(batch=batch._replace(at=tuple(at * k for at in batch.at)), cache=cache)
    # the probe reads patience: it must see the same decision
    strategy, strategy_slow = (s._replace(params=s.params._replace(patience=0)) for s in (strategy, strategy_slow))
    one = what._replace(slowness=np.full_like(what.slowness, 1 << 16))
    times = one.turnaround_ms
    two = one._replace(turnaround_ms=np.where(times < 0, times, times * k))
    before, after = run(trace, strategy, small, one), run(slow, strategy_slow, large, two)
    for name in DURATIONS:
        assert np.array_equal(getattr(before, name) * k, getattr(after, name)), name
    for name in set(COUNTS) - {*DURATIONS, "limit_hour", "limit_count", "limit_kind"}:  # hours stay hours
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    for name in INSTANTS:
        column = getattr(before, name)
        assert np.array_equal(np.where(column == NEVER, NEVER, column * k), getattr(after, name)), name
    assert after.storage_token_ms == k * before.storage_token_ms


# ---------------------------------------------------------------- P66 permutation


@given(st.permutations([(1, 0), (5, 1), (9, -1), (9, 0), (70, 1)]), st.sampled_from(["none", "explicit", "batch"]))
def test_permuting_one_instant_changes_no_total(rows, kind):
    """Requests that arrive together in another order: the same bill and, without competition, the same latencies."""
    fresh, leaf = zip(*rows, strict=True)
    options = {"none": {}, "explicit": {"ttl": "1m"}, "batch": {"size": 5, "poll": "1ms"}}[kind]
    usual = simulate(world([0] * 5, [0, 1, -1, 0, 1], fresh=[1, 5, 9, 9, 70], depth=(20, 30)), plan(kind, **options))
    other = simulate(world([0] * 5, list(leaf), fresh=list(fresh), depth=(20, 30)), plan(kind, **options))
    assert bill(usual) == bill(other)
    assert sorted(calls(usual, "prompt", "done")) == sorted(calls(other, "prompt", "done"))


# ---------------------------------------------------------------- P67 removal


@given(st.lists(st.tuples(st.sampled_from([0, 3, 10]), st.booleans()), min_size=1, max_size=8))
@settings(deadline=None)
def test_what_costs_nothing_can_be_removed(rows):
    """A request that fails for good costs nothing, and without it every other is served as it was."""
    gaps, fails = zip(*rows, strict=True)
    arrive = np.cumsum(gaps, dtype=np.int64)
    service = rules(batch=batch_rules(failure=1 << 31))
    kept = ~np.array(fails)

    def made(which):
        failure = np.where(np.array(fails), 0, (1 << 32) - 1)[which]
        return simulate(world(arrive[which].tolist(), failure=failure), collecting(size=1), service, turnaround=9)

    all_of_them, without = made(np.ones(len(rows), bool)), made(kept)
    assert np.array_equal(all_of_them.done_mask, kept)
    assert all_of_them.done[kept].tolist() == without.done.tolist()
    assert bill(all_of_them) == bill(without)


# ---------------------------------------------------------------- P68 two tenants

TENANTS = {
    "none": plan("none"),
    "implicit": plan("implicit"),
    "explicit": plan("explicit", ttl="60ms", renew="on_use"),
    "batch": plan("batch", size=1, poll="5ms"),
    # a keeper renews until the last arrival of all, which the tenants do share: so none here
    "hybrid": plan("hybrid", size=1, ttl="60ms", poll="5ms", renew="never"),
    "routed": plan("routed", size=1, ttl="60ms", poll="5ms", threshold="1s", guard="0s"),
}
requests = st.lists(
    st.tuples(st.integers(0, 90), st.integers(0, 1), st.sampled_from([20, 4_000])), min_size=1, max_size=6
)


@pytest.mark.parametrize("kind", TENANTS)
@given(requests, requests)
@settings(max_examples=40, deadline=None)
def test_two_tenants_add_up(kind, ours, theirs):
    """Two tenants that share nothing, together: the sum of their bills, and the latencies of each alone."""
    service = rules(implicit=implicit_rules(in_batch=1))

    def made(rows):
        rows = sorted(rows)
        arrive, leaf, patience, _ = (list(column) for column in zip(*rows, strict=True))
        return rows, simulate(
            world(arrive, leaf, patience=patience, depth=(20, 30, 40, 50)), TENANTS[kind], service, turnaround=40
        )

    left = [(time, leaf, patience, 0) for time, leaf, patience in ours]
    right = [(time, leaf + 2, patience, 1) for time, leaf, patience in theirs]
    (rows_l, one), (rows_r, two), (rows, both) = made(left), made(right), made(left + right)
    assert bill(both) == bill(one) + bill(two)
    apart = [*zip(rows_l, one.done.tolist(), strict=True), *zip(rows_r, two.done.tolist(), strict=True)]
    assert sorted(zip(rows, both.done.tolist(), strict=True)) == sorted(apart)


def by_patience(_params, view):
    """Two tenants who are told apart by their patience: 1 ms is the one, more the other."""
    return Decision(Mode(view.patience // 10), CacheUse.NONE)


APART = {  # the modes of two tenants, and limits of the one that are not the other's
    "priority and standard": ((Mode.PRIORITY, Mode.STANDARD), {"quota": {"requests": 6_000, "burst_ms": 20}}),
    "batch and standard": (
        (Mode.BATCH, Mode.STANDARD),
        {
            "quota": {"requests": 6_000, "burst_ms": 20, "concurrency": 1},
            "batch": batch_rules(jobs=1),
            "enqueued_tokens": 12,
            "client": {"concurrency": 2},
        },
    ),
    "batch and priority": (
        (Mode.BATCH, Mode.PRIORITY),
        {"batch": batch_rules(jobs=1), "client": {"concurrency": 1, "give_up": 20}},
    ),
}
TOGETHER = {  # limits that two tenants share
    "slots": ((Mode.PRIORITY, Mode.STANDARD), {"client": {"concurrency": 1}}),
    "calls in flight": ((Mode.PRIORITY, Mode.STANDARD), {"quota": {"concurrency": 1}}),
    "a bucket": ((Mode.FLEX, Mode.STANDARD), {"quota": {"requests": 6_000, "burst_ms": 10}}),
}


def ends_of(rows, modes, limits):
    """How each tenant's requests end: lists of (status, done, attempts), together or alone."""
    rows = sorted(rows)
    trace = world([at for at, _ in rows], patience=[10 * modes[who] for _, who in rows], horizon=100)
    strategy = plan("none")._replace(
        decide=by_patience, batch=BatchPlan(window=3, attempts=2), flex=FlexPlan(attempts=1, fallback=0)
    )
    ledger = simulate(trace, strategy, rules(**limits), turnaround=9)
    found = calls(ledger, "status", "done", "attempts", "throttled", "queued")
    return [[end for end, (_, owner) in zip(found, rows, strict=True) if owner == who] for who in (0, 1)]


tenants = st.lists(st.tuples(st.sampled_from([0, 1, 5, 10, 11, 20]), st.integers(0, 1)), min_size=1, max_size=8)


@pytest.mark.parametrize("name", APART)
@given(rows=tenants)
@settings(max_examples=80, deadline=None)
def test_two_tenants_of_limits_of_their_own_add_up(name, rows):
    """Together, each fares as it does alone: limits of priority, batch and standard know nothing of each other."""
    modes, limits = APART[name]
    alone = [ends_of([row for row in rows if row[1] == who], modes, limits)[who] for who in (0, 1)]
    assert ends_of(rows, modes, limits) == alone


@pytest.mark.parametrize("name", TOGETHER)
def test_tenants_of_a_shared_limit_do_not_add_up(name):
    """The law above has power: slots, calls in flight and the bucket of standard and flex calls are shared."""
    modes, limits = TOGETHER[name]
    rows = [(0, 0), (0, 1)]
    alone = [ends_of([row], modes, limits)[row[1]] for row in rows]
    assert ends_of(rows, modes, limits) != alone


# ---------------------------------------------------------------- P69, P71


@given(cases())
@settings(max_examples=40, deadline=None)
def test_a_request_that_never_comes_changes_nothing(case):
    """A request after everything else, of no context and at once, changes no other row."""
    trace, strategy, service, what = case
    quiet = service._replace(client=service.client._replace(concurrency=-1))
    horizon = 10**6
    batch = strategy.batch
    if batch.window == NEVER and batch.every == NEVER:
        batch = batch._replace(window=5)  # what is left over would wait for the last arrival
    strategy = strategy._replace(batch=batch, cache=strategy.cache._replace(renew_margin=NEVER))
    columns = {name: np.append(getattr(trace, name), 0) for name in REQUEST_COLUMNS}
    columns |= {"arrive": np.append(trace.arrive, horizon - 1), "leaf": np.append(trace.leaf, -1)}
    columns |= {"follows": np.append(trace.follows, -1), "session": np.append(trace.session, trace.requests)}
    more = trace._replace(**columns, horizon=horizon)
    widths = [(0, 1)]
    what_more = what._replace(
        slowness=np.pad(what.slowness, widths, constant_values=1 << 16),
        retention_ms=np.pad(what.retention_ms, widths),
        cell=np.pad(what.cell, widths),
        queueing_ms=np.pad(what.queueing_ms, widths),
        turnaround_ms=np.pad(what.turnaround_ms, [(0, 0), (0, 1)], constant_values=5),
    )
    before, after = run(trace, strategy, quiet, what), run(more, strategy, quiet, what_more)
    n, m, jobs = trace.requests, len(before.cache_born), len(before.job_created)
    for name in ("status", "done", "sent", "cached", "prompt", "attempts"):
        assert np.array_equal(getattr(before, name), getattr(after, name)[:n]), name
    assert np.array_equal(before.cache_until, after.cache_until[:m])
    assert np.array_equal(before.job_done, after.job_done[:jobs])


def test_an_empty_workload_has_an_empty_bill():
    """P71: no request, no cost, under any strategy."""
    for strategy in TENANTS.values():
        assert bill(simulate(world([], horizon=10), strategy)) == 0


def test_extra_columns_of_physics_change_nothing():
    """Draws that nobody asks for (more attempts than the plan has) change nothing."""
    trace = world([0, 1, 2])
    few, many = (physics(trace, turnaround=ints([7, 8, 9]), attempts=count) for count in (1, 9))
    strategy = collecting(size=1)
    assert run(trace, strategy, rules(), few).done.tolist() == run(trace, strategy, rules(), many).done.tolist()
