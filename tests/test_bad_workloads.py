"""Bad inputs 4.1: one line a mistake, with its place, the rule and the value; all mistakes at once."""

import pytest
from workloads import HEAD, workload

from sim.document import parse, validate
from sim.errors import InputError
from sim.workload.rules import check
from sim.workload.spec import WorkloadSpec

GOOD = """
[contexts.sys]
tokens = 900
[contexts.docs]
under = "sys"
count = 5
tokens = {law = "lognormal", mean = "20k", cv = 1.0}
[streams.chat]
arrivals = {process = "poisson", rate = "60/h"}
context = "docs"
fresh = {law = "lognormal", mean = 200, cv = 1.0}
output = 300
patience = "30s"
session = {turns = {law = "geometric", mean = 3.0}, think = "40s"}
"""
POISSON = '{process = "poisson", rate = "60/h"}'
FRESH = '{law = "lognormal", mean = 200, cv = 1.0}'
TURNS = '{law = "geometric", mean = 3.0}'
EMPIRICAL = '{law = "empirical", values = [1, 2], weights = [0.5, %s]}'
PIECES = '{process = "profile", pieces = [{since = "0s", until = "2h", rate = "1/h"}, %s]}'
SECOND = '{since = "%s", until = "%s", rate = "1/h"}'
HOURS = ", ".join(['"1/h"'] * 24)


def arrivals(table: str) -> tuple[str, str]:
    return POISSON, table


def fresh(table: str) -> tuple[str, str]:
    return FRESH, table


def parts(table: str) -> tuple[str, str]:
    return 'patience = "30s"', f'patience = "30s"\nparts = {table}'


