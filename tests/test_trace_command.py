"""``gcsim trace``: the table, the document, and what it says of bad options."""

import json
import os
from pathlib import Path

import pytest

from sim.cli import main

CALL = {"promptTokenCount": 100, "candidatesTokenCount": 7, "session_id": "a"}


@pytest.fixture
def log(tmp_path) -> Path:
    """Three calls of a session, at 0, 10 and 100 s: 100, 150 and 150 prompt tokens."""
    path = tmp_path / "log.jsonl"
    calls = [{**CALL, "time_s": t, "promptTokenCount": p} for t, p in ((0, 100), (10, 150), (100, 150))]
    path.write_text("".join(json.dumps(call) + "\n" for call in calls))
    return path


def run(*argv: object) -> int:
    with pytest.raises(SystemExit) as left:
        main([str(arg) for arg in argv])
    return int(left.value.code or 0)


def test_the_document_has_the_stated_schema_and_figures(log, capsys):
    """--json prints gcsim.trace/1 alone on stdout; what was assumed goes to stderr."""
    assert run("trace", log, "--json", "--idle", "60s,2m") == 0
    out, err = capsys.readouterr()
    total = 100 + 150 + 150
    assert json.loads(out) == {
        "schema": "gcsim.trace/1",
        "format": "log",
        "requests": 3,
        "span_s": 100.0,
        "rate_per_s": 2 / 100,
        "gap_cv": (90 - 10) / (90 + 10),  # of two gaps: half their difference over half their sum
        "input_tokens": {"total": total, "mean": total / 3, "p50": 150, "p99": 150},
        "output_tokens": {"total": 21, "mean": 7.0, "p50": 7, "p99": 7},
        "block_tokens": 1,
        "ceiling": {
            "unlimited": (100 + 150) / total,
            "idle_s": {"60": 100 / total, "120": (100 + 150) / total},
            "fixed_s": {"60": 100 / total, "120": (100 + 150) / total},
        },
    }
    assert err.startswith("note: ")


def test_the_table_shows_the_ceiling_and_says_that_nothing_is_estimated(log, capsys):
    """The readable form has the same figures, and states why they have no interval."""
    assert run("trace", log, "--idle", "60s") == 0
    out, err = capsys.readouterr()
    assert f"{(100 + 150) / 400:.6f}" in out
    assert f"{100 / 400:.6f}" in out
    assert "no intervals" in out
    assert "note: " in err


def test_without_prefixes_the_ceiling_is_null_and_the_table_says_so(tmp_path, capsys):
    """Azure's traces tell of no prefix: null in the document, a word in the table."""
    path = tmp_path / "azure.csv"
    path.write_text("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.6805900,374,44\n")
    assert run("trace", path, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["block_tokens"], figures["ceiling"], figures["rate_per_s"]) == (0, None, None)
    assert run("trace", path) == 0
    assert "no cache can be replayed" in capsys.readouterr().out


def test_an_empty_trace_is_shown(tmp_path, capsys):
    """No request: zero counts, null rates, no error."""
    path = tmp_path / "empty.jsonl"
    path.write_text("")
    assert run("trace", path, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["requests"] == figures["span_s"] == figures["input_tokens"]["total"] == 0
    assert figures["rate_per_s"] is figures["gap_cv"] is figures["input_tokens"]["mean"] is None
    assert run("trace", path) == 0
    assert "the file holds no request" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--format", "mooncacke"], "--format: unknown trace format; did you mean 'mooncake'?"),
        (["--idle", "60"], "--idle: not a duration; whole seconds above zero, such as \"60s,5m,1h\"; got '60'"),
        (["--idle", "60s,0s"], "--idle: not a lifetime in whole seconds"),
        (["--idle", "1500ms"], "--idle: not a lifetime in whole seconds"),
        (["--idle", ""], "--idle: not a duration"),
        (["--format", "azure"], "log.jsonl:1: no column TIMESTAMP"),
    ],
)
def test_a_bad_option_is_one_line_and_exit_code_2(log, capsys, options, says):
    """A bad value names the option, what is allowed and what was given; nothing is printed on stdout."""
    assert run("trace", log, *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err.splitlines()[0]
    assert "Traceback" not in err


def test_rows_out_of_order_need_the_flag(tmp_path, capsys):
    """Unsorted rows are refused with the flag's name, and read with it."""
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({**CALL, "time_s": t}) + "\n" for t in (2, 1)))
    assert run("trace", path) == 2
    assert f"{path}:2: time:" in capsys.readouterr().err
    assert run("trace", path, "--sort") == 0
    assert "sorted by time: 1 rows" in capsys.readouterr().err


@pytest.mark.skipif("GCSIM_TRACES" not in os.environ, reason="GCSIM_TRACES names no folder of real traces")
def test_a_real_trace_is_shown_with_its_published_ceiling(capsys):
    """Mooncake: 0.650431 without a limit, 0.594424 idle and 0.521650 fixed at 300 s."""
    path = Path(os.environ["GCSIM_TRACES"]) / "mooncake/synthetic_trace.jsonl.gz"
    assert run("trace", path) == 0
    out = capsys.readouterr().out
    assert all(figure in out for figure in ("0.650431", "0.594424", "0.521650"))
