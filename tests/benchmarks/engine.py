"""Speed and memory of the two engines, as ratios measured in one run.

    python tests/benchmarks/engine.py [--requests 50000] [--large 500000] [--repeat 5] [--memory 1000000]

Prints requests a second of every strategy on the reference engine, the same for a naive SimPy model (a process a
request) of the same explicit-cache workload with the ratio of the two, the rate of realisation, and the peak memory of
one strategy's run of many requests, each in a process of its own. The contestants take turns, so that a slow spell of
the machine meets all.

Then the same strategies under quotas and retries: a project whose limits refuse a good part of the calls. There the
rate is that of attempts, refused ones included, and the ratio that to the strategy's own rate without limits.

Then the fast engine on a larger workload of the same kind (a run of the naive model or the reference on it would take
minutes; both take time in proportion to the requests, so rates compare), alone and with the preparation of the draws;
under quotas and retries; and all six strategies end to end, from the drawing of the workload to the statistics.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable

import naive

import sim
from sim.document import parse
from sim.engines.choice import engine_of
from sim.engines.physics import prepare
from sim.engines.reference import run as reference
from sim.experiments.pairs import Pair, pairs_of
from sim.scenario import Scenario, read_scenario
from sim.trace import Ints, Trace

STRATEGIES = ("none", "implicit", "explicit", "batch", "hybrid", "routed")
LIMITED = ("none", "implicit", "explicit", "flex", "priority")
TTL_MS = 3_600_000


def scenario(requests: int, *, limited: bool = False, only: Iterable[str] | None = None) -> Scenario:
    """Return Poisson questions on 200 documents over a day, with about so many requests; ``only`` some strategies.

    ``limited``: a project that may ask for a third more than is asked for on average, so that many calls are refused
    now and then; every limit is on, and so are the client's retries, its time-outs and its slots.
    """
    a_minute = max(2, requests * 4 // 3 // 1_440)
    limits = f"""
