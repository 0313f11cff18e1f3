"""How long decisions take: a sensitivity study as a referee wants it, and a search for the largest load.

    python tests/benchmarks/decisions.py [--workers 2] [--trajectories 20] [--rows 256] [--replications 2]

Both on the quickstart. First Morris over ten inputs and Sobol' indices of the five that it ranks first, of cost, saving
and p95 of every strategy; then the same study resumed, which computes no cell again, so what it takes is the driver's
own: reading settings, naming cells, and the indices. Then a capacity search. The aims are three minutes and one, on two
quiet cores; where others are at work, look at the seconds of processors, which are told beside.
"""

import argparse
import resource
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

import sim  # noqa: F401 - not on the clock
from sim.decisions.drivers.sensitivity import sensitivity
from sim.decisions.finding import Finding
from sim.decisions.planning.capacity import capacity

VARY = (
    "streams.desk.arrivals.rate=60/h..240/h:log",
    "streams.desk.output.mean=200..800:log",
    "streams.reviews.arrivals.count=200..800:log",
    "streams.reviews.output.mean=1500..6000:log",
    "contexts.manuals.tokens.high=25k..100k:log",
    "strategies.explicit.ttl=10m..2h:log",
    'prices."gemini-2.5-flash".input=0.15..0.6:log',
    'prices."gemini-2.5-flash".cached=0.015..0.06:log',
    'prices."gemini-2.5-flash".storage=0.5..2:log',
    "service.implicit.hit_chance[1].chance=0.35..1",
)
REQUIRE = ("p95 latency of desk <= 30s", "within_patience of desk >= 95%")


@contextmanager
def clocked(name: str, aim: float | None = None) -> Iterator[None]:
    """Print how long something took, in seconds here and of processors."""
    begun, spent = time.perf_counter(), _processors()
    yield
    took, of_all = time.perf_counter() - begun, _processors() - spent
    against = "" if aim is None else f", {took / aim:.2f} of the aim of {aim:.0f} s"
    print(f"{name}: {took:.1f} s, {of_all:.1f} s of processors{against}", flush=True)


def _processors() -> float:
    """Return the seconds that this process and its ended children were at work."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def study(options: argparse.Namespace, **where: object) -> Finding:
    """Return the sensitivity study."""
    sizes = {"trajectories": options.trajectories, "rows": options.rows, "replications": options.replications}
    return sensitivity("quickstart", vary=VARY, method="sobol", workers=options.workers, **sizes, **where)  # type: ignore[arg-type]


def cells(found: Finding) -> int:
    """Return how many cells a decision rests on."""
    table = found.folder / "results.parquet"
    query = f"select count(*) from (select distinct setting, strategy, model, replication from '{table}')"
    return int(duckdb.sql(query).fetchall()[0][0])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--trajectories", type=int, default=20)
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--replications", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        name = f"Morris (10 inputs, {options.trajectories} trajectories) + Sobol' (5 inputs, {options.rows} rows)"
        with clocked(f"{name}, {options.workers} workers", 180.0):
            found = study(options, out=Path(folder))
        points = sum(found.summary[method]["points"] for method in ("morris", "sobol"))
        print(f"  {points:,} points, {cells(found):,} cells of settings")
        with clocked("  the same again, every cell known"):
            again = study(options, resume=found.folder)
        print(f"  the same answer: {again.summary == found.summary}")
    with clocked(f"capacity of the quickstart, {options.workers} workers", 60.0):
        answer = capacity("quickstart", require=REQUIRE, workers=options.workers)
    print("  " + ", ".join(f"{one['strategy']} {one['capacity']}" for one in answer.summary["capacities"]))


if __name__ == "__main__":
    main()
