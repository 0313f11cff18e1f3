"""Very large replications: run in pieces they give the cells of the whole, whatever the pieces."""

from dataclasses import replace
from itertools import pairwise

import pytest

import sim
from sim.errors import InputError
from sim.experiments import large
from sim.experiments.large import cells_in_pieces, fits_in_pieces, is_large, kept
from sim.experiments.pairs import pairs_of
from sim.experiments.replication import Luck, replicate
from sim.experiments.result import Turnaround
from sim.scenario import shipped
from sim.sketch import Sketch

SEED = 3


@pytest.fixture
def small(monkeypatch):
    """Everything counts as large, and comes in pieces of some hundred requests."""
    monkeypatch.setattr(large, "LARGE", 0)
    monkeypatch.setattr(large, "PIECE", 300)


def plain(cell):
    """A cell as something that compares: arrays as lists."""
    turnaround = [times.tolist() for times in cell.turnaround]
    return replace(cell, turnaround=Turnaround(*turnaround))


def groups(scenario):
    """Pairs that can be run in pieces, by workload."""
    found = {}
    for pair in pairs_of(scenario, None):
        if fits_in_pieces(pair):
            found.setdefault(pair.workload, []).append(pair)
    return list(found.values())


def whole(sharing, scenario):
    """The cells of pairs that are held in memory, with sketches of their latencies."""
    options = {"engine": "fast", "witnessed": [False] * len(sharing), "whole": True}
    return [plain(played.cell) for played in replicate(sharing, scenario.book, Luck(SEED, 0), **options)]


def in_pieces(sharing, scenario, *, witness=False):
    """The same cells, of a workload that comes in pieces."""
    made = cells_in_pieces(sharing, [scenario.book] * len(sharing), SEED, 0, [witness] * len(sharing))
    return [plain(cell) for cell in made]


@pytest.mark.parametrize("name", sorted(shipped()))
def test_pieces_give_the_cells_of_the_whole(small, name):
    """Every pair of every shipped scenario: the same money, counts, refusals, jobs, caches, and sketches."""
    scenario = sim.load(name)
    for sharing in groups(scenario):
        found = in_pieces(sharing, scenario)
        assert found == whole(sharing, scenario)
        assert all(isinstance(stream.latency_ms, Sketch) for cell in found for stream in cell.streams)


@pytest.mark.parametrize("size", [40, 1_000, 10**6])
def test_the_size_of_the_pieces_decides_nothing(small, monkeypatch, size):
    """Any budget of memory gives the same cells."""
    scenario = sim.load("mixed-day")
    (sharing, *_) = groups(scenario)
    expected = in_pieces(sharing, scenario)
    monkeypatch.setattr(large, "PIECE", size)
    assert in_pieces(sharing, scenario, witness=True) == expected


@pytest.mark.parametrize("name", ["quickstart", "burst-and-backoff", "chat-with-history"])
def test_a_large_run_is_the_same_on_either_engine(small, name):
    """The reference holds it in memory and the fast engine does not: the summaries are the same."""
    scenario = sim.load(name)
    slow, quick = (sim.summarise(sim.run(scenario, replications=2, engine=engine)) for engine in ("reference", "fast"))
    assert slow == quick


def test_a_large_run_differs_from_an_exact_one_in_quantiles_only(small, monkeypatch):
    """Means, money and counts are exact; a quantile is within 1 %."""
    scenario = sim.load("quickstart")
    rough = sim.summarise(sim.run(scenario, replications=2, engine="fast"))
    monkeypatch.setattr(large, "LARGE", 10**9)
    exact = sim.summarise(sim.run(scenario, replications=2, engine="fast"))
    for mine, theirs in zip(rough["results"], exact["results"], strict=True):
        assert mine["cost_usd"] == theirs["cost_usd"]
        assert mine["latency_s"]["mean"] == theirs["latency_s"]["mean"]
        for name in ("p50", "p95", "p99"):
            assert mine["latency_s"][name] == pytest.approx(theirs["latency_s"][name], rel=0.01)
    assert rough != exact


def test_what_cannot_come_in_pieces_is_held_in_memory(small):
    """A run that is cut, or that deletes a cache with its context's last use, is the same as ever."""
    for sets in (['close="cut"'], ['strategies.explicit.delete="last_use"']):
        scenario = sim.load("quickstart", sets=sets)
        cells = [pair.arm.name for pair in pairs_of(scenario, None) if not fits_in_pieces(pair)]
        assert cells
        runs = (sim.run(scenario, replications=1, engine=engine) for engine in ("reference", "fast"))
        slow, quick = map(sim.summarise, runs)
        assert slow == quick


def test_ledgers_are_kept_whole(small):
    """Whoever wants the requests of a large run gets them, and the same cells."""
    scenario = sim.load("quickstart")
    result = sim.run(scenario, replications=1, engine="fast", keep_requests=True)
    assert len(result.kept) == len(result.cells)
    again = sim.run(scenario, replications=1, engine="fast")
    assert list(map(plain, result.cells)) == list(map(plain, again.cells))


def test_a_prompt_above_the_window_is_told_before_anything_runs(small):
    """The survey of a large workload sees every prompt."""
    scenario = sim.load("quickstart", sets=['contexts.manuals.tokens="1M"', 'streams.desk.fresh="100k"'])
    with pytest.raises(InputError, match="above the context window"):
        sim.run(scenario, replications=1, engine="fast")


def test_few_requests_are_no_large_replication():
    """The limit is a property of the scenario: two million requests as expected."""
    pair = pairs_of(sim.load("quickstart"), None)[0]
    assert not is_large(pair)
    (busy, *_) = pairs_of(sim.load("quickstart", sets=["load=1000"]), None)
    assert is_large(busy)
    result = sim.run(sim.load("quickstart"), replications=1)
    found = kept(result.cells[0], busy)
    assert [stream.latency_ms for stream in found.streams] == [
        Sketch.of(stream.latency_ms) for stream in result.cells[0].streams
    ]


def test_progress_goes_on_inside_of_a_replication(small):
    """A replication that takes long shows how far it has come, and never goes back."""
    seen = []
    sim.run(sim.load("quickstart"), replications=1, engine="fast", progress=lambda done, _: seen.append(done))
    assert all(one <= other for one, other in pairwise(seen))
    assert 0 < seen[0] < 6
    assert seen[-1] == 6
