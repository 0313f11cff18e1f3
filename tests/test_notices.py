"""What a run tells on stderr before its results are there: which engine ran what, and that one is being compiled."""

import json
import os
import subprocess
import sys

import pytest

import sim
from sim.cli import main
from sim.experiments import simulate

LONG = "client.backoff.cap=30d"  # 2.6e9 ms: times a draw of 32 bits, more than 64 bits hold
UNCOVERED = "runs on the reference engine: the fast one does not cover a back-off too long to be counted"
COMPILING = "compiling the fast engine, which takes some 40 s, once"
LOG = "".join(json.dumps({"time_s": s, "promptTokenCount": 5000, "candidatesTokenCount": 9}) + "\n" for s in range(10))


@pytest.fixture
def told(monkeypatch, capsys, tmp_path):
    """Run a command in an empty folder; return the lines of its stderr but for where it saved."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log.jsonl").write_text(LOG)

    def called(*argv):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in argv])
        assert not left.value.code
        lines = capsys.readouterr().err.splitlines()
        assert lines[-1].startswith("saved: ")
        return lines[:-1]

    return called


COMMANDS = {
    "run": ("run", "quickstart", "--replications", 2),
    "replay": ("replay", "log.jsonl", "--replications", 2, "--strategies", "none,explicit"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_the_fast_engine_does_not_cover_is_told(told, command):
    """Each pair that takes the reference instead is named once, with the reason, however many replications run."""
    lines = told(*COMMANDS[command], "--engine", "fast", "--set", LONG)
    assert lines
    assert len(set(lines)) == len(lines)
    assert all(line.startswith("gcsim: ") and line.endswith(UNCOVERED) for line in lines)
    assert lines[0].startswith("gcsim: none on gemini-2.5-flash ")


@pytest.mark.parametrize("command", COMMANDS)
def test_auto_tells_it_of_a_large_run(told, command, monkeypatch):
    """``auto`` tells the same where it would have taken the fast engine."""
    monkeypatch.setattr("sim.engines.choice.REPAYS_WARM", 1)
    monkeypatch.setattr("sim.engines.choice.REPAYS_COLD", 1)
    assert told(*COMMANDS[command], "--set", LONG) == told(*COMMANDS[command], "--engine", "fast", "--set", LONG)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_usual_run_tells_nothing(told, command):
    """A small run is the reference's by choice, which is no news."""
    assert told(*COMMANDS[command]) == []
    assert told(*COMMANDS[command], "--set", LONG) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_a_cold_engine_tells_that_it_compiles(told, command, monkeypatch):
    """Before the first run, once."""
    monkeypatch.setattr(simulate, "is_warm", lambda: False)
    assert told(*COMMANDS[command], "--engine", "fast") == [f"gcsim: {COMPILING}"]


def test_the_library_prints_nothing(capsys, monkeypatch):
    """Whoever calls the library hears of it only if he listens."""
    monkeypatch.setattr(simulate, "is_warm", lambda: False)
    scenario, heard = sim.load("quickstart"), []
    sim.run(scenario, replications=1, engine="fast")
    sim.run(scenario, replications=1, engine="fast", notice=heard.append)
    assert heard == [COMPILING]
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_the_first_of_two_runs_compiles_and_tells(tmp_path):
    """With an empty folder of kernels the first run says that it compiles; the second finds them there."""
    command = [sys.executable, "-m", "sim", "run", "quickstart", "--engine", "fast", "--out", str(tmp_path / "out")]
    fresh = {**os.environ, "GCSIM_CACHE": str(tmp_path / "kernels")}
    first, second = (
        subprocess.run(command, capture_output=True, text=True, env=fresh, check=True).stderr for _ in range(2)
    )
    assert first.startswith(f"gcsim: {COMPILING}\n")
    assert COMPILING not in second
