"""The guide's three scenarios: its figures wherever it is consistent, and its slips stated as slips."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from shipped import FLASH, PRO, cells, costs, per_mtok, ran
from strategies import NEW_YEAR, one_cache
from workloads import agrees

import sim
from sim.ledger import JobState, Mode
from sim.units import DAY
from sim.workload.sizes import mean

M = 10**6

# Scenario 1: a document D, 20 questions of 500 tokens, no output. Scenario 2: 10,000 records. Scenario 3: a base B,
# 5,000 queries. Prices are per 1M tokens; of storage per 1M tokens and hour.
S1, S2, S3 = "guide-1-document-analysis", "guide-2-nightly-records", "guide-3-shared-knowledge-base"
D, B = 50_000, 100_000
ASKED_1 = per_mtok(20 * 500, "1.25")
READ_1 = per_mtok(20 * D, "0.125")
RECORDS = per_mtok(10_000 * 2_000, "0.30") + per_mtok(10_000 * 500, "2.50")
ASKED_3 = per_mtok(5_000 * 1_000, "0.30")
READ_3 = per_mtok(5_000 * B, "0.03")

GUIDE = {
    (S1, "none"): per_mtok(20 * D, "1.25") + ASKED_1,
    (S1, "implicit"): per_mtok(D, "1.25") + per_mtok(19 * D, "0.125") + ASKED_1,  # the first question never hits
    (S1, "explicit"): READ_1 + ASKED_1 + 2 * per_mtok(D, "1.00"),
    (S1, "batch"): per_mtok(20 * (D + 500), "0.625"),
    (S1, "hybrid"): READ_1 + ASKED_1 / 2 + 2 * per_mtok(D, "1.00"),
    (S2, "none"): RECORDS,
    (S2, "implicit"): RECORDS,
    (S2, "batch"): per_mtok(10_000 * 2_000, "0.15") + per_mtok(10_000 * 500, "1.25"),
    (S3, "none"): per_mtok(5_000 * (B + 1_000), "0.30"),
    # the second query comes 1.44 s after the first, whose first token takes 0.29 s + 101,000 x 0.018 ms = 2.1 s
    (S3, "implicit"): per_mtok(2 * B, "0.30") + per_mtok(4_998 * B, "0.03") + ASKED_3,
    (S3, "explicit"): READ_3 + ASKED_3 + 8 * per_mtok(B, "1.00"),
    (S3, "batch"): per_mtok(5_000 * (B + 1_000), "0.15"),
    (S3, "hybrid"): READ_3 + ASKED_3 / 2 + 8 * per_mtok(B, "1.00"),
}
PRINTED = {
    (S1, "none"): "1.2625",
    (S1, "explicit"): "0.2375",
    (S2, "none"): "18.50",
    (S2, "batch"): "9.25",
    (S3, "none"): "151.50",  # the guide prints 101.00; see its slips below
    (S3, "batch"): "75.75",
    (S3, "hybrid"): "16.55",  # the guide prints 64.05; see its slips below
}
# What changes at the published prices: a cache's creation is billed, and Pro's storage costs 4.50.
GOOGLE = {
    **GUIDE,
    (S1, "explicit"): READ_1 + ASKED_1 + per_mtok(D, "1.25") + 2 * per_mtok(D, "4.50"),
    (S1, "hybrid"): READ_1 + ASKED_1 / 2 + per_mtok(D, "1.25") + 2 * per_mtok(D, "4.50"),
    (S3, "explicit"): GUIDE[S3, "explicit"] + per_mtok(B, "0.30"),
    (S3, "hybrid"): GUIDE[S3, "hybrid"] + per_mtok(B, "0.30"),
}


def total(name, strategy, *sets, book=None):
    """Return the exact dollars of a strategy in a scenario without chance."""
    return costs(ran(name, sets=sets, book=book), strategy)[0]


@pytest.mark.parametrize(("name", "strategy"), GUIDE)
def test_the_guides_scenarios_cost_what_its_prices_and_rules_say(name, strategy):
    """Each strategy's bill equals its closed form at the guide's prices, to the last picodollar."""
    assert total(name, strategy) == GUIDE[name, strategy]


@pytest.mark.parametrize(("name", "strategy"), PRINTED)
def test_the_guides_consistent_figures_are_met(name, strategy):
    """The figures that the guide prints, or that follow from its own prices, are the closed forms."""
    assert GUIDE[name, strategy] == Fraction(PRINTED[name, strategy])


@pytest.mark.parametrize(("name", "strategy"), GOOGLE)
def test_the_google_versions_cost_their_closed_forms(name, strategy):
    """At published prices each strategy's bill equals its closed form: creation billed, Pro's storage at 4.50."""
    assert total(f"{name}-google", strategy) == GOOGLE[name, strategy]


@pytest.mark.parametrize("name", [S1, S2, S3])
def test_the_google_versions_differ_in_their_prices_only(name):
    """The google version is the guide's scenario rated under another book: one ledger, two bills."""
    for arm in sim.load(name).arms:
        ledger = sim.simulate(sim.load(name), arm.name)
        google = sim.rate(ledger, sim.load_book("google"))
        assert google.total == GOOGLE[name, arm.name]
        assert sim.rate(ledger, sim.load_book("guide")).total == GUIDE[name, arm.name]


