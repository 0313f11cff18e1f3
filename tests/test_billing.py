"""Billing: exact, additive, and equal to a naive rater that reads the book's file by itself."""

import dataclasses
import datetime as dt
import itertools
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from strategies import (
    CALL,
    DAY_2026,
    LEDGER_MODELS,
    NEW_YEAR,
    REQUEST_FIELDS,
    clashing_ms,
    clashing_tokens,
    ledger_of,
    ledgers,
    one_cache,
    part_of,
)

import sim.providers
from sim.billing import decimal_text, price_request, rate, spend_weights
from sim.errors import EngineError, PriceMissing
from sim.ledger import Ledger, Mode, Status
from sim.providers import LINES, Terms, load_book
from sim.providers.facts import midnight
from sim.providers.rules import SpendLaw

BOOK = load_book("google")
GUIDE = load_book("guide")
RAW = tomllib.loads(Path(sim.providers.__file__).with_name("google.toml").read_text(), parse_float=Decimal)
HOUR = 3_600_000
TERMS = [
    Terms(creation=c, storage=s, batch_cached=b)
    for c, s, b in itertools.product(("input", "free"), ("lifetime", "committed"), ("published", "standard", "stacked"))
]
terms = st.sampled_from(TERMS)


def mtok(price, tokens):
    """Return dollars for tokens at a price per 1M."""
    return Fraction(price) * tokens / 10**6


def row_at(model, at):
    """Return the row of the file in force, found by looking at each."""
    for row in RAW["prices"]:
        end = row.get("valid_until")
        if row["model"] == model and midnight(row["valid_from"]) <= at and (end is None or at < midnight(end)):
            return row
    raise LookupError(model)


def naive_call(model, mode, prompt, cached, audio, cached_audio, output, at, rule):
    """Return the dollars of one call from the file's row alone."""
    row = row_at(model, at)
    long = "long_" if "long_over" in row and prompt > row["long_over"] else ""
    batch = "batch_" if mode in (Mode.BATCH, Mode.FLEX) else ""
    factor = Fraction("1.8") if mode == Mode.PRIORITY else 1
    text, hit = Fraction(row[f"{long}{batch}input"]), Fraction(row[f"{long}{batch}cached"])
    full = Fraction(row[f"{long}cached"])  # the standard price of a cached token
    heard, heard_hit = text, hit
    if "audio_input" in row and not long:
        heard = row[f"{batch}audio_input"]
        heard_hit = Fraction(row["audio_cached"]) * hit / full
    if batch and rule != "published":
        share = full / hit / (2 if rule == "stacked" else 1)
        hit, heard_hit = hit * share, heard_hit * share
    usd = mtok(text, prompt - cached - (audio - cached_audio)) + mtok(heard, audio - cached_audio)
    usd += mtok(hit, cached - cached_audio) + mtok(heard_hit, cached_audio)
    return (usd + mtok(row[f"{long}{batch}output"], output)) * factor


def naive(ledger, chosen):
    """Return the dollars of a ledger, call by call and cache by cache, in rationals."""
    total = Fraction(0)
    for prefix, count in (("", len(ledger.prompt)), ("duplicate_", len(ledger.duplicate_prompt))):
        for i in range(count):
            if not prefix and ledger.status[i] != Status.DONE:
                continue
            model, *rest, sent = (int(getattr(ledger, prefix + name)[i]) for name in CALL)
            total += naive_call(ledger.models[model], *rest, ledger.start_ms + sent, chosen.batch_cached)
    for i in range(len(ledger.cache_tokens)):
        total += naive_cache(ledger, i, chosen)
    return total


def naive_cache(ledger, i, chosen):
    """Return the dollars of one explicit cache."""
    model, tokens, audio = ledger.models[ledger.cache_model[i]], int(ledger.cache_tokens[i]), int(ledger.cache_audio[i])
    born = ledger.start_ms + int(ledger.cache_born[i])
    end = ledger.cache_committed if chosen.storage == "committed" else ledger.cache_until
    until = ledger.start_ms + int(end[i])
    row = row_at(model, born)
    total = Fraction(0)
    if chosen.creation == "input":
        long = "long_" if "long_over" in row and tokens > row["long_over"] else ""
        heard = row[f"{long}input"] if long else row.get("audio_input", row["input"])
        total += mtok(row[f"{long}input"], tokens - audio) + mtok(heard, audio)
    cuts = [born, *(t for t in (NEW_YEAR,) if born < t < until), until]
    for a, b in itertools.pairwise(cuts):
        total += mtok(row_at(model, a)["storage"], tokens) * (b - a) / HOUR
    return total


