"""The largest load: how often it is above the true one, how far below, and what stands in the way of more.

The truth is the inverse of the M/M/c (O45, ``test_capacity_oracle.py``): made cells whose share of late answers is that
of an M/M/c, with noise, and the simulator with as many slots as the M/M/c has servers.
"""

import io
import json
import math
import runpy
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from queues import greatest_load, waits_longer
from rich.console import Console
from scipy.stats import binom
from sources import Luck, Made
from typer.testing import CliRunner

import sim
from sim.cli import app
from sim.decisions.measures import SAME
from sim.decisions.planning.capacity import answer, capacity
from sim.decisions.planning.growth import Growth, Reach, growth_of, least_tier
from sim.decisions.planning.knee import Plan, Seen, knee
from sim.decisions.planning.load_question import Asked, question_of
from sim.decisions.planning.loads import Loads, loads_between, usual_loads
from sim.document import parse
from sim.errors import InputError
from sim.report.capacity_table import capacity_report
from sim.scenario import load, read_scenario
from sim.skewed import ENOUGH
from sim.verdicts import Requirement, judge, mean_of

MACRO = 500
MOST = binom.ppf(1 - 1e-6, MACRO, 0.05)  # of 500 above the true one at a rate of 5 %, but for one in a million
SLOTS, WAIT, CHANCE = 8, 0.5, 0.05
GREATEST = greatest_load(SLOTS, WAIT, CHANCE)  # in mean services
GRID = Loads(1.0, 60, -360, 360)  # 1.2 % apart, which is less than what noise moves a capacity by
TRUE = 80  # the step that the true capacity is a hair below, so that passing it is easiest


def late(step):
    """The chance to wait longer in the M/M/c, when ``TRUE`` steps are a hair more than its greatest load."""
    return waits_longer(GREATEST * (1 + 1e-9) * GRID.at(step) / GRID.at(TRUE), SLOTS, WAIT)


def driven(plan, measured):
    """Return the knee of a search; ``measured(step, times)`` has a value a replication, or such values by measure."""
    search = knee(plan)
    wishes = next(search)
    while True:
        seen = []
        for wish in wishes:
            found = measured(wish.step, wish.times)
            values = found if isinstance(found, dict) else {"late": found}
            random = any(len(set(one)) > 1 for one in values.values())
            least = ENOUGH if random or len(wish.times) < SAME else 1
            seen.append(Seen({name: mean_of(one) for name, one in values.items()}, least))
        try:
            wishes = search.send(seen)
        except StopIteration as end:
            return end.value


NOISE = {
    "normal": lambda luck, name: 1 + 2 * luck.normal(name),
    "skewed": lambda luck, name: luck.lognormal(1.0, name),
}


def noisy(seed, law, *, shared=True):
    """Return late answers with noise of mean 1; the noise is the same at all loads, or each load has its own."""

    def measured(step, times):
        factor = NOISE[law](Luck(seed, times), "noise" if shared else f"noise {step}")
        return (late(step) * factor).tolist()

    return measured


PLAN = Plan([Requirement("late <= 5 %", "late", False, Fraction(CHANCE), "number")], GRID)


def above(knees):
    return sum(one.capacity is not None and one.capacity >= TRUE for one in knees)


@pytest.mark.parametrize(("law", "shared"), [("normal", True), ("skewed", True), ("skewed", False)])
def test_a_capacity_is_above_the_true_one_at_most_once_in_twenty(law, shared):
    """O45, T2: of 500 searches (seeds 0 to 499), on common or independent luck; most are within a fifth of it."""
    found = [driven(PLAN, noisy(seed, law, shared=shared)) for seed in range(MACRO)]
    assert above(found) <= MOST
    near = sum(one.capacity is not None and one.capacity >= TRUE - 16 for one in found)
    assert near >= 0.8 * MACRO


def test_a_search_without_the_correction_is_above_more_often():
    """Control: to go down until a load passes is a test a load, and the level of one does not hold for all of them."""

    def hasty(seed):
        measured = noisy(seed, "normal", shared=False)
        for step in np.arange(TRUE + 5, TRUE - 40, -0.25).tolist():
            evidence = {"late": mean_of(measured(step, range(ENOUGH)))}
            if judge(PLAN.requirements, evidence, 0.90).outcome == "pass":
                return step
        return None

    count = sum((hasty(seed) or 0) >= TRUE for seed in range(MACRO))
    assert count > MOST


