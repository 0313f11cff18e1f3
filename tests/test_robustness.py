"""What a demanding first user meets: odd names, empty traffic, closed and full outputs, overrides that miss."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sim
from sim.cli import main
from sim.document import parse
from sim.errors import InputError
from sim.scenario import read_scenario

DESK = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "2h"
models = ["gemini-2.5-flash"]
replications = 2
[contexts.docs]
tokens = "5k"
[streams.desk]
arrivals = { process = "poisson", rate = "20/h" }
fresh = 100
output = 100
patience = "1m"
context = "docs"
[strategies.none]
[strategies.explicit]
[strategies.batch]
"""
QUIET = "streams.desk.arrivals.rate=0/h"


def scenario(*sets, text=DESK, book=None):
    return read_scenario(parse(text.encode(), "s.toml"), "s", sets=sets, book=book)


def mistakes(*sets, text=DESK, book=None):
    with pytest.raises(InputError) as caught:
        scenario(*sets, text=text, book=book)
    return str(caught.value).split("\n")


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Run the command line beside a scenario; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.toml").write_text(DESK)

    def called(*argv):
        with pytest.raises(SystemExit) as left:
            main(list(argv))
        text = capsys.readouterr()
        return left.value.code or 0, text.out, text.err

    return called


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("streams.desk=3", "--set streams.desk=3: streams.desk: must be a table; got 3"),
        ("models=x", "--set models=x: models: must be a list; got 'x'"),
        ("models=[]", "--set models=[]: models: must have at least 1 entry; it has none"),
        ("models=[3]", "--set models=[3]: models[0]: must be text; got 3"),
        ("question=", "--set question=: question: must not be empty; got ''"),
        (
            "strategies.explict.ttl=1h",
            "--set strategies.explict.ttl=1h: strategies.explict.kind: unknown kind; did you mean 'explicit'? "
            "allowed: batch, explicit, flex, hybrid, implicit, none, priority, routed; got 'explict'",
        ),
        (
            "strategies.explicit.renew=margin:2h",
            "s.toml:15: strategies.explicit: the renewal margin 2h must be shorter than the ttl 1h",
        ),
        (
            "streams.desk.session.think=1m",
            "--set streams.desk.session.think=1m: streams.desk.session.turns: a required key is missing",
        ),
        (
            "streams.my desk.context=docs",
            "--set streams.my desk.context=docs: not a path of keys; keys joined by dots; "
            "a name with other characters than A-Z a-z 0-9 _ - in quotes; got 'streams.my desk.context'",
        ),
    ],
)
def test_a_mistake_is_one_line_in_the_words_of_the_file(override, line):
    """No word of the validator's own (dictionary, instance, discriminator, validation) reaches the user."""
    assert mistakes(override) == [line]


def test_an_unreadable_override_hides_no_other_mistake():
    """A bad --set, a bad --book and a bad value are told together, each once."""
    found = mistakes("x", "load=-1", book="gogle")
    assert found == [
        "--set: not an override; PATH=VALUE such as load=2; got 'x'",
        "--set load=-1: load: must be greater than 0; got -1",
        "price book: no such book; did you mean 'google'? allowed: google, guide, or the path of a TOML file; "
        "got 'gogle'",
    ]
    assert len(mistakes("x", "streams.desk.context=dox")) == 2


def test_a_key_that_an_override_leaves_out_is_told_of_the_override_that_made_its_table():
    """Of several overrides the one that shares most of the path is named."""
    found = mistakes("streams.desk.patience=2m", "streams.other.output=3")
    assert len(found) == 3
    assert all(line.startswith("--set streams.other.output=3: streams.other.") for line in found)


def test_the_count_of_mistakes_that_are_not_shown_comes_last():
    """Twenty are shown by line, then how many more there are, also where all stand on one line."""
    found = mistakes(text=DESK.replace('"poisson", rate = "20/h"', '"profile", hourly = [' + "1," * 24 + "]"))
    assert len(found) == 21
    assert found[-1] == "s.toml:9: …: and 4 mistakes more"
    many = DESK + "".join(f'x{i} = "?"\n' for i in range(25))
    assert mistakes(text=many)[-1].endswith("and 5 mistakes more")


