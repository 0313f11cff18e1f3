"""Faults planted by hand, one at a time, in the kernels and in the laws: each is found by the test beside it.

Every fault is a patch of one piece of text. The simulator is copied, patched, and tested uncompiled in a process of its
own. Laws are shared by both engines, so a fault in one is found by a twin or by an oracle, not by their equality.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
FAST, CALLS = "test_fast_engine.py::test_", "test_calls_machine.py::test_"


class Fault(NamedTuple):
    file: str  # below sim/engines
    right: str
    wrong: str
    test: str  # which finds it


FAULTS = {
    # ---------------------------------------------------------------- kernels
    "a slot is handed to whoever has given up": Fault(
        "fast/client.py",
        "        if c[request].waits:\n            c[request].waits = 0\n            metered",
        "        if True:\n            c[request].waits = 0\n            metered",
        FAST + "what_examples_seldom_meet_is_equal",
    ),
    "a timer sends a later collection": Fault(
        "fast/engine.py", "if payload == w[0].collection:", "if True:", FAST + "what_examples_seldom_meet_is_equal"
    ),
    "events of one instant leave the heap in any order": Fault(
        "fast/heap.py",
        "    return heap[row, 0] < first or (heap[row, 0] == first and heap[row, 1] < second)",
        "    return heap[row, 0] < first",
        FAST + "everything_at_once_is_equal",
    ),
    "contents that are replaced at once are kept": Fault(
        "fast/keeper.py",
        "tables.nodes(w)[node].replaced >= now",
        "tables.nodes(w)[node].replaced > now",
        FAST + "what_examples_seldom_meet_is_equal",
    ),
    "a lost job goes to the end of the line": Fault(
        "fast/line.py", "    elif at_head:", "    elif False:", FAST + "everything_at_once_is_equal"
    ),
    "a limit of calls in flight counts each tier alone": Fault(
        "fast/quota.py",
        "every, account = tables.quota(w)[place - place % 2], tables.counters(w)[0]",
        "every, account = tables.quota(w)[place - place % 2], u",
        FAST + "everything_at_once_is_equal",
    ),
    "a claimed request is settled by its job": Fault(
        "fast/batch.py", "elif c[request].claimed:", "elif False:", FAST + "everything_at_once_is_equal"
    ),
    "a prefix lives at the instant of its end": Fault(
        "fast/implicit.py",
        "if now >= tables.cell_until(w)[cell + node] or",
        "if now > tables.cell_until(w)[cell + node] or",
        FAST + "a_prefix_is_over_at_the_instant_of_its_end",
    ),
    "the short way is never refused": Fault(
        "fast/calls.py",
        "    metered.attempts(w)[request] += 1\n    if row >= 0 and not explicit.readable(w, row, now):",
        "    metered.attempts(w)[request] += 1\n    if False:",
        FAST + "what_examples_seldom_meet_is_equal",
    ),
    "what happens at the stop is counted": Fault(
        "fast/engine.py", "if time >= stop:", "if time > stop:", FAST + "a_run_that_is_stopped_is_equal"
    ),
    "a table that grows forgets": Fault(
        "fast/record.py", "            new[: len(old)] = old\n", "", FAST + "a_table_that_grows_under_way_is_equal"
    ),
    # ---------------------------------------------------------------- laws, and the order of events
    "what begins comes before what ends": Fault(
        "laws/order.py", "END, BEGIN = 0, 1", "END, BEGIN = 1, 0", CALLS + "everything_at_once_equals_its_twin"
    ),
    "the kind comes before the request": Fault(
        "laws/order.py",
        "(phase * (requests + 1) + request) * _KINDS + kind",
        "(phase * _KINDS + kind) * (requests + 1) + request",
        CALLS + "everything_at_once_equals_its_twin",
    ),
    "a cache lives at the instant of its expiry": Fault(
        "laws/ttl.py", "ready <= now < until", "ready <= now <= until", CALLS + "everything_at_once_equals_its_twin"
    ),
    "a bucket is said to be full one ms early": Fault(
        "laws/quota.py", "-(-missing // limit)", "missing // limit",
        "test_quota_oracles.py::test_a_refusal_names_the_first_instant_at_which_a_call_passes",
    ),
    "a weight is long at its limit": Fault(
        "laws/quota.py", "0 <= law.long_over < prompt", "0 <= law.long_over <= prompt",
        "test_laws.py::test_spend_weighs_every_token_once",
    ),
    "the first back-off is the second": Fault(
        "laws/backoff.py", "range(failures - 1)", "range(failures)", CALLS + "standard_calls_equal_their_twin"
    ),
    "a job that would end with its run's limit is stopped": Fault(
        "laws/jobs.py",
        "0 <= rules.running_limit < running",
        "0 <= rules.running_limit <= running",
        "test_batch_machine.py::test_every_limit_of_batch_equals_its_twin",
    ),
    "an episode ends after its end": Fault(
        "laws/weather.py", "if edges[middle] > now:", "if edges[middle] >= now:",
        CALLS + "everything_at_once_equals_its_twin",
    ),
    "no hit below a whole number of blocks": Fault(
        "laws/prefix.py", "whole if live >= minimum else 0", "whole if whole >= minimum else 0",
        "test_implicit_cache.py::test_the_engine_equals_the_token_by_token_twin",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A copy of the simulator and its tests."""
    folder = tmp_path_factory.mktemp("house")
    for name in ("sim", "tests", "scenarios"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "benchmarks"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def outcome_of(house, test, **more):
    """Run one test in the copy, on examples that are the same each time, up to the first that fails."""
    plain = {"PYTHONPATH": str(house), "HYPOTHESIS_PROFILE": "first", "NUMBA_DISABLE_JIT": "1", **more}
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"]
    return subprocess.run(command, cwd=house, capture_output=True, text=True, env={**os.environ, **plain}, check=False)


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(house, name):
    """The test that the table names fails, and because of what it compares: the copy is loaded all the same."""
    fault = FAULTS[name]
    path = house / "sim" / "engines" / fault.file
    source = path.read_text()
    assert source.count(fault.right) == 1
    path.write_text(source.replace(fault.right, fault.wrong))
    try:
        done = outcome_of(house, fault.test)
    finally:
        path.write_text(source)
    assert done.returncode == 1, done.stdout[-3_000:] + done.stderr[-2_000:]
    assert "1 failed" in done.stdout


@pytest.mark.parametrize("test", sorted({fault.test for fault in FAULTS.values()}))
def test_without_a_fault_the_same_tests_pass(house, test):
    """The copy as it is passes each of these tests, so that a fault is what they fail by."""
    done = outcome_of(house, test, GCSIM_EXAMPLES="0.1")
    assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-2_000:]
