"""Two-level Monte Carlo against normal-normal closed forms, through the same code path as the simulator."""

import json
import math
from io import StringIO

import numpy as np
import pytest
from draws import keyed
from rich.console import Console
from scipy.special import ndtr, ndtri, stdtrit
from scipy.stats import binom
from sources import Made

from sim.cli import main
from sim.decisions.doubt.two_levels import first_order
from sim.decisions.doubt.uncertainty import Question, answer, uncertainty, wrong_question
from sim.decisions.doubt.unknowns import draws_of, unknowns_of
from sim.document import parse
from sim.errors import InputError
from sim.learning import value_of_learning
from sim.report.uncertainty_table import uncertainty_report
from sim.scenario import read_scenario

ALPHA = 1e-6
TEXT = """\
question = "What is not known?"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
load = "normal(10, sd=1)"
replications = 2
[contexts.docs]
tokens = 5000
[streams.s]
arrivals = { process = "poisson", rate = "6/h" }
fresh = 100
output = 100
patience = "1m"
context = "docs"
[strategies.none]
[strategies.explicit]
ttl = "5m"
[service]
slowness_cv = "normal(0.5, sd=0.1)"
"""
LOAD, SPREAD = "load", "service.slowness_cv"
BASE = read_scenario(parse(TEXT.encode(), "u.toml"), "u")
A, B, LUCK = 3.0, 2.0, 4.0  # standard deviations of the cost: by the load, by the slowness, by luck
QUESTION = Question(60, 3)


def z(place, path):
    """Return the standard normal that an input was drawn at."""
    mean, sd = {LOAD: (10, 1), SPREAD: (0.5, 0.1)}[path]
    return (place.number(path, mean) - mean) / sd


def linear(place):
    """A cost that both inputs and luck move, independently and normally; explicit saves a dollar for sure."""
    cost = 100 + A * z(place, LOAD) + B * z(place, SPREAD) + LUCK * place.luck.normal()
    return {"cost_usd": cost - (place.strategy == "explicit")}


def asked(columns, seed=1, question=QUESTION):
    return answer(Made(BASE, columns, seed=seed), question, BASE)


def agrees(estimates, exact):
    """Whether the mean of independent estimates is the exact value, by a t test at ALPHA."""
    error = np.std(estimates, ddof=1) / math.sqrt(len(estimates))
    return abs(np.mean(estimates) - exact) <= -stdtrit(len(estimates) - 1, ALPHA / 2) * error


@pytest.fixture(scope="module")
def documents():
    """40 studies of the linear cost, of seeds 0 to 39."""
    return [asked(linear, seed)["results"][0] for seed in range(40)]


def test_variance_is_split_as_it_was_put_together(documents):
    """T2, 40 studies of 60 draws: inputs A^2 + B^2, luck LUCK^2; control: the plain variance of the draws' means."""
    assert agrees([one["variance_usd2"]["inputs"] for one in documents], A**2 + B**2)
    assert agrees([one["variance_usd2"]["luck"] for one in documents], LUCK**2)
    assert not agrees(
        [one["variance_usd2"]["inputs"] + one["variance_usd2"]["luck"] / 3 for one in documents], A**2 + B**2
    )
    share = (A**2 + B**2) / (A**2 + B**2 + LUCK**2)
    hits = sum(one["unknown_share"]["lo"] <= share <= one["unknown_share"]["hi"] for one in documents)
    assert hits >= binom.ppf(ALPHA, 40, 0.93)
    assert all(one["unknown_share"]["mean"] + one["luck_share"]["mean"] == pytest.approx(1) for one in documents)


def test_mean_costs_are_covered_by_their_intervals(documents):
    """The mean over what is not known and over luck is 100; the interval holds it in 93 % of 40 studies or more."""
    assert agrees([one["cost_usd"]["mean"] for one in documents], 100)
    hits = sum(one["cost_usd"]["lo"] <= 100 <= one["cost_usd"]["hi"] for one in documents)
    assert hits >= binom.ppf(ALPHA, 40, 0.93)


