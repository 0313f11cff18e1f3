"""The shipped scenarios: each loads, asks one question, settles every request, and varies where it is random."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from shipped import cells, costs, ran

import sim
from sim import stats
from sim.experiments.cheapest import cheapest
from sim.experiments.replay import USUAL
from sim.scenario import shipped
from sim.units import DAY

GUIDE = ("guide-1-document-analysis", "guide-2-nightly-records", "guide-3-shared-knowledge-base")
MISTAKES = (
    "mistake-1-forgotten-cache",
    "mistake-2-below-the-minimum",
    "mistake-3-stacked-discounts",
    "mistake-4-variable-text-first",
    "mistake-5-batch-with-a-deadline",
    "mistake-6-changing-content",
)
SERVICE = (
    "burst-and-backoff",
    "cache-expires-before-the-batch",
    "chat-with-history",
    "flex-or-batch",
    "price-change-in-december",
    "priority-under-load",
    "tier-1-queue",
    "video-questions",
)
VERSIONS = tuple(name + version for name in GUIDE for version in ("", "-google", "-stochastic"))
NAMES = sorted((*VERSIONS, *MISTAKES, *SERVICE, "mixed-day", "quickstart", "unknown-demand"))
STOCHASTIC = [name for name in NAMES if not name.startswith("guide") or name.endswith("stochastic")]
WITHOUT_CHANCE = [name for name in NAMES if name not in STOCHASTIC]
SURE = 1 - 1e-6  # level of the intervals that must lie on one side of zero

# Its requests are the same in every replication, so its bill is too; what varies is how long its jobs take.
SAME_BILL = "tier-1-queue"

# What a run must warn of: the mistake that it is there to show, or what is not known and taken at its median.
WARNED = {
    "mistake-2-below-the-minimum": ["below_the_minimum on gemini-2.5-flash caches nothing"],
    "unknown-demand": [
        f"{path} is uncertain"
        for path in (
            "contexts.contracts.tokens",
            "streams.questions.arrivals.rate",
            "streams.questions.fresh.mean",
            "streams.questions.output.mean",
            "service.implicit.hit_chance[0].chance",
        )
    ],
}


def test_the_shipped_scenarios_are_those_that_are_tested():
    """No scenario is shipped untested, and none that is tested is missing."""
    assert sorted(shipped()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_asks_one_question(name):
    """Its question is one sentence that ends in a question mark, and its file says why its numbers are as they are."""
    question = sim.load(name).question
    assert re.fullmatch(r"[A-Z][^?!]*\?", question)
    assert not re.search(r"\. [A-Z]", question)
    text = Path(shipped()[name]).read_text(encoding="utf-8")
    assert any(line.startswith("# ") for line in text.splitlines())


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_runs_without_a_warning_that_reveals_a_mistake(name):
    """A run warns of nothing but of what it is there to show."""
    pairs = zip(ran(name, 2).warnings, WARNED.get(name, []), strict=True)
    assert all(warning.startswith(expected) for warning, expected in pairs)


@pytest.mark.parametrize("name", NAMES)
def test_every_request_of_a_scenario_ends_in_one_state(name):
    """Done, failed and expired requests are all there are, and every strategy meets the same number of them."""
    result = ran(name, 2)
    counts = set()
    for strategy in result.strategies:
        for cell in (cell for model in result.models for cell in result.of(strategy, model)):
            for stream in cell.streams:
                assert stream.done + stream.failed + stream.expired == stream.total > 0
                assert stream.pending == 0
            counts.add((cell.replication, tuple(stream.total for stream in cell.streams)))
    assert len(counts) == 2


@pytest.mark.parametrize("name", STOCHASTIC)
def test_a_stochastic_scenario_varies_under_every_strategy(name):
    """Two replications of every strategy and model differ in cost, or else in latency; the scenario asks for 30."""
    result = ran(name, 2)
    assert result.random
    assert sim.load(name).replications == (10 if name == SAME_BILL else 30)
    for strategy in result.strategies:
        for model in result.models:
            first, second = result.of(strategy, model)
            assert (first.total_usd == second.total_usd) == (name == SAME_BILL), (strategy, model)
            assert not np.array_equal(first.streams[0].latency_ms, second.streams[0].latency_ms)


@pytest.mark.parametrize("name", SERVICE)
def test_a_scenario_of_the_service_tells_its_arms_apart(name):
    """No two arms are alike in all that a reader sees: bill, answers in time, and latencies of each request."""
    result = ran(name, 5)
    for model in result.models:
        seen = [
            [(cell.total_usd, *(s.latency_ms.tobytes() for s in cell.streams)) for cell in result.of(strategy, model)]
            for strategy in result.strategies
        ]
        assert all(one != other for one, other in itertools.combinations(seen, 2))


@pytest.mark.parametrize("name", WITHOUT_CHANCE)
def test_a_scenario_without_chance_says_so(name):
    """Two replications are the same in cost and latency, the result says so, and the scenario asks for one."""
    result = ran(name, 2)
    assert not result.random
    assert sim.load(name).replications == 1
    assert all(len(set(costs(result, strategy))) == 1 for strategy in result.strategies)


def test_the_quickstart_is_the_main_job():
    """At least 1,000 requests a replication over at least a day, 30 replications, and all six strategies."""
    scenario, result = sim.load("quickstart"), ran("quickstart", 30)
    assert set(result.strategies) == set(USUAL)
    assert scenario.replications == result.replications == 30
    assert scenario.spec.workload.horizon >= DAY
    for cell in cells(result, "none"):
        assert sum(stream.total for stream in cell.streams) >= 1_000


def test_the_quickstart_tells_the_strategies_apart():
    """Routing is the cheapest that keeps the patience target: batch is cheaper and late, caching alone is dearer."""
    result = ran("quickstart", 30)
    assert cheapest(result)["strategy"] == "routed"
    assert within(result, "batch") < result.patience_target
    for strategy in ("none", "implicit", "explicit"):
        assert stats.paired_difference(costs(result, "routed"), costs(result, strategy), SURE).hi < 0


def within(result, strategy, stream=None):
    """Return the share of requests answered in time, over all replications."""
    rows = [s for cell in cells(result, strategy) for s in cell.streams if stream in (None, s.stream)]
    return sum(s.within_patience for s in rows) / sum(s.total for s in rows)


@pytest.mark.parametrize("part", ["explicit", "batch", "hybrid"])
def test_routing_costs_less_than_both_of_its_parts_on_a_mixed_day(part):
    """Routed minus part, paired by replication: the whole interval is below zero, at once or by batch alike."""
    result = ran("mixed-day", 30)
    difference = stats.paired_difference(costs(result, "routed"), costs(result, part), SURE)
    assert difference.hi < 0


def test_routing_keeps_the_patience_that_batch_breaks_on_a_mixed_day():
    """Routed keeps the target for readers and analyses; what batches all answers no reader in time."""
    result = ran("mixed-day", 30)
    for stream in ("readers", "analyses"):
        assert within(result, "routed", stream) >= result.patience_target
    for strategy in ("batch", "hybrid"):
        assert within(result, strategy, "readers") == 0.0
        assert within(result, strategy) < result.patience_target
    assert cheapest(result)["strategy"] == "routed"


@pytest.mark.parametrize(
    ("patience", "part"),
    [
        ("30s", "explicit"),  # nobody can wait
        ("30d", "hybrid"),  # everybody can, and no deadline comes near
    ],
)
def test_routing_is_one_of_its_parts_where_all_callers_are_alike(patience, part):
    """The mixed day's result comes from its mixture: with one patience for all, routing is exactly one of its parts."""
    sets = tuple(f"streams.{stream}.patience={patience}" for stream in ("readers", "analyses"))
    result = ran("mixed-day", 5, sets=sets)
    assert costs(result, "routed") == costs(result, part)
    waits = [
        [s.latency_ms.tolist() for c in cells(result, strategy) for s in c.streams] for strategy in ("routed", part)
    ]
    assert waits[0] == waits[1]
