"""A scenario: one TOML file that asks one question, read strictly and joined with its price book."""

from sim.scenario.reading import Arm, Scenario, load, opened, read_scenario, shipped
from sim.scenario.spec import ReplaySpec, ScenarioSpec

__all__ = ["Arm", "ReplaySpec", "Scenario", "ScenarioSpec", "load", "opened", "read_scenario", "shipped"]
