"""Bad scenario files (4.1): one line a mistake, with file, line, path, rule, value; all at once; nothing simulated."""

import pytest

import sim
import sim.engines.reference.engine
import sim.experiments.replications
from sim.document import parse, read
from sim.errors import InputError
from sim.experiments.pairs import pairs_of
from sim.scenario import load, read_scenario, shipped
from sim.workload.realise import realise

GOOD = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
seed = 1
[contexts.docs]
tokens = 5000
[streams.s]
arrivals = { process = "poisson", rate = "20/h" }
fresh = 100
output = 100
patience = "1m"
context = "docs"
[strategies.explicit]
[strategies.batch]
"""


def scenario(old="", new="", sets=()):
    """The good scenario with a text replaced, or appended."""
    assert GOOD.count(old) == 1 or not old
    text = GOOD.replace(old, new) if old else GOOD + new
    return read_scenario(parse(text.encode(), "s.toml"), "s", sets=sets)


def mistakes(*args, **kwargs):
    with pytest.raises(InputError) as caught:
        scenario(*args, **kwargs)
    assert caught.value.exit_code == 2
    lines = str(caught.value).split("\n")
    assert len(lines) == len(caught.value.problems)
    return lines


def test_the_good_one_is_good():
    """What the cases below change is accepted as it is."""
    assert [arm.name for arm in scenario().arms] == ["explicit", "batch"]


HORIZON, RATE, FRESH, SEED = 'horizon = "1h"', '"20/h" }', "fresh = 100", "seed = 1"
MODELS, START, EXPLICIT = '"gemini-2.5-flash"', 'start = "2026-11-23T00:00:00Z"', "[strategies.explicit]"

CASES = [
    # number of 4.1; replaced, by; the line of the file; what the one line says
    (7, 'question = "?"', 'question = "?"\nhorizn = "1h"', "s.toml:2: horizn: unknown key; did you mean 'horizon'?"),
    (8, HORIZON, 'horizon = "1h"\nhorizon = "2h"', "s.toml:4: not TOML: Cannot overwrite a value"),
    (9, HORIZON, "", "s.toml: horizon: a required key is missing"),
    (9, FRESH, "", "streams.s.fresh: a required key is missing"),
    (10, HORIZON, "horizon = 60", "s.toml:3: horizon: a duration is text with a unit"),
    (10, SEED, 'seed = "60"', "s.toml:5: seed: must be a valid integer; got '60'"),
    (11, HORIZON, "horizon = true", "s.toml:3: horizon: a duration is text with a unit"),
    (11, SEED, "seed = true", "s.toml:5: seed: must be a valid integer; got True"),
    (11, FRESH, "fresh = true", "s.toml:10: streams.s.fresh: true and false are no counts"),
    (12, FRESH, "fresh = nan", "s.toml:10: streams.s.fresh: not a token count"),
    (12, SEED, "load = nan", "s.toml:5: load: must be a finite number; got nan"),
    (13, SEED, "load = inf", "s.toml:5: load: must be a finite number; got inf"),
    (13, SEED, "load = 1e400", "s.toml:5: load: must be a finite number; got inf"),
    (13, RATE, '"1e400/h" }', "s.toml:9: streams.s.arrivals.rate: not a rate"),
    (14, RATE, '"-3/h" }', "s.toml:9: streams.s.arrivals.rate: not a rate"),
    (14, EXPLICIT, EXPLICIT + '\nttl = "-1h"', "s.toml:15: strategies.explicit.ttl: not a duration"),
    (14, FRESH, "fresh = -5", "s.toml:10: streams.s.fresh: must be a whole number >= 0"),
    (18, EXPLICIT, EXPLICIT + '\nttl = "60"', "s.toml:15: strategies.explicit.ttl: not a duration"),
    (18, HORIZON, 'horizon = "1:30"', "s.toml:3: horizon: not a duration"),
    (20, SEED, "seed = 017", "s.toml:5: not TOML"),
    (24, "", "[service.batch]\nfailure_chance = 1.5", "s.toml:17: service.batch.failure_chance: must be less than or"),
    (24, "", "[service.batch]\nfailure_chance = -0.1", "s.toml:17: service.batch.failure_chance: must be greater than"),
    (24, SEED, "patience_target = 1.01", "s.toml:5: patience_target: must be less than or equal to 1"),
    (25, FRESH, 'fresh = { law = "lognormal", mean = 9, cv = -1 }', "s.toml:10: streams.s.fresh.cv: must be greater"),
    (26, FRESH, 'fresh = { law = "pareto", mean = 9 }', "s.toml:10: streams.s.fresh: unknown law 'pareto'; allowed:"),
    (30, MODELS, '"gemini-2.5-flsh"', "s.toml:4: models[0]: unknown model; did you mean 'gemini-2.5-flash'?"),
    (30, MODELS, f"{MODELS}, {MODELS}", "s.toml:4: models: a model is named twice"),
    (31, MODELS, '"gemini-4-argon"', "s.toml:14: strategies.explicit: gemini-4-argon offers no explicit cache"),
    (33, HORIZON, 'horizon = "0s"', "s.toml:3: horizon: must be > 0"),
    (34, RATE, '"1000000000/s" }', "s.toml:9: streams.s.arrivals: too many requests are expected"),
    (36, SEED, "seed = -1", "s.toml:5: seed: must be greater than or equal to 0; got -1"),
    (36, SEED, "seed = 1.5", "s.toml:5: seed: must be a valid integer; got 1.5"),
    (36, SEED, f"seed = {2**128}", "s.toml:5: seed: must be less than or equal to"),
    (37, START, 'start = "2026-11-23T00:00:00"', "s.toml:2: start: the time zone is missing"),
    (37, START, "start = 2026-11-23", "s.toml:2: start: not a date and time"),
    (37, SEED, 'time_zone = "Europe/Berlni"', "s.toml:5: time_zone: unknown time zone"),
    (0, SEED, 'baseline = "explict"', "s.toml:5: baseline: unknown strategy; did you mean 'explicit'?"),
    (0, 'context = "docs"', 'context = "dogs"', "s.toml:13: streams.s.context: unknown context; did you mean 'docs'?"),
    (0, SEED, "replications = 0", "s.toml:5: replications: must be greater than or equal to 1; got 0"),
    (0, SEED, "load = 0", "s.toml:5: load: must be greater than 0; got 0"),
    (0, "", "[client]\nconcurrency = 0", "s.toml:17: client.concurrency: must be greater than or equal to 1"),
    (0, "", "[client]\nattempts = 0", "s.toml:17: client.attempts: must be greater than or equal to 1; got 0"),
    (0, "", '[client]\ntimeout = "0s"', "s.toml:17: client.timeout: must be > 0; a value above zero; got '0s'"),
    (0, "", "[client]\nbackoff = { factor = 0.5 }", "s.toml:17: client.backoff.factor: must be greater than or equal"),
    (0, "", '[client]\nbackoff = { jitter = "half" }', "client.backoff.jitter: must be 'none', 'full' or 'equal'; got"),
    (0, "", '[project]\nplatform = "azure"', "s.toml:17: project.platform: must be 'developer' or 'vertex'; got"),
    (0, "", "[project]\ntier = 5", 's.toml:17: project.tier: not a usage tier; "free", 1, 2 or 3; got 5'),
    (0, "", "[project.limits]\nconcurrent_requests = 0", "s.toml:17: project.limits.concurrent_requests: must be > 0"),
    (0, "", "[project.limits]\nrpm = 9", "s.toml:17: project.limits.rpm: unknown key; "),
    (0, "", '[project.limits]\nwindow = "sliding"', "s.toml:17: project.limits.window: must be 'bucket' or 'fixed'"),
    (0, "", '[client]\nbackoff = { honour_retry_delay = "no" }', "backoff.honour_retry_delay: must be a valid boolean"),
    (0, "", '[client]\nbackoff = { base = "61s" }', "s.toml:17: client.backoff: the base 1m1s is above the cap 1m"),
    (0, "", '[client]\nbackoff = { cap = "999ms" }', "client.backoff: the base 1s is above the cap 999ms"),
    (0, "", '[service]\nredirects = "no"', "s.toml:17: service.redirects: must be a valid boolean; got 'no'"),
    (0, "", "[service.implicit]\non = 1", "s.toml:17: service.implicit.on: must be a valid boolean; got 1"),
    (0, "", '[service.implicit.retention]\nrefreshed = "yes"', "retention.refreshed: must be a valid boolean; got"),
    (0, "", '[terms]\nfree_tier = "true"', "s.toml:17: terms.free_tier: must be a valid boolean; got 'true'"),
    (0, "", '[replay]\ntrace = "x.csv"\nsort = 1', "s.toml:18: replay.sort: must be a valid boolean; got 1"),
    (0, "", '[service.flex.queueing]\nmedian = "16m"', "service.flex.queueing: the median 16m is above at_most 15m"),
    (0, "", '[service.flex.queueing]\nat_most = "1m"', "service.flex.queueing: the median 2m is above at_most 1m"),
    (
        0,
        FRESH,
        "fresh = 100\nparts = { audio_s = 3, image_px = [9, 9] }",
        "s.toml:11: streams.s.parts.image_px: the size of pictures, and there are none; images beside it",
    ),
    (
        0,
        "tokens = 5000",
        "tokens = 5000\nparts = { video_s = 3, image_px = [9, 9] }",
        "s.toml:8: contexts.docs.parts.image_px: the size of pictures, and there are none; images beside it",
    ),
    (
        0,
        HORIZON,
        'horizon = "10d"\nservice.overload = { every = "1s", lasts = "1s", shed_chance = 0.5 }',
        "s.toml:4: service.overload: 1,036,800 episodes are expected until two weeks after the horizon; "
        "longer or rarer ones, 1,000,000 at most",
    ),
    (
        0,
        HORIZON,
        'horizon = "10d"\nservice.batch.slow = { every = "1s", lasts = "1s", factor = 2.0 }',
        "s.toml:4: service.batch.slow: 1,036,800 episodes are expected",
    ),
    (0, "", "[service.batch]\njobs = 0", "s.toml:17: service.batch.jobs: must be greater than or equal to 1; got 0"),
    (0, "", "[service.implicit]\ncells = 0", "s.toml:17: service.implicit.cells: must be greater than or equal to 1"),
    (0, "", "[service.implicit]\naffinity = 1.1", "s.toml:17: service.implicit.affinity: must be less than or equal"),
    (0, "", '[service.overload]\nevery = "1h"\nlasts = "0s"\nshed_chance = 1.0', "s.toml:18: service.overload.lasts: "),
    (
        0,
        EXPLICIT,
        EXPLICIT + "\nset = { replications = 3 }",
        "keys of streams, contexts, service, client, project, terms",
    ),
    (0, "", "[service]\nslownes_cv = 1", "s.toml:17: service.slownes_cv: unknown key; did you mean 'slowness_cv'?"),
    (0, "", '[terms]\ncreation = "gratis"', "s.toml:17: terms.creation: must be 'input' or 'free'; got 'gratis'"),
    (0, EXPLICIT, EXPLICIT + "\nset = { seed = 3 }", "s.toml:15: strategies.explicit.set: seed is common to all"),
    (0, EXPLICIT, EXPLICIT + "\nset = { load = -1 }", "strategies.explicit.set: load: must be greater than 0; got -1"),
    (
        0,
        EXPLICIT,
        EXPLICIT + '\nset = { "streams.s.rate" = 3 }',
        "strategies.explicit.set: streams.s.rate: unknown key",
    ),
    (0, EXPLICIT, EXPLICIT + '\nset = { "models" = ["x"] }', "strategies.explicit.set: "),
]


@pytest.mark.parametrize(("number", "old", "new", "says"), CASES)
def test_a_mistake_is_one_line_with_its_place(number, old, new, says, monkeypatch):
    """Each bad input is told by file, line, path and rule, before anything is simulated."""
    monkeypatch.setattr(sim.engines.reference.engine, "run", None)
    lines = mistakes(old, new)
    assert says in lines[0], lines
    assert all(line.startswith("s.toml") and len(line) < 500 for line in lines)


@pytest.mark.parametrize("weights", [(0.5, 0.499), (0.5, 0.501)])
def test_chances_that_do_not_sum_to_one(weights):
    """23: the sum is named; a sum within 1e-12 of one is accepted."""
    table = "[service.batch.turnaround]\npending_share = 0.5\ncomponents = [%s]"

    def components(values):
        return table % ", ".join(f'{{ weight = {value!r}, median = "1m" }}' for value in values)

    (line,) = mistakes("", components(weights))
    assert line.startswith("s.toml:18: service.batch.turnaround.components: the weights must sum to 1")
    assert str(round(sum(weights), 3)) in line
    assert scenario("", components((0.1, 0.2, 0.7 + 1e-14))).arms


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (FRESH, "fresh = -0"),  # 15
        (RATE, '"0/h" }'),  # 16
        (EXPLICIT, EXPLICIT + '\nttl = "0s"'),  # 17
        (EXPLICIT, EXPLICIT + '\nttl = "90s"'),  # 18
        ("", '[client]\nbackoff = { base = "1m" }'),
        ("", '[service.flex.queueing]\nmedian = "15m"'),
        (FRESH, "fresh = 100\nparts = { images = 1, image_px = [9, 9] }"),
        ("", '[service.overload]\nevery = "1s"\nlasts = "1s"\nshed_chance = 0.5'),  # 604,800 + 1,800 episodes
        (FRESH, "fresh = 12.0"),
        (FRESH, 'fresh = "2k"'),
        (SEED, f"seed = {2**128 - 1}"),  # 36
        (START, "start = 2026-11-23T00:00:00Z"),
        ('question = "?"', '\ufeffquestion = "?"'),  # 3
    ],
)
def test_what_looks_odd_and_is_fine(old, new):
    """Zeros, units, whole floats, the largest seed, TOML's own date, a byte order mark."""
    assert scenario(old, new).arms


