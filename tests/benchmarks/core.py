"""The engines on the queue that every simulator knows, M/G/c, beside three others on the same requests.

    python tests/benchmarks/core.py [--requests 100000] [--servers 8] [--load 0.8] [--repeat 3]

The contestants: a plain loop over a heap of the instants at which servers are free (Kiefer and Wolfowitz), a SimPy
resource, ciw where it is installed (``pip install -e '.[benchmark]'``), the reference engine and the fast one with as
many slots of the client as there are servers. All meet the same arrivals and the same times of service, and all must
say the same of every single wait before any rate is printed. The contestants take turns; rates are the best of the
rounds, ratios their medians.
"""

import argparse
import heapq
import statistics
import time
from collections.abc import Callable, Generator
from typing import Any

import numpy as np
import simpy

import sim
from sim.document import parse
from sim.engines.choice import engine_of
from sim.engines.physics import prepare
from sim.experiments.pairs import pairs_of
from sim.ledger import Ledger
from sim.scenario import Scenario, read_scenario

Waits = list[int]  # ms from a request's arrival to its service


def scenario(requests: int, servers: int, rate_an_hour: float) -> Scenario:
    """Return calls of lognormal length that find one client with so many slots."""
    text = f"""
question = "How long is the queue?"
start = "2026-11-23T00:00:00Z"
horizon = "{int(requests / rate_an_hour * 3600)}s"
models = ["gemini-2.5-flash"]
[client]
concurrency = {servers}
[streams.calls]
arrivals = {{ process = "poisson", rate = "{rate_an_hour:.3f}/h" }}
fresh = 300
output = {{ law = "lognormal", mean = 400, cv = 0.7 }}
patience = "1h"
[strategies.none]
"""
    return read_scenario(parse(text.encode(), "core"), "core")


def waits(ledger: Ledger) -> Waits:
    """Return how long each request of a ledger waited for its slot."""
    found: Waits = (ledger.sent - ledger.arrived).tolist()
    return found


def by_heap(arrivals: list[int], services: list[int], servers: int) -> Waits:
    """Return the waits by a heap of the instants at which servers are free."""
    free = [0] * servers
    found = []
    for arrival, service in zip(arrivals, services, strict=True):
        begin = max(arrival, free[0])
        heapq.heapreplace(free, begin + service)
        found.append(begin - arrival)
    return found


def by_simpy(arrivals: list[int], services: list[int], servers: int) -> Waits:
    """Return the waits of a SimPy process a request that asks for a resource."""
    env = simpy.Environment()
    resource, found = simpy.Resource(env, servers), [0] * len(arrivals)

    def request(number: int) -> Generator[simpy.Event, Any, None]:
        with resource.request() as slot:
            yield slot
            found[number] = env.now - arrivals[number]
            yield env.timeout(services[number])

    def source() -> Generator[simpy.Event, Any, None]:
        for number, arrival in enumerate(arrivals):
            yield env.timeout(arrival - env.now)
            env.process(request(number))

    env.process(source())
    env.run()
    return found


def by_ciw(arrivals: list[int], services: list[int], servers: int) -> Waits:
    """Return the waits of a ciw network of one node."""
    import ciw

    gaps = [float(gap) for gap in np.diff([0, *arrivals])]
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Sequential([*gaps, float("inf")])],
        service_distributions=[ciw.dists.Sequential([float(service) for service in services])],
        number_of_servers=[servers],
    )
    simulation = ciw.Simulation(network)
    simulation.simulate_until_max_customers(len(arrivals), method="Finish")
    records = sorted(simulation.get_all_records(), key=lambda record: (record.arrival_date, record.id_number))
    return [round(record.waiting_time) for record in records]


def contestants(asked: Scenario, servers: int) -> tuple[int, dict[str, Callable[[], Waits]]]:
    """Return how many requests there are, and who answers how long they wait."""
    trace = sim.realise(asked)
    (pair,) = pairs_of(asked, None)
    physics = prepare(trace, pair.arm.service, 0)
    ledger = engine_of("fast")(trace, pair.plan, pair.rules, physics)
    arrivals, services = trace.arrive.tolist(), (ledger.done - ledger.sent).tolist()

    def engine(name: str) -> Callable[[], Waits]:
        run = engine_of(name)
        return lambda: waits(run(trace, pair.plan, pair.rules, physics))

    found: dict[str, Callable[[], Waits]] = {
        "heapq loop": lambda: by_heap(arrivals, services, servers),
        "SimPy resource": lambda: by_simpy(arrivals, services, servers),
        "reference engine": engine("reference"),
        "fast engine": engine("fast"),
    }
    try:
        import ciw  # noqa: F401
    except ImportError:
        print("ciw is not installed, and left out")
    else:
        found["ciw"] = lambda: by_ciw(arrivals, services, servers)
    return trace.requests, found


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--requests", type=int, default=100_000)
    options.add_argument("--servers", type=int, default=8)
    options.add_argument("--load", type=float, default=0.8)
    options.add_argument("--repeat", type=int, default=3)
    given = options.parse_args()
    alone = sim.simulate(scenario(2_000, 10**6, 1_000), "none")
    mean_hours = float((alone.done - alone.sent).mean()) / 3_600_000
    asked = scenario(given.requests, given.servers, given.load * given.servers / mean_hours)
    requests, work = contestants(asked, given.servers)
    expected = work["heapq loop"]()
    for name, run in work.items():
        assert run() == expected, f"{name} waits differently"
    print(
        f"{requests:,} requests, {given.servers} servers, mean wait {np.mean(expected) / 1_000:.2f} s, all waits agree"
    )
    rounds = []
    for _ in range(given.repeat):
        seconds = {}
        for name, run in work.items():
            begin = time.perf_counter()
            run()
            seconds[name] = time.perf_counter() - begin
        rounds.append(seconds)
    for name in work:
        rate = requests / min(seconds[name] for seconds in rounds)
        ratio = statistics.median(seconds["SimPy resource"] / seconds[name] for seconds in rounds)
        print(f"{name:20}{rate:14,.0f} requests/s{ratio:10.2f} x SimPy")


if __name__ == "__main__":
    main()
