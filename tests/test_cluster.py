"""Sweeps on a cluster on the loopback device, started with Dask's own commands: workers and schedulers come and go."""

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from sweeps import carried_out, digests, planned, small
from test_sweep import gcsim

from sim.cells import Resumable
from sim.experiments import cluster as clusters
from sim.experiments.cluster import Cluster, Unreachable
from sim.experiments.plan import items_of
from tests.test_sweep_faults import begun

DASK = str(Path(sys.executable).with_name("dask"))
ENVIRONMENT = os.environ | {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}  # one death will do

POISONED = """
_clean = ENGINES["reference"]


def _deadly(pair, trace):
    if pair.arm.name == "explicit" and pair.plan.params.ttl == 1_200_000:
        import os, signal
        os.kill(os.getpid(), signal.SIGKILL)
    return _clean(pair, trace)


ENGINES = {"reference": _deadly}
"""

DRIVER = """
import sys
from pathlib import Path
from sim.experiments import fingerprint, shipping
text = {name: text for name, text in fingerprint.sources().items()}
text["experiments/items.py"] += Path(sys.argv[1]).read_bytes()
fingerprint.sources = shipping.sources = lambda: text
from sim.experiments.sweep import carry_out
from sweeps import planned
if __name__ == "__main__":
    plan = planned(Path(sys.argv[2]), ["strategies.explicit.ttl=5m,20m"])
    found = carry_out(plan, out=Path(sys.argv[3]), scheduler=sys.argv[4])
    print(*found.failures, sep="\\n")
"""


class Loopback:
    """A scheduler and its workers, each a process that this test started."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder, self._stack = folder, stack
        self.file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.file)
        )
        deadline = time.monotonic() + 60
        while not self.file.exists() or not self.file.read_text().strip():
            assert time.monotonic() < deadline, "the scheduler did not start"
            time.sleep(0.1)
        self.address = json.loads(self.file.read_text())["address"]

    def worker(self, *, nanny: bool = False) -> subprocess.Popen[bytes]:
        how = "--nanny" if nanny else "--no-nanny"
        place = str(self.folder / "workers")
        return self._start("worker", self.address, "--nthreads", "1", how, "--local-directory", place)

    def _start(self, *words: str) -> subprocess.Popen[bytes]:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen([DASK, *words, "--no-dashboard"], cwd=self.folder, env=ENVIRONMENT, **quiet)
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


def long_plan(folder: Path):
    """Return the plan of a sweep that takes some seconds."""
    return planned(small(folder), ["load=1,3"], replications=150)


def test_an_unreachable_scheduler_is_told_within_ten_seconds(tmp_path):
    """Exit 4, one line, and no folder."""
    small(tmp_path)
    started = time.monotonic()
    ran = gcsim(*["sweep", "small.toml", "--vary", "load=1,2", "--scheduler", "tcp://127.0.0.1:9"], cwd=tmp_path)
    assert time.monotonic() - started < 10
    assert ran.returncode == 4
    assert ran.stderr.startswith("gcsim: no scheduler answers at tcp://127.0.0.1:9")
    assert ran.stderr.count("\n") == 1
    assert not list((tmp_path / "results").glob("*"))


@pytest.mark.slow
def test_a_cluster_leaves_the_same_bytes_though_a_worker_dies_and_another_comes_late(tmp_path, loopback):
    """The code goes to the workers by upload, to late ones too, and the cells of a dead one are computed elsewhere."""
    plan = long_plan(tmp_path)
    workers = [loopback.worker()]

    def upset(done, _):
        if done > 100 and len(workers) == 1:
            workers.append(loopback.worker())
        if done > 300 and workers[0].poll() is None:
            workers[0].kill()  # all that is left is for the late one

    found = carried_out_on(loopback, plan, tmp_path / "out", upset)
    assert workers[0].poll() is not None
    assert not found.failures
    assert digests(found.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


def carried_out_on(loopback, plan, out, progress=None):
    return clusters_sweep(plan, out=out, scheduler=loopback.address, progress=progress)


def clusters_sweep(plan, **options):
    from sim.experiments.sweep import carry_out

    return carry_out(plan, **options)


@pytest.mark.slow
def test_workers_run_the_code_that_was_sent(tmp_path, loopback):
    """The package is imported from the worker's own folder, not from where the test has it."""
    loopback.worker()
    plan = planned(small(tmp_path), ["load=1"])
    with Cluster(plan.study, workers=1, scheduler=loopback.address) as cluster:
        places = cluster._client.run(_where)
    assert all(str(loopback.folder / "workers") in place for place in places.values())
    assert len(places) == 1


