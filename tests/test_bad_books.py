"""Hostile price books: every mistake is named with its line, all of a file at once."""

from pathlib import Path

import pytest
from strategies import LEDGER_START, one_cache

import sim.providers
from sim.billing import rate
from sim.errors import InputError, NotOffered, PriceMissing
from sim.providers import load_book

GUIDE = Path(sim.providers.__file__).with_name("guide.toml").read_text()
GOOGLE = Path(sim.providers.__file__).with_name("google.toml").read_text()
PRO = 'model = "gemini-2.5-pro"\nvalid_from = 2025-01-01\n'
NEXT = (
    '[[prices]]\nmodel = "gemini-2.5-pro"\nvalid_from = {}\ninput = 9\noutput = 9\nsource = "s"\nconfidence = "A"\n\n'
)


def book_file(tmp_path, *changes, text=GUIDE):
    """Write the guide's book with some texts replaced once, and return its path."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "book.toml"
    path.write_text(text)
    return path


def line_of(path, text):
    """Return the line that ends a text's first occurrence."""
    return path.read_text().split(text)[0].count("\n") + text.rstrip("\n").count("\n") + 1


def next_row(start):
    return ("[[prices]]\n", NEXT.format(start) + "[[prices]]\n")


BAD = {
    "61 float as text": ("input = 1.25\n", 'input = "1.25"\n', "not a number"),
    "61 boolean": ("input = 1.25\n", "input = true\n", "not a number"),
    "62 negative": ("input = 1.25\n", "input = -1.25\n", "must be >= 0; USD per 1M tokens; got -1.25"),
    "62 negative storage": ("storage = 1.00\n", "storage = -1.00\n", "must be >= 0"),
    "64 nan": ("input = 1.25\n", "input = nan\n", "not a finite number"),
    "64 inf": ("input = 1.25\n", "input = inf\n", "not a finite number"),
    "64 overflow": ("input = 1.25\n", "input = 1e99999999999999999999\n", "not a finite number"),
    "64 huge": ("input = 1.25\n", "input = 1e400\n", "more than a dollar a token"),
    "65 seven decimals": ("input = 1.25\n", "input = 1.2500001\n", "at most 6 decimals"),
    "66 unit wrong": ('unit = "usd_per_mtok"\n', 'unit = "usd_per_token"\n', "must be 'usd_per_mtok'"),
    "66 per token": ("input = 1.25\n", "input = 0.0000003\n", "did you mean usd_per_mtok?"),
    "66 per token, tiny": ("input = 1.25\n", "input = 1e-999999\n", "did you mean usd_per_mtok?"),
    "69 no limit": ("long_over = 200_000\nlong_input = 2.50\n", "long_input = 2.50\n", "price without long_over"),
    "70 half a token": ("long_over = 200_000\n", "long_over = 200000.5\n", "not a token count"),
    "70 no tokens": ("long_over = 200_000\n", "long_over = 0\n", "must be > 0"),
    "73 end before start": (PRO, PRO + "valid_until = 2024-12-31\n", "ends before it begins; after 2025-01-01"),
    "73 lasts no day": (PRO, PRO + "valid_until = 2025-01-01\n", "lasts no day"),
    "74 currency": ('currency = "USD"\n', 'currency = "EUR"\n', "must be 'USD'; got 'EUR'"),
    "75 unknown mode": ("batch_input = 0.625\n", "bach_input = 0.625\n", "did you mean 'batch_input'?"),
    "date as text": (PRO, PRO + 'valid_until = "2026-01-01"\n', "valid date"),
    "unknown model": ('model = "gemini-2.5-pro"\n', 'model = "gemini-2.5-prO"\n', "did you mean 'gemini-2.5-pro'?"),
    "unknown term": ('storage = "lifetime"\n', 'storage = "forever"\n', "must be 'lifetime' or 'committed'"),
    "unknown key of the service": ("slowness_cv = 0.35\n", "slownes_cv = 0.35\n", "did you mean 'slowness_cv'?"),
    "unknown latency": ("[latency.pro]\n", "[latency.prp]\n", "neither a model nor a family"),
    "dangling assumption": ('path = "terms.storage"\n', 'path = "terms.store"\n', "names no value of this book"),
    "minimum ends early": ("tokens = 4_096\n", "tokens = 4_096\nvalid_until = 2024-01-01\n", "ends before it begins"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), BAD.values(), ids=BAD)
def test_a_mistake_is_named_with_its_line(tmp_path, old, new, says):
    """A mistake in a book is one line: file, line, path, the rule and the value."""
    path = book_file(tmp_path, (old, new))
    with pytest.raises(InputError) as error:
        load_book(str(path))
    found = [p for p in error.value.problems if says in str(p)]
    assert found, str(error.value)
    assert found[0].line == line_of(path, new)


