"""Sweeps: the same numbers as single runs, whatever the workers, the order and what else is swept."""

import importlib.util
import json
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sweeps import SMALL, VARY, carried_out, digests, planned, small

import sim
from sim.engines.choice import engine_of
from sim.errors import EngineError, InputError
from sim.experiments import items, large, saving, tasks
from sim.experiments import plan as plans
from sim.experiments import sweep as sweeps
from sim.experiments.items import cell_key
from sim.experiments.plan import items_of
from sim.experiments.rows import rows
from sim.experiments.sweep import sweep
from sim.report.sweep_table import sweep_report

COMMAND = """
import sys
from sim.cli import main
if __name__ == "__main__":
    main(sys.argv[1:])
"""


def gcsim(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "sim", *map(str, words)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def one(found, **where):
    """Return the rows of a sweep's table that have some values, for all streams together."""
    table = found.table
    mask = table["stream"] == ""
    for name, value in where.items():
        mask &= table[name] == value
    return table[mask]


def test_each_setting_gives_what_a_run_of_it_gives_to_the_last_digit(tmp_path):
    """A row of a sweep is the row of a run of the setting alone: exact money, counts, quantiles."""
    path = small(tmp_path)
    found = sweep(path, VARY)
    assert not found.failures
    relation = found.relation()
    for number, setting in enumerate(planned(path).settings):
        scenario = sim.load(path, sets=setting.sets)
        expected = [tuple(row.values()) for row in rows(sim.run(scenario))]
        mine = relation.filter(f"setting = {number}").fetchall()
        assert [row[-len(expected[0]) :] for row in mine] == expected


def test_the_summary_restates_the_rows(tmp_path):
    """Means, paired differences, ratios and warnings of a setting are those of its run's own summary."""
    path = small(tmp_path)
    found = sweep(path, VARY, replications=3)
    for setting in found.summary["settings"]:
        sets = [f"{key}={value}" for key, value in setting["values"].items()]
        run = sim.summarise(sim.run(sim.load(path, sets=sets), replications=3))
        for mine, theirs, versus in zip(setting["results"], run["results"], run["comparisons"], strict=True):
            assert (mine["strategy"], mine["model"]) == (theirs["strategy"], theirs["model"])
            assert mine["cost_usd"] == {name: theirs["cost_usd"][name] for name in ("mean", "lo", "hi")}
            assert mine["difference_usd"] == versus["difference_usd"]
            assert mine["within_patience"]["mean"] == theirs["within_patience"]
            assert mine["hit_ratio"]["explicit"]["mean"] == theirs["hit_ratio"]["explicit"]
            assert mine["latency_s"]["mean"]["mean"] == theirs["latency_s"]["mean"]
            assert mine["requests"]["total"]["mean"] == theirs["requests"]["total"]
        assert setting["cheapest"] == {name: run["cheapest"][name] for name in ("strategy", "model")}
        told = [*found.summary["assumptions"], *setting["assumptions"]]
        assert sorted(map(str, told)) == sorted(map(str, run["assumptions"]))
        warned = [*found.summary["warnings"], *setting["warnings"]]
        assert sorted(warned) == sorted(run["warnings"])


def test_settings_that_change_no_traffic_meet_the_same_requests(tmp_path):
    """Settings of one workload have the same requests in every replication; another load has others."""
    found = sweep(small(tmp_path), VARY)
    for replication in range(2):
        seen = {
            (row["strategies.explicit.ttl"], row["load"]): (row["total"], row["output_tokens"])
            for row in one(found, replication=replication, strategy="explicit")
        }
        assert seen["5m", 1] == seen["20m", 1]
        assert seen["5m", 2] == seen["20m", 2] != seen["5m", 1]


def test_cells_that_settings_share_are_computed_once(tmp_path):
    """What a setting changes for one strategy alone costs no other strategy a cell."""
    plan = planned(small(tmp_path), ["strategies.explicit.ttl=5m,10m,20m"])
    items = list(items_of(plan, set()))
    assert plan.work == sum(len(item.members) for item in items) == 2 * (1 + 3)  # none once, explicit three times
    assert len(items) == plan.replications  # one realisation serves all settings
    assert len({cell_key(cell.identity, 0) for cells in plan.cells for cell in cells}) == 1 + 3


def test_the_order_of_the_work_changes_no_byte(tmp_path, monkeypatch):
    """Cells may come in any order."""
    plan = planned(small(tmp_path))
    first = carried_out(plan, tmp_path / "a")
    monkeypatch.setattr(sweeps, "items_of", lambda plan, done: reversed(list(items_of(plan, done))))
    monkeypatch.setattr(plans, "MOST_MEMBERS", 1)
    second = carried_out(plan, tmp_path / "b")
    assert digests(first.folder) == digests(second.folder)


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(tmp_path):
    """One worker, two and three leave the same files."""
    path = small(tmp_path)
    found = [sweep(path, VARY, workers=count, out=tmp_path / str(count)) for count in (1, 2, 3)]
    assert len({digests(each.folder) for each in found}) == 1


def test_more_replications_keep_the_first_ones(tmp_path):
    """Replication r is the same however many there are."""
    few, many = (sweep(small(tmp_path), VARY, replications=count) for count in (1, 3))
    assert np.array_equal(one(few)["cost_usd_exact"], one(many, replication=0)["cost_usd_exact"])


def test_the_table_can_be_read_in_three_ways(tmp_path):
    """A structured array, a relation of DuckDB and the file say the same."""
    found = sweep(small(tmp_path), {"strategies.explicit.ttl": ["5m", "20m"], "load": [1, 2.5]}, out=tmp_path)
    total = sum(Fraction(text) for text in one(found)["cost_usd_exact"])
    again = found.relation().filter("stream = ''").project("cost_usd_exact").fetchall()
    assert total == sum(Fraction(text) for (text,) in again)
    file = duckdb.sql(f"SELECT count(*), max(load) FROM '{found.folder / 'results.parquet'}'").fetchall()
    assert file == [(len(found.table), 2.5)]
    assert found.table["load"].dtype == np.float64
    assert json.loads((found.folder / "summary.json").read_text()) == found.summary


def test_a_sweep_without_a_place_leaves_nothing_behind(tmp_path, monkeypatch):
    """The folder goes with the object."""
    monkeypatch.setattr(saving.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    found = sweep(small(tmp_path), ["load=1"])
    folder = found.folder
    assert folder.exists()
    del found
    assert not folder.exists()


def test_every_bad_setting_is_told_at_once_and_nothing_is_written(tmp_path):
    """All mistakes of all settings come in one list of at most twenty lines."""
    with pytest.raises(InputError) as caught:
        sweep(small(tmp_path), ["strategies.explicit.ttl=5m,-1h,soon", "load=1,-2"], out=tmp_path / "out")
    told = "\n".join(str(problem) for problem in caught.value.problems)
    assert all(text in told for text in ("ttl=-1h", "ttl=soon", "load=-2"))
    with pytest.raises(InputError) as caught:
        sweep(small(tmp_path), ["load=-100..-1:lin:50"], out=tmp_path / "out")
    assert len(caught.value.problems) == 20
    assert "31 mistakes more" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_prompts_too_long_are_told_before_anything_is_computed(tmp_path):
    """A setting whose prompts no model takes is a mistake, not a failed cell."""
    with pytest.raises(InputError, match="above the context window"):
        sweep(small(tmp_path), ["contexts.manual.tokens=20k,2M"], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_whole_numbers_are_found_out_from_the_scenario(tmp_path):
    """A count is swept in whole numbers, an exponent in broken ones."""
    plan = planned(
        small(tmp_path), ["contexts.manual.count=1..4:log:4", "contexts.manual.zipf=0..1:lin:4"], design="zip"
    )
    assert [dict(setting.values)["contexts.manual.count"] for setting in plan.settings] == ["1", "2", "3", "4"]
    assert dict(plan.settings[1].values)["contexts.manual.zipf"] == "0.333333333333"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"seed": 8}, "seed"),
        ({"replications": 3}, "replications"),
        ({"vary": ("strategies.explicit.ttl=5m,30m", "load=1,2")}, "vary.strategies.explicit.ttl"),
        ({"vary": VARY[::-1]}, "settings"),
        ({"design": "zip"}, "design"),
        ({"text": SMALL.replace('"1h"', '"2h"')}, "resolved.file.horizon"),
        ({"text": SMALL + '\n[strategies.batch]\nwindow = "5m"\n'}, "resolved.file.strategies.batch"),
        ({"code": "f" * 64}, "code"),
    ],
)
def test_another_sweep_is_refused_with_the_first_difference(tmp_path, monkeypatch, change, where):
    """A folder goes on with the very sweep that it was begun for."""
    path = small(tmp_path)
    begun = carried_out(planned(path), tmp_path / "out")
    before = digests(begun.folder)
    options = dict(change)
    if code := options.pop("code", None):
        monkeypatch.setattr(tasks, "code_digest", lambda: code)
    path.write_text(options.pop("text", SMALL))
    other = planned(path, options.pop("vary", VARY), **options)
    with pytest.raises(InputError) as caught:
        carried_out(other, tmp_path / "out", resume=begun.folder)
    (problem,) = caught.value.problems
    assert where in problem.path
    assert "another sweep" in problem.what
    assert digests(begun.folder) == before


