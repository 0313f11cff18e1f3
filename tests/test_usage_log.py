"""The user's own log: what its cells are called, and which prefixes its calls share."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.traces import load_trace
from sim.traces.lines import Mistakes
from sim.traces.log_prefixes import Shared, prefixes
from sim.traces.profile import profile
from sim.traces.recorded import Calls, Recorded, assemble

# 100 prompt tokens (40 cached) and 5 of a tool; 20 candidates and 7 thoughts
REST = {"promptTokenCount": 100, "cachedContentTokenCount": 40, "candidatesTokenCount": 20, "thoughtsTokenCount": 7}
REST |= {"toolUsePromptTokenCount": 5, "totalTokenCount": 100 + 20 + 7 + 5}
SDK = {"prompt_token_count": 100, "cached_content_token_count": 40, "candidates_token_count": 20}
SDK |= {"thoughts_token_count": 7, "tool_use_prompt_token_count": 5, "total_token_count": 100 + 20 + 7 + 5}
OTEL = {"gen_ai.usage.input_tokens": 105, "gen_ai.usage.output_tokens": 27, "gen_ai.usage.cache_read.input_tokens": 40}


def log(folder: Path, *rows: dict) -> Path:
    path = folder / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def table(folder: Path, text: str) -> Path:
    path = folder / "log.csv"
    path.write_text(text)
    return path


def session(*turns: tuple[str | None, str | None, int]) -> list[dict]:
    """Calls a second apart as (context, session, prompt tokens)."""
    return [
        {"time_s": t, "context_id": context, "session_id": name, "promptTokenCount": prompt}
        for t, (context, name, prompt) in enumerate(turns)
    ]


@pytest.mark.parametrize(
    "usage",
    [
        REST,
        SDK,
        OTEL,
        {"usageMetadata": REST},
        {"usage_metadata": SDK},
        {"response": {"usageMetadata": REST}},
        {"full_response": {"usageMetadata": REST}},
        {"attributes": OTEL},
        {name: str(value) for name, value in REST.items()},
    ],
)
def test_every_way_to_write_the_usage_gives_the_same_call(tmp_path, usage):
    """Prompt is prompt + tool use, output is candidates + thoughts, under REST, SDK and OpenTelemetry names."""
    recorded = load_trace(log(tmp_path, {"time_s": 3, **usage}))
    assert recorded.format == "log"
    assert recorded.prompt.tolist() == [100 + 5]
    assert recorded.output.tolist() == [20 + 7]
    assert recorded.recorded_cached.tolist() == [40]


def test_a_table_reads_like_the_objects_and_may_prefix_its_columns(tmp_path):
    """CSV columns take the same names, also behind the name of the object that held them."""
    flat = table(tmp_path, f"time_s,{','.join(REST)}\n3,{','.join(map(str, REST.values()))}\n")
    recorded = load_trace(flat)
    assert (recorded.prompt.tolist(), recorded.output.tolist()) == ([105], [27])
    nested = table(tmp_path, "time_s,usageMetadata.promptTokenCount\n3,12.0\n")
    assert load_trace(nested).prompt.tolist() == [12]


def test_an_absent_or_null_count_is_zero(tmp_path):
    """The API leaves out what is zero: only the prompt must be there."""
    row = {"time_s": 1, "promptTokenCount": 9, "cachedContentTokenCount": None, "totalTokenCount": 9}
    recorded = load_trace(log(tmp_path, row))
    assert (recorded.output.tolist(), recorded.recorded_cached.tolist()) == ([0], [0])


def test_a_table_without_a_cached_column_does_not_tell_what_was_cached(tmp_path):
    """An empty cell is 0; a column that is not there is unknown, and the profile says nothing of it."""
    unknown = load_trace(table(tmp_path, "time_s,promptTokenCount\n1,5\n"))
    assert unknown.recorded_cached.tolist() == [-1]
    assert profile(unknown).recorded_cached is None
    known = load_trace(table(tmp_path, "time_s,promptTokenCount,cachedContentTokenCount\n1,5,\n2,10,4\n"))
    assert known.recorded_cached.tolist() == [0, 4]
    assert profile(known).recorded_cached == (4, 15)


@pytest.mark.parametrize(
    ("name", "first", "second", "gap"),
    [
        ("time_ms", 1_000, 1_250.0, 250),
        ("time_s", 1.0, 1.001, 1),  # int(1.001 * 1000) is 1000
        ("time_s", "1.0009", "1.0019", 1),
        ("time", "2026-11-20T10:00:00Z", "2026-11-20T12:00:01+02:00", 1000),
        ("timestamp", "2026-10-25T01:59:59-04:00", "2026-10-25T01:00:00-05:00", 1000),  # summer time ends
        ("logging_time", "2026-11-20 10:00:00.5 UTC", "2026-11-20 10:00:00.123456789 UTC", -377),
    ],
)
def test_times_are_read_exactly_and_cut_to_whole_milliseconds(tmp_path, name, first, second, gap):
    """Numbers state their unit by the key, texts their zone; nothing passes through a float."""
    rows = [{name: first, "promptTokenCount": 1}, {name: second, "promptTokenCount": 2}]
    recorded = load_trace(log(tmp_path, *rows), sort=True)
    assert recorded.arrive.tolist() == [0, abs(gap)]
    assert recorded.prompt.tolist() == ([1, 2] if gap >= 0 else [2, 1])


def test_a_context_with_its_tokens_is_a_node_of_that_depth(tmp_path):
    """Calls of a context share exactly context_tokens; the candidates for caches are the declared contexts."""
    rows = [{**row, "context_tokens": 50} for row in session(("doc", None, 60), ("doc", None, 50), ("doc", None, 90))]
    recorded = load_trace(log(tmp_path, *rows))
    assert (recorded.depth.tolist(), recorded.context.tolist(), recorded.parent.tolist()) == ([50], [1], [-1])
    assert recorded.leaf.tolist() == [0, 0, 0]
    assert recorded.fresh.tolist() == [10, 0, 40]
    assert recorded.notes == ()
    assert profile(recorded).ceiling.unlimited == 50 + 50


def test_a_context_without_tokens_is_its_smallest_prompt_and_the_note_says_so(tmp_path):
    """The shared part can be no longer than the smallest prompt that holds it."""
    recorded = load_trace(log(tmp_path, *session(("doc", None, 60), ("doc", None, 45), ("other", None, 80))))
    assert recorded.depth[recorded.leaf].tolist() == [45, 45, 80]
    assert "2 contexts without context_tokens" in recorded.notes[0]
    assert "upper bound" in recorded.notes[0]


def test_a_session_extends_its_former_prompt_while_it_grows(tmp_path):
    """A prompt at least as long as its session's former one has that one as its prefix; a shorter one starts anew."""
    recorded = load_trace(log(tmp_path, *session((None, "a", 10), (None, "a", 30), (None, "a", 30), (None, "a", 20))))
    assert recorded.parent.tolist() == [-1, 0, 1, -1]
    assert profile(recorded).ceiling.unlimited == 10 + 30
    assert recorded.follows.tolist() == [-1] * 4
    assert "extend" in recorded.notes[0]


