"""Long runs, left out of the default test command: more examples for the twins, and the promised size of a run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sim
from sim.errors import EngineError
from sim.ledger import Source

pytestmark = pytest.mark.slow

_TWINS = [
    "test_explicit_cache.py::test_the_engine_equals_the_stepping_twin",
    "test_implicit_cache.py::test_the_engine_equals_the_token_by_token_twin",
    "test_batch_machine.py::test_the_batch_flow_equals_its_twin",
    "test_batch_machine.py::test_batch_with_caches_equals_its_twin",
    "test_batch_machine.py::test_every_limit_of_batch_equals_its_twin",
    "test_calls_machine.py::test_standard_calls_equal_their_twin",
    "test_calls_machine.py::test_flex_and_priority_equal_their_twin",
    "test_calls_machine.py::test_everything_at_once_equals_its_twin",
]


@pytest.mark.parametrize("law", _TWINS)
def test_the_engine_equals_its_twins_over_many_more_examples(law):
    """Each twin is tried on eight times the examples of the default run: drawn anew, but the same each time in CI."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent / law)]
    more = {**os.environ, "GCSIM_EXAMPLES": "8"}
    done = subprocess.run(command, capture_output=True, text=True, env=more, check=False)
    assert done.returncode == 0, done.stdout[-5_000:]
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("strategy", ["implicit", "routed"])
def test_a_million_requests_of_one_strategy_stay_below_two_gigabytes(strategy):
    """The peak memory of a run of a million requests, in a process of its own, is below 2 GB."""
    script = Path(__file__).parent / "benchmarks" / "engine.py"
    command = [sys.executable, str(script), "--only", strategy, "--requests", "1000000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 100 < float(done.stdout) < 2_000


def test_real_conversations_keep_every_law():
    """25,226 requests of coding assistants go through three strategies, and every ledger keeps the engine's laws."""
    folder = os.environ.get("GCSIM_TRACES")
    if not folder:
        pytest.skip("GCSIM_TRACES names no folder of real traces")
    path = Path(folder) / "kv-cache-tester" / "kvct_compact_odd.jsonl.gz"
    try:
        _, result = sim.replay(path, strategies=["none", "implicit", "explicit"], replications=1, keep_requests=True)
    except EngineError as error:
        pytest.fail(f"a conservation law is broken: {error}")
    none, implicit, explicit = (kept.ledger for kept in result.kept)
    assert np.all(none.source == Source.NONE)
    assert implicit.cached.sum() > 0.4 * implicit.prompt.sum()
    assert np.any(explicit.source == Source.EXPLICIT)
