"""Sweeps on workers: processes of this machine, and a cluster on the loopback device that Dask's commands started."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from contextlib import ExitStack
from pathlib import Path

import dask
import psutil
import pytest
from faults import begun, saved
from sweeps import carried_out, digests, planned, small
from test_cell_faults import the_other_cells
from test_sweep import gcsim
from test_sweep_faults import started, until_saved

from sim.cells import Resumable
from sim.experiments import cluster as clusters
from sim.experiments import deadline, joining
from sim.experiments.cluster import Cluster
from sim.experiments.joining import Unreachable
from sim.experiments.plan import items_of
from sim.experiments.sweep import carry_out
from sim.experiments.workers import BUNDLE_S, bundles

DASK = str(Path(sys.executable).with_name("dask"))
HOME = os.pathsep.join([str(Path(__file__).parents[1]), str(Path(__file__).parent)])
ONE_DEATH = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}

# what a worker does instead, as Dask runs it before anything else
ON_A_CELL = """
from sim.experiments import items
clean = items.ledger_of

def engine(pair, trace, **options):
    if pair.arm.name == "explicit" and "1200000" in repr(pair.arm.strategy):
        act()
    return clean(pair, trace, **options)

items.ledger_of = engine
"""
DIES = "def act():\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n" + ON_A_CELL
HANGS = "def act():\n    while True:\n        pass\n" + ON_A_CELL
KEEPS_ALL_WAITING = 'def act():\n    import re\n    re.match(r"(a+)+$", "a" * 60 + "b")\n' + ON_A_CELL
OUTGROWS = (
    "def act():\n    import numpy, time\n    kept = numpy.ones(1 << 27)\n    time.sleep(30)\n    del kept\n" + ON_A_CELL
)
DIES_ONCE_IN_EACH_PHASE = """
import os, signal
from sim.experiments import items, remote

