"""``gcsim price`` and ``gcsim prices``: exact amounts as text, every mistake at once, only results on stdout."""

import json
import subprocess
import sys
from fractions import Fraction

import pytest

from sim.cli import main
from sim.providers import load_book


@pytest.fixture
def gcsim(capsys):
    """Return a call of the command line that gives exit code, stdout and stderr."""

    def call(*argv):
        try:
            main(list(argv))
            code = 0
        except SystemExit as leave:
            code = leave.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_json_is_the_documented_schema(gcsim):
    """The document is gcsim.price/1: amounts are decimal texts, and the lines add up to the total exactly."""
    code, out, err = gcsim(
        "price", "gemini-2.5-pro", "--prompt", "250k", "--cached", "240k", "--output", "1k", "--json"
    )
    assert (code, err) == (0, "")
    assert json.loads(out) == {
        "schema": "gcsim.price/1",
        "model": "gemini-2.5-pro",
        "served_model": "gemini-2.5-pro",
        "mode": "standard",
        "date": "2026-11-22",
        "book": "google",
        "tier": "long",
        "lines": [
            {"line": "input", "tokens": 10_000, "usd_per_mtok": "2.5", "usd": "0.025"},
            {"line": "cached", "tokens": 240_000, "usd_per_mtok": "0.25", "usd": "0.06"},
            {"line": "output", "tokens": 1_000, "usd_per_mtok": "15", "usd": "0.015"},
        ],
        "total_usd": "0.1",
    }


@pytest.mark.parametrize("mode", ["standard", "batch", "flex", "priority"])
def test_every_mode_adds_up(gcsim, mode):
    """In every mode a line is tokens times price, and the total their sum."""
    argv = ("--prompt", "1.5M", "--cached", "200001", "--output", "7", "--mode", mode, "--json")
    code, out, _ = gcsim("price", "gemini-3.1-pro-preview", *argv)
    document = json.loads(out)
    lines = document["lines"]
    assert code == 0
    assert all(Fraction(x["usd"]) == x["tokens"] * Fraction(x["usd_per_mtok"]) / 10**6 for x in lines)
    assert sum(Fraction(x["usd"]) for x in lines) == Fraction(document["total_usd"])


def test_audio_is_a_line_of_its_own(gcsim):
    """Audio and cached audio are taken out of the prompt and of the cached tokens, and billed at their own prices."""
    argv = ("--prompt", "100k", "--cached", "40k", "--audio", "30k", "--cached-audio", "10k", "--output", "1k")
    code, out, err = gcsim("price", "gemini-2.5-flash", *argv, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert [(x["line"], x["tokens"], x["usd_per_mtok"]) for x in document["lines"]] == [
        ("input", 100_000 - 40_000 - 20_000, "0.3"),
        ("cached", 40_000 - 10_000, "0.03"),
        ("audio_input", 30_000 - 10_000, "1"),
        ("audio_cached", 10_000, "0.1"),
        ("output", 1_000, "2.5"),
    ]
    assert "audio_cached" in gcsim("price", "gemini-2.5-flash", *argv)[1]


@pytest.mark.parametrize(
    ("date", "served", "total"),
    [
        ("2026-11-30", "gemini-2.5-pro", "1.25"),
        ("2026-12-01", "gemini-3.8-flash", "0.75"),
        ("2026-12-01T00:59:59+01:00", "gemini-2.5-pro", "1.25"),
        ("2027-01-01", "gemini-3.8-flash", "1.5"),
    ],
)
def test_the_date_decides_who_serves(gcsim, date, served, total):
    """A redirected model is billed as the one that serves on the date, and the table says so."""
    argv = ("price", "gemini-2.5-pro", "--prompt", "1M", "--date", date)
    document = json.loads(gcsim(*argv, "--json")[1])
    factor = 2 if served == "gemini-2.5-pro" else 1  # 1M tokens lie in the long tier of a Pro model
    assert (document["served_model"], Fraction(document["total_usd"])) == (served, factor * Fraction(total))
    _, text, _ = gcsim(*argv)
    assert served in text
    assert document["total_usd"] in text


def test_every_mistake_at_once(gcsim):
    """All that is wrong with a command line is said at once, a line each, to stderr, and the exit code is 2."""
    argv = ("gemini-2.5-prO", "--prompt", "2x", "--cached", "-5", "--output", "1.5", "--mode", "bach", "--date", "x")
    argv += ("--audio", "-1", "--cached-audio", "y")
    code, out, err = gcsim("price", *argv)
    assert (code, out) == (2, "")
    lines = err.splitlines()
    for flag, hint in (
        ("--prompt", "got '2x'"),
        ("--cached", "got '-5'"),
        ("--output", "whole number"),
        ("--audio", "got '-1'"),
        ("--cached-audio", "got 'y'"),
        ("--mode", "did you mean 'batch'"),
        ("--date", "not a day"),
        ("MODEL", "did you mean 'gemini-2.5-pro'"),
    ):
        assert any(line.startswith(f"command line: {flag}: ") and hint in line for line in lines), (flag, err)
    assert len(lines) == 8


def test_every_part_that_exceeds_its_whole_is_told(gcsim):
    """Cached tokens and audio beyond the prompt, and cached audio beyond either, are four mistakes at once."""
    argv = ("--prompt", "5", "--cached", "6", "--audio", "7", "--cached-audio", "8")
    code, out, err = gcsim("price", "gemini-2.5-pro", *argv)
    assert (code, out) == (2, "")
    assert [line.split(": ", 1)[1] for line in err.splitlines()] == [
        "--audio: more audio tokens than the prompt has; at most 5; got 7",
        "--cached: more cached tokens than the prompt has; at most 5; got 6",
        "--cached-audio: more tokens than are cached; at most 6; got 8",
        "--cached-audio: more audio tokens than the prompt has of them; at most 7; got 8",
    ]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (("gemini-2.5-pro", "--prompt", "2", "--cached", "3"), "--cached: more cached tokens than the prompt has"),
        (("gemini-2.5-pro", "--prompt", "2", "--audio", "3"), "--audio: more audio tokens than the prompt has"),
        (("gemini-2.5-pro", "--prompt", "9", "--cached", "2", "--audio", "9", "--cached-audio", "3"), "at most 2"),
        (
            ("gemini-2.5-pro", "--prompt", "9", "--cached", "4", "--audio", "8", "--cached-audio", "2"),
            "--audio: more uncached audio than the prompt has uncached tokens; at most 7 with this --cached-audio",
        ),
        (("gemini-2.5-pro", "--date", "2020-01-01"), "--date: book 'google' has no price"),
        (("gemini-2.5-pro", "--book", "gogle"), "did you mean 'google'"),
        (("gemini-2.5-pro", "--book", "absent.toml"), "absent.toml: cannot be read"),
        (("gemini-2.5-pro", "--prompt", "1", "--book", "guide", "--mode", "flex"), "the book offers no flex"),
        (("gemini-2.5-flash", "--prompt", "200001", "--book", "guide"), "long_input is blank"),
        (("gemini-2.5-pro", "--prompt", "9" * 30), "more tokens than can be counted"),
    ],
)
def test_what_cannot_be_priced_is_refused(gcsim, argv, says):
    """What has no exact answer has none at all: exit code 2 and one line that says why."""
    code, out, err = gcsim("price", *argv)
    assert (code, out) == (2, "")
    assert says in err
    assert len(err.splitlines()) == 1