CASES = [
    # what is replaced, by what; where the mistake is; words of the message
    (arrivals('{process = "poisson", rate = "-3/h"}'), "streams.chat.arrivals.rate", "not a rate"),
    (arrivals('{process = "poisson", rate = "1e400/h"}'), "streams.chat.arrivals.rate", "rate"),
    (arrivals('{process = "poisson", rate = "1e-999999999/h"}'), "streams.chat.arrivals.rate", "not a rate"),
    (arrivals('{process = "poisson", rate = "9e99/h"}'), "streams.chat.arrivals.rate", "no clock"),
    (arrivals('{process = "poisson", rate = 60}'), "streams.chat.arrivals.rate", "not a rate"),
    (arrivals('{process = "poisson"}'), "streams.chat.arrivals.rate", "a required key is missing"),
    (arrivals('{process = "poison", rate = "1/h"}'), "streams.chat.arrivals", "did you mean 'poisson'?"),
    (arrivals('{rate = "1/h"}'), "streams.chat.arrivals", "the key 'process' is missing"),
    (arrivals('{process = "poisson", rate = "1/h", cvs = 1}'), "streams.chat.arrivals.cvs", "unknown key"),
    (arrivals('{process = "gamma", rate = "1/h", cv = 0}'), "streams.chat.arrivals.cv", "greater than 0"),
    (arrivals('{process = "gamma", rate = "1/h", cv = -1.5}'), "streams.chat.arrivals.cv", "got -1.5"),
    (arrivals('{process = "gamma", rate = "1/h", cv = nan}'), "streams.chat.arrivals.cv", "finite"),
    (arrivals('{process = "gamma", rate = "1/h", cv = true}'), "streams.chat.arrivals.cv", "number"),
    (arrivals('{process = "mmpp", states = [{rate = "1/h", lasts = "1h"}]}'), "streams.chat.arrivals.states", "2"),
    (
        arrivals('{process = "mmpp", states = [{rate = "1/h", lasts = "0s"}, {rate = "2/h", lasts = "1h"}]}'),
        "streams.chat.arrivals.states[0].lasts",
        "must be > 0",
    ),
    (
        arrivals('{process = "mmpp", states = [{rate = "1/h", lasts = "1ms"}, {rate = "2/h", lasts = "1ms"}]}'),
        "streams.chat.arrivals.states",
        None,  # a day of ms is allowed; see the longer horizon below
    ),
    (arrivals('{process = "profile"}'), "streams.chat.arrivals", "none given"),
    (arrivals('{process = "profile", hourly = ["1/h"]}'), "streams.chat.arrivals.hourly", "24"),
    (arrivals(f'{{process = "profile", rate = "1/h", hourly = [{HOURS}]}}'), "streams.chat.arrivals", "excludes"),
    (arrivals(f'{{process = "profile", weights = {[0] * 24}}}'), "streams.chat.arrivals", "needs the key 'rate'"),
    (arrivals(f'{{process = "profile", rate = "1/h", weights = {[0] * 24}}}'), "streams.chat.arrivals", "sum to 0"),
    (arrivals(PIECES % (SECOND % ("1h", "3h"))), "streams.chat.arrivals.pieces[1].since", "overlaps"),
    (arrivals(PIECES % (SECOND % ("5h", "5h"))), "streams.chat.arrivals.pieces[1].until", "ends before it begins"),
    (arrivals(PIECES % (SECOND % ("5h", "25h"))), "streams.chat.arrivals.pieces[1].until", "ends after the horizon"),
    (arrivals(PIECES % (SECOND % ("2h", "24h"))), "streams.chat.arrivals", None),
    (arrivals('{process = "schedule", at = "24:00", count = 1}'), "streams.chat.arrivals.at", "time of day"),
    (arrivals('{process = "schedule", at = [], count = 1}'), "streams.chat.arrivals.at", "at least 1"),
    (arrivals('{process = "schedule", at = "01:00", count = -1}'), "streams.chat.arrivals.count", "got -1"),
    (arrivals('{process = "bursts", rate = "1/h", size = "many"}'), "streams.chat.arrivals.size", "token count"),
    (arrivals('{process = "poisson", rate = "60000000/h"}'), "streams.chat.arrivals", "got '4,320,000,000'"),
    (arrivals('{process = "poisson", rate = "0/h"}'), "streams.chat.arrivals", None),
    (fresh('{law = "lognormal", mean = 200, cv = 0}'), "streams.chat.fresh.cv", "greater than 0"),
    (fresh('{law = "lognormal", mean = 0, cv = 1}'), "streams.chat.fresh.mean", "must be > 0"),
    (fresh('{law = "lognormal", mean = inf, cv = 1}'), "streams.chat.fresh.mean", "at most"),
    (fresh('{law = "lognormal", mean = nan, cv = 1}'), "streams.chat.fresh.mean", "must be > 0"),
    (fresh('{law = "lognormal", mean = true, cv = 1}'), "streams.chat.fresh.mean", "not a mean"),
    (fresh('{law = "lognormal", mean = 5, cv = 1, at_least = 9, at_most = 8}'), "streams.chat.fresh.at_most", "below"),
    (fresh('{law = "lognormal", mean = 5, cv = 0.1, at_least = 900}'), "streams.chat.fresh", "keep"),
    (fresh('{law = "uniform", low = 0, high = 8}'), "streams.chat.fresh", "state at_least = 0"),
    (fresh('{law = "uniform", low = 9, high = 8}'), "streams.chat.fresh.high", "below low = 9"),
    (fresh('{law = "geometric", mean = 0.5}'), "streams.chat.fresh.mean", "greater than or equal to 1"),
    (fresh('{law = "pareto", mean = 5}'), "streams.chat.fresh", "unknown law 'pareto'"),
    (fresh(EMPIRICAL % "0.499"), "streams.chat.fresh.weights", "sum to 0.999"),
    (fresh(EMPIRICAL % "0.501"), "streams.chat.fresh.weights", "sum to 1.001"),
    (fresh(EMPIRICAL % "-0.5"), "streams.chat.fresh.weights[1]", "greater than or equal to 0"),
    (fresh(EMPIRICAL % "0.5, 0.0"), "streams.chat.fresh.weights", "3 weights for 2 values"),
    (fresh(EMPIRICAL % "0.500000000001"), "streams.chat.fresh.weights", None),
    (fresh("-5"), "streams.chat.fresh", ">= 0"),
    (fresh('"12.5"'), "streams.chat.fresh", "whole number"),
    (fresh("true"), "streams.chat.fresh", "true and false"),
    (fresh("0"), "streams.chat.fresh", None),
    (('context = "docs"\nfresh = ' + FRESH, "fresh = 0"), "streams.chat.fresh", "an empty prompt"),
    (('context = "docs"', 'context = "dogs"'), "streams.chat.context", "did you mean 'docs'?"),
    (('patience = "30s"', "patience = 30"), "streams.chat.patience", "unit"),
    (('patience = "30s"', ""), "streams.chat.patience", "a required key is missing"),
    (('patience = "30s"', 'patience = "1:30"'), "streams.chat.patience", "duration"),
    ((TURNS, "0"), "streams.chat.session.turns", "a session without turns"),
    (('think = "40s"', 'think = {law = "exponential", mean = "0s"}'), "streams.chat.session.think.mean", "> 0"),
    (('under = "sys"', 'under = "sis"'), "contexts.docs.under", "did you mean 'sys'?"),
    (('under = "sys"', 'under = "docs"'), "contexts.docs.under", "docs > docs"),
    (("tokens = 900", 'tokens = 900\nunder = "docs"'), "contexts.sys.under", "sys > docs > sys"),
    (("tokens = 900", "tokens = 0"), "contexts.sys.tokens", "at least 1 token"),
    (("count = 5", "count = 0"), "contexts.docs.count", "got 0"),
    (("tokens = 900", "tokens = 0\nparts = {images = 0}"), "contexts.sys.tokens", "a context without tokens"),
    (("tokens = 900", "tokens = 0\nparts = {images = 1}"), "contexts.sys.tokens", None),
    (('context = "docs"\nfresh = ' + FRESH, "fresh = 0\nparts = {audio_s = 1}"), "streams.chat.fresh", None),
    (
        ('context = "docs"\nfresh = ' + FRESH, "fresh = 0\nparts = {audio_s = 0}"),
        "streams.chat.fresh",
        "an empty prompt",
    ),
    (parts("{}"), "streams.chat.parts", "no part is given; one or more of images, video_s, audio_s"),
    (parts("{sound = true}"), "streams.chat.parts", "no part is given"),
    (parts("{image = 3}"), "streams.chat.parts.image", "did you mean 'images'?"),
    (parts("{images = -3}"), "streams.chat.parts.images", ">= 0"),
    (parts('{images = {law = "geometrical"}}'), "streams.chat.parts.images", "did you mean 'geometric'?"),
    (parts("{images = 1, image_px = [768]}"), "streams.chat.parts.image_px", "at least 2 entries"),
    (parts("{images = 1, image_px = [768, 0]}"), "streams.chat.parts.image_px[1]", "got 0"),
    (parts('{images = 1, resolution = "hi"}'), "streams.chat.parts.resolution", "got 'hi'"),
    (parts('{video_s = 1, sound = "yes"}'), "streams.chat.parts.sound", "boolean"),
    (parts("{video_s = 1.5}"), "streams.chat.parts.video_s", "whole number"),
    (parts('{video_s = "2M"}'), "streams.chat.parts.video_s", "got '2,000,000'"),
    (parts("{video_s = 1000000}"), "streams.chat.parts", None),
    (("output = 300", "output = 300\nthinking = -1"), "streams.chat.thinking", ">= 0"),
    (
        ("output = 300", 'output = 300\nthinking = {law = "uniform", low = 0, high = 9}'),
        "streams.chat.thinking",
        "at_least = 0",
    ),
    (("output = 300", "output = 300\nthinking = 0"), "streams.chat.thinking", None),
    (("count = 5", "count = 5\nzipf = -1"), "contexts.docs.zipf", "got -1"),
    (("count = 5", 'count = 5\nreplaced_every = "0s"'), "contexts.docs.replaced_every", "must be > 0"),
]


