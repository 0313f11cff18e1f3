"""P72-P74, P77: the same seed gives the same bytes everywhere, and a change moves only the draws that it is about."""

import hashlib
import os
import subprocess
import sys
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from workloads import SEED, workload

from sim.trace import DRAW_COLUMNS, REQUEST_COLUMNS, Trace, check
from sim.workload.realise import realise, replay, uniforms
from sim.workload.rules import expected_requests

CHAT = """
[streams.chat]
arrivals = {process = "poisson", rate = "60/h"}
context = "docs"
fresh = {law = "lognormal", mean = 200, cv = 1.0}
output = {law = "lognormal", mean = 300, cv = 0.5}
patience = "30s"
session = {turns = {law = "geometric", mean = 3.0}, think = {law = "lognormal", mean = "40s", cv = 1.0}}
"""
SEARCH = """
[streams.search]
arrivals = {process = "gamma", rate = "100/h", cv = 2.0}
context = "docs"
fresh = {law = "uniform", low = 10, high = 90}
output = 50
patience = "5s"
"""
NIGHT = """
[streams.night]
arrivals = {process = "schedule", at = "00:30", count = 200}
context = "sys"
order = "variable_first"
fresh = "2k"
output = 500
patience = "1d"
"""
CONTEXTS = """
[contexts.docs]
under = "sys"
count = 20
zipf = 0.8
replaced_every = "2h"
tokens = {law = "lognormal", mean = "20k", cv = 1.0}
[contexts.sys]
tokens = 900
"""
ALL = CHAT + SEARCH + NIGHT + CONTEXTS
LUCK = ("fresh", "audio", "output", "thinking", "arrive", "think", "patience", *DRAW_COLUMNS)


def fingerprint(trace: Trace) -> str:
    parts = [c.tobytes() if isinstance(c, np.ndarray) else repr(c).encode() for c in trace]
    return hashlib.sha256(b"|".join(parts)).hexdigest()


def of_stream(trace: Trace, name: str) -> dict[str, list[int]]:
    mine = trace.stream == trace.streams.index(name)
    columns = {column: getattr(trace, column)[mine].tolist() for column in LUCK}
    return {**columns, "prompt": trace.prompt[mine].tolist()}


def test_the_same_seed_gives_the_same_bytes():
    """Twice the same seed and replication is byte for byte the same; another of either is another luck (P72)."""
    spec = workload(ALL)
    base = fingerprint(realise(spec, SEED, 3))
    assert fingerprint(realise(spec, SEED, 3)) == base
    others = {fingerprint(realise(spec, seed, r)) for seed, r in ((SEED, 2), (SEED + 1, 3), (2**128 - 1, 3), (0, 3))}
    assert len(others | {base}) == 5


def test_the_hash_seed_of_python_is_immaterial(tmp_path):
    """Two processes with different PYTHONHASHSEED realise the same bytes."""
    code = (
        "import sys; from workloads import *; from test_realise import *;"
        "print(fingerprint(realise(workload(ALL), SEED, 1)))"
    )
    found = set()
    for seed in ("1", "77"):
        path = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(os.path.dirname(__file__))])
        env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": path}
        run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        found.add(run.stdout.strip())
    assert found == {fingerprint(realise(workload(ALL), SEED, 1))}


def test_uniforms_are_prefixes_of_each_other():
    """More uniforms begin with the fewer, over the edges of the chunks; names and purposes are independent streams."""
    many = uniforms(SEED, 0, "streams.a", "fresh", 20_000)
    for count in (0, 1, 8_191, 8_192, 8_193, 16_384):
        assert np.array_equal(uniforms(SEED, 0, "streams.a", "fresh", count), many[:count])
    assert np.all((many > 0) & (many < 1))
    assert stats.kstest(many, "uniform").pvalue > 1e-6
    for name, purpose in (("streams.b", "fresh"), ("streams.a", "output")):
        other = uniforms(SEED, 0, name, purpose, 20_000)
        assert abs(np.corrcoef(many, other)[0, 1]) < 5 / np.sqrt(20_000)


def test_uniforms_never_change_between_releases():
    """A snapshot: a seed of today is the same luck tomorrow."""
    assert uniforms(1, 2, "streams.a", "fresh", 3).tolist() == [
        0.07403975396436857,
        0.2627941349220574,
        0.5945658727402773,
    ]


