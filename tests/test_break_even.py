"""Maps of the best strategy: lines whose place is known, refined lattices against whole ones, closed forms."""

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import brentq
from sources import Made
from sweeps import digests, small

import sim
from sim.billing.break_evens import rate_fixed, requests_in_a_job
from sim.billing.tariff import Tariff
from sim.cli import main
from sim.decisions.drivers.boundaries import Cell, Corner, boundaries
from sim.decisions.drivers.break_even import answer, break_even, question_of
from sim.decisions.drivers.formulas import NoForm, expected_cost
from sim.errors import InputError
from sim.report.break_even_map import break_even_report

MODEL = "gemini-2.5-flash"
X, Y = "load", "contexts.manual.zipf"  # any two paths of plain numbers: what they mean is up to the test's function
AXES = [f"{X}=1..2", f"{Y}=0..1"]
FRAME = {"scenario": "small", "question": "?", "seed": 1, "book": "google", "warnings": [], "assumptions": []}


@pytest.fixture
def base(tmp_path):
    return sim.load(small(tmp_path))


def made(base, excess, **columns):
    """A source in which ``explicit`` costs so much more than ``none``, over the unit square."""

    def of(place):
        x, y = place.number(X, 1.0) - 1, place.number(Y, 0.0)
        return {"cost_usd": 100 + (excess(x, y) if place.strategy == "explicit" else 0.0), **columns}

    return Made(base, of)


def mapped(base, excess, **sizes):
    question = question_of(base, AXES, **{"grid": 5, "refine": 2, "replications": 2, **sizes})
    source = made(base, excess)
    document = answer(question, source)
    return document["maps"][0], source


def steps(line):
    return np.array([point["step"] for point in line["points"]])


def test_a_straight_line_is_found_where_it_is(base):
    """Costs that are linear part along ``x + y/2 = 0.6``: every vertex lies on it, and it goes from side to side."""
    found, _ = mapped(base, lambda x, y: x + y / 2 - 0.6)
    (line,) = found["boundaries"]
    assert line["between"] == ["explicit", "none"]
    x, y = (steps(line) / 16).T
    assert x + y / 2 == pytest.approx(0.6, abs=1e-9)
    assert {round(min(y), 9), round(max(y), 9)} == {0, 1}
    at = line["points"][0]
    assert float(at["x"]) == pytest.approx(1 + at["step"][0] / 16)  # in the user's units
    assert [one["strategy"] for one in found["shares"]] == ["none", "explicit"]
    assert sum(one["share"] for one in found["shares"]) == 1


def bent(x, y):
    return (x - 0.55) ** 2 + (y - 0.4) ** 2 - 0.09


@pytest.mark.parametrize("excess", [bent, lambda x, y: y - 0.5 - 0.4 * math.sin(5 * x), lambda x, _: x - 0.51])
def test_refining_where_neighbours_differ_gives_the_whole_fine_lattice(base, excess):
    """The lattice and its lines are those of every fine point, for fewer points."""
    fine, _ = mapped(base, excess, grid=17, refine=0)
    found, source = mapped(base, excess)
    assert found["lattice"] == fine["lattice"]
    assert _vertices(found) == _vertices(fine)
    assert sum(len(asks) for asks, _ in source.asked) == len(found["points"]) < 0.75 * 17 * 17


def capsule(x, y):
    """Below 0 within 0.1 of the way from (0, 0) to (0.5, 0.25), which ends on an edge whose ends are outside."""
    along = min(max((0.5 * x + 0.25 * y) / 0.3125, 0.0), 1.0)
    return math.hypot(x - 0.5 * along, y - 0.25 * along) - 0.1


