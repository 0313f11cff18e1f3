"""Runs that are stopped and go on, and runs that are extended: the same bytes as one that nothing disturbed."""

import errno
import json
import os
import re
import shutil
import signal
import weakref

import pytest
from faults import Counted, Deadly, Interrupting, begun
from sweeps import SMALL

import sim
from sim.cells import Resumable
from sim.document import parse
from sim.errors import InputError
from sim.experiments import replications, run_folder, saving
from sim.experiments.interrupts import Interrupts
from sim.experiments.montecarlo import asked_of
from sim.experiments.outcome import result_of
from sim.experiments.replications import Replications
from sim.experiments.run_folder import carry_out, subject_of
from sim.experiments.until_sure import Until
from sim.scenario import read_scenario

SURE = Until(0.5, floor=2, ceiling=5)  # missed by so short a run: looks at 2, 4 and 5
SOME = pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])  # operations on files
NAMES = ("summary.json", "replications.parquet")


@pytest.fixture(autouse=True)
def _each_cell_is_saved_on_its_own(monkeypatch):
    monkeypatch.setattr(saving, "SAVE_S", 0.0)


def scenario(*sets, text=SMALL):
    return read_scenario(parse(text.encode(), "small.toml"), "small", sets=sets)


def carried(out=None, *, resume=None, files=None, progress=None, sets=(), text=SMALL, **asked):
    """Return the result of a run whose cells are kept: until sure, unless a number of replications is asked for."""
    asked = asked if "replications" in asked else {"until": SURE, **asked}
    wanted = asked_of(scenario(*sets, text=text), **asked)
    work = Replications(wanted, progress=progress)
    return carry_out(work, subject_of(wanted, sets), out=out, resume=resume, files=files)


def left(folder):
    """Return what a run leaves behind for its readers."""
    return [(folder / name).read_bytes() for name in NAMES]


def gone_on(out, **asked):
    """Return what a stopped run leaves when it goes on, or is begun anew where there is nothing to go on with."""
    folder = begun(out)
    found = carried(out if folder is None else None, resume=folder, **asked)
    assert folder is None or found.folder == folder
    return left(found.folder)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return left(carried(tmp_path_factory.mktemp("undisturbed")).folder)


def test_a_run_until_sure_leaves_what_is_found_without_a_folder(tmp_path, undisturbed):
    """The folder holds the same summary as the same run in memory, and its looks."""
    inside = sim.summarise(sim.run(scenario(), precision=0.5, floor=2, ceiling=5))
    assert json.loads(undisturbed[0]) == inside
    assert inside["precision"]["looks"] == [2, 4, 5]
    found = sim.run(scenario(), precision=0.5, floor=2, ceiling=5, out=tmp_path)
    assert left(found.folder) == undisturbed
    assert found.folder.parent == tmp_path / "small"


# ---------------------------------------------------------------- stopped, and gone on with


@SOME
def test_a_run_killed_at_any_operation_goes_on_to_the_same_bytes(tmp_path, undisturbed, every):
    """P87: SIGKILL before each operation on files, in the middle of each write: nothing that was saved is lost."""
    files = Counted()
    carried(tmp_path / "whole", files=files)
    for number in range(1, files.count + 1, every):
        out = tmp_path / str(number)
        child = os.fork()
        if child == 0:
            carried(out, files=Deadly(number))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert gone_on(out) == undisturbed
    print(f"killed at one in {every} of {files.count} operations")


@SOME
def test_a_disk_that_fails_at_any_operation_ends_a_run_in_good_order(tmp_path, undisturbed, every):
    """ENOSPC at an operation: one sentence with the place and the cells that are saved, and it goes on."""
    files = Counted()
    carried(tmp_path / "whole", files=files)
    for number in range(1, files.count + 1, every):
        out = tmp_path / str(number)
        with pytest.raises((Resumable, InputError), match=re.escape(os.strerror(errno.ENOSPC))):
            carried(out, files=Counted(number))
        assert gone_on(out) == undisturbed


@pytest.mark.parametrize("number", [4, 9, 17, 30])
def test_an_interrupt_keeps_what_was_computed(tmp_path, undisturbed, number):
    """Ctrl-C during any operation: exit code 3, the number of cells that are saved, and none of them is lost."""
    with pytest.raises(Resumable, match=r"interrupted; \d+ cells are saved in") as stopped:
        carried(tmp_path, files=Interrupting(number))
    assert stopped.value.exit_code == 3
    told = int(re.search(r"(\d+) cells", str(stopped.value))[1])
    journal = (begun(tmp_path) / "cells.journal").read_text()
    assert told == len([line for line in journal.splitlines() if not line.split()[2].endswith("/seen")])
    assert gone_on(tmp_path) == undisturbed


