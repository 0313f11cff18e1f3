"""The commands run, replay and rate as a user meets them: exit codes, streams, files, and one line a mistake."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from sim.billing import rate
from sim.cli import main
from sim.experiments import montecarlo
from sim.parquet import read_about, read_ledger, write_ledger
from sim.providers import load_book

SCENARIO = """
question = "What does a small desk cost?"
start = "2026-11-16T00:00:00Z"
horizon = "6h"
models = ["gemini-2.5-flash"]
replications = 4
seed = 1

[contexts.manual]
tokens = "20k"

[streams.desk]
arrivals = { process = "poisson", rate = "20/h" }
context = "manual"
fresh = 300
output = 200
patience = "30s"

[strategies.none]
[strategies.implicit]
[strategies.explicit]
[strategies.batch]
"""

LOG = "".join(
    json.dumps(
        {
            "timestamp": f"2026-11-16T00:{minute:02d}:00Z",
            "usageMetadata": {"promptTokenCount": 5000, "candidatesTokenCount": 100, "totalTokenCount": 5100},
            "context": "manual",
        }
    )
    + "\n"
    for minute in range(10)
)


@pytest.fixture
def desk(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "desk.toml").write_text(SCENARIO)
    return tmp_path


@pytest.fixture
def call(capsys):
    """Run the command line in this process; return its exit code, stdout and stderr."""

    def called(*argv):
        with pytest.raises(SystemExit) as left:
            main([str(word) for word in argv])
        text = capsys.readouterr()
        return left.value.code or 0, text.out, text.err

    return called


def folders(root):
    return sorted(p.parent for p in Path(root).rglob("manifest.json"))


def test_a_run_prints_its_table_and_tells_where_it_is_saved(desk, call):
    """The table goes to stdout, the place to stderr, and the folder holds the summary that was printed."""
    code, out, err = call("run", "desk.toml")
    assert code == 0
    for part in ("What does a small desk cost?", "none", "implicit", "explicit", "batch", "Assumptions in force"):
        assert part in out
    (folder,) = folders("results/desk")
    assert err.strip() == f"saved: {folder}"


def test_json_is_the_summary_that_was_saved(desk, call):
    """--json prints gcsim.run/2, byte for byte what the folder holds, and nothing else."""
    code, out, _ = call(
        "run", "desk.toml", "--json", "--out", "elsewhere", "--set", "load=2", "--seed", "0x2", "--replications", 3
    )
    assert code == 0
    document = json.loads(out)
    assert (document["schema"], document["seed"], document["replications"]) == ("gcsim.run/2", 2, 3)
    (folder,) = folders("elsewhere")
    assert json.loads((folder / "summary.json").read_text()) == document
    assert json.loads((folder / "manifest.json").read_text())["overrides"] == ["load=2"]


def test_a_limit_set_by_hand_binds_and_is_told(desk, call):
    """--set project.limits.* refuses calls: the table and the JSON tell which limit, how often and when."""
    limit = ("--set", "project.limits.requests_per_minute=1", "--replications", 2)
    document = json.loads(call("run", "desk.toml", "--json", *limit)[1])
    found = {row["strategy"]: row["binding"] for row in document["results"]}
    (refusal,) = found["none"]["refusals"]
    assert refusal["limit"] == "requests_per_minute"
    assert refusal["mean"] == found["none"]["throttled"] > 0
    assert refusal["peak_hour"] >= refusal["first_hour"] >= "2026-11-16T00:00:00+00:00"
    assert found["batch"]["refusals"] == []  # the Batch API has limits of its own
    code, out, _ = call("run", "desk.toml", *limit)
    assert code == 0
    assert "What bound on gemini-2.5-flash (hours of UTC)" in out
    assert "none: bound most by requests a minute" in " ".join(out.split())
    assert "What bound" not in call("run", "desk.toml")[1]


def test_the_same_seed_gives_the_same_numbers_in_a_new_folder(desk, call):
    """Two runs agree in every number and overwrite nothing; another seed differs."""
    documents = [json.loads(call("run", "desk.toml", "--json", "--seed", seed)[1]) for seed in (1, 1, 2)]
    assert documents[0] == documents[1]
    assert documents[0]["results"] != documents[2]["results"]
    assert len(folders("results")) == 3


def test_a_baseline_is_what_the_others_are_compared_with(desk, call):
    """--baseline moves every difference."""
    document = json.loads(call("run", "desk.toml", "--json", "--baseline", "batch")[1])
    assert {c["baseline"] for c in document["comparisons"]} == {"batch"}
    (own,) = [c for c in document["comparisons"] if c["strategy"] == "batch"]
    assert own["difference_usd"]["mean"] == 0


def test_every_mistake_of_the_command_line_is_told_at_once(desk, call):
    """84, 86, 89: one line each, exit 2, nothing on stdout, nothing written."""
    code, out, err = call(
        "run", "desk.toml", "--replications", "0", "--seed", "", "--baseline", "bacht", "--out", "desk.toml"
    )
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 4
    assert all(line.startswith("command line: --") for line in lines)
    assert any("did you mean 'batch'?" in line for line in lines)
    assert sorted(p.name for p in desk.iterdir()) == ["desk.toml"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--replications", "1.5"),
        ("--replications", "-1"),
        ("--replications", "1e9"),
        ("--replications", "1000001"),
        ("--replications", "²"),
        ("--seed", "-1"),
        ("--seed", "1.0"),
        ("--seed", "ff"),
        ("--seed", "1_000"),
        ("--seed", str(2**128)),
        ("--seed", "9" * 5000),
        ("--book", "gogle"),
        ("--set", "load"),
        ("--set", "horizn=2h"),
        ("--baseline", "none2"),
    ],
)
def test_a_wrong_value_is_one_line_and_exit_2(desk, call, option, value):
    """36, 84, 89: refused with what is allowed, before anything is simulated or written."""
    code, out, err = call("run", "desk.toml", f"{option}={value}")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in err
    assert not (desk / "results").exists()


@pytest.mark.parametrize("seed", ["0", str(2**128 - 1), "0xFF"])
def test_the_seeds_at_the_ends_are_accepted(desk, call, seed):
    """36: whole numbers from 0 to 2^128 - 1."""
    code, out, _ = call("run", "desk.toml", "--json", "--replications", 1, "--seed", seed)
    assert code == 0
    assert json.loads(out)["seed"] == int(seed, 0)


def test_an_unknown_scenario_is_refused_with_the_shipped_names(desk, call):
    """A name that is neither a file nor shipped names the nearest."""
    code, _, err = call("run", "quickstrt")
    assert code == 2
    assert "did you mean 'quickstart'?" in err


def test_an_unknown_flag_names_the_near_one(desk, call):
    """82: usage, a hint, exit 2."""
    code, _, err = call("run", "desk.toml", "--replication", "3")
    assert code == 2
    assert "--replications" in err


def test_a_log_is_replayed(desk, call):
    """replay runs the strategies named on a trace, under the seed and replications given."""
    Path("calls.jsonl").write_text(LOG)
    code, out, err = call(
        "replay",
        "calls.jsonl",
        "--strategies",
        "none,batch",
        "--replications",
        2,
        "--json",
        "--model",
        "gemini-2.5-pro",
    )
    assert code == 0, err
    document = json.loads(out)
    assert [(r["strategy"], r["model"]) for r in document["results"]] == [
        ("none", "gemini-2.5-pro"),
        ("batch", "gemini-2.5-pro"),
    ]
    assert document["results"][0]["requests"]["total"] == 10
    assert len(folders("results")) == 1


def test_every_mistake_of_a_replay_is_told_at_once(desk, call):
    """93 and its like: unknown format, strategy, model, trace and start are all named."""
    argv = ("--format", "x", "--strategies", "none,bacth", "--model", "gemini", "--start", "today", "--seed", "a")
    code, _, err = call("replay", "nope.jsonl", *argv)
    assert code == 2
    for part in ("--format", "--strategies", "start", "--seed", "TRACE"):
        assert part in err
    assert "Traceback" not in err
    code, _, err = call("replay", "desk.toml", "--model", "gemini")
    assert code == 2
    assert "unknown model" in err


def test_kept_ledgers_rate_to_the_bill_of_the_run(desk, call):
    """P86: rating the saved ledgers under the run's own book gives its totals, exactly; another book another bill."""
    call("run", "desk.toml", "--keep-requests", "--replications", 1)
    (folder,) = folders("results")
    totals = {
        row["strategy"]: row["total_exact_usd"] for row in json.loads((folder / "summary.json").read_text())["results"]
    }
    code, out, _ = call("rate", folder, "--json")
    document = json.loads(out)
    assert (code, document["schema"]) == (0, "gcsim.rate/2")
    assert {row["strategy"]: row["total_usd"] for row in document["ledgers"]} == totals
    free = json.loads(call("rate", folder, "--creation", "free", "--json")[1])
    explicit = {row["strategy"]: row["lines_usd"] for row in free["ledgers"]}["explicit"]
    assert (explicit["creation"], free["overrides"]) == ("0", {"creation": "free"})
    assert {row["terms"]["creation"] for row in free["ledgers"]} == {"free"}
    guide = json.loads(call("rate", folder, "--book", "guide", "--json")[1])
    for row in guide["ledgers"]:
        bill = rate(read_ledger(Path(row["ledger"])), load_book("guide"))
        assert row["total_usd"] == bill.exact
        lines = [Fraction(line["usd"]) for line in row["lines"] if line["unit"] == "tokens"]
        assert sum(lines) == sum(x.usd for x in bill.lines if x.line != "storage")
    code, out, _ = call("rate", folder / "ledgers" / "none-gemini-2.5-flash-0")
    assert code == 0
    assert "none" in out


