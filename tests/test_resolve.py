"""From the shipped books to an engine's rules: epochs at redirects and changed minimums, a scenario's overrides."""

import datetime as dt

import pytest
from worlds import service as made_service

from sim.document import parse, validate
from sim.providers import load_book
from sim.providers.client import ClientOptions
from sim.providers.resolve import merged, resolve
from sim.providers.rules import (
    CHANCE_ONE,
    FACTOR_ONE,
    NOT_OFFERED,
    SHARE_ONE,
    UNLIMITED,
    BatchRules,
    ClientRules,
    OverloadRules,
)
from sim.providers.scaled import law
from sim.providers.service import Latency, Service

DAY = 86_400_000


def ms(text):
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


def rules_of(book, model, start, overrides=None, client=None):
    opened = load_book(book)
    service = Service.model_validate(merged(opened.service, overrides or {}))
    return resolve(opened, model, ms(start), service, client or ClientOptions())


def client_of(text):
    """The client of a scenario's ``[client]`` table."""
    document = parse(text.encode(), "s.toml")
    return validate(document, ClientOptions)


@pytest.mark.parametrize(
    ("model", "successor"),
    [("gemini-2.5-pro", "gemini-3.8-flash"), ("gemini-2.5-flash", "gemini-3.5-flash-lite")],
)
def test_a_redirect_ends_an_epoch(model, successor):
    """On 2026-12-01 the successor serves, by its own minimums and latency; explicit caches end there."""
    rules = rules_of("google", model, "2026-11-29T12:00Z")
    assert rules.models == (model, successor)
    turn = ms("2026-12-01T00:00Z") - ms("2026-11-29T12:00Z")
    assert [(e.since, e.until, e.model) for e in rules.epochs] == [(0, turn, 0), (turn, -1, 1)]
    old, new = rules.epochs
    assert (old.explicit_minimum, old.implicit_minimum) == (2_048, 2_048)
    assert (new.explicit_minimum, new.implicit_minimum) == (4_096, 4_096)
    assert old.latency != new.latency


@pytest.mark.parametrize(("start", "served"), [("2026-11-30T23:59:59.999Z", 2), ("2026-12-01T00:00Z", 1)])
def test_the_redirect_is_half_open(start, served):
    """A run that starts at the redirect never meets the model that was shut down."""
    rules = rules_of("google", "gemini-2.5-flash", start)
    assert len(rules.models) == len(rules.epochs) == served
    assert rules.models[-1] == "gemini-3.5-flash-lite"
    assert rules.epochs[0].since == 0


def test_redirects_can_be_switched_off():
    """``service.redirects = false``: the model serves for ever."""
    rules = rules_of("google", "gemini-2.5-flash", "2026-11-30T00:00Z", {"redirects": False})
    assert rules.models == ("gemini-2.5-flash",)
    assert [(e.since, e.until) for e in rules.epochs] == [(0, -1)]


def test_a_model_that_stays_has_one_epoch():
    """No redirect, no change: one epoch without end."""
    rules = rules_of("google", "gemini-3.8-flash", "2026-11-30T00:00Z")
    assert [(e.since, e.until, e.model) for e in rules.epochs] == [(0, -1, 0)]


def test_minimums_change_by_date():
    """2.5 Pro cached implicitly from 2,048, 4,096 and 2,048 tokens: each change begins an epoch of the same model."""
    rules = rules_of("google", "gemini-2.5-pro", "2025-08-30T00:00Z")
    turns = [0, 2 * DAY, ms("2026-06-01T00:00Z") - rules.start_ms, ms("2026-12-01T00:00Z") - rules.start_ms]
    assert [(e.since, e.implicit_minimum, e.model) for e in rules.epochs] == [
        (turns[0], 2_048, 0),
        (turns[1], 4_096, 0),
        (turns[2], 2_048, 0),
        (turns[3], 4_096, 1),
    ]
    assert {e.until for e in rules.epochs[:3]} == {turns[3]}


@pytest.mark.parametrize(
    ("day", "minimum"),
    [("2026-05-31T23:59:59.999Z", 1_024), ("2026-06-01T00:00Z", 2_048), ("2025-06-17T00:00Z", 1_024)],
)
def test_a_minimum_holds_from_its_date(day, minimum):
    """The day before a change has the old minimum, the instant of change the new one."""
    assert rules_of("google", "gemini-2.5-flash", day).epochs[0].implicit_minimum == minimum


