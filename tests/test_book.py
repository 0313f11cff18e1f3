"""The price book: one price for each date, exact, and everything assumed is named."""

import copy
import dataclasses
import datetime as dt
import re
import tomllib
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim.providers
from sim.billing import decimal_text
from sim.errors import InputError, NotOffered, PriceMissing
from sim.ledger import Mode
from sim.providers import LINES, SHIPPED, load_book
from sim.providers.facts import day_of, midnight
from sim.providers.load import digest
from sim.providers.media import Media
from sim.providers.numbers import as_picodollars
from sim.providers.prices import TIERS
from sim.providers.service import Service

BOOKS = {name: load_book(name) for name in SHIPPED}
GOOGLE = BOOKS["google"]
FILES = {name: Path(sim.providers.__file__).with_name(f"{name}.toml") for name in SHIPPED}
RAW = {name: tomllib.loads(path.read_text(), parse_float=Decimal) for name, path in FILES.items()}
ENTRIES = [entry for book in BOOKS.values() for model in book.models for entry in book.entries[model]]


def on(*day):
    return midnight(dt.date(*day))


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path


@given(st.integers(0, 10**9).filter(lambda pico: pico == 0 or pico >= 100))
def test_a_price_is_read_and_printed_exactly(pico):
    """Parsing a price and printing it back gives the same rational; trailing zeros mean nothing."""
    text = decimal_text(Fraction(pico, 10**6))
    assert as_picodollars(Decimal(text)) == pico
    assert as_picodollars(Decimal(text + ("0" if "." in text else ".0"))) == pico


def test_a_price_never_passes_through_a_float():
    """0.1 USD per 1M tokens is 100,000 picodollars per token, and no neighbour of it."""
    assert GOOGLE.entry("gemini-2.5-flash-lite", GOOGLE.checked_ms).price("input") == Fraction("0.1") * 10**6


@pytest.mark.parametrize("name", SHIPPED)
def test_every_price_is_the_one_in_the_file(name):
    """Each price of the book is the decimal of its row in whole picodollars; no other price exists."""
    for row in RAW[name]["prices"]:
        entry = BOOKS[name].entry(row["model"], midnight(row["valid_from"]))
        written = {key: value * 10**6 for key, value in row.items() if isinstance(value, Decimal)}
        assert entry.prices == written
        assert all(isinstance(price, int) for price in entry.prices.values())


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.book}-{e.model}-{day_of(e.valid_from)}")
def test_one_row_applies_at_each_instant(entry):
    """The row applies from its first instant to the last before its end; outside, another row or none does."""
    book = BOOKS[entry.book]
    assert book.entry(entry.model, entry.valid_from) is entry
    first = book.entries[entry.model][0] is entry
    if first:
        with pytest.raises(PriceMissing, match="its prices begin on"):
            book.entry(entry.model, entry.valid_from - 1)
    else:
        before = book.entry(entry.model, entry.valid_from - 1)
        assert before.valid_until == entry.valid_from
    if entry.valid_until is not None:
        assert book.entry(entry.model, entry.valid_until - 1) is entry


def test_a_price_changes_at_midnight_utc():
    """Gemini 3.8 Flash costs 0.75 until the last millisecond of 2026 and 1.50 from the first of 2027."""
    change = on(2027, 1, 1)
    assert GOOGLE.changes("gemini-3.8-flash", GOOGLE.checked_ms) == [change]
    assert GOOGLE.changes("gemini-3.8-flash", change) == []
    assert GOOGLE.entry("gemini-3.8-flash", change - 1).price("input") == Fraction("0.75") * 10**6
    assert GOOGLE.entry("gemini-3.8-flash", change).price("input") == Fraction("1.50") * 10**6


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.book}-{e.model}-{day_of(e.valid_from)}")
def test_a_tier_is_decided_strictly_above_the_limit(entry):
    """A prompt of exactly the limit is standard, one token more is long; one tier knows no limit."""
    if entry.long_over is None:
        assert entry.tier(10**9) == "standard"
    else:
        assert (entry.tier(entry.long_over), entry.tier(entry.long_over + 1)) == ("standard", "long")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_discounts_discount(name):
    """No shipped row has a cached or batch price above the full one, or a price of zero: such rows are warned of."""
    assert BOOKS[name].warnings == ()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.book}-{e.model}-{day_of(e.valid_from)}")
