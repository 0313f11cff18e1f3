"""What runs share to save work changes no result: columns worked out once, buffers handed on, realisations kept."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import sim
from sim.engines.fast import room, tables
from sim.engines.witness import differences
from sim.experiments import replications
from sim.experiments.pairs import pairs_of
from sim.experiments.simulate import ledger_of
from sim.once import once


def counted():
    """A pure function of a column and a factor that is remembered, and the list of its real calls."""
    calls = []

    @once
    def scaled(column, factor):
        calls.append(factor)
        return column * factor

    return scaled, calls


def test_a_column_and_a_law_are_worked_out_once():
    """The same column under an equal law is the same result; another column of equal contents, or law, is not."""
    scaled, calls = counted()
    column = np.arange(3)
    assert scaled(column, 2) is scaled(column, 2.0)
    assert scaled(column, 3).tolist() == [0, 3, 6]
    assert scaled(column.copy(), 2).tolist() == [0, 2, 4]
    assert calls == [2, 3, 2]


def test_what_is_remembered_goes_with_its_column():
    """A column that takes the place of one that is gone, address and all, is worked out anew."""
    scaled, calls = counted()
    addresses = set()
    for number in range(50):
        columns = [np.full(3, number) for _ in range(20)]
        addresses |= {id(column) for column in columns}
        assert all(scaled(column, 2).tolist() == [2 * number] * 3 for column in columns)
    assert len(calls) == 50 * 20 > len(addresses)


def test_a_sweep_keeps_few_results():
    """Of one column the last four results are kept, in whatever order laws come."""
    scaled, calls = counted()
    column = np.arange(3)
    for factor in (*range(5), 4, 1, 0):
        assert scaled(column, factor).tolist() == [0, factor, 2 * factor]
    assert calls == [*range(5), 0]


def test_nobody_writes_to_what_is_shared():
    """A shared column refuses to be written to."""
    scaled, _ = counted()
    with pytest.raises(ValueError, match="read-only"):
        scaled(np.arange(3), 2)[0] = 1


def runs():
    """Small and large runs of strategies that fill every kind of table, as (pair, trace)."""
    found = []
    for name in ("quickstart", "burst-and-backoff", "chat-with-history", "cache-expires-before-the-batch"):
        scenario = sim.load(name)
        trace = sim.realise(scenario)
        found += [(pair, trace) for pair in pairs_of(scenario, None)]
    return found


def test_a_run_meets_nothing_of_the_run_before_it():
    """Whatever ran before in the same buffers, in whatever order, a run writes the ledger of a run in new ones."""
    cases = runs()
    fresh = []
    for pair, trace in cases:
        room._spare.clear()
        fresh.append(ledger_of(pair, trace, engine="fast"))
    for order in (range(len(cases)), reversed(range(len(cases)))):
        for number in order:
            pair, trace = cases[number]
            assert differences(ledger_of(pair, trace, engine="fast"), fresh[number]) == [], pair.plan.name
    assert len(room._spare) == 1


def test_rows_that_a_run_filled_are_empty_for_the_next():
    """A sparse table is zeros, whatever the run before wrote at its begin; a larger one is, too."""
    kind = tables.RECORDS["jobs"]
    for rows in (4, 3, 9, 9):
        own = room.Room()
        table = own.sparse("jobs", rows, kind)
        assert not table.view(np.int64).any()
        table["seen"][: rows - 1] = 7
        own.give_back({"jobs": (rows - 1) * kind.itemsize})


def test_threads_share_no_buffer():
    """Runs in several threads at a time write the ledgers that they write one after another."""
    cases = runs()
    alone = [ledger_of(pair, trace, engine="fast") for pair, trace in cases]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda case: ledger_of(*case, engine="fast"), cases * 3))
    for number, ledger in enumerate(together):
        assert differences(ledger, alone[number % len(cases)]) == []


@pytest.mark.parametrize("room_for", [0, 10**6])
def test_realisations_that_are_drawn_twice_are_the_same(monkeypatch, room_for):
    """A run that keeps none, or some, of its realisations finds what a run finds that keeps them all."""
    scenario = sim.load("quickstart")
    kept = sim.run(scenario, replications=3)
    monkeypatch.setattr(replications, "KEPT_BYTES", room_for)
    anew = sim.run(scenario, replications=3)
    assert sim.summarise(anew) == sim.summarise(kept)
    for one, other in zip(anew.cells, kept.cells, strict=True):
        assert (one.replication, one.total_usd) == (other.replication, other.total_usd)