def test_a_change_that_a_finer_neighbour_finds_on_an_edge_is_followed(base):
    """A coarse cell whose corners agree is made finer too where the middle of its edge differs from them."""
    found, _ = mapped(base, capsule, grid=3, refine=1)
    fine, _ = mapped(base, capsule, grid=5, refine=0)
    assert found["lattice"] == fine["lattice"]
    assert _vertices(found) == _vertices(fine)
    assert any(2 < x < 3 for x, _ in _vertices(found))  # beyond that edge
    assert len(found["points"]) < 25


def _vertices(found):
    return {tuple(point) for line in found["boundaries"] for point in steps(line).tolist()}


def test_an_island_has_a_closed_line(base):
    """A circle of radius 0.3: one line that ends where it begins, its vertices within the interpolation's error."""
    found, _ = mapped(base, bent)
    (line,) = found["boundaries"]
    path = steps(line) / 16
    assert path[0].tolist() == path[-1].tolist()
    assert np.hypot(*(path - [0.55, 0.4]).T) == pytest.approx(0.3, abs=0.003)


def test_three_regions_meet_in_a_point():
    """Of three regions in one cell each pair has a line, and all end in the same place inside."""
    costs = {"a": [0.0], "b": [0.0], "c": [0.0]}
    corners = {
        (0, 0): Corner("a", costs | {"a": [-1.0]}),
        (1, 0): Corner("b", costs | {"b": [-1.0]}),
        (1, 1): Corner("c", costs | {"c": [-1.0]}),
        (0, 1): Corner("a", costs | {"a": [-1.0]}),
    }
    lines = boundaries([Cell(0, 0, 1)], corners)
    assert [line.between for line in lines] == [("a", "b"), ("a", "c"), ("b", "c")]
    inside = {end[:2] for line in lines for end in (line.points[0], line.points[-1]) if not end.along}
    assert len(inside) == 1
    x, y = next(iter(inside))
    assert 0 < x < 1
    assert 0 < y < 1


def test_a_saddle_has_two_lines_that_do_not_cross():
    """Where opposite corners agree, each of two lines cuts off one corner."""
    low, high = {"a": [0.0], "b": [1.0]}, {"a": [1.0], "b": [0.0]}
    corners = {(0, 0): Corner("a", low), (1, 1): Corner("a", low), (1, 0): Corner("b", high), (0, 1): Corner("b", high)}
    lines = boundaries([Cell(0, 0, 1)], corners)
    assert len(lines) == 2
    assert sorted(point[:2] for line in lines for point in line.points) == [(0, 0.5), (0.5, 0), (0.5, 1), (1, 0.5)]


def test_the_interval_of_a_crossing_is_that_of_its_difference():
    """Of a difference ``2 - 4 t + e`` with e = -1, 0, 1 the zero is 1/2, and its half-width t(2) s / (sqrt(3) 4)."""
    luck = np.array([-1.0, 0.0, 1.0])
    corners = {
        node: Corner("a" if node[0] == 0 else "b", {"a": [0.0] * 3, "b": (2 - 4 * node[0] + luck).tolist()})
        for node in ((0, 0), (1, 0), (1, 1), (0, 1))
    }
    (line,) = boundaries([Cell(0, 0, 1)], corners)
    assert [point.x for point in line.points] == [0.5, 0.5]
    assert line.points[0].half == pytest.approx(4.302652729749464 / math.sqrt(3) / 4)


def test_who_keeps_nobody_waiting_is_not_the_best_however_cheap(base):
    """The best of those that keep the patience target; where none does there is none, and a line says where."""

    def columns(place):
        x = place.number(X, 1.0) - 1
        late = x > 0.7 or (place.strategy == "none" and x > 0.3)
        return {"cost_usd": 1.0 if place.strategy == "none" else 2.0, "within_patience": 90 if late else 100}

    question = question_of(base, AXES, grid=9, refine=0, replications=2)
    found = answer(question, Made(base, columns))["maps"][0]
    assert found["lattice"][0] == ["none"] * 3 + ["explicit"] * 3 + [None] * 3
    assert [line["between"] for line in found["boundaries"]] == [["explicit", "none"], [None, "explicit"]]
    assert {tuple(point["step"]) for point in found["boundaries"][0]["points"]} == {(2.5, float(j)) for j in range(9)}
    assert found["boundaries"][0]["points"][0]["interval"] is None  # no cost moves it
    json.dumps(found, allow_nan=False)


