"""Saved documents print again as they did when they were new, and what is no document is refused in one line."""

import json

import pytest
from sweeps import small
from test_sweep import gcsim

import sim
from sim.cli import main
from sim.report.documents import REPORTS, read_document, show

COMMANDS = {
    "gcsim.run/2": ["run", "{}", "--replications", "2"],
    "gcsim.sweep/1": ["sweep", "{}", "--vary", "load=1,2", "--workers", "1"],
    "gcsim.advise/1": ["advise", "{}", "--replications", "3"],
    "gcsim.break-even/1": [
        *("break-even", "{}", "--vary", "load=1..4:lin", "--vary", "strategies.explicit.ttl=5m..1h:log"),
        *("--grid", "3", "--refine", "0", "--replications", "2"),
    ],
    "gcsim.capacity/1": ["capacity", "{}", "--require", "p95 <= 1m", "--strategy", "none", "--load", "0.5..2"],
    "gcsim.sensitivity/1": ["sensitivity", "{}", "--method", "tornado", "--vary", "load=1..2", "--replications", "2"],
    "gcsim.tune/1": ["tune", "{}", "--strategy", "explicit", "--vary", "strategies.explicit.ttl=5m,20m"],
    "gcsim.uncertainty/1": ["uncertainty", "{}", "--set", "load=uniform(1, 2)", "--draws", "40", "--replications", "2"],
    "gcsim.validate/1": ["validate", "{}", "--candidate", "explicit", "--require", "saving >= 1%", "--no-robustness"],
}


def test_every_document_has_a_report_and_a_test():
    """A schema that a command saves can be shown."""
    assert set(COMMANDS) == set(REPORTS)


@pytest.mark.parametrize("schema", COMMANDS)
def test_what_was_saved_prints_as_it_did(tmp_path, capsys, schema):
    """A saved document prints to the letter what its command printed."""
    scenario = str(small(tmp_path))
    words = [word.format(scenario) for word in COMMANDS[schema]]
    printed = gcsim(*words, "--out", "out", cwd=tmp_path)
    assert printed.returncode in {0, 1}, printed.stderr
    (saved,) = tmp_path.glob("out/small/*/summary.json")
    document = read_document(saved.parent)
    assert (document["schema"], document) == (schema, json.loads(saved.read_text()))
    show(document)
    assert capsys.readouterr().out == printed.stdout


def test_the_command_shows_folders_and_files_and_their_json(tmp_path, capsys):
    """``gcsim show`` takes the folder, its summary, and what ``--json`` printed; it prints the JSON as it was saved."""
    found = sim.run(sim.load(small(tmp_path)), replications=2, out=tmp_path / "out")
    saved = found.folder / "summary.json"
    texts = [
        left(["show", str(place), *flags], capsys) for place in (saved, saved.parent) for flags in ([], ["--json"])
    ]
    assert [code for code, _, _ in texts] == [0] * 4
    assert texts[0][1] == texts[2][1]
    assert json.loads(texts[1][1]) == json.loads(texts[3][1]) == json.loads(saved.read_text())
    (tmp_path / "printed.json").write_text(texts[1][1])
    assert left(["show", str(tmp_path / "printed.json")], capsys)[1] == texts[0][1]


def left(words, capsys):
    """Return the exit code, stdout and stderr of a command that runs in this process."""
    with pytest.raises(SystemExit) as end:
        main(words)
    out, err = capsys.readouterr()
    return end.value.code, out, err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "summary.json: cannot be read (No such file or directory); a folder that a run or a study"),
        ('{"schema": "gcsim.run/2"', "torn, or no JSON; what a command of gcsim wrote"),
        ("[1]", "not a document; a JSON object with a schema"),
        ('{"schema": "gcsim.tune/9"}', "schema: no report of it; did you mean 'gcsim.tune/1'? allowed: "),
        ("{}", "schema: no report of it"),
        ('{"schema": "gcsim.run/2", "results": 3}', "not what gcsim.run/2 holds (KeyError: "),
        ('{"schema": ["gcsim.run/2"]}', "schema: no report of it"),
    ],
)
def test_what_is_no_document_is_refused(tmp_path, capsys, text, says):
    """One line, exit code 2, no traceback."""
    if text is not None:
        (tmp_path / "summary.json").write_text(text)
    code, out, err = left(["show", str(tmp_path)], capsys)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert says in err
