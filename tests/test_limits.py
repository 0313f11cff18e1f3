"""Limits: what each tier may ask for, a project's own limits laid over it, Pacific days, and prompts no limit holds."""

import datetime as dt
import json
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import sim
from sim.billing import spend_weights
from sim.cli import main
from sim.document import parse
from sim.errors import NotOffered
from sim.providers import load_book
from sim.providers.facts import midnight
from sim.providers.limits import PublishedLimits
from sim.providers.pacific import midnights
from sim.providers.project import Limits, ProjectOptions
from sim.providers.quotas import allowance, priority_rules
from sim.providers.resolve import resolve
from sim.providers.rules import NO_QUOTA, UNLIMITED, QuotaRules
from sim.providers.service import Service
from sim.scenario import read_scenario

GOOGLE, GUIDE = load_book("google"), load_book("guide")
HOUR, DAY = 3_600_000, 86_400_000
K, M = 1_000, 10**6
PICO = 10**12
NOVEMBER = midnight(dt.date(2026, 11, 23))

# the table "Rate limits" of the facts: requests a minute, tokens a minute, requests a day; None = no limit
TABLE = {
    "gemini-2.5-pro": {
        "free": (2, 125 * K, 50), "1": (150, 2 * M, 10 * K), "2": (1_000, 5 * M, 50 * K), "3": (2_000, 8 * M, None),
    },
    "gemini-2.5-flash": {
        "free": (10, 250 * K, 250), "1": (1_000, M, 10 * K), "2": (2_000, 3 * M, 100 * K), "3": (10 * K, 8 * M, None),
    },
    "gemini-2.5-flash-lite": {
        "free": (15, 250 * K, 1_000), "1": (4_000, 4 * M, None), "2": (10 * K, 10 * M, None),
        "3": (30 * K, 30 * M, None),
    },
    "gemini-3.1-pro-preview": {  # the figures of gemini-3-pro-preview
        "1": (50, M, 1_000), "2": (1_000, 5 * M, None), "3": (2_000, 8 * M, None),
    },
}  # fmt: skip
ENQUEUED = {
    "pro": (5 * M, 500 * M, 1_000 * M),
    "flash": (3 * M, 400 * M, 1_000 * M),
    "flash-lite": (10 * M, 500 * M, 1_000 * M),
}
SPEND = {"1": 10, "2": 50, "3": 200}  # USD in ten minutes


def rules_of(model, project, *, book=GOOGLE, start=NOVEMBER, horizon=DAY, weights=None):
    service = Service.model_validate(book.service)
    made = ProjectOptions.model_validate(project)
    return resolve(book, model, start, service, project=made, horizon_ms=horizon, weights=weights)


def weighed(book=GOOGLE):
    return lambda model, at: spend_weights(book, model, at, book.terms)


# ---------------------------------------------------------------- the published tables


@pytest.mark.parametrize(("model", "tier"), [(model, tier) for model, rows in TABLE.items() for tier in rows])
def test_calls_have_the_published_limits_of_their_tier(model, tier):
    """Each row of the published table is the quota of its model in its tier; what it leaves open is no limit."""
    quota = rules_of(model, {"tier": tier}, weights=weighed()).epochs[0].quota
    expected = tuple(UNLIMITED if limit is None else limit for limit in TABLE[model][tier])
    assert (quota.requests, quota.tokens, quota.day) == expected
    assert quota.concurrency == UNLIMITED


def test_the_book_has_no_other_rows():
    """The catalogue holds the table and nothing else; the one row that offers nothing has no limits."""
    rows = {(model, tier) for model, tiers in TABLE.items() for tier in tiers}
    assert {key for key, row in GOOGLE.limits.quotas.items() if row.offered} == rows
    [absent] = [row for row in GOOGLE.limits.quotas.values() if not row.offered]
    assert (absent.model, absent.tier, absent.limits) == ("gemini-3.1-pro-preview", "free", (None, None, None))