def test_a_missing_price_raises(entry):
    """A price is that of its own column, or an error that names line, model and date; never another column's."""
    for line in ("input", "cached", "output"):
        for mode, prefix in ((Mode.STANDARD, ""), (Mode.BATCH, "batch_")):
            for tier in TIERS:
                column = ("long_" if tier == "long" else "") + prefix + line
                if column in entry.prices:
                    assert entry.price(line, mode, tier) == entry.prices[column]
                else:
                    with pytest.raises(PriceMissing, match=f"{line} price of {entry.model}"):
                        entry.price(line, mode, tier)


def test_no_explicit_cache_no_price_of_one():
    """Gemini 4 Argon offers no explicit cache, so neither its creation nor its storage has a price."""
    entry = GOOGLE.entry("gemini-4-argon", GOOGLE.checked_ms)
    for line in ("creation", "storage"):
        with pytest.raises(PriceMissing, match="offers no explicit cache"):
            entry.price(line)
    with pytest.raises(NotOffered):
        _ = GOOGLE.facts["gemini-4-argon"].explicit_minimum


def test_flex_is_batch_and_priority_a_factor():
    """Flex costs the batch price and priority 1.8 times the standard price, on every line and tier."""
    for model in GOOGLE.models:
        for entry in GOOGLE.entries[model]:
            for tier in TIERS[: 1 if entry.long_over is None else 2]:
                for line in ("input", "cached", "output"):
                    assert entry.price(line, Mode.FLEX, tier) == entry.price(line, Mode.BATCH, tier)
                    assert entry.price(line, Mode.PRIORITY, tier) == entry.price(line, tier=tier) * Fraction("1.8")


def test_the_guide_has_neither_flex_nor_priority():
    """A mode that a book does not know has no price in it."""
    entry = BOOKS["guide"].entry("gemini-2.5-pro", on(2026, 1, 1))
    for mode in (Mode.FLEX, Mode.PRIORITY):
        with pytest.raises(PriceMissing, match=f"offers no {mode.name.lower()}"):
            entry.price("input", mode)


def test_the_guide_prints_what_it_prints():
    """The guide's own figures: 90 % off cached (75 % for 2.0), half in batch, storage $1.00, no unknown long price."""
    book = BOOKS["guide"]
    for model in book.models:
        entry = book.entry(model, on(2025, 1, 1))
        off = Fraction(1, 4) if "2.0" in model else Fraction(1, 10)
        assert entry.price("cached") == entry.price("input") * off
        assert entry.price("input", Mode.BATCH) * 2 == entry.price("input")
        assert entry.price("output", Mode.BATCH) * 2 == entry.price("output")
        assert entry.price("storage") == 10**6
        if "pro" not in model:
            with pytest.raises(PriceMissing, match="long_output is blank"):
                entry.price("output", tier="long")
    expected = {"creation": "free", "storage": "lifetime", "batch_cached": "standard", "free_tier": False}
    assert book.terms.model_dump() == expected
    assert not book.service["implicit"]["on"]
    assert not book.facts["gemini-2.0-flash"].implicit


def test_redirects_begin_at_their_instant():
    """A model that is shut down is served by its successor from that instant on, to the end of the chain."""
    at = on(2026, 12, 1)
    assert GOOGLE.served("gemini-2.5-pro", at - 1) == "gemini-2.5-pro"
    assert GOOGLE.served("gemini-2.5-pro", at) == "gemini-3.8-flash"
    assert GOOGLE.served("gemini-2.5-flash", at) == "gemini-3.5-flash-lite"
    chained = dataclasses.replace(
        GOOGLE,
        redirects=(*GOOGLE.redirects, GOOGLE.redirects[0]._replace(model="gemini-3.8-flash", to="gemini-4-argon")),
    )
    assert chained.served("gemini-2.5-pro", at) == "gemini-4-argon"
    assert GOOGLE.changes("gemini-2.5-pro", on(2026, 1, 1)) == [at]


def test_an_unknown_model_names_the_nearest():
    """An unknown model is an error that lists the known ones, nearest first."""
    for ask in (GOOGLE.entry, GOOGLE.served, GOOGLE.changes):
        with pytest.raises(PriceMissing, match="did you mean 'gemini-2"):
            ask("gemini-2.5-prO", GOOGLE.checked_ms)
    with pytest.raises(InputError, match="did you mean 'google'"):
        load_book("gogle")


