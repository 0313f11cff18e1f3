"""How many cells a second a sweep computes: in this process, on two workers, on a loopback cluster of two.

    python tests/benchmarks/sweeps.py [--requests 20000] [--settings 12] [--replications 10] [--tiny 300]

First a sweep of cells that take a while: settings of a TTL on the fast engine, the same for each contestant, from the
first cell that is saved to the last, so that the start of workers is told apart. Then a sweep of cells that take next
to nothing, whose time, the start of workers included, is the overhead of a cell: naming it, handing it out, measuring,
saving. The results of all contestants are compared byte by byte.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sim
from sim.document import parse
from sim.scenario import Scenario, read_scenario


def scenario(requests: int) -> Scenario:
    """Return about so many questions on 50 documents over a day."""
    text = f"""
question = "How fast is a sweep?"
start = "2026-11-23T00:00:00Z"
horizon = "24h"
models = ["gemini-2.5-flash"]
[contexts.documents]
count = 50
tokens = "20k"
zipf = 1.0
[streams.questions]
arrivals = {{ process = "poisson", rate = "{requests}/day" }}
context = "documents"
fresh = 300
output = {{ law = "lognormal", mean = 400, cv = 0.7 }}
patience = "2h"
[strategies.none]
[strategies.implicit]
[strategies.explicit]
"""
    return read_scenario(parse(text.encode(), "sweeps"), "sweeps")


class Clock:
    """Notes when the first cell of a sweep was done, and when the last."""

    def __init__(self) -> None:
        self.begun = time.perf_counter()
        self.first = self.last = 0.0
        self.cells = 0

    def __call__(self, done: float, _total: int) -> None:
        """Note that a cell is done."""
        self.last = time.perf_counter()
        self.first = self.first or self.last
        self.cells = int(done)

    @property
    def rate(self) -> float:
        """Return the cells a second after the first."""
        return (self.cells - 1) / (self.last - self.first)


def swept(asked: Scenario, vary: list[str], **options: Any) -> tuple[Clock, str]:
    """Return how a sweep went, and the digest of its table."""
    clock = Clock()
    found = sim.sweep(asked, vary, engine="fast", progress=clock, **options)
    return clock, hashlib.sha256((found.folder / "results.parquet").read_bytes()).hexdigest()


@contextmanager
def cluster() -> Iterator[str]:
    """Start a scheduler and two workers with the ordinary commands of Dask; give its address."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "scheduler.json"
        dask = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
        base = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        options = ["--host", "127.0.0.1", "--port", "0", "--dashboard-address", "127.0.0.1:0"]
        started = [subprocess.Popen([*dask, *options, "--scheduler-file", str(told)], **base)]
        try:
            while not told.exists():
                time.sleep(0.1)
            address = json.loads(told.read_text())["address"]
            worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
            started += [subprocess.Popen(worker, **base) for _ in range(2)]
            time.sleep(5)
            yield address
        finally:
            for process in reversed(started):
                process.terminate()
                process.wait()


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--settings", type=int, default=12)
    options.add_argument("--replications", type=int, default=10)
    options.add_argument("--tiny", type=int, default=300, help="settings of the sweep of tiny cells")
    given = options.parse_args()
    heavy = scenario(given.requests), [f"strategies.explicit.ttl=5m..4h:lin:{given.settings}"]
    tiny = scenario(1), [f"strategies.explicit.ttl=5m..4h:lin:{given.tiny}"]
    swept(scenario(10), ["load=1"], replications=1, workers=1)  # compiles
    with cluster() as address:
        contestants = {
            "this process": {"workers": 1},
            "two workers": {"workers": 2},
            "a cluster": {"scheduler": address},
        }
        rates, digests = {}, set()
        for name, how in contestants.items():
            clock, digest = swept(*heavy, replications=given.replications, **how)
            rates[name] = clock.rate
            digests.add(digest)
            begin, ratio = clock.first - clock.begun, clock.rate / rates["this process"]
            print(
                f"{name:14}{clock.cells:6,} cells{clock.rate:9.1f}/s{ratio:7.2f} x one, the first after {begin:.1f} s"
            )
        assert len(digests) == 1, "the results differ"
        print("the results are the same bytes")
        for name, how in contestants.items():
            clock, _ = swept(*tiny, replications=1, **how)
            took = clock.last - clock.begun
            print(f"{name:14}{clock.cells:6,} tiny cells in {took:.1f} s, {1_000 * took / clock.cells:.1f} ms a cell")


if __name__ == "__main__":
    main()
