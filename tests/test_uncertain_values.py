"""Values that are distributions: their laws against closed forms and scipy, and how a scenario with them is read."""

import math

import numpy as np
import pytest
from draws import keyed
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sim.document import as_toml, parse
from sim.errors import InputError
from sim.experiments.montecarlo import run
from sim.scenario import read_scenario
from sim.scenario.distributions import FORMS, NotALaw, law_of
from sim.scenario.families import LAWS
from sim.scenario.spec import ScenarioSpec
from sim.scenario.uncertain import _TEXTS, centre, drawn, parse_law, told

T1 = 1e-9  # relative
U = (0.001, 0.05, 0.3, 0.5, 0.7, 0.95, 0.999)

REFERENCE = {
    "lognormal(120, cv=0.3)": stats.lognorm(math.sqrt(math.log(1.09)), scale=120),
    "lognormal(mean=120, cv=0.3)": stats.lognorm(math.sqrt(math.log(1.09)), scale=120 / math.sqrt(1.09)),
    "lognormal(100..150)": stats.lognorm(math.log(1.5) / (2 * stats.norm.ppf(0.95)), scale=math.sqrt(15_000)),
    "normal(100, sd=30)": stats.norm(100, 30),
    "normal(90..110)": stats.norm(100, 10 / stats.norm.ppf(0.95)),
    "normal(100, sd=30, at_least=80, at_most=150)": stats.truncnorm(-2 / 3, 5 / 3, 100, 30),
    "gamma(100, cv=0.5)": stats.gamma(4, scale=25),
    "beta(8, 4)": stats.beta(8, 4),
    "uniform(200, 400)": stats.uniform(200, 200),
    "loguniform(0.01, 1)": stats.loguniform(0.01, 1),
    "triangular(10, 30, 60)": stats.triang(0.4, 10, 50),
    "triangular(10, 10, 60)": stats.triang(0, 10, 50),
    "pert(10, 30, 60)": stats.beta(1 + 4 * 0.4, 1 + 4 * 0.6, 10, 50),
    "dirichlet(37)": stats.gamma(37),
}


@pytest.mark.parametrize("text", REFERENCE)
def test_the_quantiles_of_a_law_are_those_of_scipy(text):
    """T1 at seven points; scipy.stats has its own code for all of them."""
    law = law_of(text)
    assert [law.quantile(u) for u in U] == pytest.approx(REFERENCE[text].ppf(U), rel=T1)


@pytest.mark.parametrize("text", REFERENCE)
def test_the_distribution_function_undoes_the_quantiles(text):
    """P(X <= quantile(u)) is u, and 0 and 1 outside of the support: what conditioning on bounds takes for granted."""
    law = law_of(text)._replace(least=-math.inf, most=math.inf)
    chance = LAWS[law.name].chance
    assert [chance(law.shape, law.quantile(u)) for u in U] == pytest.approx(U, rel=T1)
    assert (chance(law.shape, -math.inf), chance(law.shape, math.inf)) == (0, 1)


def test_every_law_is_compared_with_a_reference():
    """A law that is added is compared too."""
    assert {law_of(text).name for text in REFERENCE} | {"choice"} == set(FORMS)
    assert {form for text in REFERENCE for form in LAWS[law_of(text).name].forms} == {
        form for family in LAWS.values() for form in family.forms
    }