def test_a_model_without_implicit_caching():
    """2.0 Flash caches explicitly only."""
    epoch = rules_of("google", "gemini-2.0-flash", "2026-11-23T00:00Z").epochs[0]
    assert (epoch.implicit_minimum, epoch.explicit_minimum) == (NOT_OFFERED, 2_048)


def test_the_guides_rules():
    """The guide: its own minimums, implicit caching only where asked for, no redirects."""
    pro, flash = (rules_of("guide", model, "2026-11-30T00:00Z") for model in ("gemini-2.5-pro", "gemini-2.5-flash"))
    assert (pro.epochs[0].explicit_minimum, flash.epochs[0].explicit_minimum) == (4_096, 1_024)
    assert (pro.implicit.on, rules_of("google", "gemini-2.5-pro", "2026-11-23T00:00Z").implicit.on) == (False, True)
    assert [e.until for e in (*pro.epochs, *flash.epochs)] == [-1, -1]


def test_a_scenario_overrides_minimums_and_latency():
    """What a scenario says of the service holds for every model and date."""
    latency = {"base_s": 1, "per_uncached_token_ms": 0.5, "per_cached_token_ms": 0.25, "output_tokens_per_s": 100}
    changes = {"explicit": {"minimum_tokens": 7}, "implicit": {"minimum_tokens": 9}, "latency": latency}
    rules = rules_of("google", "gemini-2.5-pro", "2026-11-30T00:00Z", changes)
    assert {(e.explicit_minimum, e.implicit_minimum) for e in rules.epochs} == {(7, 9)}
    assert {tuple(e.latency) for e in rules.epochs} == {(10**9, 500_000, 250_000, 10**7)}


def test_an_override_makes_no_cache_where_none_is_offered():
    """A minimum given for a model without implicit caching changes nothing."""
    rules = rules_of("google", "gemini-2.0-flash", "2026-11-23T00:00Z", {"implicit": {"minimum_tokens": 9}})
    assert rules.epochs[0].implicit_minimum == NOT_OFFERED


