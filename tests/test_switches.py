"""Every rule has a world in which it decides a figure: with the rule on it is this one, with the rule off another.

The list of rules is read off the tuples that an engine and a bill play by, so a field without a world fails.
"""

import typing
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from strategies import NEW_YEAR
from worlds import (
    INSTANT,
    MS_PER_TOKEN,
    NEXT,
    batch_rules,
    collecting,
    epoch,
    implicit_rules,
    keeping,
    physics,
    plan,
    rules,
    world,
)

from sim.billing import rate
from sim.engines.physics import Physics
from sim.engines.reference import run
from sim.ledger import JobState, Mode, Status
from sim.providers import load_book
from sim.providers.prices import Terms
from sim.providers.rules import (
    CHANCE_ONE,
    FACTOR_ONE,
    NO_QUOTA,
    SHARE_ONE,
    BatchRules,
    ClientRules,
    Epoch,
    ExplicitRules,
    FlexRules,
    ImplicitRules,
    LatencyLaw,
    OverloadRules,
    QuotaRules,
    Rules,
    SpendLaw,
)
from sim.strategies.decision import NEVER, BatchPlan, CachePlan, FlexPlan, Implicit, Plan
from sim.trace import Trace
from sim.units import HOUR

GOOGLE = load_book("google")
FLASH = "gemini-2.5-flash"  # USD per 1M: input 0.30, cached 0.03, storage 1.00 an hour
MILLION = 10**6
DONE, FAILED, EXPIRED = int(Status.DONE), int(Status.FAILED), int(Status.EXPIRED)


class Case(NamedTuple):
    """A world that can be run and billed."""

    trace: Trace
    plan: Plan
    rules: Rules
    physics: Physics
    terms: Terms

    def figure(self, column: str) -> Any:
        """Return a column of its ledger, or the dollars of its bill."""
        ledger = run(self.trace, self.plan, self.rules, self.physics)
        if column == "usd":
            return rate(ledger, GOOGLE, self.terms).total
        value = getattr(ledger, column)
        return value.tolist() if isinstance(value, np.ndarray) else value


class Switch(NamedTuple):
    """What a rule decides in its world."""

    case: Case  # with the rule on
    off: Any  # the value of the field that turns it off
    column: str  # of the ledger, or "usd"
    on: Any  # the figure with it
    without: Any  # and without it


def case(trace: Trace, strategy: Plan, own: Rules, *, terms: dict[str, Any] | None = None, **of_physics: Any) -> Case:
    """A world under the book's terms, but for those that are told."""
    return Case(trace, strategy, own, physics(trace, **of_physics), GOOGLE.terms.model_copy(update=terms or {}))


WHERE = {  # where the tuple of a group of rules stands; of several epochs in the last
    Rules: ("rules",),
    Epoch: ("rules", "epochs", -1),
    LatencyLaw: ("rules", "epochs", -1, "latency"),
    QuotaRules: ("rules", "epochs", -1, "quota"),
    SpendLaw: ("rules", "epochs", -1, "quota", "weights", Mode.STANDARD),
    ImplicitRules: ("rules", "implicit"),
    ExplicitRules: ("rules", "explicit"),
    BatchRules: ("rules", "batch"),
    ClientRules: ("rules", "client"),
    FlexRules: ("rules", "flex"),
    OverloadRules: ("rules", "overload"),
    Plan: ("plan",),
    CachePlan: ("plan", "cache"),
    BatchPlan: ("plan", "batch"),
    FlexPlan: ("plan", "flex"),
    Terms: ("terms",),
}


def put(whole: Any, where: tuple[Any, ...], field: str, value: Any) -> Any:
    """Return a tuple of tuples with one field deep inside it changed."""
    if not where:
        change = {field: value}
        return whole.model_copy(update=change) if isinstance(whole, Terms) else whole._replace(**change)
    place, *rest = where
    if isinstance(place, str):
        return whole._replace(**{place: put(getattr(whole, place), tuple(rest), field, value)})
    changed = list(whole)
    changed[place] = put(changed[place], tuple(rest), field, value)
    return tuple(changed)


# ---------------------------------------------------------------- worlds that several rules share

NONE, IMPLICIT = plan("none"), plan("implicit")


