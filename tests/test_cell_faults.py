"""Cells that go wrong: they hang, outgrow the memory, stop the clock, or hold what is no number. Each is named."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from faults import begun
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import everything
from sweeps import carried_out, digests, planned, small
from test_sweep import gcsim
from worlds import INSTANT, plan, rules, simulate, world
from worlds import physics as usual

from sim.engines.choice import uncovered
from sim.engines.reference import clock, run
from sim.errors import EngineError
from sim.experiments import deadline, items
from sim.experiments.answers import asked, sorted_out
from sim.experiments.cells import measure
from sim.experiments.items import Bench, Done, Item
from sim.experiments.plan import items_of
from sim.experiments.rows import COLUMNS
from sim.experiments.simulate import ledger_of
from sim.trace import exact_sum

NUMBERS = st.integers(-(2**63), 2**63 - 1)


@pytest.fixture
def three(tmp_path):
    """A plan of three cells: none, and explicit with two times to live."""
    return planned(small(tmp_path), ["strategies.explicit.ttl=5m,20m"], replications=1)


def failing(monkeypatch, act):
    """Let the cell of ``explicit`` with 20m do something else before it is computed."""

    def engine(pair, trace, **options):
        if _is_marked(pair):
            act()
        return ledger_of(pair, trace, **options)

    monkeypatch.setattr(items, "ledger_of", engine)


def _is_marked(pair):
    return pair.arm.name == "explicit" and "1200000" in repr(pair.arm.strategy)


def the_other_cells(folder):
    """Return the strategies that have a cell."""
    return [json.loads(line.split(b" ", 3)[3])[0][0] for line in (folder / "cells.journal").read_bytes().splitlines()]


# ---------------------------------------------------------------- cells that hang


def test_a_cell_that_hangs_is_given_up_and_named(three, tmp_path, monkeypatch):
    """Its time is over, it is a failure by name, the others are saved; resumed it is computed again."""
    expected = digests(carried_out(three, tmp_path / "whole").folder)
    monkeypatch.setattr(deadline, "LEAST_S", 0.5)

    def hang():
        while True:
            pass

    with monkeypatch.context() as patch:
        failing(patch, hang)
        found = carried_out(three, tmp_path / "out")
    (failure,) = found.failures
    assert (failure.strategy, failure.settings) == ("explicit", (1,))
    assert failure.error == "still at work after 0.5 s: given up"
    assert sorted(the_other_cells(found.folder)) == ["explicit", "none"]
    assert digests(carried_out(three, tmp_path, resume=found.folder).folder) == expected


def test_a_cell_that_swallows_its_alarm_hears_it_again(three, tmp_path, monkeypatch):
    """A library that catches everything ends a second later."""
    monkeypatch.setattr(deadline, "LEAST_S", 0.5)
    monkeypatch.setattr(deadline, "_AGAIN_S", 0.2)

    def deaf():
        try:
            time.sleep(20)
        except Exception:  # noqa: BLE001 - the very mistake
            time.sleep(20)

    failing(monkeypatch, deaf)
    started = time.monotonic()
    found = carried_out(three, tmp_path / "out")
    assert time.monotonic() - started < 10
    assert [failure.error for failure in found.failures] == ["still at work after 0.5 s: given up"]


def test_the_alarm_is_the_sweeps_own(three, tmp_path):
    """No alarm is left behind; a sweep in a thread, where none can be had, has no limit and the same bytes."""
    import signal

    before = signal.getsignal(signal.SIGALRM)
    found = [carried_out(three, tmp_path / "here")]
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    thread = threading.Thread(target=lambda: found.append(carried_out(three, tmp_path / "there")))
    thread.start()
    thread.join()
    assert digests(found[0].folder) == digests(found[1].folder)


def test_a_cell_may_take_far_longer_than_any_should(three):
    """Ten minutes at least, a hundred times what is expected of the largest one, or what was asked for."""
    from sim.experiments.estimate import Estimate

    largest = max(three.requests)
    assert deadline.allowed(three, None, None) == 600
    slow = Estimate(settings=2, cells=3, items=1, requests=9, seconds=9.0, bytes_each=1, seconds_each=7.0)
    assert deadline.allowed(three, slow, None) == 100 * 7.0 * largest
    assert deadline.allowed(three, slow, 3.5) == 3.5


def test_the_time_of_a_cell_can_be_given(three, tmp_path, monkeypatch):
    """``--cell-timeout`` takes a duration above zero, and it is the time that a cell has."""
    failing(monkeypatch, lambda: time.sleep(60))
    found = carried_out(three, tmp_path / "out", cell_timeout=0.3)
    assert [failure.error for failure in found.failures] == ["still at work after 0.3 s: given up"]
    ran = gcsim(*["sweep", "small.toml", "--vary", "load=1", "--cell-timeout", "0s"], cwd=tmp_path)
    assert ran.returncode == 2
    assert "--cell-timeout: must be longer than nothing; a time such as 30m; got '0s'" in ran.stderr


# ---------------------------------------------------------------- time that stands still


def test_a_clock_that_stands_still_is_told_with_what_happens():
    """An event that causes itself at one instant raises, naming the instant and the last events."""
    ours = clock.Clock(2)

    def again(request):
        ours.at(7, clock.BEGIN, request, clock.Kind.RETRY, again)

    ours.at(7, clock.BEGIN, 1, clock.Kind.ASK, again)
    with pytest.raises(EngineError, match=r"time stands still at 7 ms after 10,2\d\d events, of 2 requests") as caught:
        ours.run()
    assert str(caught.value).endswith(", ".join(["RETRY of 1"] * 20))


def test_a_process_that_stands_still_is_told_too():
    """So does a process that waits for no time at all."""
    ours = clock.Clock(0)

    def waits():
        while True:
            yield ours.until(3, clock.BEGIN, 0, clock.Kind.SEND)

    ours.env.process(waits())
    with pytest.raises(EngineError, match="time stands still at 3 ms"):
        ours.run()


def test_as_many_events_at_once_as_there_are_requests_are_nothing_strange():
    """Thirty thousand requests of one instant are served."""
    ledger = simulate(world([5] * 30_000), plan("none"), rules(latency=INSTANT))
    assert ledger.done_mask.all()


@given(everything())
@settings(max_examples=100, deadline=None)
def test_no_request_has_many_events_at_one_instant(case):
    """Every cycle of the service takes 1 ms at least: an instant holds no more events than kinds for each request."""
    seen: dict[int, int] = {}
    come = clock.Clock._come

    def counted(self, at, request, kind):
        seen[at] = seen.get(at, 0) + 1
        come(self, at, request, kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock.Clock, "_come", counted)
        run(*case)
    assert max(seen.values()) <= clock.Kind.COUNT * (case[0].requests + 1)


# ---------------------------------------------------------------- numbers that are none, or too large


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_never_stored(three, tmp_path, monkeypatch, number):
    """A NaN or an infinity in a cell fails that cell, by name."""

    def poisoned(ledger, trace, pair, book, replication):
        cell = measure(ledger, trace, pair, book, replication)
        return replace(cell, caches=cell.caches._replace(token_ms=number)) if pair.arm.name == "none" else cell

    monkeypatch.setattr(items, "measure", poisoned)
    found = carried_out(three, tmp_path / "out")
    assert [(each.strategy, each.replication) for each in found.failures] == [("none", 0)]
    assert "Out of range float values are not JSON compliant" in found.failures[0].error
    stored = (found.folder / "cells.journal").read_bytes()
    assert not any(word in stored for word in (b"NaN", b"Infinity"))


@given(st.lists(NUMBERS, max_size=5), st.integers(1, 4))
def test_sums_are_exact_however_large(numbers, times):
    """A column's sum is that of Python's integers, up to the ends of int64; numpy's own wraps in silence."""
    assert exact_sum(np.array(numbers * times, dtype=np.int64)) == times * sum(numbers)