def test_quantiles_of_the_expected_cost_leave_luck_out():
    """T2: 5 and 95 % of N(100, A^2 + B^2), from 40 studies of 200 draws; control: those of the draws' own means."""
    deviation = math.sqrt(A**2 + B**2)
    studies = [asked(linear, seed, Question(200, 2))["results"][0] for seed in range(40)]
    for name, q in (("p5", 0.05), ("p50", 0.5), ("p95", 0.95)):
        assert agrees([one["expected_usd"][name]["mean"] for one in studies], 100 + deviation * ndtri(q))
    wide = math.sqrt(deviation**2 + LUCK**2 / 2)
    assert not agrees([one["expected_usd"]["p95"]["mean"] for one in studies], 100 + wide * ndtri(0.95))


def test_an_input_explains_its_own_part_of_the_variance(documents):
    """T2: A^2, and B^2, over all of it; control: over the inputs' part alone. Intervals hold it in 90 % or more."""
    total = A**2 + B**2 + LUCK**2
    for path, own in ((LOAD, A**2), (SPREAD, B**2)):
        found = [one["inputs"][path] for one in documents]
        assert agrees([one["mean"] for one in found], own / total)
        assert not agrees([one["mean"] for one in found], own / (A**2 + B**2))
        assert sum(one["lo"] <= own / total <= one["hi"] for one in found) >= binom.ppf(ALPHA, 40, 0.90)


def test_an_unrelated_input_explains_nothing():
    """Its share is 0 or little, and its interval begins at 0, in all but few of 40 studies."""
    studies = [
        asked(lambda place: {"cost_usd": 100 + A * z(place, LOAD) + place.luck.normal()}, seed) for seed in range(40)
    ]
    found = [one["results"][0]["inputs"][SPREAD] for one in studies]
    assert sum(one["lo"] == 0 for one in found) >= binom.ppf(ALPHA, 40, 0.95)
    assert np.mean([one["mean"] for one in found]) < 0.05


def test_a_joint_law_explains_as_one_input():
    """Two columns together explain all that they do, of a cost without luck; each alone explains its own."""
    values = ndtri(keyed(3, shape=(200, 2)))
    costs = (values @ [1.0, 1.0])[:, None] + np.zeros((1, 2))
    assert first_order(values, costs).mean == pytest.approx(1, abs=0.01)  # ranks are nearly the values
    assert first_order(values[:, :1], costs).mean == pytest.approx(0.5, abs=0.15)


GAP = 2.0  # by which explicit is dearer on average, and
SWING = 5.0  # the standard deviation of what the load makes of that


def rivals(place):
    """Explicit costs more by GAP on average, and by a normal amount more or less as the load is."""
    shared = 100 + B * z(place, SPREAD) + LUCK * place.luck.normal()
    own = GAP + SWING * z(place, LOAD) + place.luck.normal("own")
    return {"cost_usd": shared + (own if place.strategy == "explicit" else 0)}


def test_the_value_of_learning_is_the_normal_loss_integral():
    """E max(0, -D) with D normal(GAP, SWING): SWING phi(d) - GAP Phi(-d), d = GAP / SWING; T2 over 40 studies.

    Control: the integral without the gap. The load is what is to be measured, always.
    """
    d = GAP / SWING
    exact = SWING * math.exp(-(d**2) / 2) / math.sqrt(2 * math.pi) - GAP * float(ndtr(-d))
    studies = [asked(rivals, seed, Question(200, 3)) for seed in range(40)]
    values = [{one["name"]: one for one in study["learning"]} for study in studies]
    assert agrees([one[LOAD]["value_usd"]["mean"] for one in values], exact)
    assert not agrees([one[LOAD]["value_usd"]["mean"] for one in values], SWING / math.sqrt(2 * math.pi))
    assert {study["measure_next"] for study in studies} == {LOAD}
    assert all(study["choice"]["strategy"] == "none" for study in studies)
    assert np.mean([one[LOAD]["switches"] for one in values]) == pytest.approx(float(ndtr(-d)), abs=0.03)
    assert np.mean([one[SPREAD]["value_usd"]["mean"] for one in values]) < 0.05 * exact


