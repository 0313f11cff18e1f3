"""Each strategy's decision on every kind of request, and its options as integers, or as a mistake with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds import NEVER, plan

from sim.document import parse
from sim.errors import InputError
from sim.ledger import Mode
from sim.scenario import read_scenario
from sim.strategies import STRATEGIES
from sim.strategies.decision import BatchPlan, CacheUse, Decision, Implicit, View
from sim.strategies.options import Setting

views = st.builds(
    View,
    patience=st.integers(0, 10**9),
    prompt=st.integers(0, 10**6),
    context=st.integers(0, 3),
    seen=st.integers(0, 5),
)


@given(views, st.sampled_from(sorted(STRATEGIES)))
def test_a_decision_is_one_that_the_plan_provides_for(view, kind):
    """Whatever a strategy sees, it says a way to go that its plan provides for, and one of three uses of the cache."""
    made = plan(kind)
    decision = made.decide(made.params, view)
    assert decision.mode in set(Mode)
    assert decision.cache in set(CacheUse)
    assert decision.mode != Mode.BATCH or made.batch is not None
    assert decision.mode != Mode.FLEX or made.flex is not None
    assert decision.cache == CacheUse.NONE or (made.cache is not None and view.context > 0)


@given(views)
def test_none_and_implicit_call_at_once(view):
    """Neither keeps a cache or waits; they differ in whether the service's own cache is met."""
    for kind, implicit in (("none", Implicit.OFF), ("implicit", Implicit.ON)):
        made = plan(kind)
        assert made.decide(made.params, view) == Decision(0, CacheUse.NONE)
        assert (made.implicit, made.cache, made.batch) == (implicit, None, None)


@given(views)
def test_batch_collects_everything(view):
    """Every request goes into a job without an explicit cache."""
    made = plan("batch")
    assert made.decide(made.params, view) == Decision(1, CacheUse.NONE)
    assert (made.implicit, made.cache) == (Implicit.AS_SERVICE, None)


@given(views, st.integers(1, 4), st.sampled_from(["explicit", "hybrid"]))
def test_caches_begin_at_the_kth_sighting(view, sightings, kind):
    """``explicit`` at once, ``hybrid`` in a job: the k-th request of a context creates, earlier ones only read."""
    made = plan(kind, sightings=sightings)
    use = CacheUse.NONE
    if view.context:
        use = CacheUse.CREATE if view.seen >= sightings - 1 else CacheUse.READ
    assert made.decide(made.params, view) == Decision(int(kind == "hybrid"), use)


@given(views, st.sampled_from(["none", "read", "create"]), st.integers(1, 3))
def test_routed_goes_by_patience(view, batch_cache, sightings):
    """From the threshold on batch, with at most the use of a cache that ``batch_cache`` allows."""
    made = plan("routed", threshold="1000ms", batch_cache=batch_cache, sightings=sightings)
    batch = int(view.patience >= 1_000)
    use = CacheUse.NONE
    if view.context:
        use = CacheUse.CREATE if view.seen + 1 >= sightings else CacheUse.READ
        most = {"none": 0, "read": 1, "create": 2}[batch_cache] if batch else 2
        use = min(use, most)
    assert made.decide(made.params, view) == Decision(batch, use)


# ---------------------------------------------------------------- options


def test_the_defaults_of_caches():
    """An hour of TTL, no renewal, deleted after one idle TTL, wait for the creation."""
    cache = plan("explicit").cache
    assert (cache.ttl, cache.idle, cache.renew_on_use, cache.renew_margin) == (3_600_000, 3_600_000, 0, NEVER)
    assert (cache.last_use, cache.wait, cache.pad_from, cache.sightings, cache.populations) == (0, 1, NEVER, 1, -1)
    assert plan("explicit", ttl="5m").cache.idle == 300_000


def test_the_defaults_of_batches():
    """A job goes 15 min after its first request; looks every minute; three attempts; no guard but of ``routed``."""
    batch = plan("batch").batch
    assert batch == BatchPlan(window=900_000, poll=60_000, attempts=3)
    assert plan("routed").batch.guard == 300_000
    assert plan("batch", size=5).batch.window == NEVER


def test_the_default_margin_of_hybrid():
    """Caches of pending jobs are renewed 5 min before they end, or half a short TTL."""
    assert plan("hybrid").cache.renew_margin == 300_000
    assert plan("hybrid", ttl="4m").cache.renew_margin == 120_000


def test_options_become_integers():
    """Every option as its milliseconds, tokens and bits."""
    cache = plan(
        "explicit",
        ttl="10m",
        renew="margin:30s",
        delete="idle:2m",
        arriving="miss",
        pad=True,
        contexts=["b", "c"],
        populations=("a", "b", "c"),
        pad_from=77,
    ).cache
    assert (cache.ttl, cache.renew_margin, cache.idle, cache.wait) == (600_000, 30_000, 120_000, 0)
    assert (cache.pad_from, cache.populations) == (77, 0b110)
    assert plan("explicit", renew="on_use").cache.renew_on_use == 1
    assert plan("explicit", delete="never").cache.idle == NEVER
    last = plan("explicit", delete="last_use").cache
    assert (last.last_use, last.idle) == (1, NEVER)
    assert plan("explicit", contexts=[], populations=("a",)).cache.populations == 0


