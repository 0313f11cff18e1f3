"""The laboratory of decisions: what it gives is what a sweep gives, each cell is computed once, and nothing is lost."""

import json
import signal
from fractions import Fraction

import pytest
from sweeps import small

from sim.cells import Resumable
from sim.decisions.finding import found, read
from sim.decisions.laboratory import Ask, Failed
from sim.errors import EngineError, InputError
from sim.experiments import items as work
from sim.experiments.sweep import sweep

PRICE = 'prices."gemini-2.5-flash".cached'
SETTINGS = [("load=1",), ("load=2",), ("load=2", "strategies.explicit.ttl=5m")]


@pytest.fixture
def base(tmp_path):
    return read(small(tmp_path), {})


def asked(base, answer, **means):
    """Return the finding of a study whose document holds what ``answer`` returns of its source."""
    return found("test", base, {"by": "a test"}, lambda source: {"answer": answer(source)}, means)


def costs(found_there, strategy):
    return [Fraction(row["cost_usd_exact"]) for row in found_there.of(strategy)]


def counted(monkeypatch):
    """Return the list to which every run of an engine is added."""
    runs = []
    real = work.ledger_of

    def counting(pair, trace, **options):
        runs.append((pair.arm.name, trace.requests))
        return real(pair, trace, **options)

    monkeypatch.setattr(work, "ledger_of", counting)
    return runs


def test_cells_are_those_of_a_sweep(base, tmp_path):
    """A setting's rows are the rows that ``gcsim sweep`` has for it, in every column."""
    swept = sweep(base, {"load": [1, 2]}, replications=3, workers=1, out=tmp_path / "swept")
    columns = [name for name in swept.relation().columns if name not in ("setting", "load")]
    wanted = swept.relation().project(", ".join(columns)).order("ALL").fetchall()
    finding = asked(base, lambda source: source.find([Ask(("load=1",)), Ask(("load=2",))], range(3)) and 1)
    assert finding.relation().project(", ".join(columns)).order("ALL").fetchall() == wanted
    assert len(wanted) == 2 * 2 * 3 * 2


def test_strategies_and_replications_are_those_that_were_asked_for(base):
    """Only the strategies asked for are run, on the replications asked for, in their order."""

    def answer(source):
        here = source.find([Ask((), ("explicit",))], [4, 1])[0]
        assert list(here.rows) == [("explicit", "gemini-2.5-flash")]
        return [row["replication"] for row in here.of("explicit", stream="chat")]

    assert asked(base, answer).summary["answer"] == [4, 1]


def test_a_cell_is_computed_once(base, monkeypatch):
    """What was asked for before, or is shared by two settings, is not computed again."""
    runs = counted(monkeypatch)

    def answer(source):
        first = source.find([Ask(sets) for sets in SETTINGS], range(2))
        count = len(runs)
        again = source.find([Ask(sets) for sets in reversed(SETTINGS)], range(2))
        assert costs(first[0], "explicit") == costs(again[2], "explicit")
        return [count, len(runs)]

    # two strategies on two loads, and explicit once more under another ttl; each on two replications
    assert asked(base, answer).summary["answer"] == [2 * (2 * 2 + 1), 2 * (2 * 2 + 1)]


def test_what_differs_in_prices_only_is_rated_again_and_not_played_again(base, monkeypatch):
    """The bills under other prices are those of runs of their own, to the picodollar (P86); the engine ran once."""
    sets = [(f"{PRICE}={price}",) for price in ("0.01", "0.03", "0.2")]
    alone = [asked(base, lambda source, one=one: costs_text(source.find([Ask(one)], range(2)))) for one in sets]
    runs = counted(monkeypatch)
    together = asked(base, lambda source: costs_text(source.find([Ask(one) for one in sets], range(2))))
    assert together.summary["answer"] == [text for one in alone for text in one.summary["answer"]]
    assert len(set(together.summary["answer"])) == 3 + 1  # explicit reads its cache, none has none
    assert len(runs) == 2 * 2


def test_the_reference_is_no_witness_of_itself(base, monkeypatch):
    """A cell that the fast engine would have witnessed shares its ledger too where the reference runs it."""
    monkeypatch.setattr(work, "is_witnessed", lambda _: True)
    runs = counted(monkeypatch)
    sets = [(f"{PRICE}={price}",) for price in ("0.01", "0.2")]
    asked(base, lambda source: len(source.find([Ask(one) for one in sets], range(1))), engine="reference")
    assert len(runs) == 2


def costs_text(settings):
    return [str(sum(costs(one, name))) for one in settings for name in ("none", "explicit")]


def test_a_price_that_moves_the_engine_is_played_again(base, monkeypatch):
    """Where a limit counts dollars, prices decide which calls are let through: such settings share no run."""
    runs = counted(monkeypatch)
    limited = "project.limits.usd_per_10_minutes=0.01"
    sets = [(limited, f'prices."gemini-2.5-flash".input={price}') for price in ("0.1", "0.9")]
    asked(base, lambda source: len(source.find([Ask(one, ("none",)) for one in sets], range(2))))
    assert len(runs) == 2 * 2


