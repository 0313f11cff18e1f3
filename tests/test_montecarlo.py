"""Common realisations: what a seed fixes, and what no strategy, order or number of runs may change (P72-P74)."""

import json
import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest

import sim
from sim.document import parse
from sim.errors import InputError
from sim.experiments.montecarlo import run
from sim.scenario import read_scenario

HEAD = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "2h"
models = ["gemini-3.1-flash-lite"]
seed = 7
replications = 3
[contexts.docs]
count = 3
tokens = { law = "uniform", low = 5000, high = 9000 }
[streams.chat]
arrivals = { process = "poisson", rate = "30/h" }
context = "docs"
fresh = { law = "lognormal", mean = 100, cv = 1.0 }
output = 50
patience = "30s"
session = { turns = { law = "geometric", mean = 2.0 }, think = "20s" }
[streams.nightly]
arrivals = { process = "poisson", rate = "10/h" }
fresh = 800
output = 90
patience = "12h"
"""
ALL = ("none", "implicit", "explicit", "batch", "hybrid", "routed")


def scenario(*strategies, head=HEAD, sets=()):
    text = head + "".join(f"[strategies.{name}]\n" for name in strategies)
    return read_scenario(parse(text.encode(), "s.toml"), "s", sets=sets)


def told(cell):
    """Everything that a cell says, comparable."""
    streams = [(*stream[:-1], stream.latency_ms.tolist()) for stream in cell.streams]
    return (
        cell.strategy,
        cell.model,
        cell.replication,
        cell.total_usd,
        cell.lines_usd,
        streams,
        cell.binding._replace(start_ms=0),
        cell.jobs,
        [times.tolist() for times in cell.turnaround],
        cell.caches,
        cell.duplicates,
    )


def cells(result, *strategies):
    return [told(cell) for cell in result.cells if cell.strategy in (strategies or ALL)]


@pytest.fixture(scope="module")
def usual():
    return run(scenario(*ALL), keep_requests=True)


def test_a_seed_fixes_everything(usual):
    """The same seed gives the same cells, another seed others."""
    assert cells(run(scenario(*ALL))) == cells(usual)
    other = run(scenario(*ALL), seed=8)
    assert [c.total_usd for c in other.cells] != [c.total_usd for c in usual.cells]
    assert cells(run(scenario(*ALL, head=HEAD.replace("seed = 7", "seed = 8")))) == cells(other)


def test_replications_differ(usual):
    """Replications are of different streams."""
    for strategy in ALL:
        costs = [cell.total_usd for cell in usual.of(strategy, usual.models[0])]
        assert len(set(costs)) == len(costs) == 3


@pytest.mark.parametrize("strategy", ALL)
def test_a_strategy_alone_meets_the_same_luck(usual, strategy):
    """Adding strategies, in any order, changes no other's cells."""
    assert cells(run(scenario(strategy))) == cells(usual, strategy)
    assert cells(run(scenario(*reversed(ALL))), strategy) == cells(usual, strategy)


def test_a_replication_does_not_know_how_many_there_are(usual):
    """Replication r is the same among 1, 3 and 5."""
    for count in (1, 5):
        result = run(scenario("explicit", "batch"), replications=count)
        for cell in result.cells:
            if cell.replication < 3:
                same = usual.of(cell.strategy, cell.model)[cell.replication]
                assert told(cell) == told(same)


def test_arrivals_are_common(usual):
    """All strategies of a replication meet the same open arrivals and the same tokens."""
    for replication in range(3):
        ledgers = [kept.ledger for kept in usual.kept if kept.replication == replication]
        trace = sim.realise(scenario(*ALL), replication=replication)
        first = trace.follows < 0
        for ledger in ledgers:
            assert np.array_equal(ledger.arrived[first], trace.arrive[first])
            assert np.array_equal(ledger.output, trace.output)


def test_a_second_stream_changes_nothing_of_the_first():
    """Streams are keyed by name: without ``nightly`` the requests of ``chat`` are the same."""
    both = sim.realise(scenario("none"), replication=1)
    alone = sim.realise(scenario("none", head=HEAD[: HEAD.index("[streams.nightly]")]), replication=1)
    mine = both.stream == both.streams.index("chat")
    for name in ("arrive", "fresh", "output", "slowness", "luck", "failure"):
        assert np.array_equal(getattr(both, name)[mine], getattr(alone, name)), name


def test_a_second_model_changes_nothing_of_the_first(usual):
    """Models meet the same luck, each as if alone."""
    two = run(scenario(*ALL, sets=['models=["gemini-3.5-flash", "gemini-3.1-flash-lite"]']))
    assert [told(cell) for cell in two.cells if cell.model == "gemini-3.1-flash-lite"] == cells(usual)


