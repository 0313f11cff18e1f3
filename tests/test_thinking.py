"""Thinking: drawn by a law of its own, billed as output, and never repeated in a later prompt (P21)."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import ledger_of
from workloads import SEED, agrees, workload

from sim.billing import rate
from sim.ledger import Mode
from sim.providers import load_book
from sim.trace import Trace
from sim.traces import load_trace
from sim.workload.realise import realise, replay, uniforms
from sim.workload.sizes import mean, quantile

BOOK = load_book("google")
PRO = "gemini-2.5-pro"
CHAT = """
[streams.chat]
arrivals = {process = "poisson", rate = "20/h"}
fresh = {law = "lognormal", mean = 200, cv = 1.0}
output = {law = "lognormal", mean = 300, cv = 0.5}
patience = "30s"
session = {turns = {law = "geometric", mean = 3.0}, think = "40s"%s}
"""
SEARCH = """
[streams.search]
arrivals = {process = "poisson", rate = "30/h"}
fresh = {law = "uniform", low = 10, high = 90}
output = 50
patience = "5s"
"""
THINKING = 'thinking = {law = "lognormal", mean = "1k", cv = 1.2, at_least = 0}\n'
LOOPS = pytest.mark.parametrize("loop", ["", ', loop = "open"'], ids=["closed", "open"])


def with_thinking(text: str, law: str = THINKING) -> str:
    return text.replace("patience", law + "patience", 1)


def unlike(one: Trace, other: Trace) -> set[str]:
    return {name for name in Trace._fields if not np.array_equal(getattr(one, name), getattr(other, name))}


@LOOPS
def test_thinking_moves_nothing_but_the_output(loop):
    """A law of thinking adds its draws to the output; no prompt, node, arrival or other draw changes (P73)."""
    text = CHAT % loop + SEARCH
    plain, trace = realise(workload(text), SEED, 0), realise(workload(with_thinking(text)), SEED, 0)
    assert unlike(plain, trace) == {"output", "thinking"}
    assert np.array_equal(trace.output, plain.output + trace.thinking)
    assert not np.any(plain.thinking)
    search = trace.stream == trace.streams.index("search")
    assert not np.any(trace.thinking[search])
    assert np.count_nonzero(trace.thinking[~search]) > 10


@LOOPS
def test_the_thinking_is_that_of_its_draws(loop):
    """Request by request the thinking is the quantile of the stream's uniforms of the purpose ``thinking``."""
    spec = workload(with_thinking(CHAT.replace("40s", "3h") % loop))
    trace = realise(spec, SEED, 0)
    begins = int(np.count_nonzero(trace.session == np.arange(trace.requests)))
    turns = quantile(spec.streams["chat"].session.turns, uniforms(SEED, 0, "streams.chat", "turns", begins))
    law = spec.streams["chat"].thinking
    every = quantile(law, uniforms(SEED, 0, "streams.chat", "thinking", int(turns.sum()))).tolist()
    offsets = np.cumsum(turns) - turns
    seen = dict.fromkeys(np.unique(trace.session).tolist(), 0)
    sessions = list(seen)
    for request, first in enumerate(trace.session.tolist()):
        assert trace.thinking[request] == every[offsets[sessions.index(first)] + seen[first]]
        seen[first] += 1
    assert (sum(seen.values()) < turns.sum()) == bool(loop)  # an open loop loses what lies past the horizon


def test_a_later_prompt_holds_the_answers_without_their_thinking():
    """A turn's prompt is the one before, its answer without thinking, and the question: written out for fixed sizes."""
    text = CHAT.replace('{law = "geometric", mean = 3.0}', "4") % ""
    for law in ("fresh", "output"):
        text = text.replace(next(line for line in text.splitlines() if line.startswith(law)), f"{law} = 100")
    trace = realise(workload(with_thinking(text, "thinking = 7_000\n")), SEED, 0)
    turn = np.zeros(trace.requests, np.int64)
    for request, before in enumerate(trace.follows.tolist()):
        turn[request] = turn[before] + 1 if before >= 0 else 0
    assert set(turn.tolist()) == {0, 1, 2, 3}
    assert np.array_equal(trace.prompt, 100 * (turn + 1) + 100 * turn)
    assert set(trace.output.tolist()) == {100 + 7_000}
    assert set(trace.thinking.tolist()) == {7_000}


@pytest.mark.parametrize("law", ["0", '{law = "uniform", low = 0, high = 0, at_least = 0}'])
def test_no_thinking_is_thinking_of_zero(law):
    """Thinking may be nothing: a law of zeros gives the same trace as no law."""
    text = CHAT % "" + SEARCH
    assert (
        unlike(realise(workload(text), SEED, 0), realise(workload(with_thinking(text, f"thinking = {law}\n")), SEED, 0))
        == set()
    )


def test_the_mean_thinking_is_that_of_its_law():
    """The mean of 40 replications is that of the law, zeros included; a tenth more is rejected."""
    spec = workload(with_thinking(SEARCH.replace("30/h", "200/h")))
    law = spec.streams["search"].thinking
    samples = [realise(spec, SEED, r).thinking.mean() for r in range(40)]
    assert agrees(samples, mean(law))
    assert not agrees(samples, 1.1 * mean(law))


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=5), st.sampled_from(Mode))
def test_thinking_is_billed_as_output(answers, mode):
    """P21: a bill depends on answer and thinking through their sum only: tokens may pass from one to the other."""

    def bill(outputs):
        return rate(ledger_of([(0, mode, 10, 0, output, 0) for output in outputs], models=(PRO,)), BOOK)

    factor = {Mode.STANDARD: 1, Mode.BATCH: Fraction(1, 2), Mode.FLEX: Fraction(1, 2), Mode.PRIORITY: Fraction("1.8")}
    whole = bill([answer + thought for answer, thought in answers])
    apart = bill([part for pair in answers for part in pair])  # as requests of their own
    expected = sum(Fraction(10) * (answer + thought) / 10**6 for answer, thought in answers) * factor[mode]
    assert whole.by_line()["output"] == apart.by_line()["output"] == expected


def test_the_output_of_a_trace_is_billed_with_its_thinking():
    """P21 on a realised workload: the output line is the price of all answers and all thoughts."""
    trace = realise(workload(with_thinking(SEARCH)), SEED, 0)
    ledger = ledger_of([(0, 0, p, 0, o, 0) for p, o in zip(trace.prompt, trace.output, strict=True)], models=(PRO,))
    thought = int(trace.thinking.sum())
    assert thought > 0
    assert rate(ledger, BOOK).by_line()["output"] == Fraction(10) * (50 * trace.requests + thought) / 10**6


def test_a_replay_keeps_the_thoughts_of_its_log(tmp_path):
    """The thoughts that a log counts are the thinking of the replayed requests, and a part of their output."""
    rows = [{"time_s": 1, "promptTokenCount": 9, "candidatesTokenCount": 20, "thoughtsTokenCount": 7}]
    rows += [{"time_s": 0, "promptTokenCount": 9, "candidatesTokenCount": 5}]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    trace = replay(load_trace(path, sort=True), patience=1, seed=SEED, replication=0)
    assert (trace.output.tolist(), trace.thinking.tolist()) == ([5, 20 + 7], [0, 7])