def rated(call, *argv):
    """Return the documents of the only run there is and of ``gcsim rate`` on it, each by strategy."""
    (folder,) = folders("results")
    results = json.loads((folder / "summary.json").read_text())["results"]
    code, out, err = call("rate", folder, *argv, "--json")
    assert (code, err) == (0, "")
    documents = results, json.loads(out)["ledgers"]
    return tuple({row["strategy"]: row for row in rows} for rows in documents)


KEEP = ("--keep-requests", "--replications", 1)
FREE = ("--set=project.tier=free", "--set=strategies.explicit.kind=none", "--set=strategies.batch.kind=none")
OF_AN_ARM = ("--set", "terms.storage=committed", "--set", 'strategies.explicit.set={"terms.creation"="free"}')
UNLIKE_THE_BOOK = [
    FREE,
    ("--set", "project.platform=vertex"),
    OF_AN_ARM,
    ("--set", "terms.batch_cached=stacked"),
]


@pytest.mark.parametrize("sets", UNLIKE_THE_BOOK)
def test_a_run_on_other_terms_than_the_book_s_is_rated_to_its_bill(desk, call, sets):
    """P86: whatever the terms of a run and of its arms, its saved ledgers rate to its totals."""
    code, _, err = call("run", "desk.toml", *KEEP, *sets)
    assert code == 0, err
    results, ledgers = rated(call)
    assert {name: row["total_usd"] for name, row in ledgers.items()} == {
        name: row["total_exact_usd"] for name, row in results.items()
    }
    assert {row["terms_of"] for row in ledgers.values()} == {"run"}
    usual = load_book("google").terms.model_dump()
    assert any(row["terms"] != usual for row in ledgers.values())