def test_the_figures_in_the_brackets_are_what_they_say():
    """A median, a mean, a central 90 %, a mode: closed forms, by quantiles at 20,000 midpoints (to 0.2 %)."""

    def moments(text):
        law = law_of(text)
        values = np.array([law.quantile(u) for u in (np.arange(20_000) + 0.5) / 20_000])
        return values.mean(), values.std()

    assert law_of("lognormal(120/h, cv=0.3)").at(0.5) == "120/h"
    assert moments("lognormal(mean=120, cv=0.3)") == pytest.approx((120, 36), rel=2e-3)
    assert moments("normal(100, sd=30)") == pytest.approx((100, 30), rel=2e-3)
    assert moments("gamma(100, cv=0.5)") == pytest.approx((100, 50), rel=2e-3)
    assert moments("beta(8, 4)") == pytest.approx((8 / 12, math.sqrt(8 * 4 / 13) / 12), rel=2e-3)
    assert moments("triangular(10, 30, 60)")[0] == pytest.approx(100 / 3, rel=2e-3)
    assert moments("pert(10, 30, 60)")[0] == pytest.approx((10 + 4 * 30 + 60) / 6, rel=2e-3)
    for text in ("lognormal(100..150)", "normal(100..150)"):
        assert [law_of(text).quantile(u) for u in (0.05, 0.95)] == pytest.approx([100, 150], rel=T1)
    assert moments("lognormal(120, cv=0.3)")[0] != pytest.approx(120, rel=2e-3)  # control: the median is not the mean


def test_a_law_keeps_the_unit_of_its_parameters():
    """Durations are whole ms, tokens whole tokens, rates keep their unit of time; numbers have twelve digits."""
    assert law_of("uniform(1h, 3h)").at(0.25) == "1h30m"
    assert law_of("uniform(0s, 1s)").at(1 / 3) == "333ms"
    assert law_of("triangular(10k, 30k, 50k)").at(0.5) == "30000"
    assert law_of("uniform(500, 2k)").at(0.5) == "1250"
    assert law_of("uniform(1/s, 3/s)").at(0.5) == "2/s"
    assert law_of("uniform(60/h, 2/min)").at(0.5) == "90/h"
    assert law_of("uniform(0/day, 24/day)").at(0.5) == "12/day"
    assert law_of("normal(1h, sd=10m)").at(0.5) == "1h"
    assert law_of("uniform(0, 1)").at(1 / 3) == "0.333333333333"


def test_a_choice_is_among_quantities_in_order_or_words_as_they_stand():
    """Each value is equally likely; a value that stands twice is twice as likely."""
    assert [law_of("choice(4h, 1h, 2h)").at(u) for u in (0.1, 0.5, 0.9, 1.0)] == ["1h", "2h", "4h", "4h"]
    assert [law_of("choice(input, free)").at(u) for u in (0.1, 0.9)] == ["input", "free"]
    values = [law_of("choice(1h, 2h, 1h)").at(u) for u in (np.arange(300) + 0.5) / 300]
    assert (values.count("1h"), values.count("2h")) == (200, 100)
    assert law_of("choice(500k, unlimited)").items == ("500k", "unlimited")


@given(st.lists(st.floats(0.001, 0.999), min_size=2, max_size=2), st.sampled_from(sorted(REFERENCE)))
def test_values_rise_with_their_uniforms(us, text):
    """What common random numbers and rank correlations of an input rest on."""
    low, high = (law_of(text).quantile(u) for u in sorted(us))
    assert low <= high