@pytest.mark.parametrize(("change", "path", "words"), CASES)
def test_a_mistake_is_named_in_its_place(change, path, words):
    """Each mistake gives one problem at its path, on a line of its table, in the rule's words; None = accepted."""
    old, new = change
    assert GOOD.count(old) == 1
    if words is None:
        workload(GOOD.replace(old, new))
        return
    with pytest.raises(InputError) as caught:
        workload(GOOD.replace(old, new))
    assert [problem.path for problem in caught.value.problems][:1] == [path]
    problem = next(p for p in caught.value.problems if p.path == path)
    assert words in str(problem)
    section = path.split(".")[0]
    assert (HEAD + GOOD.replace(old, new)).split("\n")[problem.line - 1].strip()
    assert problem.line >= (HEAD + GOOD).split("\n").index(
        "[contexts.sys]" if section == "contexts" else "[streams.chat]"
    )


HEADS = [
    ('start = "2026-11-16T00:00:00"\nhorizon = "1d"\n', "start", "time zone is missing"),
    ('start = "yesterday"\nhorizon = "1d"\n', "start", "not a date"),
    ('start = "2026-11-16T00:00:00Z"\nhorizon = "0s"\n', "horizon", "must be > 0"),
    ('start = "2026-11-16T00:00:00Z"\nhorizon = "-1d"\n', "horizon", "duration"),
    ('start = "2026-11-16T00:00:00Z"\nhorizon = "36526d"\n', "horizon", "longer than a century"),
    ('start = "9900-11-16T00:00:00Z"\nhorizon = "1d"\n', "start", "outside the calendar"),
    ('start = "2026-11-16T00:00:00Z"\n', "horizon", "a required key is missing"),
    (HEAD + "load = 0\n", "load", "greater than 0"),
    (HEAD + "load = inf\n", "load", "finite"),
    (HEAD + 'time_zone = "Mars/Olympus"\n', "time_zone", "unknown time zone"),
    (HEAD + "horizn = 1\n", "horizn", "did you mean 'horizon'?"),
]