def test_what_luck_does_not_separate_is_undecided(base):
    """A point is decided where the paired interval of the margin is above 0."""

    def columns(place):
        x = place.number(X, 1.0) - 1
        return {"cost_usd": 100 + (x - 0.5 + 0.2 * place.luck.normal() if place.strategy == "explicit" else 0.0)}

    question = question_of(base, AXES, grid=9, refine=0, replications=12)
    found = answer(question, Made(base, columns))["maps"][0]
    unsure = {point["step"][0] for point in found["points"] if point["undecided"]}
    assert unsure
    assert unsure <= {3, 4, 5}
    for point in found["points"]:
        assert point["undecided"] == (point["margin_usd"]["lo"] <= 0)


def test_a_cheaper_one_that_may_be_in_time_leaves_a_row_undecided_and_draws_no_line(base):
    """Of ten replications two are late in one row only: not decided there, no change of cost, and it says why."""

    def columns(place):
        cheap, unlucky = place.strategy == "explicit", round(8 * place.number(Y, 0.0)) == 3
        late = cheap & unlucky & (place.luck.replications < 2)
        return {"cost_usd": 50.0 if cheap else 100.0, "within_patience": np.where(late, 0, 100)}

    question = question_of(base, AXES, grid=9, refine=0, replications=10)
    document = answer(question, Made(base, columns))
    found = document["maps"][0]
    assert found["lattice"] == [["none" if j == 3 else "explicit"] * 9 for j in range(9)]  # by the estimates
    for point in found["points"]:
        there = point["step"][1] == 3
        assert (point["undecided"], point["leader"]) == (there, "explicit")
        assert (point["rivals"], point["unsure_in_time"]) == ((["explicit"],) * 2 if there else ([], []))
    assert found["boundaries"] == []
    shares = {one["strategy"]: (one["undecided"], one["unsure_in_time"]) for one in found["shares"]}
    assert shares == {"none": (1 / 9, 1 / 9), "explicit": (0, 0)}
    texts = [str(part) for part in break_even_report(document | FRAME)]
    assert any("as it may be in time or late (explicit)" in text for text in texts)
    assert any(text.endswith("|" + "  ".join("n" * 9)) for text in texts)
    assert "undecided are 11 %, 11 % as to who keeps the patience target" in texts[0]


def test_who_surely_misses_the_target_is_no_rival_and_its_line_is_one_of_patience(base):
    """The negative control: late in all replications of a row is decided, and parts regions halfway, by patience."""

    def columns(place):
        cheap, late = place.strategy == "explicit", place.number(Y, 0.0) > 0.5
        return {"cost_usd": 50.0 if cheap else 100.0, "within_patience": 0 if cheap and late else 100}

    question = question_of(base, AXES, grid=3, refine=0, replications=10)
    document = answer(question, Made(base, columns))
    found = document["maps"][0]
    assert found["lattice"] == [["explicit"] * 3] * 2 + [["none"] * 3]
    assert not any(point["undecided"] for point in found["points"])
    (line,) = found["boundaries"]
    assert [(point["step"][1], point["by"], point["interval"]) for point in line["points"]] == [
        (1.5, "patience", None)
    ] * 3
    assert any("(simulated, by the patience target)" in str(part) for part in break_even_report(document | FRAME))