def test_numpy_wraps_where_we_do_not():
    """The test above has power: four times 2^62 is nothing to numpy."""
    column = np.full(4, 2**62)
    assert int(column.sum()) == 0
    assert exact_sum(column) == 2**64


@pytest.mark.parametrize("size", [2**46, 2**47, 2**61, 2**62])
def test_sizes_that_int64_cannot_multiply_take_the_reference(size):
    """Near 2^62 tokens the fast engine refuses, the reference counts on, and totals are Python integers."""
    trace = world([0, 1, 2, 3], fresh=size)
    why = uncovered(trace, plan("none"), rules(latency=INSTANT), usual(trace))
    assert bool(why) == (size * 60_000 >= 2**62)
    ledger = simulate(trace, plan("none"), rules(latency=INSTANT))
    assert exact_sum(ledger.prompt) == 4 * size


def test_a_spend_is_not_taken_for_small_because_its_sum_wraps():
    """Many prompts whose sum passes 2^63 are beyond a limit of spend in 64-bit arithmetic, each of them is not."""
    from sim.providers.rules import QuotaRules, SpendLaw

    trace = world([0] * 4, fresh=2**45)
    laws = (SpendLaw(input=1),) * 4
    limited = rules(latency=INSTANT)
    limited = limited._replace(
        epochs=tuple(each._replace(quota=QuotaRules(spend=1, weights=laws)) for each in limited.epochs)
    )
    assert uncovered(trace, plan("none"), limited, usual(trace)) == ""
    wide = trace._replace(fresh=np.full(2**18, 2**45), leaf=np.full(2**18, -1), output=np.zeros(2**18, dtype=np.int64))
    assert int(wide.fresh.sum()) < 0
    assert uncovered(wide, plan("none"), limited, usual(trace)) == "a spend too large to be counted"