def test_a_flag_overrides_one_term_and_leaves_the_others(desk, call):
    """Of a free run with committed storage --no-free-tier alone gives the bill of committed storage, paid."""
    call("run", "desk.toml", *KEEP, "--set", "terms.storage=committed", "--set", "terms.free_tier=true")
    free, paid = rated(call)[1], rated(call, "--no-free-tier")[1]
    assert {row["total_usd"] for row in free.values()} == {"0"}
    committed = load_book("google").terms.model_copy(update={"storage": "committed"})
    for row in paid.values():
        bill = rate(read_ledger(Path(row["ledger"])), load_book("google"), committed)
        assert (row["total_usd"], row["terms"]) == (bill.exact, committed.model_dump())
        assert bill.total > 0
    assert {row["total_usd"] for row in rated(call, "--no-free-tier", "--free-tier")[1].values()} == {"0"}


def test_another_book_has_its_own_terms_but_for_those_that_the_run_chose(desk, call):
    """Under the guide creation is free and the batch price is its own; committed storage was the run's choice."""
    call("run", "desk.toml", *KEEP, "--set", "terms.storage=committed")
    guide = load_book("guide")
    chosen = guide.terms.model_copy(update={"storage": "committed"})
    for row in rated(call, "--book", "guide")[1].values():
        assert row["total_usd"] == rate(read_ledger(Path(row["ledger"])), guide, chosen).exact


