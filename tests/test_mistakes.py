"""The guide's six common mistakes: each scenario shows what its mistake costs, and a closed form says how much."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import ndtr
from shipped import cells, costs, kept, per_mtok, ran
from workloads import SEED, agrees

import sim
from sim import stats
from sim.ledger import Ledger, Source, Status
from sim.units import HOUR, MINUTE

REPLICATIONS = 30
SURE = 1 - 1e-6  # level of the intervals that must lie on one side of zero

# Prices of 2.5 Flash per 1M tokens: input, cached read (in a batch too), storage an hour.
INPUT, CACHED, STORAGE = "0.30", "0.03", "1.00"

# scenario -> (done wrong, done right)
MISTAKES = {
    "mistake-1-forgotten-cache": ("forgotten", "deleted"),
    "mistake-2-below-the-minimum": ("below_the_minimum", "padded"),
    "mistake-3-stacked-discounts": ("billed", "planned"),
    "mistake-4-variable-text-first": ("variable_first", "shared_first"),
    "mistake-6-changing-content": ("cached_a_day", "uncached"),
}
DEADLINE = "mistake-5-batch-with-a-deadline"


def mistake(name):
    """Return a mistake's result with its ledgers."""
    return ran(name, REPLICATIONS, keep=True)


def paired(name):
    """Yield (dollars that the mistake costs, ledger done wrong, ledger done right) by replication."""
    result, (wrong, right) = mistake(name), MISTAKES[name]
    differences = (a - b for a, b in zip(costs(result, wrong), costs(result, right), strict=True))
    return zip(differences, kept(result, wrong), kept(result, right), strict=True)


def read(ledger: Ledger, source: Source) -> int:
    """Return the tokens that answered requests read from a cache."""
    return int(ledger.cached[ledger.done_mask & (ledger.source == source)].sum())


@pytest.mark.parametrize(("name", "arms"), MISTAKES.items())
def test_every_mistake_costs_money(name, arms):
    """Done wrong costs more than done right on the same requests: the whole paired interval is above zero."""
    result, (wrong, right) = mistake(name), arms
    difference = stats.paired_difference(costs(result, wrong), costs(result, right), SURE)
    assert difference.lo > 0
    # the output shows it: what the others are compared with is what is done right
    assert result.baseline == right


def test_a_forgotten_cache_costs_its_storage_for_the_surplus_hours():
    """Price of storage x tokens x (24 h - time from creation to the last answer), summed over the caches, exactly."""
    for difference, wrong, right in paired("mistake-1-forgotten-cache"):
        assert np.all(wrong.cache_until == wrong.cache_born + 24 * HOUR)
        assert np.array_equal(wrong.cache_tokens, right.cache_tokens)
        surplus = (wrong.cache_born + 24 * HOUR - right.cache_until) * wrong.cache_tokens
        assert difference == per_mtok(int(surplus.sum()), STORAGE) / HOUR
        assert right.cache_until.max() == right.done.max()  # deleted with the last answer


def test_a_context_below_the_minimum_saves_nothing():
    """1,500 tokens at the input price a call, where 2,048 cached ones, written once and stored, would have done."""
    for difference, wrong, right in paired("mistake-2-below-the-minimum"):
        assert len(wrong.cache_born) == 0
        assert read(wrong, Source.EXPLICIT) == read(wrong, Source.IMPLICIT) == 0
        calls = len(right.prompt)
        assert read(right, Source.EXPLICIT) == calls * 2_048
        (born,), (until,) = right.cache_born, right.cache_until  # one cache: no gap is an hour long
        # born with the first call; it ends an hour after the last, which renews it when it is sent
        assert born == right.arrived.min()
        assert until == right.sent.max() + HOUR
        stored = 2_048 * int(until - born)
        paid = per_mtok(calls * 2_048, CACHED) + per_mtok(2_048, INPUT) + per_mtok(stored, STORAGE) / HOUR
        assert difference == per_mtok(calls * 1_500, INPUT) - paid


def test_padding_does_not_pay_by_night():
    """The price of the mistake has the sign of the traffic: at one call an hour padding costs more than it saves."""
    result = ran("mistake-2-below-the-minimum", REPLICATIONS, sets=('streams.tickets.arrivals.rate="1/h"',))
    wrong, right = MISTAKES["mistake-2-below-the-minimum"]
    assert stats.paired_difference(costs(result, wrong), costs(result, right), SURE).hi < 0


def test_a_stacked_plan_is_off_by_half_of_what_is_read_from_the_cache():
    """Cached tokens x half the cached price, exactly: both arms did the same, only the terms differ."""
    for difference, wrong, right in paired("mistake-3-stacked-discounts"):
        for planned, billed in zip(right, wrong, strict=True):
            assert np.array_equal(planned, billed)
        assert difference == per_mtok(read(wrong, Source.EXPLICIT), CACHED) / 2 > 0


