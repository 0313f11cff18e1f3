"""Measures of a strategy: each one's value by hand from rows that were made by hand, and how it is asked for."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom
from sources import Made, bills, row

from sim.decisions.laboratory import Ask, Found
from sim.decisions.measures import SAME, evidence_of, least_of, measures_of, requirements, values_of
from sim.errors import InputError
from sim.experiments.rows import COLUMNS
from sim.scenario import load, read_scenario
from sim.skewed import ENOUGH, bill_interval
from sim.stats import Interval
from sim.verdicts import judge

BASE = load("quickstart")  # 24 h; streams desk and reviews
MODEL = BASE.spec.models[0]
MEASURES = measures_of(BASE)
HOURS = {"an hour": 1, "a day": 24, "a week": 168, "a month": 720, "a year": 8760}


def made(candidate, baseline=(), stream="", scenario=BASE):
    """What two strategies gave: the columns of each replication."""
    rows = {
        (name, MODEL): [row(name, i, stream=stream, **columns) for i, columns in enumerate(each)]
        for name, each in (("hybrid", candidate), ("implicit", baseline))
    }
    return Found(scenario=scenario, rows=rows)


def estimate(name, found):
    return evidence_of(MEASURES[name], found, "hybrid", "implicit").interval(0.95).mean


# two replications of which no figure is that of the other; money as a fraction that is no decimal
TWO = [
    {"cost_usd": 1 / 3, "cost_usd_exact": "1/3", "total": 10, "done": 8, "failed": 1, "expired": 1, "calls": 20,
     "within_patience": 6, "throttled": 4, "shed": 2, "prompt_tokens": 1000, "implicit_tokens": 100,
     "explicit_tokens": 300, "latency_sum_ms": 16_000,
     "latency_p50_s": 1.5, "latency_p95_s": 4.0, "latency_p99_s": 5.0},
    {"cost_usd": 2.0, "total": 30, "done": 30, "failed": 0, "expired": 0, "calls": 30,
     "within_patience": 30, "throttled": 0, "shed": 1, "prompt_tokens": 3000, "implicit_tokens": 0,
     "explicit_tokens": 600, "latency_sum_ms": 22_000,
     "latency_p50_s": 0.5, "latency_p95_s": 1.0, "latency_p99_s": 9.0},
]  # fmt: skip
BY_HAND = {
    "cost": ((Fraction(1, 3) + 2) / 2, [1 / 3, 2.0]),
    "cost per request": ((Fraction(1, 3) + 2) / 40, [1 / 30, 2 / 30]),
    "saving": (1 - (Fraction(1, 3) + 2) / 7, None),  # over 3 and 4
    "429s": (Fraction(4, 50), [4 / 20, 0.0]),
    "503s": (Fraction(3, 50), [2 / 20, 1 / 30]),
    "p50": ((1500 + 500) / 2, [1500.0, 500.0]),
    "p95": ((4000 + 1000) / 2, [4000.0, 1000.0]),
    "p99": ((5000 + 9000) / 2, [5000.0, 9000.0]),
    "mean": (Fraction(38_000, 38), [2000.0, 22_000 / 30]),
    "within_patience": (Fraction(36, 40), [0.6, 1.0]),
    "failed": (Fraction(2, 40), [0.2, 0.0]),
    "hit_ratio": (Fraction(1000, 4000), [0.4, 0.2]),
    **{f"cost {a}": ((Fraction(1, 3) + 2) / 2 * n / 24, [n / 72, 2 * n / 24]) for a, n in HOURS.items()},
}


def test_every_measure_of_all_streams_has_a_case_here():
    """A measure that is added needs figures by hand; each of a stream stands for the same of all."""
    assert {name for name, measure in MEASURES.items() if not measure.stream} == set(BY_HAND)
    whole = ("cost", "saving", "429s", "503s")
    of_streams = {f"{name} of {s}" for name in BY_HAND if not name.startswith(whole) for s in ("desk", "reviews")}
    assert {name for name, measure in MEASURES.items() if measure.stream} == of_streams


@pytest.mark.parametrize("name", BY_HAND)
def test_a_measure_is_what_its_rows_say_by_hand(name):
    """The estimate, and the value of each replication, restate the definition; a saving has none of the latter."""
    found = made(TWO, [{"cost_usd": 3.0}, {"cost_usd": 4.0}])
    whole, each = BY_HAND[name]
    assert estimate(name, found) == pytest.approx(float(whole), rel=1e-12)
    if each is None:
        with pytest.raises(ValueError, match="saving is of all replications together"):
            values_of(MEASURES[name], found, "hybrid")
    else:
        assert values_of(MEASURES[name], found, "hybrid") == pytest.approx(each, rel=1e-12)


@pytest.mark.parametrize("name", [name for name in MEASURES if name.endswith(" of desk")])
def test_a_measure_of_a_stream_reads_that_streams_rows(name):
    """What stands in the rows of all streams, or of another one, has no say."""
    plain = name.removesuffix(" of desk")
    found = made(TWO, stream="desk")
    odd = dict.fromkeys(("latency_p50_s", "latency_p95_s", "latency_p99_s"), 77.0)
    odd |= {"done": 1, "latency_sum_ms": 1, "failed": 9, "within_patience": 0, "explicit_tokens": 0}
    other = made([one | odd for one in TWO])
    both = Found(scenario=BASE, rows={key: [*found.rows[key], *other.rows[key]] for key in found.rows})
    assert estimate(name, both) == pytest.approx(float(BY_HAND[plain][0]))
    assert estimate(plain, both) != pytest.approx(float(BY_HAND[plain][0]))


def test_rows_have_every_column_and_no_other():
    """The rows that tests make up have the columns of the simulator's; a misspelt one is refused."""
    assert row().keys() == COLUMNS.keys()
    with pytest.raises(AssertionError, match="latency_p59_s"):
        row(latency_p59_s=1.0)


