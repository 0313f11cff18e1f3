"""Laws across modules: the power of exact oracles, the clock, prices that decide nothing, and bytes that stay."""

import dataclasses
import json
import os
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import simpy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from queues import integral
from strategies import ledgers, one_cache
from test_batch_machine import cases
from workloads import agrees, variances
from worlds import BASE, INSTANT, keeping, plan, rules, simulate, world

import sim
from sim import stats
from sim.billing import price_request, rate
from sim.document import parse
from sim.engines.reference import clock, run
from sim.ledger import Ledger, Mode
from sim.providers import load_book
from sim.providers.prices import PICO
from sim.report.figures import Dollars
from sim.scenario import read_scenario
from sim.units import HOUR

GOOGLE = load_book("google")

# ---------------------------------------------------------------- the power of exact oracles


def test_littles_identity_has_power():
    """O10's control: who counts from the service on, or stops the clock with somebody inside, misses the identity."""
    ledger = simulate(world([0, 5, 9], fresh=[20, 30, 5]), plan("none"), rules(concurrency=1))
    arrived, sent, done = (column.tolist() for column in (ledger.arrived, ledger.sent, ledger.done))
    sojourns = sum(done) - sum(arrived)
    assert integral(arrived, done)[0] == sojourns
    assert integral(sent, done)[0] != sojourns
    early = max(done) - 1
    assert integral(arrived, [min(at, early) for at in done])[0] != sojourns