@pytest.mark.parametrize(("tier", "jobs"), [(1, 2 * -(-2_500 // 29)), (2, 2), (3, 2)])
def test_a_usage_tier_moves_the_guides_answers_and_not_its_bill(tier, jobs):
    """Scenario 3 by batch on Flash costs $75.75 in every tier: two jobs of 2,500 queries, or 29 at a time in tier 1.

    3M enqueued tokens hold 29 x 101,000. It begins in September, so that the last of them run before the redirect.
    """
    alone = ("start=2026-09-01T20:00:00Z", "strategies={batch={}}", f"project.tier={tier}")
    (cell,) = cells(ran(f"{S3}-google", sets=(*alone, 'strategies.batch.window="1h"')), "batch")
    assert cell.total_usd == GUIDE[S3, "batch"]
    assert cell.jobs == {"succeeded": jobs}


def samples(name, strategy, replications=30):
    """Return a strategy's dollars over replications of a stochastic version, run alone."""
    scenario = sim.load(f"{name}-stochastic")
    alone = dataclasses.replace(scenario, arms=tuple(a for a in scenario.arms if a.name == strategy))
    return [float(usd) for usd in costs(sim.run(alone, replications=replications, baseline=strategy), strategy)]


def test_the_stochastic_document_costs_the_guides_figures_on_average():
    """A Poisson number of questions with mean 20 has the guide's costs as its means; a billed creation is rejected."""
    spec = sim.load(f"{S1}-stochastic").spec
    asked = 20 * mean(spec.streams["questions"].fresh) / M
    assert agrees(samples(S1, "none"), 20 * D * 1.25 / M + asked * 1.25)
    explicit = samples(S1, "explicit")
    assert agrees(explicit, 20 * D * 0.125 / M + asked * 1.25 + 2 * D * 1.00 / M)
    assert not agrees(explicit, 20 * D * 0.125 / M + asked * 1.25 + 2 * D * 1.00 / M + D * 1.25 / M)


def test_the_stochastic_records_cost_the_guides_figure_on_average():
    """Lognormal sizes with means 2,000 and 500 cost the guide's $18.50 on average; as medians they are rejected."""
    stream = sim.load(f"{S2}-stochastic").spec.streams["records"]
    found = samples(S2, "none")
    expected = 10_000 * (mean(stream.fresh) * 0.30 + mean(stream.output) * 2.50) / M
    assert abs(expected - 18.50) < 1e-3
    assert agrees(found, expected)
    assert not agrees(found, expected * (1 + 0.5**2) ** 0.5)  # a lognormal's mean over its median, cv 0.5


# ---------------------------------------------------------------- slips: what it prints, what is consistent, and why


def test_slip_scenario_1_bills_no_creation_of_the_cache():
    """Printed $0.2375: 20 cached reads of a cache that nobody wrote; with one full-price creation it is $0.3000."""
    billed = total(S1, "explicit", 'terms.creation="input"')
    assert billed == GUIDE[S1, "explicit"] + per_mtok(D, "1.25") == Fraction("0.3000")


def test_slip_scenario_1_stores_pro_at_one_dollar():
    """Printed storage $0.10: Pro's real price is 4.50, so $0.5875, and $0.6500 with creation, which saves 48.5 %."""
    ledger, google = sim.simulate(sim.load(S1), "explicit"), sim.load_book("google")
    free = google.terms.model_copy(update={"creation": "free"})
    assert sim.rate(ledger, google, free).total == READ_1 + ASKED_1 + 2 * per_mtok(D, "4.50") == Fraction("0.5875")
    whole = sim.rate(ledger, google).total
    assert whole == Fraction("0.5875") + per_mtok(D, "1.25") == Fraction("0.6500")
    none = GUIDE[S1, "none"]
    assert round(float(1 - whole / none), 3) == 0.485
    assert round(float(1 - GUIDE[S1, "explicit"] / none), 2) == 0.81  # what the guide prints


def test_slip_scenario_3_prices_505m_tokens_at_a_price_that_no_model_has():
    """Printed $101.00 = 505M tokens x $0.20: no model of either book has that input price; on Flash it is $151.50."""
    assert per_mtok(5_000 * (B + 1_000), "0.20") == Fraction("101.00")
    for name in ("guide", "google"):
        book = sim.load_book(name)
        prices = {entry.prices["input"] for model in book.models for entry in book.periods(model)}
        assert Fraction("0.20") * M not in prices
    assert total(S3, "none") == per_mtok(5_000 * (B + 1_000), "0.30") == Fraction("151.50")


def test_slip_scenario_3_mixes_the_prices_of_two_models():
    """Printed $64.05 = Pro's cached reads + Flash's batched queries + 8 h: on Flash $16.55, with creation $16.58."""
    mixed = per_mtok(5_000 * B, "0.125") + per_mtok(5_000 * 1_000, "0.15") + 8 * per_mtok(B, "1.00")
    assert mixed == Fraction("64.05")
    assert total(S3, "hybrid") == Fraction("16.55")
    assert total(S3, "hybrid", 'terms.creation="input"') == Fraction("16.55") + per_mtok(B, "0.30") == Fraction("16.58")


@pytest.mark.parametrize(
    ("strategy", "formula", "usd"),
    [
        ("none", per_mtok(5_000 * (B + 1_000), "1.25"), "631.25"),
        ("batch", per_mtok(5_000 * (B + 1_000), "0.625"), "315.625"),
        (
            "hybrid",  # reads, queries, creation, 8 h of storage
            per_mtok(5_000 * B, "0.125")
            + per_mtok(5_000 * 1_000, "0.625")
            + per_mtok(B, "1.25")
            + 8 * per_mtok(B, "4.50"),
            "69.35",
        ),
    ],
)
def test_slip_scenario_3_is_dearer_on_pro_throughout(strategy, formula, usd):
    """All on Pro at published prices scenario 3 costs $631.25, $315.625 and $69.35, none of which the guide prints."""
    assert total(f"{S3}-google", strategy, f'models=["{PRO}"]') == formula == Fraction(usd)


def test_slip_storage_costs_one_dollar_for_every_model():
    """Printed $24 and $2.40 a day for 1M and 100k tokens hold on Flash; on Pro $108 and $10.80, on 3.8 Flash $12."""
    for tokens, model, book, usd in (
        (M, FLASH, "guide", "24"),
        (100_000, FLASH, "guide", "2.40"),
        (M, PRO, "guide", "24"),
        (M, "gemini-2.5-flash-lite", "google", "24"),
        (M, "gemini-3.1-pro-preview", "google", "108"),
        (100_000, "gemini-3.1-pro-preview", "google", "10.80"),
        (M, "gemini-3.8-flash", "google", "12"),
    ):
        week_before_2027 = NEW_YEAR - 7 * DAY  # from 2027 on 3.6-3.8 Flash cost 1.00 too
        ledger = one_cache(model, week_before_2027, tokens, DAY)
        opened = sim.load_book(book)
        bill = sim.rate(ledger, opened, opened.terms.model_copy(update={"creation": "free"}))
        assert bill.total == Fraction(usd), (model, book)


def test_slip_the_extended_prices_of_the_flash_models_are_audio_prices():
    """Printed long-context prices of Flash are prices of audio; only Pro models have a long tier, at 2 x and 1.5 x."""
    guide, google = sim.load_book("guide"), sim.load_book("google")
    for model, at in (("gemini-2.5-flash-lite", google.checked_ms), ("gemini-2.0-flash", 1_770_000_000_000)):
        assert guide.entry(model, at).prices["long_input"] == google.entry(model, at).prices["audio_input"]
    # "up to $1.00" for 2.5 Flash is no price; it is what its audio costs
    assert google.entry(FLASH, google.checked_ms).prices["audio_input"] == 1.00 * M
    for model in google.models:
        for entry in google.periods(model):
            assert (entry.long_over is not None) == ("-pro" in model), model
            if entry.long_over is not None:
                prices = entry.prices
                assert prices["long_input"] == 2 * prices["input"]
                assert prices["long_output"] == 1.5 * prices["output"]


def test_slip_the_minimums_are_those_of_2025():
    """Printed 1,024 for Flash and 4,096 for Pro; since June 2026 it is 2,048 for 2.5, and 4,096 for 3.x and 4."""
    guide, google = sim.load_book("guide"), sim.load_book("google")
    at = google.checked_ms
    for model, then, now in ((FLASH, 1_024, 2_048), (PRO, 4_096, 2_048)):
        assert guide.facts[model].implicit_minimum(at).tokens == then
        assert google.facts[model].implicit_minimum(at).tokens == now
    for model in ("gemini-3.1-pro-preview", "gemini-3.8-flash", "gemini-4-argon"):
        assert google.facts[model].implicit_minimum(at).tokens == 4_096


def test_slip_the_discounts_stack_in_part_on_newer_models():
    """Printed "do not stack" for all: true of 2.5, 3 Flash and 3.1 Pro; newer models have a lower price in batch."""
    google = sim.load_book("google")
    at = google.checked_ms

    def shares(*models):
        entries = [google.entry(model, at) for model in models]
        return {Fraction(e.price("cached", Mode.BATCH), e.price("cached")) for e in entries}

    assert shares(PRO, FLASH, "gemini-2.5-flash-lite", "gemini-3-flash-preview", "gemini-3.1-pro-preview") == {1}
    assert shares("gemini-3.1-flash-lite", "gemini-3.5-flash", "gemini-3.8-flash", "gemini-4-argon") == {Fraction(1, 2)}
    assert shares("gemini-3.5-flash-lite") == {Fraction("0.02") / Fraction("0.03")}


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("service.batch.turnaround.components=[{weight=1.0}]", JobState.EXPIRED),  # never ends
        ("service.batch.failure_chance=0.5", JobState.PARTIALLY_SUCCEEDED),
    ],
)
def test_slip_a_poll_that_waits_for_three_states_never_ends(change, state):
    """Printed: poll until SUCCEEDED, FAILED or CANCELLED; a job may end otherwise, and the run goes on from there."""
    result = ran(S1, sets=(change, "strategies.batch.attempts=2"))
    (cell,) = cells(result, "batch")
    assert cell.jobs[state.name.lower()] >= 1
    assert sum(s.done + s.failed + s.expired for s in cell.streams) == 20
    if state == JobState.EXPIRED:
        assert sum(s.expired for s in cell.streams) == 20
        assert cell.total_usd == 0


def test_scenarios_without_chance_have_none():
    """A second replication of a guide's or google scenario is the first again, request by request."""
    for name in (S1, S3):
        result = ran(name, 2)
        assert not result.random
        for strategy in result.strategies:
            first, second = cells(result, strategy)
            assert first.total_usd == second.total_usd
            assert np.array_equal(first.streams[0].latency_ms, second.streams[0].latency_ms)