def test_a_ledger_without_terms_is_rated_by_the_book_s_and_says_so(desk, call):
    """A ledger that some other program made has no run whose terms could hold: one line on stderr names the book's."""
    call("run", "desk.toml", *KEEP, *FREE)
    (folder,) = folders("results")
    bare = desk / "bare"
    bare.mkdir()
    book = read_ledger(folder / "ledgers" / "none-gemini-2.5-flash-0")
    write_ledger(bare, book, {"strategy": "none"})
    code, out, err = call("rate", bare, "--json")
    (row,) = json.loads(out)["ledgers"]
    assert (code, row["terms_of"], row["total_usd"]) == (0, "book", rate(book, load_book("google")).exact)
    assert err == f"warning: {bare}: says no terms; rated by those of book google\n"


def test_the_bills_say_which_terms_they_were_rated_by(desk, call):
    """Terms that all ledgers share stand below the table, others in a column of their own."""
    call("run", "desk.toml", *KEEP, *OF_AN_ARM)
    (folder,) = folders("results")
    out = call("rate", folder)[1]
    assert "storage committed, batch cached published, free tier no, creation as told of each ledger." in " ".join(
        out.split()
    )
    lines = {line.split()[0]: line.split() for line in out.splitlines() if "gemini-2.5-flash" in line}
    assert [lines[name][3] for name in ("none", "implicit", "explicit", "batch")] == ["input", "input", "free", "input"]
    out = " ".join(call("rate", folder, "--creation", "input")[1].split())
    assert "Exact under book google: creation input, storage committed, batch cached published, free tier no." in out


@pytest.mark.parametrize("width", [100, 110])
def test_bills_have_whole_names_and_no_columns_of_nothing(desk, call, monkeypatch, width):
    """At usual widths models and strategies stand in full, and lines that no ledger has are left out."""
    name = "until_the_last"
    call("run", "desk.toml", *KEEP, "--set", f"strategies.{name}.kind=explicit")
    (folder,) = folders("results")
    monkeypatch.setattr(
        sys.modules["sim.cli.rate"], "stdout", lambda: Console(width=width, highlight=False, markup=False)
    )
    out = call("rate", folder)[1]
    assert max(map(len, out.splitlines())) <= width
    assert out.count("gemini-2.5-flash") == 5
    assert name in out
    assert "…" not in out
    assert "audio" not in out
    assert "creation" in out.splitlines()[2]


def test_rate_refuses_what_it_cannot_rate(desk, call):
    """Unknown terms, an unknown book and folders without ledgers are all named at once."""
    call("run", "desk.toml", "--replications", 1)
    (folder,) = folders("results")
    code, out, err = call("rate", folder, "nowhere", "--book", "gogle", "--creation", "fre", "--storage", "x")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 5
    assert "--keep-requests" in err


def process(desk, *argv):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, *argv], cwd=desk, env=environment, **pipes)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_who_leaves_ends_the_command_quietly(desk, form):
    """91: stdout is a closed pipe: exit 0, no traceback, the results intact."""
    with process(desk, "-m", "sim", "run", "desk.toml", "--replications", "2", *form) as run:
        run.stdout.close()
        err = run.stderr.read()
        assert run.wait(60) == 0
    assert "Traceback" not in err
    assert "Error" not in err
    assert "Exception" not in err
    assert len(folders(desk)) == 1


