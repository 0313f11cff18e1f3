"""Contexts and sessions: popularity, versions on half-open intervals, a naive twin of the tree, growing prompts."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from workloads import SEED, workload

from sim.trace import Trace
from sim.workload.contexts import Asked, chain, contents, pick, plant
from sim.workload.laws import FixedSize
from sim.workload.media import Content, text
from sim.workload.realise import realise, uniforms
from sim.workload.sessions import hang, said, unfold
from sim.workload.sizes import quantile
from sim.workload.spec import ContextSpec, WorkloadSpec

STREAM = '[streams.a]\narrivals = {process = "poisson", rate = "30/h"}\nfresh = {law = "geometric", mean = 3}\n'
STREAM += 'output = {law = "geometric", mean = 2}\npatience = "30s"\n'


def context(**keys: object) -> ContextSpec:
    return ContextSpec(**{"tokens": FixedSize(law="fixed", value=10), **keys})


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def sizes(name: str, count: int) -> Content:
    """Document j of a population has 100 tokens a letter of its name and j more, which are audio."""
    return Content(100 * len(name) + np.arange(count), np.arange(count))


def test_zipf_popularity():
    """Document j is asked for in proportion to (j + 1)^-z; equal popularity and another exponent are rejected."""
    u = uniforms(SEED, 0, "streams.x", "context", 50_000)
    counts = np.bincount(pick(context(count=50, zipf=1.1), u), minlength=50)

    def p(exponent: float) -> float:
        weights = np.arange(1, 51.0) ** -exponent
        return stats.chisquare(counts, 50_000 * weights / weights.sum()).pvalue

    assert p(1.1) > 1e-6
    assert p(0) < 1e-6
    assert p(1.0) < 1e-6


@given(st.integers(1, 1000), st.sampled_from([0.0, 0.5, 1.0, 3.0]), st.integers(0, 50))
def test_a_pick_is_a_document(count, zipf, replication):
    """Every pick is a document of the population, and rises with the uniform."""
    found = pick(context(count=count, zipf=zipf), np.sort(uniforms(SEED, replication, "x", "context", 300)))
    assert np.all((found >= 0) & (found < count))
    assert np.all(np.diff(found) >= 0)


def test_versions_change_on_the_boundary():
    """Contents are replaced at exactly k x replaced_every: the instant itself has the new version already."""
    contexts = {"c": context(replaced_every="1s")}
    times = ints(0, 999, 1000, 1999, 2000)
    forest, nodes = plant(contexts, {"c": Asked(np.zeros(5, np.int64), times)}, sizes)
    assert nodes["c"].tolist() == [0, 0, 1, 1, 2]
    assert forest.depth.tolist() == [100, 100, 100]
    assert forest.replaced.tolist() == [1000, 2000, 3000]


def test_a_child_is_replaced_with_its_parent():
    """A child document hangs under parent j mod count, and is another node once the parent is replaced."""
    contexts = {"docs": context(under="sys", count=5), "sys": context(count=2, replaced_every="10s")}
    forest, nodes = plant(contexts, {"docs": Asked(ints(3, 4, 3), ints(0, 1, 10_000))}, sizes)
    assert len(set(nodes["docs"].tolist())) == 3
    above = forest.parent[nodes["docs"]]
    assert forest.context[above].tolist() == [2, 2, 2]
    assert forest.depth[above].tolist() == [301, 300, 301]  # documents 1, 0, 1 of sys
    assert forest.depth[nodes["docs"]].tolist() == [301 + 403, 300 + 404, 301 + 403]
    assert len(set(above.tolist())) == 3
    assert forest.replaced[nodes["docs"]].tolist() == [10_000, 10_000, 20_000]  # with what stands above them


LEVELS = {
    "leaf": context(under="mid", count=7, replaced_every="3ms"),
    "top": context(count=2, replaced_every="5ms"),
    "mid": context(under="top", count=3),
    "side": context(under="top", count=10**6),
    "alone": context(count=4, replaced_every="2ms"),
}
uses = st.lists(st.tuples(st.integers(0, 10**6 - 1), st.integers(0, 20)), max_size=25)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(LEVELS, uses)))
def test_the_tree_equals_its_naive_twin(asked):
    """The tree has one node for each path of (document, version) in use, no other, with the summed depth."""
    arrays = {
        name: Asked(ints(*(d % LEVELS[name].count for d, _ in some)), ints(*(t for _, t in some)))
        for name, some in asked.items()
    }
    forest, nodes = plant(LEVELS, arrays, sizes)

    def path(name: str, document: int, time: int) -> tuple[tuple[str, int, int], ...]:
        spec = LEVELS[name]
        document %= spec.count
        here = (name, document, time // spec.replaced_every if spec.replaced_every else 0)
        return (*(path(spec.under, document, time) if spec.under else ()), here)

    def ends(name: str, time: int) -> list[int]:
        """When each replacement of the document, or of one above it, comes next, looked for ms by ms."""
        spec = LEVELS[name]
        every = spec.replaced_every
        own = [next(t for t in range(time + 1, time + every + 1) if t % every == 0)] if every else []
        return own + (ends(spec.under, time) if spec.under else [])

    node_of: dict[object, int] = {}
    for name, some in asked.items():
        for (document, time), leaf in zip(some, nodes[name].tolist(), strict=True):
            node = leaf
            for steps in range(len(full := path(name, document, time)), 0, -1):
                assert node_of.setdefault(full[:steps], node) == node
                label, j, _ = full[steps - 1]
                above = forest.depth[forest.parent[node]] if forest.parent[node] >= 0 else 0
                assert forest.depth[node] - above == 100 * len(label) + j
                heard = forest.audio_depth[forest.parent[node]] if forest.parent[node] >= 0 else 0
                assert forest.audio_depth[node] - heard == j
                assert forest.replaced[node] == min(ends(label, time), default=-1)
                assert forest.context[node] == 1 + list(LEVELS).index(label)
                node = forest.parent[node]
            assert node == -1
            found = contents(LEVELS, name, ints(document % LEVELS[name].count), sizes)
            assert found.tokens == forest.depth[node_of[full]]
            assert found.audio == forest.audio_depth[node_of[full]]
    assert sorted(node_of.values()) == list(range(len(forest.parent)))
    assert np.all(forest.parent < np.arange(len(forest.parent)))


def test_the_chain_begins_at_the_root():
    """The chain of a context lists what precedes it in the prompt, first things first."""
    assert chain(LEVELS, "leaf") == ["top", "mid", "leaf"]


turn_of_chat = st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))  # text, audio, answer


@given(st.lists(st.lists(turn_of_chat, min_size=1, max_size=5), max_size=6))
def test_prompts_grow_by_exactly_the_history(sessions):
    """Turn t holds all earlier questions and answers and its own question, audio included: said() against a loop."""
    flat = [turn for session in sessions for turn in session]
    words, heard, answer = (ints(*(turn[i] for turn in flat)) for i in range(3))
    turns = unfold(ints(*(len(session) for session in sessions)))
    expected = [sum(map(sum, session[:t])) + sum(session[t][:2]) for session in sessions for t in range(len(session))]
    audio = [sum(turn[1] for turn in session[: t + 1]) for session in sessions for t in range(len(session))]
    grown = said(turns, Content(words + heard, heard), answer)
    assert grown.tokens.tolist() == expected
    assert grown.audio.tolist() == audio
    hung = hang(turns, grown, np.full(len(flat), -1), text(np.zeros(len(flat), np.int64)), 40)
    for kind, whole in (("tokens", expected), ("audio", audio)):
        depth = np.concatenate((np.zeros(40, np.int64), getattr(hung.depth, kind), [0]))  # leaf -1 is the last, of 0
        assert (depth[hung.leaf] + getattr(hung.fresh, kind)).tolist() == whole
    assert len(hung.parent) == len(flat) - len(sessions)


def common(one: list[object], two: list[object]) -> int:
    """Return the length of the longest common prefix, token by token."""
    return next((i for i, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))


def tree_common(trace: Trace, i: int, j: int) -> int:
    """Return the longest common prefix of two requests as the tree tells it: the depth of their lowest common node."""

    def path(node: int) -> list[int]:
        return [] if node < 0 else [*path(int(trace.parent[node])), node]

    shared = common(path(int(trace.leaf[i])), path(int(trace.leaf[j])))
    return int(trace.depth[path(int(trace.leaf[i]))[shared - 1]]) if shared else 0


def written_out(spec: WorkloadSpec, trace: Trace) -> list[list[object]]:
    """Return every prompt of stream 'a' token by token, by hand from the draws that realise documents.

    A token is labelled by what wrote it, so two tokens are equal only if they are the same words. With variable text
    first each prompt opens with its own question.
    """
    stream, name = spec.streams["a"], "streams.a"
    begins = [int(i) for i in np.flatnonzero(trace.follows < 0)]
    count = len(begins)

    def drawn(purpose: str, total: int) -> np.ndarray:
        return uniforms(SEED, 0, name, purpose, total)

    counts = quantile(stream.session.turns, drawn("turns", count))
    total = int(counts.sum())
    documents = pick(spec.contexts["docs"], drawn("context", count))
    question, answer = (
        quantile(law, drawn(p, total)) for law, p in ((stream.fresh, "fresh"), (stream.output, "output"))
    )
    system = quantile(spec.contexts["sys"].tokens, uniforms(SEED, 0, "contexts.sys", "tokens", 1))
    tokens = quantile(spec.contexts["docs"].tokens, uniforms(SEED, 0, "contexts.docs", "tokens", 3))
    prompts, at = [], 0
    for session, turns in enumerate(counts):
        document = int(documents[session])
        version = int(trace.arrive[begins[session]]) // spec.contexts["docs"].replaced_every
        shared = [("sys", i) for i in range(system[0])]
        shared += [("docs", document, version, i) for i in range(tokens[document])]
        history: list[object] = []
        for _ in range(turns):
            asked = [("question", at, i) for i in range(question[at])]
            variable = stream.order == "variable_first"
            prompts.append([*asked, *shared, *history] if variable else [*shared, *history, *asked])
            history = [*history, *asked, *(("answer", at, i) for i in range(answer[at]))]
            at += 1
    return prompts


SESSIONS = """context = "docs"
session = {turns = {law = "geometric", mean = 2.5}, think = {law = "exponential", mean = "10m"}}
order = "%s"
[contexts.sys]
tokens = 3
[contexts.docs]
under = "sys"
count = 3
replaced_every = "20m"
tokens = {law = "uniform", low = 2, high = 6}
"""


@pytest.mark.parametrize("order", ["shared_first", "variable_first"])
def test_the_tree_tells_the_longest_common_prefix(order):
    """Of any two requests the tree's common prefix is that of their prompts written out token by token."""
    spec = workload(STREAM + SESSIONS % order, 'start = "2026-11-16T00:00:00Z"\nhorizon = "1h"\n')
    trace = realise(spec, SEED, 0)
    prompts = written_out(spec, trace)
    assert [len(prompt) for prompt in prompts] == trace.prompt.tolist()
    pairs = [(i, j) for i in range(len(prompts)) for j in range(i)]
    found = [tree_common(trace, i, j) for i, j in pairs]
    assert found == [common(prompts[i], prompts[j]) for i, j in pairs]
    if order == "variable_first":
        assert not any(found)
        assert len(trace.parent) == 0
    else:
        assert len(Counter(found)) > 5


