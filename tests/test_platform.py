"""Platforms, tiers and books: what each offers, whose word counts, and what is told of combinations without sense."""

import dataclasses

import pytest
from made_results import cell, result, stream

import sim
import sim.engines.reference.engine
import sim.experiments.montecarlo
from sim.document import parse
from sim.errors import InputError
from sim.experiments.assumptions import in_force
from sim.experiments.doubts import warnings
from sim.experiments.pairs import pairs_of
from sim.experiments.simulate import ledger_of
from sim.experiments.survey import survey
from sim.providers import load_book
from sim.scenario import read_scenario
from sim.trace import Trace

HOUR = 3_600_000
VERTEX = "project.platform=vertex"
DESK = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
replications = 2
[contexts.docs]
tokens = 5000
[streams.desk]
arrivals = { process = "constant", rate = "20/h" }
fresh = 100
output = 100
patience = "2h"
context = "docs"
"""


PATIENT = """\
[streams.patient]
arrivals = { process = "constant", rate = "20/h" }
fresh = 100
output = 100
patience = "12h"
"""


def scenario(*strategies, sets=(), tail=""):
    """The desk under some strategies, each a name or a table."""
    tables = "".join(text if text.startswith("[") else f"[strategies.{text}]\n" for text in strategies)
    return read_scenario(parse((DESK + tables + tail).encode(), "s.toml"), "s", sets=sets)


def warned(*strategies, sets=(), tail=""):
    return sim.run(scenario(*strategies, sets=sets, tail=tail)).warnings


def batch(made):
    return made.arms[0].service.batch


# ---------------------------------------------------------------- whose word counts


def test_the_platform_is_laid_over_the_book():
    """Developer: 48 h, 100 jobs, 2 GB and 20 MB; Vertex: 72 h pending, 24 h running, 200,000 requests, no expiry."""
    developer, vertex = (batch(scenario("batch", sets=sets)) for sets in ((), ("project.platform=vertex",)))
    names = ("expires_after", "pending_limit", "running_limit", "jobs", "job_requests", "file_bytes", "inline_bytes")
    assert [getattr(developer, name) for name in names] == [48 * HOUR, None, None, 100, None, 2 * 10**9, 2 * 10**7]
    assert [getattr(vertex, name) for name in names] == [None, 72 * HOUR, 24 * HOUR, None, 200_000, None, None]
    assert developer.turnaround == vertex.turnaround


@pytest.mark.parametrize(("platform", "own"), [("developer", 48 * HOUR), ("vertex", None)])
def test_a_scenarios_service_is_laid_over_the_platforms(platform, own):
    """Book, then platform, then scenario: the last word is the scenario's, key by key; a word takes a limit away."""
    sets = (f"project.platform={platform}",)
    assert batch(scenario("batch", sets=sets)).expires_after == own
    changed = batch(scenario("batch", sets=(*sets, "service.batch.expires_after=5h", "service.batch.jobs=7")))
    assert (changed.expires_after, changed.jobs) == (5 * HOUR, 7)
    assert changed.turnaround == load_book_turnaround()
    endless = ('service.batch.turnaround.components=[{ weight = 1.0, median = "1m" }]',)
    lifted = batch(scenario("batch", sets=(*sets, *endless, "service.batch.expires_after=never")))
    assert lifted.expires_after is None


def load_book_turnaround():
    return batch(scenario("batch")).turnaround


def test_terms_are_the_books_then_the_platforms_then_the_scenarios():
    """On Vertex batch and cache discounts do not stack, unless the scenario says so."""

    def terms(*sets):
        return scenario("none", sets=sets).arms[0].terms

    assert (terms().batch_cached, terms("project.platform=vertex").batch_cached) == ("published", "standard")
    assert terms("project.platform=vertex", "terms.batch_cached=published").batch_cached == "published"
    assert terms("book=guide").creation == "free"
    assert (terms().free_tier, terms("project.tier=1").free_tier, terms("project.tier=free").free_tier) == (
        False,
        False,
        True,
    )


