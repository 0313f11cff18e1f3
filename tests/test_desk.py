"""The options that all decisions take: each command has them, and none of its own is lost among them."""

from inspect import signature

import pytest

from sim.cli import COMMANDS
from sim.cli.desk import SHARED, Desk, at_desk

DECISIONS = ("advise", "break-even", "capacity", "sensitivity", "tune", "uncertainty", "validate")


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_takes_what_all_of_them_take(name):
    """Whatever its own options are, it can be seeded, resumed, spread over workers and printed as JSON."""
    options = signature(COMMANDS[name]).parameters
    assert set(SHARED) - set(options) <= {"baseline"}
    assert next(iter(options)) == "scenario"


def test_a_command_gets_its_desk_and_its_own_arguments(tmp_path):
    """The desk has read the shared options and noted their mistakes; the function gets the rest."""
    seen = []

    @at_desk("test", without=("book",), replications="So many.")
    def command(desk: Desk, scenario: str, *, own: str = "default") -> None:
        seen.append((desk.command, desk.replications, desk.sets, desk.as_json, scenario, own, desk.arguments.problems))

    shared = dict.fromkeys(set(SHARED) - {"book"}) | {"engine": "warp", "out": tmp_path, "as_json": True}
    command(scenario="s", own="mine", **shared | {"replications": "7", "sets": ["load=2"]})
    (name, times, sets, as_json, scenario, own, problems) = seen[0]
    assert (name, times, sets, as_json, scenario, own) == ("test", 7, ("load=2",), True, "s", "mine")
    assert [problem.path for problem in problems] == ["--engine"]
    assert "book" not in signature(command).parameters
    assert signature(command).parameters["replications"].annotation.__metadata__[0].help == "So many."