@pytest.mark.parametrize(
    ("end", "start", "says"),
    [
        (None, "2026-01-01", "overlaps the row of line {}, which ends never"),
        ("2026-01-02", "2026-01-01", "overlaps the row of line {}, which ends 2026-01-02"),
        ("2026-01-01", "2026-01-02", "a gap after the row of line {}, which ends 2026-01-01"),
        ("2026-01-01", "2025-01-01", "two rows for one date: line {} begins on it too"),
    ],
)
def test_rows_of_one_model_meet(tmp_path, end, start, says):
    """Rows of one model leave no gap and do not overlap (69, 71, 72); both lines are named."""
    closed = PRO + (f"valid_until = {end}\n" if end else "")
    path = book_file(tmp_path, (PRO, closed), next_row(start))
    with pytest.raises(InputError) as error:
        load_book(str(path))
    [problem] = error.value.problems
    text = path.read_text().splitlines()
    rows = [n for n in range(1, len(text)) if text[n - 1] == 'model = "gemini-2.5-pro"' and "valid_from" in text[n]]
    begins = {n + 1 for n in rows}
    named = {problem.line, next(n for n in begins if says.format(n) in problem.what)}
    assert named == begins
    assert len(begins) == 2


def test_rows_may_stand_in_any_order(tmp_path):
    """Rows that meet are accepted whatever their order in the file; the last one has no end."""
    closed = PRO + "valid_until = 2026-01-01\n"
    book = load_book(str(book_file(tmp_path, (PRO, closed), next_row("2026-01-01"))))
    assert [entry.price("input") for entry in book.entries["gemini-2.5-pro"]] == [1_250_000, 9_000_000]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('to = "gemini-3.8-flash"', 'to = "gemini-3.9-flash"', "unknown model; did you mean"),
        ('to = "gemini-3.8-flash"', 'to = "gemini-2.5-pro"', "run in a circle"),
        ('to = "gemini-3.8-flash"', 'to = "gemini-2.0-flash"', "has no price on 2026-12-01"),
        ("factor = 1.8", "factor = 1.00000001", "not a whole number of picodollars"),
        ("factor = 1.8", "factor = 0", "not a factor"),
    ],
)
def test_redirects_and_factors(tmp_path, old, new, says):
    """A redirect leads to a model that has a price; a factor leaves prices whole."""
    with pytest.raises(InputError, match=says):
        load_book(str(book_file(tmp_path, (old, new), text=GOOGLE)))


ROW = """[[quotas]]
model = "gemini-2.5-pro"
tier = "1"
requests_per_minute = 150
tokens_per_minute = 2_000_000
requests_per_day = 10_000
"""
FREE = 'model = "gemini-3.1-pro-preview"\ntier = "free"\noffered = false\n'
LIMITS = {
    "unknown model": (ROW, ROW.replace("2.5-pro", "2.5-prO"), "no [models] table of that name; did you mean"),
    "unknown tier": (ROW, ROW.replace('"1"', '"4"'), "not a usage tier; \"free\", 1, 2 or 3; got '4'"),
    "a limit of nothing": (ROW, ROW.replace("150", "0"), "must be greater than or equal to 1; got 0"),
    "no tokens": (ROW, ROW.replace("2_000_000", "0"), "must be > 0"),
    "two rows": (ROW, ROW.replace('"1"', '"free"'), "a second row of gemini-2.5-pro in tier free: line"),
    "a limit of nothing offered": (FREE, FREE + "requests_per_day = 5\n", "a limit of what the tier does not offer"),
    "unknown family": ('family = "pro"\ntier = "1"', 'family = "por"\ntier = "1"', "must be 'pro', 'flash' or"),
    "two families": ('family = "flash"\ntier = "1"', 'family = "pro"\ntier = "1"', "a second row of pro in tier 1"),
    "spend of nothing": ("{ 1 = 10,", "{ 1 = 0,", "not a limit of spend"),
    "spend as text": ("{ 1 = 10,", '{ 1 = "10",', "not a number"),
    "share": ("limit_share = 0.3\n", "limit_share = 1.01\n", "not a share of a limit; above 0 and at most 1"),
    "no share": ("limit_share = 0.3\n", "", "priority.limit_share: a required key is missing"),
    "platform": ("[platforms.vertex]\n", "[platforms.vertx]\n", "must be 'developer' or 'vertex'"),
    "platform's service": ("jobs = 100\n", "jbos = 100\n", "platforms.developer.service.batch.jbos: unknown key"),
    "platform's jobs": ("jobs = 100\n", "jobs = 0\n", "platforms.developer.service.batch.jobs: must be greater"),
    "platform's terms": (
        '[platforms.vertex.terms]\nbatch_cached = "standard"\n',
        '[platforms.vertex.terms]\nbatch_cached = "full"\n',
        "platforms.vertex.terms.batch_cached: must be 'published'",
    ),
    "platform's ttl": ('minimum_ttl = "1m"\n', 'minimum_ttl = "0s"\n', "must be > 0"),
    "generation": ('family = "pro"\ngeneration = 2\n', 'family = "pro"\ngeneration = 1\n', "must be 2 or 3"),
    "two images": ("image = [280, 560, 1_120]\n", "image = [280, 560]\n", "must have at least 3 entries"),
    "no such media": ("[media.3]\n", "[media.4]\n", "must be '2' or '3'"),
    "slow answers": ("includes_thinking = true\n", "includes_thinking = 2\n", "must be a valid boolean"),
}


