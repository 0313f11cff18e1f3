"""Sensitivity studies: functions whose indices are known, through the code path of the simulator; exact prices."""

import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from sources import Made
from sweeps import digests, small

import sim
from sim.cli import main
from sim.decisions.drivers.inputs import inputs_of
from sim.decisions.drivers.methods import Sizes
from sim.decisions.drivers.outputs import Sample, noise
from sim.decisions.drivers.sensitivity import answer, question_of, sensitivity
from sim.decisions.drivers.usual import usual
from sim.errors import InputError
from sim.report.sensitivity_table import sensitivity_report

G = np.array([0.0, 1.0, 4.5, 9.0, 99.0])
C = np.array([4.0, -2.0, 1.0, 0.0])
OFFSET = 100.0  # so that no made bill is below zero

# paths that take any number of a range of width one: what they mean is up to the function
AXES = {
    "load": 1,
    "service.slowness_cv": 0,
    "streams.chat.fresh.cv": 1,
    "contexts.manual.zipf": 0,
    "client.backoff.factor": 1,
}


def ishigami(x):
    x = math.pi * (2 * x - 1)
    return np.sin(x[0]) + 7 * np.sin(x[1]) ** 2 + 0.1 * x[2] ** 4 * np.sin(x[0])


def sobol_g(x):
    return np.prod((np.abs(4 * x - 2) + G) / (1 + G))


def linear(x):
    return x @ C


def _ishigami_exact():
    alone, second, joint = (1 + 0.1 * math.pi**4 / 5) ** 2 / 2, 49 / 8, 0.01 * math.pi**8 * 8 / 225
    whole = alone + second + joint
    return np.array([alone, second, 0]) / whole, np.array([alone + joint, second, joint]) / whole


def _g_exact():
    each = 1 / (3 * (1 + G) ** 2)
    whole = np.prod(1 + each) - 1
    return each / whole, each * np.prod(1 + each) / (1 + each) / whole


FUNCTIONS = {
    "ishigami": (ishigami, *_ishigami_exact()),
    "sobol_g": (sobol_g, *_g_exact()),
    "linear": (linear, C**2 / (C @ C), C**2 / (C @ C)),
}


@pytest.fixture
def base(tmp_path):
    return sim.load(small(tmp_path))


def ranges(count):
    return [f"{path}={low}..{low + 1}" for path, low in list(AXES.items())[:count]]


def made(base, function, count, *, seed=1, luck=0.0):
    """A source whose cost and p95 are a function of the overrides, from the middle where there is none."""

    def columns(place):
        at = np.array([place.number(path, low + 0.5) - low for path, low in list(AXES.items())[:count]])
        noisy = OFFSET + function(at) + luck * place.luck.normal(f"luck of {sorted(place.sets.items())}")
        return {"cost_usd": noisy, "latency_p95_s": noisy}

    return Made(base, columns, seed=seed)


def found(base, name, *, seed=1, luck=0.0, **options):
    function, first, _ = FUNCTIONS[name]
    options = {"outputs": ("cost",), "strategies": ("none",), **options}
    question = question_of(base, ranges(len(first)), **options)
    return answer(question, made(base, function, len(first), seed=seed, luck=luck))


def means(document, method, *parts):
    inputs = document[method]["outputs"][0]["inputs"]
    return np.array([[one[part]["mean"] for one in inputs] for part in parts])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sobol_indices_come_through_the_whole_command(base, name):
    """O39, T2: over eight nets of 128 rows (seeds 0 to 7) both indices are within 4 standard errors of the truth."""
    _, first, total = FUNCTIONS[name]
    sizes = Sizes(rows=128)
    runs = [found(base, name, seed=seed, method="sobol", sizes=sizes, replications=1) for seed in range(8)]
    each = np.array([means(run, "sobol", "first", "total") for run in runs])  # (seeds, 2, inputs)
    error = each.std(axis=0, ddof=1) / math.sqrt(len(each))
    allowed = 4 * error + 2e-3  # the ratio's bias, of the order of 1 / rows
    assert np.all(np.abs(each.mean(axis=0) - [first, total]) <= allowed)
    assert not np.all(np.abs(each.mean(axis=0) - [first[::-1], total[::-1]]) <= allowed)  # another order of inputs