def test_of_two_models_each_has_its_own_figure():
    """The first model is meant unless another is named."""
    rows = {("hybrid", model): [row("hybrid", 0, model=model, cost_usd=usd)] for model, usd in ((MODEL, 1), ("b", 2))}
    found = Found(scenario=BASE, rows=rows)
    assert [values_of(MEASURES["cost"], found, "hybrid", m) for m in (None, MODEL, "b")] == [[1.0], [1.0], [2.0]]


# ---------------------------------------------------------------- intervals


def test_means_have_the_intervals_of_bills_and_a_month_thirty_times_those_of_a_day():
    """The evidence of a cost is that of `bill_interval`, at any level; a period scales all three figures."""
    values = [float(x) for x in np.exp(np.linspace(-2, 2, 40))]
    found = made([{"cost_usd": x} for x in values])
    day, month = (evidence_of(MEASURES[name], found, "hybrid") for name in ("cost", "cost a month"))
    for level in (0.9, 0.99):
        assert day.interval(level) == bill_interval(values, level)
        assert month.interval(level) == pytest.approx(bill_interval(values, level).scaled(30), rel=1e-9)
    assert day.replications == 40


def test_a_period_is_counted_in_the_horizon_of_its_own_setting():
    """A scenario read under half of the horizon costs twice as much a day for the same bill; so does a strategy's."""
    half = read_scenario(BASE.document, BASE.name, sets=["horizon=12h"])
    assert estimate("cost a day", made(TWO)) == pytest.approx(7 / 6)
    assert estimate("cost a day", made(TWO, scenario=half)) == pytest.approx(7 / 3)
    own = read_scenario(BASE.document, BASE.name, sets=["strategies.hybrid.set={horizon='6h'}"])
    assert estimate("cost a day", made(TWO, scenario=own)) == pytest.approx(14 / 3)
    assert values_of(MEASURES["cost a day"], made(TWO, scenario=own), "hybrid") == pytest.approx([4 / 3, 8.0])


def test_shares_stay_within_0_and_1_and_an_average_above_0():
    """The bounds of a share are shares, those of a mean latency times."""
    rare = [{"failed": 40 * (i == 3), "done": 100, "latency_sum_ms": 10**9 * (i == 3)} for i in range(12)]
    failed = evidence_of(MEASURES["failed"], made(rare), "hybrid").interval(0.99)
    assert 0 == failed.lo < failed.mean < failed.hi <= 1
    mean = evidence_of(MEASURES["mean"], made(rare), "hybrid").interval(0.99)
    assert mean.lo == 0
    assert mean.hi > 1e9 / 1200
    kept = evidence_of(MEASURES["within_patience"], made([{"within_patience": 100 - 9 * (i == 3)} for i in range(12)]),
                       "hybrid").interval(0.99)  # fmt: skip
    assert kept.lo < kept.mean < kept.hi == 1


@pytest.mark.parametrize(("name", "column"), [("p95", "latency_p95_s"), ("cost", "cost_usd")])
def test_no_latency_and_no_cost_is_below_zero(name, column):
    """Three replications that differ much would reach below zero; their interval ends there."""
    found = made([{column: value, "total": 5, "done": 5} for value in (0.1, 0.2, 4.0)])
    assert bill_interval([0.1, 0.2, 4.0]).lo < 0
    assert evidence_of(MEASURES[name], found, "hybrid").interval(0.95).lo == 0.0