def test_a_search_that_believes_its_estimates_is_above_half_of_the_time():
    """Control: the pilot alone, whose estimates are unbiased, passes what a test would not."""
    found = [np.mean(noisy(seed, "normal")(TRUE, range(100, 110))) <= CHANCE for seed in range(MACRO)]
    assert sum(found) > MACRO / 3


def test_without_chance_the_capacity_is_the_largest_load_of_the_grid():
    """T0: and it takes three replications of a pilot and sixty of a test that passes, all of them the same."""
    one = driven(PLAN, lambda step, times: [late(step)] * len(times))
    assert (one.capacity, one.beyond, one.since) == (TRUE - 1, TRUE, None)
    assert {(look.stage, len(look.times)) for look in one.looks} == {("pilot", 3), ("test", 10), ("test", SAME)}


def test_tests_share_no_replication_with_the_pilot():
    """The order of the tests must not hang on what they see; and a load that passes has them all."""
    one = driven(PLAN, noisy(3, "normal"))
    pilot = {time for look in one.looks if look.stage == "pilot" for time in look.times}
    tested = {time for look in one.looks if look.stage == "test" for time in look.times}
    assert not pilot & tested
    assert all(len(look.times) == ENOUGH for look in one.looks if look.stage == "test" and look.passed)


def test_a_pilot_looks_closer_where_few_replications_leave_it_open_only():
    """T0, seed 3: loads far from the knee, on both sides, take three replications, and some near it take ten."""
    one = driven(PLAN, noisy(3, "skewed"))
    pilot = {look.step: len(look.times) for look in one.looks if look.stage == "pilot"}
    few, many = ([step for step, count in pilot.items() if count == wanted] for wanted in (3, 10))
    assert min(few) < min(many) <= max(many) < max(few)
    assert len(few) + len(many) == len(pilot)


@pytest.mark.parametrize(("limit", "expected"), [(0.0, (None, GRID.lo)), (1.0, (GRID.hi, None))])
def test_a_limit_that_no_load_or_every_load_meets(limit, expected):
    """T0: none is null, and where the range ends nothing is said of what is above it."""
    plan = PLAN._replace(requirements=[PLAN.requirements[0]._replace(limit=Fraction(limit))])
    one = driven(plan, lambda step, times: [max(late(step), 1e-9)] * len(times))
    assert (one.capacity, one.beyond) == expected


def test_what_holds_from_some_load_on_is_climbed_to_and_told():
    """T0: hits grow with the load and then the wait does: both hold in between, above the own load."""
    both = [
        Requirement("hits", "hits", True, Fraction(1, 2), "number"),
        Requirement("wait", "wait", False, Fraction(40), "number"),
    ]

    def measured(step):
        share = GRID.at(step)
        return {"hits": share / (share + 7), "wait": share}

    one = driven(Plan(both, GRID), lambda step, times: {name: [x] * len(times) for name, x in measured(step).items()})
    assert GRID.at(one.capacity) <= 40 < GRID.at(one.beyond)
    assert GRID.at(one.since) == 8  # the doubling at which there are 8 / 15 of hits
    assert one.beyond == one.capacity + 1


def test_what_fails_and_does_not_get_better_is_not_climbed():
    """T0: a wait that is too long at every load is looked at up to the scenario's own load only."""
    plan = PLAN._replace(requirements=[PLAN.requirements[0]._replace(limit=Fraction(0))])
    one = driven(plan, lambda step, times: [max(late(step), 1e-9)] * len(times))
    assert max(look.step for look in one.looks) == 0


# ---------------------------------------------------------------- the whole way, on made cells


BASE = load("quickstart")