def test_a_count_that_no_table_holds_is_told(three, tmp_path, monkeypatch):
    """A sum beyond 64 bits fails its cell by name, rather than being cut to 64 of its bits."""

    def huge(ledger, trace, pair, book, replication):
        cell = measure(ledger, trace, pair, book, replication)
        if pair.arm.name != "none":
            return cell
        return replace(cell, binding=cell.binding._replace(backoff_ms=2**63))

    monkeypatch.setattr(items, "measure", huge)
    found = carried_out(three, tmp_path / "out")
    assert [each.error for each in found.failures] == [f"backoff_ms is {2**63}, more than a 64-bit count holds"]


# ---------------------------------------------------------------- memory


def test_a_cell_that_needs_more_memory_than_there_is_fails_alone(three, tmp_path, monkeypatch):
    """Under a limit of its address space a process fails that cell, by name, and computes the others."""
    expected = digests(carried_out(three, tmp_path / "whole").folder)
    failing(monkeypatch, lambda: np.ones(1 << 30))  # 8 GiB
    out, told = tmp_path / "out", tmp_path / "told"
    child = os.fork()
    if child == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30),) * 2)
        told.write_text("\n".join(map(str, carried_out(three, out).failures)))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert told.read_text().startswith("explicit on gemini-2.5-flash, replication 0, setting 1: ")
    assert "MemoryError: Unable to allocate 8.00 GiB" in told.read_text()
    assert sorted(the_other_cells(begun(out))) == ["explicit", "none"]
    monkeypatch.undo()
    assert digests(carried_out(three, tmp_path, resume=begun(out)).folder) == expected


