"""A scenario so small that it can be swept a hundred times, and what the tests of sweeps share."""

import hashlib
from pathlib import Path

from sim.experiments import sweep as sweeps
from sim.experiments.designs import design_of
from sim.experiments.plan import plan_of
from sim.scenario import load

SMALL = """question = "What does a small hour cost?"
start = 2026-11-23T00:00:00Z
horizon = "1h"
models = ["gemini-2.5-flash"]
replications = 2
seed = 7

[contexts.manual]
count = 2
tokens = "20k"

[streams.chat]
arrivals = { process = "poisson", rate = "30/h" }
context = "manual"
fresh = { law = "lognormal", mean = 300, cv = 1.0 }
output = { law = "lognormal", mean = 200, cv = 0.5 }
patience = "30s"

[strategies.none]

[strategies.explicit]
ttl = "10m"
"""

VARY = ("strategies.explicit.ttl=5m,20m", "load=1,2")  # 4 settings, 2 of each kind of traffic; 12 cells in all


def small(folder: Path, name: str = "small") -> Path:
    """Return the file of the small scenario."""
    path = folder / f"{name}.toml"
    path.write_text(SMALL, encoding="utf-8")
    return path


def planned(path: Path, vary=VARY, *, design="grid", **options):
    """Return the plan of a sweep over a scenario's file."""
    return plan_of(load(path), vary, design=design_of(design), **options)


def carried_out(plan, out: Path, **options):
    """Return a sweep that was carried out in this process."""
    return sweeps.carry_out(plan, out=out, workers=1, **options)


def digests(folder: Path) -> tuple[str, str]:
    """Return the digests of what a sweep leaves behind for its readers."""
    names = ("results.parquet", "summary.json")
    return tuple(hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names)