@given(st.permutations([CHAT, SEARCH, NIGHT]), st.integers(0, 2**128 - 1), st.sampled_from(["1h", "150m", "2h30m1ms"]))
@settings(max_examples=15)
def test_a_trace_keeps_its_promises(streams, seed, horizon):
    """Whatever the order of the streams and the seed, a trace passes its check, ties in the order of the file."""
    spec = workload("".join(streams) + CONTEXTS, f'start = "2026-11-16T00:00:00+01:00"\nhorizon = "{horizon}"\n')
    trace = check(realise(spec, seed, 0))
    assert trace.streams == tuple(spec.streams)
    assert trace.populations == ("docs", "sys")
    tied = np.diff(trace.arrive) == 0
    assert np.all(np.diff(trace.stream)[tied] >= 0)


def test_adding_a_stream_changes_no_other():
    """Adding a stream, or a context for it, leaves every draw and every prompt of the others as they were (P73)."""
    alone, both = realise(workload(CHAT + CONTEXTS), SEED, 0), realise(workload(ALL), SEED, 0)
    assert of_stream(alone, "chat") == of_stream(both, "chat")
    extra = '[contexts.other]\ntokens = {law = "uniform", low = 1, high = 9}\n'
    assert of_stream(realise(workload(CHAT + extra + CONTEXTS), SEED, 0), "chat") == of_stream(both, "chat")


def test_a_longer_horizon_keeps_the_earlier_requests():
    """The requests of a shorter run are the first ones of a longer run, draws and all."""
    text = SEARCH + NIGHT + CONTEXTS
    long = realise(workload(text), SEED, 0)
    short = realise(workload(text, 'start = "2026-11-16T00:00:00Z"\nhorizon = "5h"\n'), SEED, 0)
    assert 0 < short.requests < long.requests
    for column in (*LUCK, "stream"):
        assert np.array_equal(getattr(short, column), getattr(long, column)[: short.requests])
    assert np.array_equal(short.prompt, long.prompt[: short.requests])


def test_a_changed_law_leaves_the_other_draws():
    """Another law of output moves the output alone (P73)."""
    changed = realise(workload(ALL.replace("output = 50\n", 'output = {law = "geometric", mean = 9}\n')), SEED, 0)
    base, other = of_stream(realise(workload(ALL), SEED, 0), "search"), of_stream(changed, "search")
    assert other.pop("output") != base.pop("output")
    assert base == other


def test_load_scales_the_arrivals_alone():
    """Twice the load: the same Poisson arrivals in half the time, the same questions, the same contexts."""
    text = CHAT.replace("session", "# session") + CONTEXTS
    head = 'start = "2026-11-16T00:00:00Z"\nhorizon = "%s"\n%s'
    one, two = (workload(text, head % pair) for pair in (("10h", ""), ("5h", "load = 2.0\n")))
    assert expected_requests(two) == pytest.approx(expected_requests(one))
    base, loaded = realise(one, SEED, 0), realise(two, SEED, 0)
    assert np.all(np.abs(base.arrive - 2 * loaded.arrive) <= 1)
    for column in ("fresh", "output", "luck"):
        assert np.array_equal(getattr(base, column), getattr(loaded, column))


def test_a_popularity_partitions_the_stream():
    """P77: the requests of each document are a partition of the stream, and of one in two documents a Poisson half."""
    text = SEARCH.replace('"gamma"', '"poisson"').replace(", cv = 2.0", "") + CONTEXTS
    spec = workload(text.replace("count = 20\nzipf = 0.8\nreplaced_every", "count = 2\nreplaced_every"))
    pooled, counts = [], []
    for replication in range(40):
        trace = realise(spec, SEED, replication)
        documents = trace.depth[trace.leaf]
        parts = [trace.arrive[documents == depth] for depth in np.unique(documents)]
        assert sum(map(len, parts)) == trace.requests
        counts.append(len(parts[0]))
        pooled.append(np.diff(parts[0]) / 3_600_000 * 50)
    assert stats.kstest(np.concatenate(pooled), "expon").pvalue > 1e-6
    assert stats.kstest(np.concatenate(pooled) * 2, "expon").pvalue < 1e-6


def test_an_empty_workload_is_a_trace():
    """Rate 0 everywhere gives a trace of no requests (P71)."""
    trace = realise(workload(SEARCH.replace("100/h", "0/h") + CONTEXTS), SEED, 0)
    assert trace.requests == 0
    assert len(trace.parent) == 0
    assert len(trace.prompt) == 0


def test_the_draw_columns_are_uniform():
    """Each draw of the service is uniform on the integers of 32 bits, and no two columns are alike."""
    trace = realise(workload(ALL.replace("100/h", "2000/h")), SEED, 0)
    for column in DRAW_COLUMNS:
        assert stats.kstest((getattr(trace, column) + 0.5) / 2**32, "uniform").pvalue > 1e-6
    assert abs(np.corrcoef(trace.luck, trace.slowness)[0, 1]) < 5 / np.sqrt(trace.requests)