@pytest.mark.parametrize("signals", [1, 7])
def test_a_study_that_was_stopped_goes_on_where_it_was(base, tmp_path, monkeypatch, signals):
    """After an interrupt the folder has the finished cells; resumed, they are kept and the documents are the same."""

    def answer(source):
        return costs_text(source.find([Ask(sets) for sets in SETTINGS], range(3)))

    whole = asked(base, answer, out=tmp_path / "whole", workers=1)
    seen = []

    def stop(done, _):
        seen.append(done)
        if len(seen) == signals + 1:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Resumable, match=r"interrupted; \d+ cells are saved in ") as stopped:
        asked(base, answer, out=tmp_path / "cut", workers=1, progress=stop)
    runs = counted(monkeypatch)
    resumed = asked(base, answer, resume=stopped.value.folder, workers=1)
    assert len(runs) == 3 * (2 * 2 + 1) - signals
    for name in ("summary.json", "results.parquet"):
        assert (resumed.folder / name).read_bytes() == (whole.folder / name).read_bytes()


def test_another_question_does_not_go_on_in_the_folder(base, tmp_path):
    """A folder knows what was asked in it; the first difference is named."""
    first = found("test", base, {"limit": 1}, lambda _: {}, {"out": tmp_path})
    with pytest.raises(InputError, match=r"asked\.limit: this is another study; 1 as it began; got 2"):
        found("test", base, {"limit": 2}, lambda _: {}, {"resume": first.folder})


def test_a_setting_that_is_no_scenario_is_told_as_one_line(base):
    """A mistake in an override is that of any command; nothing is computed."""
    with pytest.raises(InputError, match=r"--set .*ttl=soon: strategies\.explicit\.ttl: not a duration"):
        asked(base, lambda source: source.find([Ask(("strategies.explicit.ttl=soon",))], range(1)))


def test_a_cell_that_fails_ends_the_study_by_name(base, tmp_path, monkeypatch):
    """Nothing is decided without a cell that failed; the others are saved."""
    real = work.ledger_of

    def failing(pair, trace, **options):
        if pair.arm.name == "explicit":
            raise EngineError("a law is broken")
        return real(pair, trace, **options)

    monkeypatch.setattr(work, "ledger_of", failing)
    with pytest.raises(Failed, match=r"explicit on .*, replication 0: a law is broken, and 1 cells more"):
        asked(base, lambda source: source.find([Ask()], range(2)), out=tmp_path)
    (journal,) = tmp_path.glob("small/*/cells.journal")
    assert journal.stat().st_size > 1_000


def test_the_document_has_its_head_its_assumptions_and_its_warnings(base):
    """A document tells its schema, its scenario, its seed, what was assumed, and the study's own warnings first."""
    finding = found(
        "test", base, {}, lambda source: {"n": len(source.find([Ask()], range(1))), "warnings": ["mind"]}, {"seed": 5}
    )
    saved = json.loads((finding.folder / "summary.json").read_text())
    assert saved == finding.summary
    assert (saved["schema"], saved["scenario"], saved["seed"], saved["n"]) == ("gcsim.test/1", "small", 5, 1)
    assert saved["warnings"][0] == "mind"
    assert any("hit" in one["text"] for one in saved["assumptions"])


@pytest.mark.slow
def test_workers_change_nothing(base, tmp_path):
    """Two workers, taking on one study after another, leave the same bytes as this process alone (P79)."""

    def answer(source):
        first = costs_text(source.find([Ask(sets) for sets in SETTINGS], range(3)))
        return first + costs_text(source.find([Ask(("load=3",)), *map(Ask, SETTINGS)], range(5)))

    alone, two = (asked(base, answer, out=tmp_path / str(n), workers=n) for n in (1, 2))
    for name in ("summary.json", "results.parquet"):
        assert (alone.folder / name).read_bytes() == (two.folder / name).read_bytes()


JOBS = '\n[strategies.batch]\nwindow = "5m"\n\n[strategies.hybrid]\nttl = "1h"\nwindow = "5m"\n'
FIXED = 'service.batch.turnaround.components=[{weight = 1.0, median = "10m"}]'


def test_a_study_names_the_bills_that_no_sample_vouches_for(tmp_path):
    """Strategies with batch jobs that were asked for stand in one line, with the replications that each had at least.

    No line is told where none was asked for, nor where all jobs take the same time.
    """
    path = small(tmp_path)
    path.write_text(path.read_text() + JOBS)

    def told(*asks, sets=()):
        here = read(path, {"sets": sets})
        finding = asked(here, lambda source: [len(source.find([one], range(n))) for one, n in asks])
        return [text for text in finding.summary["warnings"] if "batch jobs" in text]

    (one,) = told((Ask((), ("batch", "none")), 12), (Ask(("load=2",), ("hybrid",)), 15), (Ask((), ("batch",)), 3))
    assert one.startswith("bills with batch jobs (batch, hybrid), and what they save: ")
    assert "12 replications may have missed what happens less than once in 4" in one
    (few,) = told((Ask((), ("hybrid",)), 2), (Ask((), ("hybrid",), first=5), 2))
    assert "4 replications hardly show it" in few
    assert told((Ask((), ("none", "explicit")), 12)) == []
    assert told((Ask((), ("batch",)), 12), sets=[FIXED]) == []