def usd(model, prompt, output=0, *, mode=Mode.STANDARD, day=(2026, 11, 22), book=BOOK, chosen=None, **parts):
    """Return the exact dollars of one request; its parts are cached, audio and cached_audio."""
    at = midnight(dt.date(*day))
    return price_request(book, model, mode, at, prompt=prompt, output=output, terms=chosen, **parts).total


PUBLISHED = [
    ("gemini-2.5-pro", 100_000, 0, 1_000, Mode.STANDARD, (2026, 11, 22), "0.135"),
    ("gemini-2.5-pro", 250_000, 240_000, 1_000, Mode.STANDARD, (2026, 11, 22), "0.1"),
    ("gemini-2.5-pro", 250_000, 240_000, 1_000, Mode.BATCH, (2026, 11, 22), "0.08"),
    ("gemini-2.5-pro", 100_000, 90_000, 1_000, Mode.STANDARD, (2026, 11, 22), "0.03375"),
    ("gemini-2.5-pro", 100_000, 90_000, 1_000, Mode.BATCH, (2026, 11, 22), "0.0225"),
    ("gemini-2.5-flash", 10**6, 0, 10**6, Mode.STANDARD, (2026, 11, 22), "2.8"),
    ("gemini-2.5-flash", 10**6, 0, 10**6, Mode.BATCH, (2026, 11, 22), "1.4"),
    ("gemini-3.8-flash", 10**6, 0, 10**6, Mode.STANDARD, (2026, 11, 22), "4.5"),
    ("gemini-3.8-flash", 10**6, 0, 10**6, Mode.STANDARD, (2027, 1, 1), "9"),
    ("gemini-3.8-flash", 10**6, 10**6, 0, Mode.BATCH, (2026, 11, 22), "0.0375"),
    ("gemini-4-argon", 10**6, 0, 10**6, Mode.STANDARD, (2026, 11, 22), "12"),
    ("gemini-4-argon", 10**6, 0, 10**6, Mode.STANDARD, (2026, 12, 1), "24"),
    ("gemini-2.5-pro", 200_000, 0, 1_000, Mode.STANDARD, (2026, 11, 22), "0.26"),
    ("gemini-2.5-pro", 200_001, 0, 1_000, Mode.STANDARD, (2026, 11, 22), "0.5150025"),
]


@pytest.mark.parametrize(("model", "prompt", "cached", "output", "mode", "day", "dollars"), PUBLISHED)
def test_published_arithmetic(model, prompt, cached, output, mode, day, dollars):
    """The worked examples of the price facts, and the two sides of the 200,000-token cliff, are met exactly."""
    bill = price_request(BOOK, model, mode, midnight(dt.date(*day)), prompt=prompt, cached=cached, output=output)
    assert bill.exact == dollars


@given(ledgers(), terms)
def test_equal_to_the_naive_rater(ledger, chosen):
    """Rating by groups in integers equals rating call by call in rationals, under every terms."""
    assert rate(ledger, BOOK, chosen).total == naive(ledger, chosen)


@given(ledgers(), terms)
def test_lines_add_up(ledger, chosen):
    """The total is the sum of the kinds of line, and a line the product of its quantity and price."""
    bill = rate(ledger, BOOK, chosen)
    assert tuple(bill.by_line()) == LINES
    assert sum(bill.by_line().values()) == bill.total == sum(line.usd for line in bill.lines)
    keys = [(*line[:5], line.price) for line in bill.lines]
    assert len(keys) == len(set(keys))
    assert all(line.quantity > 0 for line in bill.lines)


@given(ledgers())
def test_quantities_are_conserved(ledger):
    """Over the billed calls cached and uncached tokens add up to the prompts; storage to the token-ms held."""
    bill = rate(ledger, BOOK)
    billed = {name: sum(x.quantity for x in bill.lines if x.line == name) for name in LINES}
    done = ledger.done_mask
    heard = ledger.audio[done].sum() + ledger.duplicate_audio.sum()
    read = ledger.cached[done].sum() + ledger.duplicate_cached.sum()
    assert billed["audio_input"] + billed["audio_cached"] == heard
    assert billed["cached"] + billed["audio_cached"] == read
    assert billed["input"] + read + billed["audio_input"] == ledger.prompt[done].sum() + ledger.duplicate_prompt.sum()
    assert billed["output"] == ledger.output[done].sum() + ledger.duplicate_output.sum()
    assert billed["creation"] == ledger.cache_tokens.sum()
    assert billed["storage"] == ledger.storage_token_ms


