"""Closed forms of caches under random traffic: lives, hits, storage, break-even, each beside a wrong formula.

A run is finite and begins without a cache. So the expectations are those of its first complete cycles, or of the whole
horizon from an empty start; none needs a warm-up.
"""

from fractions import Fraction

import numpy as np
import pytest
from scipy import integrate, stats
from workloads import SEED, agrees, workload
from worlds import INSTANT, epoch, implicit_rules, keeping, plan, rules, service, simulate, world

from sim.billing import rate
from sim.engines.physics import cells
from sim.ledger import Mode
from sim.providers import load_book
from sim.units import HOUR
from sim.workload.realise import realise

RUNS = 40
RATE = 4.0  # uses an hour, lambda
DAYS = 2
TOKENS = 5_000
GOOGLE = load_book("google")
START = GOOGLE.checked_ms


def traces(rate_h=RATE, arrivals='process = "poisson"', days=DAYS, tokens=TOKENS, runs=RUNS):
    """Independent realisations of uses of one document, with nothing but the document in the prompt."""
    text = f"""
    [contexts.doc]
    tokens = {tokens}
    [streams.ask]
    arrivals = {{ {arrivals}, rate = "{rate_h}/h" }}
    context = "doc"
    fresh = 0
    output = 0
    patience = "1m"
    """
    head = f'start = "2026-11-16T00:00:00Z"\nhorizon = "{days}d"\n'
    spec = workload(text, head)
    return [realise(spec, SEED, replication) for replication in range(runs)]


POISSON = traces()
ERLANG = traces(arrivals='process = "gamma", cv = 0.7071067811865476')  # gaps of two exponential stages


def kept(ttl_h, **how):
    """A cache plan with a TTL in hours."""
    return keeping(ttl=round(ttl_h * HOUR), **how)


def explicit(trace, ttl_h, model=None, **how):
    """The ledger of an explicit cache that is created in no time to speak of."""
    service = rules(latency=INSTANT, models=(model or "m0",))
    return simulate(trace, kept(ttl_h, **how), service._replace(start_ms=START))


def implicit(trace, ttl_h, *, refreshed):
    """The ledger of the service's own cache that forgets after a time, and only then."""
    own = rules(epoch(implicit_minimum=0, latency=INSTANT), implicit=implicit_rules(refreshed=refreshed))
    return simulate(trace, plan("implicit"), own, retention=round(ttl_h * HOUR))


def hits_of_first_cycles(ledger, cycles):
    """Hits after the creation in each of the first cycles."""
    reads = ledger.cache_reads[:cycles]
    assert len(ledger.cache_reads) > cycles
    return float(np.mean(reads)) - 1


def span_of_first_cycles(ledger, cycles):
    """Hours from creation to creation, on average."""
    return float(ledger.cache_born[cycles] - ledger.cache_born[0]) / cycles / HOUR


@pytest.mark.parametrize("ttl", [0.25, 1.0, 1.5])
def test_a_fixed_ttl_under_poisson_uses(ttl):
    """O12: lambda T hits a creation, one creation each T + 1/lambda, hit = live = lambda T / (1 + lambda T)."""
    ledgers = [explicit(trace, ttl) for trace in POISSON]
    hits, spans = [hits_of_first_cycles(x, 12) for x in ledgers], [span_of_first_cycles(x, 12) for x in ledgers]
    sliding = np.exp(RATE * ttl) - 1  # what a TTL that reads extend would give
    assert agrees(hits, RATE * ttl)
    assert not agrees(hits, sliding)
    assert agrees(spans, ttl + 1 / RATE)
    assert not agrees(spans, (sliding + 1) / RATE)
    live = [ttl / span for span in spans]
    assert np.mean(live) == pytest.approx(RATE * ttl / (1 + RATE * ttl), rel=0.05)


def renewals(horizon_h, ttl):
    """Expected creations in [0, H) from empty: the sum of P(k-th begins before H), Erlang(k) + (k - 1) T < H."""
    k = np.arange(1, int(horizon_h / ttl) + 2)
    return float(np.sum(stats.gamma.cdf(horizon_h - (k - 1) * ttl, k, scale=1 / RATE)))


@pytest.mark.parametrize("ttl", [0.25, 1.0])
def test_creations_of_a_whole_horizon(ttl):
    """O12 without a warm-up: creations in [0, H) are sum_k P(Erlang(k) + (k - 1) T < H), for both kinds of cache."""
    expected = renewals(24 * DAYS, ttl)
    counts = [len(explicit(trace, ttl).cache_born) for trace in POISSON]
    misses = [int(np.count_nonzero(implicit(trace, ttl, refreshed=False).cached == 0)) for trace in POISSON]
    for found in (counts, misses):
        assert agrees(found, expected)
        assert not agrees(found, 24 * DAYS * RATE * np.exp(-RATE * ttl))
    assert expected == pytest.approx(24 * DAYS * RATE / (1 + RATE * ttl), rel=0.02)