def test_the_weather_is_that_of_the_run():
    """The draws of the whole run depend on seed and replication, and on nothing that a scenario says (P73)."""
    base = realise(workload(ALL), SEED, 0).weather.tolist()
    head = 'start = "2026-12-16T00:00:00Z"\nhorizon = "7h"\nload = 2.0\n'
    assert realise(workload(SEARCH + CONTEXTS, head), SEED, 0).weather.tolist() == base
    others = [realise(workload(ALL), seed, r).weather.tolist() for seed, r in ((SEED, 1), (SEED + 1, 0))]
    assert len({tuple(found) for found in (base, *others)}) == 3
    assert len({*base}) == 2


def test_a_session_begins_with_its_first_request():
    """Each request names the first of its conversation: by following back in a closed loop, itself where alone."""
    trace = realise(workload(ALL), SEED, 0)
    for request, first in enumerate(trace.session.tolist()):
        back = request
        while trace.follows[back] >= 0:
            back = int(trace.follows[back])
        assert first == back
    opened = realise(workload(ALL.replace("session = {", 'session = {loop = "open", ')), SEED, 0)
    chat, first = (opened.stream == 0), opened.session
    assert np.all(opened.stream[first] == opened.stream)
    assert np.array_equal(first[~chat], np.flatnonzero(~chat))
    # the prompts of a conversation are nested, so its requests part at one node of the tree that is theirs alone
    parts = [set(np.flatnonzero(first == start).tolist()) for start in np.unique(first[chat])]
    assert sum(map(len, parts)) == np.count_nonzero(chat)
    for part in parts:
        path = set()
        for request in sorted(part):
            assert not path or int(opened.leaf[request]) in path or int(opened.parent[opened.leaf[request]]) in path
            path |= {int(opened.leaf[request])}


def test_a_node_is_replaced_when_its_version_ends():
    """A document goes at the next multiple of replaced_every after its use; what sessions add is never replaced."""
    trace = realise(workload(SEARCH + CHAT + CONTEXTS), SEED, 0)
    hours = 2 * 3_600_000
    docs, system = (trace.context == 1 + trace.populations.index(name) for name in ("docs", "sys"))
    assert np.all(trace.replaced[~docs] == -1)
    assert np.any(system)
    search = np.flatnonzero(trace.stream == trace.streams.index("search"))
    assert np.array_equal(trace.replaced[trace.leaf[search]], (trace.arrive[search] // hours + 1) * hours)


def test_the_fixed_prompt_lengths():
    """A prompt is context + question; with variable text first it has the same length and no leaf."""
    trace = realise(workload(NIGHT + CONTEXTS), SEED, 0)
    assert trace.requests == 200
    assert set(trace.prompt.tolist()) == {2_000 + 900}
    assert set(trace.leaf.tolist()) == {-1}
    shared = realise(workload(NIGHT.replace("variable_first", "shared_first") + CONTEXTS), SEED, 0)
    assert set(shared.prompt.tolist()) == {2_000 + 900}
    assert set(shared.leaf.tolist()) == {0}


def test_replay_adds_the_draws():
    """A replay keeps the recorded requests in every replication and changes only the luck of the service."""
    columns = {"arrive": [0, 5, 5, 5], "leaf": [-1, 0, 1, 1], "fresh": [7, 8, 9, 9], "output": [1, 2, 3, 4]}
    columns |= {"thinking": [0, 2, 1, 0], "follows": [-1, -1, 1, 2], "think": [0, 0, 4, 4]}
    columns |= {"parent": [-1, 0], "depth": [10, 30], "context": [1, 0]}
    recorded = SimpleNamespace(**{name: np.array(v, np.int64) for name, v in columns.items()}, horizon=6)
    first, second = (replay(recorded, patience=9_000, seed=SEED, replication=r) for r in range(2))
    for name, values in columns.items():
        assert getattr(first, name).tolist() == getattr(second, name).tolist() == values
    assert set(first.patience.tolist()) == {9_000}
    assert first.session.tolist() == [0, 1, 1, 1]  # a conversation begins with what follows nothing
    assert not np.any(first.audio)
    assert not np.any(first.audio_depth)
    assert set(first.replaced.tolist()) == {-1}
    assert not np.array_equal(first.luck, second.luck)
    assert not np.array_equal(first.weather, second.weather)
    assert first.populations == ("recorded",)


def test_every_column_is_drawn_once():
    """No request column is missing from a merged trace, and the fixture is valid TOML."""
    assert set(tomllib.loads(ALL)) == {"streams", "contexts"}
    trace = realise(workload(ALL), SEED, 0)
    assert all(len(getattr(trace, column)) == trace.requests for column in REQUEST_COLUMNS)