def test_open_loops_arrive_by_thinking_alone():
    """An open loop's turn arrives one think time after the turn before, follows nobody, and is cut at the horizon."""
    text = STREAM + 'session = {turns = 4, think = "10m", loop = "open"}\n'
    trace = realise(workload(text), SEED, 0)
    closed = realise(workload(text.replace(', loop = "open"', "")), SEED, 0)
    begins = closed.arrive[closed.follows < 0]
    due = np.sort((begins[:, None] + 600_000 * np.arange(4)).ravel())
    assert trace.arrive.tolist() == due[due < trace.horizon].tolist()
    assert len(trace.arrive) < len(due)
    assert np.all(trace.follows == -1)
    assert not np.any(trace.think)
    first = np.searchsorted(trace.arrive, begins)  # no two arrivals of this run are alike
    assert np.array_equal(np.unique(trace.session), first)
    assert np.array_equal((trace.arrive - trace.arrive[trace.session]) % 600_000, np.zeros(len(trace.arrive)))


def test_closed_loops_follow_one_another():
    """In a closed loop each turn but the first names the one before, thinks, and carries the session's arrival."""
    text = STREAM + 'session = {turns = {law = "geometric", mean = 3}, think = "10m"}\n'
    trace = realise(workload(text), SEED, 0)
    later = trace.follows >= 0
    assert np.all(trace.think == np.where(later, 600_000, 0))
    assert np.all(trace.arrive[later] == trace.arrive[trace.follows[later]])
    assert np.all(trace.prompt[later] > trace.prompt[trace.follows[later]] + trace.output[trace.follows[later]])
    before = np.where(later, trace.follows, 0)
    assert np.array_equal(trace.session, np.where(later, trace.session[before], np.arange(trace.requests)))