def sliding_misses(ttl, gap, horizon_h=24 * DAYS):
    """Misses in [0, H): no arrival in the last min(t, T); of a stationary process with P(gap > t) = ``gap(t)``."""
    start = integrate.quad(gap, 0, ttl)[0]
    return RATE * (start + (horizon_h - ttl) * gap(ttl))


@pytest.mark.parametrize("ttl", [0.25, 0.5, 1.0])
def test_a_ttl_that_uses_renew_under_poisson_uses(ttl):
    """O13: a use misses with chance e^{-lambda T}: of an implicit prefix, and of an explicit cache renewed on use."""
    expected = sliding_misses(ttl, lambda t: np.exp(-RATE * t))
    fixed = renewals(24 * DAYS, ttl)
    own = [int(np.count_nonzero(implicit(trace, ttl, refreshed=True).cached == 0)) for trace in POISSON]
    renewed = [len(explicit(trace, ttl, renew_on_use=1).cache_born) for trace in POISSON]
    for misses in (own, renewed):
        assert agrees(misses, expected)
        assert not agrees(misses, fixed)
    alive = [explicit(trace, ttl, renew_on_use=1).storage_token_ms / TOKENS / HOUR for trace in POISSON]
    assert agrees(alive, renewed_life(ttl))
    assert not agrees(alive, fixed * ttl)


def renewed_life(ttl):
    """Expected hours alive: min(T, time to the next use) a use, but T for one whose next use would lie beyond H."""
    uses = RATE * 24 * DAYS
    until_next = -np.expm1(-RATE * ttl) / RATE
    return uses * until_next + integrate.quad(lambda left: RATE * lost(left, ttl), 0, ttl)[0]


def lost(left, ttl):
    """E[T - gap] on gaps between the ``left`` hours to the horizon and T."""
    return integrate.quad(lambda gap: RATE * np.exp(-RATE * gap) * (ttl - gap), left, ttl)[0]


def erlang_survival(t):
    """P(gap > t) of two stages of rate 2 lambda."""
    return (1 + 2 * RATE * t) * np.exp(-2 * RATE * t)


@pytest.mark.parametrize("ttl", [0.1, 0.25])
def test_a_ttl_that_uses_renew_under_erlang_uses(ttl):
    """O14: with renewal gaps F a use misses with chance 1 - F(T); the Poisson formula of the same rate is rejected."""
    misses = [int(np.count_nonzero(implicit(trace, ttl, refreshed=True).cached == 0)) for trace in ERLANG]
    assert agrees(misses, sliding_misses(ttl, erlang_survival))
    assert not agrees(misses, sliding_misses(ttl, lambda t: np.exp(-RATE * t)))


@pytest.mark.parametrize("ttl", [0.1, 0.5])
def test_a_fixed_ttl_under_erlang_uses(ttl):
    """O15: hits a creation are the renewal function M(T) = beta T/2 - 1/4 + e^{-2 beta T}/4; lambda T is rejected."""
    ledgers = [explicit(trace, ttl) for trace in ERLANG]
    beta = 2 * RATE
    renewal = beta * ttl / 2 - 1 / 4 + np.exp(-2 * beta * ttl) / 4
    hits, spans = [hits_of_first_cycles(x, 30) for x in ledgers], [span_of_first_cycles(x, 30) for x in ledgers]
    assert agrees(hits, renewal)
    assert not agrees(hits, RATE * ttl)
    assert agrees(spans, (1 + renewal) / RATE)
    assert not agrees(spans, ttl + 1 / RATE)


@pytest.mark.parametrize(("terms", "hours"), [("lifetime", Fraction(3, 2)), ("committed", Fraction(2))])
def test_storage_is_tokens_times_life(terms, hours):
    """O19: 11 tokens deleted after 1.5 of the 2 h asked for are 16.5 token-hours, or 22 where the TTL is billed."""
    model, ttl, idle = "gemini-2.5-pro", 2 * HOUR, 3 * HOUR // 2 - 1  # it is first used after 1 ms
    service = rules(latency=INSTANT, models=(model,))._replace(start_ms=START)
    ledger = simulate(world([0], depth=[11]), keeping(ttl=ttl, idle=idle), service)
    bill = rate(ledger, GOOGLE, GOOGLE.terms.model_copy(update={"storage": terms}))
    assert ledger.storage_token_ms == Fraction(33, 2) * HOUR
    assert bill.by_line()["storage"] == 11 * hours * Fraction("4.50") / 10**6


