"""genai-prices is an independent oracle of what one request costs."""

import datetime as dt
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import part_of

from sim.billing import price_request
from sim.ledger import Mode
from sim.providers import load_book
from sim.units import DAY

genai_prices = pytest.importorskip("genai_prices", reason="the optional oracle genai-prices is not installed")

from genai_prices.data_snapshot import get_snapshot  # noqa: E402  # after the skip

BOOK = load_book("google")
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
BATCH = {"processing": "batch"}
HORIZON = EPOCH + dt.timedelta(days=365 * 58)  # open-ended prices are compared up to here
CACHED_CHANGED = dt.datetime(
    2025, 11, 1, tzinfo=dt.UTC
)  # genai-prices has only the later cached price of the 2.5 models
GOOGLE = next(provider for provider in get_snapshot().providers if provider.id == "google")

tokens = st.sampled_from([0, 1, 999, 1_000, 50_000, 199_999, 200_000, 200_001, 1_000_000]) | st.integers(0, 10**7)


def ms(instant):
    return (instant - EPOCH) // dt.timedelta(milliseconds=1)


def has_batch_variant(model, when):
    """genai-prices takes the standard price silently where it has no variant, so its existence is checked."""
    variants = GOOGLE.find_model(model).price_variants or ()
    return any(v.when == BATCH and (v.constraint is None or v.constraint.active(when)) for v in variants)


def theirs(model, mode, when, prompt, output, *, cached, audio, cached_audio):
    usage = genai_prices.Usage(
        input_tokens=prompt,
        cache_read_tokens=cached,
        input_audio_tokens=audio,
        cache_audio_read_tokens=cached_audio,
        output_tokens=output,
    )
    context = BATCH if mode == Mode.BATCH else None
    found = genai_prices.calc_price(
        usage, model, provider_id="google", genai_request_timestamp=when, price_context=context
    )
    assert found.model.id == model
    return Fraction(found.total_price)


def comparable_days():
    """Return (model, mode, first and last comparable day) of every price row that genai-prices has too."""
    cells = []
    for model in BOOK.models:
        for entry in BOOK.entries[model]:
            first = EPOCH + dt.timedelta(milliseconds=entry.valid_from)
            last = HORIZON if entry.valid_until is None else EPOCH + dt.timedelta(milliseconds=entry.valid_until - DAY)
            if not ("2.5" in model and first < CACHED_CHANGED):
                cells.append((model, Mode.STANDARD, first, last))
            if has_batch_variant(model, last):
                known = next(d for d in days(first, last) if has_batch_variant(model, d))
                cells.append((model, Mode.BATCH, known, last))
    return cells


def days(first, last):
    return (first + dt.timedelta(days=k) for k in range((last - first).days + 1))


CELLS = comparable_days()


def test_the_comparison_is_not_vacuous():
    """All 13 models are compared in standard mode and 10 in batch; the others have no batch variant in genai-prices."""
    assert {model for model, mode, *_ in CELLS if mode == Mode.STANDARD} == set(BOOK.models)
    assert len({model for model, mode, *_ in CELLS if mode == Mode.BATCH}) >= 10
    assert len(BOOK.models) == 13
    heard = {(e.model, mode) for m, mode, *_ in CELLS for e in BOOK.entries[m] if "audio_input" in e.prices}
    assert len(heard) >= 8  # models and modes with audio prices of their own


@pytest.mark.parametrize(("model", "mode", "first", "last"), CELLS, ids=lambda v: getattr(v, "name", str(v)[:22]))
@given(data=st.data(), prompt=tokens, output=tokens)
@settings(max_examples=25, deadline=None)
def test_equal_to_genai_prices(model, mode, first, last, data, prompt, output):
    """One request costs what genai-prices says, to the last digit; audio and cached audio included."""
    cached = data.draw(part_of(prompt))
    cached_audio = data.draw(part_of(cached))
    parts = {"cached": cached, "cached_audio": cached_audio}
    parts["audio"] = cached_audio + data.draw(part_of(prompt - cached))
    when = first + dt.timedelta(milliseconds=data.draw(st.integers(0, (last - first) // dt.timedelta(milliseconds=1))))
    ours = price_request(BOOK, model, mode, ms(when), prompt=prompt, output=output, **parts)
    assert ours.total == theirs(model, mode, when, prompt, output, **parts)
    if mode == Mode.BATCH and prompt - cached:
        assert ours.total != theirs(model, Mode.STANDARD, when, prompt, output, **parts), "a silent fallback would pass"