@given(ledgers(), terms, st.integers(0, 1000))
def test_prices_scale(ledger, chosen, factor):
    """Multiplying all prices by k multiplies every bill by k exactly."""
    entries = {
        model: tuple(dataclasses.replace(e, prices={c: p * factor for c, p in e.prices.items()}) for e in rows)
        for model, rows in BOOK.entries.items()
    }
    assert (
        rate(ledger, dataclasses.replace(BOOK, entries=entries), chosen).total
        == factor * rate(ledger, BOOK, chosen).total
    )


@given(ledgers())
def test_unused_models_change_nothing(ledger):
    """Models that no request uses change no bill, whether the book or the ledger names them."""
    few = dataclasses.replace(BOOK, entries={model: BOOK.entries[model] for model in LEDGER_MODELS})
    more = ledger._replace(models=(*ledger.models, "gemini-4-argon", "unheard-of"))
    assert rate(ledger, few).lines == rate(ledger, BOOK).lines == rate(more, BOOK).lines


@given(ledgers())
def test_only_answered_requests_are_billed(ledger):
    """A request that failed, expired or is pending costs nothing, however often it was tried."""
    done = ledger.done_mask
    n = len(done)
    kept = ledger._replace(**{name: getattr(ledger, name)[done] for name in REQUEST_FIELDS})
    tried = ledger._replace(attempts=np.arange(n, dtype=np.int64) + 1)
    assert rate(kept, BOOK).lines == rate(tried, BOOK).lines == rate(ledger, BOOK).lines


@given(ledgers())
def test_a_duplicate_is_billed_besides(ledger):
    """A lost reply that was tried again is two bills: each duplicate adds the price of its call."""
    none = np.zeros(0, np.int64)
    names = [name for name in Ledger._fields if name.startswith("duplicate_")]
    single = ledger._replace(**dict.fromkeys(names, none))
    extra = sum(
        naive_call(LEDGER_MODELS[model], *rest, ledger.start_ms + sent, "published")
        for model, *rest, sent in zip(*(getattr(ledger, f"duplicate_{name}").tolist() for name in CALL), strict=True)
    )
    assert rate(ledger, BOOK).total - rate(single, BOOK).total == extra


@given(st.sampled_from(BOOK.models), clashing_tokens, clashing_tokens, st.sampled_from(Mode), st.data())
@example("gemini-3.1-pro-preview", 200_000, 1_000, Mode.STANDARD, None)
def test_monotone(model, prompt, output, mode, data):
    """Cost does not fall with more output or prompt, across the tier too; a cached token is never dearer."""
    day = (2026, 5, 20) if model == "gemini-2.0-flash" else (2026, 11, 22)
    cached = 0 if data is None else data.draw(st.integers(0, prompt))
    cost = usd(model, prompt, output, cached=cached, mode=mode, day=day)
    assert usd(model, prompt, output + 1, cached=cached, mode=mode, day=day) > cost
    assert usd(model, prompt + 1, output, cached=cached, mode=mode, day=day) > cost
    if cached < prompt:
        assert usd(model, prompt, output, cached=cached + 1, mode=mode, day=day) <= cost


@given(clashing_tokens, st.integers(0, 10**6), st.data())
def test_the_tier_is_chosen_by_the_whole_prompt(prompt, output, data):
    """Moving tokens into the cache never changes the tier of a request."""
    cached = data.draw(st.integers(0, prompt))
    bill = price_request(BOOK, "gemini-2.5-pro", Mode.STANDARD, DAY_2026, prompt=prompt, cached=cached, output=output)
    assert {line.tier for line in bill.lines} <= {"long" if prompt > 200_000 else "standard"}


@given(st.integers(0, 100_000), st.integers(0, 100_000), st.integers(0, 10**6), st.integers(0, 10**6))
def test_linear_inside_a_tier(a, b, x, y):
    """Inside one tier the cost of a sum is the sum of the costs."""
    assert usd("gemini-2.5-pro", a + b, x + y) == usd("gemini-2.5-pro", a, x) + usd("gemini-2.5-pro", b, y)