def test_where_only_estimates_miss_the_target_none_is_undecided_rather_than_in_time(base):
    """Both strategies late in two of ten replications: none by the estimates, which is not known, and is a tilde."""
    luck = {"within_patience": np.array([0, 0] + [100] * 8)}
    question = question_of(base, AXES, grid=2, refine=0, replications=10)
    document = answer(question, made(base, lambda *_: 1.0, **luck))
    for point in document["maps"][0]["points"]:
        assert (point["strategy"], point["undecided"], point["leader"]) == (None, True, "none")
        assert point["unsure_in_time"] == ["none", "explicit"]
    texts = [str(part) for part in break_even_report(document | FRAME)]
    assert any(text.endswith("|~  ~") for text in texts)


def test_the_best_one_is_undecided_where_it_may_miss_the_target_itself(base):
    """By its estimate it reaches the target, by its interval it may not: small letters, and the same leader."""
    luck = {"within_patience": np.array([80] + [100] * 9)}  # 98 % on average, of 95 % that are wanted
    question = question_of(base, AXES, grid=2, refine=0, replications=10)
    for point in answer(question, made(base, lambda *_: 1.0, **luck))["maps"][0]["points"]:
        assert (point["strategy"], point["rivals"], point["unsure_in_time"]) == ("none", [], ["none"])
        assert point["undecided"]


# ---------------------------------------------------------------- closed forms

POISSON = f"""question = "From how many questions an hour does a cache pay?"
start = 2026-11-23T00:00:00Z
horizon = "48h"
models = ["{MODEL}"]
seed = 11
[contexts.manual]
tokens = "20k"
[streams.chat]
arrivals = {{ process = "poisson", rate = "5/h" }}
context = "manual"
fresh = 300
output = 200
patience = "60s"
[strategies.none]
[strategies.explicit]
ttl = "1h"
"""

NIGHTLY = f"""question = "From how many requests does a job repay its cache?"
start = 2026-11-23T00:00:00Z
horizon = "12h"
models = ["{MODEL}"]
replications = 1
[contexts.manual]
tokens = "20k"
[streams.nightly]
arrivals = {{ process = "schedule", at = "01:00", count = 50 }}
context = "manual"
fresh = 300
output = 200
patience = "20h"
[strategies.batch]
window = "10m"
[strategies.hybrid]
window = "10m"
ttl = "6h"
renew = "never"
delete = "never"
[service]
slowness_cv = 0.0
[service.implicit]
in_batch = "none"
[service.batch]
failure_chance = 0.0
turnaround = {{ pending_share = 0.7, components = [{{ weight = 1.0, median = "4h" }}] }}
"""


def written(folder, text, name="plain"):
    path = folder / f"{name}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def tariff(base):
    return Tariff.of(base.book, MODEL, base.spec.start_ms, base.arms[0].terms, tokens=20_000, fresh=300)


def even_rate(path, ttl):
    """The rate an hour at which the closed forms over the scenario's horizon cost the same."""

    def excess(rate):
        here = sim.load(path, sets=[f"streams.chat.arrivals.rate={rate}/h", f"strategies.explicit.ttl={ttl}"])
        return expected_cost(here, "explicit", MODEL) - expected_cost(here, "none", MODEL)

    return brentq(excess, 1.0, 40.0, xtol=1e-6)


def test_the_simulated_boundary_of_rate_and_ttl_is_the_closed_form(tmp_path):
    """O20, O21, T2: 30 replications (seed 11): each crossing within 4 standard errors; a rate 30 % beside it is not."""
    path = written(tmp_path, POISSON)
    vary = ["streams.chat.arrivals.rate=2/h..8/h", "strategies.explicit.ttl=30m..4h:log"]
    study = break_even(path, vary, grid=4, refine=1, replications=30, workers=1)
    (line,) = study.summary["maps"][0]["boundaries"]
    crossings = [point for point in line["points"] if point["interval"] and point["interval"]["axis"] == "x"]
    assert len(crossings) >= 7
    for point in crossings:
        rate, lo, hi = (float(text.removesuffix("/h")) for text in (point["x"], *_ends(point)))
        error = (hi - lo) / 2 / 2.045  # t(29)
        allowed = 4 * error + 0.01  # and what a chord is off its curve, over one step
        even = even_rate(path, point["y"])
        assert abs(rate - even) <= allowed
        assert abs(rate - 1.3 * even) > allowed
    (closed,) = study.summary["maps"][0]["closed_forms"]["boundaries"]
    assert study.summary["maps"][0]["closed_forms"]["strategies"] == {"explicit": None, "none": None}
    for point in closed["points"]:
        assert float(point["x"].removesuffix("/h")) == pytest.approx(even_rate(path, point["y"]), rel=0.02)
    base = sim.load(path)  # over two days it is O21's long run to a few percent
    assert even_rate(path, "1h") == pytest.approx(float(rate_fixed(tariff(base), Fraction(1))), rel=0.05)