def made(**options):
    """A source whose p95 grows with load as 1 / (1 - load / limit), by tier, with noise, and whose cost is linear."""
    limits = {"1": 4.0, "2": 9.0, "3": 33.0}

    def columns(place):
        at, limit = place.number("load", 1.0), limits[place.sets.get("project.tier", "1")]
        noise = 1 + 0.05 * place.luck.normal()
        slow = 1e6 if at >= limit else 2.0 / (1 - at / limit)
        over = round(max(0.0, at - limit / 4) * 1_000)
        return {
            "cost_usd": at * noise * {"none": 40.0}.get(place.strategy, 20.0),
            "latency_p95_s": slow * noise,
            "calls": 1_000 + over,
            "refused_requests_per_day": over,
            "total": 1_000,
            "within_patience": np.maximum(0, 1_000 - over - np.rint(10 * noise)).astype(int),
            **options,
        }

    return Made(BASE, columns, seed=5, streams=("desk",))


def decided(source=None, **told):
    """The document of a question about made cells."""
    told = {"require": ["p95 <= 4s"], "strategies": ["explicit"], **told}
    return answer(source or made(), question_of(BASE, Asked(**told)))


def test_the_document_has_the_capacity_and_what_binds():
    """T2, made cells (seed 5): p95 is 4 s at half of the tier's limit, and the mean of 100 errs by 0.5 %."""
    one = decided(tiers=["1"])["capacities"][0]
    assert 1.8 < one["capacity"] < 2.0 <= one["beyond"]
    assert one["binds"]["by"] == "requests_per_day"
    assert one["binds"]["requirements"] == ["p95 <= 4s"]
    loads = [row["load"] for row in one["tried"]]
    assert loads == sorted(set(loads))
    at = next(row for row in one["tried"] if row["load"] == one["capacity"])
    assert at["requirements"][0]["outcome"] == "pass"
    assert at["requirements"][0]["value"]["hi"] <= 4_000
    assert all(row["cost_usd"]["lo"] < row["cost_usd"]["mean"] < row["cost_usd"]["hi"] for row in one["tried"])


def test_money_binds_where_nothing_but_the_cost_fails():
    """T2: the cost is 20 dollars a unit of load; 95 % of it is the largest that 100 replications could fail to pass."""
    one = decided(require=["cost <= $30", "p95 <= 1000s"], tiers=["1"])["capacities"][0]
    assert one["binds"]["by"] == "cost"
    assert 1.5 * 0.93 < one["capacity"] <= 1.5


@pytest.mark.parametrize("limit", [10.0, 25.0, 60.0])
def test_a_limit_of_twice_as_much_takes_no_load_away(limit):
    """Metamorphic, on the same luck."""
    few, many = (
        decided(require=[f"cost <= ${limit * factor}"], tiers=["3"])["capacities"][0]["capacity"] for factor in (1, 2)
    )
    assert many >= few
    assert many / few == pytest.approx(2, rel=0.06)


def test_tiers_and_strategies_stand_side_by_side():
    """Each has a capacity of its own, the least tier first, and all wishes of a round are one call or two."""
    source = made()
    found = decided(source, tiers=["3", "1"], strategies=["none", "explicit"])["capacities"]
    assert [(one["tier"], one["strategy"]) for one in found] == [
        (tier, name) for tier in ("1", "3") for name in ("none", "explicit")
    ]
    assert found[0]["capacity"] < found[2]["capacity"]
    assert len(source.asked) < sum(len(one["tried"]) for one in found)


def test_growth_takes_higher_tiers_and_ends_where_none_carries_it():
    """The load doubles a month: tier 1 carries 2, tier 2 4.5 and tier 3 16.5; it costs 20 dollars a day."""
    path = decided(tiers=["1", "2", "3"], growth="2/month", lasting="6months")["growth"]["paths"][0]
    assert [row["tier"] for row in path["path"]] == ["1", "2", "2", "3", "3", None, None]  # 2 needs more than its noise
    assert path["until"] == 4
    assert [row["met"] for row in path["path"]] == [True] * 5 + [False] * 2
    for row in path["path"][:5]:
        cost = row["cost_usd_a_month"]
        assert cost["lo"] < cost["mean"] < cost["hi"]
        assert cost["mean"] == pytest.approx(600 * row["load"], rel=0.037)  # four standard errors of 30
    assert path["path"][5]["short_by"] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize("capacities", [(1.0, 2.0, 8.0), (5.0, 2.0, 9.0), (None, 3.0, 3.0)])