@given(st.integers(0, 10**5), st.integers(0, 200_000))
def test_the_cliff_reprices_the_whole_request(output, cached):
    """One token above the limit costs the long price of itself, and the long surcharge on everything before it."""
    jump = usd("gemini-2.5-pro", 200_001, output, cached=cached) - usd("gemini-2.5-pro", 200_000, output, cached=cached)
    surcharge = mtok("1.25", 200_000 - cached) + mtok("0.125", cached) + mtok("5.00", output)
    assert jump == mtok("2.50", 1) + surcharge


@given(st.integers(1, 200_000), clashing_tokens)
def test_discounts_do_not_stack(cached, output):
    """A cached token in a batch costs the published price; half of the standard one only by the study's choice."""
    for model, published, standard in (
        ("gemini-2.5-pro", "0.125", "0.125"),
        ("gemini-3.5-flash-lite", "0.02", "0.03"),
        ("gemini-3.8-flash", "0.0375", "0.075"),
    ):
        prices = {"published": Fraction(published), "standard": Fraction(standard), "stacked": Fraction(standard) / 2}
        for mode in (Mode.BATCH, Mode.FLEX):
            for rule, price in prices.items():
                chosen = BOOK.terms.model_copy(update={"batch_cached": rule})
                extra = usd(model, cached, output, cached=cached, mode=mode, chosen=chosen)
                assert extra - usd(model, 0, output, mode=mode) == mtok(price, cached)


def test_no_batch_cached_price_is_an_error():
    """The guide prints no price for a cached token in a batch, so its book cannot meet published terms."""
    published = GUIDE.terms.model_copy(update={"batch_cached": "published"})
    assert usd("gemini-2.5-pro", 1000, cached=1000, mode=Mode.BATCH, book=GUIDE) == mtok("0.125", 1000)
    with pytest.raises(PriceMissing, match="batch_cached is blank"):
        usd("gemini-2.5-pro", 1000, cached=1000, mode=Mode.BATCH, book=GUIDE, chosen=published)
    for rule in ("standard", "stacked"):  # the terms do not make a mode that is not offered
        with pytest.raises(PriceMissing, match="offers no flex"):
            usd("gemini-2.5-pro", 9, cached=9, mode=Mode.FLEX, book=GUIDE,
                chosen=GUIDE.terms.model_copy(update={"batch_cached": rule}))  # fmt: skip


@given(st.sampled_from(BOOK.models), clashing_tokens, clashing_tokens)
def test_batch_is_half_without_a_cache(model, prompt, output):
    """A request with no cached token costs exactly half in a batch and in flex, 1.8 times in priority."""
    day = (2026, 5, 20) if model == "gemini-2.0-flash" else (2026, 11, 22)
    full = usd(model, prompt, output, day=day)
    assert usd(model, prompt, output, mode=Mode.BATCH, day=day) * 2 == full
    assert usd(model, prompt, output, mode=Mode.FLEX, day=day) * 2 == full
    assert usd(model, prompt, output, mode=Mode.PRIORITY, day=day) == full * Fraction("1.8")


@given(st.sampled_from([t for t in TERMS if t.batch_cached != "stacked"]), clashing_tokens, clashing_tokens, st.data())
def test_bounds(chosen, prompt, output, data):
    """No mode or cache costs less than all cached in a batch, or more than nothing cached in priority."""
    cached = data.draw(st.integers(0, prompt))
    costs = [usd("gemini-3.8-flash", prompt, output, cached=cached, mode=mode, chosen=chosen) for mode in Mode]
    low = usd("gemini-3.8-flash", prompt, output, cached=prompt, mode=Mode.BATCH)
    high = usd("gemini-3.8-flash", prompt, output, mode=Mode.PRIORITY)
    assert all(low <= cost <= high for cost in costs)


def test_nothing_costs_nothing():
    """Zero tokens, and an empty ledger, cost zero and need no price."""
    assert usd("gemini-2.5-pro", 0) == rate(ledger_of(), BOOK).total == 0
    assert rate(ledger_of(), BOOK).exact == "0"


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_thinking_is_output(answer, thought):
    """Thinking tokens are billed as output: cost depends on answer and thinking through their sum only."""
    assert usd("gemini-2.5-pro", 10, answer + thought) == usd("gemini-2.5-pro", 10) + mtok(10, answer) + mtok(
        10, thought
    )


