"""Closed forms of expected cost: restated, summed by brute force, balanced at their break-evens, and simulated."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate
from shipped import cells, costs, ran
from strategies import DAY_2026
from workloads import SEED, agrees

import sim
from sim.billing import price_request
from sim.billing.best_ttl import Context, best_shared_ttl, best_ttl, hourly_premium
from sim.billing.break_evens import (
    Span,
    chance_that_matches,
    rate_always_on,
    rate_fixed,
    rate_sliding,
    requests_in_a_job,
    ttl_fixed,
    ttl_sliding,
    uses_in_a_life,
)
from sim.billing.closed_forms import cost_batch, cost_explicit, cost_hybrid, cost_implicit, cost_none, premium
from sim.billing.tariff import Tariff, Use, pieces
from sim.billing.upkeep import always_on, fixed, fixed_over, one_life, sliding, sliding_over
from sim.errors import NotOffered, PriceMissing
from sim.ledger import Mode
from sim.providers import load_book

GOOGLE, GUIDE = load_book("google"), load_book("guide")
FLASH, PRO, NEWER = "gemini-2.5-flash", "gemini-2.5-pro", "gemini-3.8-flash"
CACHING = [name for name in GOOGLE.models if GOOGLE.facts[name].explicit and name != "gemini-2.0-flash"]  # that is over


def tariff(model=FLASH, *, book=GOOGLE, tokens=50_000, fresh=0, **terms):
    """The prices of a model on the day that the books were checked."""
    return Tariff.of(book, model, DAY_2026, book.terms.model_copy(update=terms), tokens=tokens, fresh=fresh)


positive = st.fractions(Fraction(1, 50), 50, max_denominator=50)
chances = st.sampled_from([Fraction(0), Fraction(2, 5), Fraction(7, 10)])
priced = st.builds(
    tariff,
    st.sampled_from(CACHING),
    tokens=st.sampled_from([5_000, 250_000]),
    creation=st.sampled_from(["input", "free"]),
)

# ---------------------------------------------------------------- prices


def test_a_tariff_is_what_the_book_says_in_dollars():
    """Per token; of storage per token-hour; a batch is half, its cached tokens are not; creating is an input."""
    million = [None if p is None else p * 10**6 for p in tariff(PRO)[1:-1]]
    assert million == [Fraction(p) for p in ("1.25", "0.125", "10", "1.25", "4.5", "0.625", "0.125", "5")]


def test_the_tier_of_a_request_is_that_of_its_prompt_and_of_a_creation_that_of_the_prefix():
    """199,999 and one fresh are low; with two the request is long and the creation is not; 200,001 are both long."""
    low, mixed, long = (tariff(PRO, tokens=t, fresh=f) for t, f in [(199_999, 1), (199_999, 2), (200_001, 0)])
    assert [float(t.input * 10**6) for t in (low, mixed, long)] == [1.25, 2.5, 2.5]
    assert [float(t.creation * 10**6) for t in (low, mixed, long)] == [1.25, 1.25, 2.5]
    assert low.storage == mixed.storage == long.storage


def test_the_terms_decide_on_creation_and_on_cached_tokens_in_a_batch():
    """``creation``, ``batch_cached`` and the free tier are those of rating."""
    assert tariff(creation="free").creation == 0
    prices = [tariff(NEWER, batch_cached=how).batch_cached * 10**6 for how in ("standard", "published", "stacked")]
    assert prices == [Fraction("0.075"), Fraction("0.0375"), Fraction("0.0375")]
    assert set(tariff(free_tier=True)[1:-1]) == {0}


def test_what_has_no_price_is_missing_and_never_zero():
    """A model without explicit caches has no price of writing or storing one, free as its creation may be."""
    argon = tariff("gemini-4-argon", creation="free")
    assert (argon.creation, argon.storage) == (None, None)
    with pytest.raises(PriceMissing, match="no creation price of gemini-4-argon"):
        cost_explicit(argon, Use(5_000), always_on(Fraction(4)))
    with pytest.raises(NotOffered):
        pieces(GOOGLE, "gemini-4-argon", DAY_2026, GOOGLE.terms)


def test_prefixes_fall_into_pieces_of_one_price_each():
    """From the minimum to the window; the facts' three break-evens of Pro for an hour: 5.1, 2.56 and 3.1 uses."""
    found = pieces(GOOGLE, PRO, DAY_2026, GOOGLE.terms, fresh=1_000)
    assert [(p.least, p.most) for p in found] == [(2_048, 199_000), (199_001, 200_000), (200_001, 1_048_576)]
    for piece in found:
        ends = [tariff(PRO, tokens=tokens, fresh=1_000) for tokens in (piece.least, piece.most)]
        assert ends == [piece.tariff, piece.tariff]
    assert [round(float(uses_in_a_life(p.tariff, Fraction(1))), 2) for p in found] == [5.11, 2.56, 3.11]
    assert [rate_always_on(p.tariff) for p in found] == [4, 2, 2]
    (whole,) = pieces(GOOGLE, FLASH, DAY_2026, GOOGLE.terms, minimum=1_024)
    assert (whole.least, whole.most) == (1_024, 1_048_576)
    assert pieces(GOOGLE, PRO, DAY_2026, GOOGLE.terms, minimum=200_001)[0].tariff.input == 2 * tariff(PRO).input