def test_chances_and_shares_are_scaled():
    """Chances become thresholds of 32-bit draws, shares 1/65,536."""
    steps = [{"from_tokens": 0, "chance": 0.25}, {"from_tokens": 100, "chance": 1.0}]
    changes = {
        "implicit": {"hit_chance": steps, "in_batch": "sequential", "available": "arrival", "block_tokens": 64},
        "batch": {"failure_chance": 0.5, "job_failure_chance": 0.0},
    }
    rules = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z", changes)
    assert rules.implicit.steps == ((0, CHANCE_ONE // 4), (100, CHANCE_ONE))
    assert (rules.implicit.in_batch, rules.implicit.at_arrival, rules.implicit.block) == (2, True, 64)
    assert (rules.batch.failure, rules.batch.job_failure) == (CHANCE_ONE // 2, 0)
    assert rules.batch.pending_share == round(0.7 * SHARE_ONE)
    assert rules.flex.shed == round(0.05 * CHANCE_ONE)


def test_a_book_alone_limits_no_batch():
    """What limits a job is a matter of the platform, whose table is laid over the service: without one nothing does."""
    assert rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z").batch == BatchRules(
        pending_share=round(0.7 * SHARE_ONE),
        expires_after=UNLIMITED,
        failure=round(0.002 * CHANCE_ONE),
        job_failure=0,
    )


def test_the_batch_api_in_integers():
    """Each key of ``[service.batch]`` reaches the engine: files in whole tokens, a factor in 1/65,536."""
    batch = {
        "expires_after": "2d", "pending_limit": "3d", "running_limit": "1d", "jobs": 7, "job_requests": 9,
        "file_bytes": 1_003, "inline_bytes": 99, "bytes_per_token": 4, "lost_reply_chance": 0.5, "lost_after": "9s",
        "slow": {"every": "10d", "lasts": "1d", "factor": 2.5}, "job_failure_chance": 0.25, "failure_chance": 0.125,
    }  # fmt: skip
    assert rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z", {"batch": batch}).batch == BatchRules(
        pending_share=round(0.7 * SHARE_ONE),
        expires_after=2 * DAY,
        failure=CHANCE_ONE // 8,
        job_failure=CHANCE_ONE // 4,
        pending_limit=3 * DAY,
        running_limit=DAY,
        jobs=7,
        job_requests=9,
        job_tokens=1_003 // 4,
        inline_tokens=99 // 4,
        lost_reply=CHANCE_ONE // 2,
        lost_after=9_000,
        slow_factor=FACTOR_ONE * 5 // 2,
    )


def test_the_words_that_take_a_limit_away():
    """``"never"`` and ``"unlimited"`` are no limit, as a key left out is none."""
    words = {"expires_after": "never", "running_limit": "never", "pending_limit": "never"}
    words |= {"jobs": "unlimited", "job_requests": "unlimited", "file_bytes": "unlimited", "inline_bytes": "unlimited"}
    plain = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z")
    assert rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z", {"batch": words}) == plain


def test_the_rest_of_the_service_in_integers():
    """Refusals, flex, overload and the size of explicit caches reach the engine; no overload changes nothing."""
    calm = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z")
    assert (calm.refusal_ms, calm.overload) == (100, OverloadRules(shed=0, slowdown=FACTOR_ONE))
    assert {e.explicit_maximum for e in calm.epochs} == {1_048_576}
    changes = {
        "refusal": "20ms",
        "overload": {"every": "1h", "lasts": "1m", "shed_chance": 0.5, "slowdown": 1.5},
        "flex": {"shed_chance": 1.0},
        "explicit": {"maximum_tokens": "50k"},
        "implicit": {"sightings": 3},
    }
    rules = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z", changes)
    assert (rules.refusal_ms, rules.flex.shed, rules.implicit.sightings) == (20, CHANCE_ONE, 3)
    assert rules.overload == OverloadRules(shed=CHANCE_ONE // 2, slowdown=FACTOR_ONE * 3 // 2)
    assert {e.explicit_maximum for e in rules.epochs} == {50_000}


def test_the_client_in_integers():
    """Each key of ``[client]`` reaches the engine; a time-out that is not given is none."""
    usual = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z")
    assert usual.client == ClientRules(
        concurrency=-1, attempts=5, base=1_000, factor=2 * FACTOR_ONE, cap=60_000, jitter=1, honour=1, timeout=-1,
        give_up=-1,
    )  # fmt: skip
    assert usual.explicit.recreate == 1
    text = """
concurrency = 3
attempts = 7
backoff = { base = "2s", factor = 1.5, cap = "9s", jitter = "equal", honour_retry_delay = false }
timeout = "30s"
give_up_after = "5m"
on_forbidden = "uncached"
"""
    rules = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z", client=client_of(text))
    assert rules.client == ClientRules(
        concurrency=3, attempts=7, base=2_000, factor=FACTOR_ONE * 3 // 2, cap=9_000, jitter=2, honour=0,
        timeout=30_000, give_up=300_000,
    )  # fmt: skip
    assert rules.explicit.recreate == 0


@pytest.mark.parametrize(("jitter", "number"), [("none", 0), ("full", 1), ("equal", 2)])
def test_jitters_are_numbered(jitter, number):
    """The three jitters are the numbers that the law of back-off knows."""
    rules = rules_of(
        "google", "gemini-2.5-flash", "2026-11-23T00:00Z", client=client_of(f'backoff = {{ jitter = "{jitter}" }}')
    )
    assert rules.client.jitter == number


def test_a_latency_is_whole_nanoseconds():
    """2.5 Flash: 0.29 s, 0.018 ms a token, 232 tokens/s."""
    latency = Latency(base_s=0.29, per_uncached_token_ms=0.018, per_cached_token_ms=0.0045, output_tokens_per_s=232)
    assert law(latency) == (290_000_000, 18_000, 4_500, 4_310_345)


def test_lists_are_replaced_whole():
    """Tables are laid over each other key by key, lists are not."""
    assert merged({"a": {"b": [1, 2], "c": 3}}, {"a": {"b": [9]}}) == {"a": {"b": [9], "c": 3}}


def test_resolving_changes_with_the_start_only_by_a_shift():
    """P64: a later start moves every date by the difference and nothing else."""
    book, service = load_book("google"), made_service()
    start = ms("2026-11-20T00:00Z")
    early, late = (resolve(book, "gemini-2.5-pro", start + shift, service) for shift in (0, 5 * DAY))
    moved = [
        e._replace(since=max(0, e.since - 5 * DAY), until=e.until if e.until < 0 else e.until - 5 * DAY)
        for e in early.epochs
    ]
    assert list(late.epochs) == moved