def test_sobol_intervals_hold_the_exact_indices(base):
    """O39: 95 % bootstrap intervals of one net of 256 rows (seed 5) hold Ishigami's six indices."""
    _, first, total = FUNCTIONS["ishigami"]
    entries = found(base, "ishigami", seed=5, method="sobol", sizes=Sizes(rows=256))["sobol"]["outputs"][0]["inputs"]
    for entry, *exact in zip(entries, first, total, strict=True):
        for part, value in zip(("first", "total"), exact, strict=True):
            assert entry[part]["lo"] <= value <= entry[part]["hi"]


def test_effects_and_swings_of_a_linear_cost_are_its_coefficients(base):
    """O39: mu, mu* and the swing are the coefficients and their sizes, sigma is 0, and the ranking is by size."""
    document = found(base, "linear", method="all", sizes=Sizes(points=50))
    assert means(document, "morris", "mu", "mu_star", "sigma") == pytest.approx(np.array([C, abs(C), 0 * C]), abs=1e-9)
    assert [entry["path"] for entry in document["morris"]["ranking"]] == list(AXES)[:4]
    assert [entry["share"] for entry in document["morris"]["ranking"]] == pytest.approx([4 / 7, 2 / 7, 1 / 7, 0])
    swings = {one["path"]: one for one in document["tornado"]["outputs"][0]["inputs"]}
    assert list(swings) == list(AXES)[:4]
    assert [one["swing"]["mean"] for one in swings.values()] == pytest.approx(C)
    assert [one["low"] for one in swings.values()] == pytest.approx(OFFSET + C.sum() / 2 - C / 2)
    assert document["drivers"][0] | {"inputs": list(AXES)[:3]} == document["drivers"][0]


def test_pawn_finds_the_input_that_is_all_of_the_output(base):
    """Of ``y = 4 x1 - 2 x2 + x3`` the first input moves the distribution most, and the fourth no more than chance."""
    document = found(base, "linear", method="pawn", sizes=Sizes(points=400))
    one, two, _, inert = document["pawn"]["outputs"][0]["inputs"]
    assert one["whole"]["median"] > two["whole"]["median"] > inert["whole"]["median"]
    assert (one["whole"]["matters"], inert["tail"]["matters"]) == (True, False)


def test_more_than_five_inputs_are_screened_and_the_first_five_decomposed(base):
    """Sobol' indices are of the five inputs that Morris ranks first; the others stay as the scenario has them."""
    paths = [*AXES, "streams.chat.output.cv"]
    weights = dict(zip(paths, [3.0, 1.0, 0.0, 5.0, 2.0, 4.0], strict=True))

    def columns(place):
        return {"cost_usd": OFFSET + sum(weights[path] * float(value) for path, value in place.sets.items())}

    source = Made(base, columns)
    vary = [*ranges(5), "streams.chat.output.cv=0.5..1.5"]
    question = question_of(base, vary, "auto", ("cost",), ("none",), Sizes(rows=8))
    document = answer(question, source)
    assert document["methods"] == ["morris", "sobol", "tornado"]
    assert document["sobol"]["inputs"] == sorted(set(paths) - {"streams.chat.fresh.cv"}, key=lambda p: -weights[p])
    assert document["drivers"][0]["by"] == "morris mu_star"  # the only index that all inputs have
    asks, _ = source.asked[-1]
    assert all({text.partition("=")[0] for text in ask.sets} == set(document["sobol"]["inputs"]) for ask in asks)


def test_the_noise_of_runs_is_told_and_warned_of(base):
    """Luck of its own at every point is the stated share of the variance over points, and none without luck."""
    quiet, loud = (found(base, "linear", luck=luck, replications=4) for luck in (0.0, 2.0))
    assert quiet["sobol"]["outputs"][0]["noise"] == 0
    assert not quiet["warnings"]
    by_inputs = float(C @ C) / 12
    expected = (2.0**2 / 4) / (2.0**2 / 4 + by_inputs)
    assert loud["sobol"]["outputs"][0]["noise"] == pytest.approx(expected, rel=0.2)  # over 384 points
    assert "is luck, which" in loud["warnings"][0]


def test_luck_that_is_common_to_all_points_is_no_noise():
    """What every point meets alike moves no difference between them; what hangs on the point does."""
    inputs, common, own = np.arange(50.0)[:, None], np.array([[0.0, 100.0]]), np.eye(50, 2) * 1e-3
    assert noise(Sample(inputs[:, 0], inputs + common)) == 0
    assert 0 < noise(Sample(inputs[:, 0], inputs + common + own)) < 1e-6
    assert noise(Sample(inputs[:, 0], inputs)) is None