# ---------------------------------------------------------------- costs


@given(priced, positive, positive)
def test_the_cost_of_a_use_is_o20(prices, rate, ttl):
    """O20: ``K [a + rate T p_c + s T] / (1 + rate T)`` with ``a = p_w + p_c``, exactly; wrong without the creation."""
    K = 5_000
    a = prices.creation + prices.cached
    stated = K * (a + rate * ttl * prices.cached + prices.storage * ttl) / (1 + rate * ttl)
    assert cost_explicit(prices, Use(K), fixed(rate, ttl)) == stated
    assert (stated == K * (prices.cached + prices.storage * ttl / (1 + rate * ttl))) == (prices.creation == 0)


def calls(count, mode, *, model=NEWER, **tokens):
    """Dollars of equal calls, each priced as one."""
    return count * price_request(GOOGLE, model, mode, DAY_2026, **tokens).total


@pytest.mark.parametrize("n", [1, 7])
def test_costs_are_the_sums_of_priced_requests(n):
    """T0: none, implicit, batch, one life and hybrid are what n requests and a cache cost, added up one by one."""
    K, fresh, out, hours = 40_000, 300, 200, Fraction(5, 2)
    prices, use = tariff(NEWER, tokens=K, fresh=fresh), Use(K, fresh, out)
    whole = {"prompt": K + fresh, "output": out}
    made = calls(1, Mode.STANDARD, prompt=K) + K * hours * Fraction("0.50") / 10**6
    assert n * cost_none(prices, use) == calls(n, Mode.STANDARD, **whole)
    assert n * cost_implicit(prices, use, Fraction(n - 1, n)) == calls(1, Mode.STANDARD, **whole) + calls(
        n - 1, Mode.STANDARD, cached=K, **whole
    )
    assert n * cost_batch(prices, use) == calls(n, Mode.BATCH, **whole)
    assert n * cost_explicit(prices, use, one_life(Fraction(n), hours)) == made + calls(
        n, Mode.STANDARD, cached=K, **whole
    )
    assert n * cost_hybrid(prices, use, Fraction(n), hours) == made + calls(n, Mode.BATCH, cached=K, **whole)


def test_an_early_deletion_is_paid_for_where_storage_is_committed():
    """A day asked for and an hour used are 24 hours of storage, or one; a TTL shorter than the life adds nothing."""
    use, n = Use(10_000), Fraction(10)
    actual, committed = (
        cost_hybrid(tariff(storage=how), use, n, Fraction(1), Fraction(24)) for how in ("lifetime", "committed")
    )
    assert n * (committed - actual) == 23 * 10_000 * tariff().storage
    assert cost_hybrid(tariff(storage="committed"), use, n, Fraction(1), Fraction(1, 2)) == actual