@pytest.mark.parametrize(("old", "new", "says"), LIMITS.values(), ids=LIMITS)
def test_a_wrong_limit_is_named_with_its_line(tmp_path, old, new, says):
    """Limits, platforms and media are as strict as prices, and a mistake is found where it was made."""
    path = book_file(tmp_path, (old, new), text=GOOGLE)
    with pytest.raises(InputError) as error:
        load_book(str(path))
    found = [p for p in error.value.problems if says in str(p)]
    assert found, str(error.value)
    above = GOOGLE.split(old)[0].count("\n")  # lines before what was changed; its table may begin one or two above it
    assert above - 1 <= found[0].line <= above + new.count("\n") + 1


def test_a_book_names_a_platform(tmp_path):
    """Without a platform nothing would say when a job expires."""
    path = book_file(tmp_path, ("[platforms.developer]\n", "[platforms]\n[platform]\n"))
    with pytest.raises(InputError, match=r"platform: unknown key; did you mean 'platforms'"):
        load_book(str(path))


def test_all_mistakes_at_once(tmp_path):
    """Mistakes of keys and mistakes between rows appear together, by line."""
    path = book_file(
        tmp_path,
        ('currency = "USD"', 'currency = "EUR"'),
        ("input = 1.25", "input = -1"),
        ("storage = 1.00\n", "storage = nan\n"),
        next_row("2026-01-01"),
    )
    with pytest.raises(InputError) as error:
        load_book(str(path))
    text = str(error.value)
    assert all(part in text for part in ("EUR", ">= 0", "finite", "overlaps")), text
    assert [p.line for p in error.value.problems] == sorted(p.line for p in error.value.problems)


@pytest.mark.parametrize("key", ["unit", "storage_unit", "currency", "schema", "checked", "source"])
def test_a_missing_head_key_is_an_error(tmp_path, key):
    """Units, currency, source and date of a book are never taken for granted (66)."""
    line = next(text for text in GUIDE.splitlines() if text.startswith(f"{key} ="))
    with pytest.raises(InputError, match=rf"book\.{key}: a required key is missing"):
        load_book(str(book_file(tmp_path, (line + "\n", ""))))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cached = 0.125\n", "cached = 0\n", "the price of gemini-2.5-pro is zero"),
        ("cached = 0.125\n", "cached = 2.5\n", "dearer than input of gemini-2.5-pro (1.25)"),
        ("batch_input = 0.625\n", "batch_input = 1.5\n", "dearer than input"),
        ("batch_output = 5.00\n", "batch_output = 10.01\n", "dearer than output"),
    ],
)
def test_odd_prices_are_warned_of(tmp_path, old, new, says):
    """A price of zero (63) and a discount that does not discount (67, 68) are accepted with a warning and its line."""
    path = book_file(tmp_path, (old, new))
    [warning] = load_book(str(path)).warnings
    assert says in str(warning)
    assert warning.line == line_of(path, new)


def test_a_minimum_that_is_absent_is_an_error_when_asked(tmp_path):
    """A book may leave minimums out; caching then has none to go by (76)."""
    table = 'explicit_minimum = { tokens = 4_096, confidence = "C", note = "the guide" }\n'
    row = '[[models."gemini-2.5-pro".minimums]]\nvalid_from = 2025-01-01\ntokens = 4_096\n'
    rows = row + 'confidence = "C"\nnote = "the guide"\n'
    facts = load_book(str(book_file(tmp_path, (table, ""), (rows, "")))).facts["gemini-2.5-pro"]
    with pytest.raises(NotOffered, match="names no implicit minimum"):
        facts.implicit_minimum(LEDGER_START)
    with pytest.raises(NotOffered, match="names no minimum size"):
        _ = facts.explicit_minimum


def test_storage_without_a_price_is_an_error_when_used(tmp_path):
    """A model without a storage price cannot hold an explicit cache (77)."""
    book = load_book(str(book_file(tmp_path, ("storage = 1.00\n", ""))))
    with pytest.raises(PriceMissing, match="no storage price of gemini-2"):
        rate(one_cache("gemini-2.5-pro", LEDGER_START, 1_000, 3_600_000), book)


def test_a_changed_book_has_another_digest(tmp_path):
    """A run can tell that its book changed since it began (80)."""
    changed = load_book(str(book_file(tmp_path, ("cached = 0.125\n", "cached = 0.1250\n"))))
    assert changed.digest == load_book("guide").digest
    changed = load_book(str(book_file(tmp_path, ("cached = 0.125\n", "cached = 0.126\n"))))
    assert changed.digest != load_book("guide").digest


@pytest.mark.parametrize("raw", [b"", b"\xff", b"[book", b"a = " + b"1" * 5000])
def test_files_that_are_no_books(tmp_path, raw):
    """Whatever a file holds, the answer is an InputError."""
    path = tmp_path / "x.toml"
    path.write_bytes(raw)
    with pytest.raises(InputError):
        load_book(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        load_book(str(tmp_path / "absent.toml"))
    with pytest.raises(InputError, match="cannot be read"):
        load_book(str(tmp_path))