def test_a_changed_book_is_another_sweep(tmp_path):
    """Prices that changed since a sweep was begun are refused by the book's digest."""
    path, book = small(tmp_path), tmp_path / "book.toml"
    text = (Path(sim.__file__).parent / "providers" / "google.toml").read_text()
    book.write_text(text)
    path.write_text('book = "book.toml"\n' + SMALL)
    begun = carried_out(planned(path), tmp_path / "out")
    book.write_text(text.replace("input = 0.10\n", "input = 0.09\n", 1))
    assert book.read_text() != text
    with pytest.raises(InputError, match=r"book\.sha256: this is another sweep"):
        carried_out(planned(path), tmp_path / "out", resume=begun.folder)


def test_a_finished_sweep_resumed_computes_nothing(tmp_path):
    """All its cells are there already."""
    plan = planned(small(tmp_path))
    begun = carried_out(plan, tmp_path / "out")
    again = carried_out(plan, tmp_path / "out", resume=begun.folder, progress=_never)
    assert digests(again.folder) == digests(begun.folder)
    assert again.folder == begun.folder


def _never(done, total):
    raise AssertionError("a cell was computed again")


def test_a_cell_that_fails_is_named_and_the_others_go_on(tmp_path, monkeypatch):
    """One strategy that breaks leaves the cells of the others, and is computed again when resumed."""
    plan = planned(small(tmp_path))

    def broken(pair, trace, **options):
        if pair.arm.name == "explicit" and pair.arm.spec.load == 2:
            raise ZeroDivisionError("a defect")
        return sim.experiments.simulate.ledger_of(pair, trace, **options)

    whole = carried_out(plan, tmp_path / "whole")
    monkeypatch.setattr(sim.experiments.items, "ledger_of", broken)
    found = carried_out(plan, tmp_path / "out")
    assert [(each.strategy, each.replication, each.settings) for each in found.failures] == [
        ("explicit", replication, (setting,)) for setting in (1, 3) for replication in (0, 1)
    ]
    assert {each.error for each in found.failures} == {"ZeroDivisionError: a defect"}
    assert len(one(found, strategy="none")) == len(one(whole, strategy="none"))
    monkeypatch.undo()
    again = carried_out(plan, tmp_path / "out", resume=found.folder)
    assert digests(again.folder) == digests(whole.folder)