def _ends(point):
    return point["interval"]["lo"], point["interval"]["hi"]


def test_the_requests_at_which_a_job_repays_its_cache_are_the_closed_form(tmp_path):
    """Prefix length x requests a job: ``(p_w + s T) / (p_bin - p_bc)`` requests whatever the prefix, to a request."""
    path = written(tmp_path, NIGHTLY)
    vary = ["streams.nightly.arrivals.count=10..110", "contexts.manual.tokens=5k..50k:log"]
    study = break_even(path, vary, grid=6, refine=0, replications=2, workers=1)
    found = study.summary["maps"][0]
    even = requests_in_a_job(tariff(sim.load(path)), Fraction(6))
    for lines in (found["boundaries"], found["closed_forms"]["boundaries"]):
        (line,) = lines
        assert line["between"] == ["batch", "hybrid"]
        counts = [10 + 100 * point["step"][0] / 5 for point in line["points"]]
        assert counts == pytest.approx([float(even)] * len(counts), abs=0.2)
        assert counts != pytest.approx([1.3 * float(even)] * len(counts), abs=0.2)
    assert not any(point["undecided"] for point in found["points"])  # nothing is random


def test_closed_forms_are_what_a_simulation_costs_on_average(tmp_path):
    """T2: over 40 runs each form is within 4 standard errors of the mean bill, and 3 % beside it is not."""
    for text, sets in (
        (POISSON, ["streams.chat.arrivals.rate=60/h"]),
        (POISSON, ["contexts.manual.count=3"]),
        (NIGHTLY, []),
    ):
        base = sim.load(written(tmp_path, text), sets=sets)
        run = sim.run(base, replications=40)
        for strategy in run.strategies:
            bills = [float(cell.total_usd) for cell in run.of(strategy, MODEL)]
            error = np.std(bills, ddof=1) / math.sqrt(len(bills))
            expected = expected_cost(base, strategy, MODEL)
            assert abs(np.mean(bills) - expected) <= 4 * error + 1e-9 * expected


@pytest.mark.parametrize(
    ("text", "sets", "strategy", "why"),
    [
        (POISSON, ["strategies.implicit.kind=implicit"], "implicit", "kind implicit"),
        (POISSON, ["strategies.explicit.renew=margin:5m"], "explicit", "margin"),
        (POISSON, ["strategies.explicit.delete=last_use"], "explicit", "otherwise"),
        (POISSON, ["contexts.manual.tokens=1000"], "explicit", "too small"),
        (POISSON, ["streams.chat.arrivals={process='gamma', rate='5/h', cv=2.0}"], "none", "neither"),
        (POISSON, ["streams.chat.session={turns=3, think='1m'}"], "none", "single requests"),
        (POISSON, ["contexts.manual.replaced_every=1h"], "none", "replaced"),
        (NIGHTLY, ["service.implicit.in_batch=parallel"], "batch", "chance"),
        (NIGHTLY, ["strategies.hybrid.ttl=2h"], "hybrid", "outlive"),
        (NIGHTLY, ["strategies.hybrid.delete=last_use"], "hybrid", "kept for their ttl"),
        (NIGHTLY, ["streams.nightly.arrivals.over=1h"], "hybrid", "neither"),
    ],
)
def test_where_there_is_no_closed_form_it_says_why(tmp_path, text, sets, strategy, why):
    """Each condition that a form rests on is looked at."""
    with pytest.raises(NoForm, match=why):
        expected_cost(sim.load(written(tmp_path, text), sets=sets), strategy, MODEL)