def test_all_mistakes_of_a_kind_are_told_at_once():
    """Names that do not exist: each with its line."""
    lines = mistakes("seed = 1", 'seed = 1\nbaseline = "x"\nsead = 2\nlod = 3\nreplications = 0')
    assert [line.split(":")[1] for line in lines if "unknown key" in line] == ["7", "8"]
    assert any(line.startswith("s.toml:9: replications") for line in lines)
    lines = mistakes('"gemini-2.5-flash"]', '"x", "y"]\nbaseline = "z"')
    assert [line[: line.index(":", 7)] for line in lines] == ["s.toml:4", "s.toml:4", "s.toml:5"]


def test_mistakes_of_two_arms_are_told_together():
    """Each arm's own mistakes are told with the others'."""
    lines = mistakes(
        "", '[strategies.a]\nkind = "none"\nset = { seed = 1 }\n[strategies.b]\nkind = "none"\nset = { seed = 2 }'
    )
    assert [line.partition(": ")[0] for line in lines] == ["s.toml:18", "s.toml:21"]


# ---------------------------------------------------------------- files that cannot be read


def test_an_empty_file(tmp_path):
    """1: an empty file is told as one."""
    path = tmp_path / "empty.toml"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"empty\.toml: the file is empty"):
        load(path)


def test_not_utf8(tmp_path):
    """2: the byte that is no UTF-8 is located."""
    path = tmp_path / "latin.toml"
    path.write_bytes(b'question = "caf\xe9"')
    with pytest.raises(InputError, match="15"):
        load(path)