[project.limits]
requests_per_minute = {a_minute}
tokens_per_minute = {a_minute * 25_000}
requests_per_day = {requests * 10}
usd_per_10_minutes = 1e6
concurrent_requests = {max(2, a_minute // 2)}
burst = "5s"
[client]
attempts = 12
timeout = "2m"
concurrency = {max(4, a_minute * 2)}
[service.overload]
every = "3h"
lasts = "10m"
shed_chance = 0.5
"""
    text = f"""
question = "How fast is the engine?"
start = "2026-11-23T00:00:00Z"
horizon = "24h"
models = ["gemini-2.5-flash"]
[contexts.documents]
count = 200
tokens = {{ law = "lognormal", mean = "20k", cv = 0.5, at_least = "4k" }}
zipf = 1.0
[streams.questions]
arrivals = {{ process = "poisson", rate = "{requests}/day" }}
context = "documents"
fresh = {{ law = "lognormal", mean = 300, cv = 0.8 }}
output = {{ law = "lognormal", mean = 400, cv = 0.7 }}
patience = "2h"
[strategies]
none = {{}}
implicit = {{}}
explicit = {{ delete = "never", set = {{ "service.implicit.on" = false }} }}
batch = {{}}
hybrid = {{}}
routed = {{}}
flex = {{}}
priority = {{}}
{limits if limited else ""}
"""
    document = parse(text.encode(), "benchmark")
    if only is not None:
        for name in set(document.data["strategies"]) - set(only):
            del document.data["strategies"][name]
    return read_scenario(document, "benchmark")


def seconds_of(work: Callable[[], object]) -> float:
    """Return the seconds of one run."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def engine_work(asked: Scenario, trace: Trace) -> dict[str, Callable[[], object]]:
    """Return each strategy's run, the preparation of its draws included."""

    def of(pair: Pair) -> Callable[[], object]:
        attempts = pair.plan.batch.attempts if pair.plan.batch else 0
        return lambda: reference(trace, pair.plan, pair.rules, prepare(trace, pair.arm.service, 2 * attempts))

    return {pair.arm.name: of(pair) for pair in pairs_of(asked, None)}


def naive_requests(trace: Trace, slowness: Ints) -> list[naive.Request]:
    """Return the trace as the naive model takes it."""
    shared = trace.depth[trace.leaf]
    columns = (trace.arrive, trace.leaf, shared, trace.fresh, trace.output, slowness)
    return [naive.Request(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]


def naive_work(asked: Scenario, trace: Trace) -> Callable[[], object]:
    """Return the naive model's run of the same explicit-cache workload."""
    pair = next(pair for pair in pairs_of(asked, None) if pair.arm.name == "explicit")
    law = naive.Law(*pair.rules.epochs[0].latency)
    slowness = prepare(trace, pair.arm.service, 0).slowness
    return lambda: naive.run(naive_requests(trace, slowness), law, ttl_ms=TTL_MS)


def fast_work(asked: Scenario, trace: Trace, *, alone: bool) -> dict[str, Callable[[], object]]:
    """Return each strategy's run on the fast engine; ``alone`` leaves the preparation of the draws out."""
    fast = engine_of("fast")

    def of(pair: Pair) -> Callable[[], object]:
        attempts = 2 * pair.plan.batch.attempts if pair.plan.batch else 0
        ready = prepare(trace, pair.arm.service, attempts) if alone else None
        return lambda: fast(trace, pair.plan, pair.rules, ready or prepare(trace, pair.arm.service, attempts))

    return {pair.arm.name: of(pair) for pair in pairs_of(asked, None)}


def print_fast(given: argparse.Namespace, naive_rate: float, reference_rates: dict[str, float]) -> None:
    """Print the rates of the fast engine, with their ratios to what was measured before in this run."""
    asked, limited = scenario(given.large), scenario(given.large, limited=True)
    trace = sim.realise(asked)
    print(f"{trace.requests:,} requests on the fast engine, one core; rates: best of {given.repeat} rounds")
    for what, work, calls in (
        ("fast", fast_work(asked, trace, alone=True), None),
        ("prepared", fast_work(asked, trace, alone=False), None),
        ("fast, limited", fast_work(limited, trace, alone=True), limited),
    ):
        for name, run in work.items():
            if calls is not None and name not in LIMITED:
                continue
            run()  # compiles, and warms the memory up
            count = trace.requests if calls is None else int(run().attempts.sum())  # type: ignore[attr-defined]
            rate = count / min(seconds_of(run) for _ in range(given.repeat))
            key = name if calls is None else f"limited, {name}"
            ratios = f"{rate / reference_rates[key]:8.1f} x reference"
            if (what, name) == ("fast", "explicit"):
                ratios += f"{rate / naive_rate:8.1f} x naive"
            print(f"{what + ', ' + name:24}{rate:12,.0f} {'requests' if calls is None else 'attempts'}/s{ratios}")
    six = {name: {} for name in STRATEGIES}
    whole = scenario(given.large, only=six)
    took = min(seconds_of(lambda: sim.run(whole, replications=1, engine="fast")) for _ in range(given.repeat))
    print(f"{'end to end, six':24}{len(six) * trace.requests / took:12,.0f} requests x strategies/s")


def peak_mb(strategy: str, requests: int) -> float:
    """Return the peak resident memory in MB of a run of one strategy, in a process of its own."""
    command = [sys.executable, __file__, "--only", strategy, "--requests", str(requests)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout)


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=50_000)
    options.add_argument("--large", type=int, default=500_000, help="requests of the fast engine; 0 leaves it out")
    options.add_argument("--repeat", type=int, default=5)
    options.add_argument("--memory", type=int, default=1_000_000, help="requests of the memory run; 0 leaves it out")
    options.add_argument("--only", choices=STRATEGIES, help="run one strategy and print its peak memory in MB")
    given = options.parse_args()
    asked = scenario(given.requests)
    if given.only:
        sim.simulate(asked, given.only)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
        return
    trace = sim.realise(asked)
    work = {"naive SimPy, explicit": naive_work(asked, trace)}
    work |= {f"reference, {name}": run for name, run in engine_work(asked, trace).items()}
    limited = scenario(given.requests, limited=True)
    work |= {f"limited, {name}": run for name, run in engine_work(limited, trace).items() if name in LIMITED}
    rounds = [{name: seconds_of(run) for name, run in work.items()} for _ in range(given.repeat)]
    realising = min(seconds_of(lambda: sim.realise(asked)) for _ in range(given.repeat))
    print(f"{trace.requests:,} requests; rates: best of {given.repeat} rounds, ratios: median of the rounds")
    print(f"{'realisation':24}{trace.requests / realising:12,.0f} requests/s")
    rates = {}
    for name in (name for name in work if not name.startswith("limited")):
        rate = rates[name.removeprefix("reference, ")] = trace.requests / min(seconds[name] for seconds in rounds)
        ratio = statistics.median(seconds["naive SimPy, explicit"] / seconds[name] for seconds in rounds)
        print(f"{name:24}{rate:12,.0f} requests/s{ratio:8.2f} x naive")
    for name in LIMITED:
        attempts = int(sim.simulate(limited, name).attempts.sum())
        rate = rates[f"limited, {name}"] = attempts / min(seconds[f"limited, {name}"] for seconds in rounds)
        calls = {"limited": attempts, "reference": trace.requests}
        ratio = statistics.median(
            (calls["limited"] / seconds[f"limited, {name}"]) / (calls["reference"] / seconds[f"reference, {name}"])
            for seconds in rounds
        )
        per_request = attempts / trace.requests
        print(
            f"{'limited, ' + name:24}{rate:12,.0f} attempts/s{ratio:8.2f} x without limits, {per_request:.2f} a request"
        )
    if given.large:
        print_fast(given, rates["naive SimPy, explicit"], rates)
    for name in STRATEGIES if given.memory else ():
        print(f"{'memory, ' + name:24}{peak_mb(name, given.memory):12,.0f} MB at {given.memory:,} requests")


if __name__ == "__main__":
    main()