@pytest.mark.parametrize(
    ("name", "book", "strategy", "uses", "hours"),
    [
        ("guide-1-document-analysis", GUIDE, "explicit", 20, 2),
        ("guide-1-document-analysis-google", GOOGLE, "explicit", 20, 2),
        ("guide-3-shared-knowledge-base", GUIDE, "explicit", 5_000, 8),
        ("guide-3-shared-knowledge-base", GUIDE, "hybrid", 5_000, 8),
        ("guide-3-shared-knowledge-base-google", GOOGLE, "hybrid", 5_000, 8),
    ],
)
def test_the_guides_scenarios_are_single_lives(name, book, strategy, uses, hours):
    """T0: simulated, they cost what one cache of 2 or 8 hours does that is read by every request; $0.2375 and so on."""
    model, K, fresh = (PRO, 50_000, 500) if "guide-1" in name else (FLASH, 100_000, 1_000)
    prices, use, life = tariff(model, book=book), Use(K, fresh), (Fraction(uses), Fraction(hours))
    one = cost_hybrid(prices, use, *life) if strategy == "hybrid" else cost_explicit(prices, use, one_life(*life))
    assert costs(ran(name), strategy) == [uses * one]


# ---------------------------------------------------------------- upkeep


def stationary_hours(rate, ttl):
    """Alive hours a use, of a TTL that uses renew: the integral of P(gap > t) up to the TTL."""
    return integrate.quad(lambda t: np.exp(-rate * t), 0, ttl)[0]


@pytest.mark.parametrize(("rate", "ttl"), [(4.0, 0.25), (0.5, 2.0), (30.0, 1.0)])
def test_a_sliding_ttl_lives_until_its_expiry_or_the_next_use(rate, ttl):
    """T1: hours are the integral of P(gap > t); the live share, 1 - e^(-rate T), includes the time to expiry."""
    upkeep = sliding(rate, ttl)
    assert upkeep.hours == pytest.approx(stationary_hours(rate, ttl), rel=1e-9)
    assert rate * upkeep.hours == pytest.approx(1 - upkeep.creations, rel=1e-9)


def over_by_sums(rate, ttl, horizon):
    """Creations and hours over a horizon, of a TTL that uses renew, by integrals over the hours u that are left."""
    creations = integrate.quad(lambda u: rate * np.exp(-rate * min(u, ttl)), 0, horizon, points=[min(ttl, horizon)])[0]

    def life(u):
        inside = min(u, ttl)
        before = integrate.quad(lambda gap: rate * np.exp(-rate * gap) * gap, 0, inside)[0]
        return before + ttl * np.exp(-rate * inside)

    hours = integrate.quad(lambda u: rate * life(u), 0, horizon, points=[min(ttl, horizon)])[0]
    return creations / rate / horizon, hours / rate / horizon


@pytest.mark.parametrize(("ttl", "horizon"), [(0.5, 10), (10, 10), (25, 10)])
def test_a_sliding_ttl_over_a_horizon_is_its_integral(ttl, horizon):
    """T1: uses that come first create, the last use is stored for its TTL, also one that is beyond the horizon."""
    assert sliding_over(0.3, ttl, horizon) == pytest.approx(over_by_sums(0.3, ttl, horizon), rel=1e-9)


@pytest.mark.parametrize("law", ["fixed", "sliding"])
def test_a_long_horizon_is_the_long_run(law):
    """What a beginning and an end cost is lost in 10^5 uses; in 40 it is not."""
    over, run = {"fixed": (fixed_over, fixed), "sliding": (sliding_over, sliding)}[law]
    assert over(4.0, 0.5, 25_000) == pytest.approx(run(4.0, 0.5), rel=1e-3)
    assert over(4.0, 0.5, 10) != pytest.approx(run(4.0, 0.5), rel=1e-3)


def test_a_ttl_beyond_the_horizon_is_created_once_if_at_all():
    """T1: with chance 1 - e^(-rate H) there is a use at all, and then one life; fixed and renewed begin as often."""
    some = 1 - np.exp(-0.3 * 10)
    assert 0.3 * 10 * np.array(fixed_over(0.3, 25, 10)) == pytest.approx([some, 25 * some], rel=1e-9)
    assert sliding_over(0.3, 25, 10).creations == pytest.approx(fixed_over(0.3, 25, 10).creations, rel=1e-9)