def test_storage_splits_at_a_price_change():
    """A cache over New Year pays $0.50 before and $1.00 after, to the millisecond."""
    lived = 3 * HOUR + 1
    bill = rate(one_cache("gemini-3.8-flash", NEW_YEAR - HOUR, 10**6, lived), BOOK)
    quantities = [(line.since, line.quantity, line.price) for line in bill.lines if line.line == "storage"]
    assert quantities == [
        (midnight(dt.date(2026, 9, 2)), 10**6 * HOUR, Fraction("0.5") * 10**6),
        (NEW_YEAR, 10**6 * (2 * HOUR + 1), Fraction(10**6)),
    ]
    assert bill.by_line()["storage"] == Fraction("0.50") + Fraction(2 * HOUR + 1, HOUR)
    assert bill.by_line()["creation"] == Fraction("0.75")  # at the price of the instant of birth


@given(st.integers(0, 10**6), st.integers(0, 10 * HOUR), st.integers(0, 10 * HOUR), st.integers(0, 10**6))
def test_storage_is_linear_in_time_and_tokens(tokens, a, b, more):
    """Splitting a cache in two, or its life in two, leaves its storage unchanged; storage knows no tier."""

    def storage(count, lived):
        return rate(one_cache("gemini-2.5-pro", DAY_2026, count, lived), BOOK).by_line()["storage"]

    assert storage(tokens, a + b) == storage(tokens, a) + storage(tokens, b)
    assert storage(tokens + more, a) == storage(tokens, a) + storage(more, a) == mtok("4.50", tokens + more) * a / HOUR


def test_creation_is_tiered_by_the_size_of_the_cache():
    """A cache of 200,000 tokens is written at the standard price, one of 200,001 at the long price, all of it."""
    for tokens, price in ((200_000, "1.25"), (200_001, "2.50")):
        bill = rate(one_cache("gemini-2.5-pro", DAY_2026, tokens, 1), BOOK)
        assert bill.by_line()["creation"] == mtok(price, tokens)
    free = BOOK.terms.model_copy(update={"creation": "free"})
    assert rate(one_cache("gemini-2.5-pro", DAY_2026, 10, 1), BOOK, free).by_line()["creation"] == 0


@given(ledgers())
def test_committed_storage_is_never_cheaper(ledger):
    """Billing the TTL that was asked for costs at least what billing the lifetime does."""
    lifetime, committed = (
        rate(ledger, BOOK, BOOK.terms.model_copy(update={"storage": s})) for s in ("lifetime", "committed")
    )
    assert committed.by_line()["storage"] >= lifetime.by_line()["storage"]
    assert committed.by_line()["creation"] == lifetime.by_line()["creation"]