def test_minimums_are_dated():
    """The implicit minimum is that of the row in force; before the first row there is none."""
    pro = GOOGLE.facts["gemini-2.5-pro"]
    june = on(2026, 6, 1)
    assert [pro.implicit_minimum(at).tokens for at in (on(2025, 6, 17), june - 1, june)] == [2048, 4096, 2048]
    assert pro.implicit_minimum(june).confidence == "A"
    assert pro.explicit_minimum.tokens == 2048
    assert BOOKS["guide"].facts["gemini-2.5-flash"].implicit_minimum(june).tokens == 1024
    for model, at in (("gemini-2.5-pro", on(2025, 6, 16)), ("gemini-2.0-flash", june)):
        with pytest.raises(NotOffered):
            GOOGLE.facts[model].implicit_minimum(at)


def test_latency_is_the_models_own_or_its_familys():
    """Every model has a latency: the published one, or its family's; a cached token takes a quarter of the time."""
    for book in BOOKS.values():
        for facts in book.facts.values():
            assert facts.latency == book.latency.get(facts.model, book.latency[facts.family])
            assert facts.latency.per_cached_token_ms * 4 == pytest.approx(
                facts.latency.per_uncached_token_ms, rel=1e-12
            )
    assert GOOGLE.facts["gemini-3.7-flash"].latency.source == "the figures of gemini-2.5-flash"


def test_a_latency_says_whether_it_includes_thinking():
    """2.5 Pro, 3.8 Flash and the models that take Pro's figures were measured while thinking; no other was."""
    thoughtful = {model for model, facts in GOOGLE.facts.items() if facts.latency.includes_thinking}
    assert thoughtful == {"gemini-2.5-pro", "gemini-3.1-pro-preview", "gemini-3.8-flash", "gemini-4-argon"}
    guides = {model for model, facts in BOOKS["guide"].facts.items() if facts.latency.includes_thinking}
    assert guides == {"gemini-2.5-pro"}


def test_media_are_counted_by_generation():
    """258 tokens a tile and 263 a second before generation 3, 280/560/1,120 and 70/70/280 from it; 32 of sound."""
    assert GOOGLE.media == {
        2: Media((258, 258, 258), 384, 768, (263, 263, 263), 32),
        3: Media((280, 560, 1_120), 0, 768, (70, 70, 280), 32),
    }
    for model in GOOGLE.models:
        assert GOOGLE.facts[model].generation == (2 if model.startswith("gemini-2") else 3)
    assert BOOKS["guide"].media == {}


def test_a_service_and_its_platform_say_what_the_models_default_to():
    """What a book writes of the service is what a service without those keys has: no default hides in the code."""
    book = BOOKS["google"]
    written = Service.model_validate(book.service)
    needed = {"slowness_cv": 0.35, "implicit": {}, "batch": {}}
    for table, keys in (("implicit", ("on", "hit_chance", "retention")), ("batch", ("turnaround", "failure_chance"))):
        needed[table] = {key: book.service[table][key] for key in keys}
    assert Service.model_validate(needed) == written


@pytest.mark.parametrize("name", SHIPPED)
def test_every_assumed_value_is_named(name):
    """Each term and each value of [service] has a sentence with its confidence in the book."""
    book = BOOKS[name]
    paths = [a.path for a in book.assumptions]
    assert len(paths) == len(set(paths))
    tables = ("terms", "service", "platforms", "quotas", "enqueued", "spend", "media", "priority", "flex")
    for table in (table for table in tables if table in RAW[name]):
        for path in leaves(RAW[name][table], (table,)):
            if path[-1] not in ("confidence", "source"):
                text = ".".join(str(part) for part in path)
                assert any(text == p or text.startswith(f"{p}.") for p in paths), f"{text} is assumed silently"
    for text in [a.text for a in book.assumptions]:
        assert text.endswith(".")
        assert text[0].isupper() or text[0].isdigit() or text.startswith("gemini")


@pytest.mark.parametrize("name", SHIPPED)
def test_service_is_valid(name):
    """The book's service holds plain values that a scenario can be laid over, and is valid as it stands."""
    assert Service.model_validate(BOOKS[name].service).slowness_cv == 0.35