def test_variable_text_first_costs_the_discount_of_every_token_that_would_have_been_hit():
    """Tokens hit with the shared text first x (input - cached), exactly; the prompts are equally long either way."""
    for difference, wrong, right in paired("mistake-4-variable-text-first"):
        assert np.array_equal(wrong.prompt, right.prompt)
        assert read(wrong, Source.IMPLICIT) == 0
        hit = read(right, Source.IMPLICIT)
        assert difference == per_mtok(hit, INPUT) - per_mtok(hit, CACHED)


def test_caching_what_changes_pays_a_day_for_every_version():
    """The long-lived arm is closed form: each version asked about is written once and stored 24 h; each call reads."""
    name, tokens = "mistake-6-changing-content", 25_000
    scenario = sim.load(name)
    for replication, (usd, ledger) in enumerate(
        zip(costs(mistake(name), "cached_a_day"), kept(mistake(name), "cached_a_day"), strict=True)
    ):
        trace = sim.realise(scenario, replication=replication)
        versions, calls = len(np.unique(trace.leaf)), trace.requests
        asked = per_mtok(int(trace.fresh.sum()), INPUT) + per_mtok(int(trace.output.sum()), "2.50")
        kept_24_h = per_mtok(versions * tokens, INPUT) + 24 * per_mtok(versions * tokens, STORAGE)
        assert usd == asked + per_mtok(calls * tokens, CACHED) + kept_24_h
        assert len(ledger.cache_born) == versions


def test_a_cache_of_one_version_does_not_pay_even_for_an_hour():
    """Three uses an hour are below the 4.8 from which an hour's cache pays; 12 are above, and the sign turns."""
    name = "mistake-6-changing-content"
    below = ran(name, REPLICATIONS, keep=True)
    assert stats.paired_difference(costs(below, "cached_an_hour"), costs(below, "uncached"), SURE).lo > 0
    list_price = ("strategies.uncached.kind=none", 'streams.questions.arrivals.rate="96/h"')
    above = ran(name, REPLICATIONS, sets=list_price)
    assert stats.paired_difference(costs(above, "cached_an_hour"), costs(above, "uncached"), SURE).hi < 0


def late_jobs(deadline_h: float) -> float:
    """Return the chance that the assumed turnaround is longer than a time: 0.60, 0.37 and 0.03 of the mixture."""
    minutes = deadline_h * 60
    return 0.60 * ndtr(-math.log(minutes / 10) / 0.8) + 0.37 * ndtr(-math.log(deadline_h / 4) / 0.7) + 0.03


def late_shares(*sets):
    """Return the share of late reports by batch in each of many replications, each report a job of its own."""
    result = sim.run(sim.load(DEADLINE, sets=sets), replications=60, seed=SEED)
    return [1 - c.streams[0].within_patience / c.streams[0].total for c in cells(result, "batch")]


def test_a_batch_misses_its_deadline_as_often_as_its_turnaround_is_longer():
    """The late share is P(turnaround > deadline) of the assumed mixture; as if every job ended, it is rejected."""
    alone = ("strategies.batch.size=1", "service.batch.failure_chance=0.0", 'strategies.batch.poll="1s"')
    alone += ("service.batch.jobs=unlimited",)  # a job of each report would wait for room among 100
    shares = late_shares(*alone, "strategies.batch.attempts=1")
    assert agrees(shares, late_jobs(6))
    assert not agrees(shares, late_jobs(6) - 0.03)  # as if every job ended
    assert 0.12 < late_jobs(6) < 0.15


def test_a_deadline_is_kept_by_routing_and_missed_by_batch():
    """Batch misses the patience target and routing keeps it, with the same jobs; the difference is significant."""
    result = mistake(DEADLINE)
    target = result.patience_target

    def on_time(strategy):
        return [Fraction(c.streams[0].within_patience, c.streams[0].total) for c in cells(result, strategy)]

    kept_by, missed_by = on_time("routed"), on_time("batch")
    assert min(kept_by) >= target > sum(missed_by) / len(missed_by)
    assert stats.paired_difference(missed_by, kept_by, SURE).hi < 0


def test_keeping_a_deadline_costs_the_calls_in_real_time():
    """Routing pays the list price for what it sends at once and a batch price besides where a job still ended well."""
    result = mistake(DEADLINE)
    pairs = zip(costs(result, "routed"), kept(result, "routed"), costs(result, "batch"), strict=True)
    for usd, ledger, by_batch in pairs:
        at_once = ledger.done_mask & (ledger.job < 0)

        def half(prompt, output):
            return per_mtok(int(prompt.sum()), "0.15") + per_mtok(int(output.sum()), "1.25")

        whole = half(ledger.prompt, ledger.output) + half(ledger.prompt[at_once], ledger.output[at_once])
        assert usd == whole + half(ledger.duplicate_prompt, ledger.duplicate_output)
        assert usd > by_batch
        waited = (ledger.done - ledger.arrived)[at_once]
        assert waited.min() >= 6 * HOUR - 30 * MINUTE  # nothing before the guard
        assert np.all(ledger.status == Status.DONE)