def test_the_interval_of_a_share_covers_the_true_one():
    """T2: of 400 runs of 60 replications of 5 to 150 requests 93 to 98 % hold the true share, to an error of 1e-6.

    Seeds 0 to 399, standard error 1.1 %. Control: the interval of the mean of the replications' own shares.
    """

    def columns(place):
        requests = (5 + 145 * place.luck.uniform("size")).astype(int)
        chance = 0.1 + 0.4 * place.luck.uniform("chance") * requests / 150  # large replications fail more
        return {"total": requests, "failed": np.round(requests * chance).astype(int)}

    many = Made(BASE, columns, seed=10**6)
    (truth,) = many.find([Ask((), ("hybrid",))], range(100_000))
    rows = truth.of("hybrid")
    share = sum(one["failed"] for one in rows) / sum(one["total"] for one in rows)
    hits = naive = 0
    for seed in range(400):
        (found,) = Made(BASE, columns, seed=seed).find([Ask((), ("hybrid",))], range(60))
        interval = evidence_of(MEASURES["failed"], found, "hybrid").interval(0.95)
        hits += interval.lo <= share <= interval.hi
        each = bill_interval(values_of(MEASURES["failed"], found, "hybrid"))  # the mean of the shares is another one
        naive += each.lo <= share <= each.hi
    assert binom.ppf(5e-7, 400, 0.93) <= hits <= binom.ppf(1 - 5e-7, 400, 0.98)
    assert naive < binom.ppf(5e-7, 400, 0.93)


# ---------------------------------------------------------------- where there is nothing


def test_a_quantile_of_a_replication_without_answers_is_infinite():
    """Where requests came and none was answered the latency is beyond any limit; where none came there is no say."""
    dead = {"done": 0, "failed": 100, "latency_p99_s": None, "latency_sum_ms": 0}
    empty = {"total": 0, "done": 0, "latency_p99_s": None, "latency_sum_ms": 0}
    some = [{"latency_p99_s": 3.0 + 0.01 * i} for i in range(9)]
    assert evidence_of(MEASURES["p99"], made([*some, dead]), "hybrid").interval(0.9) == Interval(*[math.inf] * 3)
    assert estimate("p99", made([*some, empty])) == pytest.approx(3040)
    values = values_of(MEASURES["p99"], made([*some, empty]), "hybrid")
    assert math.isnan(values[-1])
    assert not any(map(math.isnan, values[:-1]))


def test_a_mean_latency_is_infinite_only_where_nobody_was_ever_answered():
    """It is of all answers together, so one dead replication adds none."""
    dead = {"done": 0, "failed": 100, "latency_sum_ms": 0}
    assert estimate("mean", made([{}, dead])) == pytest.approx(1000)
    assert estimate("mean", made([dead, dead])) == math.inf
    assert math.isnan(estimate("mean", made([{"total": 0, "done": 0, "latency_sum_ms": 0}] * 2)))


def test_an_infinite_latency_fails_and_nothing_at_all_is_undecided_for_good():
    """No limit holds an infinite latency; of what is not there no number of replications would decide."""
    wanted = requirements(["p99 <= 10h", "429s <= 0.1%"], BASE)
    dead = [{"done": 0, "latency_p99_s": None, "calls": 0}] * 100
    found = made(dead)
    evidence = {name: evidence_of(MEASURES[name], found, "hybrid") for name in ("p99", "429s")}
    verdicts = judge(wanted, evidence).verdicts
    assert [(one.outcome, one.needed) for one in verdicts] == [("fail", None), ("undecided", None)]
    assert verdicts[1].warning == "there is nothing to measure"
    assert math.isnan(verdicts[1].interval.mean)


def test_a_saving_over_a_baseline_that_costs_nothing_is_nothing():
    """No share of 0 can be saved: there is no estimate and a warning, no division by zero."""
    found = made([{"cost_usd": 1.0}] * 3, [{"cost_usd": 0.0}] * 3)
    evidence = evidence_of(MEASURES["saving"], found, "hybrid", "implicit")
    assert math.isnan(evidence.interval(0.95).mean)
    assert evidence.warning == "there is nothing to measure"


def test_a_saving_is_over_the_baseline_that_is_named_else_the_scenarios():
    """The quickstart's own baseline is its first strategy."""
    rows = {(name, MODEL): [row(name, i, cost_usd=usd) for i in range(2)] for name, usd in
            (("none", 4.0), ("implicit", 2.0), ("hybrid", 1.0))}  # fmt: skip
    found = Found(scenario=BASE, rows=rows)
    saved = [evidence_of(MEASURES["saving"], found, "hybrid", b).interval(0.95).mean for b in (None, "implicit")]
    assert saved == [0.75, 0.5]


# ---------------------------------------------------------------- what is random