def asked(limits: dict[str, Any], arrive=(0, 1), *, client=None, service=None, latency=INSTANT, **columns) -> Case:
    """Two calls of 5 tokens under a quota."""
    trace = world(list(arrive), **columns)
    return case(trace, NONE, rules(quota=limits, latency=latency, client=client, service=service))


def spending(law: SpendLaw, limit: int) -> Case:
    """Two calls of 5 tokens and 3 of output whose weight is limited."""
    return asked({"spend": limit, "weights": (law,) * len(Mode)}, output=3)


def reading(law: SpendLaw, limit: int) -> Case:
    """Two calls that read a cache of 9 tokens, whose weight is limited."""
    limits = {"spend": limit, "weights": (law,) * len(Mode)}
    return case(world([0, 50], fresh=0, depth=[9]), keeping(), rules(quota=limits, latency=INSTANT))


def backing_off(**client: Any) -> Case:
    """Two calls of which the quota of a minute lets the first pass; the other's client goes by its own times."""
    return asked({"requests": 1}, (0, 0), client={"jitter": 0, "honour": 0, **client})


def job(arrive=(0,), *, batch=None, limits=None, columns=None, of_physics=None, **options: Any) -> Case:
    """Requests of 5 tokens in jobs of one, which take 1,000 ms and are looked at every ms."""
    own = rules(latency=INSTANT, batch=batch_rules(**(batch or {})), **(limits or {}))
    strategy = collecting(**{"size": 1, "poll": 1, **options})
    return case(world(list(arrive), **(columns or {})), strategy, own, **(of_physics or {}))


def remembered(arrive=(0, 5), *, depth=4, minimum=0, retention=NEXT, latency=INSTANT, **memory: Any) -> Case:
    """Calls whose prefix of 4 tokens the service remembers."""
    own = rules(implicit=implicit_rules(**memory), implicit_minimum=minimum, latency=latency)
    return case(world(list(arrive), depth=[depth]), IMPLICIT, own, retention=retention)


def kept(arrive=(0,), *, latency=INSTANT, replaced=-1, tree=None, service=None, **fields: Any) -> Case:
    """Calls on a context of 9 tokens, whose cache is kept by a plan."""
    tree = tree or {"depth": [9], "replaced": [replaced]}
    return case(world(list(arrive), fresh=0, **tree), keeping(**fields), service or rules(latency=latency))


def flexed(*, shed=0, queueing=0, patience=60_000, **fields: Any) -> Case:
    """A call of the flex tier."""
    own = rules(latency=INSTANT, service={"flex": FlexRules(shed)})
    strategy = plan("flex")._replace(flex=FlexPlan(**fields))
    return case(world([0], patience=patience), strategy, own, queueing=queueing)


def overloaded(**rule: int) -> Case:
    """A call of 5 tokens, in 15 ms, of a service that is overloaded all the time."""
    return case(world([0]), NONE, rules(service={"overload": OverloadRules(**rule)}), overload=(0, NEXT))


def successor(recreate=1) -> Case:
    """A context that is used under its model, and when the next model takes over."""
    turn = (epoch(until=500, latency=INSTANT), epoch(500, model=1, latency=INSTANT))
    return kept((0, 500), ttl=1_000, service=rules(*turn, service={"explicit": ExplicitRules(recreate)}))


def later(since: int) -> Case:
    """A call of 5 tokens at 20, when answers may take 1 ms instead of 10 + 5."""
    return case(world([20]), NONE, rules(epoch(), epoch(since, latency=INSTANT)))


def billed(*, model=FLASH, start_ms=GOOGLE.checked_ms, terms=None) -> Case:
    """A call of a million tokens and of as many of output."""
    own = rules(latency=INSTANT, models=(model,))._replace(start_ms=start_ms)
    return case(world([0], fresh=MILLION, output=MILLION), NONE, own, terms=terms)


def stored(terms: dict[str, Any]) -> Case:
    """A cache of a million tokens, asked for two hours, idle from 1 ms on and deleted at one hour."""
    own = rules(latency=INSTANT, models=(FLASH,))._replace(start_ms=GOOGLE.checked_ms)
    return case(world([0], fresh=0, depth=[MILLION]), keeping(ttl=2 * HOUR, idle=HOUR - 1), own, terms=terms)