PRICES = {"input": 1, "cached": 1, "output": 1, "storage": 1}
MODEL = "gemini-2.5-flash"


def test_the_tornado_of_prices_is_the_bill(tmp_path):
    """O39: at fixed usage a price from half to twice moves the cost by 1.5 times its lines, to the picodollar."""
    path = small(tmp_path)
    base = sim.load(path)
    entry = base.book.entry(MODEL, base.spec.start_ms)
    vary = [f'prices."{MODEL}".{name}={price(entry, name) / 2}..{price(entry, name) * 2}' for name in PRICES]
    study = sensitivity(path, vary=vary, method="tornado", outputs=("cost",), replications=3, workers=1)
    run = sim.run(base, replications=3)
    lines_of = {"input": ("input", "creation"), "cached": ("cached",), "output": ("output",), "storage": ("storage",)}
    for output in study.summary["tornado"]["outputs"]:
        cells = run.of(output["strategy"], MODEL)
        for one in output["inputs"]:
            lines = lines_of[one["path"].rpartition(".")[2]]
            spent = sum(cell.lines_usd.get(line, Fraction(0)) for cell in cells for line in lines) / 3
            assert Fraction(one["high_exact"]) - Fraction(one["low_exact"]) == spent * Fraction(3, 2)
            assert Fraction(output["base_exact"]) - Fraction(one["low_exact"]) == spent / 2
        assert any(Fraction(one["high_exact"]) != Fraction(one["low_exact"]) for one in output["inputs"])


def price(entry, name):
    return float(Fraction(entry.price("input" if name == "creation" else name)) / 10**6)


def test_points_that_differ_in_prices_only_share_an_engine_run(tmp_path, monkeypatch):
    """Prices are rated again: of all points of a design over prices each strategy is simulated once a replication."""
    from sim.experiments import items

    runs = []
    genuine = items.ledger_of
    monkeypatch.setattr(items, "ledger_of", lambda *a, **k: (runs.append(1), genuine(*a, **k))[1])
    monkeypatch.setattr(items, "is_witnessed", lambda _: False)
    vary = [f'prices."{MODEL}".input=0.1..1', f'prices."{MODEL}".output=1..5']
    sensitivity(small(tmp_path), vary=vary, method="sobol", rows=4, outputs=("cost",), workers=1)
    assert len(runs) == 2 * 2  # strategies x replications


def test_the_best_strategy_is_told_where_an_input_changes_it(base):
    """The winner is the cheapest that keeps the patience target, at each end of each input."""

    def columns(place):
        load = place.number("load", 1.0)
        late = place.strategy == "none" and place.number("service.slowness_cv", 0.3) > 0.9
        return {"cost_usd": load if place.strategy == "none" else 1.5, "within_patience": 50 if late else 100}

    question = question_of(base, ["load=1..2", "service.slowness_cv=0..1"], "tornado")
    best = answer(question, Made(base, columns))["tornado"]["winners"][0]
    assert (best["strategy"], best["second"], best["margin_usd"]["mean"]) == ("none", "explicit", 0.5)
    changes = [(one["path"], one["end"], one["value"], one["strategy"]) for one in best["changes"]]
    assert changes == [("load", "high", "2", "explicit"), ("service.slowness_cv", "high", "1", "explicit")]


def test_a_winner_is_undecided_where_a_cheaper_one_may_be_in_time(base):
    """Two of ten replications late is not surely late: the tornado says so of that end, and not where all are late."""

    def columns(place):
        cheap, times = place.strategy == "explicit", place.luck.replications
        late = times < {"2": 2, "1": 10}.get(place.sets.get("load"), 0)
        return {"cost_usd": 1.0 if cheap else 2.0, "within_patience": np.where(cheap & late, 0, 100)}

    question = question_of(base, ["load=1..2"], "tornado", replications=10)
    document = answer(question, Made(base, columns))
    best = document["tornado"]["winners"][0]
    assert (best["strategy"], best["undecided"]) == ("explicit", False)
    told = [(one["end"], one["strategy"], one["undecided"], one["unsure_in_time"]) for one in best["changes"]]
    assert told == [("low", "none", False, []), ("high", "none", True, ["explicit"])]
    frame = {"scenario": "small", "question": "?", "seed": 1, "book": "google", "warnings": [], "assumptions": []}
    texts = [str(part) for part in sensitivity_report(document | frame)]
    doubt = "(undecided against explicit, as explicit may keep the patience target or miss it)"
    assert [text.endswith(doubt) for text in texts if text.startswith("  load")] == [False, True]