def test_an_interrupt_of_a_run_says_that_nothing_was_written(desk, call, monkeypatch):
    """Ctrl-C while a run is simulated: exit 3, one line, no folder."""

    def interrupted(*_args, **_more):
        raise KeyboardInterrupt

    monkeypatch.setattr(montecarlo, "carried_out", interrupted)
    assert call("run", "desk.toml") == (3, "", "gcsim: interrupted; nothing was written\n")
    assert not (desk / "results").exists()


def test_a_signal_ends_a_long_run(desk):
    """A real SIGINT ends a run of a million replications with exit 3, one line and no folder."""
    ready = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"  # a background shell ignores it
    argv = ["run", "desk.toml", "--replications", "1000000"]
    code = f"{ready}\nfrom sim.cli import main\nprint('ready', flush=True)\nmain({argv})"
    with process(desk, "-c", code) as run:
        assert run.stdout.readline() == "ready\n"
        time.sleep(1)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (3, "")
    assert err.startswith("gcsim: interrupted")
    assert len(err.splitlines()) == 1
    assert not (desk / "results").exists()


def test_a_key_that_is_set_twice_is_refused(desk, call):
    """90: a flag and a --set of the same key contradict each other; every such pair is told, and nothing is written."""
    code, out, err = call("run", "desk.toml", "--seed", 1, "--set", "seed=4", "--book", "google", "--set", "book=guide")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "command line: --book: contradicts --set book=...; one of the two",
        "command line: --seed: contradicts --set seed=...; one of the two",
    ]
    assert sorted(path.name for path in desk.iterdir()) == ["desk.toml"]


def test_strategies_that_are_spelt_alike_on_a_disk_keep_their_ledgers_apart(desk, call):
    """Every kept ledger has a folder of its own, and its metadata name it in full."""
    more = ['--set=strategies."a b".kind=none', '--set=strategies."a-b".kind=none', '--set=strategies."a|b".kind=none']
    code, _, err = call("run", "desk.toml", "--keep-requests", "--replications", 1, *more)
    assert code == 0, err
    (run,) = (desk / "results" / "desk").iterdir()
    names = {read_about(folder)["strategy"] for folder in (run / "ledgers").iterdir()}
    assert names == {"none", "implicit", "explicit", "batch", "a b", "a-b", "a|b"}


# ---------------------------------------------------------------- until sure, and extended

SURE = ("--precision", "10%", "--floor", 4, "--ceiling", 6)


def test_the_command_tells_its_rule_its_looks_and_what_it_missed(desk, call):
    """Text and JSON have the rule, the looks and the widest measure; a ceiling is a warning, and exit code 0."""
    code, out, err = call("run", "desk.toml", *SURE)
    text = " ".join(out.split())
    assert code == 0, err
    assert "Run until sure: missed ± 10 % of every mean cost" in text
    assert "Chow and Robbins (1965)" in text
    assert "Warning: the ceiling of 6 replications ended the run before all was known to ± 10 %: cost of " in text
    (folder,) = folders("results/desk")
    assert err.strip() == f"saved: {folder}"
    found = json.loads((folder / "summary.json").read_text())
    assert (found["schema"], found["replications"]) == ("gcsim.run/2", 6)
    precision = found["precision"]
    assert set(precision) == {"asked", "floor", "ceiling", "reached", "looks", "widest", "widths", "rule"}
    assert (precision["asked"], precision["floor"], precision["ceiling"]) == (0.1, 4, 6)
    assert (precision["reached"], precision["looks"][0], precision["looks"][-1]) == (False, 4, 6)
    assert len(precision["widths"]) == 4 + 3
    assert precision["widest"] == max(precision["widths"], key=precision["widths"].get)


def test_json_is_what_was_saved(desk, call):
    """--json prints the summary of the folder and nothing else."""
    code, out, _ = call("run", "desk.toml", "--json", "--precision", "0.9", "--floor", "3", "--out", "o")
    (folder,) = folders("o")
    assert code == 0
    assert json.loads(out) == json.loads((folder / "summary.json").read_text())
    assert json.loads(out)["precision"]["reached"] is True
    assert json.loads((folder / "manifest.json").read_text())["precision"] == {
        "precision": 0.9,
        "floor": 3,
        "ceiling": 10_000,
    }