def test_committed_storage_ends_with_the_model():
    """A model that is shut down takes its caches with it: nothing is committed beyond its redirect."""
    start = midnight(dt.date(2026, 12, 1)) - HOUR
    committed = BOOK.terms.model_copy(update={"storage": "committed", "creation": "free"})
    ledger = one_cache("gemini-2.5-pro", start, 10**6, HOUR // 2, 3 * HOUR)
    assert rate(ledger, BOOK, committed).total == Fraction("4.50")
    with pytest.raises(PriceMissing, match="its prices end on 2026-12-01"):
        rate(one_cache("gemini-2.5-pro", start, 10**6, HOUR + 1), BOOK)


def test_a_ledger_can_be_repriced():
    """The guide's third scenario from one ledger: its own book bills $16.55, Google's storage and creation differ."""
    rows = [(0, Mode.BATCH, 101_000, 100_000, 0, 0)] * 5_000
    ledger = ledger_of(rows, [(0, 100_000, 0, 8 * HOUR, 8 * HOUR)], ("gemini-2.5-flash",))
    consistent = mtok("0.03", 500 * 10**6) + mtok("0.15", 5 * 10**6) + mtok("1.00", 100_000) * 8
    assert rate(ledger, GUIDE).total == consistent == Fraction("16.55")
    assert rate(ledger, BOOK).total == consistent + mtok("0.30", 100_000)
    assert rate(ledger, BOOK, GUIDE.terms).total == consistent
    assert rate(ledger._replace(models=("gemini-2.5-pro",)), BOOK).exact == "69.35"


def test_a_ledger_of_an_unknown_model_is_not_rated():
    """Usage that a book cannot price raises, naming model and nearest; it never costs zero."""
    ledger = ledger_of([(0, 0, 1, 0, 0, 0)], models=("gemini-3.8-flash",))
    with pytest.raises(PriceMissing, match="has no model 'gemini-3"):
        rate(ledger, GUIDE)
    with pytest.raises(PriceMissing, match="its prices begin on 2026-09-02"):
        rate(ledger._replace(start_ms=midnight(dt.date(2026, 9, 1))), BOOK)


@pytest.mark.parametrize("tokens", [2**31, 2**53, 2**62, 2**63 - 1])
def test_sums_do_not_wrap(tokens):
    """Token sums and token-milliseconds beyond 64 bits are exact."""
    rows = [(0, Mode.STANDARD, tokens, 0, tokens, 0)] * 5
    ledger = ledger_of(rows, [(0, tokens, 0, 2**40, 2**40)], ("gemini-2.5-flash-lite",))
    storage = mtok("1.00", tokens) * 2**40 / HOUR
    assert (
        rate(ledger, BOOK).total == 5 * (mtok("0.10", tokens) + mtok("0.40", tokens)) + mtok("0.10", tokens) + storage
    )


@pytest.mark.parametrize("row", [(0, 0, 5, 6, 0, 0), (0, 0, 5, -1, 0, 0), (0, 0, 5, 0, -1, 0)])
def test_a_broken_ledger_is_a_defect(row):
    """More cached tokens than prompt, or negative ones, are an engine's defect and never a discount."""
    with pytest.raises(EngineError):
        rate(ledger_of([row]), BOOK)


@pytest.mark.parametrize(("audio", "cached_audio"), [(-1, 0), (3, -1), (1, 2), (5, 4), (4, 0)])
def test_audio_is_a_part_of_the_prompt_and_of_its_halves(audio, cached_audio):
    """Of 6 tokens, 3 of them cached, at most 3 can be cached audio and at most 3 other audio; else it is a defect."""
    row = [(0, 0, 6, 3, 0, 0)]
    assert rate(ledger_of(row, audio=[6], cached_audio=[3]), BOOK).total > 0
    with pytest.raises(EngineError, match="audio"):
        rate(ledger_of(row, audio=[audio], cached_audio=[cached_audio]), BOOK)


@given(st.integers(-(10**9), 10**9), st.integers(0, 9), st.integers(0, 9))
def test_decimals_are_exact_where_they_are_finite(number, twos, fives):
    """The text of an amount is the amount, if that has a finite decimal; without trailing zeros or an exponent."""
    amount = Fraction(number, 2**twos * 5**fives)
    text = decimal_text(amount)
    assert Fraction(text) == amount
    assert "E" not in text.upper()
    assert not ("." in text and text.endswith("0"))
    assert text == "0" or amount != 0


@given(st.fractions())
def test_other_decimals_are_rounded(amount):
    """An amount without a finite decimal is rounded at the 12th digit."""
    assert abs(Fraction(decimal_text(amount)) - amount) <= Fraction(1, 2 * 10**12)


FLASH, LITE, PRO = "gemini-2.5-flash", "gemini-3.1-flash-lite", "gemini-2.5-pro"
AUDIO = [  # model, mode, price of a million tokens of audio, and of cached ones
    (FLASH, Mode.STANDARD, "1.00", "0.10"),
    (FLASH, Mode.BATCH, "0.50", "0.10"),  # batch gives no discount on cached text, so none on cached audio
    (FLASH, Mode.FLEX, "0.50", "0.10"),
    (FLASH, Mode.PRIORITY, "1.80", "0.18"),
    (LITE, Mode.STANDARD, "0.50", "0.05"),
    (LITE, Mode.BATCH, "0.25", "0.025"),  # 0.05 x 0.0125 / 0.025
    (LITE, Mode.PRIORITY, "0.90", "0.09"),
    ("gemini-3.5-flash-lite", Mode.BATCH, "0.15", "0.02"),  # no audio price: as text
    (PRO, Mode.PRIORITY, "2.25", "0.225"),
]


@pytest.mark.parametrize(("model", "mode", "fresh", "cached"), AUDIO)
def test_audio_has_prices_of_its_own(model, mode, fresh, cached):
    """Uncached audio costs the audio price of the mode, cached audio its cached price, and the text what it did."""
    parts = {"cached": 50_000, "audio": 60_000, "cached_audio": 20_000}
    alone = usd(model, 100_000 - 60_000, 1_000, mode=mode, cached=50_000 - 20_000)
    whole = usd(model, 100_000, 1_000, mode=mode, **parts)
    assert whole - alone == mtok(fresh, 60_000 - 20_000) + mtok(cached, 20_000)


def test_the_terms_decide_on_cached_audio_in_a_batch():
    """Cached audio follows cached text: the published ratio, the standard price, or half of it for study."""
    prices = {"published": Fraction("0.05") * Fraction("0.0125") / Fraction("0.025"), "standard": Fraction("0.05")}
    prices["stacked"] = prices["standard"] / 2
    for mode in (Mode.BATCH, Mode.FLEX):
        for rule, price in prices.items():
            chosen = BOOK.terms.model_copy(update={"batch_cached": rule})
            found = usd(LITE, 999, mode=mode, chosen=chosen, cached=999, audio=999, cached_audio=999)
            assert found == mtok(price, 999)


@given(clashing_tokens, clashing_tokens, st.sampled_from(Mode), st.data())
def test_audio_is_text_where_its_price_is_blank(prompt, output, mode, data):
    """A model without audio prices bills every prompt as if none of it were audio, on either side of the tier."""
    cached = data.draw(part_of(prompt))
    cached_audio = data.draw(part_of(cached))
    audio = cached_audio + data.draw(part_of(prompt - cached))
    for model in (PRO, "gemini-3.8-flash"):
        text = usd(model, prompt, output, mode=mode, cached=cached)
        assert usd(model, prompt, output, mode=mode, cached=cached, audio=audio, cached_audio=cached_audio) == text


def with_prices(model, **prices):
    """Return the book with other prices of a model, in dollars per 1M tokens."""
    pico = {column: int(Fraction(price) * 10**6) for column, price in prices.items()}
    rows = tuple(dataclasses.replace(e, prices={**e.prices, **pico}) for e in BOOK.entries[model])
    return dataclasses.replace(BOOK, entries={**BOOK.entries, model: rows})


def test_the_long_tier_has_no_price_of_audio():
    """Up to 200,000 tokens audio costs its own price, above them the long price of text: no column is printed."""
    book = with_prices(PRO, audio_input=3)
    assert usd(PRO, 200_000, audio=200_000, book=book) == mtok(3, 200_000)
    assert usd(PRO, 200_001, audio=200_001, book=book) == mtok("2.50", 200_001)


@given(ledgers(), terms, st.data())
def test_bills_add_up_over_calls(ledger, chosen, data):
    """The bill of some calls and the bill of the others are the bill of all, audio included."""
    some = np.array(data.draw(st.lists(st.booleans(), min_size=len(ledger.prompt), max_size=len(ledger.prompt))), bool)
    others = [name for name in Ledger._fields if name.startswith(("duplicate_", "cache_"))]
    first = ledger._replace(**{name: getattr(ledger, name)[some] for name in REQUEST_FIELDS})
    second = ledger._replace(**{name: getattr(ledger, name)[~some] for name in REQUEST_FIELDS})
    second = second._replace(**{name: getattr(ledger, name)[:0] for name in others})
    assert rate(first, BOOK, chosen).total + rate(second, BOOK, chosen).total == rate(ledger, BOOK, chosen).total


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from(Mode))
def test_audio_and_text_add_up(text, audio, read, mode):
    """Inside one tier a prompt of text, audio and cached audio costs what the three cost apart."""
    whole = usd(LITE, text + audio + read, mode=mode, cached=read, audio=audio + read, cached_audio=read)
    apart = usd(LITE, text, mode=mode) + usd(LITE, audio, mode=mode, audio=audio)
    assert whole == apart + usd(LITE, read, mode=mode, cached=read, audio=read, cached_audio=read)


