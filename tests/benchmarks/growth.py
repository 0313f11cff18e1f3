"""How the cost of a run grows: with its requests, its contexts, and the depth of its prefixes.

    python tests/benchmarks/growth.py [--requests 1e4,1e5,1e6,1e7] [--contexts 1,1e2,1e4,1e5] [--depth 1,10,50,200]

Each point is a whole run on the fast engine, end to end, in a process of its own that has run a small one before: its
seconds and its peak memory above that of the small one. The exponent is the slope of a line through the points on
logarithmic scales, 1 = in proportion. From two million requests on a replication comes in pieces, so its memory stops
growing.
"""

import argparse
import resource
import subprocess
import sys
import time

import numpy as np

import sim
from sim.document import parse
from sim.scenario import Scenario, read_scenario

STRATEGIES = ("implicit", "explicit")
USUAL = {"requests": 200_000, "contexts": 200, "depth": 1}


def scenario(strategy: str, *, requests: int, contexts: int, depth: int) -> Scenario:
    """Return about so many requests over a day, on so many contexts, in conversations of ``depth`` turns."""
    turns = f'session = {{ turns = {depth}, think = "1m", loop = "open" }}' if depth > 1 else ""
    text = f"""
question = "What does it cost to simulate more?"
start = "2026-11-23T00:00:00Z"
horizon = "24h"
models = ["gemini-2.5-flash"]
most_requests = 1e10
[contexts.documents]
count = {contexts}
tokens = "5k"
zipf = 1.0
[streams.questions]
arrivals = {{ process = "poisson", rate = "{max(1, requests // depth)}/day" }}
context = "documents"
fresh = {{ law = "lognormal", mean = 300, cv = 0.8 }}
output = {{ law = "lognormal", mean = 400, cv = 0.7 }}
patience = "2h"
{turns}
[strategies.{strategy}]
"""
    return read_scenario(parse(text.encode(), "growth"), "growth")


def peak_mb() -> float:
    """Return the peak resident memory of this process in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measured(strategy: str, size: dict[str, int]) -> tuple[float, float, int]:
    """Return seconds, MB and requests of a run, in a process of its own."""
    arguments = [f"--{name}={value}" for name, value in size.items()]
    command = [sys.executable, __file__, "--only", strategy, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, mb, requests = done.stdout.split()
    return float(seconds), float(mb), int(requests)


def run_one(strategy: str, size: dict[str, int]) -> None:
    """Run one point, and print its figures."""
    sim.run(scenario(strategy, **{**size, "requests": 2_000, "contexts": 10}), replications=1, engine="fast")
    before, asked = peak_mb(), scenario(strategy, **size)
    begin = time.perf_counter()
    (cell,) = sim.run(asked, replications=1, engine="fast").cells
    print(time.perf_counter() - begin, peak_mb() - before, sum(stream.total for stream in cell.streams))


def exponent(sizes: list[int], costs: list[float]) -> float:
    """Return the slope of costs over sizes on logarithmic scales."""
    return float(np.polyfit(np.log(sizes), np.log(np.maximum(costs, 1e-3)), 1)[0])


def numbers(text: str) -> list[int]:
    """Return whole numbers from a list such as 1e4,1e5."""
    return [int(float(part)) for part in text.split(",")]


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=numbers, default=[10**4, 10**5, 10**6, 10**7])
    options.add_argument("--contexts", type=numbers, default=[1, 100, 10_000, 100_000])
    options.add_argument("--depth", type=numbers, default=[1, 10, 50, 200])
    options.add_argument("--only", choices=STRATEGIES, help="run one point of one strategy, and print its figures")
    given = options.parse_args()
    if given.only:
        run_one(given.only, {name: getattr(given, name)[0] for name in USUAL})
        return
    for strategy in STRATEGIES:
        for name in USUAL:
            sizes, seconds, memory = getattr(given, name), [], []
            for size in sizes:
                took, mb, requests = measured(strategy, {**USUAL, name: size})
                seconds.append(took)
                memory.append(mb)
                rate = requests / took
                print(f"{strategy:10}{name:10}{size:12,}{took:10.2f} s{mb:10,.0f} MB{rate:12,.0f} requests/s")
            of_time, of_memory = exponent(sizes, seconds), exponent(sizes, memory)
            print(f"{strategy:10}{name:10}exponent of time {of_time:.2f}, of memory {of_memory:.2f}")


if __name__ == "__main__":
    main()
