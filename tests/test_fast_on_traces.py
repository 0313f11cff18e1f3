"""The engines are equal on recorded traffic too: the real traces, under every strategy that can replay them."""

import os
from pathlib import Path

import pytest

from sim.engines.choice import engine_of, uncovered
from sim.engines.physics import first_requests, prepare
from sim.engines.witness import differences
from sim.experiments.pairs import pairs_of, realised, recorded_of
from sim.experiments.replay import replay_scenario
from sim.strategies import STRATEGIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces"),
]

FILES = (
    "mooncake/synthetic_trace.jsonl.gz",
    "azure/AzureLLMInferenceTrace_conv.csv.gz",
    "kv-cache-tester/kvct_compact_odd.jsonl.gz",
    "kv-cache-tester/original_format_examples/trace_0001.json.gz",
)
MOST = 20_000  # requests: the reference takes a second for some 20,000 to 80,000


@pytest.mark.parametrize("file", FILES)
def test_the_engines_are_equal_on_real_traces(file):
    """Each strategy's ledger of the first requests is the same integer for integer; none is left to the reference."""
    scenario = replay_scenario(Path(os.environ["GCSIM_TRACES"]) / file, strategies=sorted(STRATEGIES))
    recorded = recorded_of(scenario)
    pairs, seen = pairs_of(scenario, recorded), set()
    for pair in pairs:
        trace = realised(pair.arm, pair.media, recorded, scenario.seed, 0)
        attempts = 2 * pair.plan.batch.attempts if pair.plan.batch else 0
        trace, physics = first_requests(trace, prepare(trace, pair.arm.service, attempts), MOST)
        case = trace, pair.plan, pair.rules, physics
        assert not uncovered(*case)
        fast, reference = (engine_of(name)(*case) for name in ("fast", "reference"))
        assert differences(fast, reference) == [], pair.arm.name
        seen |= set(reference.mode[reference.done_mask].tolist())
    assert {pair.plan.kind for pair in pairs} == set(STRATEGIES)
    assert seen == {0, 1, 2, 3}
