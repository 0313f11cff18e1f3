"""The importers of recorded traces: each format, its order, its tree of prefixes."""

import gzip
import json
import os
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.trace import NODE_COLUMNS, REQUEST_COLUMNS, WEATHER, Trace, check
from sim.traces import FORMATS, Recorded, load_trace
from sim.traces.prefix_tree import TreeBuilder, runs_of

MOONCAKE = [
    {"timestamp": 100, "input_length": 1100, "output_length": 7, "hash_ids": [0, 1, 2]},
    {"timestamp": 100, "input_length": 1024, "output_length": 0, "hash_ids": [0, 1]},
    {"timestamp": 350, "input_length": 1600, "output_length": 9, "hash_ids": [0, 4, 5, 6]},
]
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n2023-11-16 18:15:46.6805900,374,44\r\n2023-11-16 18:15:50.9951690,396,0"
)
LOG = {"time_s": 5, "promptTokenCount": 10, "candidatesTokenCount": 2}

needs_traces = pytest.mark.skipif(
    "GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces"
)


def lines(rows: list[dict]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def conversation(requests: list[dict], block_size: int = 64) -> dict:
    return {"id": "c", "block_size": block_size, "requests": requests}


def turn(t: float, tokens: int, ids: list, out: int = 1) -> dict:
    return {"t": t, "type": "n", "in": tokens, "out": out, "hash_ids": ids}


def written(folder: Path, text: str | bytes, name: str = "trace") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def as_trace(recorded: Recorded) -> Trace:
    """A scenario adds the rest of each column; here it is zero."""
    own = {name: getattr(recorded, name) for name in Trace._fields if name in Recorded._fields}
    sizes = dict.fromkeys(REQUEST_COLUMNS, recorded.requests) | dict.fromkeys(NODE_COLUMNS, len(recorded.depth))
    sizes["weather"] = WEATHER
    rest = {name: np.zeros(size, np.int64) for name, size in sizes.items() if name not in own}
    return Trace(**own, **rest, populations=("recorded",))


def test_mooncake_blocks_are_512_tokens_and_the_last_partial_one_is_fresh(tmp_path):
    """A Mooncake prompt is its whole 512-token blocks and then its own fresh tokens."""
    recorded = load_trace(written(tmp_path, lines(MOONCAKE)))
    assert recorded.format == "mooncake"
    assert recorded.block_tokens == 512
    assert recorded.arrive.tolist() == [0, 0, 250]
    assert recorded.output.tolist() == [7, 0, 9]
    assert recorded.depth[recorded.leaf].tolist() == [1100 // 512 * 512, 2 * 512, 1600 // 512 * 512]
    assert recorded.fresh.tolist() == [1100 % 512, 0, 1600 % 512]
    assert recorded.leaf[0] == recorded.leaf[1]
    assert recorded.horizon == 251


def test_context_marks_the_nodes_from_which_prompts_go_on_in_two_ways(tmp_path):
    """A node is a candidate for an explicit cache if two prompts part there, or two end there; no other node is."""
    recorded = load_trace(written(tmp_path, lines(MOONCAKE)))
    by_depth = dict(zip(recorded.depth.tolist(), recorded.context.tolist(), strict=True))
    assert by_depth == {512: 1, 1024: 1, 1536: 0}  # parts after block 0; two prompts end after block 1


def test_azure_has_times_and_lengths_and_no_prefixes(tmp_path):
    """Azure's CSV gives arrivals in whole ms and no tree, and the note says so."""
    recorded = load_trace(written(tmp_path, AZURE))
    assert recorded.format == "azure"
    assert recorded.block_tokens == 0
    assert recorded.arrive.tolist() == [0, 50_995 - 46_680]
    assert recorded.prompt.tolist() == [374, 396]
    assert recorded.output.tolist() == [44, 0]
    assert recorded.leaf.tolist() == [-1, -1]
    assert "share a prefix" in recorded.notes[0]


def test_kvct_ids_are_local_to_a_conversation_and_shared_with_its_subagents(tmp_path):
    """Two conversations share nothing though their ids are equal; a subagent shares its parent's, from its own t on."""
    agent = {"t": 2.5, "type": "subagent", "requests": [turn(0.125, 130, [[1, 2]])]}
    rows = [
        conversation([turn(0.0, 200, [[1, 3]]), agent, turn(9.0, 192, [1, 2, 3])]),
        conversation([turn(1.0, 64, [1])]),
    ]
    recorded = load_trace(written(tmp_path, lines(rows)))
    assert recorded.format == "kvct"
    assert recorded.arrive.tolist() == [0, 1000, 2500 + 125, 9000]
    assert recorded.depth[recorded.leaf].tolist() == [192, 64, 128, 192]
    assert recorded.fresh.tolist() == [200 - 192, 0, 130 - 128, 0]
    assert recorded.leaf[0] == recorded.leaf[3]
    assert recorded.parent[recorded.leaf].tolist()[1:3] == [-1, -1]  # the other conversation, and the subagent
    assert recorded.parent[recorded.leaf[0]] == recorded.leaf[2]
    assert "start at the same instant" in recorded.notes[0]


def test_a_run_and_the_ids_in_it_are_the_same_blocks(tmp_path):
    """The inclusive run [4, 6] is the ids 4, 5, 6."""
    runs = load_trace(
        written(tmp_path, lines([conversation([turn(0, 200, [1, [4, 5], 6]), turn(1, 200, [[1, 1], [4, 6]])])]))
    )
    assert runs.leaf.tolist() == [0, 0]


@pytest.mark.parametrize("name", FORMATS)
def test_gzip_and_plain_files_read_alike(tmp_path, name):
    """A file and its gzip give the same record, whatever the name ends in, and auto finds the format."""
    rows = {"mooncake": lines(MOONCAKE), "azure": AZURE, "log": lines([LOG])}
    rows["kvct"] = lines([conversation([turn(0, 200, [[1, 3]])])])
    plain = load_trace(written(tmp_path, rows[name]), name)
    packed = load_trace(written(tmp_path, gzip.compress(rows[name].encode()), "packed"))
    for one, other in zip(plain, packed, strict=True):
        assert np.array_equal(one, other)
    check(as_trace(plain))


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.lists(st.integers(0, 2), max_size=5)),
        max_size=12,
    )
)
def test_the_tree_holds_every_shared_prefix_and_no_node_beyond(prompts):
    """The deepest common node of two prompts ends where they part; a node stands only where prompts part or end."""
    builder = TreeBuilder()
    tree, leaf = builder.finish(10, [builder.insert(runs_of(ids), scope) for scope, ids in prompts])

    def path(node):
        return [] if node < 0 else [*path(int(tree.parent[node])), node]

    assert np.all(tree.parent < np.arange(len(tree.parent)))
    for (scope, ids), node in zip(prompts, leaf, strict=True):
        assert (tree.depth[node] if node >= 0 else 0) == 10 * len(ids)
        for (other_scope, other_ids), other in zip(prompts, leaf, strict=True):
            common = [a for a, b in zip(path(node), path(other), strict=False) if a == b]
            same = zip(ids, other_ids, strict=False) if scope == other_scope else ()
            shared = len(list(takewhile(lambda pair: pair[0] == pair[1], same)))
            assert (tree.depth[common[-1]] if common else 0) == 10 * shared
    children = np.bincount(tree.parent[tree.parent >= 0], minlength=len(tree.parent))
    for node in range(len(tree.parent)):
        assert node in leaf or children[node] >= 2
        assert tree.context[node] == (leaf.count(node) >= 2 or children[node] >= 2)