# ---------------------------------------------------------------- break-evens


@pytest.mark.parametrize(
    ("model", "always", "hour"),
    [(PRO, "4.00", 5.1), (FLASH, "3.70", 4.8), ("gemini-2.5-flash-lite", "11.11", 12.2), (NEWER, "0.74", 1.85)],
)
def test_break_evens_are_those_of_the_facts(model, always, hour):
    """O21: s / (p_in - p_c) always on, (i + s) / (i - c) uses in an hour, (s T + p_c) / (T (p_in - p_c)) an hour."""
    prices = tariff(model)
    assert f"{float(rate_always_on(prices)):.2f}" == always
    assert float(uses_in_a_life(prices, Fraction(1))) == pytest.approx(hour, abs=0.06)
    for ttl in (Fraction(1, 4), Fraction(3)):
        o21 = (prices.storage * ttl + prices.cached) / (ttl * (prices.input - prices.cached))
        assert rate_fixed(prices, ttl) == o21
    assert rate_fixed(tariff(model, creation="free"), Fraction(3)) < o21


def extra(prices, upkeep, chance):
    """What an explicit cache costs a use more than an implicit one that is hit so often; free of the prefix's size."""
    return cost_explicit(prices, Use(1), upkeep) - cost_implicit(prices, Use(1), chance)


@given(priced, positive, chances)
def test_costs_are_equal_at_the_break_even_rate_and_differ_in_sign_beside_it(prices, ttl, chance):
    """O21 for a fixed TTL and always on exactly, for one that uses renew to 1e-9, whatever the other side's hits."""
    for law, even in (
        (lambda rate: fixed(rate, ttl), rate_fixed(prices, ttl, chance)),
        (always_on, rate_always_on(prices, chance)),
        (lambda rate: sliding(rate, ttl), rate_sliding(prices, ttl, chance)),
    ):
        if not even:  # it pays from the first use on, as nothing is paid for creating
            assert extra(prices, law(Fraction(1, 1000)), chance) < 0
            continue
        scale = float(prices.input)
        assert float(extra(prices, law(even), chance)) / scale == pytest.approx(0, abs=1e-9)
        assert extra(prices, law(even * 9 / 10), chance) > 0 > extra(prices, law(even * 11 / 10), chance)


def within(span, value):
    """Whether a value lies in what pays."""
    return span is not None and span.above < value and (span.below is None or value < span.below)


@given(priced, positive, positive, chances)
def test_the_ttls_that_pay_are_those_at_which_it_costs_less(prices, rate, ttl, chance):
    """By brute force: a TTL lies in the span where its cost is below, fixed or renewed by uses."""
    assert within(ttl_fixed(prices, rate, chance), ttl) == (extra(prices, fixed(rate, ttl), chance) < 0)
    more = extra(prices, sliding(rate, ttl), chance)
    if abs(more) > 1e-9 * prices.input:
        assert within(ttl_sliding(prices, rate, chance), ttl) == (more < 0)


def test_the_spans_have_each_of_their_shapes():
    """Never; from a TTL on; up to one; and always."""
    paid, free = tariff(), tariff(creation="free")
    assert ttl_fixed(paid, Fraction(3)) is ttl_sliding(paid, Fraction(3)) is None  # always on pays from 3.7
    assert ttl_fixed(paid, Fraction(4)) == Span(paid.cached / (4 * paid.spared - paid.storage), None)
    assert ttl_sliding(paid, Fraction(4)).above > 0
    assert ttl_fixed(free, Fraction(3)).below == free.spared / (free.storage - 3 * free.spared)
    assert ttl_sliding(free, Fraction(3)).below > 0
    assert ttl_fixed(free, Fraction(4)) == ttl_sliding(free, Fraction(4)) == Span(0, None)


