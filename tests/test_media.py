"""Pictures, film and sound: closed forms of their tokens, their place in prompts and histories, and their price."""

import hashlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from workloads import SEED, agrees, workload

from sim.billing import price_request
from sim.errors import EngineError
from sim.ledger import Mode
from sim.providers import load_book
from sim.providers.media import Media
from sim.trace import Trace
from sim.workload.contexts import pick
from sim.workload.media import RESOLUTIONS, PartsSpec, image_tokens, parts_content
from sim.workload.realise import realise, uniforms
from sim.workload.sizes import mean, quantile
from sim.workload.spec import has_parts

TILED = Media((258, 258, 258), image_small_px=384, image_tile_px=768, video=(263, 263, 263), audio=32)  # Gemini 2.x
WHOLE = Media((280, 560, 1120), image_small_px=0, image_tile_px=768, video=(70, 70, 280), audio=32)  # Gemini 3
GENERATIONS = pytest.mark.parametrize("media", [TILED, WHOLE], ids=["2.x", "3"])

FILM = 'parts = {video_s = {law = "lognormal", mean = 90, cv = 0.8}, images = {law = "geometric", mean = 2}}\n'
CALL = 'parts = {audio_s = {law = "uniform", low = 0, high = 40, at_least = 0}}\n'
CHAT = """
[streams.chat]
arrivals = {process = "poisson", rate = "20/h"}
context = "docs"
fresh = {law = "lognormal", mean = 200, cv = 1.0}
output = {law = "lognormal", mean = 300, cv = 0.5}
patience = "30s"
session = {turns = {law = "geometric", mean = 3.0}, think = "40s"}
"""
SEARCH = """
[streams.search]
arrivals = {process = "poisson", rate = "30/h"}
context = "docs"
fresh = {law = "uniform", low = 10, high = 90}
output = 50
patience = "5s"
"""
DOCS = """
[contexts.docs]
under = "sys"
count = 5
tokens = {law = "lognormal", mean = "20k", cv = 1.0}
"""
SYSTEM = """
[contexts.sys]
tokens = 900
"""


def fingerprint(trace: Trace) -> str:
    return hashlib.sha256(b"|".join(getattr(c, "tobytes", repr(c).encode)() for c in trace)).hexdigest()


def heard(trace: Trace) -> np.ndarray:
    """Return the (n,) tokens of whole prompts that are audio."""
    below = np.append(trace.audio_depth, 0)  # leaf -1 is the last
    return trace.audio + below[trace.leaf]


def drawn(law: object, name: str, purpose: str, count: int) -> np.ndarray:
    return quantile(law, uniforms(SEED, 0, name, purpose, count))


@given(st.integers(1, 4000), st.integers(1, 4000), st.sampled_from(RESOLUTIONS))
def test_a_picture_is_its_tiles(width, height, resolution):
    """A tiled picture costs 258 a tile that is begun, counted one by one, and one tile if both sides are small."""
    tiles = sum(1 for _ in range(0, width, 768) for _ in range(0, height, 768))
    expected = 258 * (1 if max(width, height) <= 384 else tiles)
    assert image_tokens(TILED, width, height, resolution) == expected
    assert image_tokens(TILED, height, width, resolution) == expected
    assert image_tokens(WHOLE, width, height, resolution) == {"low": 280, "medium": 560, "high": 1120}[resolution]


CLOSED_FORMS = [  # parts, tokens and audio tokens for Gemini 2.x, the same for Gemini 3
    ({"images": 3}, (3 * 258, 0), (3 * 560, 0)),
    ({"images": 3, "image_px": [1536, 769]}, (3 * 2 * 2 * 258, 0), (3 * 560, 0)),
    ({"images": 1, "resolution": "high"}, (258, 0), (1120, 0)),
    ({"video_s": 60}, (60 * (263 + 32), 60 * 32), (60 * (70 + 32), 60 * 32)),
    ({"video_s": 60, "resolution": "high"}, (60 * (263 + 32), 60 * 32), (60 * (280 + 32), 60 * 32)),
    ({"video_s": 60, "sound": False}, (60 * 263, 0), (60 * 70, 0)),
    ({"audio_s": 7}, (7 * 32, 7 * 32), (7 * 32, 7 * 32)),
    (
        {"images": 2, "video_s": 10, "audio_s": 5, "resolution": "low"},
        (2 * 258 + 10 * 263 + 15 * 32, 15 * 32),
        (2 * 280 + 10 * 70 + 15 * 32, 15 * 32),
    ),
]


