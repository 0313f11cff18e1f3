"""From the shipped books to an engine's rules: epochs at redirects and changed minimums, a scenario's overrides."""

import datetime as dt

import pytest
from worlds import service as made_service

from sim.providers import load_book
from sim.providers.client import ClientOptions
from sim.providers.resolve import law, merged, resolve
from sim.providers.rules import CHANCE_ONE, NOT_OFFERED, SHARE_ONE
from sim.providers.service import Latency, Service

DAY = 86_400_000


def ms(text):
    return int(dt.datetime.fromisoformat(text).timestamp() * 1000)


def rules_of(book, model, start, overrides=None, client=None):
    opened = load_book(book)
    service = Service.model_validate(merged(opened.service, overrides or {}))
    return resolve(opened, model, ms(start), service, client or ClientOptions())


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
    assert rules.batch.expires_after == 2 * DAY


def test_the_clients_slots():
    """``[client] concurrency`` reaches the engine; none means no limit."""
    assert rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z").concurrency == -1
    limited = rules_of("google", "gemini-2.5-flash", "2026-11-23T00:00Z", client=ClientOptions(concurrency=3))
    assert limited.concurrency == 3


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
