"""Pieces of a workload: together they are the whole, wherever they are cut, and none holds more than it must."""

from itertools import product

import numpy as np
import pytest
from examples import times
from hypothesis import given, settings
from hypothesis import strategies as st
from workloads import SEED, workload

import sim
from sim.providers.media import Media
from sim.scenario import shipped
from sim.trace import NODE_COLUMNS, REQUEST_COLUMNS, shared_tokens
from sim.workload import contexts
from sim.workload import pieces as module
from sim.workload.pieces import pieces
from sim.workload.realise import realise, uniforms

HEAD = 'start = "2026-11-16T00:00:00Z"\nhorizon = "%s"\n'
ARRIVALS = {
    "poisson": '{process = "poisson", rate = "40/h"}',
    "gamma": '{process = "gamma", rate = "40/h", cv = 2.0}',
    "mmpp": '{process = "mmpp", states = [{rate = "0/h", lasts = "10m"}, {rate = "90/h", lasts = "20m"}]}',
    "profile": '{process = "profile", hourly = ["40/h", "0/h", "60/h", "20/h"]}'.replace("]", ', "40/h"' * 20 + "]"),
    "schedule": '{process = "schedule", at = ["01:30", "00:10", "00:30"], count = 20, over = "45m"}',
    "at once": '{process = "schedule", at = ["00:10", "00:40"], count = 9}',
    "bursts": '{process = "bursts", rate = "12/h", size = {law = "geometric", mean = 4.0}, within = "20m"}',
    "bursts at once": '{process = "bursts", rate = "12/h", size = {law = "geometric", mean = 4.0}}',
    "constant": '{process = "constant", rate = "40/h", first = "start"}',
}
SESSIONS = {
    "alone": "",
    "closed": 'session = {turns = {law = "geometric", mean = 2.5}, think = "4m"}\n',
    "open": 'session = {turns = {law = "geometric", mean = 2.5}, think = {law = "exponential", mean = "9m"}, '
    'loop = "open"}\n',
}
SHARED = {
    "nothing": "",
    "flat": 'context = "sys"\n',
    "deep": 'context = "docs"\n',
    "variable": 'context = "docs"\norder = "variable_first"\n',
}
CONTEXTS = """
[contexts.docs]
under = "sys"
count = 9
zipf = 0.8
replaced_every = "40m"
tokens = {law = "uniform", low = 20, high = 60}
parts = {audio_s = {law = "geometric", mean = 3}}
[contexts.sys]
count = 3
replaced_every = "50m"
tokens = {law = "uniform", low = 2, high = 6}
"""
MEDIA = Media((258, 258, 258), 384, 768, (263, 263, 263), 32)
HUGE = 1 << 40


def stream(name, arrivals, session="", shared=""):
    return f"""
[streams.{name}]
arrivals = {arrivals}
fresh = {{law = "geometric", mean = 30}}
parts = {{audio_s = {{law = "geometric", mean = 2}}}}
output = {{law = "lognormal", mean = 30, cv = 0.5}}
thinking = {{law = "geometric", mean = 5}}
patience = "30s"
{shared}{session}"""


def columns(given, names):
    return {name: np.concatenate([getattr(piece.trace, name) for piece in given]) for name in names}


def numbering(given, whole, documents):
    """Return the node of the whole that each node of the pieces is, following equal requests up their paths."""
    rows, nodes = columns(given, ("leaf",)), columns(given, ("parent",))
    same = np.full(len(nodes["parent"]) + 1, -2)  # the last entry is that of -1
    same[-1] = -1
    same[:documents] = np.arange(documents)
    for mine, other in zip(rows["leaf"].tolist(), whole.leaf.tolist(), strict=True):
        above = (mine, other)
        while above[0] >= documents:
            assert same[above[0]] in (-2, above[1])
            same[above[0]] = above[1]
            above = (int(nodes["parent"][above[0]]), int(whole.parent[above[1]]))
        assert above[0] == above[1]
    assert sorted(same[:-1].tolist()) == list(range(len(whole.parent)))
    return same


def assert_whole(given, whole):
    """Assert that pieces put together are the whole, and that each says the truth about itself."""
    documents = given[0].documents
    assert np.all(whole.context[:documents] > 0)
    assert not np.any(whole.context[documents:])
    rows, nodes = columns(given, REQUEST_COLUMNS), columns(given, NODE_COLUMNS)
    same = numbering(given, whole, documents)
    for name in REQUEST_COLUMNS:
        found = same[rows[name]] if name == "leaf" else rows[name]
        assert found.dtype == np.int64
        assert np.array_equal(found, getattr(whole, name)), name
    for name in NODE_COLUMNS:
        found = same[nodes[name]] if name == "parent" else nodes[name]
        assert np.array_equal(found, getattr(whole, name)[same[:-1]]), name
    assert np.all(nodes["parent"] < np.arange(len(nodes["parent"])))
    assert_told(given, whole, same)