def prices(model):
    """Exact picodollars: input and cached a token, storage a token-hour."""
    entry = GOOGLE.entry(model, START)
    return entry.price("input"), entry.price("cached"), entry.price("storage")


@pytest.mark.parametrize(("model", "ttl"), [("gemini-2.5-flash", 1.0), ("gemini-2.5-pro", 0.25)])
def test_the_cost_of_a_use(model, ttl):
    """O20: a run costs K [C (p_in + s T) + n p_c] for C creations and n uses; in the long run O20's cost per use."""
    fresh, read, stored = prices(model)
    uses, creations = RATE * 24 * DAYS, renewals(24 * DAYS, ttl)
    found = [float(rate(explicit(trace, ttl, model), GOOGLE).total) for trace in POISSON]
    assert agrees(found, TOKENS * (creations * (fresh + stored * ttl) + uses * read) / 1e12)
    assert not agrees(found, TOKENS * (creations * stored * ttl + uses * read) / 1e12)  # creations free
    assert not agrees(found, TOKENS * (creations * fresh + uses * read) / 1e12)  # storage free
    asymptotic = (fresh + read + RATE * ttl * read + stored * ttl) / (1 + RATE * ttl)
    assert (creations * (fresh + stored * ttl) + uses * read) / uses == pytest.approx(asymptotic, rel=0.02)


def even(model, ttl_h, *, created=True):
    """The break-even rate an hour: (s T + p_c) / (T (p_in - p_c)), each creation being paid and then read as well."""
    fresh, read, stored = prices(model)
    return (stored * Fraction(ttl_h) + (read if created else 0)) / (Fraction(ttl_h) * (fresh - read))


@pytest.mark.parametrize(
    ("model", "always", "hour"),
    [
        ("gemini-2.5-pro", "4.00", "5.1"),
        ("gemini-2.5-flash", "3.70", "4.8"),
        ("gemini-2.5-flash-lite", "11.11", "12.2"),
        ("gemini-3.8-flash", "0.74", "1.85"),
    ],
)
def test_the_break_even_rates_of_the_book(model, always, hour):
    """O21: always on from s / (p_in - p_c) uses an hour; one hour from 1 + that + p_c / (p_in - p_c) uses in it."""
    fresh, read, stored = prices(model)
    assert even(model, 1, created=False) == Fraction(stored, fresh - read)
    assert f"{float(even(model, 1, created=False)):.2f}" == always
    assert 1 + even(model, 1) == Fraction(fresh + stored, fresh - read)
    assert float(1 + even(model, 1)) == pytest.approx(float(hour), abs=0.06)
    long_run = (fresh + read + even(model, 1) * read + stored) / (1 + even(model, 1))  # O20 at the break-even
    assert long_run == fresh


def difference(trace, model, ttl):
    """Dollars that an explicit cache costs more than none."""
    service = rules(latency=INSTANT, models=(model,))._replace(start_ms=START)
    without = rate(simulate(trace, plan("none"), service), GOOGLE)
    return float(rate(explicit(trace, ttl, model), GOOGLE).total - without.total)


@pytest.mark.parametrize(("factor", "sign"), [(0.7, 1), (1.3, -1)])
@pytest.mark.parametrize("tokens", [2_048, 150_000])
def test_a_cache_pays_above_the_break_even_rate_and_not_below(factor, sign, tokens):
    """O21, P34: simulated on either side of it the difference has the stated sign, whatever the size of the cache."""
    model, ttl = "gemini-2.5-flash", 1
    found = [difference(trace, model, ttl) for trace in traces(factor * float(even(model, ttl)), tokens=tokens)]
    assert np.sign(np.mean(found)) == sign
    assert not agrees(found, 0.0)


@pytest.mark.parametrize("tokens", [2_048, 150_000])
def test_at_the_break_even_rate_the_costs_agree(tokens):
    """O21, P34: at the break-even a cycle saves nothing on average; at twice the storage price it would not be even."""
    model, ttl = "gemini-2.5-flash", 1
    lam = float(even(model, ttl))
    found, dear = [], []
    fresh, read, stored = prices(model)
    for trace in traces(lam, tokens=tokens):
        ledger = explicit(trace, ttl, model)
        reads = ledger.cache_reads[:40]
        saved = reads * (fresh - read) - fresh - stored * ttl  # picodollars a token, of complete cycles
        found.append(float(np.mean(saved)))
        dear.append(float(np.mean(saved - stored * ttl)))
    assert agrees(found, 0.0)
    assert not agrees(dear, 0.0)