def test_a_time_of_day_that_the_clock_repeats_is_refused_for_a_batch_too():
    """On 2026-10-25 Berlin has 02:30 twice: a job sent at it could mean either."""
    berlin = DESK.replace("2026-11-23", "2026-10-24").replace('"2h"', '"30h"\ntime_zone = "Europe/Berlin"')
    assert mistakes('strategies.batch.at=["02:30"]', text=berlin) == [
        '--set strategies.batch.at=["02:30"]: strategies.batch.at[0]: the clock of Europe/Berlin skips or repeats '
        "this time; another time, or time_zone = \"UTC\"; got '2026-10-25 02:30:00'"
    ]
    assert scenario('strategies.batch.at=["03:30"]', text=berlin)


def test_a_folder_whose_name_is_too_long_is_a_mistake(call):
    """The disk's refusal comes before the simulation, as one line."""
    code, out, err = call("run", "desk.toml", "--out", "x" * 300)
    assert (code, out) == (2, "")
    assert err.startswith("command line: --out: cannot be a folder (File name too long)")
    assert len(err.splitlines()) == 1


def test_every_mistake_of_a_trace_command_is_told(call):
    """An unknown format and a lifetime of nothing, in one go."""
    code, out, err = call("trace", "desk.toml", "--format", "mooncke", "--idle", "0s")
    assert (code, out) == (2, "")
    assert "did you mean 'mooncake'?" in err
    assert "--idle: not a lifetime in whole seconds" in err


# ---------------------------------------------------------------- empty and odd runs


def test_a_run_without_requests_ranks_nothing():
    """Without a request there is no cheapest strategy, and no warning of caches or luck that it cannot know of."""
    summary = sim.summarise(sim.run(scenario(QUIET)))
    assert summary["cheapest"]["strategy"] is None
    assert summary["cheapest"]["reason"] == "no request arrived"
    assert summary["warnings"] == ["no request arrived: every figure is that of an empty run"]


def test_a_cut_run_whose_numbers_of_requests_differ_is_random():
    """With all requests pending costs and latencies are equal, and the replications differ all the same."""
    short = scenario("close=cut", "horizon=10ms", "streams.desk.arrivals.rate=2000/s", "strategies={none={}}")
    result = sim.run(short)
    assert len({cell.streams[0].total for cell in result.of("none", "gemini-2.5-flash")}) == 2
    assert all(cell.total_usd == 0 for cell in result.of("none", "gemini-2.5-flash"))
    assert result.random


def test_the_baseline_saves_nothing_and_not_minus_nothing():
    """JSON holds 0.0 for the baseline against itself, never -0.0."""
    text = json.dumps(sim.summarise(sim.run(scenario()))["comparisons"])
    assert "-0.0," not in text
    assert "-0.0}" not in text


def test_a_book_is_old_if_it_is_so_at_the_end_of_the_traffic():
    """A year of traffic outlives the 180 days that a book is trusted for, though it starts the day after."""
    warned = [
        any("was checked on" in text for text in sim.run(scenario(f"horizon={days}", QUIET)).warnings)
        for days in ("2h", "365d")
    ]
    assert warned == [False, True]


def test_the_output_tells_what_is_different_under_a_strategy():
    """Whatever a strategy's ``set`` changes, traffic too, stands among the assumptions."""
    result = sim.run(scenario('strategies.batch.set={"streams.desk.order"="variable_first"}'))
    told = [one.text for one in result.assumptions if one.path == "streams.desk.order"]
    assert told == ["Set for batch alone: streams.desk.order = 'variable_first'."]


def test_names_are_printed_as_they_are(call):
    """Brackets and colons in a name are no markup of the terminal's."""
    odd = DESK.replace("[strategies.none]", '[strategies."[red]x[/red]"]\nkind = "none"').replace(
        "[streams.desk]", '[streams.":smile: [b]"]'
    )
    Path("odd.toml").write_text(
        odd
        + '[streams.two]\narrivals = { process = "constant", rate = "1/h" }\nfresh = 9\noutput = 9\npatience = "1s"\n'
    )
    code, out, _ = call("run", "odd.toml")
    assert code == 0
    assert "[red]x[/red]" in out
    assert ":smile: [b]" in out