def assert_told(given, whole, same):
    """Assert what pieces say besides their traces, from the definitions."""
    heard = whole.audio + shared_tokens(whole.leaf, whole.audio_depth)
    below = {}  # the nodes of each session, in the numbers of the pieces
    leaf, parent = columns(given, ("leaf",))["leaf"], columns(given, ("parent",))["parent"]
    for request, node in enumerate(leaf.tolist()):
        below.setdefault(int(whole.session[request]), set()).add(node)
    documents, first, first_node = given[0].documents, 0, 0
    lowest = [min(path_of(node, parent, documents), default=len(parent)) for node in leaf.tolist()]
    lowest = [*np.minimum.accumulate(lowest[::-1])[::-1].tolist(), len(parent)]  # of a request or a later one
    earlier = -1
    for piece in given:
        trace, own = piece.trace, slice(first, first + len(piece.trace.arrive))
        assert (piece.first, piece.first_node, piece.documents) == (first, first_node, documents)
        assert np.array_equal(piece.prompt, whole.prompt[own])
        assert np.array_equal(piece.heard, heard[own])
        assert np.array_equal(piece.home, whole.route[whole.session[own]])
        floors = [min({n for n in below[s] if n >= documents}, default=-1) for s in whole.session[own].tolist()]
        assert piece.floor.tolist() == floors
        assert np.all(np.diff(piece.trace.arrive, prepend=earlier) >= 0)
        if len(trace.arrive):
            assert trace.arrive[0] > earlier  # what arrives at one instant is never parted
            earlier = int(trace.arrive[-1])
        first, first_node = own.stop, first_node + len(trace.parent)
        assert piece.live_node == min(lowest[first], first_node)
        for name in ("horizon", "streams", "populations"):
            assert getattr(trace, name) == getattr(whole, name)
        assert np.array_equal(trace.weather, whole.weather)
    assert (first, first_node) == (len(whole.arrive), len(whole.parent))


def path_of(node, parent, documents):
    """Return the nodes of sessions from one up to the documents."""
    path = []
    while node >= documents:
        path.append(node)
        node = int(parent[node])
    return path


@pytest.fixture
def _small_blocks(monkeypatch):
    """Draw a few requests at a time, so that small workloads have many blocks."""
    monkeypatch.setattr(module, "_BLOCK", 5)
    monkeypatch.setattr(contexts, "_WAITING", 7)


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize(("arrivals", "session", "shared"), [*product(ARRIVALS, SESSIONS, SHARED)])
def test_the_pieces_are_the_whole(arrivals, session, shared):
    """Whatever the arrivals, sessions and contexts, and wherever pieces are cut, together they are the whole trace."""
    text = stream("a", ARRIVALS[arrivals], SESSIONS[session], SHARED[shared])
    spec = workload(text + CONTEXTS, HEAD % "2h")
    whole = realise(spec, SEED, 1, MEDIA)
    assert whole.requests > 10
    for size in (1, 7, 40, HUGE):
        given = list(pieces(spec, SEED, 1, MEDIA, size=size))
        assert_whole(given, whole)
        assert len(given) > 1 or size > 7
    assert len(given) == 1


@given(
    st.lists(st.tuples(*map(st.sampled_from, (list(ARRIVALS), list(SESSIONS), list(SHARED)))), max_size=4, min_size=1),
    st.integers(0, 2**128 - 1),
    st.sampled_from([1, 2, 3, 10, 50, 1 << 20]),
    st.sampled_from([1, 4, 1 << 17]),
    st.sampled_from(["1s", "10m", "35m", "1h15m"]),
)
@settings(max_examples=times(30))
def test_streams_in_pieces(streams, seed, size, block, horizon):
    """Streams with ties among them, in any mixture, order and cut, are together the whole trace."""
    text = "".join(stream(f"s{i}", ARRIVALS[a], SESSIONS[s], SHARED[c]) for i, (a, s, c) in enumerate(streams))
    spec = workload(text + CONTEXTS, HEAD % horizon)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", block)
        patch.setattr(contexts, "_WAITING", block)
        assert_whole(list(pieces(spec, seed, 0, MEDIA, size=size)), realise(spec, seed, 0, MEDIA))


@pytest.mark.parametrize("name", shipped())
def test_every_shipped_scenario_in_pieces(name):
    """Every shipped scenario in pieces of 100 requests is the whole one."""
    spec = sim.load(name).spec.workload
    assert_whole(list(pieces(spec, SEED, 0, MEDIA, size=100)), realise(spec, SEED, 0, MEDIA))


def test_a_workload_of_nothing_is_one_piece():
    """A workload without requests is one piece without requests and without nodes."""
    spec = workload(stream("a", '{process = "poisson", rate = "0/h"}', shared=SHARED["deep"]) + CONTEXTS)
    (piece,) = pieces(spec, SEED, 0, MEDIA)
    assert_whole([piece], realise(spec, SEED, 0, MEDIA))
    assert piece.trace.requests == 0


def test_one_instant_is_one_piece():
    """Requests that arrive at one instant stand in one piece, however many more than asked for they are."""
    spec = workload(stream("a", ARRIVALS["at once"]) + stream("b", ARRIVALS["at once"]), HEAD % "1h")
    assert [piece.trace.requests for piece in pieces(spec, SEED, 0, MEDIA, size=1)] == [18, 18]
    assert [piece.trace.requests for piece in pieces(spec, SEED, 0, MEDIA, size=19)] == [36]


@given(st.integers(0, 20_000), st.integers(0, 20_000))
@settings(max_examples=times(30))
def test_uniforms_by_range(start, count):
    """The uniforms of a range are those of the whole at its place, over the edges of the chunks."""
    whole = uniforms(SEED, 0, "streams.a", "fresh", start + count)
    assert np.array_equal(uniforms(SEED, 0, "streams.a", "fresh", start + count, start), whole[start:])