def test_an_arm_may_have_a_project_of_its_own():
    """``set`` changes the platform or the tier of one strategy, with all that hangs on it."""
    vertex = '[strategies.elsewhere]\nkind = "batch"\nset = { "project.platform" = "vertex", "project.tier" = 2 }\n'
    made = scenario("batch", vertex)
    assert [arm.service.batch.job_requests for arm in made.arms] == [None, 200_000]
    assert [arm.terms.batch_cached for arm in made.arms] == ["published", "standard"]
    here, there = (pair.rules.epochs[0].enqueued_tokens for pair in pairs_of(made, None))
    assert (here, there) == (-1, 400 * 10**6)
    told = made.resolved()["arms"]["elsewhere"]
    assert (told["project"]["platform"], told["project"]["tier"], told["client"]["attempts"]) == ("vertex", "2", 5)


def test_the_default_is_the_developer_platform_without_a_tier():
    """A scenario without a project has the Developer API and no limits."""
    named = scenario("batch", sets=("project.platform=developer",))
    assert pairs_of(named, None)[0].rules == pairs_of(scenario("batch"), None)[0].rules
    assert batch(named) == batch(scenario("batch"))


# ---------------------------------------------------------------- what is refused, before anything runs

FREE = "project.tier=free"
GUIDE = "book=guide"
ROUTED = "[strategies.routed]\n"