def test_the_break_even_falls_where_the_long_tier_begins():
    """Above 200,000 prompt tokens Pro's token prices double and storage does not: always on pays from 2.0 an hour."""
    entry = GOOGLE.entry("gemini-2.5-pro", START)
    fresh, read = (entry.price(line, Mode.STANDARD, "long") for line in ("input", "cached"))
    assert Fraction(entry.price("storage"), fresh - read) == 2


# ---------------------------------------------------------------- serving cells

ASKS = 12  # for one prefix, one after the other
PREFIXES = 60  # a run, each of its own


def first_hits(cells_count, sightings=1, affinity=0.0, *, conversations=False):
    """For each run the (prefixes, asks) mask of hits: cells keep everything for ever, and a live prefix is always hit.

    Each prefix is asked for 12 times, by strangers or in the turns of one conversation.
    """
    own = service(cells=cells_count, affinity=affinity).implicit
    asked = rules(
        epoch(implicit_minimum=0, latency=INSTANT), implicit=implicit_rules(sightings=sightings, at_arrival=False)
    )
    leaf = np.tile(np.arange(PREFIXES), ASKS)
    session = leaf if conversations else np.arange(len(leaf))
    for replication in range(RUNS):
        route = np.random.default_rng([SEED, replication]).integers(0, 1 << 32, len(leaf))
        trace = world(np.arange(len(leaf)) * 10, leaf, depth=[7] * PREFIXES, route=route, session=session)
        ledger = simulate(trace, plan("implicit"), asked, cell=cells(own, trace))
        assert set(ledger.cached.tolist()) <= {0, 7}
        yield (ledger.cached > 0).reshape(ASKS, PREFIXES).T


@pytest.mark.parametrize(("count", "sightings"), [(2, 1), (5, 1), (16, 1), (4, 2), (2, 3)])
def test_a_prefix_is_hit_where_it_was_seen(count, sightings):
    """Of c cells the n-th ask for a prefix meets one that has seen it s times with the binomial tail of (n - 1, 1/c).

    For s = 1 that is 1 - (1 - 1/c)^(n-1). Rejected are one cell for all, a sighting more, and a cell more.
    """
    hits = np.array([mask.mean(axis=0) for mask in first_hits(count, sightings)])
    asks = np.arange(ASKS)

    def tail(least, among):
        return stats.binom.sf(least - 1, asks, 1 / among)

    assert tail(1, count) == pytest.approx(1 - (1 - 1 / count) ** asks)
    assert not hits[:, :sightings].any()
    for n in range(sightings, ASKS):
        assert agrees(hits[:, n], tail(sightings, count)[n])
    for wrong in (tail(sightings, 1), tail(sightings + 1, count), tail(sightings, count + 1)):
        assert not agrees(hits.mean(axis=1), wrong.mean())


@pytest.mark.parametrize("count", [2, 16])
def test_a_conversation_that_stays_always_hits_after_its_first_turn(count):
    """With affinity 1 all turns go to one cell: whatever the cells, the first turn misses and every later one hits."""
    for mask in first_hits(count, affinity=1.0, conversations=True):
        assert not mask[:, 0].any()
        assert mask[:, 1:].all()


@pytest.mark.parametrize(("count", "affinity"), [(4, 0.5), (2, 0.8)])
def test_a_second_turn_hits_with_its_affinity(count, affinity):
    """A turn goes to the cell of its conversation with chance a, else to any: the second hits with a + (1 - a) / c.

    Without a bit of luck elsewhere, a, and without affinity, 1 / c, is rejected.
    """
    second = [mask[:, 1].mean() for mask in first_hits(count, affinity=affinity, conversations=True)]
    assert agrees(second, affinity + (1 - affinity) / count)
    assert not agrees(second, affinity)
    assert not agrees(second, 1 / count)


@pytest.mark.parametrize("affinity", [0.0, 0.7, 1.0])
def test_cells_are_used_alike(affinity):
    """Whatever the affinity, each of c cells gets 1/c of the calls; 1/(c + 2) is rejected."""
    count, own = 7, service(cells=7, affinity=affinity).implicit
    shares = []
    for replication in range(RUNS):
        route = np.random.default_rng([SEED, replication]).integers(0, 1 << 32, 2_000)
        trace = world(np.arange(2_000), route=route, session=np.arange(2_000) // 4 * 4)
        shares.append(np.bincount(cells(own, trace), minlength=count) / 2_000)
    for share in np.transpose(shares):
        assert agrees(share, 1 / count)
        assert not agrees(share, 1 / (count + 2))


def test_one_cell_is_the_service_as_a_whole():
    """With one cell nobody goes elsewhere, whatever the affinity: every ask after the first hits."""
    for affinity in (0.0, 0.5):
        for mask in first_hits(1, affinity=affinity):
            assert (mask == (np.arange(ASKS) > 0)).all()