@given(clashing_tokens, clashing_ms, st.data())
def test_a_cache_of_audio_is_written_at_its_price_and_stored_as_text(tokens, lived, data):
    """Creation bills the tokens of audio at the audio input price; storage does not hear the difference."""
    audio = data.draw(part_of(tokens))
    ledger = one_cache(FLASH, DAY_2026, tokens, lived)._replace(cache_audio=np.array([audio]))
    lines = rate(ledger, BOOK).by_line()
    assert lines["creation"] == mtok("0.30", tokens - audio) + mtok("1.00", audio)
    assert lines["storage"] == mtok("1.00", tokens) * lived / HOUR
    assert rate(ledger, BOOK, BOOK.terms.model_copy(update={"creation": "free"})).by_line()["creation"] == 0


def test_the_creation_of_audio_is_a_line_only_at_a_price_of_its_own():
    """A cache of text and audio has two lines of creation where the prices differ, and one where they do not."""
    prices = []
    for model in (FLASH, "gemini-3.8-flash"):
        ledger = one_cache(model, DAY_2026, 1_000, 1)._replace(cache_audio=np.array([400]))
        prices.append([(x.quantity, x.price) for x in rate(ledger, BOOK).lines if x.line == "creation"])
    assert prices == [[(600, 300_000), (400, 1_000_000)], [(1_000, 750_000)]]


