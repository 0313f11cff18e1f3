"""Sweeps under faults: killed, interrupted, on failing disks, in folders that move; resumed, they leave the same."""

import datetime as dt
import errno
import fcntl
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import duckdb
import pytest
from faults import Counted, Deadly, Interrupting, begun, gone_on, operations, saved
from sweeps import carried_out, digests, planned, small
from test_sweep import COMMAND, gcsim

from sim import cells as folders
from sim.cells import Cells, Resumable
from sim.errors import InputError
from sim.experiments import items, saving, tasks
from sim.journal import Damage, Files, Journal


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """Three cells, each saved on its own."""
    monkeypatch.setattr(saving, "SAVE_S", 0.0)
    return planned(small(tmp_path), ["strategies.explicit.ttl=5m,20m"], replications=1)


@pytest.fixture
def hurt(plan, tmp_path):
    """Make folders of a sweep with a cell that is whole, one that is damaged and one that is torn."""
    folder = carried_out(plan, tmp_path / "unhurt").folder
    for name in ("results.parquet", "summary.json"):
        (folder / name).unlink()
    path = folder / "cells.journal"
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw[:-50])
    return lambda out: shutil.copytree(folder, out / "small" / "hurt")


# ---------------------------------------------------------------- disks that fail


LONGER = [pytest.param(code, marks=pytest.mark.slow) for code in (errno.EIO, errno.EROFS, errno.EMFILE)]


@pytest.mark.parametrize("code", [errno.ENOSPC, *LONGER])
def test_whatever_operation_fails_nothing_is_lost(plan, tmp_path, code):
    """Operation 1, 2, 3, ... of the store fails until a sweep succeeds: each ends in a sentence and can be resumed."""
    count, expected = operations(plan, tmp_path / "whole")
    for number in range(1, count + 1):
        out = tmp_path / str(number)
        with pytest.raises((Resumable, InputError), match=re.escape(os.strerror(code))) as caught:
            carried_out(plan, out, files=Counted(number, code))
        if isinstance(caught.value, Resumable):
            assert caught.value.folder == begun(out)
            assert str(caught.value.folder) in str(caught.value)
        else:  # a new sweep may be begun
            assert begun(out) is None or saved(begun(out)) == 0
        assert gone_on(plan, out) == expected
    carried_out(plan, tmp_path / "last", files=Counted(count + 1, code))
    print(f"{count} operations failed with {errno.errorcode[code]}")


@pytest.mark.parametrize("code", [errno.ENOSPC, *LONGER])
def test_whatever_operation_of_a_resumed_sweep_fails_nothing_is_lost(plan, tmp_path, hurt, code):
    """The same where the journal is torn and has a bad record, so that it must be mended first."""
    files = Counted()
    folder = hurt(tmp_path / "whole")
    expected = digests(carried_out(plan, tmp_path, resume=folder, files=files).folder)
    for number in range(1, files.count + 1):
        out = tmp_path / str(number)
        folder = hurt(out)
        with pytest.raises(Resumable, match=re.escape(os.strerror(code))) as caught:
            carried_out(plan, out, resume=folder, files=Counted(number, code))
        assert caught.value.folder == folder
        assert gone_on(plan, out) == expected
    print(f"{files.count} operations of a resumed sweep failed with {errno.errorcode[code]}")


@pytest.mark.parametrize("room", [0, 2_000, 6_000, 9_000, 10_000, 12_000])
def test_a_disk_that_takes_no_more_ends_a_sweep_in_good_order(plan, tmp_path, room):
    """No file may grow beyond some bytes: manifest, cells, table or summary do not fit, and nothing is lost."""
    expected = digests(carried_out(plan, tmp_path / "whole").folder)
    out = tmp_path / "out"
    child = os.fork()
    if child == 0:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        try:
            carried_out(plan, out)
        except (Resumable, InputError) as error:
            os._exit(100 + error.exit_code)
        finally:
            os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (102 if begun(out) is None else 103)
    assert gone_on(plan, out) == expected


# ---------------------------------------------------------------- drivers that are killed


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
    print(f"killed at {count} operations")


