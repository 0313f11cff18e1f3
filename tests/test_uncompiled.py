"""The kernels of the fast engine in other forms: as plain Python, where every line must run, and bounds-checked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parent
# which rooms of a workload in pieces are given back: lines that only long workloads meet, in tests of the pieces
SELDOM = ("ring.py", "window.py")
EQUALITY = ("test_fast_engine.py", "test_stream.py")


def equality(share, *options, **environment):
    """Run the equality tests of the engines in a process of their own, on a share of their examples."""
    path = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    more = {"PYTHONPATH": path, "HYPOTHESIS_PROFILE": "ci", "GCSIM_EXAMPLES": str(share), **environment}
    chosen = ["-k", "(equal and not shipped) or prefixes_back", "-p", "no:cacheprovider", *options]
    command = [sys.executable, "-m", "pytest", "-q", *chosen, *(str(TESTS / name) for name in EQUALITY)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **more}, check=False)
    assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]
    return done.stdout


def test_every_line_of_the_kernels_is_executed(tmp_path):
    """Uncompiled, with every index checked at both ends, the kernels equal the reference, and no line is idle."""
    found = tmp_path / "missed.json"
    equality(0.5, "-p", "kernel_lines", NUMBA_DISABLE_JIT="1", KERNEL_LINES=str(found))
    missed = json.loads(found.read_text())
    assert len(missed) >= 14  # files with kernels
    assert {name: lines for name, lines in missed.items() if lines and name not in SELDOM} == {}


def test_compiled_kernels_stay_within_their_tables():
    """With numba's own bounds checks compiled in, the kernels raise no IndexError, and are equal to the reference."""
    assert " passed" in equality(1, NUMBA_BOUNDSCHECK="1")
