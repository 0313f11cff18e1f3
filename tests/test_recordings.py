"""Recorded calls of the Gemini API, met by the engine: what was counted, refused and stored is what the rules say."""

import csv
import datetime as dt
import functools
import gzip
import json
import math
import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cache_twins import common
from worlds import (
    INSTANT,
    batch_rules,
    caches,
    calls,
    collecting,
    implicit_rules,
    keeping,
    plan,
    rules,
    simulate,
    world,
)

from sim.engines.laws.latency import first_token_ms
from sim.ledger import JobState, Limit, Source
from sim.providers import load_book
from sim.providers.rules import SHARE_ONE, LatencyLaw
from sim.strategies.decision import CachePlan
from sim.units import HOUR, SECOND

pytestmark = pytest.mark.skipif("GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces")

CALLS = "generateContent"
EXPLICIT = "prompt_caching/explicit_cache_hit_ratio.yaml"
BELOW = "cached_content_matrix/edge_below_minimum.yaml"
DEFAULT = "cached_content_matrix/edge_default_expiry_is_one_hour.yaml"
DELETED = "prompt_caching/explicit_cache_expired.yaml"
OTHER_SYSTEM = "prompt_caching/changed_system_instruction_miss.yaml"


class Exchange(NamedTuple):
    """One recorded request and its answer."""

    cassette: str
    step: int
    method: str
    path: str
    status: int
    asked: Any  # the JSON of the request, None = it had no body
    told: Any  # the JSON of the answer

    @property
    def usage(self):
        """Tokens as the service counted them; what it leaves out is 0."""
        return self.told.get("usageMetadata", {})

    @property
    def text(self):
        """The prompt as far as it is plain text: the system instruction, then the contents."""
        system = self.asked.get("systemInstruction") or {"parts": []}
        parts = [*system["parts"], *(part for turn in self.asked["contents"] for part in turn["parts"])]
        return "".join(part["text"] for part in parts)


def folder():
    """Where the recordings are."""
    return Path(os.environ["GCSIM_TRACES"]) / "gemini_recordings"


@functools.cache
def exchanges():
    """Every recorded exchange. Of their YAML no more is read than its single-quoted JSON and three plain keys."""
    found = []
    for file in sorted(folder().glob("*/*.yaml.gz")):
        text = gzip.decompress(file.read_bytes()).decode()
        name = file.relative_to(folder()).as_posix().removesuffix(".gz")
        for step, part in enumerate(re.split(r"^---$", text, flags=re.MULTILINE)):
            bodies = re.findall(r"^  body: (?:'(.*)'|null)$", part, re.MULTILINE)
            asked, told = (json.loads(body.replace("''", "'")) if body else None for body in bodies)
            plain = [re.search(rf"^  {key}: (\S+)$", part, re.MULTILINE)[1] for key in ("method", "path", "status")]
            found.append(Exchange(name, step, *plain[:2], int(plain[2]), asked, told))
    return found


def of(cassette, path):
    """The exchanges of one recording whose path ends like this."""
    return [one for one in exchanges() if one.cassette == cassette and one.path.endswith(path)]


def generated():
    """Every answered call of a model."""
    return [one for one in exchanges() if one.path.endswith(CALLS) and one.status == 200]


def created():
    """Every explicit cache that was created: (ms of TTL asked for, or None; ms from createTime to expireTime; told)."""
    for one in exchanges():
        if one.method == "POST" and one.path.endswith("cachedContents") and one.status == 200:
            ttl = one.asked.get("ttl")
            left = instant_ms(one.told["expireTime"]) - instant_ms(one.told["createTime"])
            yield None if ttl is None else round(1000 * float(ttl.removesuffix("s"))), left, one