def test_a_driver_killed_while_it_mends_can_be_resumed(plan, tmp_path, hurt):
    """SIGKILL at each operation of a resumed sweep whose journal is damaged: nothing that was whole is lost."""
    files = Counted()
    expected = digests(carried_out(plan, tmp_path, resume=hurt(tmp_path / "whole"), files=files).folder)
    for number in range(1, files.count + 1):
        folder = hurt(tmp_path / str(number))
        child = os.fork()
        if child == 0:
            carried_out(plan, tmp_path, resume=folder, files=Deadly(number))
            os._exit(0)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        whole = Journal(folder / "cells.journal", Files())
        assert len(whole) >= 1
        whole.close()
        assert digests(carried_out(plan, tmp_path, resume=folder).folder) == expected
    print(f"killed at {files.count} operations of a resumed sweep")


def test_what_was_saved_before_a_fault_is_not_computed_again(plan, tmp_path, monkeypatch):
    """A resumed sweep computes what is missing only."""
    computed = []
    whole = items.Bench._cell

    def counted(self, item, member):
        computed.append((item, member))
        return whole(self, item, member)

    monkeypatch.setattr(items.Bench, "_cell", counted)

    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(Resumable, match=r"interrupted; 2 of 3 cells are saved"):
        carried_out(plan, tmp_path / "out", progress=stop)
    assert len(computed) == saved(begun(tmp_path / "out")) == 2
    gone_on(plan, tmp_path / "out")
    assert len(computed) == plan.work