def test_the_tiers_of_a_growing_load_never_go_down(capacities):
    """T0, whatever the searches of the tiers found."""
    reaches = {tier: Reach(one, 99.0, None) for tier, one in zip("123", capacities, strict=True)}
    tiers = [least_tier(load, reaches)[0] for load in Growth(1.3, 12).loads(0.5)]
    known = ["0" if tier is None and not at else tier or "4" for at, tier in enumerate(tiers)]
    assert known == sorted(known)


def test_a_load_above_all_that_was_tried_is_not_said_to_fail():
    """T0: where nothing bound up to the end of the range, and where the requirements hold from some load on."""
    assert Reach(8.0, None, None).carries(9.0) is None
    assert Reach(8.0, 8.4, None).carries(9.0) is False
    assert Reach(None, 0.1, None).carries(1.0) is False
    assert Reach(8.0, 8.4, 2.0).carries(1.0) is False


# ---------------------------------------------------------------- the range


def test_a_range_reaches_what_growth_asks_for_and_ends_where_requests_are_too_many():
    """T0: neighbours are at most the resolution apart; every load is inside of the range; twice the own is always."""
    loads = usual_loads(1.0, 100.0, 0.05, reach=1_000.0)
    assert loads.at(loads.hi) >= 1_000
    assert usual_loads(1.0, 1e6, 0.05).ended == "requests"
    assert usual_loads(1.0, 1e6, 0.05).at(usual_loads(1.0, 1e6, 0.05).hi) == pytest.approx(2)
    asked = loads_between("0.3..7", 1.0, 0.1)
    assert 0.3 <= asked.at(asked.lo) < 0.33
    assert 6.4 < asked.at(asked.hi) <= 7
    assert asked.apart <= 0.1


@pytest.mark.parametrize("text", ["", "1", "5..1", "0..3", "-1..2", "a..b", "1..inf", "1...3", "1..1.001"])
def test_what_is_no_range_is_refused(text):
    with pytest.raises(InputError, match="--load"):
        loads_between(text, 1.5, 0.05)


@pytest.mark.parametrize(
    ("factor", "lasting"), [("1.2", "12months"), ("0/month", "1year"), ("1.2/day", "1year"), ("20/month", "1year")]
)
def test_what_is_no_growth_is_refused(factor, lasting):
    with pytest.raises(InputError, match="--growth"):
        growth_of(factor, lasting)


def test_every_mistake_of_a_question_is_told_at_once():
    told = Asked(["p95 <= 5"], ["nane"], ["4"], None, 7.0, 0.1, 30, "1.2/month", None)
    with pytest.raises(InputError) as error:
        question_of(BASE, told)
    flags = {problem.path for problem in error.value.problems}
    assert flags == {"--require", "--strategy", "--tier", "--resolution", "--confidence", "--replications", "--growth"}


REPLAY = b"""question = "What did it cost?"
start = 2026-11-23T00:00:00Z
models = ["gemini-2.5-flash"]

[replay]
trace = "log.jsonl"

[strategies.none]
"""


def test_what_no_load_can_scale_is_refused():
    """A recorded trace, and a strategy that sets its own tier or load."""
    with pytest.raises(InputError, match="tier_1 sets a usage tier of its own"):
        capacity("tier-1-queue", require=["p95 <= 1h"], tiers=[2])
    own = load("quickstart", sets=["strategies.none.set.load=3"])
    with pytest.raises(InputError, match="none sets a load of its own"):
        capacity(own, require=["p95 <= 1h"])
    recorded = read_scenario(parse(REPLAY, "recorded.toml"), "recorded")
    with pytest.raises(InputError, match="a recorded trace has no load that can grow"):
        question_of(recorded, Asked(["p95 <= 1h"]))


# ---------------------------------------------------------------- the simulator