REFUSED = [
    # strategies; sets; the one line
    (
        ["explicit"],
        [VERTEX, "strategies.explicit.ttl=59s"],
        "--set strategies.explicit.ttl=59s: strategies.explicit.ttl: below the least lifetime of an explicit cache on "
        "vertex; at least 1m; got '59s'",
    ),
    (
        ['[strategies.explicit]\nexpire_at = ["12:00", "12:00:30"]\n'],
        [VERTEX],
        "s.toml:15: strategies.explicit.expire_at: below the least lifetime of an explicit cache on vertex; "
        "instants at least 1m apart; got '30s apart'",
    ),
    (
        ['[strategies.explicit]\nexpire_at = ["23:59:40", "00:00:20"]\n'],
        [VERTEX],
        "s.toml:15: strategies.explicit.expire_at: below the least lifetime of an explicit cache on vertex; "
        "instants at least 1m apart; got '40s apart'",
    ),
    (
        ["hybrid"],
        [VERTEX],
        "s.toml:14: strategies.hybrid: vertex refuses an explicit cache in a batched request; another platform, "
        "another strategy, or contexts = []; got 'hybrid'",
    ),
    (
        ["routed"],
        [VERTEX],
        "s.toml:14: strategies.routed.batch_cache: vertex refuses an explicit cache in a batched request; \"none\", or "
        "another platform; got 'read'",
    ),
    (
        ['[strategies.routed]\nbatch_cache = "create"\n'],
        [VERTEX],
        "s.toml:15: strategies.routed.batch_cache: vertex refuses an explicit cache in a batched request; \"none\", or "
        "another platform; got 'create'",
    ),
    (
        ["batch"],
        [FREE],
        "s.toml:14: strategies.batch: the free tier has no Batch API; another tier, or another strategy; got 'batch'",
    ),
    (
        ["explicit"],
        [FREE],
        "s.toml:14: strategies.explicit: the free tier has no explicit cache, whose storage is billed; another tier, "
        "or another strategy; got 'explicit'",
    ),
    (
        ["hybrid"],
        [FREE],
        "s.toml:14: strategies.hybrid: the free tier has no Batch API and no explicit cache, whose storage is billed; "
        "another tier, or another strategy; got 'hybrid'",
    ),
    (
        ["[strategies.routed]\ncontexts = []\n"],
        [FREE],
        "s.toml:14: strategies.routed: the free tier has no Batch API; another tier, or another strategy; got 'routed'",
    ),
    (
        ["none"],
        [FREE, 'models=["gemini-3.1-pro-preview"]'],
        '--set models=["gemini-3.1-pro-preview"]: models[0]: the free tier does not have gemini-3.1-pro-preview; '
        "another model, or another tier; got 'gemini-3.1-pro-preview'",
    ),
    (
        ["flex"],
        [GUIDE],
        "s.toml:14: strategies.flex: book 'guide' has no flex input price of gemini-2.5-flash, standard tier from "
        "2025-01-01: the book offers no flex; another model or book, or another start",
    ),
    (
        ["priority"],
        [GUIDE],
        "s.toml:14: strategies.priority: book 'guide' has no priority input price of gemini-2.5-flash, standard tier "
        "from 2025-01-01: the book offers no priority; another model or book, or another start",
    ),
    (
        ['[strategies.routed]\nflex = "10m"\n'],
        [GUIDE],
        "s.toml:14: strategies.routed: book 'guide' has no flex input price of gemini-2.5-flash, standard tier from "
        "2025-01-01: the book offers no flex; another model or book, or another start",
    ),
    (
        ['[strategies.routed]\npriority = "10s"\n'],
        [GUIDE],
        "s.toml:14: strategies.routed: book 'guide' has no priority input price of gemini-2.5-flash, standard tier "
        "from 2025-01-01: the book offers no priority; another model or book, or another start",
    ),
    (
        ["batch"],
        [GUIDE, VERTEX],
        "--set project.platform=vertex: project.platform: book 'guide' knows no such platform; allowed: developer; got "
        "'vertex'",
    ),
    (
        ["none"],
        ["project.tier=4"],
        '--set project.tier=4: project.tier: not a usage tier; "free", 1, 2 or 3; got 4',
    ),
    (
        ["none"],
        ["project.limits.requests_per_minute=0"],
        "--set project.limits.requests_per_minute=0: project.limits.requests_per_minute: must be > 0: nothing would "
        'get through; a number of calls, or "unlimited"; got 0',
    ),
    (
        ["none"],
        ["project.platfrom=vertex"],
        "--set project.platfrom=vertex: project.platfrom: unknown key; did you mean 'platform'? allowed: limits, "
        "platform, tier",
    ),
    (
        ["batch"],
        ["service.batch.expires_after=never"],
        "--set service.batch.expires_after=never: service.batch.expires_after: jobs may stay pending for ever: a part "
        "of the turnaround never ends, and nothing expires; expires_after or pending_limit",
    ),
    (
        ["explicit"],
        ["service.explicit={ minimum_tokens = 9, maximum_tokens = 8 }"],
        "--set service.explicit={ minimum_tokens = 9, maximum_tokens = 8 }: service.explicit: maximum_tokens 8 is "
        "below minimum_tokens 9, so that nothing could be cached",
    ),
    (
        ["none"],
        [GUIDE, "streams.desk.parts={ images = 1 }"],
        "s.toml:4: models[0]: book 'guide' does not tell how many tokens gemini-2.5-flash makes of pictures, film and "
        "sound; another book, or prompts of text; got 'gemini-2.5-flash'",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("strategies", "sets", "line"), REFUSED)
def test_what_makes_no_sense_is_one_line(strategies, sets, line, monkeypatch):
    """A combination that the platform, the tier or the book refuses is told with its reason, before anything runs."""
    monkeypatch.setattr(sim.engines.reference.engine, "run", None)
    with pytest.raises(InputError) as caught:
        scenario(*strategies, sets=sets)
    assert str(caught.value) == line


ACCEPTED = [
    (['[strategies.explicit]\nttl = "1m"\n'], [VERTEX]),
    (['[strategies.explicit]\nexpire_at = ["12:00", "12:01"]\n'], [VERTEX]),
    (['[strategies.explicit]\nexpire_at = ["12:00"]\n'], [VERTEX]),
    (['[strategies.explicit]\nttl = "59s"\n'], []),
    (['[strategies.explicit]\nttl = "59s"\ncontexts = []\n'], [VERTEX]),
    (["[strategies.hybrid]\ncontexts = []\n"], [VERTEX]),
    (['[strategies.routed]\nbatch_cache = "none"\n'], [VERTEX]),
    (["batch", "none", "implicit", "flex", "priority"], [VERTEX]),
    (["none", "implicit"], [FREE]),
    (["[strategies.explicit]\ncontexts = []\n"], [FREE]),
    (["none"], ["project.tier=1", 'models=["gemini-3.1-pro-preview"]']),
    (["none"], ["streams.desk.parts={ images = 1 }"]),
    (["none"], ["client.timeout=10s", "client.give_up_after=5s"]),
]


@pytest.mark.parametrize(("strategies", "sets"), ACCEPTED)
def test_what_is_offered_is_accepted(strategies, sets):
    """The same combinations on the other side of each rule are no mistake."""
    assert scenario(*strategies, sets=sets).arms


def test_every_strategy_that_is_refused_is_named():
    """All mistakes of a scenario at once, a line each: two strategies without a free tier, and a limit of nothing."""
    with pytest.raises(InputError) as caught:
        scenario("batch", "explicit", "none", sets=[FREE])
    assert [problem.path for problem in caught.value.problems] == ["strategies.batch", "strategies.explicit"]


def test_the_platform_of_an_arm_is_checked_too():
    """What an arm sets for itself is held to the same rules."""
    with pytest.raises(InputError, match="vertex refuses an explicit cache in a batched request"):
        scenario('[strategies.hybrid]\nset = { "project.platform" = "vertex" }\n')


# ---------------------------------------------------------------- what is warned of


def one(found, *words):
    """Return the only warning with some words."""
    texts = [text for text in found if all(word in text for word in words)]
    assert len(texts) == 1, found
    return texts[0]


@pytest.mark.parametrize("strategy", ["batch", "hybrid"])
def test_a_deadline_shorter_than_the_polling_is_warned_of(strategy):
    """A stream whose callers do not wait for one look at a job is told of, however patient another one is."""
    sets = (f"strategies.{strategy}.poll=2m", "streams.desk.patience=119s")
    text = one(warned(PATIENT, strategy, sets=sets), "looks at its jobs every 2m")
    assert text == (
        f"{strategy} looks at its jobs every 2m, and no caller of desk waits longer than 1m59s: each of its answers "
        "comes late"
    )
    assert not [t for t in warned(strategy, sets=(sets[0], "streams.desk.patience=2m")) if "looks at" in t]


def test_a_guard_before_the_first_look_is_warned_of():
    """What is routed to batch and sent by the guard before its job is looked at is paid twice and never in time."""
    table = '[strategies.routed]\nthreshold = "10m"\npoll = "2h"\nguard = "1m"\nsize = 1\n'
    text = one(warned(PATIENT, table, sets=("streams.desk.patience=30m",)), "looks at its jobs every 2h")
    assert text == (
        "routed looks at its jobs every 2h, and its guard sends what is open of desk 29m after its arrival: no batched "
        "answer is seen in time"
    )
    for quiet in ("2h1m", "9m59s"):  # seen by its guard; not routed to batch at all
        assert not [t for t in warned(PATIENT, table, sets=(f"streams.desk.patience={quiet}",)) if "looks at" in t]


def test_a_limit_of_the_client_that_ends_nothing_is_warned_of():
    """Requests in batch jobs are not given up, and a time-out beyond the giving up ends no call."""
    sets = ("client.give_up_after=1h", "client.timeout=2h")
    found = warned("none", "batch", "routed", sets=sets)
    batched = "{} gives up no request in a batch job: client.give_up_after of 1h is of calls"
    calls = "the time-out of 2h ends no call of {}: its requests are given up 1h after their arrival"
    told = [text for text in found if "give" in text]
    assert told == [calls.format("none"), batched.format("batch"), batched.format("routed"), calls.format("routed")]
    for quiet in ((sets[0], "client.timeout=1h"), (sets[1],)):
        assert not [text for text in warned("none", sets=quiet) if "give" in text or "time-out" in text]


@pytest.mark.parametrize(("ttl", "told"), [("0s", True), ("380ms", True), ("381ms", False)])
def test_a_cache_that_is_over_before_it_is_ready_is_warned_of(ttl, told):
    """The first token of 5,000 tokens comes after 290 + 90 ms: a ttl up to that leaves nothing to read."""
    found = warned("explicit", sets=(f"strategies.explicit.ttl={ttl}",))
    text = (
        f"explicit on gemini-2.5-flash: its ttl of {ttl} is not longer than the 380ms that a cache of 5,000 tokens "
        "takes: every request creates a cache that it cannot read"
    )
    assert [warning for warning in found if "cannot read" in warning] == [text] * told
    for quiet in ("contexts=[]", "renew=margin:1ms"):
        renewed = (f"strategies.explicit.ttl={ttl}", f"strategies.explicit.{quiet}")
        if ttl != "0s" or quiet == "contexts=[]":
            assert not [warning for warning in warned("explicit", sets=renewed) if "cannot read" in warning]


def test_a_cache_shorter_than_vertex_allows_is_warned_of():
    """The next time of day may be nearer than the least lifetime, which the simulation does not refuse."""
    table = '[strategies.explicit]\nexpire_at = ["12:00"]\n'
    assert one(warned(table, sets=(VERTEX,)), "expire_at") == (
        "explicit: a cache that is created less than 1m before an instant of expire_at is refused on vertex; the "
        "simulation creates it"
    )
    for tables, sets in ((table, ()), ("explicit", (VERTEX,)), (table + "contexts = []\n", (VERTEX,))):
        assert not [text for text in warned(tables, sets=sets) if "is refused on" in text]


def test_a_bill_for_fewer_answers_is_warned_of():
    """Who leaves more than 1 % more of the requests failed or expired than the best is named with its share."""

    def told(**lost):
        pairs = {
            name: cell(
                name, 0, 1, streams=[stream(waits=[1] * (1000 - count), failed=count // 2, expired=-(-count // 2))]
            )
            for name, count in lost.items()
        }
        made = result({name: [1] for name in lost}, cells=pairs.values())
        return [text for text in warnings(made) if "unanswered" in text]

    assert told(patient=5, none=985) == [
        "none on flash leaves 98.5 % of its requests unanswered; its bill is for fewer answers"
    ]
    assert told(a=5, b=15) == told(a=900, b=905) == []
    assert told(a=5, b=16) == ["b on flash leaves 1.6 % of its requests unanswered; its bill is for fewer answers"]


@pytest.mark.parametrize(
    ("table", "patience", "guard"),
    [
        ('[strategies.routed]\nthreshold = "1h"\nguard = "2h"\n', "2h", "2h"),
        ('[strategies.routed]\nthreshold = "1h"\nguard = "30m"\nflex = "20m"\n', "30m", "30m"),
        ('[strategies.flex]\nguard = "1h"\n', "1h", "1h"),
    ],
)
def test_patience_within_the_guard_is_warned_of(table, patience, guard):
    """A request whose whole patience lies within the guard is never left to batch or to flex."""
    name = table.partition("]")[0].partition(".")[2]
    text = one(warned(table, sets=(f"streams.desk.patience={patience}",)), "guard")
    assert text == (
        f"{name} sends the requests of desk at once: their patience of {patience} is not longer than the guard of "
        f"{guard}"
    )
    for other in ("10h", "10m") if name == "routed" else ("10h",):  # beyond the guard; below what is routed at all
        assert not [t for t in warned(table, sets=(f"streams.desk.patience={other}",)) if "guard" in t]


@pytest.mark.parametrize("strategy", ["none", "explicit", "priority"])
def test_a_timeout_below_the_first_token_is_warned_of(strategy):
    """A client that hangs up before the usual first token is told so, for each model that serves it."""
    found = warned(strategy, sets=("client.timeout=289ms",))
    text = one(found, "gives up a call")
    assert text == f"{strategy} gives up a call after 289ms, and the first token of gemini-2.5-flash takes 290ms"
    over = warned(strategy, sets=("client.timeout=289ms", "start=2026-11-30T23:30:00Z"))
    assert one(over, "the first token of gemini-3.5-flash-lite takes 460ms")
    assert not [t for t in warned(strategy, sets=("client.timeout=290ms",)) if "gives up" in t]


def test_a_timeout_of_flex_and_one_of_batch():
    """The flex tier has a time-out of its own; a batch job has none."""
    assert one(warned("flex", sets=("strategies.flex.timeout=1ms",)), "gives up a call after 1ms")
    assert not [t for t in warned("batch", sets=("client.timeout=1ms",)) if "gives up" in t]


def test_the_free_tier_costs_nothing_and_says_what_it_takes():
    """All bills are zero, and the run warns of what becomes of the data; a paid tier does not."""
    result = sim.run(scenario("none", "implicit", sets=(FREE,)))
    assert {cell.total_usd for cell in result.cells} == {0}
    assert one(result.warnings, "may be used to improve the provider's products")
    assert not [t for t in warned("none", sets=("project.tier=1",)) if "improve" in t]


def test_thinking_is_not_counted_twice_unnoticed():
    """A stream that tells its thinking apart on a model whose latency includes thinking is warned of by name."""
    sets = ("streams.desk.thinking=500",)
    pro = ('models=["gemini-2.5-pro"]',)
    text = one(warned("none", sets=(*sets, *pro)), "thinking")
    assert text == (
        "thinking is counted twice: the time to the first token of gemini-2.5-pro includes it, and the streams tell it "
        "apart (desk); give [service.latency] without thinking"
    )
    own = "service.latency={ base_s = 1, per_uncached_token_ms = 0, per_cached_token_ms = 0, output_tokens_per_s = 75 }"
    for quiet in (sets, pro, (*sets, *pro, own)):
        assert not [t for t in warned("none", sets=quiet) if "counted twice" in t]


def test_contexts_larger_than_any_cache_are_told():
    """Where the shortest context is above the largest cache, nothing is cached, and the run says by how much."""
    text = one(warned("explicit", sets=("service.explicit.maximum_tokens=4999",)), "caches nothing")
    assert text == (
        "explicit on gemini-2.5-flash caches nothing: the shortest context has 5,000 tokens, and the most that can be "
        "cached is 4,999"
    )
    assert not [t for t in warned("explicit", sets=("service.explicit.maximum_tokens=5000",)) if "caches" in t]


def test_a_successor_that_counts_pictures_otherwise_is_warned_of():
    """A redirect to another generation keeps the counts of the model at the start, and says so."""
    over = ("start=2026-11-30T23:30:00Z",)
    pictures = ("streams.desk.parts={ images = 1 }",)
    text = one(warned("none", sets=(*over, *pictures)), "pictures")
    assert text == (
        "gemini-3.5-flash-lite counts the tokens of pictures, film and sound otherwise than gemini-2.5-flash, which it "
        "succeeds during the run: they are counted as gemini-2.5-flash does"
    )
    for quiet in (over, pictures, ('models=["gemini-3.8-flash"]', *over, *pictures)):
        assert not [t for t in warned("none", sets=quiet) if "pictures" in t]


def test_a_successor_of_the_same_generation_counts_pictures_alike():
    """A redirect inside one generation changes no count, so nothing is told of it."""
    made = scenario("none", sets=('models=["gemini-3.8-flash"]', "streams.desk.parts={ images = 1 }"))
    turn = made.book.redirects[0]._replace(
        model="gemini-3.8-flash", at=made.spec.start_ms + HOUR // 2, to="gemini-4-argon"
    )
    turned = dataclasses.replace(made, book=dataclasses.replace(made.book, redirects=(turn,)))
    (pair,) = pairs_of(turned, None)
    assert pair.rules.models == ("gemini-3.8-flash", "gemini-4-argon")
    assert not [t for t in sim.run(turned).warnings if "pictures" in t]


# ---------------------------------------------------------------- workloads and jobs


def test_models_of_one_generation_share_their_prompts():
    """With pictures a workload is shared by the models that count them alike; without, by all."""
    models = 'models=["gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.8-flash"]'
    plain, pictured = (
        pairs_of(scenario("none", "implicit", sets=sets), None)
        for sets in ((models,), (models, "streams.desk.parts={ images = 2 }"))
    )
    assert [pair.workload for pair in plain] == [0] * 6
    assert [pair.workload for pair in pictured] == [0, 0, 0, 0, 1, 1]
    assert {pair.media for pair in plain} == {None}
    assert [pair.media for pair in pictured] == [load_book("google").media[g] for g in (2, 2, 2, 2, 3, 3)]


def test_pictures_are_counted_as_each_model_does():
    """The prompts of two models differ by the pictures and by nothing else."""
    models = 'models=["gemini-2.5-flash", "gemini-3.8-flash"]'
    made = scenario("none", sets=(models, "streams.desk.parts={ images = 2 }"))
    result = sim.run(made, keep_requests=True)
    old, new = ([row.ledger.prompt for row in result.kept if row.model == model] for model in made.spec.models)
    for before, after in zip(old, new, strict=True):
        assert set((after - before).tolist()) == {2 * (560 - 258)}
    assert (sim.realise(made).prompt == old[0]).all()


def test_each_arm_has_its_own_client():
    """``set`` gives one strategy another client."""
    other = '[strategies.hasty]\nkind = "none"\nset = { "client.attempts" = 1 }\n'
    assert [pair.rules.client.attempts for pair in pairs_of(scenario("none", other), None)] == [5, 1]


@pytest.mark.parametrize(("chance", "jobs"), [(0.0, 3), (0.5, 6)])
def test_a_lost_reply_doubles_the_jobs_of_a_request(chance, jobs, monkeypatch):
    """A request may stand in as many jobs as it has attempts, and in twice as many where replies get lost."""
    seen = []
    monkeypatch.setattr("sim.experiments.simulate.prepare", lambda *asked: seen.append(asked[2]))
    monkeypatch.setattr("sim.experiments.simulate.uncovered", lambda *_: "")
    monkeypatch.setattr("sim.experiments.simulate.engine_of", lambda _: lambda *_: None)
    made = scenario("batch", "none", sets=(f"service.batch.lost_reply_chance={chance}",))
    for pair in pairs_of(made, None):
        ledger_of(pair, sim.realise(made))
    assert seen == [jobs, 0]


def test_the_survey_sums_over_replications():
    """Requests are counted over all realisations, and the shortest and longest contexts are those of any."""
    made = scenario("explicit")
    pairs = pairs_of(made, None)
    traces: list[Trace] = [sim.realise(made, replication=number) for number in range(3)]
    found = survey(made, [(trace, pairs) for trace in traces])
    assert found.requests == {0: sum(trace.requests for trace in traces)}
    assert (found.contexts, found.thinking) == ({0: (5_000, 5_000)}, {0: ()})
    assert found.excess == {("explicit", "gemini-2.5-flash"): ()}


# ---------------------------------------------------------------- what is assumed


def assumed(*strategies, sets=(), tail=""):
    made = scenario(*strategies, sets=sets, tail=tail)
    return {assumption.path for assumption in in_force(made, pairs_of(made, None))}


FIXED = 'project.limits={ tokens_per_minute = 9, window = "fixed" }'
CALLS = 'project.limits={ requests_per_minute = 9, tokens_per_minute = 10000, requests_per_day = "unlimited" }'
SPEND = "project.limits.usd_per_10_minutes=9"

MATTERS = [
    # path; where it matters; where it does not
    ("quotas", ("none", "project.tier=1"), ("none",)),
    ("spend.usd_per_10_minutes", ("none", "project.tier=1"), ("none", "project.limits.requests_per_minute=9")),
    ("enqueued", ("batch", "project.tier=1"), ("none", "project.tier=1")),
    ("service.refusal", ("none", "project.limits.requests_per_minute=9"), ("none",)),
    ("service.flex.queueing", ("flex",), ("batch",)),
    ("flex.prices", ("flex",), ("none",)),
    ("priority.factor", ("priority",), ("none",)),
    ("priority.limit_share", ("priority", "project.tier=1"), ("priority",)),
    ("service.implicit.affinity", ("implicit", "service.implicit.cells=3"), ("implicit",)),
    ("media", ("none", "streams.desk.parts={ images = 1 }"), ("none",)),
    ("platforms.developer.service.batch.expires_after", ("batch",), ("none",)),
    ("platforms.developer.service.batch.inline_bytes", ("batch", "strategies.batch.transport=inline"), ("batch",)),
    ("service.batch.lost_after", ("batch", "service.batch.lost_reply_chance=0.1"), ("batch",)),
    ("platforms.developer.explicit_in_batch", ("hybrid",), ("batch",)),
    ("platforms.vertex.service.batch.running_limit", ("batch", "project.platform=vertex"), ("batch",)),
    ("platforms.vertex.minimum_ttl", ("explicit", "project.platform=vertex"), ("batch", "project.platform=vertex")),
    ("platforms.vertex.terms.batch_cached", ("batch", "project.platform=vertex"), ("batch",)),
    ("terms.batch_cached", ("batch",), ("batch", "project.platform=vertex")),
    ("latency.gemini-2.5-pro.includes_thinking", ("none", "streams.desk.thinking=9"), ("none",)),
    ("client.attempts", ("none", "project.tier=1"), ("none",)),
    ("client.attempts", ("flex",), ("batch", "project.tier=1")),
    ("client.attempts", ("none", "client.timeout=1m"), ("batch", "client.timeout=1m")),
    ("client.backoff", ("none", "service.overload={ every = '1h', lasts = '1m', shed_chance = 0.1 }"), ("priority",)),
    ("client.backoff.honour_retry_delay", ("routed", "project.limits.requests_per_day=9"), ("routed",)),
    ("client.backoff", ("none", "client.concurrency=9"), ("none",)),
    ("project.limits.window", ("none", "project.tier=1"), ("none", "project.limits.requests_per_day=9")),
    ("project.limits.burst", ("none", "project.limits.tokens_per_minute=9"), ("none", FIXED)),
    ("project.limits.rejected", ("none", "project.limits.requests_per_day=9"), ("batch", "project.tier=1")),
    ("project.limits", ("explicit", "project.tier=1"), ("none", "project.tier=1")),
    ("strategies.flex.attempts", ("flex",), ("flex", "strategies.flex.attempts=3")),
    ("strategies.routed.fallback", ("routed", "strategies.routed.flex=10m"), ("routed",)),
    ("quotas", ("none", "project.tier=1"), ("none", "project.tier=1", CALLS)),
    ("spend.usd_per_10_minutes", ("none", "project.tier=1"), ("none", "project.tier=1", SPEND)),
    ("enqueued", ("batch", "project.tier=1"), ("batch", "project.tier=1", "project.limits.enqueued_tokens=9")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "does", "does_not"), MATTERS)
def test_an_assumption_is_named_where_it_matters(path, does, does_not):
    """A run names what can move its figures, and nothing else."""
    assert path in assumed(does[0], sets=does[1:])
    assert path not in assumed(does_not[0], sets=does_not[1:])


def test_what_the_scenario_sets_is_no_assumption_of_the_platform():
    """An overridden limit of the platform is named as set by the scenario, and not as the platform's."""
    found = assumed("batch", sets=("service.batch.expires_after=9h",))
    assert "service.batch.expires_after" in found
    assert "platforms.developer.service.batch.expires_after" not in found
    assert "platforms.developer.service.batch.jobs" in found


def sentences(*strategies, sets=()):
    made = scenario(*strategies, sets=sets)
    return {a.path: (a.confidence, a.text) for a in in_force(made, pairs_of(made, None))}


def test_what_the_scenario_sets_of_the_client_and_the_project_is_named():
    """Each key that is set is listed as such, and the sentence of a default speaks of the others only."""
    found = sentences(
        "none", sets=("project.tier=1", "client.attempts=9", "client.backoff={ base = '2s', factor = 3.0 }")
    )
    for path in ("project.tier", "client.attempts", "client.backoff.base", "client.backoff.factor"):
        assert found[path] == ("assumed", f"Set by the scenario: {path}.")
    waits = "A client backs off between calls: never longer than 1m, with full jitter."
    assert found["client.backoff"] == ("assumed", waits)


def test_the_defaults_of_the_simulator_are_told():
    """Client, buckets, refused calls, caches, spend and flex: what is taken for usual, in a sentence each."""
    found = sentences("explicit", "flex", sets=("project.tier=1",))
    assert {path: found[path] for path in found if path.startswith(("client", "project.limits", "strategies"))} == {
        "client.attempts": ("assumed", "A request is called 5 times at most."),
        "client.backoff": (
            "assumed",
            "A client backs off between calls: at most 1s at first, 2 times as long each time, never longer than 1m, "
            "with full jitter.",
        ),
        "client.backoff.honour_retry_delay": (
            "assumed",
            "A client never calls again before the retry delay of a refusal is over.",
        ),
        "project.limits.window": ("assumed", "A limit a minute is a bucket that refills all the time."),
        "project.limits.burst": ("assumed", "The bucket of a limit a minute holds what refills in 1m."),
        "project.limits.rejected": ("?", "A refused call uses up nothing of a limit; reports conflict."),
        "project.limits": (
            "assumed",
            "Creating an explicit cache uses up nothing of the limits of requests and tokens.",
        ),
        "project.limits.usd_per_10_minutes": (
            "assumed",
            "The spend limit counts calls of all tiers from the start of their service; batch jobs, the creation of "
            "caches and their storage do not count.",
        ),
        "strategies.flex.attempts": ("assumed", "flex calls the flex tier 3 times at most for a request."),
        "strategies.flex.fallback": ("assumed", "What the flex tier did not serve flex sends to the standard tier."),
    }
