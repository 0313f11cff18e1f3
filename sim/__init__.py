"""gemini-cost-sim: what Gemini API traffic costs and how long its callers wait, before it is rolled out.

>>> import sim
>>> scenario = sim.load("guide-2-nightly-records")
>>> trace = sim.realise(scenario, replication=0)
>>> trace.requests
10000
"""

from sim.billing import rate
from sim.errors import InputError, SimError
from sim.experiments.montecarlo import run
from sim.experiments.replay import replay
from sim.experiments.result import Result
from sim.experiments.simulate import realise, simulate
from sim.experiments.summary import summarise
from sim.experiments.sweep import sweep
from sim.ledger import Ledger
from sim.providers import load_book
from sim.scenario import Scenario, load
from sim.trace import Trace

__all__ = [
    "InputError",
    "Ledger",
    "Result",
    "Scenario",
    "SimError",
    "Trace",
    "load",
    "load_book",
    "rate",
    "realise",
    "replay",
    "run",
    "simulate",
    "summarise",
    "sweep",
]