def test_without_closed_forms_the_map_says_so(base):
    """The fake scenario has none for a hundred documents below the minimum; the simulated lines are there."""
    question = question_of(base, [AXES[0], "contexts.manual.tokens=100..1000"], grid=3, refine=0, replications=2)

    def columns(place):
        return {"cost_usd": place.number(X, 1.0) if place.strategy == "none" else 1.5}

    found = answer(question, Made(base, columns))["maps"][0]
    assert found["closed_forms"]["boundaries"] == []
    assert "too small" in found["closed_forms"]["strategies"]["explicit"]
    assert len(found["boundaries"]) == 1


# ---------------------------------------------------------------- the command


def test_the_map_is_readable_without_colour(tmp_path, capsys):
    """A letter a point, axes in the user's units, a legend, both lines in words; --json is the document."""
    path = written(tmp_path, POISSON)
    words = ["break-even", str(path), "--vary", "streams.chat.arrivals.rate=1/h..20/h:log"]
    words += ["--vary", "strategies.explicit.ttl=30m..4h:log", "--grid", "5", "--refine", "1", "--replications", "4"]
    words += ["--workers", "1", "--out", str(tmp_path)]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 0
    text = capsys.readouterr().out
    assert text.startswith("The cheapest in time over the region: explicit 5")
    rows = [line.partition("|")[2] for line in text.splitlines() if "|" in line]
    assert len(rows) == 9
    assert all(row.startswith("N  N") and row.endswith("E  E") for row in rows)
    assert sum(row.count("*") for row in rows) >= 9
    for part in ("4h |", "30m |", "1/h", "20/h", "N none; E explicit", "(simulated)", "(closed form)", "/h ["):
        assert part in text
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "gcsim.break-even/1"
    assert document["axes"][1]["ticks"][0] == "30m"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "two axes, got 0"),
        (["--vary", "load=1..2"], "two axes, got 1"),
        (["--vary", "load=1..2", "--vary", "strategies.explicit.ttl=1h,2h"], "an axis is a range"),
        (["--vary", AXES[0], "--vary", AXES[1], "--grid", "1"], "from 2 to 65"),
        (["--vary", AXES[0], "--vary", AXES[1], "--grid", "33", "--refine", "4"], "more than 20,000 points"),
        (["--vary", AXES[0], "--vary", AXES[1], "--strategy", "none"], "nothing to compare"),
        (["--vary", AXES[0], "--vary", AXES[1], "--strategy", "nine"], "unknown strategy"),
    ],
)
def test_bad_questions_leave_with_two(tmp_path, capsys, words, told):
    """A mistake is a line on stderr, and nothing is written."""
    with pytest.raises(SystemExit) as left:
        main(["break-even", str(small(tmp_path)), *words, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    assert told in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*/*"))


def test_every_mistake_is_told_at_once(base):
    """Sizes, strategies and axes together; one strategy that is unknown is not also too few."""
    with pytest.raises(InputError) as caught:
        question_of(base, ["load=2"], ("nobody",), 1, 1, 0)
    assert len(caught.value.problems) == 5


@pytest.mark.slow
def test_the_same_map_on_two_workers(tmp_path):
    """The same bytes, whoever computed them."""
    vary = ["load=0.5..2:log", "strategies.explicit.ttl=5m..1h:log"]
    one, two = (
        break_even(small(tmp_path), vary, grid=3, replications=2, workers=n, out=tmp_path / str(n)) for n in (1, 2)
    )
    assert digests(one.folder) == digests(two.folder)