def test_code_that_changed_since_a_sweep_was_stopped_is_refused(plan, tmp_path, monkeypatch):
    """What was computed by other code is not mixed with new cells; the code as it was goes on."""
    count, expected = operations(plan, tmp_path / "whole")
    with pytest.raises(Resumable):
        carried_out(plan, tmp_path / "out", files=Counted(count // 2))
    folder = begun(tmp_path / "out")
    before = (folder / "cells.journal").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(tasks, "code_digest", lambda: "f" * 64)
        other = planned(tmp_path / "small.toml", ["strategies.explicit.ttl=5m,20m"], replications=1)
    with pytest.raises(InputError, match=rf"code: this is another sweep; '{plan.manifest['code']}' as it began; got"):
        carried_out(other, tmp_path, resume=folder)
    assert (folder / "cells.journal").read_bytes() == before
    assert gone_on(plan, tmp_path / "out") == expected


# ---------------------------------------------------------------- folders that are damaged, moved, shared


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


@pytest.mark.parametrize("moved", [True, False])
def test_a_folder_that_goes_away_ends_a_sweep_with_a_clear_word(plan, tmp_path, moved):
    """Moved or removed while the sweep runs: exit 3, no promise of cells that are not there; put back, it goes on."""
    _, expected = operations(plan, tmp_path / "whole")
    out, away = tmp_path / "out", tmp_path / "away"

    def upset(done, _):
        if done == 2:
            begun(out).rename(away)
            if not moved:
                _remove(away)

    with pytest.raises(Resumable, match="was moved or removed meanwhile; put it back and resume") as caught:
        carried_out(plan, out, progress=upset)
    assert caught.value.exit_code == 3
    assert caught.value.folder is None
    assert "are saved" not in str(caught.value)
    if moved:
        assert saved(away) == 2
        assert digests(carried_out(plan, tmp_path, resume=away).folder) == expected
    assert gone_on(plan, tmp_path / "another") == expected


def _remove(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()


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
        words = rf"another sweep is at work in this folder: process {child} on \S+ since 20\d\d-"
        with pytest.raises(InputError, match=words):
            carried_out(plan, tmp_path, resume=folder)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    carried_out(plan, tmp_path, resume=folder)


def test_two_drivers_that_begin_at_once_get_a_folder_each(plan, tmp_path, monkeypatch):
    """The same sweep begun twice in one second is two sweeps."""
    monkeypatch.setattr(saving, "new_folder", lambda out, name, _: out / name / "now")
    found = [carried_out(plan, tmp_path / "out") for _ in range(3)]
    assert [each.folder.name for each in found] == ["now", "now-2", "now-3"]
    assert len({digests(each.folder) for each in found}) == 1
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="cannot be written to"):
        carried_out(plan, tmp_path / "file")


def test_the_lock_goes_with_the_sweep(plan, tmp_path):
    """A finished sweep holds no lock, nor does one that was refused."""
    folder = carried_out(plan, tmp_path / "out").folder
    with pytest.raises(InputError):
        Cells(folder, {**plan.manifest, "seed": 99})
    with (folder / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_disk_without_locks_is_refused(plan, tmp_path, monkeypatch):
    """That nobody else is there cannot be known then."""

    def none(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    folder = carried_out(plan, tmp_path / "out").folder
    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(InputError, match=r"its disk has no locks \(No locks available\)"):
        carried_out(plan, tmp_path, resume=folder)


def test_foreign_files_are_left_alone(plan, tmp_path):
    """What else lies in the folder is neither read nor touched."""
    folder = carried_out(plan, tmp_path / "out").folder
    (folder / "notes.txt").write_text("mine")
    (folder / ".results.parquet.writing").write_text("a draft that a crash left")
    carried_out(plan, tmp_path, resume=folder)
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_reader_never_sees_half_a_table(plan, tmp_path, monkeypatch):
    """DuckDB reads the table while sweeps go on in its folder: it is there as a whole or not at all."""
    expected = digests(carried_out(plan, tmp_path / "whole").folder)
    write = folders.write_rows

    def slowly(path, *table):
        path.write_bytes(b"PAR1, and nothing yet")
        time.sleep(0.05)
        path.unlink()
        write(path, *table)

    monkeypatch.setattr(folders, "write_rows", slowly)
    seen, wrong, over = [], [], threading.Event()

    def read():
        while not over.is_set():
            folder = begun(tmp_path / "out")
            if folder is None or not (folder / "results.parquet").exists():
                continue
            try:
                seen.append(duckdb.connect().read_parquet(str(folder / "results.parquet")).fetchall())
            except duckdb.Error as error:
                wrong.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for _ in range(10):
            gone_on(plan, tmp_path / "out")
            (begun(tmp_path / "out") / "cells.journal").unlink()  # so that all is computed again
    finally:
        over.set()
        reader.join()
    assert not wrong
    assert len(seen) > 3
    assert all(rows == seen[0] for rows in seen)
    assert gone_on(plan, tmp_path / "out") == expected


def test_clocks_that_jump_change_no_byte(plan, tmp_path, monkeypatch):
    """Wall clocks may go backwards, or by years: they name folders and drivers, and nothing waits for them."""
    expected = digests(carried_out(plan, tmp_path / "whole").folder)
    jumps = random.Random(1)  # noqa: S311 - no secret

    class Jumping(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2000, 1, 1, tzinfo=tz) + dt.timedelta(seconds=jumps.randrange(10**9))

    monkeypatch.setattr(folders.dt, "datetime", Jumping)
    monkeypatch.setattr(time, "time", lambda: jumps.randrange(10**10))
    monkeypatch.setattr(saving, "SAVE_S", 0.01)
    found = carried_out(plan, tmp_path / "out")
    assert found.folder.name.startswith("20")
    assert digests(found.folder) == expected
    assert digests(carried_out(plan, tmp_path, resume=found.folder).folder) == expected


# ---------------------------------------------------------------- users who interrupt


def test_an_interrupt_in_the_middle_of_saving_waits_for_it(plan, tmp_path):
    """The first interrupt ends a sweep between two records, with all that arrived saved."""
    count, expected = operations(plan, tmp_path / "whole")
    told = []
    for number in range(1, count + 1):
        out = tmp_path / str(number)
        told.append(_interrupted_at(number, plan, out))
        assert (begun(out) / "cells.journal").read_bytes()[-1:] in {b"\n", b""}
        assert gone_on(plan, out) == expected
    stopped = [text for text in told if text]
    assert {re.search(r"interrupted; (\d) of 3 cells are saved in ", text)[1] for text in stopped} == set("0123")
    assert all(text == "" for text in told[len(stopped) :])  # an interrupt while the table is written comes too late
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    print(f"interrupted at {count} operations")


def _interrupted_at(number, plan, out):
    """Return what a sweep says that is interrupted at an operation; "" if it ends as if it were not."""
    try:
        carried_out(plan, out, files=Interrupting(number))
    except Resumable as error:
        return str(error)
    return ""


def started(tmp_path: Path, *words: str, **options) -> subprocess.Popen[str]:
    """Start a sweep that takes some seconds, in a process of its own."""
    (tmp_path / "gcsim_command.py").write_text(COMMAND)
    small(tmp_path)
    command = [sys.executable, "gcsim_command.py", "sweep", "small.toml", "--vary", "load=1,3", *words]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, cwd=tmp_path, text=True, **pipes)


def until_saved(process: subprocess.Popen[str], out: Path, more_than: int = 0) -> None:
    """Wait until a sweep has saved some cells."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        folder = begun(out)
        if folder is not None and saved(folder) > more_than:
            return
        time.sleep(0.02)


def long(replications=60):
    """Return the options of a sweep that takes a second, or longer."""
    return ("--replications", str(replications), "--workers", "1", "--out", "out")


def whole_of_long(tmp_path, replications=60):
    """Return what the long sweep leaves that nobody disturbs."""
    plan = planned(tmp_path / "small.toml", ["load=1,3"], replications=replications)
    return digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_tells_how_to_go_on(tmp_path, number):
    """Exit 3 soon, with the command that goes on; that command ends as an undisturbed sweep does."""
    process = started(tmp_path, *long())
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
    if number == signal.SIGINT:
        again = gcsim(*command.split(), cwd=tmp_path)
        assert again.returncode == 0, again.stderr
        assert digests(begun(tmp_path / "out")) == whole_of_long(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_interrupt_ends_at_once(plan, tmp_path, number):
    """The first waits for what is being saved, however long that takes; the second does not, and nothing breaks."""
    expected = digests(carried_out(plan, tmp_path / "whole").folder)
    out, asleep = tmp_path / "out", tmp_path / "asleep"

    class Stuck(Files):
        def fsync(self, handle):
            if begun(out) is not None and saved(begun(out)) == 2:
                asleep.touch()
                time.sleep(60)
            super().fsync(handle)

    child = os.fork()
    if child == 0:
        carried_out(plan, out, files=Stuck())
        os._exit(0)
    while not asleep.exists():
        time.sleep(0.01)
    os.kill(child, number)
    time.sleep(0.3)
    assert os.waitpid(child, os.WNOHANG) == (0, 0)
    sent = time.monotonic()
    os.kill(child, number)
    assert os.waitpid(child, 0)[1] == number
    assert time.monotonic() - sent < 2
    assert saved(begun(out)) == 2
    assert gone_on(plan, out) == expected


def test_a_sweep_outlives_its_terminal(tmp_path):
    """When the terminal goes, the sweep goes on to its end and leaves all of its results."""
    keyboard, screen = os.openpty()
    process = started(
        tmp_path,
        *long(),
        stdin=screen,
        stdout=screen,
        stderr=screen,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(screen)
    until_saved(process, tmp_path / "out")
    os.close(keyboard)
    process.wait(60)
    assert process.returncode in {0, 2}  # the table cannot be printed, and is saved
    print(f"exit code {process.returncode}")
    assert digests(begun(tmp_path / "out")) == whole_of_long(tmp_path)


# ---------------------------------------------------------------- long ones


@pytest.mark.slow
def test_a_sweep_killed_ten_times_ends_as_if_it_had_not_been(tmp_path):
    """SIGKILL ten times at random instants, resumed each time: the bytes of an undisturbed sweep."""
    instants, times = random.Random(7), 1_000  # noqa: S311 - no secret; a machine four times as fast is not done either
    out, process = tmp_path / "out", started(tmp_path, *long(times))
    for kill in range(1, 11):
        before = 0 if begun(out) is None else saved(begun(out))
        until_saved(process, out, more_than=before)
        time.sleep(instants.uniform(0, 0.5))
        assert process.poll() is None, "it was too quick"
        process.kill()
        process.communicate()
        print(f"kill {kill}: {saved(begun(out))} of {4 * times:,} cells are saved")
        process = started(tmp_path, *long(times)[:-2], "--resume", str(begun(out)))
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    found, expected = digests(begun(out)), whole_of_long(tmp_path, times)
    print(f"digest of the table: {found[0]}\nof an undisturbed sweep: {expected[0]}")
    assert found == expected