def queue(tmp_path, *, rate, concurrency=SLOTS, cost=""):
    """A scenario that is an M/M/c: Poisson arrivals, exponential-like services of 10 s, as many slots as servers."""
    path = tmp_path / f"queue-{rate}-{concurrency}.toml"
    path.write_text(
        f"""question = "How much does an M/M/{concurrency} take?"
start = 2026-11-23T00:00:00Z
horizon = "8h"
models = ["gemini-2.5-flash"]
replications = 100
seed = 11

[streams.calls]
arrivals = {{ process = "poisson", rate = "{rate}/h" }}
fresh = 1
output = {{ law = "geometric", mean = 1000 }}
patience = "1h"

[client]
concurrency = {concurrency}

[service]
slowness_cv = 0
latency = {{ base_s = 0, per_uncached_token_ms = 0, per_cached_token_ms = 0, output_tokens_per_s = 100 }}

[service.implicit]
on = false

[strategies.none]
""",
        encoding="utf-8",
    )
    return path


def test_twice_the_traffic_is_half_of_the_multiplier(tmp_path):
    """Metamorphic, T0: the same requests, so the same verdicts at every load of the grid."""
    limits = {"require": ["p95 <= 45s"], "load": "0.5..4", "resolution": 0.4, "workers": 1}
    once, twice = (
        capacity(queue(tmp_path, rate=rate, concurrency=2), sets=['horizon="10m"'], **limits).summary["capacities"][0]
        for rate in (200, 400)
    )
    assert once["capacity"] is not None
    assert twice["capacity"] == pytest.approx(once["capacity"] / 2, rel=1e-4)
    assert once["binds"]["by"] == "own concurrency"


WIDTHS = {"requests_per_minute": 5, "tokens_per_minute": 1_000}


def test_limits_twice_as_wide_take_no_load_away(tmp_path):
    """Metamorphic, on the same luck: calls a minute and tokens a minute; the limit that is in the way has its name."""
    limits = {"require": ["p95 <= 45s"], "load": "0.5..8", "resolution": 0.4, "workers": 1}
    few, many = (
        capacity(
            queue(tmp_path, rate=200, concurrency=64),
            sets=['horizon="10m"', *(f"project.limits.{name}={width * factor}" for name, width in WIDTHS.items())],
            **limits,
        ).summary["capacities"][0]
        for factor in (1, 2)
    )
    assert few["binds"]["by"] == "requests_per_minute"
    assert few["capacity"] < many["capacity"]


MEAN_S = 10.0  # of a service


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_the_simulator_takes_as_much_as_an_mmc(tmp_path, seed):
    """O45, T3 on the simulator, seeds 0 to 4: p95 of the whole stay of an M/M/8 is the limit, at a load of 6 of 8.

    The stay is the wait and the service. A run begins empty and lasts eight hours, 2,880 mean services, so the start
    moves the capacity by less than a step of 5 %; a step above the truth is allowed for it, and two below for noise.
    """
    limit = stay_quantile(6.0, SLOTS, 0.95) * MEAN_S
    found = capacity(
        queue(tmp_path, rate=360),
        require=[f"p95 <= {limit:.3f}s"],
        load="1..8",
        seed=seed,
        workers=1,
        strategies=["none"],
    )
    one = found.summary["capacities"][0]
    assert 6 * 0.9 <= one["capacity"] <= 6 * 1.05
    assert one["binds"]["by"] == "own concurrency"


def stay_quantile(load, slots, q):
    """The q-quantile of the stay in an M/M/c, in mean services, by halving.

    P(S > t) = e^(-t) + C (e^(-k t) - e^(-t)) / (1 - k) with k = c - a: the wait is exponential of rate k with chance C,
    and the service is independent of it (Gross-Harris 2.3).
    """
    chance, k = waits_longer(load, slots, 0.0), slots - load

    def longer(t):
        return math.exp(-t) + chance * (math.exp(-k * t) - math.exp(-t)) / (1 - k)

    low, high = 0.0, 1_000.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if longer(middle) > 1 - q else (low, middle)
    return low


# ---------------------------------------------------------------- the command, and what it prints


def small_desk(tmp_path):
    """The queue of two slots for ten minutes: a cell takes milliseconds."""
    text = queue(tmp_path, rate=200, concurrency=2).read_text(encoding="utf-8").replace('"8h"', '"10m"')
    path = tmp_path / "desk.toml"
    path.write_text(text, encoding="utf-8")
    return path