def shuffled(value, chance):
    if isinstance(value, dict):
        return {key: shuffled(value[key], chance) for key in chance.sample(list(value), len(value))}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


@given(st.randoms(use_true_random=False))
@settings(max_examples=10)  # each example digests the whole book
def test_the_digest_ignores_the_order_of_keys(chance):
    """The digest of a book does not depend on the order of its keys."""
    assert digest(shuffled(RAW["google"], chance)) == GOOGLE.digest


def test_the_digest_ignores_layout(tmp_path):
    """Blank lines, comments, spaces and trailing zeros change no digest."""
    text = FILES["google"].read_text()
    loose = text.replace(" = ", "   =  ").replace("input   =  0.30\n", "input = 0.3 # the same\n\n")
    path = tmp_path / "loose.toml"
    path.write_text(loose)
    assert loose != text
    assert load_book(str(path)) == GOOGLE


@given(st.sampled_from(list(leaves(RAW["google"]))))
def test_the_digest_changes_with_any_value(path):
    """A change of any single value of the book changes its digest."""
    data = copy.deepcopy(RAW["google"])
    *parents, last = path
    place = data
    for part in parents:
        place = place[part]
    value = place[last]
    if isinstance(value, bool):
        place[last] = not value
    elif isinstance(value, dt.date):
        place[last] = value + dt.timedelta(days=1)
    else:
        place[last] = value + ("x" if isinstance(value, str) else 1)
    assert digest(data) != GOOGLE.digest


def test_an_old_book_is_warned_of():
    """A date more than 180 days after the book was checked gives a warning, 180 days give none."""
    day = 86_400_000
    assert GOOGLE.stale(GOOGLE.checked_ms + 181 * day - 1) is None
    assert "181 days before" in GOOGLE.stale(GOOGLE.checked_ms + 181 * day)


def test_all_lines_are_priced():
    """Each line of a bill has a price where the model offers everything; audio without its own costs what text does."""
    entry = GOOGLE.entry("gemini-3.1-pro-preview", GOOGLE.checked_ms)
    prices = {line: Fraction(entry.price(line), 10**6) for line in LINES}
    assert prices == {
        "input": 2, "cached": Fraction("0.2"), "audio_input": 2, "audio_cached": Fraction("0.2"), "output": 12,
        "creation": 2, "storage": Fraction("4.5"),
    }  # fmt: skip
    assert entry.price("creation", tier="long") == 4 * 10**6


@pytest.mark.parametrize(("blank", "text"), [("audio_cached", "cached"), ("batch_audio_input", "batch_input")])
def test_audio_that_is_billed_as_text_is_warned_of(tmp_path, blank, text):
    """A row with a price of audio and a blank discount of it is told; one without audio, or without text, is not."""
    start = FILES["google"].read_text().index('model = "gemini-2.5-flash"\nvalid_from')
    head, tail = FILES["google"].read_text()[:start], FILES["google"].read_text()[start:]
    row, rest = tail[: tail.index("[[prices]]")], tail[tail.index("[[prices]]") :]

    def warned(*names):
        kept = "".join(line for line in row.splitlines(True) if line.split(" ")[0] not in names)
        path = tmp_path / "mine.toml"
        path.write_text(head + kept + rest)
        return [problem.what for problem in load_book(str(path)).warnings]

    price = GOOGLE.entries["gemini-2.5-flash"][0].prices[text]
    [told] = warned(blank)
    assert told.startswith(f"{blank} of gemini-2.5-flash is blank: it is billed as text ({text}, ")
    assert Fraction(told.split(" ")[-1].rstrip(")")) * 10**6 == price
    assert warned("audio_input", "audio_cached", "batch_audio_input") == warned(blank, text) == warned() == []
    assert GOOGLE.warnings == ()


@pytest.mark.parametrize("key", ["implicit", "explicit", "batch", "explicit_in_batch", "includes_thinking", "offered"])
def test_a_word_is_no_switch(tmp_path, key):
    """What a book says with true or false it says in no other way: neither in quotes nor as a number."""
    text = FILES["google"].read_text()
    for other in ('"yes"', "1"):
        path = tmp_path / "mine.toml"
        path.write_text(re.sub(rf"(?m)^{key} = (true|false)", f"{key} = {other}", text, count=1))
        with pytest.raises(InputError, match=rf"\.{key}: must be a valid boolean; got"):
            load_book(str(path))