@pytest.mark.parametrize(("period", "ttl"), [(1_000, 3_000), (7, 70), (1, 5)])
def test_the_metronome_has_power(period, ttl):
    """O16's control: where a tick falls on the expiry, the closed interval and the one that reads extend are wrong."""
    half_open = sum(k * period < ttl for k in range(1, ttl // period + 2))
    closed = sum(k * period <= ttl for k in range(1, ttl // period + 2))
    arrive = [period * tick for tick in range(3 * (closed + 1))]
    fixed, extended = (
        simulate(world(arrive, depth=[9]), keeping(ttl=ttl, renew_on_use=use), rules(latency=INSTANT)) for use in (0, 1)
    )
    hits = set((fixed.cache_reads[:-1] - 1).tolist())
    assert hits == {half_open}
    assert closed not in hits
    assert (extended.cache_reads - 1).tolist() == [len(arrive) - 1] != fixed.cache_reads.tolist()


def test_the_storage_of_a_life_has_power():
    """O19's control: a closed interval, started hours, or tokens without their time are other amounts."""
    ledger = simulate(world([0], depth=[11]), keeping(ttl=3 * HOUR // 2), rules(latency=INSTANT))
    stored = Fraction(ledger.storage_token_ms, HOUR)
    assert stored == Fraction("16.5")
    assert stored not in (11 * Fraction(3 * HOUR // 2 + 1, HOUR), 11 * 2, 11)


@pytest.mark.parametrize("at", [60, 400])
def test_calls_without_a_limit_are_an_infinite_server(at):
    """O5: from empty the calls in flight at t are Poisson of mean λ E[min(S, t + 1)] on whole ms; bursts are not."""
    gap, longest, runs = 5, 180, 1_200

    def in_flight(replication, size):
        draw = np.random.default_rng([5, replication])
        begins = np.cumsum(draw.exponential(gap * size, 500 // gap * 3 // size)).repeat(size).astype(int)
        assert begins[-1] > at
        begins = begins[begins <= at]
        ledger = simulate(world(begins, fresh=draw.integers(0, longest, len(begins))), plan("none"), rules())
        return int(np.count_nonzero((ledger.sent <= at) & (at < ledger.done)))

    mean = np.minimum(BASE + np.arange(longest), at + 1).mean() / gap
    counts = [in_flight(replication, 1) for replication in range(runs)]
    assert agrees(counts, mean)
    assert agrees(variances(counts, 30), mean)
    assert not agrees(counts, (at + 1) / gap)
    bursts = [in_flight(replication, 4) for replication in range(runs)]
    assert agrees(bursts, mean)
    assert not agrees(variances(bursts, 30), mean)


# ---------------------------------------------------------------- the clock


def watched(monkeypatch):
    """Let every SimPy environment write down each instant; return what it wrote."""
    instants = []

    class Watched(simpy.Environment):
        def step(self):
            super().step()
            instants.append(self.now)

    monkeypatch.setattr(clock.simpy, "Environment", Watched)
    return instants


@given(cases())
@settings(max_examples=100, deadline=None)
def test_the_clock_never_goes_back(case):
    """P61: instants are whole numbers, the first is not before 0, and none is before the one before it."""
    with pytest.MonkeyPatch.context() as patch:
        instants = watched(patch)
        run(*case)
    assert instants
    assert all(type(at) is int for at in instants)
    assert [0, *instants] == sorted([0, *instants])


def test_a_clock_that_goes_back_is_seen():
    """P61's control: an event in the past, which SimPy does not refuse, is met by the check above."""
    with pytest.MonkeyPatch.context() as patch:
        instants = watched(patch)
        ours = clock.Clock(1)
        ours.at(9, clock.END, 0, 0, lambda request: ours.at(4, clock.END, request, 0, lambda _request: None))
        ours.run()
    assert instants == [9, 4] != sorted(instants)


# ---------------------------------------------------------------- prices

STUDY = b"""
question = "What decides?"
start = "2026-11-23T00:00:00Z"
horizon = "90m"
models = ["gemini-3.8-flash"]
replications = 2
[contexts.long]
count = 2
tokens = "6k"
[contexts.short]
tokens = "3k"
[streams.readers]
arrivals = { process = "poisson", rate = "30/h" }
context = "long"
fresh = { law = "lognormal", mean = 300, cv = 1.0 }
output = 100
patience = "30s"
[streams.tickets]
arrivals = { process = "poisson", rate = "30/h" }
context = "short"
fresh = 50
output = 20
patience = "12h"
[strategies.none]
[strategies.implicit]
[strategies.explicit]
pad = true
[strategies.batch]
[strategies.hybrid]
[strategies.routed]
"""


def studied(book=GOOGLE):
    """The study's result under a book."""
    scenario = read_scenario(parse(STUDY, "study.toml"), "study")
    return sim.run(dataclasses.replace(scenario, book=book), keep_requests=True)


@pytest.fixture(scope="module")
def study():
    return studied()


def with_prices(change, book=GOOGLE):
    """The same book, each entry's prices changed."""
    return dataclasses.replace(
        book,
        entries={
            model: tuple(dataclasses.replace(entry, prices=change(entry.prices)) for entry in entries)
            for model, entries in book.entries.items()
        },
    )


def same(a: Ledger, b: Ledger) -> bool:
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("factor", [3, 1_000])
def test_a_scale_of_all_prices_decides_nothing(study, factor):
    """P5: at k times all prices every strategy does what it did, padding included, and each bill is k times as high."""
    dear = studied(with_prices(lambda prices: {column: price * factor for column, price in prices.items()}))
    for one, other in zip(study.kept, dear.kept, strict=True):
        assert same(one.ledger, other.ledger)
    for one, other in zip(study.cells, dear.cells, strict=True):
        assert other.total_usd == factor * one.total_usd > 0


def test_padding_is_a_decision_of_prices(study):
    """P5's control: the study does pad, and does not where a cached token costs what an uncached one does."""

    def padded(result):
        return sum(
            int(np.count_nonzero(kept.ledger.cache_tokens == 4_096))
            for kept in result.kept
            if kept.strategy == "explicit"
        )

    flat = with_prices(lambda prices: {**prices, "cached": prices["input"]})
    assert padded(study) > 0 == padded(studied(flat))


@given(ledgers())
def test_modes_that_nobody_uses_change_nothing(ledger):
    """P6: the prices of batch and flex, and the factor of priority, are no part of a bill of standard calls."""
    calls = ledger._replace(mode=ledger.mode * 0, duplicate_mode=ledger.duplicate_mode * 0)
    bare = with_prices(lambda prices: {column: price for column, price in prices.items() if "batch" not in column})
    without = {
        model: tuple(dataclasses.replace(entry, flex=False, priority=None) for entry in entries)
        for model, entries in bare.entries.items()
    }
    assert rate(calls, dataclasses.replace(bare, entries=without)).lines == rate(calls, GOOGLE).lines


@given(*[st.integers(200_001, 10**6)] * 2, *[st.integers(0, 10**6)] * 2)
@example(200_001, 200_001, 0, 0)
def test_linear_inside_the_long_tier(a, b, x, y):
    """P13: above the limit too the cost of a sum is the sum of the costs; across the limit it is not."""

    def usd(prompt, output):
        at = GOOGLE.checked_ms
        return price_request(GOOGLE, "gemini-2.5-pro", Mode.STANDARD, at, prompt=prompt, output=output).total

    assert usd(a + b, x + y) == usd(a, x) + usd(b, y)
    assert usd(150_000 + 100_000, x) > usd(150_000, x) + usd(100_000, 0)


def tokens_usd(ledger, entry, *, cached, mode):
    """The dollars of all billed tokens of a ledger as if every prompt was cached, or none, in one mode."""
    done = ledger.done_mask
    prompt = int(ledger.prompt[done].sum() + ledger.duplicate_prompt.sum())
    output = int(ledger.output[done].sum() + ledger.duplicate_output.sum())
    line = "cached" if cached else "input"
    return Fraction(prompt * entry.price(line, mode) + output * entry.price("output", mode), PICO)


def test_the_bill_of_every_strategy_lies_in_its_bounds(study):
    """P18: without creation and storage a bill lies between all cached in batch and all uncached at standard prices."""
    entry = GOOGLE.entry("gemini-3.8-flash", GOOGLE.checked_ms)
    strict = set()
    ledger_of = {(kept.strategy, kept.replication): kept.ledger for kept in study.kept}
    for cell in study.cells:
        ledger = ledger_of[cell.strategy, cell.replication]
        found = cell.total_usd - cell.lines_usd["creation"] - cell.lines_usd["storage"]
        low = tokens_usd(ledger, entry, cached=True, mode=Mode.BATCH)
        high = tokens_usd(ledger, entry, cached=False, mode=Mode.STANDARD)
        assert low < found <= high
        strict |= {cell.strategy} if found < high else set()
    assert strict == {"implicit", "explicit", "batch", "hybrid", "routed"}


@pytest.mark.parametrize(("terms", "ms"), [("lifetime", 0), ("committed", 500)])
def test_a_life_of_nothing_is_billed_for_nothing_or_for_its_ttl(terms, ms):
    """P32: a cache that is deleted when it is born pays its creation, and storage only where the TTL is billed."""
    ledger = one_cache("gemini-2.5-pro", GOOGLE.checked_ms, 5_000, 0, ms or 500)
    lines = rate(ledger, GOOGLE, GOOGLE.terms.model_copy(update={"storage": terms})).by_line()
    assert lines["storage"] == 5_000 * Fraction("4.50") / 10**6 * ms / HOUR
    assert lines["creation"] == 5_000 * Fraction("1.25") / 10**6


def test_common_luck_makes_no_difference_more_uncertain():
    """P84: a paired difference varies at most 1.05 times as much as one of independent runs, which vary as they do."""
    common, other = (sim.run(read_scenario(parse(STUDY, "s.toml"), "s"), replications=40, seed=seed) for seed in (1, 2))

    def costs(result, strategy):
        return [cell.total_usd for cell in result.of(strategy, "gemini-3.8-flash")]

    none = costs(common, "none")
    for strategy in ("implicit", "explicit", "batch", "hybrid", "routed"):
        assert stats.variance_ratio(costs(common, strategy), none) <= 1.05
    assert stats.variance_ratio(costs(common, "batch"), none) < 0.5 < stats.variance_ratio(costs(other, "batch"), none)


# ---------------------------------------------------------------- bytes


def test_no_hash_seed_moves_a_byte_of_a_saved_run(tmp_path):
    """P72: under two values of PYTHONHASHSEED a run prints the same bytes, saves them, and names its folder alike."""
    (tmp_path / "study.toml").write_bytes(STUDY)
    printed, names = set(), set()
    for seed in ("1", "31337"):
        argv = [sys.executable, "-m", "sim", "run", "study.toml", "--replications", "2", "--json", "--out", seed]
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(Path(__file__).parent.parent)}
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, check=True)
        (summary,) = (tmp_path / seed).rglob("summary.json")
        assert json.loads(summary.read_bytes()) == json.loads(done.stdout)
        printed |= {(done.stdout, summary.read_bytes(), (summary.parent / "replications.parquet").read_bytes())}
        names |= {summary.parent.name.partition("-")[2]}
    assert len(printed) == len(names) == 1


@given(st.floats(-1e9, 1e9), st.integers(0, 6))
@example(0.015, 2)
@example(0.025, 2)
@example(-0.015, 2)
@example(-1e-9, 2)
def test_money_is_rounded_half_to_even(amount, digits):
    """P92: the text is within half a unit, at the middle even, has exactly its digits, and is never -0.00."""
    dollars = Dollars([])
    dollars.digits = digits
    usd, printed = Fraction(repr(amount)), dollars.text(amount, sign=amount > 0)
    text = printed.replace("−", "-").replace("$", "").replace(",", "")
    unit = Fraction(1, 10**digits)
    apart = abs(Fraction(text) - usd)
    assert apart <= unit / 2
    assert apart < unit / 2 or Fraction(text) / unit % 2 == 0
    assert -Decimal(text).as_tuple().exponent == digits
    assert Fraction(text) != 0 or not text.startswith("-")