def once(phase, function):
    def deadly(*args, **options):
        found = function(*args, **options) if phase == "answering" else None
        try:
            os.close(os.open(f"{os.environ['PHASES']}/{phase}", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return found if phase == "answering" else function(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    return deadly

remote._bench = once("unpacking", remote._bench)
items.realised = once("realising", items.realised)
items.ledger_of = once("simulating", items.ledger_of)
items.measure = once("measuring", items.measure)
clean = remote.work
def work(*args):
    return once("answering", clean)(*args)
remote.work = work
"""
ROGUE = """
from sim.experiments import remote
clean = remote.work
def work(*args):
    answer = clean(*args)
    strange = answer.cells[0]._replace(key="f" * 32)
    return answer._replace(cells=(strange, *answer.cells, answer.cells[-1]))
remote.work = work
"""
UNDECIDED = """
from sim.experiments import remote
clean = remote.work
def work(*args):
    answer = clean(*args)
    return answer._replace(cells=(*answer.cells, answer.cells[0]._replace(text="[]")))
remote.work = work
"""
WRONG_NUMPY = "import numpy\nnumpy.__version__ = '1.0.0'\n"


def preloaded(tmp_path, text):
    """Let workers of this machine do something else; Dask may load this twice."""
    path = tmp_path / "preload.py"
    once = "from sim.experiments import remote\nif not hasattr(remote, 'preloaded'):\n    remote.preloaded = True\n"
    path.write_text(once + textwrap.indent(text, "    "))
    return dask.config.set({"distributed.worker.preload": [str(path)]})


def local(plan, out, workers=2, **options):
    """Return a sweep that processes on this machine carried out."""
    return carry_out(plan, out=out, workers=workers, **options)


def long_plan(folder: Path, replications=150):
    """Return the plan of a sweep that takes some seconds."""
    return planned(small(folder), ["load=1,3"], replications=replications)


def poisoned_plan(folder: Path):
    """Return the plan of six cells, two of which do something else."""
    return planned(small(folder), ["strategies.explicit.ttl=5m,20m"])


def named(*words):
    """Return what is said of the two cells that failed."""
    return [f"explicit on gemini-2.5-flash, replication {number}, setting 1: {' '.join(words)}" for number in range(2)]


def child_processes():
    """Return the processes that this one started, and theirs."""
    return psutil.Process().children(recursive=True)


# ---------------------------------------------------------------- workers of this machine


def test_a_worker_killed_in_any_phase_costs_nothing(tmp_path):
    """SIGKILL as it unpacks, realises, simulates, measures and answers: the same bytes, and nothing fails."""
    plan, phases = poisoned_plan(tmp_path), tmp_path / "phases"
    phases.mkdir()
    with pytest.MonkeyPatch.context() as patch, preloaded(tmp_path, DIES_ONCE_IN_EACH_PHASE):
        patch.setenv("PHASES", str(phases))
        found = local(plan, tmp_path / "out")
    assert {path.name for path in phases.iterdir()} == {
        "unpacking",
        "realising",
        "simulating",
        "measuring",
        "answering",
    }
    assert not found.failures
    assert digests(found.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("poison", "words"),
    [
        (DIES, "its worker died 3 times"),
        (OUTGROWS, "its worker died 3 times"),
        (HANGS, "still at work after 2 s: given up"),
        (KEEPS_ALL_WAITING, "its worker died 3 times"),
    ],
)
def test_a_cell_that_ends_its_workers_is_named_and_the_others_are_computed(tmp_path, monkeypatch, poison, words):
    """It kills its worker, outgrows the memory, or hangs in Python or in compiled code: only this cell fails."""
    plan = poisoned_plan(tmp_path)
    monkeypatch.setattr(joining, "MEMORY", "600MiB")
    monkeypatch.setattr(deadline, "LEAST_S", 2.0 if "still" in words or poison == KEEPS_ALL_WAITING else 60.0)
    with preloaded(tmp_path, poison):
        started_at = time.monotonic()
        found = local(plan, tmp_path / "out")
        print(f"{time.monotonic() - started_at:.0f} s")
    assert [str(failure) for failure in found.failures] == named(words)
    assert sorted(the_other_cells(found.folder)) == ["explicit", "explicit", "none", "none"]
    again = carried_out(plan, tmp_path, resume=found.folder)
    assert digests(again.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.slow
def test_what_a_worker_answers_unasked_is_dropped(tmp_path, caplog):
    """A cell that nobody asked for is told and not stored; one that comes twice is stored once."""
    plan = poisoned_plan(tmp_path)
    with preloaded(tmp_path, ROGUE):
        found = local(plan, tmp_path / "out", workers=2)
    assert any("was not asked for: " + "f" * 32 in record.getMessage() for record in caplog.records)
    assert saved(found.folder) == plan.work
    assert digests(found.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.slow
def test_a_worker_with_two_results_of_a_cell_ends_the_sweep(tmp_path):
    """Then nothing that it says can be trusted."""
    from sim.errors import EngineError

    with preloaded(tmp_path, UNDECIDED), pytest.raises(EngineError, match=r"gave two results of one cell"):
        local(poisoned_plan(tmp_path), tmp_path / "out")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_workers_go_with_their_driver(tmp_path, number):
    """Interrupted, with its whole terminal, or killed: within ten seconds nobody is left, and nothing is lost."""
    words = ["--replications", "300", "--workers", "2", "--out", "out"]
    process = started(tmp_path, *words, start_new_session=True)
    until_saved(process, tmp_path / "out", 50)
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 2
    sent = time.monotonic()
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    _, told = process.communicate(timeout=60)
    _, alive = psutil.wait_procs(family, timeout=10)
    print(f"gone after {time.monotonic() - sent:.1f} s")
    assert not alive
    assert time.monotonic() - sent < 10
    if number != signal.SIGKILL:
        assert process.returncode == 3, told
        assert re.search(r"interrupted; \d+ of 1200 cells are saved in .*\n.*go on with: gcsim sweep .*--resume", told)
    assert saved(begun(tmp_path / "out")) > 50
    plan = planned(tmp_path / "small.toml", ["load=1,3"], replications=300)
    again = carried_out(plan, tmp_path, resume=begun(tmp_path / "out"))
    assert digests(again.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


def test_every_cell_is_in_one_bundle(tmp_path):
    """Bundles hold every item once, in order, each worth half a second."""
    plan = planned(small(tmp_path), replications=20)
    pace = 1e-3  # a second for a thousand request-runs
    found = list(bundles(plan.requests, items_of(plan, set()), pace))
    assert [item for bundle in found for item in bundle] == list(items_of(plan, set()))
    costs = [[plan.requests[item.group] * len(item.members) * pace for item in bundle] for bundle in found]
    assert all(sum(cost) >= BUNDLE_S > sum(cost[:-1]) for cost in costs[:-1])


# ---------------------------------------------------------------- a cluster that others started


class Loopback:
    """A scheduler and its workers, each a process that this test started."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.file)
        )
        deadline_s = time.monotonic() + 60
        while not self.file.exists() or not self.file.read_text().strip():
            assert time.monotonic() < deadline_s, "the scheduler did not start"
            time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]

    def worker(self, *, nanny: bool = False, preload: str = "") -> subprocess.Popen[bytes]:
        words = ["--nanny" if nanny else "--no-nanny", "--local-directory", str(self.folder / "workers")]
        if preload:
            path = self.folder / f"preload{len(list(self.folder.glob('preload*')))}.py"
            path.write_text(preload)
            words += ["--preload", str(path)]
        return self._start("worker", self.address, "--nthreads", "1", *words)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"} | ONE_DEATH
        process = subprocess.Popen([DASK, *words, "--no-dashboard"], cwd=self.folder, env=environment, **quiet)
        self._stack.callback(_ended, process)
        return process


def _ended(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture
def loopback(tmp_path):
    with ExitStack() as stack:
        folder = tmp_path / "cluster"
        folder.mkdir()
        yield Loopback(folder, stack)


def on_the(loopback, plan, out, **options):
    """Return a sweep that a cluster carried out."""
    return carry_out(plan, out=out, scheduler=loopback.address, **options)


def test_an_unreachable_scheduler_is_told_within_ten_seconds(tmp_path):
    """Exit 4, one line, and no folder."""
    small(tmp_path)
    at = time.monotonic()
    ran = gcsim(*["sweep", "small.toml", "--vary", "load=1,2", "--scheduler", "tcp://127.0.0.1:9"], cwd=tmp_path)
    assert time.monotonic() - at < 10
    assert ran.returncode == 4
    assert ran.stderr.startswith("gcsim: no scheduler answers at tcp://127.0.0.1:9")
    assert ran.stderr.count("\n") == 1
    assert not list((tmp_path / "results").glob("*"))


@pytest.mark.slow
@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_what_is_no_scheduler_is_told_within_ten_seconds(answer):
    """Somebody who says nothing, and somebody who says something else."""
    import threading

    with socket.create_server(("127.0.0.1", 0)) as server:

        def reply():
            with server.accept()[0] as peer:
                if answer:
                    peer.sendall(answer)
                time.sleep(8)

        threading.Thread(target=reply, daemon=True).start()
        at = time.monotonic()
        with pytest.raises(Unreachable, match="no scheduler answers at tcp://127"):
            joining.reach(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        assert time.monotonic() - at < 10


def test_a_cluster_without_a_worker_is_refused(tmp_path, loopback, monkeypatch):
    """A scheduler alone computes nothing."""
    monkeypatch.setattr(clusters, "FIRST_WORKER_S", 1)
    with pytest.raises(Unreachable, match="has no worker"):
        on_the(loopback, planned(small(tmp_path), ["load=1"]), tmp_path / "out")


@pytest.mark.slow
def test_a_cluster_leaves_the_same_bytes_though_a_worker_dies_and_another_comes_late(tmp_path, loopback):
    """The code goes to the workers by upload, to late ones too, and the cells of a dead one are computed elsewhere."""
    plan = long_plan(tmp_path)
    workers = [loopback.worker()]

    def upset(done, total):
        if done > 100 and len(workers) == 1:
            print(f"{done} of {total} cells: a second worker")
            workers.append(loopback.worker())
        if done > 300 and workers[0].poll() is None:
            print(f"{done} of {total} cells: the first worker is killed")
            workers[0].kill()  # all that is left is for the late one
            workers[0].wait()

    found = on_the(loopback, plan, tmp_path / "out", progress=upset)
    assert workers[0].poll() is not None
    assert not found.failures
    mine, expected = digests(found.folder), digests(carried_out(plan, tmp_path / "whole").folder)
    print(f"digest of the table: {mine[0]}\nof a sweep in one process: {expected[0]}")
    assert mine == expected


@pytest.mark.slow
def test_workers_run_the_code_that_was_sent_and_keep_no_plugin(tmp_path, loopback):
    """What is imported lies in the folder of what was sent; when a sweep is over, late workers get no file of it."""
    loopback.worker()
    plan = planned(small(tmp_path), ["load=1"])
    with Cluster(plan.study, workers=1, seconds=600, scheduler=loopback.address) as cluster:
        places = cluster._client.run(lambda: __import__("sys").modules["sim"].__file__)
        assert len(_files(cluster._client)) == 2
    assert all("gemini-cost-sim/code-" in place for place in places.values())
    assert len(places) == 1
    with joining.connected(loopback.address) as client:
        assert _files(client) == []


def _files(client):
    """Return the names of the files that workers get when they come."""
    return [
        name
        for name in client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
        if name.startswith("gcsim")
    ]


@pytest.mark.slow
def test_a_scheduler_that_goes_away_loses_nothing(tmp_path, loopback):
    """What arrived is saved, the reason and the folder are told, and the sweep goes on without a cluster."""
    plan = long_plan(tmp_path)
    loopback.worker()
    with pytest.raises(Resumable, match=r"the cluster was lost .*; \d+ of \d+ cells are saved in ") as caught:
        on_the(loopback, plan, tmp_path / "out", progress=lambda done, _: done > 100 and loopback.scheduler.kill())
    folder = begun(tmp_path / "out")
    assert caught.value.folder == folder
    assert saved(folder) > 100
    again = carried_out(plan, tmp_path, resume=folder)
    assert digests(again.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.slow
def test_workers_that_all_leave_end_a_sweep(tmp_path, loopback, monkeypatch):
    """When nobody has been there for a while the sweep stops with what it has."""
    monkeypatch.setattr(clusters, "LOOK_S", 0.5)
    monkeypatch.setattr(clusters, "NOBODY_S", 2.0)
    worker = loopback.worker()
    with pytest.raises(Resumable, match="no worker is left"):
        on_the(loopback, long_plan(tmp_path), tmp_path / "out", progress=lambda done, _: done > 50 and worker.kill())
    assert saved(begun(tmp_path / "out")) > 50


@pytest.mark.slow
def test_a_cell_that_kills_the_workers_of_a_cluster_is_named(tmp_path, loopback):
    """Poison is found by running what died alone; innocent cells that were bundled with it are not blamed."""
    loopback.worker(nanny=True)
    poison, driver, out = tmp_path / "poison.py", tmp_path / "driver.py", tmp_path / "out"
    poison.write_text(DIES.replace("from sim.experiments import items\n", "").replace("items.", ""))
    driver.write_text(DRIVER)
    command = [sys.executable, str(driver), str(poison), str(small(tmp_path)), str(out), loopback.address]
    environment = os.environ | {"PYTHONPATH": HOME}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == named("its worker died 1 times")
    assert saved(begun(out)) == 4  # of the 6 cells: none twice, explicit with 5m twice


DRIVER = """
import sys
from pathlib import Path
from sim.experiments import fingerprint, shipping
text = dict(fingerprint.sources())
text["experiments/items.py"] += Path(sys.argv[1]).read_bytes()
fingerprint.sources = shipping.sources = lambda: text
from sim.experiments.sweep import carry_out
from sweeps import planned
if __name__ == "__main__":
    plan = planned(Path(sys.argv[2]), ["strategies.explicit.ttl=5m,20m"])
    found = carry_out(plan, out=Path(sys.argv[3]), scheduler=sys.argv[4])
    print(*found.failures, sep="\\n")
"""


@pytest.mark.slow
def test_workers_that_would_compute_something_else_are_refused_by_name(tmp_path, loopback):
    """Another numpy is refused before any work, with both versions."""
    loopback.worker()
    loopback.worker(preload=WRONG_NUMPY)
    with joining.connected(loopback.address) as client:
        client.wait_for_workers(2, timeout=30)
    here = clusters.fingerprint().numpy
    words = rf"worker tcp://127\.0\.0\.1:\d+ would compute something else: numpy is 1\.0\.0 there and {here} here"
    with pytest.raises(Unreachable, match=words):
        on_the(loopback, planned(small(tmp_path), ["load=1"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_late_worker_that_would_compute_something_else_is_refused(tmp_path, loopback):
    """It has no cell stored: its first answer ends the sweep, which can be resumed without it."""
    plan = long_plan(tmp_path)
    workers = [loopback.worker()]

    def upset(done, _):
        if done > 50 and len(workers) == 1:
            workers.append(loopback.worker(preload=WRONG_NUMPY))

    with pytest.raises(Resumable, match=r"numpy is 1\.0\.0 there and \S+ here; stop it and resume; \d+ of 600"):
        on_the(loopback, plan, tmp_path / "out", progress=upset)
    again = carried_out(plan, tmp_path, resume=begun(tmp_path / "out"))
    assert digests(again.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.slow
def test_a_worker_that_cannot_run_the_code_is_refused(tmp_path, loopback):
    """A package that it lacks is named."""
    loopback.worker(preload="import sys\nsys.modules['pydantic'] = None\n")
    with pytest.raises(Unreachable, match=r"worker tcp\S+ cannot run this code \(.*ModuleNotFoundError.*pydantic"):
        on_the(loopback, planned(small(tmp_path), ["load=1"]), tmp_path / "out")