@given(priced, positive, positive)
def test_at_the_matching_chance_an_implicit_cache_costs_as_much(prices, rate, ttl):
    """Above it the service's own cache is cheaper; it is negative exactly where no cache at all is."""
    upkeep = fixed(rate, ttl)
    chance = chance_that_matches(prices, upkeep)
    assert extra(prices, upkeep, chance) == 0
    assert (chance < 0) == (extra(prices, upkeep, Fraction(0)) > 0)
    assert extra(prices, upkeep, chance + Fraction(1, 10)) > 0


@given(priced, positive)
def test_a_job_is_large_enough_for_a_cache_above_its_break_even(prices, held):
    """The next whole number of requests pays with a cache, the whole number below does not."""
    even = requests_in_a_job(prices, held)
    use, least = Use(5_000, 100, 50), int(even) + 1
    assert cost_hybrid(prices, use, Fraction(least), held) < cost_batch(prices, use)
    if least > 1:
        assert cost_hybrid(prices, use, Fraction(least - 1), held) >= cost_batch(prices, use)


def test_a_batch_needs_more_requests_than_real_time_does():
    """2.5 Flash, 8 hours: 0.30 + 8 x 1.00 against 0.15 - 0.03 a request in a job, and against 0.27 at once."""
    assert requests_in_a_job(tariff(), Fraction(8)) == Fraction("8.30") / Fraction("0.12")
    assert uses_in_a_life(tariff(), Fraction(8)) == Fraction("8.30") / Fraction("0.27")


def test_where_everything_is_free_nothing_pays():
    """No break-even is divided by zero."""
    free = tariff(free_tier=True)
    found = [rate_always_on(free), rate_fixed(free, Fraction(1)), rate_sliding(free, Fraction(1))]
    found += [ttl_fixed(free, Fraction(4)), ttl_sliding(free, Fraction(4)), requests_in_a_job(free, Fraction(1))]
    assert [*found, chance_that_matches(free, always_on(Fraction(4)))] == [None] * 7


# ---------------------------------------------------------------- the best TTL


@given(priced, positive)
def test_the_best_ttl_of_one_context_is_an_end_of_the_range(prices, rate):
    """By brute force over the range, for both kinds of TTL; the end turns at s / p_w uses an hour."""
    best = best_ttl(prices, rate, Fraction(1, 10), Fraction(10))
    for law in (fixed, sliding):
        premiums = [float(premium(prices, law(rate, Fraction(t, 10)))) for t in range(1, 101)]
        at_best = float(premium(prices, law(rate, best.hours)))
        assert at_best == pytest.approx(min(premiums), rel=1e-9, abs=1e-18)
    longer = best.turns_at is not None and rate > best.turns_at
    assert best.where == ("any" if rate == best.turns_at else "longest" if longer else "shortest")


def test_at_the_turning_rate_every_ttl_costs_the_same():
    """3.6 uses an hour of 2.5 Pro: 4.50 of storage against 1.25 of creation."""
    prices = tariff(PRO)
    best = best_ttl(prices, Fraction(18, 5), Fraction(1), Fraction(2))
    assert (best.where, best.turns_at) == ("any", Fraction(18, 5))
    assert len({premium(prices, fixed(Fraction(18, 5), Fraction(t))) for t in (1, 2, 5)}) == 1


@pytest.mark.parametrize("law", [fixed, sliding])
@pytest.mark.parametrize(("rates", "where"), [((40, 2, 1), "inside"), ((40, 20), "longest"), ((2, 1), "shortest")])
def test_contexts_that_share_a_ttl_have_a_best_one_between(law, rates, where):
    """By brute force on another grid nothing costs less; busy and idle ones together have their best inside."""
    prices, contexts = tariff(PRO), [Context(rate, 10_000) for rate in rates]
    best = best_shared_ttl(prices, contexts, 0.01, 10, law)
    least = min(hourly_premium(prices, contexts, ttl, law) for ttl in np.linspace(0.01, 10, 5_000))
    assert best.where == where
    assert hourly_premium(prices, contexts, best.hours, law) <= least * (1 + 1e-9)


# ---------------------------------------------------------------- the simulator