def test_no_input_is_named_where_none_is_worth_it():
    """Where luck alone decides, an input is named in 5 % of 100 studies at most, to an error of 1e-6."""

    def noise(place):
        return {"cost_usd": 100 + 5 * place.luck.normal(place.strategy)}

    named = [asked(noise, seed)["measure_next"] for seed in range(100)]
    assert sum(name is not None for name in named) <= binom.ppf(1 - ALPHA, 100, 0.05)
    sure = asked(linear)
    assert sure["measure_next"] is None
    assert sure["why"] == "explicit on gemini-2.5-flash would be chosen whatever they are"


def test_learning_pays_as_an_option_where_costs_grow_as_a_power():
    """One strategy costs e^z, the other 1/2 + 0.3 e^z: learning z is a put, c0 Phi(d) - 0.7 e^(1/2) Phi(d - 1).

    T2 over 300 studies of 200 draws, d = ln(c0 / 0.7); 95 % intervals hold it in 90 % or more. A plain cubic fit, which
    the dear draws shape, finds four fifths of it. Control: the call on the same.
    """
    c0, d = 0.5, math.log(0.5 / 0.7)
    put = c0 * ndtr(d) - 0.7 * math.exp(0.5) * ndtr(d - 1)
    gap = c0 - 0.7 * math.exp(0.5)  # below 0: the second is cheaper
    assert gap < 0
    found = []
    for seed in range(300):
        x = ndtri(keyed(seed, shape=(200,), purpose="z"))
        noise = np.exp(0.3 * ndtri(keyed(seed, shape=(2, 200), purpose="noise")) - 0.045)
        costs = {"power": np.exp(x) * noise[0], "flat": c0 + 0.3 * np.exp(x) * noise[1]}
        found.append(value_of_learning(x, costs).value)
    # switching from the second to the first gains where 0.7 e^z < c0
    assert agrees([one.mean for one in found], put)
    assert not agrees([one.mean for one in found], put - gap)
    assert sum(one.lo <= put <= one.hi for one in found) >= binom.ppf(ALPHA, 300, 0.90)


def test_draws_hang_on_the_seed_and_the_path_alone():
    """More draws begin with the fewer; another input beside it leaves an input's draws as they are."""
    few, sets = draws_of(BASE.uncertain, 7, 40)
    many, _ = draws_of(BASE.uncertain, 7, 90)
    alone, _ = draws_of(BASE.uncertain[1:], 7, 40)
    assert np.array_equal(few, many[:40])
    assert np.array_equal(few[:, 1:], alone)
    assert not np.array_equal(few, draws_of(BASE.uncertain, 8, 40)[0])
    assert [one.name for one in unknowns_of(BASE.uncertain, few, sets)] == [LOAD, SPREAD]


def test_no_two_draws_share_their_luck():
    """Every draw of the inputs meets replications of its own, from 0 on, in rounds of a hundred draws."""
    source = Made(BASE, linear)
    answer(source, Question(150, 3), BASE)
    firsts = [ask.first for asks, _ in source.asked for ask in asks]
    assert firsts == list(range(0, 450, 3))
    assert [len(asks) for asks, _ in source.asked] == [100, 50]
    assert source.expected == 150 * 3 * 2


def late(*names, share=90):
    return lambda place: linear(place) | {"within_patience": share if place.strategy in names else 100}


def test_what_answers_too_late_is_not_chosen():
    """Explicit is the cheaper, but fewer than 95 % of its requests are answered in time."""
    found = asked(late("explicit"))
    kept = {one["strategy"]: one["keeps_patience"] for one in found["results"]}
    assert kept == {"none": True, "explicit": False}
    assert found["choice"]["strategy"] == "none"
    assert found["results"][1]["share_cheapest"] is None
    assert found["learning"] == []
    assert found["why"] == "there is nothing to choose: only none on gemini-2.5-flash keeps the patience target"
    assert asked(late("explicit", share=95))["choice"]["strategy"] == "explicit"


def test_where_all_are_late_or_the_run_is_cut_nothing_is_chosen():
    """The costs are told, and why there is no choice."""
    found = asked(late("explicit", "none"))
    assert found["choice"]["strategy"] is None
    assert "no strategy answers that share" in found["why"]
    cut = read_scenario(BASE.document, "u", sets=["close=cut"])
    assert "cut at its horizon" in answer(Made(cut, linear), QUESTION, cut)["choice"]["reason"]