@pytest.mark.parametrize("model", GOOGLE.models)
@pytest.mark.parametrize("tier", ["1", "2", "3"])
def test_batch_jobs_have_the_enqueued_limit_of_their_family(model, tier):
    """Every model of a family may enqueue what its tier says."""
    expected = ENQUEUED[GOOGLE.facts[model].family][int(tier) - 1]
    facts = GOOGLE.facts[model]
    assert allowance(GOOGLE.limits, facts, ProjectOptions(tier=tier)).enqueued == expected


@pytest.mark.parametrize(("tier", "usd"), SPEND.items())
def test_spend_is_limited_by_tier(tier, usd):
    """$10, $50 and $200 in any ten minutes, in whole picodollars; the free tier spends nothing."""
    assert rules_of("gemini-3.8-flash", {"tier": tier}, weights=weighed()).epochs[0].quota.spend == usd * PICO
    assert rules_of("gemini-3.8-flash", {"tier": "free"}).epochs[0].quota.spend == UNLIMITED


def test_every_limit_has_its_confidence_and_source():
    """What is published is marked B, what is taken over from another model assumed."""
    limits = GOOGLE.limits
    marks = {(row.model == "gemini-3.1-pro-preview", row.confidence) for row in limits.quotas.values()}
    assert marks == {(True, "assumed"), (False, "B")}
    assert {row.confidence for row in (*limits.enqueued.values(), limits.spend)} == {"B"}
    assert all(row.source for row in (*limits.quotas.values(), *limits.enqueued.values(), limits.spend))
    assert limits.priority_share == Fraction("0.3")


def test_a_project_without_a_tier_has_no_limits():
    """Without a tier, and under a book without limits, nothing is limited: the rules are those of a quota of none."""
    for book, project in ((GOOGLE, {}), (GUIDE, {}), (GUIDE, {"tier": 1})):
        for epoch in rules_of("gemini-2.5-flash", project, book=book).epochs:
            assert (epoch.quota, epoch.enqueued_tokens) == (NO_QUOTA, UNLIMITED)


def test_a_model_without_a_row_is_unlimited():
    """Nobody publishes limits of the newer models: their calls are not limited, their batch is by family."""
    epoch = rules_of("gemini-3.8-flash", {"tier": "1"}, weights=weighed()).epochs[0]
    assert (epoch.quota.requests, epoch.quota.tokens, epoch.quota.day) == (UNLIMITED,) * 3
    assert epoch.enqueued_tokens == 3 * M


def test_a_redirect_takes_the_limits_of_the_successor():
    """From 2026-12-01 the limits are those of the model that serves."""
    flash, lite = rules_of("gemini-2.5-flash", {"tier": "1"}, start=NOVEMBER, weights=weighed()).epochs
    assert (flash.quota.requests, flash.enqueued_tokens) == (1_000, 3 * M)
    assert (lite.quota.requests, lite.enqueued_tokens) == (UNLIMITED, 10 * M)


# ---------------------------------------------------------------- limits by hand

KEYS = {
    "requests_per_minute": "requests", "tokens_per_minute": "tokens", "requests_per_day": "day",
    "concurrent_requests": "concurrency", "enqueued_tokens": "enqueued",
}  # fmt: skip
NOBODYS = PublishedLimits(quotas={}, enqueued={}, spend=None, priority_share=None)
FACTS = GOOGLE.facts["gemini-2.5-pro"]
TIER_1 = allowance(GOOGLE.limits, FACTS, ProjectOptions(tier="1"))


@pytest.mark.parametrize(("key", "field"), KEYS.items())
def test_a_limit_by_hand_stands_over_that_of_the_tier(key, field):
    """A stated limit replaces its own key and no other, and the word takes it away."""
    stated = allowance(GOOGLE.limits, FACTS, ProjectOptions.model_validate({"tier": 1, "limits": {key: 7}}))
    lifted = allowance(GOOGLE.limits, FACTS, ProjectOptions.model_validate({"tier": 1, "limits": {key: "unlimited"}}))
    assert stated == TIER_1._replace(**{field: 7})
    assert lifted == TIER_1._replace(**{field: UNLIMITED})


