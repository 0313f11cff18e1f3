"""The options that all decisions take: each command has them, and none of its own is lost among them."""

import re
from inspect import signature

import pytest
from typer.testing import CliRunner

from sim.cli import COMMANDS, app
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


def helps(name):
    """Yield the help of each option of a command, as it is written."""
    for parameter in signature(COMMANDS[name], eval_str=True).parameters.values():
        yield from (told.help for told in parameter.annotation.__metadata__ if told.help)


@pytest.mark.parametrize("name", sorted(COMMANDS))
@pytest.mark.parametrize("columns", [80, 120])
def test_the_help_has_every_word_that_was_written(name, columns):
    """A default in brackets, such as [results], is no style that is taken out."""
    found = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": str(columns)})
    printed = "".join(found.stdout.split())
    assert found.exit_code == 0
    for text in helps(name):
        assert "".join(text.split()) in printed


BROKEN = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "1x"
models = ["gemini-2.5-flash"]
replications = -1
[streams.desk]
arrivals = { process = "constant", rate = "20/parsec" }
"""
FLAGS = {
    "advise": {"--replications": "0", "--workers": "0"},
    "break-even": {"--grid": "0", "--refine": "99", "--engine": "warp"},
    "capacity": {"--load": "3..1", "--resolution": "nan", "--confidence": "7", "--tier": "9"},
    "sensitivity": {"--method": "guess", "--rows": "3", "--points": "x", "--trajectories": "1"},
    "tune": {"--method": "guess", "--points": "1", "--precision": "x", "--strategy": ""},
    "uncertainty": {"--draws": "1", "--replications": "1"},
    "validate": {"--confidence": "7", "--ceiling": "3", "--draws": "0", "--seed": "x"},
}


@pytest.mark.parametrize("name", DECISIONS)
def test_the_mistakes_of_a_scenario_and_of_the_flags_are_told_at_once(name, tmp_path):
    """A line each; nothing has to be mended before the next mistake is seen, and nothing is written."""
    (tmp_path / "broken.toml").write_text(BROKEN)
    flags = [word for pair in FLAGS[name].items() for word in pair]
    found = CliRunner().invoke(app, [name, str(tmp_path / "broken.toml"), *flags, "--out", str(tmp_path / "out")])
    told = found.stderr.splitlines()
    assert (found.exit_code, found.stdout) == (2, "")
    for path in ("horizon", "replications", "streams.desk.arrivals.rate"):
        assert sum(re.match(rf"\S+broken.toml:\d+: {path}: ", line) is not None for line in told) == 1
    for flag in FLAGS[name]:
        assert sum(line.startswith(f"command line: {flag}: ") for line in told) == 1
    assert not (tmp_path / "out").exists()