def instant_ms(text):
    """An instant in ms since the Unix epoch, rounded down; finer digits than a microsecond are cut off."""
    whole, _, rest = text.removesuffix("Z").partition(".")
    at = dt.datetime.fromisoformat(f"{whole}.{rest[:6].ljust(6, '0')}+00:00")
    return (at - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(milliseconds=1)


def minimum():
    """The minimum of an explicit cache that the service named as it refused a smaller one, and that one's size."""
    (refused,) = of(BELOW, "cachedContents")
    assert refused.status == 400
    size, least = re.search(
        r"total_token_count=(\d+), min_total_token_count=(\d+)", refused.told["error"]["message"]
    ).groups()
    return int(least), int(size)


def test_the_table_of_usage_is_what_the_recordings_say():
    """Each row of the derived table has the status and the counts of its recorded exchange."""
    with (folder() / "gemini_usage_rows.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name.endswith("TokenCount")]
    assert len(names) == 6
    found = {(one.cassette, one.step): one for one in exchanges()}
    assert len(rows) == len(found) == 20
    for row in rows:
        one = found[row["cassette"], int(row["step"])]
        assert (one.status, one.asked is not None and "cachedContent" in one.asked) == (
            int(row["status"]), row["explicit_cache"] == "1",
        )  # fmt: skip
        assert {name: int(row[name] or 0) for name in names} == {name: one.usage.get(name, 0) for name in names}


def test_the_total_is_the_sum_of_its_parts():
    """total = prompt + candidates + thoughts + tool use in every recorded call, and cached tokens lie in the prompt."""
    assert len(generated()) == 12
    parts = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount", "toolUsePromptTokenCount")
    for one in generated():
        assert one.usage["totalTokenCount"] == sum(one.usage.get(name, 0) for name in parts)
        assert one.usage.get("cachedContentTokenCount", 0) <= one.usage["promptTokenCount"]


def test_the_engine_counts_what_an_explicit_cache_counts():
    """From the first call on, a call with the cache reads all of its tokens, and its prompt counts them: exactly."""
    (creation,), reads = of(EXPLICIT, "cachedContents"), of(EXPLICIT, CALLS)
    size = creation.usage["totalTokenCount"]
    prompt = [one.usage["promptTokenCount"] for one in reads]
    assert all(one.asked["cachedContent"] == creation.told["name"] for one in reads)
    trace = world(
        [0, 5_000, 10_000],
        depth=[size],
        fresh=[tokens - size for tokens in prompt],
        output=[one.usage["candidatesTokenCount"] for one in reads],
    )
    ledger = simulate(trace, keeping(ttl=600_000), rules(explicit_minimum=minimum()[0], latency=INSTANT))
    assert ledger.prompt.tolist() == prompt
    assert ledger.cached.tolist() == [one.usage["cachedContentTokenCount"] for one in reads]
    assert (ledger.prompt + ledger.output).tolist() == [one.usage["totalTokenCount"] for one in reads]
    assert ledger.source.tolist() == [Source.EXPLICIT] * 3
    assert caches(ledger, "tokens", "reads") == [(size, 3)]


def test_below_the_minimum_nothing_is_created():
    """The service named a minimum of 1,024: the engine creates the recorded cache of 1,081 and none of 97 or 1,023."""
    least, refused = minimum()
    (made,) = of(DEFAULT, "cachedContents")
    for size, holds in ((refused, False), (least - 1, False), (least, True), (made.usage["totalTokenCount"], True)):
        ledger = simulate(world([0], depth=[size]), keeping(), rules(explicit_minimum=least))
        assert ledger.cache_tokens.tolist() == [size] * holds
        assert ledger.cached.tolist() == [size * holds]
    assert (least, refused) == (1_024, 97)


def test_a_deleted_cache_is_refused():
    """403 after the delete: a job that runs after its cache was deleted fails for that, and goes on without it."""
    statuses = [(one.method, one.status) for one in exchanges() if one.cassette == DELETED]
    assert statuses == [("POST", 200), ("DELETE", 200), ("GET", 403)]
    size = of(DELETED, "cachedContents")[0].usage["totalTokenCount"]
    trace = world([0], depth=[size], replaced=[1_000])
    kept = CachePlan(ttl=600_000, delete_replaced=1)
    strategy = collecting("hybrid", cache=kept, size=1, attempts=2, poll=1)
    pending = rules(latency=INSTANT, batch=batch_rules(pending_share=SHARE_ONE))
    late, early = (simulate(trace, strategy, pending, turnaround=ms) for ms in (5_000, 900))
    assert calls(late, "forbidden", "cached", "attempts") == [(1, 0, 2)]
    assert late.job_state.tolist() == [JobState.FAILED, JobState.SUCCEEDED]
    assert calls(late, "limit_kind", "limit_count") == [(Limit.FORBIDDEN, 1)]
    assert calls(early, "forbidden", "cached", "attempts") == [(0, size, 1)]


def test_a_ttl_runs_from_the_start_of_the_creating_call():
    """expireTime - createTime is short of the TTL by as long as the creating call had taken: until = born + TTL.

    ``createTime`` is stamped within the call, after its start, so the recorded shortfall is the time from ``born`` to
    it. Played with a creation that takes just that long, the engine's cache has the recorded time left when it can be
    read; a TTL from the reply would leave it whole.
    """
    recorded = list(created())
    assert len(recorded) == 3
    for asked, left, one in recorded:
        ttl, size = asked or HOUR, one.usage["totalTokenCount"]
        late = ttl - left
        assert 0 < late < SECOND
        law = LatencyLaw(base_ns=late * 10**6, uncached_ns=0, cached_ns=0, output_ns=0)
        ledger = simulate(world([0], depth=[size]), keeping(ttl=ttl), rules(latency=law))
        (sent,), (born,), (until,) = ledger.sent.tolist(), ledger.cache_born.tolist(), ledger.cache_until.tolist()
        assert (sent - born, until - born, until - sent) == (late, ttl, left)
        own = keeping(ttl=ttl, own_clock=1)  # a client that counts from the reply is late by the same time
        for ask, forbidden in ((ttl - 1, 0), (ttl, 1), (ttl + late - 1, 1), (ttl + late, 0)):
            told = simulate(world([0, ask], depth=[size]), own, rules(latency=law))
            assert told.forbidden.tolist() == [0, forbidden]


def test_the_default_ttl_is_an_hour():
    """Asked for none, the service kept the cache for an hour from the start of the call; so does a plan by default."""
    defaults = [left for asked, left, _ in created() if asked is None]
    assert len(defaults) == 1
    assert HOUR - SECOND < defaults[0] < HOUR
    ledger = simulate(world([0], depth=[9]), keeping(), rules(latency=INSTANT))
    assert CachePlan().ttl == HOUR
    assert ledger.cache_until.tolist() == [HOUR]


def test_creating_a_cache_takes_about_the_time_that_the_book_assumes():
    """The three recorded creations had taken 0.3 to 0.5 s when they were stamped: within a factor of 2 of the book."""
    book = load_book("google")
    for asked, left, one in created():
        figures = book.latency["gemini-2.5-flash"]
        law = LatencyLaw(
            round(figures.base_s * 10**9),
            round(figures.per_uncached_token_ms * 10**6),
            round(figures.per_cached_token_ms * 10**6),
            0,
        )
        assumed = first_token_ms(law, one.usage["totalTokenCount"], 0, 1 << 16)
        assert assumed / 2 < (asked or HOUR) - left < 2 * assumed


def shared_tokens(one):
    """An upper bound of the tokens that a call has in common with any other recorded call.

    The longest common prefix of the texts, in characters, at the call's own tokens a character, rounded up; what the
    text leaves out (the tools) only makes the ratio larger. Recordings have no order among them, so a prefix may have
    been seen in any of the others.
    """
    texts = [other.text for other in generated() if other is not one and "cachedContent" not in other.asked]
    longest = max(common(one.text, text) for text in texts)
    return math.ceil(longest * one.usage["promptTokenCount"] / len(one.text))


def test_no_implicit_count_is_above_the_common_prefix():
    """What the service read by itself is at most what the engine reads at its ceiling: the longest common prefix.

    The ceiling is chance 1, no minimum, no block, available at the arrival. The bound says something: the call whose
    system instruction was changed shares so little that the engine, under the recorded minimum, hits nothing either.
    """
    plain = [one for one in generated() if "cachedContent" not in one.asked]
    assert len(plain) == 9
    assert sum("cachedContentTokenCount" in one.usage for one in plain) == 4
    for one in plain:
        prompt, shared = one.usage["promptTokenCount"], shared_tokens(one)
        trace = world([0, 1_000], depth=[shared], fresh=[0, prompt - shared])
        recorded = one.usage.get("cachedContentTokenCount", 0)
        ceiling, least = (
            simulate(
                trace, plan("implicit"), rules(implicit=implicit_rules(), implicit_minimum=tokens, latency=INSTANT)
            )
            for tokens in (0, minimum()[0])
        )
        assert (ceiling.prompt[1], ceiling.cached[1]) == (prompt, shared)
        assert recorded <= ceiling.cached[1]
        assert recorded <= least.cached[1]
    changed = of(OTHER_SYSTEM, CALLS)[1]
    assert shared_tokens(changed) < 10