def test_sixty_replications_alike_in_every_stream_are_all_there_is():
    """One less is too few, and one figure of one stream in one replication is enough to be random."""

    def streams(n, odd=None):
        each = [[row("none", i), row("none", i, stream="desk"), row("none", i, stream="reviews")] for i in range(n)]
        if odd is not None:
            each[odd][2]["latency_p99_s"] = 3.5
        return Found(scenario=BASE, rows={("none", MODEL): [one for rows in each for one in rows]})

    assert least_of(streams(SAME)) == 1
    assert least_of(streams(SAME - 1)) == ENOUGH
    assert least_of(streams(SAME, odd=SAME - 1)) == ENOUGH
    assert least_of(streams(SAME, odd=0)) == ENOUGH
    both = {**streams(SAME).rows, ("hybrid", MODEL): [row("hybrid", i, cost_usd=i) for i in range(SAME)]}
    assert least_of(Found(scenario=BASE, rows=both)) == ENOUGH


def test_made_up_bills_are_as_random_as_they_are():
    """Noise in a bill is seen, and a bill without any is the same ten times."""
    for columns, least in ((bills({"none": 1.0}), ENOUGH), (lambda _: {"cost_usd": 1.0}, 1)):
        (found,) = Made(BASE, columns).find([Ask((), ("none",))], range(SAME))
        assert least_of(found) == least


# ---------------------------------------------------------------- how they are asked for


@pytest.mark.parametrize(
    ("text", "measure", "limit"),
    [
        ("cost <= $2,000 a month", "cost a month", 2000),
        ("cost<=$2,000/month", "cost a month", 2000),
        ("cost <= 12.5 per day", "cost a day", Fraction(25, 2)),
        ("cost <= $3 an hour", "cost an hour", 3),
        ("cost <= $3 / week", "cost a week", 3),
        ("cost per year >= $3", "cost a year", 3),
        ("cost/day <= $3", "cost a day", 3),
        ("cost a month <= $3", "cost a month", 3),
        ("cost <= $3", "cost", 3),
        ("cost per request <= $0.01", "cost per request", Fraction(1, 100)),
        ("saving >= 20%", "saving", Fraction(1, 5)),
        ("saving >= -20 %", "saving", Fraction(-1, 5)),
        ("p95 latency of desk <= 30s", "p95 of desk", 30_000),
        ("latency p95 of desk <= 1m30s", "p95 of desk", 90_000),
        ("p95 of desk <= 30 s", "p95 of desk", 30_000),
        ("mean latency <= 1h", "mean", 3_600_000),
        ("  p99   latency  <= 250ms", "p99", 250),
        ("429s <= 0.1%", "429s", Fraction(1, 1000)),
        ("within_patience of reviews >= 99%", "within_patience of reviews", Fraction(99, 100)),
        ("hit_ratio >= 50%", "hit_ratio", Fraction(1, 2)),
    ],
)
def test_requirements_are_read_as_people_write_them(text, measure, limit):
    """Periods on either side, latencies in words, streams: each names a measure of the scenario; the text stays."""
    (found,) = requirements([text], BASE)
    assert (found.measure, found.limit, found.text) == (measure, limit, text.strip())
    assert measure in MEASURES


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("cost a month <= $3 a day", "unknown measure; did you mean 'cost a month'?"),
        ("saving >= 20% a month", "unknown measure"),
        ("p95 of chat <= 5s", "unknown measure"),
        ("p59 <= 5s", "unknown measure; did you mean 'p99'?"),
        ("savings >= 20%", "unknown measure; did you mean 'saving'?"),
        ("saving >= 20", 'not a limit of saving; a share such as "20%"'),
        ("p99 <= 10", 'not a limit of p99; a duration such as "5s"'),
        ("p99 <= $10", 'not a limit of p99; a duration such as "5s"'),
        ("cost <= 5%", 'not a limit of cost; an amount such as "$2,000"'),
        ("cost <= 5s", 'not a limit of cost; an amount such as "$2,000"'),
        ("saving > 20%", "not a requirement"),
        ("saving", "not a requirement"),
        ("", "not a requirement"),
    ],
)
def test_a_requirement_that_is_none_is_told(text, line):
    """Each mistake is one line that says what is allowed."""
    with pytest.raises(InputError) as caught:
        requirements([text], BASE, "--keep")
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith(f"command line: --keep: {line}")


def test_a_replay_has_no_period_and_no_streams(tmp_path):
    """How long a recorded trace lasts is not in the scenario: a cost a month cannot be asked for."""
    (tmp_path / "replay.toml").write_text(
        'question = "?"\nstart = 2026-11-23T00:00:00Z\nmodels = ["gemini-2.5-flash"]\n'
        '[replay]\ntrace = "t.jsonl"\n[strategies.none]\n'
    )
    replay = load(tmp_path / "replay.toml")
    assert not [name for name in measures_of(replay) if name.startswith("cost a") or " of " in name]
    assert {"cost", "saving", "p99", "cost per request"} <= measures_of(replay).keys()
    with pytest.raises(InputError, match="unknown measure"):
        requirements(["cost <= $5 a month"], replay)
