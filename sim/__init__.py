"""gemini-cost-sim: what Gemini API traffic costs and how long its callers wait, before it is rolled out.

>>> import sim
>>> scenario = sim.load("guide-2-nightly-records")
>>> trace = sim.realise(scenario, replication=0)
>>> trace.requests
10000
"""

from sim.billing import rate
from sim.decisions.advising.advise import advise
from sim.decisions.doubt.uncertainty import uncertainty
from sim.decisions.drivers.break_even import break_even
from sim.decisions.drivers.sensitivity import sensitivity
from sim.decisions.finding import Finding
from sim.decisions.planning.capacity import capacity
from sim.decisions.rollout.validate import validate
from sim.decisions.tuning.tune import tune
from sim.errors import InputError, SimError
from sim.experiments.montecarlo import run
from sim.experiments.replay import replay
from sim.experiments.result import Result
from sim.experiments.simulate import realise, simulate
from sim.experiments.summary import summarise
from sim.experiments.sweep import sweep
from sim.ledger import Ledger
from sim.providers import load_book
from sim.report.documents import show
from sim.scenario import Scenario, load
from sim.trace import Trace

__all__ = [
    "Finding",
    "InputError",
    "Ledger",
    "Result",
    "Scenario",
    "SimError",
    "Trace",
    "advise",
    "break_even",
    "capacity",
    "load",
    "load_book",
    "rate",
    "realise",
    "replay",
    "run",
    "sensitivity",
    "show",
    "simulate",
    "summarise",
    "sweep",
    "tune",
    "uncertainty",
    "validate",
]