@pytest.mark.parametrize("sort", [False, True])
def test_equal_times_keep_the_order_of_the_file(tmp_path, sort):
    """Calls of one millisecond stand as they stood in the file."""
    rows = [{**LOG, "promptTokenCount": tokens} for tokens in (30, 10, 20)]
    assert load_trace(written(tmp_path, lines(rows)), sort=sort).prompt.tolist() == [30, 10, 20]


def test_sort_orders_rows_and_says_how_many_were_out_of_order(tmp_path):
    """With sort, rows are read in order of time and the note counts those that were earlier than the row before."""
    rows = [{**LOG, "time_s": t, "promptTokenCount": t} for t in (5, 3, 4, 1)]
    recorded = load_trace(written(tmp_path, lines(rows)), sort=True)
    assert recorded.prompt.tolist() == [1, 3, 4, 5]
    assert recorded.arrive.tolist() == [0, 2000, 3000, 4000]
    assert recorded.notes == ("sorted by time: 2 rows were earlier than the row before",)


def test_sort_reaches_into_conversations(tmp_path):
    """A conversation whose requests are out of order is sorted only when asked."""
    path = written(tmp_path, lines([conversation([turn(5, 64, [1]), turn(3, 128, [1, 2])])]))
    assert load_trace(path, sort=True).prompt.tolist() == [128, 64]


@needs_traces
@pytest.mark.parametrize(
    ("file", "requests", "blocks", "span_ms"),
    [
        ("mooncake/synthetic_trace.jsonl.gz", 3_993, 512, 1_022_025),
        ("azure/AzureLLMInferenceTrace_conv.csv.gz", 19_366, 0, 3_501_722),
        ("kv-cache-tester/kvct_compact_odd.jsonl.gz", 25_226, 64, None),
        ("kv-cache-tester/original_format_examples/trace_0001.json.gz", 41, 64, None),
    ],
)
def test_real_traces_keep_the_promises_of_the_input_table(file, requests, blocks, span_ms):
    """The real traces are read whole, without a flag, into tables that an engine accepts."""
    recorded = load_trace(Path(os.environ["GCSIM_TRACES"]) / file)
    assert recorded.requests == requests
    assert recorded.block_tokens == blocks
    assert span_ms is None or recorded.arrive[-1] == span_ms
    check(as_trace(recorded))