def test_a_session_starts_from_its_context_and_starts_anew_when_the_context_changes(tmp_path):
    """The first prompt of a session hangs from its context; under another context the former prompt is no prefix."""
    calls = session(("x", "a", 20), ("x", "b", 25), ("x", "a", 40), ("y", "a", 50))
    recorded = load_trace(log(tmp_path, *calls))
    # x (20 tokens), a's first, b's, a's second, y (50 tokens), a's under y
    assert recorded.parent.tolist() == [-1, 0, 0, 1, -1, 4]
    assert recorded.depth.tolist() == [20, 20, 25, 40, 50, 50]
    assert recorded.context.tolist() == [1, 0, 0, 0, 1, 0]


def test_without_declared_contexts_the_candidates_are_branching_nodes(tmp_path):
    """A session alone has no candidate: each of its prompts is extended by one other, and none branches."""
    recorded = load_trace(log(tmp_path, *session((None, "a", 10), (None, "a", 30), (None, "a", 40))))
    assert recorded.context.tolist() == [0, 0, 0]


def test_models_are_named_where_a_log_has_several(tmp_path):
    """Caches belong to a model; a log that mixes them gets a note."""
    rows = [{"time_s": 1, "promptTokenCount": 1, "model": name} for name in ("pro", "flash", "pro")]
    assert load_trace(log(tmp_path, *rows)).notes == ("prefixes are taken to be shared between the models flash, pro",)


TURNS = st.tuples(st.sampled_from(["", "x", "y"]), st.sampled_from(["", "a", "b"]), st.integers(0, 4))


@given(st.lists(TURNS, max_size=15))
def test_the_prefixes_of_a_log_are_those_of_a_naive_reading(turns):
    """Matched tokens without a lifetime: the session's former prompt, else the context if it was seen, call by call."""
    calls = Calls()
    for line, (_, _, prompt) in enumerate(turns):
        calls.add(line, line, prompt, 0)
    shared = [Shared(context, None, name) for context, name, _ in turns]
    order = list(range(len(turns)))
    tree, leaf, _ = prefixes(calls, order, shared, Mistakes("log"))
    recorded = assemble("log", calls, order, leaf, tree, 1, [])
    expected = sum(naive_match(turns, i) for i in order)
    assert recorded.prompt.tolist() == [prompt for _, _, prompt in turns]
    assert matched(recorded) == expected


def naive_match(turns: list[tuple[str, str, int]], i: int) -> int:
    context, name, prompt = turns[i]
    before = [turn for turn in turns[:i] if name and turn[1] == name][-1:]
    if before and before[0][0] == context and before[0][2] <= prompt:
        return before[0][2]
    seen = context and any(turn[0] == context for turn in turns[:i])
    return min(turn[2] for turn in turns if turn[0] == context) if seen else 0


def matched(recorded: Recorded) -> int:
    found = profile(recorded, [1]).ceiling
    return found.unlimited if found else 0


@pytest.mark.skipif("GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces")
def test_recorded_gemini_calls_read_as_a_log_once_they_have_a_time(tmp_path):
    """Google's own counts pass every check: totals are sums, cached tokens lie within the prompt."""
    file = Path(os.environ["GCSIM_TRACES"]) / "gemini_recordings" / "gemini_usage_rows.csv"
    header, *rows = file.read_text().splitlines()
    prompt_at = header.split(",").index("promptTokenCount")
    calls = [row for row in rows if row.split(",")[prompt_at]]
    text = "\n".join([f"time_s,{header}", *(f"{t},{row}" for t, row in enumerate(calls))])
    recorded = load_trace(table(tmp_path, text))
    assert recorded.requests == len(calls) == 12
    cached_at = header.split(",").index("cachedContentTokenCount")
    assert recorded.recorded_cached.sum() == sum(int(row.split(",")[cached_at] or 0) for row in calls)