@pytest.mark.parametrize(("parts", "tiled", "whole"), CLOSED_FORMS)
def test_the_tokens_of_parts(parts, tiled, whole):
    """Pictures, seconds of film and seconds of sound cost what the page of their generation says, and add up."""
    spec = PartsSpec.model_validate(parts)
    for media, expected in ((TILED, tiled), (WHOLE, whole)):
        found = parts_content(spec, media, lambda _: lambda count: np.full(count, 0.5), 4)
        assert list(zip(*(column.tolist() for column in found), strict=True)) == [expected] * 4


@GENERATIONS
def test_parts_are_added_to_question_and_document(media):
    """A prompt is the text and the parts of its documents and its question; audio is counted where it stands."""
    film, sound = 12 * (media.video[1] + media.audio), 5 * media.audio
    text = SEARCH.replace("fresh", "parts = {audio_s = 5}\nfresh", 1) + DOCS.replace(
        "tokens", "parts = {video_s = 12}\ntokens"
    )
    trace = realise(workload(text + SYSTEM), SEED, 0, media)
    plain = realise(workload(SEARCH + DOCS + SYSTEM), SEED, 0)
    assert trace.requests == plain.requests > 0
    assert np.array_equal(trace.fresh, plain.fresh + sound)
    assert np.array_equal(trace.prompt, plain.prompt + film + sound)
    assert set(trace.audio.tolist()) == {sound}
    docs = trace.context == 1 + trace.populations.index("docs")
    assert np.array_equal(trace.depth, plain.depth + np.where(docs, film, 0))
    assert np.array_equal(trace.audio_depth, np.where(docs, 12 * media.audio, 0))


def test_audio_deepens_along_the_chain():
    """A document under a spoken preamble holds the preamble's audio and its own; its text may be nothing at all."""
    docs = DOCS.replace('{law = "lognormal", mean = "20k", cv = 1.0}', "0\nparts = {video_s = 10, sound = true}")
    trace = realise(workload(SEARCH + docs + SYSTEM + "parts = {audio_s = 3}\n"), SEED, 0, TILED)
    leaf, root = trace.leaf[0], trace.parent[trace.leaf[0]]
    assert (trace.depth[root], trace.audio_depth[root]) == (900 + 3 * 32, 3 * 32)
    assert (trace.depth[leaf], trace.audio_depth[leaf]) == (900 + 3 * 32 + 10 * (263 + 32), (3 + 10) * 32)


MOVED = ("fresh", "audio", "leaf", "parent", "depth", "audio_depth")


@GENERATIONS
def test_parts_move_no_other_draw(media):
    """Parts of a stream and of a context change tokens and nothing else, and other streams not at all (P73)."""
    both = SEARCH + CHAT + DOCS + SYSTEM
    base = realise(workload(both), SEED, 0)
    for name, parts in (("search", FILM), ("chat", CALL)):
        trace = realise(workload(both.replace(f"[streams.{name}]\n", f"[streams.{name}]\n{parts}")), SEED, 0, media)
        assert all(np.array_equal(getattr(base, c), getattr(trace, c)) for c in Trace._fields if c not in MOVED)
        others = base.stream != base.streams.index(name)
        assert np.array_equal(base.prompt[others], trace.prompt[others])
        assert np.all(heard(trace)[others] == 0)
        assert not np.array_equal(base.prompt, trace.prompt)
    trace = realise(workload(both.replace("count = 5", "count = 5\n" + CALL)), SEED, 0, media)
    moved = {c for c in Trace._fields if not np.array_equal(getattr(base, c), getattr(trace, c))}
    assert moved == {"depth", "audio_depth"}
    assert np.array_equal(trace.depth - trace.audio_depth, base.depth)


def test_one_part_moves_no_other_part():
    """Each kind of part has draws of its own: adding pictures leaves the seconds of film as they were."""
    films = realise(
        workload(SEARCH + 'parts = {video_s = {law = "geometric", mean = 30}}\n' + DOCS + SYSTEM), SEED, 0, TILED
    )
    more = 'parts = {video_s = {law = "geometric", mean = 30}, images = {law = "geometric", mean = 2}}\n'
    trace = realise(workload(SEARCH + more + DOCS + SYSTEM), SEED, 0, TILED)
    assert np.array_equal(trace.audio, films.audio)
    images = drawn(
        workload(SEARCH + more + DOCS + SYSTEM).streams["search"].parts.images, "streams.search", "images", 10**4
    )
    assert np.array_equal(trace.fresh - films.fresh, 258 * images[: trace.requests])