def test_what_is_not_random_is_all_input():
    """Without luck the inputs are the whole variance, and a note says so."""
    found = asked(lambda place: {"cost_usd": 100 + A * z(place, LOAD)})["results"][0]
    assert (found["unknown_share"]["mean"], found["luck_share"]["mean"]) == (1, 0)
    assert "no luck" in found["note"]
    assert found["inputs"][LOAD]["mean"] == pytest.approx(1, abs=0.01)


def printed(summary, width=120):
    console = Console(width=width, record=True, file=StringIO())
    console.print(*uncertainty_report(summary), sep="\n")
    return " ".join(console.export_text().split())


def whole(document):
    head = {"scenario": "u", "question": BASE.question, "seed": 1, "book": "google", "assumptions": []}
    return {**head, **document}


def test_the_report_begins_with_the_choice_and_what_to_measure():
    """The first two sentences are the answer; every input is told with its law."""
    text = printed(whole(asked(rivals, question=Question(200, 3))))
    assert text.startswith("Choose none: it costs $")
    assert "Measure next: load; knowing it before the choice saves $" in text
    assert "normal(0.5, sd=0.1)" in text
    assert "the cheapest are known to ± 7% at worst" in text.replace("7 %", "7%")  # 1.96 half a root of 200
    text = printed(whole(asked(linear)))
    assert "Choose explicit: it costs $" in text
    assert "the least of all that keep the patience target, at every draw" in text
    assert "What to measure next: nothing for the choice; explicit on gemini-2.5-flash would be chosen" in text
    assert "hangs most on load" in text
    text = printed(whole(asked(late("explicit"))))
    assert "too late" in text
    assert "there is nothing to choose" in text
    assert printed(whole(asked(late("explicit", "none")))).startswith("No strategy can be chosen: no strategy answers")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    file = tmp_path_factory.mktemp("uncertain") / "u.toml"
    file.write_text(TEXT)
    return file


def test_a_study_of_the_simulator(small, tmp_path, capsys):
    """The command prints what the function returns; no warning tells that a law was taken at its centre."""
    found = uncertainty(small, draws=40, replications=2, workers=1)
    with pytest.raises(SystemExit) as left:
        main(
            ["uncertainty", str(small), "--draws=40", "--replications=2", "--workers=1", f"--out={tmp_path}", "--json"]
        )
    assert left.value.code == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.summary))
    assert found.summary["schema"] == "gcsim.uncertainty/1"
    assert not [text for text in found.summary["warnings"] if "uncertain" in text]
    cost = found.summary["results"][0]
    assert cost["inputs"][LOAD]["mean"] > cost["inputs"][SPREAD]["mean"]
    rows = found.relation().filter("strategy = 'none' and stream = ''")
    assert rows.aggregate("count(distinct replication), avg(cost_usd)").fetchall()[0] == (
        80,
        pytest.approx(cost["cost_usd"]["mean"]),
    )
    again = uncertainty(small, draws=40, replications=2, workers=1, resume=next(tmp_path.glob("u/*")))
    assert again.summary == found.summary


def test_what_is_no_question_is_told_at_once(small, capsys):
    """One line a mistake, exit code 2: nothing uncertain, too few draws, one run a draw, what is no number."""
    for argv, lines in (
        (
            ["quickstart", "--draws=4", "--replications=1"],
            ["nothing in this scenario is uncertain", "from 40 to", "2 at least"],
        ),
        ([str(small), "--draws=x", "--set=load=beta(1"], ["--draws: not a count", "a bracket is not closed"]),
        ([str(small), "--seed=y", "--set=load=normal(0, sd=1)"], ["--seed", "must be greater than 0"]),
    ):
        with pytest.raises(SystemExit) as left:
            main(["uncertainty", *argv])
        assert left.value.code == 2
        told = capsys.readouterr().err
        assert all(line in told for line in lines), told
    with pytest.raises(InputError, match="nothing in this scenario is uncertain"):
        uncertainty(small, sets=["load=1", "service.slowness_cv=0.5"])
    assert wrong_question(Question(40, 2), BASE) == []
