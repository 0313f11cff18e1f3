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
from strategies import DAY_2026, LEDGER_MODELS, NEW_YEAR, clashing_tokens, ledger_of, ledgers, one_cache

import sim.providers
from sim.billing import decimal_text, price_request, rate
from sim.errors import EngineError, PriceMissing
from sim.ledger import Ledger, Mode, Status
from sim.providers import LINES, Terms, load_book
from sim.providers.facts import midnight

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


def naive_call(model, mode, prompt, cached, output, at, rule):
    """Return the dollars of one call from the file's row alone."""
    row = row_at(model, at)
    long = "long_" if "long_over" in row and prompt > row["long_over"] else ""
    batch = "batch_" if mode in (Mode.BATCH, Mode.FLEX) else ""
    factor = Fraction("1.8") if mode == Mode.PRIORITY else 1
    hit = row[f"{long}{batch}cached"]
    if batch and rule != "published":
        hit = Fraction(row[f"{long}cached"]) / (2 if rule == "stacked" else 1)
    usd = mtok(row[f"{long}{batch}input"], prompt - cached) + mtok(hit, cached)
    return (usd + mtok(row[f"{long}{batch}output"], output)) * factor


def naive(ledger, chosen):
    """Return the dollars of a ledger, call by call and cache by cache, in rationals."""
    total = Fraction(0)
    for prefix, count in (("", len(ledger.prompt)), ("duplicate_", len(ledger.duplicate_prompt))):
        for i in range(count):
            if not prefix and ledger.status[i] != Status.DONE:
                continue
            model, *rest, sent = (
                int(getattr(ledger, prefix + name)[i])
                for name in ("model", "mode", "prompt", "cached", "output", "sent")
            )
            total += naive_call(ledger.models[model], *rest, ledger.start_ms + sent, chosen.batch_cached)
    for i in range(len(ledger.cache_tokens)):
        model, tokens = ledger.models[ledger.cache_model[i]], int(ledger.cache_tokens[i])
        born = ledger.start_ms + int(ledger.cache_born[i])
        end = ledger.cache_committed if chosen.storage == "committed" else ledger.cache_until
        until = ledger.start_ms + int(end[i])
        row = row_at(model, born)
        if chosen.creation == "input":
            long = "long_" if "long_over" in row and tokens > row["long_over"] else ""
            total += mtok(row[f"{long}input"], tokens)
        cuts = [born, *(t for t in (NEW_YEAR,) if born < t < until), until]
        for a, b in itertools.pairwise(cuts):
            total += mtok(row_at(model, a)["storage"], tokens) * (b - a) / HOUR
    return total


def usd(model, prompt, output=0, *, cached=0, mode=Mode.STANDARD, day=(2026, 11, 22), book=BOOK, chosen=None):
    """Return the exact dollars of one request."""
    at = midnight(dt.date(*day))
    return price_request(book, model, mode, at, prompt=prompt, cached=cached, output=output, terms=chosen).total


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
    """The total is the sum of the five kinds of line, and a line the product of its quantity and price."""
    bill = rate(ledger, BOOK, chosen)
    assert tuple(bill.by_line()) == LINES
    assert sum(bill.by_line().values()) == bill.total == sum(line.usd for line in bill.lines)
    keys = [line[:5] for line in bill.lines]
    assert len(keys) == len(set(keys))
    assert all(line.quantity > 0 for line in bill.lines)


@given(ledgers())
def test_quantities_are_conserved(ledger):
    """Over the billed calls cached and uncached tokens add up to the prompts; storage to the token-ms held."""
    bill = rate(ledger, BOOK)
    billed = {name: sum(x.quantity for x in bill.lines if x.line == name) for name in LINES}
    done = ledger.done_mask
    assert billed["input"] + billed["cached"] == ledger.prompt[done].sum() + ledger.duplicate_prompt.sum()
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
    per_request = Ledger._fields[: Ledger._fields.index("job") + 1]
    kept = ledger._replace(**{name: getattr(ledger, name)[done] for name in per_request})
    tried = ledger._replace(attempts=np.arange(n, dtype=np.int64) + 1)
    assert rate(kept, BOOK).lines == rate(tried, BOOK).lines == rate(ledger, BOOK).lines


@given(ledgers())
def test_a_duplicate_is_billed_besides(ledger):
    """A lost reply that was tried again is two bills: each duplicate adds the price of its call."""
    none = np.zeros(0, np.int64)
    names = [name for name in Ledger._fields if name.startswith("duplicate_")]
    single = ledger._replace(**dict.fromkeys(names, none))
    extra = sum(
        naive_call(LEDGER_MODELS[m], mode, p, c, o, ledger.start_ms + s, "published")
        for _, m, mode, p, c, o, s, _ in zip(*(getattr(ledger, name).tolist() for name in names), strict=True)
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