@pytest.mark.parametrize(("usd", "pico"), [(0.1, PICO // 10), (7, 7 * PICO), (1e-13, 1), ("unlimited", UNLIMITED)])
def test_a_spend_limit_is_exact(usd, pico):
    """Dollars are taken as they are written, a tenth as a tenth; no limit is rounded down to none."""
    project = ProjectOptions.model_validate({"tier": 1, "limits": {"usd_per_10_minutes": usd}})
    assert allowance(GOOGLE.limits, FACTS, project) == TIER_1._replace(spend=pico)


def test_how_a_limit_is_counted_reaches_the_engine():
    """Window, burst and what a refused call uses up, for standard and for priority calls."""
    limits = {"window": "fixed", "burst": "10s", "rejected": "consume", "requests_per_minute": 5}
    for quota in (e for x in rules_of("gemini-2.5-pro", {"limits": limits}).epochs for e in (x.quota, x.priority)):
        assert (quota.fixed_window, quota.burst_ms, quota.rejected_consume) == (1, 10_000, 1)


LIMIT = st.none() | st.just("unlimited")


ANY_KEYS = st.fixed_dictionaries(dict.fromkeys((*KEYS, "usd_per_10_minutes"), LIMIT))


@given(ANY_KEYS, st.sampled_from(GOOGLE.models))
def test_what_is_unlimited_stays_so(limits, model):
    """No limit published and none stated is -1 in every field, for standard and priority calls, in every epoch."""
    limits = {key: value for key, value in limits.items() if value is not None}
    project = ProjectOptions.model_validate({"limits": limits})
    assert set(allowance(NOBODYS, GOOGLE.facts[model], project)) == {UNLIMITED}
    for epoch in rules_of(model, {"limits": limits}).epochs:
        assert (epoch.quota, epoch.priority, epoch.enqueued_tokens) == (NO_QUOTA, NO_QUOTA, UNLIMITED)


@given(st.sampled_from([UNLIMITED, 1, 2, 3, 4, 10, 150, 10**9]), st.fractions(Fraction(1, 1000), 1))
def test_priority_has_a_share_of_each_count(limit, share):
    """Calls of the priority tier have the share rounded down, one at least, and no limit where there is none."""
    rules = priority_rules(QuotaRules(requests=limit, tokens=limit, day=limit, spend=5, concurrency=5), share)
    part = UNLIMITED if limit == UNLIMITED else max(1, limit * share.numerator // share.denominator)
    assert rules == QuotaRules(requests=part, tokens=part, day=part)


def test_priority_has_three_tenths_of_the_published_limits():
    """2.5 Pro in tier 1: 45 requests and 600,000 tokens a minute, 3,000 requests a day; the guide has no priority."""
    epoch = rules_of("gemini-2.5-pro", {"tier": "1"}, weights=weighed()).epochs[0]
    assert epoch.priority == QuotaRules(requests=45, tokens=600 * K, day=3 * K)
    limited = rules_of("gemini-2.5-pro", {"limits": {"requests_per_minute": 10}}, book=GUIDE)
    assert limited.epochs[0].priority == NO_QUOTA


# ---------------------------------------------------------------- spend and prices


def test_a_spend_limit_splits_epochs_at_prices():
    """Weights change with the prices of the serving model, so only then does a price change begin an epoch."""
    start, change = midnight(dt.date(2026, 12, 31)), DAY
    limited = rules_of("gemini-3.8-flash", {"limits": {"usd_per_10_minutes": 5}}, start=start, weights=weighed())
    free = rules_of("gemini-3.8-flash", {}, start=start)
    assert [e.since for e in free.epochs] == [0]
    assert [e.since for e in limited.epochs] == [0, change]
    assert [e.quota.weights[0].input for e in limited.epochs] == [750_000, 1_500_000]
    assert [e.quota.weights for e in limited.epochs] == [
        spend_weights(GOOGLE, "gemini-3.8-flash", start + at, GOOGLE.terms) for at in (0, change)
    ]


def test_weights_are_asked_for_only_under_a_spend_limit():
    """Prices decide nothing where spend is not limited; a spend limit without weights is refused."""

    def never(model, at):
        raise AssertionError(model)

    rules_of("gemini-2.5-pro", {"limits": {"requests_per_minute": 5}}, weights=never)
    with pytest.raises(NotOffered, match="a spend limit needs the weights"):
        rules_of("gemini-2.5-pro", {"limits": {"usd_per_10_minutes": 5}})


# ---------------------------------------------------------------- days


@pytest.mark.parametrize(
    ("day", "hour"),
    [("2026-07-15", 7), ("2026-11-01", 7), ("2026-11-02", 8), ("2026-12-25", 8), ("2027-03-14", 8), ("2027-03-15", 7)],
)
def test_midnight_pacific_in_utc(day, hour):
    """A Pacific day begins at 07:00 UTC in summer and at 08:00 UTC in winter."""
    noon = midnight(dt.date.fromisoformat(day)) + 20 * HOUR
    assert noon + midnights(noon, 0)[0] == midnight(dt.date.fromisoformat(day)) + hour * HOUR


@pytest.mark.parametrize(("change", "hours"), [("2026-11-01", 25), ("2027-03-14", 23)])
def test_days_are_longer_or_shorter_when_clocks_change(change, hours):
    """The day on which clocks go back has 25 hours, that on which they go forward 23, and their neighbours 24."""
    start = midnight(dt.date.fromisoformat(change)) - 2 * DAY
    lengths = [after - before for before, after in pairwise(midnights(start, 6 * DAY))]
    assert sorted(set(lengths)) == sorted({24 * HOUR, hours * HOUR})
    assert lengths.count(hours * HOUR) == 1
    assert lengths.index(hours * HOUR) == 3  # the last midnight at or before the start is on the third day before


@given(st.integers(0, 4 * 10**12), st.integers(0, 400 * DAY))
def test_midnights_are_those_of_the_calendar(start, span):
    """They rise, begin at or before the start, reach over the span, and the Pacific clock shows midnight at each."""
    found = midnights(start, span)
    zone = ZoneInfo("America/Los_Angeles")
    assert found[0] <= 0 < found[0] + 25 * HOUR
    assert found[-1] <= span < found[-1] + 25 * HOUR
    assert all(23 * HOUR <= after - before <= 25 * HOUR for before, after in pairwise(found))
    for at in (found[0], found[-1]):
        wall = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=start + at)
        assert wall.astimezone(zone).time() == dt.time()


def test_a_midnight_at_the_end_of_the_span_is_known():
    """The span is closed: a midnight at its very end belongs to it, one a millisecond later does not."""
    assert midnights(NOVEMBER, 8 * HOUR) == (-16 * HOUR, 8 * HOUR)
    assert midnights(NOVEMBER, 8 * HOUR - 1) == (-16 * HOUR,)


def test_the_rules_know_the_days_of_the_run():
    """Midnights reach from the one before the start to 60 days after the last arrival."""
    days = rules_of("gemini-2.5-pro", {}, start=NOVEMBER, horizon=3 * DAY).days
    assert (days[0], days[1]) == (-16 * HOUR, 8 * HOUR)
    assert days[-1] == 8 * HOUR + 62 * DAY
    assert len(days) == 64


# ---------------------------------------------------------------- what no limit is


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        *(({key: 0}, "must be > 0: nothing would get through") for key in (*KEYS, "usd_per_10_minutes")),
        *(({key: -1}, "must be") for key in (*KEYS, "usd_per_10_minutes")),
        ({"requests_per_minute": 1.5}, "not a whole number"),
        ({"requests_per_minute": True}, "not a whole number"),
        ({"requests_per_day": "many"}, 'a whole number of calls, or "unlimited"'),
        ({"tokens_per_minute": "2x"}, "not a token count"),
        ({"usd_per_10_minutes": float("nan")}, "not a number"),
        ({"usd_per_10_minutes": float("inf")}, "must be at most 1,000,000"),
        ({"tokens_per_minute": "20000M"}, "must be at most 10,000,000,000"),
        ({"burst": "0s"}, "must be > 0"),
        ({"burst": "25h"}, "must be at most 1d"),
    ],
)  # fmt: skip
def test_a_wrong_limit_is_one_mistake(limits, says):
    """A limit of nothing, of too much or of no number is told in one sentence."""
    with pytest.raises(ValidationError) as caught:
        Limits.model_validate(limits)
    [error] = caught.value.errors()
    assert says in error["msg"]


@pytest.mark.parametrize(("tier", "read"), [("free", "free"), (1, "1"), ("2", "2"), (3, "3")])
def test_a_tier_may_be_written_as_a_number(tier, read):
    """The tiers are free, 1, 2 and 3."""
    assert ProjectOptions.model_validate({"tier": tier}).tier == read


@pytest.mark.parametrize("tier", [0, 4, "4", True, 1.0, "Free"])
def test_no_other_tier_exists(tier):
    """Whatever else is written is no tier."""
    with pytest.raises(ValidationError, match="not a usage tier"):
        ProjectOptions.model_validate({"tier": tier})


# ---------------------------------------------------------------- requests that no limit ever holds

DESK = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
replications = 2
[streams.short]
arrivals = { process = "constant", rate = "20/h" }
fresh = 1_000
output = 10
patience = "1m"
[streams.long]
arrivals = { process = "constant", rate = "10/h" }
fresh = 50_000
output = 10
patience = "12h"
"""


def warnings(strategies, *sets):
    """The warnings of a run of 19 short and 9 long prompts in each of two replications."""
    text = DESK + "".join(f"[strategies.{name}]\n" for name in strategies)
    return sim.run(read_scenario(parse(text.encode(), "s.toml"), "s", sets=sets)).warnings


def counts(strategies, *sets):
    return [text for text in warnings(strategies, *sets) if "by themselves" in text]


@pytest.mark.parametrize(
    ("strategy", "sets", "says"),
    [
        ("none", ["project.limits.tokens_per_minute=49999"], "above the limit of 49,999 tokens a minute"),
        ("none", ["project.limits.tokens_per_minute=50000"], None),
        ("none", ["project.limits.tokens_per_minute=50000", "project.limits.burst=59s"], "above the limit of 49,166"),
        ("none", ['project.limits={ tokens_per_minute = 50000, burst = "59s", window = "fixed" }'], None),
        ("none", ["project.limits.enqueued_tokens=10"], None),
        ("batch", ["project.limits.tokens_per_minute=10"], None),
        ("batch", ["project.limits.enqueued_tokens=49999"], "above the limit of 49,999 enqueued tokens"),
        ("batch", ["project.limits.enqueued_tokens=50000"], None),
        ("batch", ["service.batch.file_bytes=249999"], "above the limit of 49,999 tokens in a job"),
        ("batch", ["service.batch.file_bytes=250000"], None),
        ("batch", ["service.batch.inline_bytes=249999"], None),
        ("batch", ["service.batch.inline_bytes=249999", "strategies.batch.transport=inline"], "in an inline job"),
        ("routed", ["project.limits.tokens_per_minute=49999"], None),
        ("routed", ["project.limits.enqueued_tokens=49999"], "above the limit of 49,999 enqueued tokens"),
    ],
)  # fmt: skip
def test_requests_that_no_limit_holds_are_counted(strategy, sets, says):
    """A prompt above what a bucket, a queue or a file holds is never let through, and the run says of how many."""
    told = counts([strategy], *sets)
    assert len(told) == (says is not None), told
    if says is not None:
        assert says in told[0]
        assert told[0].startswith(f"{strategy} on gemini-2.5-flash: 18 of 56 requests are above")


def test_only_what_is_called_meets_the_limits_of_calls():
    """Of routed requests those without patience are called, and those with patience are batched."""
    [calls] = counts(["routed"], "project.limits.tokens_per_minute=999")
    [batched] = counts(["routed"], "project.limits.enqueued_tokens=999")
    assert "38 of 56 requests are above the limit of 999 tokens a minute" in calls
    assert calls.endswith("their calls are always refused")
    assert "18 of 56 requests are above the limit of 999 enqueued tokens" in batched
    assert batched.endswith("no job can hold them")


def test_a_bucket_too_flat_for_one_call_is_told():
    """Ten requests a minute with a burst of a second hold a sixth of a call: none is ever let through."""
    sets = ("project.limits.requests_per_minute=10", "project.limits.burst=1s")
    assert [text for text in warnings(["none"], *sets) if "refused" in text] == [
        "none on gemini-2.5-flash: 56 of 56 requests are always refused: the bucket of requests a minute never holds "
        "one, its burst is too short"
    ]
    enough = (sets[0], "project.limits.burst=6s")
    assert not [text for text in warnings(["none"], *enough) if "refused" in text]


def test_a_call_that_costs_more_than_may_be_spent_is_told():
    """A long call costs 50,000 x $0.30 + 10 x $2.50 by the million, $0.015025: above that limit it is let through.

    At half the price in the flex tier; batched requests are no calls.
    """
    text = (
        "{} on gemini-2.5-flash: 18 of 56 requests cost more by themselves, uncached, than may be spent in ten "
        "minutes: a call is let through where less was spent before it, and goes beyond the limit"
    )

    def told(strategy, usd):
        found = warnings([strategy], f"project.limits.usd_per_10_minutes={usd}")
        return [warning for warning in found if "uncached" in warning]

    assert (told("none", 0.015024), told("none", 0.015025)) == ([text.format("none")], [])
    assert (told("flex", 0.0075124), told("flex", 0.0075125)) == ([text.format("flex")], [])
    assert told("batch", 0.000001) == []


def test_limits_that_nobody_publishes_are_named():
    """A model without a row is unlimited, and listed as such by name and tier; a stated limit is no question."""
    text = "no limits of {} in tier 2 are published: its calls are taken to be unlimited"
    sets = ("project.tier=2",)
    assert text.format("gemini-2.5-flash") not in warnings(["none"], *sets)
    newer = ('models=["gemini-3.8-flash"]', *sets)
    assert text.format("gemini-3.8-flash") in warnings(["none"], *newer)
    stated = 'project.limits={ requests_per_minute = 9, tokens_per_minute = 1000000, requests_per_day = "unlimited" }'
    assert text.format("gemini-3.8-flash") not in warnings(["none"], *newer, stated)
    assert not [told for told in warnings(["none"], newer[0]) if "published" in told]


def test_a_queue_that_nobody_publishes_is_named():
    """The guide knows no limit of enqueued tokens either."""
    told = warnings(["batch"], "project.tier=1", "book=guide")
    assert "no limit of enqueued tokens of gemini-2.5-flash in tier 1 is published: it is taken for none" in told
    assert "no limits of gemini-2.5-flash in tier 1 are published: its calls are taken to be unlimited" in told


# ---------------------------------------------------------------- gcsim prices


def printed(capsys, *argv):
    with pytest.raises(SystemExit) as left:
        main(["prices", *argv])
    assert not left.value.code
    return capsys.readouterr().out


@pytest.mark.parametrize("model", TABLE)
def test_prices_tells_the_limits_of_a_model(capsys, model):
    """``gcsim prices MODEL`` prints the limits of each tier with their confidence, in a table and as JSON."""
    table = printed(capsys, model)
    [row] = json.loads(printed(capsys, model, "--json"))["models"]
    assert [tier["tier"] for tier in row["limits"]] == ["free", "1", "2", "3"]
    for tier in row["limits"]:
        limits = TABLE[model].get(tier["tier"])
        assert tier["offered"] == (limits is not None)
        names = ("requests_per_minute", "tokens_per_minute", "requests_per_day")
        assert tuple(tier["calls"][name] for name in names) == (limits or (None, None, None))
        assert tier["calls"]["confidence"] == ("assumed" if "3.1" in model else "B")
        for limit in limits or ():
            assert limit is None or f" {limit:,} " in table
        if tier["tier"] != "free":
            number = int(tier["tier"]) - 1
            assert tier["enqueued"]["tokens"] == ENQUEUED[GOOGLE.facts[model].family][number]
            assert tier["spend"]["usd_per_10_minutes"] == str(SPEND[tier["tier"]])
    assert ("not offered" in table) == ("free" not in TABLE[model])


def test_prices_says_where_no_limit_is_published(capsys):
    """A model without a row has question marks, a book without limits a sentence, and the catalogue no table."""
    rows = [line.split() for line in printed(capsys, "gemini-3.8-flash").splitlines()]
    assert ["1", "?", "?", "?", "3,000,000", "10", "B"] in rows
    assert "No limits of gemini-2.5-pro are published." in printed(capsys, "gemini-2.5-pro", "--book", "guide")
    assert "usage tier" not in printed(capsys)