@pytest.mark.parametrize("order", ["shared_first", "variable_first"])
def test_no_parts_are_parts_of_count_zero(order):
    """Zero pictures and zero seconds give the same bytes as a scenario without parts."""
    text = CHAT + f'order = "{order}"\n' + SEARCH + DOCS + SYSTEM
    zero = "parts = {images = 0, video_s = 0, audio_s = 0}\n"
    nothing = text.replace("patience", zero + "patience").replace("count = 5", "count = 5\n" + zero)
    assert nothing.count(zero) == 3
    assert fingerprint(realise(workload(nothing), SEED, 0, TILED)) == fingerprint(realise(workload(text), SEED, 0))


@pytest.mark.parametrize("order", ["shared_first", "variable_first"])
def test_parts_stay_in_the_history_of_a_conversation(order):
    """Turn t holds the parts of all turns up to it, tokens and audio: against a loop over the draws."""
    text = CHAT + CALL + f'order = "{order}"\n' + DOCS.replace("count = 5", "count = 5\nparts = {audio_s = 2}") + SYSTEM
    spec = workload(text)
    trace = realise(spec, SEED, 0, TILED)
    chat, docs, name = spec.streams["chat"], spec.contexts["docs"], "streams.chat"
    count = int(np.count_nonzero(trace.follows < 0))
    turns = drawn(chat.session.turns, name, "turns", count)
    documents = pick(docs, uniforms(SEED, 0, name, "context", count))
    sizes = 900 + drawn(docs.tokens, "contexts.docs", "tokens", 5) + 2 * 32
    words, answers = (
        drawn(law, name, p, int(turns.sum())) for law, p in ((chat.fresh, "fresh"), (chat.output, "output"))
    )
    seconds = drawn(chat.parts.audio_s, name, "audio_s", int(turns.sum()))
    expected, at = [], 0
    for session in range(count):
        prompt, audio = int(sizes[documents[session]]), 2 * 32
        for _ in range(turns[session]):
            prompt, audio = prompt + int(words[at]) + 32 * int(seconds[at]), audio + 32 * int(seconds[at])
            expected.append((prompt, audio))
            prompt, at = prompt + int(answers[at]), at + 1
    assert list(zip(trace.prompt.tolist(), heard(trace).tolist(), strict=True)) == expected
    assert len(trace.depth) == 0 if order == "variable_first" else np.any(trace.audio_depth > 2 * 32)


def test_mean_tokens_are_those_of_the_law():
    """Mean audio of 40 replications is 32 tokens a mean second; half a second more is rejected."""
    law = 'parts = {audio_s = {law = "lognormal", mean = 20, cv = 0.5}}\n'
    spec = workload(SEARCH + law + DOCS + SYSTEM)
    samples = [realise(spec, SEED, r, TILED).audio.mean() for r in range(40)]
    expected = mean(spec.streams["search"].parts.audio_s)
    assert agrees(samples, 32 * expected)
    assert not agrees(samples, 32 * (expected + 0.5))


def test_a_question_about_a_film_is_paid_in_text_and_audio():
    """A minute of film with sound on 2.5 Flash: 263 tokens a second at $0.30, 32 a second at $1.00, by the page."""
    text = '[streams.a]\narrivals = {process = "constant", rate = "1/h"}\nfresh = 100\noutput = 400\npatience = "1m"\n'
    trace = realise(workload(text + "parts = {video_s = 60}\n"), SEED, 0, TILED)
    prompt, audio = int(trace.prompt[0]), int(trace.audio[0])
    book = load_book("google")
    film = {
        mode: price_request(
            book, "gemini-2.5-flash", mode, book.checked_ms, prompt=prompt, audio=audio, output=400
        ).total
        for mode in (Mode.STANDARD, Mode.BATCH)
    }
    usd = lambda price, tokens: Fraction(price) * tokens / 10**6  # noqa: E731 - a word for a price
    full = usd("0.30", 100 + 60 * 263) + usd("1.00", 60 * 32) + usd("2.50", 400)
    assert film[Mode.STANDARD] == full
    assert film[Mode.BATCH] == full / 2
    bill = price_request(book, "gemini-2.5-pro", Mode.STANDARD, book.checked_ms, prompt=prompt, audio=audio, output=400)
    assert bill.total == usd("1.25", 100 + 60 * (263 + 32)) + usd("10", 400)  # Pro has no price of audio


def test_parts_need_a_model():
    """Tokens of parts depend on the model: without its table nothing is made up; a workload of text needs none."""
    plain = workload(SEARCH + DOCS + SYSTEM)
    assert not has_parts(plain)
    for text in (SEARCH + FILM + DOCS + SYSTEM, SEARCH + DOCS + CALL + SYSTEM):
        assert has_parts(workload(text))
        with pytest.raises(EngineError, match="needs the media table"):
            realise(workload(text), SEED, 0)
    assert fingerprint(realise(plain, SEED, 0, WHOLE)) == fingerprint(realise(plain, SEED, 0))