def test_the_command_prints_saves_and_tells(tmp_path):
    """Results go to stdout, the folder to stderr, and the plan is told without a file written."""
    small(tmp_path)
    words = ["sweep", "small.toml", *(word for text in VARY for word in ("--vary", text))]
    dry = gcsim(*words, "--dry-run", "--json", cwd=tmp_path)
    assert dry.returncode == 0, dry.stderr
    plan = json.loads(dry.stdout)
    assert (plan["schema"], plan["settings"], plan["cells"], plan["items"]) == ("gcsim.plan/1", 4, 12, 4)
    assert plan["seconds"] > 0
    assert plan["bytes_each"] > 2**20
    assert not (tmp_path / "results").exists()
    ran = gcsim(*words, "--workers", 1, "--json", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    folder = tmp_path / ran.stderr.strip().removeprefix("saved: ")
    assert json.loads(ran.stdout) == json.loads((folder / "summary.json").read_text())
    shown = gcsim(*words, "--workers", 1, "--resume", folder, cwd=tmp_path)
    assert shown.returncode == 0
    assert "Cost of a run on gemini-2.5-flash" in shown.stdout


def test_every_mistake_of_the_command_line_is_told_at_once(tmp_path):
    """Exit 2, a line each, nothing written."""
    small(tmp_path)
    words = "sweep small.toml --vary load=1..2 --workers 0 --seed x --scheduler nowhere --resume there --out here"
    ran = gcsim(*words.split(), cwd=tmp_path)
    assert ran.returncode == 2
    for flag in ("--vary", "--workers", "--seed", "--scheduler", "--resume", "--out"):
        assert f"command line: {flag}: " in ran.stderr
    assert not (tmp_path / "here").exists()
    assert (
        "contradicts --set load"
        in gcsim(*["sweep", "small.toml", "--vary", "load=1", "--set", "load=2"], cwd=tmp_path).stderr
    )


def test_large_settings_are_the_same_on_either_engine(tmp_path, monkeypatch):
    """Replications in pieces give the bytes of those that are held in memory; a setting that fails fails alone."""
    monkeypatch.setattr(large, "LARGE", 0)
    monkeypatch.setattr(large, "PIECE", 10)
    path = small(tmp_path)
    found = [
        sweep(path, VARY, engine=engine, out=tmp_path / engine, replications=3) for engine in ("reference", "fast")
    ]
    assert digests(found[0].folder) == digests(found[1].folder)
    fed = sim.experiments.large.stream_of

    def broken(plan, *others):
        if plan.name == "explicit":
            raise ZeroDivisionError("a defect")
        return fed(plan, *others)

    monkeypatch.setattr(large, "stream_of", broken)
    hurt = sweep(path, VARY, engine="fast", replications=1)
    assert {failure.strategy for failure in hurt.failures} == {"explicit"}
    assert len(one(hurt, strategy="none")) == 4


def test_a_difference_between_the_engines_ends_a_sweep(tmp_path, monkeypatch):
    """Where the witness finds one, the sweep stops with the smallest trace that shows it, and exit code 4."""
    monkeypatch.setattr(items, "WITNESSED", 1)
    fast = sim.engines.choice.engine_of("fast")

    def faulty(*case, **options):
        ledger = fast(*case, **options)
        return ledger._replace(done=ledger.done + (ledger.done > 1_800_000))

    monkeypatch.setattr(sim.engines.witness, "engine_of", lambda name: {"fast": faulty}.get(name) or engine_of(name))
    with pytest.raises(EngineError, match="the compiled engine differs from the reference under none in done") as told:
        sweep(small(tmp_path), VARY, engine="fast", out=tmp_path / "out")
    assert told.value.exit_code == 4
    assert "request was arrive leaf" in str(told.value)


def test_some_cells_of_every_sweep_are_witnessed():
    """One cell in a hundred is, by its key alone."""
    keys = [cell_key("a task", replication) for replication in range(20_000)]
    assert 140 <= sum(map(items.is_witnessed, keys)) <= 260  # 200, standard error 14


def test_the_quickstart_is_swept_by_the_command(tmp_path):
    """Three TTLs on three replications, against another baseline and book, end to end."""
    words = "sweep quickstart --vary strategies.explicit.ttl=15m,30m,1h --replications 3 --workers 1 --json"
    ran = gcsim(*words.split(), "--baseline", "implicit", "--book", "google", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert [setting["baseline"] for setting in found["settings"]] == ["implicit"] * 3
    costs = [
        [result["cost_usd"]["mean"] for result in setting["results"] if result["strategy"] == "explicit"]
        for setting in found["settings"]
    ]
    assert len({cost for (cost,) in costs}) == 3
    for flag, value, told in (("--baseline", "nobody", "unknown strategy"), ("--book", "nothing", "no such book")):
        wrong = gcsim(*words.split(), flag, value, cwd=tmp_path)
        assert wrong.returncode == 2
        assert told in wrong.stderr


def test_replications_of_one_workload_are_each_their_own(tmp_path):
    """Settings that share their traffic give, replication by replication, what runs of theirs give."""
    path = small(tmp_path)
    found = sweep(path, ["strategies.explicit.ttl=5m,20m"], replications=3)
    for ttl in ("5m", "20m"):
        run = sim.run(sim.load(path, sets=[f"strategies.explicit.ttl={ttl}"]), replications=3)
        expected = [str(row["cost_usd_exact"]) for row in rows(run) if row["stream"] == ""]
        mine = found.table[(found.table["stream"] == "") & (found.table["strategies.explicit.ttl"] == ttl)]
        assert mine["cost_usd_exact"].tolist() == expected


def test_pandas_is_asked_for_by_name(tmp_path):
    """Without pandas the table says what is missing, and what does without."""
    found = sweep(small(tmp_path), ["load=1"], replications=1)
    if importlib.util.find_spec("pandas") is not None:
        assert len(found.to_pandas()) == len(found.table)
    else:
        with pytest.raises(ImportError, match="needs pandas"):
            found.to_pandas()


BATCHED = SMALL + '\n[strategies.batch]\nwindow = "5m"\n\n[strategies.hybrid]\nttl = "1h"\nwindow = "5m"\n'


def test_what_no_setting_can_vouch_for_is_told_once(tmp_path):
    """Jobs that may be stuck are a doubt of every setting: one line of the sweep, none of its settings."""
    path = small(tmp_path)
    path.write_text(BATCHED)
    found = sweep(path, ["load=1,2"], replications=12, workers=1)
    (told,) = [text for text in found.summary["warnings"] if "batch jobs" in text]
    assert "(batch, hybrid)" in told
    assert "12 replications may have missed what happens less than once in 4" in told
    assert not [text for setting in found.summary["settings"] for text in setting["warnings"] if "batch jobs" in text]
    alone = sweep(path, ["strategies.explicit.ttl=5m"], replications=12, workers=1, sets=["strategies.batch.size=1"])
    assert told in alone.summary["warnings"]


def test_replications_that_failed_are_no_sign_of_a_scenario_without_luck(tmp_path, monkeypatch):
    """Of two replications one fails: what is left has nothing to differ from, and is not called the same."""
    whole, traces = items.ledger_of, []

    def broken(pair, trace, **options):
        traces.append(trace)
        if trace is not traces[0]:
            raise ZeroDivisionError("a defect")
        return whole(pair, trace, **options)

    monkeypatch.setattr(items, "ledger_of", broken)
    found = sweep(small(tmp_path), ["load=1"], workers=1)
    assert len(found.failures) == 2
    told = found.summary["warnings"]
    assert not any("nothing in this scenario is random" in text for text in told)
    assert any("2 replications are too few" in text for text in told)


def warned(*of_settings, common=()):
    """Return the printed warnings of a sweep over loads, given those of each setting."""
    settings = [
        {"setting": number, "values": {"load": str(number)}, "results": [], "warnings": list(texts)}
        for number, texts in enumerate(of_settings)
    ]
    head = {"question": "?", "scenario": "s", "design": "grid", "seed": 1, "book": "google", "replications": 2}
    report = sweep_report({**head, "varied": ["load"], "warnings": list(common), "settings": settings})
    return [str(part).removeprefix("Warning: ") for part in report if str(part).startswith("Warning: ")]


def test_warnings_of_a_sweep_are_no_wall_of_text():
    """What differs in its figures alone is one line, with the settings that it is about; names keep their figures."""
    skewed = "cost of {} on gemini-2.5-flash: skewness {:+.1f} over 1,000 replications"
    few = warned([skewed.format("a", 2.5)], [], [skewed.format("a", 3.5), "b waits"], common=["all of it"])
    first = skewed.format("a", 2.5)
    assert few == [
        "all of it",
        f"at load=0; load=2: {first} (the figures are those of the first)",
        "at load=2: b waits",
    ]
    many = warned(*[[skewed.format("a", number)] for number in range(40)], [])
    assert many == [
        f"at 40 of 41 settings, such as load=0: {skewed.format('a', 0)} (the figures are those of the first)"
    ]
    models = warned(["m on gemini-2.5-flash"], ["m on gemini-3.1-flash"], ["m on gemini-2.5-flash"])
    assert models == ["at load=0; load=2: m on gemini-2.5-flash", "at load=1: m on gemini-3.1-flash"]
