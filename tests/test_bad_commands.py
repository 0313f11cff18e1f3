"""Bad command lines (4.4), and mistakes that only a whole run meets: one line each, exit code 2, nothing saved."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sim
import sim.engines.reference.engine
import sim.providers
from sim.cli import main
from sim.document import parse
from sim.errors import EngineError, InputError, SimError
from sim.scenario import read_scenario

GUIDE = Path(sim.providers.__file__).with_name("guide.toml").read_text()
MODEL = "gemini-2.5-flash"
WINDOW = 1_048_576  # tokens
DESK = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
replications = 1
[contexts.docs]
count = 2
tokens = 5000
[streams.desk]
arrivals = { process = "constant", rate = "20/h" }
fresh = { law = "lognormal", mean = 100, cv = 1.0 }
output = 100
patience = "1m"
context = "docs"
[strategies.none]
[strategies.explicit]
ttl = "10m"
[strategies.batch]
at = ["22:00"]
"""


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line beside a scenario; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.toml").write_text(DESK)

    def called(*argv):
        with pytest.raises(SystemExit) as left:
            main(list(argv))
        text = capsys.readouterr()
        assert "Traceback" not in text.err
        return left.value.code or 0, text.out, text.err

    return called


def test_no_command_gives_the_usage(call):
    """81: exit code 2 and the usage on stderr."""
    code, out, err = call()
    assert (code, out) == (2, "")
    assert "Usage: gcsim" in err


def test_an_unknown_command_names_the_near_one(call):
    """82: a command that is misspelt is answered with the nearest."""
    code, out, err = call("rnu", "desk.toml")
    assert (code, out) == (2, "")
    assert "'run'" in err


def test_a_file_that_may_not_be_read_gives_the_systems_reason(call, monkeypatch):
    """5: permission bits would not stop root, so the call is made to fail."""

    def refuse(_path):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    code, out, err = call("run", "desk.toml")
    assert (code, out) == (2, "")
    assert err == "desk.toml: cannot be read: Permission denied; a readable TOML file\n"


@pytest.mark.parametrize(("fresh", "code"), [(WINDOW - 5_000, 0), (WINDOW - 4_999, 2)])
def test_a_prompt_above_the_context_window_is_refused(call, fresh, code):
    """27: a prompt of the window is served, one token more is refused with the line of its stream and the count."""
    found, out, err = call("run", "desk.toml", "--set", f"streams.desk.fresh={fresh}")
    assert found == code
    if code:
        assert out == ""
        assert err.startswith("desk.toml:9: streams.desk: 19 of 19 prompts are above the context window")
        assert f"got {WINDOW + 1}" in err
        assert not Path("results").exists()


@pytest.mark.parametrize("column", ["storage", "batch_input", "cached"])
def test_a_strategy_without_its_price_is_refused(call, column):
    """31, 77: a model without the storage, batch or cached price that a strategy uses: no bill, and none at a guess."""
    start = GUIDE.index(f'model = "{MODEL}"\nvalid_from')
    row = GUIDE[start : GUIDE.index("[[prices]]", start)]
    blank = "".join(line for line in row.splitlines(keepends=True) if not line.startswith(f"{column} ="))
    assert blank != row
    Path("blank.toml").write_text(GUIDE.replace(row, blank))
    code, out, err = call("run", "desk.toml", "--book", "blank.toml")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert f"of {MODEL}" in err
    assert f"{column} is blank" in err
    assert not Path("results").exists()


def test_a_model_without_the_batch_api_is_refused_with_its_line(call):
    """31: a strategy that the model does not offer is refused before anything is simulated."""
    start = GUIDE.index(f'[models."{MODEL}"]')
    assert GUIDE.count("batch = true", start) > 0
    Path("real_time.toml").write_text(GUIDE[:start] + GUIDE[start:].replace("batch = true", "batch = false", 1))
    code, _, err = call("run", "desk.toml", "--book", "real_time.toml")
    assert code == 2
    assert err.startswith(f"desk.toml:18: strategies.batch: {MODEL} offers no Batch API")


def test_an_old_book_is_warned_of_in_the_result():
    """78: a run more than 180 days after its book was checked says so among its warnings; on the day it does not."""
    scenarios = [
        read_scenario(parse(DESK.replace("2026-11-23", day).encode(), "s.toml"), "s")
        for day in ("2026-11-23", "2027-11-23")
    ]
    warned = [any("was checked on 2026-11-22" in text for text in sim.run(one).warnings) for one in scenarios]
    assert warned == [False, True]


def test_a_broken_law_of_the_engine_is_exit_code_4(call, monkeypatch):
    """P91: a defect is told in one line, and nothing of the run is saved."""

    def broken(*_arguments):
        raise EngineError("the engine broke a law: cached + fresh = prompt")

    monkeypatch.setattr(sim.engines.reference.engine, "assert_conserved", broken)
    assert call("run", "desk.toml") == (4, "", "gcsim: the engine broke a law: cached + fresh = prompt\n")
    assert not Path("results").exists()


def test_a_closed_stdin_is_no_mistake(tmp_path):
    """91: without a stdin a command does what it does with one."""
    argv = [sys.executable, "-m", "sim", "price", MODEL, "--prompt", "1M"]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    shell = ["sh", "-c", '"$@" <&-', "sh", *argv]
    done = subprocess.run(shell, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0.3" in done.stdout


@given(st.lists(st.tuples(st.integers(0, len(DESK)), st.sampled_from([*b'0-9.:"[]{}=\n#e\\_ \0', 255])), max_size=4))
@settings(max_examples=300, deadline=None)
def test_no_damage_to_a_scenario_gets_past_its_reader(damage):
    """Bytes overwritten anywhere give a scenario or a list of mistakes of one line each, never another error."""
    raw = bytearray(DESK.encode())
    for at, byte in damage:
        raw[at % len(raw)] = byte
    problems = ["no mistake"]
    try:
        read_scenario(parse(bytes(raw), "s.toml"), "s")
    except InputError as error:
        problems = str(error).split("\n")
        problems = problems if len(problems) == len(error.problems) else []
    except SimError as error:
        problems = [str(error)]
    assert problems