def test_what_is_there_is_not_computed_again(tmp_path, monkeypatch, undisturbed):
    """A run that goes on draws, looks at and runs what is missing only."""
    computed = counted(monkeypatch)
    looks, whole = [], replications.survey
    monkeypatch.setattr(replications, "survey", lambda *seen: looks.append(1) or whole(*seen))

    def stop(done, _):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(Resumable, match="interrupted; 5 cells are saved"):
        carried(tmp_path, progress=stop)
    assert (computed, len(looks)) == ([(0, 2), (1, 2), (2, 2)], 4)
    computed.clear()
    assert gone_on(tmp_path) == undisturbed
    assert (computed, len(looks)) == ([(2, 1), (3, 2), (4, 2)], 5)
    computed.clear()
    assert gone_on(tmp_path) == undisturbed  # a run that came to its end has nothing left to do
    assert computed == []


def test_what_was_not_yet_saved_is_saved_by_an_interrupt(tmp_path, monkeypatch, undisturbed):
    """Cells are flushed some at a time: those that wait for it when the user interrupts are not lost."""
    monkeypatch.setattr(saving, "SAVE_S", 3_600.0)

    def stop(done, _):
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(Resumable, match="interrupted; 3 cells are saved"):
        carried(tmp_path, progress=stop)
    assert gone_on(tmp_path) == undisturbed


def counted(monkeypatch):
    """Return the list of replications that are run from here on, each with the number of its pairs."""
    computed, whole = [], replications.replicate

    def replicate(sharing, book, luck, **rest):
        computed.append((luck.replication, len(sharing)))
        return whole(sharing, book, luck, **rest)

    monkeypatch.setattr(replications, "replicate", replicate)
    return computed


def test_a_damaged_cell_is_computed_again(tmp_path, undisturbed):
    """A bad sector in the journal costs the cells that it hit, and no byte of the result."""
    folder = carried(tmp_path).folder
    path = folder / "cells.journal"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw[:-50])
    assert gone_on(tmp_path) == undisturbed
    assert len(list(folder.glob("cells.*.bad"))) == 1


# ---------------------------------------------------------------- extended


def test_a_run_that_is_extended_is_a_run_of_that_many(tmp_path, monkeypatch):
    """Of 3 replications 6 are made, of 6 two, and of 2 those of a precision: each as from the start, byte for byte."""
    expected = {n: left(carried(tmp_path / f"once-{n}", replications=n).folder) for n in (2, 6)}
    first = carried(tmp_path / "out", replications=3).folder
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    computed = counted(monkeypatch)
    more = carried(resume=first, replications=6).folder
    assert computed == [(3, 2), (4, 2), (5, 2)]
    assert left(more) == expected[6]
    assert more.parent == first.parent
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before  # nothing is overwritten
    fewer = carried(tmp_path / "elsewhere", resume=more, replications=2).folder
    assert left(fewer) == expected[2]
    assert fewer.parent == tmp_path / "elsewhere" / "small"


def test_a_run_until_sure_extends_any_other(tmp_path, undisturbed):
    """From a run of a number, from one of less precision, and from one that was stopped: the same bytes."""
    of_three = carried(tmp_path / "three", replications=3).folder
    assert left(carried(resume=of_three).folder) == undisturbed
    coarse = carried(tmp_path / "coarse", until=Until(0.9, floor=2, ceiling=3)).folder
    assert left(carried(resume=coarse).folder) == undisturbed
    with pytest.raises(Resumable):
        carried(tmp_path / "stopped", until=Until(0.9, floor=4), files=Counted(20))
    assert left(carried(resume=begun(tmp_path / "stopped")).folder) == undisturbed


def test_another_baseline_needs_no_new_cell(tmp_path, monkeypatch):
    """What a run is compared with is no part of its cells."""
    first = carried(tmp_path, replications=3).folder
    expected = left(carried(tmp_path / "anew", replications=3, baseline="explicit").folder)
    computed = counted(monkeypatch)
    assert left(carried(resume=first, replications=3, baseline="explicit").folder) == expected
    assert computed == []


def test_an_ordinary_run_can_be_extended(tmp_path, monkeypatch, undisturbed):
    """``gcsim run`` saves its cells with its results; a folder without them is refused with the reason."""
    from sim.cli import study

    wanted = asked_of(scenario(), replications=3)
    monkeypatch.chdir(tmp_path)
    work = Replications(wanted)
    found = result_of(work, work.carry_out())
    study.conclude(wanted, found, sets=(), out=tmp_path / "out", as_json=True)
    folder = begun(tmp_path / "out")
    assert left(carried(resume=folder).folder) == undisturbed
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "cells.journal").unlink()
    with pytest.raises(InputError, match="this run kept no cells"):
        carried(resume=bare)


OTHERS = [
    ({"seed": 8}, "seed: this is another run; 7 as it began; got 8"),
    ({"sets": ("load=2",)}, r"resolved\.file\.load"),
    ({"sets": ('streams.chat.patience="31s"',)}, r"streams\.chat\.patience: this is another run; '30s' as it began"),
    ({"sets": ('book="guide"',)}, "book"),
    ({"text": SMALL.replace('ttl = "10m"', 'ttl = "11m"')}, "ttl"),
]