def test_prices_lists_what_is_in_force(gcsim):
    """The catalogue of a date holds each model priced on it, with source, confidence and what changes next."""
    code, out, err = gcsim("prices", "--json")
    document = json.loads(out)
    book = load_book("google")
    models = {model["model"]: model for model in document["models"]}
    assert (code, err, document["schema"], document["digest"]) == (0, "", "gcsim.prices/2", book.digest)
    assert set(models) == set(book.models) - {"gemini-2.0-flash"}  # shut down on 2026-06-01
    assert models["gemini-2.5-pro"]["changes"] == [{"date": "2026-12-01", "what": "served by gemini-3.8-flash"}]
    assert models["gemini-4-argon"]["prices"]["input"] == "2"
    assert models["gemini-4-argon"]["changes"] == [{"date": "2026-12-01", "what": "input 4, output 20, cached 0.2"}]
    assert all(model["confidence"] in "AB" and model["source"] for model in models.values())
    assert len(document["assumptions"]) == len(book.assumptions)


def test_prices_of_one_model(gcsim):
    """One model can be asked for on a date, also one that is redirected; an unknown one is refused."""
    _, out, _ = gcsim("prices", "gemini-2.5-pro", "--date", "2027-01-01", "--json")
    [model] = json.loads(out)["models"]
    assert (model["model"], model["prices"]["input"], model["changes"]) == ("gemini-3.8-flash", "1.5", [])
    _, text, _ = gcsim("prices")
    assert "gemini-3.1-pro-preview" in text
    assert "two independent sources agree" in text
    code, out, err = gcsim("prices", "gemini-2.5", "--date", "soon")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    code, _, err = gcsim("prices", "gemini-2.0-flash")
    assert (code, "its prices end on 2026-06-01" in err) == (2, True)


def test_an_old_book_is_warned_of_on_stderr(gcsim):
    """A date far beyond the book's own gives its answer on stdout and a warning on stderr."""
    code, out, err = gcsim("price", "gemini-4-argon", "--prompt", "1M", "--date", "2027-12-01", "--json")
    assert (code, json.loads(out)["total_usd"]) == (0, "4")
    assert err.startswith("warning: book 'google' was checked on 2026-11-22")


def test_as_a_process():
    """The command runs as a program: the result on stdout, mistakes as exit code 2."""
    run = [sys.executable, "-m", "sim", "price", "gemini-2.5-pro", "--prompt", "200001", "--output", "1k", "--json"]
    good = subprocess.run(run, capture_output=True, text=True, check=True)
    assert json.loads(good.stdout)["total_usd"] == "0.5150025"
    bad = subprocess.run([*run, "--cached", "1M"], capture_output=True, text=True, check=False)
    assert (bad.returncode, bad.stdout) == (2, "")
    assert "Traceback" not in bad.stderr