def test_an_ordinary_run_is_extended_by_the_command(desk, call):
    """--resume with more replications: a new folder beside the old one, with the bytes of a run of that many."""
    call("run", "desk.toml", "--replications", 3)
    (first,) = folders("results")
    code, _, err = call("run", "desk.toml", "--replications", 5, "--resume", first)
    assert code == 0, err
    (second,) = set(folders("results")) - {first}
    assert err.strip() == f"saved: {second.resolve()}"
    call("run", "desk.toml", "--replications", 5, "--out", "once")
    (once,) = folders("once")
    for name in ("summary.json", "replications.parquet"):
        assert (second / name).read_bytes() == (once / name).read_bytes()


CONTRADICTIONS = [
    (("--precision", "2%", "--replications", 9), "--precision: contradicts --replications"),
    (("--precision", "2%", "--set", "replications=9"), "--precision: contradicts --set replications="),
    (("--precision", "2%", "--keep-requests"), "--keep-requests: contradicts --precision"),
    (("--resume", "old", "--keep-requests"), "--keep-requests: contradicts --resume"),
    (("--floor", 50), "--floor: says nothing without --precision"),
    (("--ceiling", 50), "--ceiling: says nothing without --precision"),
    (
        ("--precision", "2%", "--ceiling", 50),
        "--ceiling: is below the floor of 100 replications; at least that; got 50",
    ),
    (("--precision", "2%", "--floor", 1), "--floor: not a number of replications; a whole number from 2"),
    (("--precision", "0%"), "--precision: not a relative precision"),
    (("--precision", "100%"), "--precision: not a relative precision"),
    (("--precision", "2"), "--precision: not a relative precision"),
    (("--precision", "-1%"), "--precision: not a relative precision"),
    (("--precision", "nan"), "--precision: not a relative precision"),
    (("--resume", "desk.toml"), "--resume: no run was begun here"),
]


@pytest.mark.parametrize(("argv", "told"), CONTRADICTIONS)
def test_a_contradiction_is_one_line_and_exit_2(desk, call, argv, told):
    """Before anything is simulated or written, and by the names of the flags."""
    (desk / "old").mkdir()
    (desk / "old" / "manifest.json").write_text("{}")
    code, out, err = call("run", "desk.toml", *argv)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"command line: {told}")
    assert not (desk / "results").exists()


def test_another_scenario_is_refused_with_the_first_difference(desk, call):
    """One line, with what the folder began as and what is asked now."""
    call("run", "desk.toml", "--replications", 2)
    (first,) = folders("results")
    code, _, err = call("run", "desk.toml", "--replications", 3, "--set", "load=2", "--resume", first)
    assert (code, len(err.splitlines())) == (2, 1)
    assert "resolved.file.load: this is another run; None as it began; got 2" in err


def test_an_interrupted_run_prints_the_command_that_goes_on_with_it(desk):
    """A real SIGINT: exit 3, how many cells are saved, and a command that leaves what an undisturbed run leaves."""
    argv = ["run", "desk.toml", "--precision", "50%", "--floor", "80", "--out", "out"]
    code = (
        f"import sys\nfrom sim.cli import main\nsys.argv = ['gcsim', *{argv}]\nprint('ready', flush=True)\nmain({argv})"
    )
    with process(desk, "-c", code) as run:
        assert run.stdout.readline() == "ready\n"
        while run.poll() is None and not list((desk / "out").glob("*/*/cells.journal")):
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        out, err = run.communicate(timeout=60)
    assert (run.returncode, out) == (3, "")
    first, second = err.splitlines()
    folder = re.fullmatch(r"gcsim: interrupted; \d+ cells are saved in (out/desk/\S+)", first)[1]
    _, _, command = second.partition("go on with: gcsim ")
    with process(desk, "-m", "sim", *shlex.split(command)) as again:
        assert (again.wait(60), again.stderr.read().splitlines()[-1]) == (0, f"saved: {folder}")
    with process(desk, "-m", "sim", *argv[:-1], "once") as whole:
        assert whole.wait(60) == 0
    (one,), (other,) = folders(desk / "out"), folders(desk / "once")
    for name in ("summary.json", "replications.parquet"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