@pytest.mark.parametrize(("change", "told"), OTHERS)
def test_another_run_is_refused_with_the_first_difference(tmp_path, change, told):
    """Cells of another seed, scenario or book are never mixed with these; nothing is written."""
    folder = carried(tmp_path, replications=2).folder
    for asked in ({"replications": 2}, {"replications": 3}):
        with pytest.raises(InputError, match=told):
            carried(resume=folder, **asked, **change)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_strategies_in_another_order_are_another_run(tmp_path):
    """Rows, cells and the baseline stand in the order of the file, so a file of another order is not this one."""
    folder = carried(tmp_path, replications=2).folder
    head, one, two = (
        SMALL.partition("[strategies.none]\n")[0],
        "[strategies.none]\n",
        SMALL.partition("\n\n[strategies.explicit]")[2],
    )
    with pytest.raises(InputError, match="order of resolved: this is another run"):
        carried(resume=folder, replications=3, text=f"{head}[strategies.explicit]{two}\n{one}")


def test_the_code_is_part_of_what_was_run(tmp_path, monkeypatch):
    """What other code computed is not mixed with new cells."""
    folder = carried(tmp_path, replications=2).folder
    monkeypatch.setattr(run_folder, "code_digest", lambda: "f" * 64)
    with pytest.raises(InputError, match="code: this is another run"):
        carried(resume=folder, replications=3)


def test_the_folder_of_a_sweep_is_refused(tmp_path):
    """A sweep's cells are rows, not cells of a run."""
    found = sim.sweep(scenario(), {"load": [1]}, out=tmp_path, workers=1)
    with pytest.raises(InputError, match="this is another run"):
        carried(resume=found.folder, replications=2)


def test_numbers_of_replications_in_the_file_are_no_other_scenario(tmp_path):
    """A file whose ``replications`` were raised is the same scenario: that is how most runs are extended."""
    folder = carried(tmp_path, replications=2).folder
    more = SMALL.replace("replications = 2", "replications = 4")
    assert left(carried(resume=folder, replications=4, text=more).folder)


@pytest.mark.parametrize("large", [False, True])
def test_runs_in_pieces_are_kept_as_sketches(tmp_path, monkeypatch, large):
    """A replication that is too large to be held goes on and is extended like any other."""
    from sim.experiments import large as sizes

    if large:
        monkeypatch.setattr(sizes, "LARGE", 10)
    expected = left(carried(tmp_path / "once", replications=3, engine="fast").folder)
    first = carried(tmp_path / "out", replications=2, engine="reference").folder
    assert left(carried(resume=first, replications=3, engine="fast").folder) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (b"[]", "the manifest is no object of JSON"),
        (b'"a text"', "the manifest is no object of JSON"),
        (b"{}", "this is another run"),
        (b'{"resolved": [1]}', "resolved: this is another run"),
        (b'{"resolved": {"file": [1]}}', r"resolved\.file: this is another run"),
        (b"\xff{", "the manifest is torn or no JSON"),
    ],
)
def test_a_manifest_of_another_shape_is_refused_in_one_line(tmp_path, text, told):
    """Whatever JSON stands where a manifest is looked for, nothing of it is run and nothing is written."""
    (tmp_path / "manifest.json").write_bytes(text)
    for asked in ({}, {"replications": 3}):
        with pytest.raises(InputError, match=told) as caught:
            carried(resume=tmp_path, **asked)
        assert len(caught.value.problems) == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"manifest.json", "lock"}


TWO = SMALL.replace('models = ["gemini-2.5-flash"]', 'models = ["gemini-2.5-flash", "gemini-2.5-pro"]')


def test_a_run_on_two_models_is_extended_like_any_other(tmp_path, monkeypatch):
    """Cells are known by their pair: of two models each keeps its own, and fewer models are another run."""
    expected = left(carried(tmp_path / "once", replications=4, text=TWO).folder)
    first = carried(tmp_path / "out", replications=2, text=TWO).folder
    computed = counted(monkeypatch)
    assert left(carried(resume=first, replications=4, text=TWO).folder) == expected
    assert computed == [(2, 4), (3, 4)]  # the models share their requests
    with pytest.raises(InputError, match=r"resolved\.file\.models: this is another run"):
        carried(resume=first, replications=4)


def test_one_strategy_is_run_until_its_cost_is_known(tmp_path):
    """Without another strategy there is no difference to be sure of."""
    alone = SMALL.partition("\n[strategies.explicit]")[0]
    found = carried(tmp_path, text=alone)
    assert list(found.certainty.widths) == ["cost of none on gemini-2.5-flash"]
    assert left(carried(resume=found.folder, text=alone).folder) == left(found.folder)


class Column:
    """Something that a weak reference can be taken of."""


def test_an_interrupt_in_the_callback_of_a_weak_reference_is_answered_at_the_next_save():
    """Python can raise nothing there, and would print a traceback: instead the next save ends the run."""
    column = Column()
    with Interrupts() as interrupts:
        kept = weakref.ref(column, lambda _: signal.raise_signal(signal.SIGINT))
        del column
        with pytest.raises(KeyboardInterrupt), interrupts.saving():
            pass
    assert kept() is None