ASKED = ["--require", "p95 <= 45s", "--load", "1..3", "--resolution", "0.2", "--workers", "1"]
ASKED += ["--growth", "1.5/month", "--for", "2months"]


def ran(tmp_path):
    """Run the command and return its exit code and what it printed."""
    return gcsim(str(small_desk(tmp_path)), *ASKED, "--out", str(tmp_path / "out"))


def gcsim(*arguments):
    """Run ``gcsim capacity`` in this process."""
    found = CliRunner().invoke(app, ["capacity", *arguments])
    return found.exit_code, found.stdout, found.stderr


def test_the_answer_comes_first_and_a_study_that_is_asked_again_computes_nothing(tmp_path):
    """The report: the answer in a sentence, then tables, then how to read them; the document has the same figures."""
    code, text, told = ran(tmp_path)
    assert code == 0
    folder = told.split("saved: ")[1].strip()
    before = sorted(path.name for path in Path(folder).iterdir())
    code, printed, _ = gcsim(str(small_desk(tmp_path)), *ASKED, "--json", "--resume", folder)
    assert code == 0
    assert sorted(path.name for path in Path(folder).iterdir()) == before
    document = json.loads(printed)
    assert document["schema"] == "gcsim.capacity/1"
    one = document["capacities"][0]
    found = f"The largest load that meets all, with 95% confidence: {one['capacity']:.4g} x (none)."
    assert text.splitlines()[0] == found
    for part in ("slots of its own client", "least tier", "fixed-sequence", "month", "passed", "Assumptions in force"):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def printed(summary):
    """Return the report without colour, at 120 columns."""
    console = Console(width=120, file=io.StringIO())
    console.print(*capacity_report(summary), sep="\n")
    return console.file.getvalue()


@pytest.mark.parametrize("tiers", [["1", "2", "3"], ["1", "2"]])
def test_of_many_curves_only_the_knees_are_printed(tiers):
    """More than three pairs of tier and strategy: the last load that passed, the first that did not, and the own."""
    summary = decided(tiers=tiers, strategies=["none", "explicit"][: len(tiers) - 1])
    summary |= {"scenario": "desk", "question": "?", "seed": 5, "book": "google", "assumptions": [], "warnings": []}
    text = printed(summary)
    curves = text[text.index("Load against cost") :]
    shown = [line for line in curves.splitlines() if " x " in line and "±" in line]
    every = sum(len(one["tried"]) for one in summary["capacities"])
    assert ("--json has every load" in " ".join(text.split())) == (len(tiers) == 3)
    loads = [{one["capacity"], one["beyond"], summary["own_load"]} for one in summary["capacities"]]
    assert len(shown) == (every if len(tiers) == 2 else sum(map(len, loads))) <= every
    assert all(f"{load:.4g} x" in curves for three in loads for load in three)


def test_every_mistake_of_the_command_line_is_told_at_once(tmp_path):
    """And nothing is written; where the scenario is none, the others are told too."""
    flags = ("--tier", "9", "--resolution", "much", "--confidence", "99.9", "--growth", "2")
    wanted = ("--tier", "--resolution", "--confidence", "--growth")
    for scenario in (str(small_desk(tmp_path)), "nowhere"):
        code, _, told = gcsim(scenario, *flags, "--out", str(tmp_path / "out"))
        assert code == 2
        assert all(f" {flag}: " in told for flag in wanted)
    assert not (tmp_path / "out").exists()


def test_the_script_is_short_and_prints_a_plan(monkeypatch, capsys):
    """``scenarios/capacity_plan.py`` as it is, but for made cells in the place of the simulator's."""
    path = Path(__file__).parents[1] / "scenarios" / "capacity_plan.py"
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40

    def on_made_cells(name, base, asked, answer, means):
        return SimpleNamespace(summary=answer(made()))

    monkeypatch.setattr("sim.decisions.planning.capacity.found", on_made_cells)
    monkeypatch.setattr(sim, "capacity", capacity, raising=False)
    runpy.run_path(str(path))["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tier 1: ")
    assert "requests_per_day binds" in lines[0]
    assert lines[-1].startswith("month 12: ")
    assert len(lines) == 2 + 13