@pytest.mark.parametrize(("head", "path", "words"), HEADS)
def test_a_mistake_above_the_tables_is_named(head, path, words):
    """Start, horizon, zone and load are checked like the tables."""
    with pytest.raises(InputError) as caught:
        workload(GOOD, head)
    assert path in [problem.path for problem in caught.value.problems]
    assert words in str(caught.value)


def test_no_stream_is_a_mistake():
    """A workload without streams asks nothing."""
    with pytest.raises(InputError, match="streams"):
        workload("[streams]\n")


def test_all_mistakes_come_at_once():
    """Every table's mistakes are listed in one error, ordered by line; then those between the tables."""
    text = GOOD.replace("count = 5", "count = 0").replace("60/h", "x").replace('"30s"', "30").replace("300", "-1")
    with pytest.raises(InputError) as caught:
        workload(text)
    paths = [problem.path for problem in caught.value.problems]
    assert paths == [
        "contexts.docs.count",
        "streams.chat.arrivals.rate",
        "streams.chat.output",
        "streams.chat.patience",
    ]
    text = GOOD.replace('"docs"', '"dogs"').replace('"sys"', '"sis"').replace(TURNS, "0")
    with pytest.raises(InputError) as caught:
        workload(text)
    assert [p.path for p in caught.value.problems] == [
        "contexts.docs.under",
        "streams.chat.context",
        "streams.chat.session.turns",
    ]


@pytest.mark.parametrize(("at", "date"), [("02:30", "2026-03-29"), ("02:15", "2026-10-25")])
def test_a_skipped_or_repeated_time_is_refused(at, date):
    """A daily time that the clock skips or repeats in the horizon is refused with its day; in UTC it is accepted."""
    text = GOOD.replace(POISSON, f'{{process = "schedule", at = ["12:00", "{at}"], count = 3}}')
    head = f'start = "{date}T00:00:00+00:00"\nhorizon = "2d"\n'
    with pytest.raises(InputError) as caught:
        workload(text, head + 'time_zone = "Europe/Berlin"\n')
    assert [p.path for p in caught.value.problems] == ["streams.chat.arrivals.at[1]"]
    assert date in str(caught.value)
    workload(text, head)


def test_too_many_requests_can_be_allowed():
    """More than 1e9 expected requests are refused with the estimate, turns included, unless the limit is raised."""
    document = parse((HEAD + GOOD.replace("60/h", "60000000/h")).encode(), "w.toml")
    spec = validate(document, WorkloadSpec)
    assert "4,320,000,000" in str(check(spec, document)[0])
    assert check(spec, document, most=5e9) == []


def test_too_many_changes_of_state_are_refused():
    """A modulated process that changes state more often than can be drawn is refused with the estimate."""
    table = '{process = "mmpp", states = [{rate = "1/h", lasts = "1ms"}, {rate = "2/h", lasts = "1ms"}]}'
    with pytest.raises(InputError, match="changes of state"):
        workload(GOOD.replace(POISSON, table), 'start = "2026-11-16T00:00:00Z"\nhorizon = "30d"\n')


def test_a_workload_inside_a_scenario_keeps_its_path():
    """The paths of the rules begin at the table that holds the workload."""
    document = parse(
        ("[workload]\n" + HEAD + GOOD.replace("[", "[workload.").replace('"docs"', '"dogs"')).encode(), "s.toml"
    )
    spec = validate(document, WorkloadSpec, document.data["workload"])
    (problem,) = check(spec, document, ("workload",))
    assert problem.path == "workload.streams.chat.context"
    assert problem.line == 13