def test_an_output_without_a_value_has_no_indices_and_says_so(base):
    """Where nothing is answered at some points there is no p95: it is told, and the cost has its indices."""

    def columns(place):
        load = place.number("load", 1.0)
        return {"cost_usd": load, "latency_p95_s": None if load > 1.9 else load}

    question = question_of(base, ["load=1..2"], "all", ("cost", "p95"), ("none",), Sizes(points=50))
    document = answer(question, Made(base, columns))
    cost, p95 = document["sobol"]["outputs"]
    assert (len(cost["inputs"]), p95["inputs"]) == (1, [])
    assert p95["missing"] > 0
    assert document["tornado"]["outputs"][1]["inputs"][0]["swing"] is None
    assert any("p95 of none" in text and "no value at" in text for text in document["warnings"])
    json.dumps(document, allow_nan=False)


def test_inputs_are_those_asked_for_else_the_scenarios_else_the_usual(tmp_path):
    """--vary, laws of the scenario and what is usual: each says where it comes from."""
    path = small(tmp_path)
    base = sim.load(path)
    given = inputs_of(base, ["load=0.5..2:log", "strategies.explicit.ttl=5m,10m", "contexts.manual.count=1..4"])
    assert given.origin == "given"
    assert given.sets([0.5, 0.0, 1.0]) == ("load=1", "strategies.explicit.ttl=5m", "contexts.manual.count=4")
    law = "load=lognormal(1, cv=0.3)"
    own = inputs_of(sim.load(path, sets=[law]), [])
    assert (own.origin, own.paths) == ("scenario", ["load"])
    assert own.ends(0) == (0.05, 0.95)  # no range bounds a lognormal law
    derived = inputs_of(base, [])
    assert derived.origin == "derived"
    assert "streams.chat.arrivals.rate=loguniform(15/h, 60/h)" in derived.texts
    assert {path.split(".")[0] for path in derived.paths} == {"streams", "contexts", "strategies", "prices", "service"}


@pytest.mark.parametrize(
    "name", ["quickstart", "guide-2-nightly-records", "mixed-day", "tier-1-queue", "video-questions"]
)
def test_scenarios_have_something_usual_to_vary(name):
    """What is derived from a scenario can be read at both ends of every input."""
    base = sim.load(name)
    inputs = inputs_of(base, [])
    assert inputs.origin == "derived"
    assert len(inputs.texts) == len(usual(base)) >= 5
    for share in (0.0, 1.0):
        at = [inputs.ends(number)[int(share)] for number in range(len(inputs.every))]
        sim.load(name, sets=inputs.sets(at))


def test_names_of_any_kind_have_what_is_usual(tmp_path):
    """A stream, a context and a strategy with dots, spaces or quotes in their names are varied like all others."""
    text = (Path(__file__).parents[1] / "scenarios" / "quickstart.toml").read_text(encoding="utf-8")
    plain = [one.partition("=") for one in usual(sim.load("quickstart"))]
    renamed = text.replace("streams.desk]", "streams.'de\"sk [b]']").replace(
        "[contexts.manuals]", '[contexts."man uals"]'
    )
    renamed = renamed.replace('"manuals"\n', '"man uals"\n')
    path = tmp_path / "named.toml"
    path.write_text(renamed, encoding="utf-8")
    found = [one.partition("=") for one in usual(sim.load(path))]
    assert [law for *_, law in found] == [law for *_, law in plain]
    assert sum("'de\"sk [b]'" in name for name, *_ in found) == sum(".desk." in name for name, *_ in plain) > 1


def test_the_patience_target_may_be_varied_though_no_scenario_is_unsure_of_it(base):
    """What a target costs is a question, so it is an input where it is asked for."""
    inputs = inputs_of(base, ["patience_target=0.5..0.9", "load=1..2:lin"])
    assert inputs.sets([0.25, 1.0]) == ("patience_target=0.6", "load=2")
    for wrong in ("patience_target=0.5..1.5", "patience_target=0.9..0.5"):
        with pytest.raises(InputError, match="--vary patience_target"):
            inputs_of(base, [wrong])