MANY = """
import resource, sys
from contextlib import contextmanager
from pathlib import Path
from sim.experiments import sweep as sweeps
from sim.experiments.answers import asked
from sim.experiments.items import Bench, Done
from sweeps import carried_out, planned, small

plan = planned(small(Path(sys.argv[1])), ["load=1"], replications=int(sys.argv[2]))
rows = {}
for member in range(2):
    (done,) = Bench(plan.study).cells(sweeps.items_of(plan, ()).__next__()._replace(members=(member,)))
    rows[member] = done.text

@contextmanager
def quick(*_):
    yield lambda items: (
        Done(*cell, rows[cell.member].replace(',0,"', f',{cell.replication},"', 1))
        for item in items for cell in asked(plan.study, [item])
    )

carried_out(planned(Path(sys.argv[1]) / "small.toml", ["load=1"]), Path(sys.argv[1]) / "first")  # whatever that loads
sweeps.at_work = quick
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
carried_out(plan, Path(sys.argv[1]) / "out")
print(plan.work, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def many(tmp_path, replications):
    """Return the cells of a sweep, and the KiB that its driver needed for them."""
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    command = [sys.executable, "-c", MANY, str(tmp_path), str(replications)]
    ran = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    cells, used = map(int, ran.stdout.split())
    return cells, used


def test_the_driver_keeps_no_cells_in_memory(tmp_path):
    """Ten thousand cells and their table need less than 150 MiB besides what the program needs."""
    cells, used = many(tmp_path, 5_000)
    print(f"{cells} cells: {used / 1024:.0f} MiB")
    assert cells == 10_000
    assert used < 150 * 1024


@pytest.mark.slow
def test_the_driver_of_a_large_sweep_needs_some_bytes_a_cell(tmp_path):
    """A hundred thousand cells, all of one setting, whose summary needs them all at once: less than 400 MiB."""
    cells, used = many(tmp_path, 50_000)
    print(f"{cells} cells: {used / 1024:.0f} MiB")
    assert cells == 100_000
    assert used < 400 * 1024


# ---------------------------------------------------------------- answers of workers


@pytest.fixture
def wanted(three):
    """What a worker is asked, and what it should answer."""
    (item,) = items_of(three, ())
    return asked(three.study, [item]), list(Bench(three.study).cells(item))


def test_cells_that_nobody_asked_for_are_dropped_and_told(wanted, caplog):
    """An unknown key, a known key in another place, and what is no cell at all."""
    cells, found = wanted
    strange = [found[0]._replace(key="f" * 32), found[1]._replace(replication=3), "nonsense", None]
    taken, missing = sorted_out(cells, [*strange, *found], "tcp://here:1")
    assert (taken, missing) == (found, [])
    assert [record.getMessage() for record in caplog.records] == [
        f"dropped a cell that worker tcp://here:1 was not asked for: {what}"
        for what in ("f" * 32, found[1].key, "str", "NoneType")
    ]


def test_a_cell_that_comes_twice_is_taken_once_if_it_is_the_same(wanted):
    """Equal bytes are fine; different ones stop the sweep."""
    cells, found = wanted
    assert sorted_out(cells, [*found, *found], "w") == (found, [])
    with pytest.raises(EngineError, match=f"worker w gave two results of one cell, {found[0].key}"):
        sorted_out(cells, [*found, found[0]._replace(text="[]")], "w")


def test_cells_that_do_not_come_are_known(wanted):
    """What is missing of an answer is told, in order."""
    cells, found = wanted
    assert sorted_out(cells, found[1:2], "w") == (found[1:2], [cells[0], cells[2]])
    assert cells[2].item == Item(0, (2,), 0)


def test_what_is_no_table_of_rows_is_never_stored(wanted):
    """A worker's text is held against the columns: their number, their types, no NaN, one line."""
    cells, found = wanted
    table = json.loads(found[0].text)
    column = list(COLUMNS).index("total")
    wrong = [
        "",
        "[]",
        "{}",
        "[1]",
        "7",
        found[0].text + "\n",
        found[0].text[:-1],
        found[0].text.replace(":", ";") + "x",
        json.dumps([table[0][:-1]]),
        json.dumps([[*table[0], 1]]),
        json.dumps([[*table[0][:column], "3", *table[0][column + 1 :]]]),
        json.dumps([[*table[0][:column], True, *table[0][column + 1 :]]]),
        json.dumps([[*table[0][:column], float("nan"), *table[0][column + 1 :]]]),
        7,
        b"[]",
    ]
    for text in wrong:
        (done,), _ = sorted_out(cells, [found[0]._replace(text=text)], "w")
        assert done == Done(*cells[0], None, "its worker returned something else than its rows"), text
    assert sorted_out(cells, [found[0]], "w")[0] == [found[0]]