@pytest.mark.parametrize("name", ["folder", "absent.toml"])
def test_a_folder_or_nothing(tmp_path, name):
    """4, 5: what cannot be opened is told in one line."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        load(tmp_path / name)
    assert len(caught.value.problems) == 1


# ---------------------------------------------------------------- overrides


def test_an_override_replaces_a_value():
    """``--set`` takes a dotted path; text needs no quotes."""
    made = scenario(sets=["strategies.explicit.ttl=2h", "load=3", "streams.s.patience=5m", "client.concurrency=4"])
    assert made.arms[0].strategy.ttl == 7_200_000
    assert (made.spec.load, made.spec.streams["s"].patience, made.spec.client.concurrency) == (3, 300_000, 4)


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("load", "--set: not an override; PATH=VALUE such as load=2; got 'load'"),
        ("=2", "--set: not an override"),
        ("lod=2", "--set lod=2: lod: unknown key; did you mean 'load'?"),
        ("load=-2", "--set load=-2: load: must be greater than 0; got -2"),
        ("strategies.explicit.tll=2h", "strategies.explicit.tll: unknown key; did you mean 'ttl'?"),
        ('models=["x"]', "models[0]: unknown model"),
        ("streams.s.fresh.mean=3", "streams.s.fresh.mean: fresh is a value, not a table"),
    ],
)
def test_a_wrong_override_is_told_by_its_text(override, says):
    """A mistake on the command line names the override, not a line of the file."""
    (line,) = mistakes(sets=[override])
    assert says in line
    assert line.startswith("--set")


def test_an_arm_runs_under_circumstances_of_its_own():
    """``set`` changes the world of one strategy alone."""
    made = scenario(EXPLICIT, EXPLICIT + '\nset = { "service.batch.failure_chance" = 1, "terms.creation" = "free" }')
    changed, other = made.arms
    assert (changed.service.batch.failure_chance, changed.terms.creation) == (1.0, "free")
    assert (other.service.batch.failure_chance, other.terms.creation) == (0.002, "input")


@pytest.mark.parametrize("option", ["at", "expire_at"])
def test_a_time_of_day_that_the_clock_skips_is_told(option):
    """Times of day are instants of the run: one that does not come, or comes twice, is no instant."""
    table = f'[strategies.timed]\nkind = "hybrid"\n{option} = ["12:00", "02:30"]'
    sets = ['start="2026-03-28T12:00:00Z"', 'horizon="2d"', 'time_zone="Europe/Berlin"']
    (line,) = mistakes("", table, sets=sets)
    assert line == (
        f"s.toml:18: strategies.timed.{option}[1]: the clock of Europe/Berlin skips or repeats this time; "
        "another time, or time_zone = \"UTC\"; got '2026-03-29 02:30:00'"
    )


def test_times_of_day_become_instants_for_caches_too():
    """Caches that expire at noon expire at each noon of the run, and of the days that jobs go on after it."""
    made = scenario(EXPLICIT, EXPLICIT + '\nexpire_at = ["12:00"]')
    (pair, _) = pairs_of(made, None)
    assert pair.plan.cache.expire_at[:2] == (43_200_000, 129_600_000)
    assert len(pair.plan.cache.expire_at) == 14


@pytest.mark.parametrize("name", sorted(shipped()))
def test_every_shipped_scenario_is_read(name):
    """The gallery keeps the rules that it is read by, and asks a question."""
    made = load(name)
    assert made.question.endswith("?")
    assert read(shipped()[name]).data["question"] == made.question


def test_a_mistake_of_the_file_hides_none_of_its_names():
    """An unknown key is told together with unknown models, strategies and contexts, and with wrong assumptions."""
    wrong = """[service]
