"""The naive SimPy model of the benchmarks is an oracle on the plain workload that it can do."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import sim
from sim.document import parse
from sim.engines.physics import prepare
from sim.experiments.pairs import pairs_of
from sim.scenario import read_scenario

_SCENARIO = b"""
question = "Do two engines agree?"
start = "2026-11-23T00:00:00Z"
horizon = "6h"
models = ["gemini-2.5-flash"]
[contexts.documents]
count = 7
tokens = { law = "lognormal", mean = "20k", cv = 0.5, at_least = "4k" }
zipf = 1.0
[streams.questions]
arrivals = { process = "bursts", rate = "60/h", size = { law = "geometric", mean = 3 }, within = "2s" }
context = "documents"
fresh = { law = "lognormal", mean = 300, cv = 0.8 }
output = { law = "lognormal", mean = 400, cv = 0.7 }
patience = "1m"
[strategies.explicit]
ttl = "7m"
delete = "never"
[service.implicit]
on = false
"""


@pytest.fixture(scope="module")
def naive():
    path = Path(__file__).parent / "benchmarks" / "naive.py"
    spec = importlib.util.spec_from_file_location("naive", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("replication", range(5))
def test_the_reference_engine_equals_the_naive_model_on_plain_explicit_caching(naive, replication):
    """Arrival, start, end and cached tokens of every request are equal, and so are creations and storage."""
    scenario = read_scenario(parse(_SCENARIO, "naive.toml"), "naive")
    trace = sim.realise(scenario, replication=replication)
    (pair,) = pairs_of(scenario, None)
    slowness = prepare(trace, pair.arm.service, 0).slowness
    columns = (trace.arrive, trace.leaf, trace.depth[trace.leaf], trace.fresh, trace.output, slowness)
    requests = [naive.Request(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    done = naive.run(requests, naive.Law(*pair.rules.epochs[0].latency), ttl_ms=7 * 60_000)

    ledger = sim.simulate(scenario, "explicit", replication=replication)

    rows = np.array([done.rows[number] for number in range(len(requests))])
    for name, column in zip(("arrived", "sent", "done", "cached"), rows.T, strict=True):
        np.testing.assert_array_equal(getattr(ledger, name), column, name)
    assert len(ledger.cache_born) == done.creations > 7  # so that caches did expire and come again
    assert ledger.storage_token_ms == done.storage_token_ms