def test_rate_names_the_terms_that_it_bills_by(call):
    """The caption has the contested terms in words, with what was chosen of them."""
    assert call("run", "desk.toml", "--keep-requests", "--replications", "1", "--out", "runs")[0] == 0
    (folder,) = Path("runs/desk").iterdir()
    out = " ".join(call("rate", str(folder), "--creation", "free")[1].split())
    assert "Exact under book google: creation free, storage lifetime, batch cached published" in out


def test_no_price_of_the_catalogue_is_broken(call):
    """Where there is no terminal every price stands on one line, whole; on a date without prices words say so."""
    document = json.loads(call("prices", "--json")[1])
    out = call("prices")[1]
    for model in document["models"]:
        prices = model["prices"]
        assert f"{prices['input']}/{prices['output']}/{prices['cached']}" in out
        if "batch_cached" in prices:
            assert f"{prices['batch_input']}/{prices['batch_output']}/{prices['batch_cached']}" in out
    assert "No model has a price on that date." in call("prices", "--date", "1990-01-01")[1]


def test_the_tables_of_the_readme_are_a_scenario():
    """What the README shows of scenario files can be copied as it stands, and runs without a warning."""
    readme = (Path(sim.__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    tables = re.findall(r"^```toml\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    assert len(tables) == 2
    shown = read_scenario(parse("".join(tables).encode(), "readme.toml"), "readme")
    assert shown.spec.project.tier == "1"
    assert sim.run(shown, replications=2).warnings == ()


# ---------------------------------------------------------------- closed and full outputs


def shell(text, cwd):
    """Run a command line of the shell on this project; return its exit code and what it said."""
    root = Path(sim.__file__).parent.parent
    done = subprocess.run(
        ["sh", "-c", text.replace("gcsim", f'"{sys.executable}" -m sim')],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_closed_stdout_is_no_mistake(tmp_path):
    """91: what nobody reads is not written, the run is saved, and the exit code is 0."""
    (tmp_path / "desk.toml").write_text(DESK)
    assert shell("gcsim price gemini-2.5-pro --prompt 1k >&-", tmp_path) == (0, "", "")
    code, _, err = shell("gcsim run desk.toml >&-", tmp_path)
    assert code == 0
    assert err.startswith("saved: results/desk/")
    assert len(list(tmp_path.glob("results/desk/*/summary.json"))) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_a_full_stdout_is_told_in_one_line_and_the_run_is_saved(tmp_path):
    """The result that could not be printed is on the disk, and stderr says where."""
    (tmp_path / "desk.toml").write_text(DESK)
    code, _, err = shell("gcsim run desk.toml --json >/dev/full", tmp_path)
    assert code == 2
    assert err.splitlines()[0].startswith("saved: results/desk/")
    assert err.splitlines()[1:] == ["gcsim: No space left on device"]


def test_a_price_that_a_strategy_needs_is_missed_before_anything_runs():
    """31, 77: a book without the price that a strategy is sure to need is refused with the strategy's line."""
    lines = mistakes("start=2026-11-23T00:00:00Z", 'models=["gemini-2.0-flash"]')
    assert len(lines) == 3  # none, explicit and batch
    assert all("has no price of gemini-2.0-flash on 2026-11-23: its prices end on 2026-06-01" in line for line in lines)
    assert lines[0].startswith("s.toml:14: strategies.none: ")


def test_a_cache_that_nothing_was_due_to_create_is_told():
    """A strategy whose caches would pay, but that creates none, says so rather than look like no cache at all."""
    result = sim.run(scenario("strategies.explicit.sightings=1000"))
    assert "explicit on gemini-2.5-flash created no cache: no request was due to create one" in result.warnings
    assert not [w for w in sim.run(scenario()).warnings if "created no cache" in w]


def test_an_arm_cannot_replay_another_trace():
    """The recorded traffic is common to all strategies; an arm that changes it is refused, not ignored."""
    replayed = DESK.partition("horizon")[0] + 'models = ["gemini-2.5-flash"]\n[replay]\ntrace = "a.jsonl"\n'
    arm = '[strategies.none]\nset = { "replay.trace" = "b.jsonl" }\n'
    assert "replay.trace is common to all strategies" in mistakes(text=replayed + arm)[0]