slownes_cv = 0.1
[terms]
creation = "paid"
[contexts.other]
under = "docz"
tokens = 9
"""
    text = GOOD.replace(MODELS, '"gemini-2.5-flsh"').replace(SEED, 'seed = 1\nbaseline = "nine"\nhorizn = "1h"') + wrong
    with pytest.raises(InputError) as caught:
        read_scenario(parse(text.encode(), "s.toml"), "s")
    told = str(caught.value)
    for part in ("horizn: unknown key", "'gemini-2.5-flsh'", "'nine'", "slownes_cv: unknown key", "'paid'", "'docz'"):
        assert part in told, part
    assert len(caught.value.problems) == 6


def test_a_prompt_too_long_in_the_last_replication_is_told_before_the_first_is_simulated(monkeypatch):
    """27: every realisation is looked at first, so no finished work is thrown away."""
    monkeypatch.setattr(sim.experiments.replications, "replicate", lambda *_, **__: pytest.fail("simulated"))
    rare = scenario("fresh = 100", 'fresh = { law = "lognormal", mean = "20k", cv = 6.0 }', sets=["horizon=4h"])
    with pytest.raises(InputError, match=r"above the context window of gemini-2\.5-flash"):
        sim.run(rare, replications=200)
    assert realise(rare.arms[0].spec.workload, rare.seed, 0).prompt.max() < 1_048_576