def test_members_of_a_joint_law_move_together(base):
    """A share of a turnaround is drawn with the others, which are at their means where only one is varied."""
    texts = [f"service.batch.turnaround.components[{n}].weight=dirichlet({a})" for n, a in enumerate((12, 7.4, 0.6))]
    inputs = inputs_of(base, texts)
    sets = dict(text.split("=") for text in inputs.sets([0.9, None, None]))
    weights = [float(value) for value in sets.values()]
    assert len(weights) == 3
    assert math.fsum(weights) == pytest.approx(1, abs=1e-12)
    assert weights[1] / weights[2] == pytest.approx(7.4 / 0.6)


def test_every_mistake_is_told_at_once(base):
    """Unknown methods, measures, strategies, sizes and paths are one line each."""
    with pytest.raises(InputError) as caught:
        question_of(
            base, ["load=2", "no.such=1..2", "load", "seed=1..2"], "moris", ("costs",), ("nobody",), Sizes(1, 100, 2), 0
        )
    told = str(caught.value)
    for part in (
        "moris",
        "costs",
        "nobody",
        "--trajectories",
        "--rows",
        "--points",
        "--replications",
        "--vary",
        "seed",
    ):
        assert part in told
    for text, part in (
        ("load=-1..2", "must be"),
        ("load=0..2", "load"),
        ("load=2..1", "LOW"),
        ("load=1..2:cubic", "lin or log"),
        ("contexts.manual.tokens=many..more", "no quantity"),
        ("no.such=1..2", "unknown key"),
        ("load=normal(1)", "normal"),
    ):
        with pytest.raises(InputError, match=part) as caught:
            question_of(base, [text])
        assert all("--vary" in problem.file or problem.path == "--vary" for problem in caught.value.problems)


def test_the_command_prints_the_answer_first_and_writes_its_document(tmp_path, capsys):
    """The report names the drivers, how to read them, and the assumptions; --json is the document that is saved."""
    words = ["sensitivity", str(small(tmp_path)), "--vary", "load=0.5..2", "--vary", "strategies.explicit.ttl=5m..20m"]
    words += ["--rows", "4", "--trajectories", "2", "--points", "20", "--method", "all", "--workers", "1"]
    words += ["--out", str(tmp_path)]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith("explicit is the cheapest in time: its cost by load and explicit.ttl; its saving by")
    for part in ("mu*", "total %", "PAWN", "swing", "strategies.explicit.ttl", "How far", "Assumptions in force"):
        assert part.lower() in text.lower()
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "gcsim.sensitivity/1"
    assert [one["path"] for one in document["inputs"]] == ["load", "strategies.explicit.ttl"]


def test_bad_commands_leave_with_two_and_write_nothing(tmp_path, capsys):
    """Every mistake is a line on stderr; no folder is made."""
    with pytest.raises(SystemExit) as left:
        main(["sensitivity", str(small(tmp_path)), "--rows", "many", "--vary", "load", "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "--rows" in told
    assert "not something to vary" in told
    assert not list((tmp_path / "out").glob("*/*"))


def test_the_script_that_a_user_copies_runs(tmp_path):
    """It has under 40 lines, and prints three inputs and where two strategies cost the same."""
    script = Path(__file__).parents[1] / "scenarios" / "ttl_sensitivity.py"
    copied = tmp_path / "my_ttl.py"
    copied.write_bytes(script.read_bytes())
    assert len(copied.read_text().splitlines()) < 40
    left = subprocess.run([sys.executable, copied], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (left.returncode, left.stderr) == (0, "")
    lines = left.stdout.splitlines()
    assert [line.partition(":")[0].rpartition(".")[2] for line in lines[:3]] == ["ttl", "rate", "storage"]
    assert lines[3].startswith("explicit ")
    assert any(line.startswith("explicit = implicit at a rate of ") for line in lines[4:])


@pytest.mark.slow
def test_the_same_design_gives_the_same_bytes_on_two_workers(tmp_path):
    """No result depends on who computed it."""
    options = {"vary": ["load=0.5..2"], "rows": 4, "trajectories": 2, "method": "all", "points": 20}
    one, two = (sensitivity(small(tmp_path), workers=n, out=tmp_path / str(n), **options) for n in (1, 2))
    assert digests(one.folder) == digests(two.folder)