def test_an_arm_that_changes_nothing_is_its_original():
    """Two names for one strategy give the same cells, also with a ``set`` that sets what is there already."""
    text = HEAD + '[strategies.explicit]\n[strategies.again]\nkind = "explicit"\nset = { load = 1.0 }\n'
    result = run(read_scenario(parse(text.encode(), "s.toml"), "s"))
    one, two = ([told(cell)[3:] for cell in result.of(name, result.models[0])] for name in ("explicit", "again"))
    assert one == two


def test_a_cell_adds_up(usual):
    """Lines add up to the total, states to the requests, latencies to the answered."""
    for cell in usual.cells:
        assert sum(cell.lines_usd.values(), Fraction(0)) == cell.total_usd
        for stream in cell.streams:
            assert stream.done + stream.failed + stream.expired + stream.pending == stream.total
            assert len(stream.latency_ms) == stream.done
            assert stream.within_patience <= stream.done
            assert np.all(np.diff(stream.latency_ms) >= 0)
            assert stream.audio_tokens <= stream.prompt_tokens
            assert stream.thinking_tokens <= stream.output_tokens
        assert sum(cell.binding.served) == sum(stream.done for stream in cell.streams)
        assert sum(cell.jobs.values()) == len(cell.turnaround.before_ms)


def test_cut_reports_pending_and_does_not_rank():
    """``close = "cut"``: pending requests are unbilled, and no strategy is cheapest."""
    drained, cut = (run(scenario("batch", sets=[f"close={close}"])) for close in ("drain", "cut"))
    assert (drained.ranked, cut.ranked) == (True, False)
    for whole, part in zip(drained.cells, cut.cells, strict=True):
        assert part.total_usd < whole.total_usd
        assert sum(stream.pending for stream in part.streams) > 0
    assert any("cut at its horizon" in text for text in cut.warnings)


def test_a_shift_of_the_start_moves_no_cost():
    """P64 through the whole pipeline: a week later, no price changed, everything costs and lasts the same."""
    later = scenario(*ALL, head=HEAD.replace("2026-11-23", "2026-11-30"))
    assert cells(run(later)) == cells(run(scenario(*ALL)))


def test_progress_is_told_after_each_cell():
    """Cells done, of cells in all."""
    seen = []
    run(scenario("none", "batch"), replications=2, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from test_montecarlo import ALL, cells, run, scenario
print(cells(run(scenario(*ALL), replications=1)))
"""


def test_no_hash_seed_moves_a_byte():
    """F21: two values of PYTHONHASHSEED print the same bytes."""
    here = os.path.dirname(os.path.abspath(__file__))
    printed = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM, here],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "31337")
    }
    assert len(printed) == 1
    assert len(printed.pop()) > 1_000


# ---------------------------------------------------------------- replay


def recorded_row(i):
    """Request ``i`` of a small Mooncake trace: all share one block, every second one two."""
    row = {"timestamp": 1_000 * i, "input_length": 1_100 + 37 * i, "output_length": 9 + i}
    return json.dumps({**row, "hash_ids": [0, i % 2 + 1, i + 5]})


def replayed(tmp_path, **options):
    rows = [recorded_row(i) for i in range(12)]
    path = tmp_path / "small.jsonl"
    path.write_text("\n".join(rows) + "\n")
    return sim.replay(path, format="mooncake", replications=2, **options)


def test_a_replay_has_its_requests_from_the_trace(tmp_path):
    """The requests are the recorded ones under every strategy; the luck is the service's, fixed by the seed."""
    _, one = replayed(tmp_path, keep_requests=True)
    _, two = replayed(tmp_path, keep_requests=True)
    assert cells(one) == cells(two)
    for kept in one.kept:
        assert kept.ledger.arrived.tolist() == [1_000 * i for i in range(12)]
        assert kept.ledger.output.tolist() == [9 + i for i in range(12)]
    _, other = replayed(tmp_path, seed=2, keep_requests=True)
    slow = [[kept.ledger.done.tolist() for kept in result.kept if kept.strategy == "none"] for result in (one, other)]
    assert slow[0] != slow[1]


def test_a_replayed_strategy_alone_is_the_same(tmp_path):
    """Adding a strategy to a replay changes nothing of the others."""
    _, many = replayed(tmp_path)
    _, alone = replayed(tmp_path, strategies=("batch",))
    assert cells(alone) == cells(many, "batch")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ({"replications": 0}, "run: replications: must be at least 1; a whole number; got 0"),
        ({"seed": -1}, "run: seed: out of range; a whole number from 0 to 2^128 - 1; got -1"),
        ({"baseline": "bacht"}, "run: baseline: unknown strategy; did you mean 'batch'?"),
    ],
)
def test_arguments_that_no_run_can_have_are_refused(arguments, line):
    """From Python too a wrong argument is one line, before anything runs."""
    with pytest.raises(InputError) as caught:
        sim.run(sim.load("mixed-day"), **arguments)
    assert str(caught.value).startswith(line)
