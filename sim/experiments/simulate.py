"""One replication by hand: the trace of a scenario, and the ledger of one of its strategies on it."""

from collections.abc import Callable

from sim.engines.choice import engine_of, is_warm, uncovered
from sim.engines.cut import cut
from sim.engines.physics import prepare
from sim.engines.witness import assert_equal
from sim.errors import InputError, Problem, nearest
from sim.experiments.pairs import Pair, media_of, pairs_of, realised, recorded_of
from sim.ledger import Ledger
from sim.scenario import Scenario
from sim.strategies.decision import NEVER
from sim.trace import Trace

Notice = Callable[[str], None]  # told in a sentence what a user should know before the results are there

__all__ = ["Notice", "compiling", "jobs_of", "ledger_of", "realise", "silent", "simulate"]


def silent(_sentence: str) -> None:
    """Tell nobody."""


def realise(scenario: Scenario, *, replication: int = 0, seed: int | None = None) -> Trace:
    """Return one realised workload of a scenario: the same for every strategy, and for ever.

    Pictures, film and sound count as the first model counts them.
    """
    root = scenario.seed if seed is None else seed
    arm = scenario.arms[0]
    media = media_of(scenario, arm, scenario.spec.models[0])
    return realised(arm, media, recorded_of(scenario), root, replication)


def simulate(scenario: Scenario, strategy: str, *, model: str | None = None, replication: int = 0) -> Ledger:
    """Return the metered usage of one strategy on one replication, ready for :func:`sim.rate`.

    ``strategy`` is a name of the scenario's ``[strategies]``; ``model`` one of its models, the first by default.
    """
    recorded = recorded_of(scenario)
    name = model or scenario.spec.models[0]
    pairs = {(pair.arm.name, pair.model): pair for pair in pairs_of(scenario, recorded)}
    if (strategy, name) not in pairs:
        names = [f"{arm} on {asked}" for arm, asked in pairs]
        wanted = f"{strategy} on {name}"
        raise InputError([Problem(scenario.name, 0, "", "no such strategy and model", nearest(wanted, names), wanted)])
    pair = pairs[strategy, name]
    return ledger_of(pair, realised(pair.arm, pair.media, recorded, scenario.seed, replication))


def ledger_of(
    pair: Pair, trace: Trace, *, engine: str = "reference", witness: bool = False, notice: Notice = silent
) -> Ledger:
    """Return the ledger of a compiled pair on a trace, cut at the horizon where the scenario asks for that.

    ``engine`` is ``reference`` or ``fast``; a run that the fast engine does not cover takes the reference. With
    ``witness`` the first requests of a fast run are run on both, and must be equal. ``notice`` is told which of it
    takes another way, or longer, than was asked for.
    """
    physics = prepare(trace, pair.arm.service, jobs_of(pair))
    case = trace, pair.plan, pair.rules, physics
    stops = [trace.horizon] if pair.arm.spec.close == "cut" else []
    using = _covering(engine, pair, uncovered(*case), notice)
    if using == "fast" and witness:
        for stop in (NEVER, *stops):
            assert_equal(*case, stop=stop)
    run = engine_of(using)
    ledger = run(*case)
    for stop in stops:
        ledger = cut(ledger, stop, run(*case, stop=stop))
    return ledger


def _covering(engine: str, pair: Pair, missing: str, notice: Notice) -> str:
    """Return the engine that runs a case of which the fast one does not cover what is ``missing``, "" = nothing."""
    if engine == "fast" and missing:
        notice(f"{pair.arm.name} on {pair.model} runs on the reference engine: the fast one does not cover {missing}")
        return "reference"
    if engine == "fast":
        compiling(notice)
    return engine


def compiling(notice: Notice) -> None:
    """Tell that the fast engine is about to be compiled, if it is."""
    if not is_warm():
        notice("compiling the fast engine, which takes some 40 s, once")


def jobs_of(pair: Pair) -> int:
    """Return in how many jobs a request may stand at most; a reply that is lost makes two of one."""
    attempts = pair.plan.batch.attempts if pair.plan.batch else 0
    return 2 * attempts if pair.rules.batch.lost_reply > 0 else attempts
