"""Sweeps under faults: killed, interrupted, on failing disks, with damaged files; resumed they leave the same bytes."""

import errno
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sweeps import carried_out, digests, planned, small
from test_sweep import COMMAND, gcsim

from sim.cells import Cells, Resumable
from sim.errors import InputError
from sim.experiments import items
from sim.experiments import sweep as sweeps
from sim.journal import Damage, Files, Journal

RECORDS = {f"{number:032x}": f'[["none",{number},null]]' for number in range(5)}


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Eight cells, each saved on its own."""
    monkeypatch.setattr(sweeps, "SAVE_S", 0.0)
    return planned(small(tmp_path), ["strategies.explicit.ttl=5m,10m,20m"])


class Counted(Files):
    """Files whose n-th operation does something else."""

    def __init__(self, fault_at=0):
        self.count, self.fault_at = 0, fault_at

    def fault(self, handle=None, data=b""):
        """Fail as a full disk does: some of the bytes may have been written."""
        if data:
            os.write(handle, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def step(self, handle=None, data=b""):
        self.count += 1
        if self.count == self.fault_at:
            self.fault(handle, data)

    def open(self, path, flags):
        self.step()
        return super().open(path, flags)

    def write(self, handle, data):
        self.step(handle, data)
        return super().write(handle, data)

    def fsync(self, handle):
        self.step()
        super().fsync(handle)

    def close(self, handle):
        try:
            self.step()
        finally:
            super().close(handle)

    def replace(self, source, target):
        self.step()
        super().replace(source, target)

    def mkdir(self, folder):
        self.step()
        super().mkdir(folder)


class Deadly(Counted):
    """Files whose n-th operation is the process's last."""

    def fault(self, handle=None, data=b""):
        if data:
            os.write(handle, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


def operations(plan, out):
    """Return how many operations an undisturbed sweep takes, and what it leaves."""
    files = Counted()
    found = carried_out(plan, out, files=files)
    return files.count, digests(found.folder)


def begun(out):
    """Return the folder of a sweep that can be resumed, if there is one."""
    return next((path.parent for path in out.glob("*/*/manifest.json")), None)


def gone_on(plan, out):
    """Return what a stopped sweep leaves when it is resumed, or begun anew where there is nothing to resume."""
    return digests(carried_out(plan, out, resume=begun(out)).folder)


def test_whatever_operation_fails_nothing_is_lost(plan, tmp_path):
    """Operation 1, 2, 3, ... of the store fails until a sweep succeeds: each ends in a sentence and can be resumed."""
    count, expected = operations(plan, tmp_path / "whole")
    for number in range(1, count + 1):
        out = tmp_path / str(number)
        files = Counted(number)
        with pytest.raises((Resumable, InputError, OSError)) as caught:
            carried_out(plan, out, files=files)
        assert "No space left on device" in str(caught.value) or isinstance(caught.value, OSError)
        if isinstance(caught.value, Resumable):
            assert str(caught.value.folder) in str(caught.value)
        assert gone_on(plan, out) == expected
    carried_out(plan, tmp_path / "last", files=Counted(count + 1))


def test_a_driver_killed_at_any_operation_can_be_resumed(plan, tmp_path):
    """SIGKILL before each operation of the store, in the middle of each write: resumed, the same bytes (P87)."""
    count, expected = operations(plan, tmp_path / "whole")
    for number in range(1, count + 1):
        out = tmp_path / str(number)
        child = os.fork()
        if child == 0:
            carried_out(plan, out, files=Deadly(number))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert gone_on(plan, out) == expected


def test_what_was_saved_before_a_fault_is_not_computed_again(plan, tmp_path, monkeypatch):
    """A resumed sweep computes what is missing only."""
    computed = []
    whole = items.Bench._rows
    monkeypatch.setattr(
        items.Bench, "_rows", lambda self, item, member: computed.append((item, member)) or whole(self, item, member)
    )
    count, _ = operations(plan, tmp_path / "whole")
    assert len(computed) == plan.work
    with pytest.raises(Resumable, match=r"saving failed .* [0-9] of 8 cells are saved"):
        carried_out(plan, tmp_path / "out", files=Counted(count // 2))
    saved = (begun(tmp_path / "out") / "cells.journal").read_bytes().count(b"\n")
    computed.clear()
    gone_on(plan, tmp_path / "out")
    assert 0 < saved < plan.work
    assert len(computed) == plan.work - saved


def journal(folder: Path, records=RECORDS) -> Path:
    """Return the file of a journal with some records."""
    path = folder / "cells.journal"
    made = Journal(path, Files())
    for key, text in records.items():
        made.append({key: text})
    made.close()
    return path


def opened(path: Path) -> tuple[dict[str, str], Damage]:
    """Return the good records of a journal, and what was wrong with it."""
    found = Journal(path, Files())
    records = {key: found.text(key) for key in RECORDS if key in found}
    found.close()
    return records, found.damage


def test_a_record_torn_at_any_byte_is_cut_off(tmp_path):
    """Of the last record any part may be missing: the others stay, and the next one finds its place."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    first = dict(list(RECORDS.items())[:-1])
    for end in range(last, len(whole)):
        path.write_bytes(whole[:end])
        assert opened(path) == (first, Damage(end - last, 0))
        assert path.read_bytes() == whole[:last]
        journal(tmp_path)
        assert opened(path) == (RECORDS, Damage(0, 0))
        assert path.read_bytes() == whole


def test_zeros_after_a_power_loss_are_no_record(tmp_path):
    """A tail of zeros is cut off."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(500))
    assert opened(path) == (RECORDS, Damage(500, 0))
    assert path.read_bytes() == whole


def test_a_flipped_bit_anywhere_costs_its_own_record_only(tmp_path):
    """Every byte of a journal, one bit after the other flipped: the record is set aside, the others stay."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    ends = [match.end() for match in re.finditer(rb"\n", whole)]
    for place in range(len(whole)):
        hurt = sum(end <= place for end in ends)  # the record that the byte is in
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            records, damage = opened(path)
            lost = set(RECORDS) - set(records)
            joined = whole[place] == ord("\n")  # two lines become one, or the last one loses its end
            assert lost == set(list(RECORDS)[hurt : hurt + 1 + joined])
            assert records == {key: RECORDS[key] for key in records}
            torn = joined and place == len(whole) - 1
            assert (damage.torn > 0, damage.corrupt > 0) == (torn, not torn)
            assert opened(path)[1] == Damage(0, 0)  # mended for good
            aside = list(tmp_path.glob("*.bad"))
            assert len(aside) == (not torn)
            for bad in aside:
                assert bad.read_bytes() in bytes(flipped)
                bad.unlink()


def test_a_damaged_record_is_computed_again(plan, tmp_path):
    """A sweep with a bad record counts it, keeps it aside, and ends as if nothing had happened."""
    whole = carried_out(plan, tmp_path / "out")
    expected = digests(whole.folder)
    path = whole.folder / "cells.journal"
    raw = bytearray(path.read_bytes())
    raw[200] ^= 1
    path.write_bytes(raw)
    again = carried_out(plan, tmp_path / "out", resume=whole.folder)
    assert again.damage == Damage(0, 1)
    assert len(list(whole.folder.glob("cells.*.bad"))) == 1
    assert digests(again.folder) == expected


def test_two_results_of_one_cell_stop_the_sweep(tmp_path):
    """The same bytes twice are one record; other bytes mean that a cell is not determined by its key."""
    path = journal(tmp_path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole)
    assert opened(path) == (RECORDS, Damage(0, 0))
    other = tmp_path / "other"
    other.mkdir()
    path.write_bytes(whole + journal(other, {next(iter(RECORDS)): "[]"}).read_bytes())
    with pytest.raises(InputError, match="two records of one cell differ"):
        opened(path)


def test_what_is_no_number_is_never_stored(plan, tmp_path, monkeypatch):
    """A NaN in a cell fails that cell, by name."""

    def poisoned(ledger, trace, pair, book, replication):
        cell = measure(ledger, trace, pair, book, replication)
        if (pair.arm.name, replication) == ("none", 1):
            return replace(cell, caches=cell.caches._replace(token_ms=float("nan")))
        return cell

    measure = items.measure
    monkeypatch.setattr(items, "measure", poisoned)
    found = carried_out(plan, tmp_path / "out")
    assert [(each.strategy, each.replication) for each in found.failures] == [("none", 1)]
    assert "Out of range float values are not JSON compliant" in found.failures[0].error
    assert b"NaN" not in (found.folder / "cells.journal").read_bytes()


def test_a_manifest_that_is_missing_torn_or_newer_is_refused(plan, tmp_path):
    """Nothing is deleted, and the cells stay as they are."""
    folder = carried_out(plan, tmp_path / "out").folder
    cells, manifest = (folder / "cells.journal").read_bytes(), (folder / "manifest.json").read_bytes()
    for text, words in (
        (manifest[:-40], "torn or no JSON"),
        (manifest.replace(b"manifest/1", b"manifest/9"), "schema: this is another sweep"),
        (None, "no manifest"),
    ):
        (folder / "manifest.json").unlink()
        if text is not None:
            (folder / "manifest.json").write_bytes(text)
        with pytest.raises(InputError, match=words):
            carried_out(plan, tmp_path, resume=folder)
        assert (folder / "cells.journal").read_bytes() == cells


def test_a_second_driver_is_refused_and_told_of_the_first(plan, tmp_path):
    """One driver at a time; when it is killed the next one gets in."""
    folder = carried_out(plan, tmp_path / "out").folder
    ready, child = tmp_path / "ready", os.fork()
    if child == 0:
        with Cells(folder, plan.manifest):
            ready.touch()
            time.sleep(60)
        os._exit(0)
    try:
        while not ready.exists():
            time.sleep(0.01)
        with pytest.raises(
            InputError, match=rf"another sweep is at work in this folder: process {child} on \S+ since 20"
        ):
            carried_out(plan, tmp_path, resume=folder)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    carried_out(plan, tmp_path, resume=folder)


def test_the_lock_goes_with_the_sweep(plan, tmp_path):
    """A finished sweep holds no lock, nor does one that was refused."""
    folder = carried_out(plan, tmp_path / "out").folder
    with pytest.raises(InputError):
        Cells(folder, {**plan.manifest, "seed": 99})
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_foreign_files_are_left_alone(plan, tmp_path):
    """What else lies in the folder is neither read nor touched."""
    folder = carried_out(plan, tmp_path / "out").folder
    (folder / "notes.txt").write_text("mine")
    (folder / ".results.parquet.writing").write_text("a draft that a crash left")
    carried_out(plan, tmp_path, resume=folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_an_interrupt_in_the_middle_of_saving_waits_for_it(plan, tmp_path):
    """The first interrupt ends a sweep between two records, with all that arrived saved."""

    count, expected = operations(plan, tmp_path / "whole")
    told = []
    for number in range(1, count + 1):
        out = tmp_path / str(number)
        told.append(interrupted_at(number, plan, out))
        assert (begun(out) / "cells.journal").read_bytes()[-1:] in {b"\n", b""}
        assert gone_on(plan, out) == expected
    stopped = [text for text in told if text]
    assert {re.search(r"interrupted; (\d) of 8 cells are saved in ", text)[1] for text in stopped} == set("012345678")
    assert all(text == "" for text in told[len(stopped) :])  # an interrupt while the table is written comes too late
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


class Interrupting(Counted):
    """Files that the user interrupts at the n-th operation."""

    def fault(self, *_):
        os.kill(os.getpid(), signal.SIGINT)


def interrupted_at(number, plan, out):
    """Return what a sweep says that is interrupted at an operation; "" if it ends as if it were not."""
    try:
        carried_out(plan, out, files=Interrupting(number))
    except Resumable as error:
        return str(error)
    return ""


def started(tmp_path: Path, *words: str) -> subprocess.Popen[str]:
    """Start a sweep that takes some seconds, in a process of its own."""
    (tmp_path / "gcsim_command.py").write_text(COMMAND)
    small(tmp_path)
    command = [sys.executable, "gcsim_command.py", "sweep", "small.toml", "--vary", "load=1,3", *words]
    return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until_saved(process: subprocess.Popen[str], out: Path, more_than: int = 0) -> None:
    """Wait until a sweep has saved some cells."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        folder = begun(out)
        path = None if folder is None else folder / "cells.journal"
        if path is not None and path.exists() and path.read_bytes().count(b"\n") > more_than:
            return
        time.sleep(0.02)


LONG = ("--replications", "200", "--workers", "1", "--out", "out")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_tells_how_to_go_on(tmp_path, number):
    """Exit 3 soon, with the command that goes on; that command ends as an undisturbed sweep does."""
    process = started(tmp_path, *LONG)
    until_saved(process, tmp_path / "out")
    sent = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 3, told
    assert time.monotonic() - sent < 10
    command = re.search(r"go on with: gcsim (.*)", told)[1]
    assert "interrupted" in told
    assert command.endswith(f"--resume {begun(tmp_path / 'out').relative_to(tmp_path)}")
    assert "--out" not in command
    again = gcsim(*command.split(), cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    plan = planned(tmp_path / "small.toml", ["load=1,3"], replications=200)
    whole = carried_out(plan, tmp_path / "whole")
    assert digests(begun(tmp_path / "out")) == digests(whole.folder)


def test_a_second_interrupt_ends_at_once(tmp_path):
    """Two interrupts end a sweep wherever it is, and what was saved is valid."""
    process = started(tmp_path, *LONG)
    until_saved(process, tmp_path / "out")
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGINT, 3}
    found = Journal(begun(tmp_path / "out") / "cells.journal", Files())
    assert len(found) > 0
    assert found.damage.corrupt == 0
    found.close()


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_as_if_it_had_not_been(tmp_path):
    """SIGKILL ten times while it computes, resumed each time: the bytes of an undisturbed sweep."""
    process = started(tmp_path, *LONG)
    for _ in range(10):
        folder = begun(tmp_path / "out")
        path = None if folder is None else folder / "cells.journal"
        saved = path.read_bytes().count(b"\n") if path is not None and path.exists() else 0
        until_saved(process, tmp_path / "out", more_than=saved + 20)
        process.kill()
        process.communicate()
        process = started(tmp_path, *LONG[:-2], "--resume", str(begun(tmp_path / "out")))
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    plan = planned(tmp_path / "small.toml", ["load=1,3"], replications=200)
    assert digests(begun(tmp_path / "out")) == digests(carried_out(plan, tmp_path / "whole").folder)