BAD = [
    ("lognrmal(1, 2)", "unknown distribution lognrmal; did you mean 'lognormal'?"),
    ("beta(-1, 2)", "A and B must be > 0; beta(A, B)"),
    ("beta(1)", "these are not its parameters: 1; beta(A, B)"),
    ("beta(1, 2", "a bracket is not closed"),
    ("beta(1,, 2)", "an empty parameter"),
    ("beta(1h, 2h)", "not a plain number: 1h, 2h"),
    (
        "lognormal(120/h)",
        "these are not its parameters: 120/h; lognormal(MEDIAN, cv=CV) or lognormal(mean=MEAN, cv=CV)",
    ),
    ("lognormal(120/h, sd=3/h)", "these are not its parameters"),
    ("lognormal(0, cv=0.3)", "the median must be > 0"),
    ("lognormal(mean=-1, cv=0.3)", "the mean must be > 0"),
    ("lognormal(1, cv=0)", "cv must be above 0"),
    ("lognormal(150..100)", "needs 0 < LOW < HIGH"),
    ("normal(1h, sd=30)", "quantities of different kinds: 1h, 30"),
    ("normal(1, sd=0)", "sd must be > 0"),
    ("normal(3..3)", "needs LOW < HIGH"),
    ("gamma(-3, cv=1)", "the mean must be > 0"),
    ("uniform(1h, 3k)", "quantities of different kinds: 1h, 3k"),
    ("uniform(x, 3)", "'x' is no quantity"),
    ("uniform(3, 2)", "needs LOW < HIGH"),
    ("uniform(2..3)", "these are not its parameters"),
    ("loguniform(0, 1)", "needs 0 < LOW < HIGH"),
    ("triangular(1, 5, 3)", "needs LOW <= MODE <= HIGH"),
    ("pert(1, 0, 3)", "needs LOW <= MODE <= HIGH"),
    ("choice(1h)", "a choice needs two values"),
    ("choice(1h, 5)", "quantities of different kinds"),
    ("uniform(1, 2, at_least=3)", "keep 0.0e+00 of the law"),
    ("normal(1, sd=1, at_least=3, at_most=2)", "at_least must be below at_most"),
    ("lognormal(1, cv=0.1, cv=0.2)", "a parameter is given twice"),
    ("dirichlet(0)", "A must be > 0"),
    ("dirichlet(3, at_most=2)", "these are not its parameters"),
    ("30m", "not a distribution"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_a_mistake_in_a_law_says_the_rule_and_what_would_be_one(text, words):
    """One sentence, with the forms that the law has."""
    with pytest.raises(NotALaw) as caught:
        law_of(text)
    assert words in str(caught.value)


def test_a_member_of_a_joint_law_is_no_law_of_one_value():
    """A dirichlet is drawn with the others of its list only."""
    with pytest.raises(NotALaw, match="a dirichlet is a law of several values"):
        parse_law("dirichlet(60)")


SCENARIO = """\
question = "beta(8, 4)"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
replications = 2
[contexts."manual (old)"]
tokens = "triangular(4k, 5k, 9k)"
count = "uniform(2, 9)"
[streams.s]
arrivals = { process = "poisson", rate = "lognormal(20/h, cv=0.3)" }
fresh = { law = "lognormal", mean = "uniform(200, 400)", cv = 0.5 }
output = 100
patience = "1m"
context = "manual (old)"
[strategies.explicit]
ttl = "choice(10m, 30m, 1h)"
[strategies.batch]
set = { load = "uniform(1, 2)" }
[service.implicit]
hit_chance = [{ from_tokens = 0, chance = "beta(8, 4)" }]
[service.batch.turnaround]
components = [
  { weight = "dirichlet(60)", median = "10m", sigma = 0.8 },
  { weight = "dirichlet(37)", median = "4h", sigma = 0.7 },
  { weight = "dirichlet(3)" },
]
[prices."gemini-2.5-flash"]
cached = "uniform(0.01, 0.1)"
"""
WEIGHTS = [f"service.batch.turnaround.components[{n}].weight" for n in range(3)]
MEDIAN_CHANCE = float(f"{stats.beta(8, 4).median():.12g}")


def scenario(old="", new="", sets=()):
    assert SCENARIO.count(old) == 1 or not old
    text = SCENARIO.replace(old, new) if old else SCENARIO + new
    return read_scenario(parse(text.encode(), "s.toml"), "s", sets=sets)


def mistakes(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        scenario(*args, **kwargs)
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


def test_a_scenario_is_read_at_the_centres_of_its_laws():
    """Medians; of a joint law the means; what is counted in whole numbers is rounded."""
    found = scenario()
    spec, by_name = found.spec, {arm.name: arm for arm in found.arms}
    assert spec.streams["s"].arrivals.rate == 20
    assert spec.streams["s"].fresh.mean == 300
    assert spec.contexts["manual (old)"].count == round(5.5)
    assert by_name["explicit"].strategy.ttl == 1_800_000
    assert (by_name["explicit"].spec.load, by_name["batch"].spec.load) == (1, 1.5)
    service = by_name["explicit"].service
    assert service.implicit.hit_chance[0].chance == MEDIAN_CHANCE
    assert [part.weight for part in service.batch.turnaround.components] == [0.60, 0.37, 0.03]
    assert spec.prices["gemini-2.5-flash"].cached == 55_000


def test_a_text_that_is_one_stays_one():
    """A question and names may look like a distribution."""
    found = scenario()
    assert found.question == "beta(8, 4)"
    assert found.spec.streams["s"].context == "manual (old)"


def test_the_fields_where_a_text_stays_one_are_all_that_take_any_text():
    """A field of free text that is added must be added to the list."""
    schema = ScenarioSpec.model_json_schema()
    names = {"contexts": "ContextSpec", "streams": "StreamSpec", "replay": "ReplaySpec"}
    free = {(key,) for key in ("question", "book", "baseline", "time_zone")} | {("models", "*")}
    assert {(key,) for key in schema["properties"] if _free(schema["properties"][key])} == {
        path for path in free if len(path) == 1
    }
    for table, model in names.items():
        fields = schema["$defs"][model]["properties"]
        free |= {(table, *(["*"] if table != "replay" else []), key) for key in fields if _free(fields[key])}
    assert free | {("strategies", "*", "contexts", "*")} == set(_TEXTS)


def _free(field):
    kinds = [field, *field.get("anyOf", [])]
    return any(
        kind.get("type") == "string" and not {"enum", "const", "pattern", "format"} & kind.keys() for kind in kinds
    )


def test_a_run_warns_of_what_it_takes_for_certain_and_lists_it():
    """Each uncertain value is told by name, with its law and the value taken, in warnings and assumptions."""
    result = run(scenario())
    rate = (
        "streams.s.arrivals.rate is uncertain (lognormal(20/h, cv=0.3)): taken at its median 20/h here; "
        "gcsim uncertainty draws it"
    )
    assert result.warnings[: len(told(scenario().uncertain))] == tuple(told(scenario().uncertain))
    assert rate in result.warnings
    listed = {assumption.path: assumption.text for assumption in result.assumptions}
    assert listed["streams.s.arrivals.rate"] == "Uncertain: lognormal(20/h, cv=0.3)."
    assert {one.path for one in scenario().uncertain} <= listed.keys()


def test_a_value_that_is_set_is_certain():
    """--set on the path of a law takes the law away; all set is a scenario as any other."""
    found = scenario()
    one = scenario(sets=["streams.s.arrivals.rate=30/h"])
    assert {u.path for u in found.uncertain} - {u.path for u in one.uncertain} == {"streams.s.arrivals.rate"}
    sets = drawn(found.uncertain, [0.3] * len(found.uncertain))
    assert scenario(sets=sets).uncertain == ()
    again = scenario(sets=["streams.s.output=uniform(50, 150)"])
    assert again.spec.streams["s"].output.value == 100
    assert dict(u[:2] for u in again.uncertain)["streams.s.output"] == "uniform(50, 150)"


def test_draws_are_what_set_takes_and_fit_their_fields():
    """Counts are whole, prices have six decimals, shares sum to 1; every draw can be read."""
    found = scenario()
    for u in (0.0137, 0.31, 0.5, 0.77, 0.9973):
        sets = drawn(found.uncertain, [u] * len(found.uncertain))
        values = dict(text.split("=", 1) for text in sets)
        assert [text.split("=", 1)[0] for text in sets] == [one.path for one in found.uncertain]
        assert values['contexts."manual (old)".count'] == str(round(2 + 7 * u))
        assert values['prices."gemini-2.5-flash".cached'] == f"{round(0.01 + 0.09 * u, 6):.12g}"
        assert sum(as_toml(values[path]) for path in WEIGHTS) == pytest.approx(1, abs=1e-15)
        read = scenario(sets=sets)
        assert read.spec.contexts["manual (old)"].count == round(2 + 7 * u)
        assert read.arms[1].spec.load == pytest.approx(1 + u, rel=1e-11)


def test_what_is_drawn_together_does_not_hang_on_the_order_of_the_laws():
    """Each value takes its own uniform, and the text comes in the order of the laws."""
    found = scenario().uncertain
    us = [(n + 1) / (len(found) + 1) for n in range(len(found))]
    backwards = drawn(found[::-1], us[::-1])
    assert sorted(backwards) == sorted(drawn(found, us))


def test_a_joint_law_is_dirichlet():
    """T2: each share is Beta(a, A - a) by Kolmogorov and Smirnov, and two shares covary by -a b / (A^2 (A + 1))."""
    members = [one for one in scenario().uncertain if one.group]
    uniforms = keyed(20261123, shape=(4_000, 3))
    shares = np.array([[float(text.split("=")[1]) for text in drawn(members, row)] for row in uniforms.tolist()])
    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-12)
    for place, a in enumerate((60, 37, 3)):
        assert stats.kstest(shares[:, place], "beta", args=(a, 100 - a)).pvalue > 1e-6
        assert stats.kstest(shares[:, place], "beta", args=(a + 1, 100 - a)).pvalue < 1e-6  # control: one more seen
    products = (shares[:, 0] - 0.60) * (shares[:, 1] - 0.37)
    error = products.std(ddof=1) / math.sqrt(len(products))
    assert abs(products.mean() + 0.60 * 0.37 / 101) < 4 * error
    assert abs(products.mean()) > 4 * error  # control: independent shares


def test_the_manifest_tells_the_law_and_not_its_centre():
    """What was run is recorded as it was written."""
    file = scenario().resolved()["file"]
    assert file["streams"]["s"]["arrivals"]["rate"] == "lognormal(20/h, cv=0.3)"
    assert file["service"]["batch"]["turnaround"]["components"][0]["weight"] == "dirichlet(60)"


RATE, CHANCE, TTL = '"lognormal(20/h, cv=0.3)"', 'chance = "beta(8, 4)"', '"choice(10m, 30m, 1h)"'
REFUSED = [
    (
        RATE,
        '"lognrmal(20/h, cv=0.3)"',
        "s.toml:10: streams.s.arrivals.rate: unknown distribution lognrmal; did you mean",
    ),
    (
        RATE,
        '"lognormal(20, cv=0.3)"',
        "s.toml:10: streams.s.arrivals.rate: lognormal(20, cv=0.3) is taken at its median 20: not a rate",
    ),
    (
        CHANCE,
        'chance = "lognormal(0.6, cv=0.4)"',
        "s.toml:20: service.implicit.hit_chance[0].chance: lognormal(0.6, cv=0.4) gives 1.97327809752 at its 99.9 % ",
    ),
    (
        CHANCE,
        'chance = "normal(0.5, sd=0.2, at_most=1)"',
        "gives -0.118416361114 at its 0.1 % quantile: must be greater than or equal to 0",
    ),
    (
        CHANCE,
        'chance = "dirichlet(3)"',
        "s.toml:20: service.implicit.hit_chance[0].chance: a dirichlet alone in its list",
    ),
    ("output = 100", 'output = "dirichlet(3)"', "s.toml:12: streams.s.output: a dirichlet in no list"),
    ("replications = 2", 'replications = "uniform(2, 9)"', "s.toml:5: replications: cannot be uncertain"),
    ("replications = 2", 'seed = "choice(2, 9)"', "s.toml:5: seed: cannot be uncertain"),
    ("replications = 2", 'baseline = "beta(8, 4)"', "s.toml:5: baseline: unknown strategy"),
    ('"2026-11-23T00:00:00Z"', '"uniform(1, 2)"', "s.toml:2: start: cannot be uncertain"),
    ('"poisson"', '"beta(8, 4)"', "s.toml:10: streams.s.arrivals: unknown process 'beta(8, 4)'; allowed: bursts"),
    (TTL, '"choice(10m, soon)"', "s.toml:16: strategies.explicit.ttl: choice(10m, soon) gives soon: not a duration"),
    ("load = ", '"streams.s.output" = "uniform(1.5, 1)", load = ', "needs LOW < HIGH"),
    ('weight = "dirichlet(3)"', "weight = 0.03", "the weights must sum to 1; their sum is 1.03"),
]


@pytest.mark.parametrize(("old", "new", "words"), REFUSED)
def test_a_law_that_its_field_refuses_is_told_with_its_line(old, new, words):
    """The field, the law, the value that it would have, and the rule of the field."""
    found = mistakes(old, new)
    assert len(found) == 1
    assert words in found[0]


def test_all_mistakes_are_told_at_once():
    """Laws that are none beside values that are wrong and overrides that cannot be read."""
    found = mistakes(
        RATE,
        '"lognormal(20/h)"',
        sets=["streams.s.output=beta(-1, 2)", "streams.s.patience=soon", "zz=1", "streams.s[0]=1"],
    )
    places = [line.split(": ")[0] for line in found]
    assert len(found) == 5
    assert "s.toml:10" in places
    assert sum(place.startswith("--set") for place in places) == 4


def test_the_ends_of_a_law_are_tried_through_every_rule_of_a_scenario():
    """More requests than can be expected of any run, only at the far end of a rate, are refused before the first."""
    found = mistakes(RATE, '"loguniform(1/h, 9e12/h)"')
    assert len(found) == 1
    assert "at its 99.9 % quantile" in found[0]
    assert "streams" in found[0]


def test_an_element_of_a_list_has_a_path():
    """--set changes one element of a list of the file, or of the book's own where the file has none."""
    found = scenario(
        sets=["service.implicit.hit_chance[0].chance=0.25", "service.batch.turnaround.components[1].sigma=2"]
    )
    assert found.arms[0].service.implicit.hit_chance[0].chance == 0.25
    assert found.arms[0].service.batch.turnaround.components[1].sigma == 2
    bare = SCENARIO.replace('[service.implicit]\nhit_chance = [{ from_tokens = 0, chance = "beta(8, 4)" }]\n', "")
    document = parse(bare.encode(), "s.toml")
    usual = read_scenario(document, "s").arms[0].service.implicit.hit_chance
    changed = read_scenario(document, "s", sets=["service.implicit.hit_chance[1].chance=0.5"])
    assert [step.chance for step in changed.arms[0].service.implicit.hit_chance] == [usual[0].chance, 0.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("service.implicit.hit_chance[1].chance=1", "hit_chance has no element 1; a place from 0 to 0"),
        ("service.implicit.hit_chance.chance=1", "hit_chance is a list, not a table; the place of an element first"),
        ("service.implicit[0]=1", "implicit is a table, not a list"),
        ("streams.s.output[0]=1", "output is a value, not a list"),
        ("service.nothing[0]=1", "there is no list service.nothing to change an element of"),
        ("service.implicit.hit_chance[-1].chance=1", "not a path of keys"),
        ("service.implicit.hit_chance[0]chance=1", "not a path of keys"),
        (
            "service.implicit.hit_chance[0].chance=2",
            "service.implicit.hit_chance[0].chance: must be less than or equal",
        ),
    ],
)
def test_a_path_that_leads_nowhere_is_told(text, words):
    """One line, with the override."""
    found = mistakes(sets=[text])
    assert len(found) == 1
    assert found[0].startswith(f"--set {text}: ")
    assert words in found[0]


def test_the_centre_of_every_law_can_be_read_back():
    """The texts at the centres give the scenario that is read in place of the laws."""
    found = scenario()
    values = centre(found.uncertain)
    again = scenario(sets=[f"{path}={text}" for path, text in values.items()])
    assert again.spec == found.spec
    assert [arm.service for arm in again.arms] == [arm.service for arm in found.arms]