def cached_in_batch(terms: dict[str, Any]) -> Case:
    """Two jobs of a million tokens, the second of them read from the service's own cache."""
    model = "gemini-3.8-flash"
    own = rules(latency=INSTANT, models=(model,), implicit=implicit_rules(in_batch=1), implicit_minimum=0)
    trace = world([0, 2_000], fresh=0, depth=[MILLION])
    return case(trace, collecting(size=1, poll=1), own._replace(start_ms=GOOGLE.checked_ms), terms=terms)


ALWAYS = CHANCE_ONE
HELD = {"concurrency": 1}
LOST = {"lost_reply": ALWAYS}
LONG = {"horizon": 100}
TWO_OF_THREE = {"depth": [6, 9, 9], "parent": [-1, 0, 0], "leaf": [1, 2]}

# ---------------------------------------------------------------- the worlds

SWITCHES: dict[type, dict[str, Callable[[], Switch]]] = {
    QuotaRules: {
        "requests": lambda: Switch(asked({"requests": 1}), -1, "throttled", [0, 1], [0, 0]),
        "tokens": lambda: Switch(asked({"tokens": 5}), -1, "throttled", [0, 1], [0, 0]),
        "day": lambda: Switch(asked({"day": 1}), -1, "throttled", [0, 1], [0, 0]),
        # the first call weighs 5 * 2, which is the limit
        "spend": lambda: Switch(spending(SpendLaw(input=2), 10), -1, "throttled", [0, 1], [0, 0]),
        "concurrency": lambda: Switch(
            asked({"concurrency": 1}, (0, 14, 15), latency=MS_PER_TOKEN), -1, "throttled", [0, 1, 0], [0, 0, 0]
        ),
        # the windows end at 60,000 ms; a bucket has refilled by 1/60,000 of a call
        "fixed_window": lambda: Switch(
            asked({"requests": 1, "fixed_window": 1}, (59_999, 60_000)), 0, "throttled", [0, 0], [0, 1]
        ),
        # 60 a minute in a bucket of a second: it holds one
        "burst_ms": lambda: Switch(asked({"requests": 60, "burst_ms": 1_000}), 60_000, "throttled", [0, 1], [0, 0]),
        # of 10 tokens 2 are left after 8; the call of 8 that is refused uses them up
        "rejected_consume": lambda: Switch(
            asked({"tokens": 10, "rejected_consume": 1}, (0, 1, 2), fresh=[8, 8, 2]),
            0, "throttled", [0, 1, 1], [0, 1, 0],
        ),
        "weights": lambda: Switch(
            spending(SpendLaw(input=2), 10), QuotaRules().weights, "throttled", [0, 1], [0, 0]
        ),
    },
    SpendLaw: {  # the first call weighs as much as the limit
        "input": lambda: Switch(spending(SpendLaw(input=2), 5 * 2), 0, "throttled", [0, 1], [0, 0]),
        "cached": lambda: Switch(reading(SpendLaw(cached=2), 9 * 2), 0, "throttled", [0, 1], [0, 0]),
        "output": lambda: Switch(spending(SpendLaw(output=4), 3 * 4), 0, "throttled", [0, 1], [0, 0]),
        "long_over": lambda: Switch(
            spending(SpendLaw(long_over=4, long_input=2), 5 * 2), -1, "throttled", [0, 1], [0, 0]
        ),
        "long_input": lambda: Switch(
            spending(SpendLaw(long_over=4, long_input=2), 5 * 2), 0, "throttled", [0, 1], [0, 0]
        ),
        "long_cached": lambda: Switch(
            reading(SpendLaw(long_over=8, long_cached=2), 9 * 2), 0, "throttled", [0, 1], [0, 0]
        ),
        "long_output": lambda: Switch(
            spending(SpendLaw(long_over=4, long_output=4), 3 * 4), 0, "throttled", [0, 1], [0, 0]
        ),
    },
    LatencyLaw: {  # 1 ms is the least that a call takes
        "base_ns": lambda: Switch(asked({}, (0,), latency=LatencyLaw(10**7, 0, 0, 0)), 0, "done", [10], [1]),
        "uncached_ns": lambda: Switch(asked({}, (0,), latency=LatencyLaw(0, 10**6, 0, 0)), 0, "done", [5], [1]),
        "cached_ns": lambda: Switch(kept(latency=LatencyLaw(0, 0, 10**6, 0)), 0, "done", [1 + 9], [1 + 1]),
        "output_ns": lambda: Switch(
            asked({}, (0,), output=3, latency=LatencyLaw(0, 0, 0, 10**6)), 0, "done", [3], [1]
        ),
    },
    ClientRules: {  # a refusal is known 1 ms after the call
        "concurrency": lambda: Switch(
            asked({}, (0, 0), latency=MS_PER_TOKEN, client=HELD), -1, "sent", [0, 15], [0, 0]
        ),
        "attempts": lambda: Switch(backing_off(attempts=2), 1, "attempts", [1, 2], [1, 1]),
        "base": lambda: Switch(backing_off(attempts=2, base=500), 0, "done", [1, 1 + 500 + 1], [1, 1 + 1]),
        "factor": lambda: Switch(
            backing_off(attempts=3, base=100, factor=3 * FACTOR_ONE),
            FACTOR_ONE, "done", [1, 1 + 100 + 1 + 300 + 1], [1, 1 + 100 + 1 + 100 + 1],
        ),
        "cap": lambda: Switch(backing_off(attempts=2, cap=300), 60_000, "done", [1, 1 + 300 + 1], [1, 1 + 1_000 + 1]),
        # a draw of 0 waits for nothing of a full jitter
        "jitter": lambda: Switch(backing_off(attempts=2, jitter=1), 0, "done", [1, 1 + 1], [1, 1 + 1_000 + 1]),
        # the bucket holds a call again at 60,000; the client learns so at 1
        "honour": lambda: Switch(
            backing_off(attempts=2, honour=1), 0, "done", [1, 1 + 60_000 + 1], [1, 1 + 1_000 + 1]
        ),
        "timeout": lambda: Switch(
            asked({}, (0,), latency=MS_PER_TOKEN, client={"timeout": 14}), -1, "done", [14], [15]
        ),
        # the second call starts at 15 and would end at 30
        "give_up": lambda: Switch(
            asked({}, (0, 0), latency=MS_PER_TOKEN, client=HELD | {"give_up": 20}), -1, "done", [15, 20], [15, 30]
        ),
    },
    BatchRules: {
        "pending_share": lambda: Switch(job(batch={"pending_share": SHARE_ONE // 2}), 0, "job_started", [500], [0]),
        "expires_after": lambda: Switch(job(batch={"expires_after": 400}), NEXT, "job_done", [400], [1_000]),
        "failure": lambda: Switch(job(batch={"failure": ALWAYS}), 0, "status", [FAILED], [DONE]),
        "job_failure": lambda: Switch(
            job(batch={"job_failure": ALWAYS}), 0, "job_state", [JobState.FAILED], [JobState.SUCCEEDED]
        ),
        # the last ms of a turnaround is never pending
        "pending_limit": lambda: Switch(
            job(batch={"pending_share": SHARE_ONE, "pending_limit": 400}), -1, "job_done", [400], [1_000]
        ),
        # in 500 of 1,000 ms one of two is answered
        "running_limit": lambda: Switch(
            job((0, 0), size=2, batch={"running_limit": 500}), -1, "status", [DONE, FAILED], [DONE, DONE]
        ),
        "jobs": lambda: Switch(job((0, 0), batch={"jobs": 1}), -1, "job_created", [0, 1_000], [0, 0]),
        "job_requests": lambda: Switch(job((0, 0), size=2, batch={"job_requests": 1}), -1, "job_requests", [1, 1], [2]),
        "job_tokens": lambda: Switch(job((0, 0), size=2, batch={"job_tokens": 9}), -1, "job_tokens", [5, 5], [10]),
        "inline_tokens": lambda: Switch(
            job((0, 0), size=2, inline=1, batch={"inline_tokens": 9}), -1, "job_tokens", [5, 5], [10]
        ),
        "lost_reply": lambda: Switch(job(batch=LOST), 0, "duplicate_request", [0], []),
        "lost_after": lambda: Switch(
            job(batch=LOST | {"lost_after": 300}), 60_000, "job_created", [0, 300], [0, 60_000]
        ),
        "slow_factor": lambda: Switch(
            job(batch={"slow_factor": 2 * FACTOR_ONE}, of_physics={"slow": (0, 1)}),
            FACTOR_ONE, "job_done", [2 * 1_000], [1_000],
        ),
    },
    ImplicitRules: {
        "on": lambda: Switch(
            case(world([0, 5], depth=[4]), keeping(), rules(implicit=implicit_rules(), explicit_minimum=5)),
            False, "cached", [0, 4], [0, 0],
        ),
        "block": lambda: Switch(remembered(depth=7, block=4), 1, "cached", [0, 4], [0, 7]),
        # the first token of 4 + 5 tokens comes after 10 + 9 ms
        "at_arrival": lambda: Switch(remembered((0, 18), latency=MS_PER_TOKEN), False, "cached", [0, 4], [0, 0]),
        "refreshed": lambda: Switch(remembered((0, 6, 12), retention=7), False, "cached", [0, 4, 4], [0, 4, 0]),
        "steps": lambda: Switch(remembered(), ((0, 0),), "cached", [0, 4], [0, 0]),
        "in_batch": lambda: Switch(
            case(
                world([0, 2_000], depth=[4]),
                collecting(size=1, poll=1),
                rules(implicit=implicit_rules(in_batch=1), implicit_minimum=0),
            ),
            0, "cached", [0, 4], [0, 0],
        ),
        "sightings": lambda: Switch(remembered((0, 5, 10), sightings=2), 1, "cached", [0, 0, 4], [0, 4, 4]),
    },
    ExplicitRules: {
        "recreate": lambda: Switch(successor(), 0, "cache_born", [0, 501], [0]),
    },
    FlexRules: {
        "shed": lambda: Switch(flexed(shed=ALWAYS, attempts=3), 0, "shed", [3], [0]),
    },
    OverloadRules: {
        "shed": lambda: Switch(overloaded(shed=ALWAYS), 0, "shed", [1], [0]),
        "slowdown": lambda: Switch(overloaded(slowdown=2 * FACTOR_ONE), FACTOR_ONE, "done", [2 * 15], [15]),
    },
    Epoch: {
        "since": lambda: Switch(later(20), NEXT, "done", [20 + 1], [20 + 15]),
        "until": lambda: Switch(kept(ttl=1_000, service=rules(until=500)), -1, "cache_until", [500], [1_000]),
        "model": lambda: Switch(case(world([0]), NONE, rules(model=1)), 0, "model", [1], [0]),
        "implicit_minimum": lambda: Switch(remembered(minimum=5), 4, "cached", [0, 0], [0, 4]),
        "explicit_minimum": lambda: Switch(kept(service=rules(explicit_minimum=10)), 9, "cached", [0], [9]),
        "latency": lambda: Switch(case(world([0]), NONE, rules()), INSTANT, "done", [10 + 5], [1]),
        "explicit_maximum": lambda: Switch(kept(service=rules(explicit_maximum=8)), -1, "cached", [0], [9]),
        "quota": lambda: Switch(asked({"requests": 1}), NO_QUOTA, "throttled", [0, 1], [0, 0]),
        "priority": lambda: Switch(
            case(world([0, 0]), plan("priority"), rules(priority=QuotaRules(requests=1))),
            NO_QUOTA, "mode", [Mode.PRIORITY, Mode.STANDARD], [Mode.PRIORITY, Mode.PRIORITY],
        ),
        "enqueued_tokens": lambda: Switch(
            job((0, 0), limits={"enqueued_tokens": 9}), -1, "job_created", [0, 1_000], [0, 0]
        ),
    },
    Rules: {
        # a million in and a million out: 0.30 + 2.50 of one model, 0.75 + 3.75 of the other
        "models": lambda: Switch(
            billed(), ("gemini-3.8-flash",), "usd", Fraction(30 + 250, 100), Fraction(75 + 375, 100)
        ),
        # the price doubles on the first of January 2027
        "start_ms": lambda: Switch(
            billed(model="gemini-3.8-flash", start_ms=NEW_YEAR), NEW_YEAR - 1, "usd", Fraction(9), Fraction(9, 2)
        ),
        "epochs": lambda: Switch(later(20), (epoch(),), "done", [20 + 1], [20 + 15]),
        "implicit": lambda: Switch(remembered(), implicit_rules(steps=((0, 0),)), "cached", [0, 4], [0, 0]),
        "batch": lambda: Switch(job(batch={"failure": ALWAYS}), batch_rules(), "status", [FAILED], [DONE]),
        "client": lambda: Switch(
            asked({}, (0, 0), latency=MS_PER_TOKEN, client=HELD), ClientRules(), "queued", [0, 15], [0, 0]
        ),
        "explicit": lambda: Switch(successor(recreate=0), ExplicitRules(), "cached", [9, 0], [9, 9]),
        "flex": lambda: Switch(flexed(shed=ALWAYS), FlexRules(), "mode", [Mode.STANDARD], [Mode.FLEX]),
        "overload": lambda: Switch(overloaded(shed=ALWAYS), OverloadRules(), "status", [FAILED], [DONE]),
        "refusal_ms": lambda: Switch(
            asked({"requests": 1}, (0, 0), service={"refusal_ms": 7}), 1, "done", [1, 7], [1, 1]
        ),
        "days": lambda: Switch(
            asked({"day": 1}, (0, 60), service={"days": (60,)}), (), "throttled", [0, 0], [0, 1]
        ),
    },
    Plan: {
        "implicit": lambda: Switch(remembered(), Implicit.OFF, "cached", [0, 4], [0, 0]),
        "cache": lambda: Switch(kept((0, 50)), None, "cached", [9, 9], [0, 0]),
        "batch": lambda: Switch(job(), BatchPlan(window=5), "job_created", [0], [5]),
        "flex": lambda: Switch(
            flexed(queueing=100, attempts=1, timeout=50), FlexPlan(), "mode", [Mode.STANDARD], [Mode.FLEX]
        ),
    },
    CachePlan: {  # creating a cache takes 1 ms, except where it is told
        "ttl": lambda: Switch(kept(ttl=100), 0, "cache_until", [100], [0]),
        "renew_on_use": lambda: Switch(kept((0, 60), ttl=100, renew_on_use=1), 0, "cache_until", [60 + 100], [100]),
        # renewed at 90; the next time, at 180, is after the last arrival
        "renew_margin": lambda: Switch(
            kept((0, 150), ttl=100, renew_margin=10), NEVER, "cache_until", [90 + 100], [100, 150 + 100]
        ),
        "idle": lambda: Switch(kept(ttl=1_000, idle=40), NEVER, "cache_until", [1 + 40], [1_000]),
        "last_use": lambda: Switch(kept(ttl=1_000, last_use=1), 0, "cache_until", [1 + 1], [1_000]),
        # 9 tokens are created in 10 + 9 ms
        "wait": lambda: Switch(kept((0, 4), latency=MS_PER_TOKEN, wait=1), 0, "sent", [19, 19], [19, 4]),
        "pad_from": lambda: Switch(
            kept(pad_from=9, service=rules(explicit_minimum=12)), NEVER, "cache_tokens", [12], []
        ),
        # the second request is the second sighting of the 6 tokens and the first of its own 9
        "sightings": lambda: Switch(kept((0, 50), tree=TWO_OF_THREE, sightings=2), 1, "cache_tokens", [6], []),
        "populations": lambda: Switch(
            kept((0, 50), tree={"depth": [9, 8], "context": [1, 2], "leaf": [0, 1]}, populations=0b01),
            -1, "cache_tokens", [9], [9, 8],
        ),
        # its client takes the cache to end at 100 + 19
        "own_clock": lambda: Switch(
            kept((0, 100), latency=MS_PER_TOKEN, ttl=100, own_clock=1), 0, "forbidden", [0, 1], [0, 0]
        ),
        "expire_at": lambda: Switch(kept(ttl=1_000, expire_at=(50,)), (), "cache_until", [50], [1_000]),
        "shorten": lambda: Switch(kept(ttl=1_000, idle=40, shorten=1), 0, "cache_committed", [1 + 40], [1_000]),
        "delete_replaced": lambda: Switch(
            kept(ttl=1_000, replaced=40, delete_replaced=1), 0, "cache_until", [40], [1_000]
        ),
    },
    BatchPlan: {  # what nothing else sends goes at the horizon, 100
        "size": lambda: Switch(job((0, 1), columns=LONG, size=2), NEVER, "job_created", [1], [100]),
        "window": lambda: Switch(job(columns=LONG, size=NEVER, window=5), NEVER, "job_created", [5], [100]),
        "every": lambda: Switch(job((5,), columns=LONG, size=NEVER, every=20), NEVER, "job_created", [20], [100]),
        "at": lambda: Switch(job(columns=LONG, size=NEVER, at=(30,)), (), "job_created", [30], [100]),
        "poll": lambda: Switch(job(poll=300), 1, "done", [4 * 300], [1_000]),
        "attempts": lambda: Switch(
            job(batch={"expires_after": 400}, attempts=2, of_physics={"turnaround": [[-1], [300], [1], [1]]}),
            1, "status", [DONE], [EXPIRED],
        ),
        "guard": lambda: Switch(job(columns={"patience": 150}, guard=50), NEVER, "mode", [Mode.STANDARD], [Mode.BATCH]),
        "inline": lambda: Switch(
            job((0, 0), size=2, inline=1, batch={"inline_tokens": 9}), 0, "job_tokens", [5, 5], [10]
        ),
        "deduplicate": lambda: Switch(job(batch=LOST, deduplicate=1), 0, "duplicate_request", [], [0]),
    },
    FlexPlan: {
        "attempts": lambda: Switch(flexed(shed=ALWAYS, attempts=2), 1, "shed", [2], [1]),
        "timeout": lambda: Switch(flexed(queueing=100, attempts=1, timeout=50), NEVER, "sent", [50], [100]),
        # 80 ms of patience less 30
        "guard": lambda: Switch(flexed(queueing=100, patience=80, guard=30), NEVER, "sent", [50], [100]),
        "fallback": lambda: Switch(flexed(shed=ALWAYS, fallback=1), 0, "status", [DONE], [FAILED]),
    },
    Terms: {  # written 0.30, read 0.03, stored for an hour 1.00
        "creation": lambda: Switch(
            stored({"creation": "input"}), "free", "usd", Fraction(30 + 3 + 100, 100), Fraction(3 + 100, 100)
        ),
        "storage": lambda: Switch(
            stored({"storage": "committed"}),
            "lifetime", "usd", Fraction(30 + 3 + 2 * 100, 100), Fraction(30 + 3 + 100, 100),
        ),
        # half of 0.75, then 0.0375 as published instead of 0.075
        "batch_cached": lambda: Switch(
            cached_in_batch({"batch_cached": "standard"}),
            "published", "usd", Fraction(3_750 + 750, 10_000), Fraction(3_750 + 375, 10_000),
        ),
        "free_tier": lambda: Switch(billed(terms={"free_tier": True}), False, "usd", 0, Fraction(30 + 250, 100)),
    },
}  # fmt: skip

# no rules: what a strategy is called and how it decides, which test_strategies.py tries
NO_RULES = {(Plan, "name"), (Plan, "kind"), (Plan, "decide"), (Plan, "params")}


def fields_of(group: type) -> tuple[str, ...]:
    """The fields of a group of rules."""
    return tuple(group.model_fields) if group is Terms else group._fields


FIELDS = [(group, field) for group in WHERE for field in fields_of(group) if (group, field) not in NO_RULES]


def named(value: object) -> str | None:
    """The name of a group in the title of a test."""
    return value.__name__ if isinstance(value, type) else None


@pytest.mark.parametrize(("group", "field"), FIELDS, ids=named)
def test_a_rule_decides_its_figure(group, field):
    """With the rule on, its world has the figure that was counted by hand; turned off, it has the other one."""
    assert field in SWITCHES[group], f"{group.__name__}.{field} has no world: no test would miss that rule"
    switch = SWITCHES[group][field]()
    assert switch.on != switch.without
    turned_off = put(switch.case, WHERE[group], field, switch.off)
    assert turned_off != switch.case
    assert switch.case.figure(switch.column) == switch.on
    assert turned_off.figure(switch.column) == switch.without


def test_no_world_is_of_a_rule_that_is_gone():
    """The worlds are those of the fields that there are."""
    assert {(group, field) for group, worlds in SWITCHES.items() for field in worlds} == set(FIELDS)


def groups_within(group: type) -> set[type]:
    """The tuples of rules that a tuple of rules holds, itself included, found by their annotations."""
    found = {group}
    hints = [hint for name, hint in typing.get_type_hints(group).items() if (group, name) not in NO_RULES]
    for hint in hints:
        for part in (hint, *typing.get_args(hint)):
            if isinstance(part, type) and issubclass(part, tuple) and hasattr(part, "_fields") and part not in found:
                found |= groups_within(part)
    return found


def test_no_group_of_rules_is_forgotten():
    """Whatever tuple an engine's rules or a plan hold, however deep, is in the list."""
    assert groups_within(Rules) | groups_within(Plan) == set(WHERE) - {Terms}