def _where():
    import sys

    return sys.modules["sim"].__file__


@pytest.mark.slow
def test_a_scheduler_that_goes_away_loses_nothing(tmp_path, loopback):
    """What arrived is saved, the reason and the folder are told, and the sweep goes on without a cluster."""
    plan = long_plan(tmp_path)
    loopback.worker()
    with pytest.raises(Resumable, match=r"the cluster was lost .*; \d+ of \d+ cells are saved in ") as caught:
        carried_out_on(loopback, plan, tmp_path / "out", lambda done, _: done > 100 and loopback.scheduler.kill())
    folder = begun(tmp_path / "out")
    assert caught.value.folder == folder
    assert (folder / "cells.journal").read_bytes().count(b"\n") > 100
    again = carried_out(plan, tmp_path, resume=folder)
    assert digests(again.folder) == digests(carried_out(plan, tmp_path / "whole").folder)


@pytest.mark.slow
def test_a_cell_that_kills_its_worker_is_named_and_the_others_are_computed(tmp_path, loopback):
    """Poison is found by running what died alone; innocent cells that were bundled with it are not blamed."""
    loopback.worker(nanny=True)
    poison, driver, out = tmp_path / "poison.py", tmp_path / "driver.py", tmp_path / "out"
    poison.write_text(POISONED)
    driver.write_text(DRIVER)
    command = [sys.executable, str(driver), str(poison), str(small(tmp_path)), str(out), loopback.address]
    home = str(Path(__file__).parents[1])
    ran = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": home}, capture_output=True, text=True, timeout=300, check=False
    )
    assert ran.returncode == 0, ran.stderr
    named = [
        f"explicit on gemini-2.5-flash, replication {number}, setting 1: its worker died 3 times" for number in (0, 1)
    ]
    assert ran.stdout.splitlines() == named
    assert (begun(out) / "cells.journal").read_bytes().count(
        b"\n"
    ) == 4  # of the 6 cells: none twice, explicit with 5m twice


@pytest.mark.slow
def test_workers_that_would_compute_something_else_are_refused_by_name(tmp_path, loopback, monkeypatch):
    """Another numpy is refused before any work, and of a late worker with its first answer."""
    loopback.worker()
    plan = planned(small(tmp_path), ["load=1"])
    here = clusters.fingerprint()
    monkeypatch.setattr(clusters, "fingerprint", lambda: here._replace(numpy="1.0.0"))
    words = rf"worker tcp://127\.0\.0\.1:\d+ would compute something else: numpy is {here.numpy} there and 1\.0\.0 here"
    with pytest.raises(Unreachable, match=words):
        carried_out_on(loopback, plan, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(Cluster, "_examine", lambda self: self._client.wait_for_workers(1, timeout=30))
    with pytest.raises(Resumable, match=words):
        carried_out_on(loopback, plan, tmp_path / "out")


def test_a_cluster_without_a_worker_is_refused(tmp_path, loopback, monkeypatch):
    """A scheduler alone computes nothing."""
    monkeypatch.setattr(clusters, "FIRST_WORKER_S", 1)
    with pytest.raises(Unreachable, match="has no worker"):
        carried_out_on(loopback, planned(small(tmp_path), ["load=1"]), tmp_path / "out")


@pytest.mark.slow
def test_workers_that_all_leave_end_a_sweep(tmp_path, loopback, monkeypatch):
    """When nobody has been there for a while the sweep stops with what it has."""
    monkeypatch.setattr(clusters, "LOOK_S", 0.5)
    monkeypatch.setattr(clusters, "NOBODY_S", 2.0)
    worker = loopback.worker()
    with pytest.raises(Resumable, match="no worker is left"):
        carried_out_on(loopback, long_plan(tmp_path), tmp_path / "out", lambda done, _: done > 50 and worker.kill())


def test_every_cell_is_in_one_bundle(tmp_path):
    """Bundles hold every item once, in order, each worth half a second."""
    from sim.experiments.workers import BUNDLE_S, bundles

    plan = planned(small(tmp_path), replications=20)
    pace = 1e-3  # a second for a thousand request-runs
    found = list(bundles(plan, items_of(plan, set()), pace))
    assert [item for bundle in found for item in bundle] == list(items_of(plan, set()))
    costs = [[plan.requests[item.group] * len(item.members) * pace for item in bundle] for bundle in found]
    assert all(sum(cost) >= BUNDLE_S > sum(cost[:-1]) for cost in costs[:-1])
