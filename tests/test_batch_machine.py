"""The reference engine equals a naive twin, integer for integer, wherever instants clash."""

from typing import NamedTuple

from batch_twin import Twin, differences
from examples import times
from hypothesis import event, given, settings
from hypothesis import strategies as st
from worlds import batch_rules, physics, rules, world

from sim.engines.reference import run
from sim.providers.rules import LatencyLaw
from sim.strategies.decision import NEVER, BatchPlan, CachePlan, Decision, Implicit, Plan, View

LATENCY = LatencyLaw(base_ns=1_000_000, uncached_ns=500_000, cached_ns=100_000, output_ns=250_000)
DRAWS = (0, 1 << 30, (1 << 31) + 7, (1 << 32) - 1)
HALF = 1 << 31


class Probe(NamedTuple):
    """The weights with which :func:`probe` reads everything that a strategy may see."""

    patience: int
    prompt: int
    context: int
    seen: int
    batched: int  # of 8
    caching: int  # of 4: 0 never, 3 always


def probe(params: Probe, view: View) -> Decision:
    """A strategy that reads every input, so that none can be wrong unnoticed."""
    mixed = sum(weight * value for weight, value in zip(params, view, strict=False))
    use = min(2, mixed // 3 % 4 * params.caching // 3) if view.context else 0
    return Decision(batch=int(mixed % 8 < params.batched), cache=use)


small = st.integers(0, 3)
durations = st.sampled_from([1, 2, 3, 5, 8, 13, 30])


@st.composite
def batch_plans(draw):
    rule = st.sampled_from([NEVER, *range(1, 9)])
    return BatchPlan(
        size=draw(st.sampled_from([NEVER, 1, 2, 3])),
        window=draw(st.sampled_from([NEVER, 0, 1, 4, 9])),
        every=draw(rule),
        at=tuple(sorted(draw(st.sets(st.integers(0, 60), max_size=3)))),
        poll=draw(st.sampled_from([1, 2, 5])),
        attempts=draw(st.integers(1, 3)),
        guard=draw(st.sampled_from([NEVER, NEVER, 0, 3, 10])),
    )


@st.composite
def cache_plans(draw):
    ttl = draw(st.sampled_from([2, 5, 12, 40]))
    renew = draw(st.sampled_from(["never", "on_use", "margin"]))
    return CachePlan(
        ttl=ttl,
        renew_on_use=int(renew == "on_use"),
        renew_margin=draw(st.integers(0, ttl - 1)) if renew == "margin" else NEVER,
        idle=draw(st.sampled_from([NEVER, 1, 4, 15])),
        last_use=draw(st.integers(0, 1)),
        wait=draw(st.integers(0, 1)),
    )


@st.composite
def cases(draw, caches=True):
    """Return (trace, plan, rules, physics) with few clashing instants."""
    n = draw(st.integers(1, 7))
    arrive = sorted(draw(st.lists(st.integers(0, 12), min_size=n, max_size=n)))
    follows = [-1] * n
    if draw(st.booleans()):
        for request in range(1, n):
            before = draw(st.integers(-1, request - 1))
            follows[request] = -1 if before in follows else before
    column = lambda values: draw(st.lists(values, min_size=n, max_size=n))  # noqa: E731 - one letter would say less
    depth = draw(st.sampled_from([(2,), (2, 4), (6, 3)])) if caches else ()
    trace = world(
        arrive,
        column(st.integers(-1, len(depth) - 1)),
        fresh=column(small),
        output=column(small),
        patience=column(st.sampled_from([0, 4, 12, 30, 90])),
        follows=follows,
        think=[draw(small) if before >= 0 else 0 for before in follows],
        depth=depth,
        turnaround=column(st.sampled_from(DRAWS)),
        failure=column(st.sampled_from(DRAWS)),
        horizon=draw(st.sampled_from([13, 20])),
    )
    weights = [draw(small) for _ in range(4)]
    params = Probe(*weights, draw(st.sampled_from([4, 8, 8])), draw(small))
    cache = draw(cache_plans()) if caches else None
    plan = Plan("probe", "probe", probe, params, Implicit.OFF, cache=cache, batch=draw(batch_plans()))
    service = rules(
        explicit_minimum=draw(st.sampled_from([1, 3])),
        latency=LATENCY,
        batch=batch_rules(
            pending_share=draw(st.sampled_from([0, 1 << 15, 1 << 16])),
            expires_after=draw(st.sampled_from([3, 8, 14, 50])),
            failure=draw(st.sampled_from([0, 0, HALF])),
            job_failure=draw(st.sampled_from([0, 0, HALF])),
        ),
        concurrency=draw(st.sampled_from([-1, -1, 1, 2])),
    )
    turnaround = [
        [draw(st.sampled_from([-1, 1, 2, 5, 8, 14, 20])) for _ in range(n)] for _ in range(plan.batch.attempts)
    ]
    slowness = column(st.sampled_from([1 << 15, 1 << 16, 3 << 16]))
    return trace, plan, service, physics(trace, slowness=slowness, turnaround=turnaround, attempts=plan.batch.attempts)


def assert_equal(case):
    ledger = run(*case)
    assert differences(ledger, Twin(*case).play()) == []
    for state in ledger.job_state.tolist():
        event(f"job {state}")
    return ledger


@given(cases(caches=False))
@settings(max_examples=times(100), deadline=None)
def test_the_batch_flow_equals_its_twin(case):
    """Collecting, sending, running, looking, failing, resubmitting, falling back: each integer is the twin's."""
    assert_equal(case)


@given(cases())
@settings(max_examples=times(250), deadline=None)
def test_batch_with_caches_equals_its_twin(case):
    """Caches held for jobs, renewed, forbidden at run time, waited for or missed: each integer is the twin's."""
    ledger = assert_equal(case)
    event(f"caches {min(len(ledger.cache_born), 3)}")
    event(f"duplicates {min(len(ledger.duplicate_request), 2)}")