RATE, DAYS, K, FRESH, OUT, HIT = 6, 2, 5_000, 200, 50, 0.9
RUNS = 40
SCENARIO = f"""question = "Do the closed forms cost what is simulated?"
start = 2026-11-23T00:00:00Z
horizon = "{DAYS}d"
models = ["{NEWER}"]

[contexts.manual]
tokens = {K}

[streams.chat]
arrivals = {{ process = "poisson", rate = "{RATE}/h" }}
context = "manual"
fresh = {FRESH}
output = {OUT}
patience = "30s"

[strategies.none]
[strategies.implicit]
[strategies.batch]
[strategies.fixed]
kind = "explicit"
ttl = "40m"
[strategies.sliding]
kind = "explicit"
ttl = "40m"
renew = "on_use"
[strategies.kept]
kind = "explicit"
ttl = "2d"

[service]
slowness_cv = 0.0
latency = {{ base_s = 0, per_uncached_token_ms = 0, per_cached_token_ms = 0, output_tokens_per_s = 1e9 }}

[service.implicit]
minimum_tokens = 0
available = "arrival"
hit_chance = [{{ from_tokens = 0, chance = {HIT} }}]
retention = {{ law = "fixed", median = "24h" }}
in_batch = "none"

[service.batch]
failure_chance = 0.0
turnaround = {{ pending_share = 0.5, components = [{{ weight = 1.0, median = "10m" }}] }}
"""


def bills(folder, *sets):
    """The dollars of each replication, by strategy."""
    path = folder / "closed.toml"
    path.write_text(SCENARIO, encoding="utf-8")
    result = sim.run(sim.load(path, sets=sets), replications=RUNS, seed=SEED)
    return {name: [float(cell.total_usd) for cell in cells(result, name)] for name in result.strategies}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """The bills at six uses an hour."""
    return bills(tmp_path_factory.mktemp("closed"))


def expected(name, *, ttl=2 / 3):
    """Dollars of a run of a strategy: uses times the cost of one, with what a beginning and an end change."""
    prices, use, horizon = tariff(NEWER, tokens=K, fresh=FRESH), Use(K, FRESH, OUT), 24 * DAYS
    first = HIT * K * prices.spared * (1 - np.exp(-RATE * horizon))  # which never hits
    one, more = {
        "none": (cost_none(prices, use), 0),
        "implicit": (cost_implicit(prices, use, Fraction(HIT)), first),
        "batch": (cost_batch(prices, use), 0),
        "fixed": (cost_explicit(prices, use, fixed_over(RATE, ttl, horizon)), 0),
        "sliding": (cost_explicit(prices, use, sliding_over(RATE, ttl, horizon)), 0),
        "kept": (cost_explicit(prices, use, fixed_over(RATE, 24 * DAYS, horizon)), 0),
    }[name]
    return float(RATE * horizon * one + more)


@pytest.mark.parametrize("name", ["none", "implicit", "batch", "fixed", "sliding", "kept"])
def test_what_is_simulated_costs_its_closed_form(simulated, name):
    """T2, 40 runs of two days: the mean bill is the closed form, and so is its paired difference to no cache.

    Control: the closed forms of the other strategies are rejected, each by the paired differences or by the bills.
    """
    assert agrees(simulated[name], expected(name))
    paired = np.subtract(simulated[name], simulated["none"])
    for other in ("none", "implicit", "batch", "fixed", "sliding", "kept"):
        alike = agrees(paired, expected(other) - expected("none")) and agrees(simulated[name], expected(other))
        assert alike == (other == name)


@pytest.mark.parametrize(("factor", "sign"), [(0.6, 1), (1.5, -1)])
def test_the_simulated_difference_turns_where_the_closed_form_says(tmp_path, factor, sign):
    """T2: on either side of the rate at which a TTL that uses renew pays, the paired difference has the stated sign."""
    even = rate_sliding(tariff(NEWER, tokens=K, fresh=FRESH), Fraction(2, 3))
    found = bills(tmp_path, f'streams.chat.arrivals.rate="{factor * even}/h"')
    more = np.subtract(found["sliding"], found["none"])
    assert np.sign(more.mean()) == sign
    assert not agrees(more, 0.0)