@given(ledgers(), terms)
def test_the_free_tier_costs_nothing_and_counts_everything(ledger, chosen):
    """Under the free tier every price is zero; the quantities by kind of line are those of the bill that is paid."""
    free, paid = rate(ledger, BOOK, chosen.model_copy(update={"free_tier": True})), rate(ledger, BOOK, chosen)
    assert free.total == 0
    assert {line.price for line in free.lines} <= {0}

    def quantities(bill):
        return {name: sum(x.quantity for x in bill.lines if x.line == name) for name in LINES}

    assert quantities(free) == quantities(paid)


def test_the_free_tier_needs_no_price():
    """What is free needs no price of its mode; what is paid does. The model must be known and priced all the same."""
    free = GUIDE.terms.model_copy(update={"free_tier": True})
    assert usd(PRO, 1_000, 10, mode=Mode.FLEX, book=GUIDE, chosen=free) == 0
    with pytest.raises(PriceMissing):
        usd(PRO, 1_000, 10, mode=Mode.FLEX, book=GUIDE)
    with pytest.raises(PriceMissing, match="has no model"):
        usd("unheard-of", 1_000, book=GUIDE, chosen=free)


def test_a_model_without_explicit_caches_has_no_price_of_one_whatever_it_holds():
    """A cache of text or of audio alone cannot be billed where the model offers none; on the free tier it costs 0."""
    free = BOOK.terms.model_copy(update={"free_tier": True})
    for audio in (0, 500):
        ledger = one_cache("gemini-4-argon", DAY_2026, 500, 0)._replace(cache_audio=np.array([audio]))
        with pytest.raises(PriceMissing, match="offers no explicit cache"):
            rate(ledger, BOOK)
        assert [(x.quantity, x.price) for x in rate(ledger, BOOK, free).lines] == [(500, 0)]


@given(st.sampled_from(LEDGER_MODELS), terms, st.sampled_from(Mode), clashing_tokens, clashing_tokens, st.data())
def test_spend_weights_are_the_prices_of_text(model, chosen, mode, prompt, output, data):
    """A call of text weighs its bill in picodollars; all prices of the shipped book are even, so none is rounded."""
    cached = data.draw(part_of(prompt))
    law = spend_weights(BOOK, model, DAY_2026, chosen)[mode]
    long = 0 <= law.long_over < prompt
    assert (law.long_over == 200_000) == (model == "gemini-3.1-pro-preview")
    weights = (law.long_input, law.long_cached, law.long_output) if long else (law.input, law.cached, law.output)
    weight = sum(w * t for w, t in zip(weights, (prompt - cached, cached, output), strict=True))
    assert weight == usd(model, prompt, output, cached=cached, mode=mode, chosen=chosen) * 10**12


def test_spend_weights_round_up_and_know_no_price_that_is_missing():
    """Half an odd price counts as the next whole one; a mode without prices, and the free tier, weigh nothing."""
    odd = with_prices("gemini-3.8-flash", cached="0.075001")
    stacked = BOOK.terms.model_copy(update={"batch_cached": "stacked"})
    laws = spend_weights(odd, "gemini-3.8-flash", DAY_2026, stacked)
    assert [law.cached for law in laws] == [75_001, (75_001 + 1) // 2, (75_001 + 1) // 2, 75_001 * 18 // 10 + 1]
    standard, batch, flex, priority = spend_weights(GUIDE, PRO, DAY_2026, GUIDE.terms)
    assert (standard.input, batch.input) == (1_250_000, 625_000)
    assert flex == priority == SpendLaw()
    free = BOOK.terms.model_copy(update={"free_tier": True})
    assert spend_weights(BOOK, PRO, DAY_2026, free) == (SpendLaw(),) * 4