def test_caches_that_expire_at_times_of_day_are_not_deleted_before():
    """With ``expire_at`` nothing else ends a cache, unless ``delete`` says so: the default ttl counts nowhere."""
    daily = {43_200_000: (100,)}
    assert plan("explicit", expire_at=["12:00"], daily=daily).cache.idle == NEVER
    assert plan("explicit", expire_at=["12:00"], daily=daily, delete="idle:9m").cache.idle == 540_000


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("routed", {"flex": "59m59s999ms"}),
        ("routed", {"priority": "9m", "flex": "10m"}),
        ("explicit", {"release": "shorten"}),
        ("explicit", {"release": "shorten", "delete": "never", "replaced": "delete"}),
        ("explicit", {"release": "shorten", "expire_at": ["12:00"], "delete": "last_use"}),
    ],
)
def test_options_on_the_right_side_of_each_other_are_accepted(kind, options):
    """Ways that rise with patience, and a cache that is let go in some way."""
    assert STRATEGIES[kind].model_validate({"kind": kind, **options})


def test_batch_options_become_integers():
    """Size, window, grid, looks, attempts."""
    batch = plan("batch", size=9, window="1m", every="1h", poll="5s", attempts=2).batch
    assert batch == BatchPlan(size=9, window=60_000, every=3_600_000, poll=5_000, attempts=2)


def test_times_of_day_are_compiled_to_sorted_instants():
    """Instants of all times of day, in order."""
    spec = STRATEGIES["batch"].model_validate({"kind": "batch", "at": ["22:00", "06:00"]})
    late, early = spec.at
    made = spec.plan("batch", Setting(daily={late: (22, 46), early: (6, 30)}))
    assert made.batch.at == (6, 22, 30, 46)
    assert made.batch.window == NEVER


HEAD = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "1h"
models = ["gemini-2.5-flash"]
[contexts.docs]
tokens = 5000
[streams.s]
arrivals = { process = "poisson", rate = "20/h" }
fresh = 100
output = 100
patience = "1m"
context = "docs"
[strategies.%s]
"""


def mistakes(kind, text):
    with pytest.raises(InputError) as caught:
        read_scenario(parse((HEAD % kind + text).encode(), "s.toml"), "s")
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("kind", "text", "line", "says"),
    [
        ("explicit", 'renew = "margin:1h"', 14, "the renewal margin 1h must be shorter than the ttl 1h"),
        (
            "explicit",
            'ttl = "10m"\nrenew = "margin:11m"',
            14,
            "the renewal margin 11m must be shorter than the ttl 10m",
        ),
        ("explicit", 'renew = "always"', 14, 'unknown choice; "never", "on_use" or "margin:DURATION"'),
        ("explicit", 'delete = "idle"', 14, 'unknown choice; "never", "last_use" or "idle:DURATION"'),
        ("explicit", 'arriving = "queue"', 14, "'wait' or 'miss'"),
        ("explicit", "sightings = 0", 14, "greater than or equal to 1"),
        ("explicit", "ttl = 60", 14, "a duration is text with a unit"),
        ("explicit", 'contexts = ["dogs"]', 14, "did you mean 'docs'? allowed: docs"),
        ("explicit", "size = 5", 14, "unknown"),
        ("batch", "size = 0", 14, "greater than or equal to 1"),
        ("batch", 'every = "0s"', 14, "must be"),
        ("batch", 'poll = "0s"', 14, "must be"),
        ("batch", "attempts = 17", 14, "less than or equal to 16"),
        ("batch", 'at = ["25:00"]', 14, "25:00"),
        ("batch", 'widow = "1m"', 14, "did you mean 'window'"),
        ("routed", 'threshold = "0s"', 14, "must be"),
        ("routed", 'batch_cache = "write"', 14, "'none', 'read' or 'create'"),
        ("routed", 'flex = "1h"', 13, "flex 1h must be shorter than threshold 1h: a patience goes one way"),
        ("routed", 'priority = "2h"', 13, "priority 2h must be shorter than threshold 1h"),
        ("routed", 'priority = "10m"\nflex = "10m"', 13, "priority 10m must be shorter than flex 10m"),
        ("explicit", 'release = "shorten"\ndelete = "never"', 13, 'let go, and delete is "never"; one of the two'),
        ("explicit", 'release = "shorten"\nexpire_at = ["12:00"]', 13, 'let go, and delete is "never"'),
        ("explicit", 'pad = "yes"', 14, "pad: must be a valid boolean; got 'yes'"),
        ("batch", "deduplicate = 1", 14, "deduplicate: must be a valid boolean; got 1"),
        ("mine", "", 13, "kind"),
        ("mine", 'kind = "explict"', 13, "explicit"),
    ],
)
def test_a_wrong_option_is_one_line_with_its_place(kind, text, line, says):
    """Each mistake: file, line, path, rule."""
    found = mistakes(kind, text)
    assert len(found) == 1, found
    assert says in found[0]
    assert found[0].startswith(("s.toml:13: strategies.", "s.toml:14: strategies.", "s.toml:15: strategies."))


def test_options_that_are_wrong_together_are_told_together():
    """All mistakes at once."""
    found = mistakes("routed", 'threshold = "0s"\nbatch_cache = "write"\nttl = 5\n')
    assert [text.split(":")[1] for text in found] == ["14", "15", "16"]
