"""Which engine runs: the reference, or the compiled one where it covers the run and repays its start-up."""

from importlib import import_module
from typing import Protocol

from sim.engines.fast.cache import is_warm
from sim.engines.parts import Streaming
from sim.engines.physics import Physics
from sim.engines.reference import run as reference
from sim.ledger import Ledger
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Trace, exact_sum

__all__ = ["ENGINES", "Engine", "chosen", "engine_of", "is_warm", "stream_of", "uncovered"]

ENGINES = ("auto", "reference", "fast")


class Engine(Protocol):
    """What runs a strategy on a trace, to its end or up to an instant."""

    def __call__(self, trace: Trace, plan: Plan, rules: Rules, physics: Physics, *, stop: int = NEVER) -> Ledger:
        """Return the ledger of a run."""


# Requests times strategies from which the compiled engine is the faster way: measured, the reference does some 60,000 a
# second; loading compiled kernels takes half a second to a second, compiling them some 40 s.
REPAYS_WARM = 60_000
REPAYS_COLD = 3_000_000
_MOST = 2**62  # what 64-bit arithmetic is trusted with
_MOST_PARAMS = 8  # integers of a strategy's parameters


def chosen(engine: str, request_runs: float) -> str:
    """Return the engine of a run of so many requests times strategies: ``reference`` or ``fast``.

    >>> chosen("auto", 1_000), chosen("fast", 1_000)
    ('reference', 'fast')
    """
    if engine != "auto":
        return engine
    return "fast" if request_runs >= (REPAYS_WARM if is_warm() else REPAYS_COLD) else "reference"


def engine_of(name: str) -> Engine:
    """Return an engine by its name; the compiled one is loaded only when it is wanted."""
    if name == "fast":
        run: Engine = import_module("sim.engines.fast.engine").run
        return run
    return reference


def stream_of(plan: Plan, rules: Rules, cells: int) -> Streaming:
    """Return the compiled engine on a workload that comes in pieces; the service's own cache has so many cells."""
    stream: Streaming = import_module("sim.engines.fast.stream").Stream(plan, rules, cells)
    return stream


def uncovered(trace: Trace, plan: Plan, rules: Rules, physics: Physics) -> str:
    """Return what of a run the compiled engine does not cover, "" = nothing: counts beyond 64-bit arithmetic.

    The reference counts in Python's integers, which have no end.
    """
    prompt, output = int(trace.prompt.max(initial=0)), int(trace.output.max(initial=0))
    minimums = [epoch.explicit_minimum for epoch in rules.epochs]
    prompt = max(prompt, *minimums)
    slow = int(physics.slowness.max(initial=0))
    laws = [epoch.latency for epoch in rules.epochs]
    answer = max(law.base_ns + prompt * max(law.uncached_ns, law.cached_ns) + output * law.output_ns for law in laws)
    quotas = [quota for epoch in rules.epochs for quota in (epoch.quota, epoch.priority)]
    limits = max(max(quota.requests, quota.tokens) * quota.burst_ms for quota in quotas)
    weights = [weight for quota in quotas for law in quota.weights for weight in law]
    spend = max(weights, default=0) * (exact_sum(trace.prompt) + exact_sum(trace.output))
    counts = {
        "answers that take too long to be counted": answer * slow,
        "an overload that slows answers down too much to be counted": slow * rules.overload.slowdown,
        "limits too large to be counted": max(limits, prompt * 60_000),
        "a spend too large to be counted": spend if any(quota.spend >= 0 for quota in quotas) else 0,
        "a back-off too long to be counted": max(rules.client.cap << 32, rules.client.cap * rules.client.factor),
        "batch turnarounds too long to be counted": int(physics.turnaround_ms.max(initial=0)) * rules.batch.slow_factor,
        "strategies of more than 8 parameters": 0 if len(plan.params) <= _MOST_PARAMS else _MOST,
    }
    return next((name for name, count in counts.items() if count >= _MOST), "")
