"""The arithmetic of the service's rules, against plain stepping and exact fractions."""

import datetime as dt
from fractions import Fraction
from math import floor
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy import stats
from workloads import SEED, agrees

from sim.engines.laws.backoff import EQUAL, FULL, NONE, ceiling, sleep
from sim.engines.laws.draws import redraw
from sim.engines.laws.jobs import (
    ENDED,
    EXPIRED,
    STOPPED,
    finished,
    fitting,
    guard_at,
    next_send,
    seen_at,
    times,
)
from sim.engines.laws.latency import SLOWNESS_ONE, answer_ms, first_token_ms
from sim.engines.laws.order import BEGIN, END, Kind, rank, request_of
from sim.engines.laws.prefix import audio_of, chance_of, hit_tokens
from sim.engines.laws.quota import (
    DAY,
    SCALE,
    SPEND_WINDOW,
    next_midnight,
    refilled,
    spend_of,
    wait_bucket,
    wait_window,
    window_of,
)
from sim.engines.laws.ttl import alive, ended, renewed
from sim.engines.laws.weather import inside, slowed
from sim.engines.physics import redraws
from sim.engines.reference.counters import Spend
from sim.providers.pacific import midnights
from sim.providers.rules import FACTOR_ONE, SHARE_ONE, BatchRules, LatencyLaw, SpendLaw
from sim.units import since_epoch
from sim.workload.realise import uniforms

DRAWS = st.integers(0, 2**32 - 1)
INSTANTS = st.integers(0, 12)
MAYBE = st.integers(-1, 12)


@given(st.integers(0, 12), st.integers(0, 8), st.integers(0, 8), st.integers(0, 60))
@example(born=0, ttl=4, margin=0, limit=40)
@example(born=0, ttl=4, margin=4, limit=40)
@example(born=0, ttl=5, margin=2, limit=3)
@example(born=0, ttl=5, margin=2, limit=4)
def test_renewals_are_those_of_a_keeper_who_looks_every_ms(born, ttl, margin, limit):
    """The expiry after all renewals before a limit is that of a keeper who looks at the clock each ms."""
    expiry = born + ttl
    for now in range(born, limit):
        if 0 < margin < ttl and now == expiry - margin:
            expiry = now + ttl
    assert renewed(born + ttl, ttl, margin, limit) == expiry


@given(st.integers(0, 12), st.integers(1, 8), st.integers(0, 8), st.integers(0, 60), st.integers(0, 60))
def test_renewing_in_steps_is_renewing_at_once(born, ttl, margin, first, second):
    """Looking at an earlier limit first changes nothing: the keeper's work does not depend on who looks."""
    early, late = sorted((first, second))
    stepwise = renewed(renewed(born + ttl, ttl, margin, early), ttl, margin, late)
    assert stepwise == renewed(born + ttl, ttl, margin, late)


@given(INSTANTS, MAYBE, MAYBE)
def test_an_end_is_the_first_of_its_causes(expiry, deleted, cap):
    """Expiry, deletion and the model's end: the first that comes; -1 does not come."""
    assert ended(expiry, deleted, cap) == min(at for at in (expiry, deleted, cap) if at != -1)


@given(INSTANTS, INSTANTS, INSTANTS)
def test_alive_is_half_open(ready, until, now):
    """A cache is readable at exactly the instants of range(ready, until)."""
    assert alive(ready, until, now) == (now in range(ready, until))


@given(st.integers(0, 40), st.integers(1, 7), st.integers(0, 40))
def test_hits_are_counted_block_by_block(live, block, minimum):
    """A hit is as many whole blocks as fit into the live prefix, or nothing if that is below the minimum."""
    whole = 0
    while whole + block <= live:
        whole += block
    assert hit_tokens(live, block, minimum) == (whole if live >= minimum else 0)


@given(st.integers(0, 12), st.dictionaries(st.integers(0, 12), st.integers(0, 9)))
def test_the_chance_is_that_of_the_last_step_reached(tokens, steps):
    """Of the steps that do not begin above the prefix, the highest counts; below all of them there is no chance."""
    reached = [start for start in steps if start <= tokens]
    assert chance_of(tokens, sorted(steps.items())) == (steps[max(reached)] if reached else 0)


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_audio_is_spread_evenly_over_its_prefix(tokens, depth, audio):
    """Of the first tokens of a prefix its share is audio, rounded down: neither kind exceeds its own count."""
    assume(audio <= depth)
    assume(tokens <= depth)
    heard = audio_of(tokens, depth, audio)
    assert heard == (floor(tokens * Fraction(audio, depth)) if depth else 0)
    assert 0 <= heard <= min(tokens, audio)
    assert audio_of(depth, depth, audio) == audio


COUNTS = st.sampled_from([0, 1, 999, 1_000]) | st.integers(0, 10**6)
LAWS = st.builds(LatencyLaw, *[st.sampled_from([0, 1, 4_500, 999_999, 10**6, 11 * 10**9])] * 4)


@given(LAWS, COUNTS, COUNTS, COUNTS, st.sampled_from([0, 1, SLOWNESS_ONE - 1, SLOWNESS_ONE, 3 * SLOWNESS_ONE]))
def test_a_latency_is_the_exact_product_rounded_down_once(law, uncached, cached, output, slowness):
    """Base, prompt and output times a slowness, in rationals, cut to whole ms at the very end, at least 1."""
    first = law.base_ns + uncached * law.uncached_ns + cached * law.cached_ns
    scale = Fraction(slowness, 65_536) / 10**6
    assert first_token_ms(law, uncached, cached, slowness) == max(1, floor(first * scale))
    assert answer_ms(law, uncached, cached, output, slowness) == max(1, floor((first + output * law.output_ns) * scale))


@given(LAWS, COUNTS, COUNTS, COUNTS, st.integers(0, 4 * SLOWNESS_ONE))
def test_the_last_token_never_comes_before_the_first(law, uncached, cached, output, slowness):
    """An answer takes at least the time to its first token, and exactly that where it has no token."""
    first = first_token_ms(law, uncached, cached, slowness)
    assert answer_ms(law, uncached, cached, output, slowness) >= first
    assert answer_ms(law, uncached, cached, 0, slowness) == first


def test_a_redraw_is_the_finaliser_of_murmurhash():
    """The first attempt is the draw itself; the mixing takes 0 to 0 and 1 to 0x514E28B7, MurmurHash3's own vectors."""
    golden = 2 * 0x9E3779B9
    assert redraw((0 - golden) % 2**32, 2) == 0
    assert redraw((1 - golden) % 2**32, 2) == 0x514E28B7
    assert [redraw(draw, 1) for draw in (0, 7, 2**32 - 1)] == [0, 7, 2**32 - 1]


@given(DRAWS, DRAWS, st.integers(1, 1 << 17))
def test_a_redraw_keeps_different_draws_different(a, b, attempt):
    """For each attempt the redraw is one to one on 32 bits, so it keeps a uniform draw uniform."""
    assert (redraw(a, attempt) == redraw(b, attempt)) == (a == b)
    assert 0 <= redraw(a, attempt) < 2**32


@given(st.lists(DRAWS, max_size=20), st.integers(1, 5))
def test_a_column_is_redrawn_like_its_rows(column, attempt):
    """The redraw of a column is the redraw of each of its draws."""
    found = redraws(np.array(column, dtype=np.int64), attempt).tolist()
    assert found == [redraw(draw, attempt) for draw in column]


@pytest.mark.parametrize("attempt", [2, 3, 1 << 16])
def test_attempts_are_independent_of_each_other(attempt):
    """Among draws below a half, half of the redraws are below a half too; keeping the draw is rejected."""
    shares, kept = [], []
    for replication in range(40):
        column = (uniforms(SEED, replication, "laws", "draw", 2_000) * 2**32).astype(np.int64)
        low = column[column < 2**31]
        shares.append(np.mean([redraw(draw, attempt) < 2**31 for draw in low.tolist()]))
        kept.append(np.mean(redraws(column, attempt) / 2**32))
    assert agrees(shares, 0.5)
    assert not agrees(shares, 1.0)
    assert agrees(kept, 0.5)
    assert stats.kstest(redraws(column, attempt) / 2**32, "uniform").pvalue > 1e-6


# ---------------------------------------------------------------- back-off

WHOLE = st.sampled_from([0, 1, 2, 999, 1_000, 60_000]) | st.integers(0, 10**6)


@given(WHOLE, st.integers(FACTOR_ONE, 5 * FACTOR_ONE), WHOLE, st.integers(1, 40))
@example(1_000, 2 * FACTOR_ONE, 60_000, 7)
@example(1, FACTOR_ONE + 1, 10**6, 40)
def test_a_ceiling_grows_step_by_step_up_to_its_cap(base, factor, cap, failures):
    """Each step multiplies and is rounded down, whole factors lose nothing by it, and none is above the cap."""
    exact, longest = Fraction(base), base
    for _ in range(failures - 1):
        exact, longest = exact * factor / FACTOR_ONE, floor(Fraction(longest * factor, FACTOR_ONE))
    found = ceiling(base, factor, cap, failures)
    assert found == min(cap, longest) <= min(cap, exact)
    if factor % FACTOR_ONE == 0:
        assert found == min(cap, base * (factor // FACTOR_ONE) ** (failures - 1))


@given(st.integers(0, 10**6), st.sampled_from([NONE, FULL, EQUAL]), DRAWS)
@example(0, EQUAL, 2**32 - 1)
@example(1, FULL, 2**31)
def test_a_sleep_is_the_draws_part_of_its_range(longest, jitter, draw):
    """All of it without jitter; else the whole ms in whose cell of [low, longest] the draw falls, cells being equal."""
    low = {NONE: longest, FULL: 0, EQUAL: longest // 2}[jitter]
    cell = Fraction(2**32, longest - low + 1)
    assert sleep(longest, jitter, draw) == low + floor(draw / cell)
    assert (sleep(longest, jitter, 0), sleep(longest, jitter, 2**32 - 1)) == (low, longest)


# ---------------------------------------------------------------- quotas

LIMITS = st.sampled_from([1, 2, 7, 60, 1_000, 10**10])
BURSTS = st.sampled_from([1, 999, 30_000, 60_000, 86_400_000])
PASSED = st.sampled_from([0, 1, 999, 59_999, 60_000]) | st.integers(0, 10**8)
PARTS = st.fractions(0, 1, max_denominator=64)


@given(LIMITS, BURSTS, PARTS, PASSED)
def test_a_bucket_refills_at_its_rate(limit, burst, part, passed):
    """It holds the lesser of its depth and of what was in it and limit * time more, without any rounding."""
    rate, depth = Fraction(limit, 60_000), Fraction(limit * burst, 60_000)
    level = floor(limit * burst * part)
    found = refilled(level, limit, burst, passed)
    assert type(found) is int
    assert Fraction(found, SCALE) == min(depth, Fraction(level, SCALE) + rate * passed)


@given(LIMITS, BURSTS, PARTS, PASSED, PASSED)
def test_refilling_in_steps_is_refilling_at_once(limit, burst, part, first, second):
    """Who looks at a bucket in between changes nothing."""
    level = floor(limit * burst * part)
    assert refilled(refilled(level, limit, burst, first), limit, burst, second) == refilled(
        level, limit, burst, first + second
    )


@given(LIMITS, BURSTS, PARTS, st.sampled_from([1, 2, 7, 60, 10**6, 10**10]))
def test_the_wait_for_a_bucket_is_the_least(limit, burst, part, cost):
    """After the wait the bucket holds the cost, 1 ms before it does not; what exceeds its depth waits for ever."""
    level = floor(limit * burst * part)
    wait = wait_bucket(level, limit, burst, cost)
    if Fraction(limit * burst, 60_000) < cost:
        assert wait == -1
        return
    assert refilled(level, limit, burst, wait) >= cost * SCALE
    assert wait == 0 or refilled(level, limit, burst, wait - 1) < cost * SCALE


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 12), st.integers(0, 200_000))
def test_the_wait_for_a_window_ends_with_its_minute(used, limit, cost, now):
    """There is room now, or at the next whole minute, when the count is 0 again, or never."""
    wait = wait_window(used, limit, cost, now)
    if used + cost <= limit:
        assert wait == 0
    elif cost <= limit:
        assert 0 < wait <= 60_000
        assert (now + wait) % 60_000 == 0
        assert window_of(now + wait) == window_of(now) + 1 == window_of(now + wait - 1) + 1
    else:
        assert wait == -1


PACIFIC = ZoneInfo("America/Los_Angeles")
CHANGES = [since_epoch(dt.datetime(*day, 12, tzinfo=dt.UTC)) for day in ((2026, 11, 1), (2027, 3, 14), (2026, 12, 31))]


@given(st.sampled_from(CHANGES), st.integers(-DAY, DAY), st.integers(0, 6 * DAY))
@example(CHANGES[0], -5 * 3_600_000, 0)
@example(CHANGES[1], -4 * 3_600_000, 0)
def test_the_next_midnight_is_that_of_the_calendar(change, start, now):
    """Through both changes of the clocks it is the first instant after now at which a new Pacific date begins."""
    start += change
    found = next_midnight(midnights(start, 8 * DAY), now)
    epoch = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    walls = [(epoch + dt.timedelta(milliseconds=start + at)).astimezone(PACIFIC) for at in (now, found - 1, found)]
    assert found > now
    assert walls[0].date() == walls[1].date() < walls[2].date()
    assert walls[2].time() == dt.time()


@given(st.lists(st.integers(-2 * DAY, 3 * DAY), max_size=4, unique=True), st.integers(0, 9 * DAY))
def test_beyond_the_known_midnights_a_day_has_24_hours(days, now):
    """The next one is the least of the known ones and of those each 24 h after the last that lie after now."""
    known = sorted(days)
    last = known[-1] if known else 0
    later = [last + number * DAY for number in range(1, 13)]
    assert next_midnight(known, now) == min(day for day in (*known, *later) if day > now)


@given(st.builds(SpendLaw, *[st.integers(0, 9)] * 3, st.integers(-1, 6), *[st.integers(0, 9)] * 3), WHOLE, PARTS, WHOLE)
@example(SpendLaw(1, 1, 1, 5, 9, 9, 9), 5, Fraction(0), 0)
@example(SpendLaw(1, 1, 1, 5, 9, 9, 9), 6, Fraction(0), 0)
def test_spend_weighs_every_token_once(law, prompt, part, output):
    """Each token has the weight of its kind, and of the long tier if the whole prompt is above its limit."""
    cached = floor(prompt * part)
    tier = "long_" if law.long_over >= 0 and prompt > law.long_over else ""
    weights = [getattr(law, f"{tier}{kind}") for kind in ("input", "cached", "output")]
    tokens = prompt - cached, cached, output
    assert spend_of(law, prompt, cached, output) == sum(
        count * weight for count, weight in zip(tokens, weights, strict=True)
    )


@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 299_999, 300_000, 600_000]), st.integers(0, 5)), max_size=12),
    st.integers(1, 12),
)
def test_spend_waits_until_enough_has_left_the_window(rows, limit):
    """The wait is the least after which the weights on [t, t + 10 min) sum to less than the limit."""
    counter, calls, now = Spend(limit), [], 0
    for gap, weight in rows:
        now += gap
        counter.add(now, weight)
        calls.append((now, weight))

        def weighs(at, before=tuple(calls)):
            return sum(weight for since, weight in before if since <= at < since + SPEND_WINDOW)

        leaves = sorted({now, *(since + SPEND_WINDOW for since, _ in calls if since + SPEND_WINDOW > now)})
        assert counter.wait(now, 1) == next(at for at in leaves if weighs(at) < limit) - now


# ---------------------------------------------------------------- weather and order

EDGES = st.lists(st.integers(0, 12), max_size=8, unique=True).map(lambda edges: sorted(edges)[: len(edges) // 2 * 2])


@given(EDGES, INSTANTS)
def test_inside_is_half_open(edges, now):
    """An instant lies in one of the ranges from a begin to its end."""
    ranges = zip(edges[::2], edges[1::2], strict=True)
    assert inside(edges, now) == any(now in range(begin, end) for begin, end in ranges)


@given(st.integers(0, 10**9), st.integers(0, 1_000 * FACTOR_ONE))
def test_a_factor_is_exact_and_rounded_down_once(value, factor):
    """A time under a factor is the whole part of the exact product; a factor of 1 leaves it as it is."""
    assert slowed(value, factor) == floor(Fraction(value * factor, FACTOR_ONE))
    assert slowed(value, FACTOR_ONE) == value


PLACES = st.tuples(st.sampled_from([END, BEGIN]), st.integers(0, 5), st.integers(0, Kind.COUNT - 1))


@given(PLACES, PLACES)
def test_places_are_ordered_by_phase_request_and_kind(one, other):
    """The rank of an event is its place in the order (phase, request, kind), and names its request."""
    assert (rank(*one, 5) < rank(*other, 5)) == (one < other)
    assert request_of(rank(*one, 5), 5) == one[1]


# ---------------------------------------------------------------- jobs

SPAN = MAYBE.filter(bool)  # ms, -1 = for ever
SHARES = st.sampled_from([0, 1, SHARE_ONE // 2, SHARE_ONE - 1, SHARE_ONE])


def stepped(turnaround, rules):
    """A job's start, end and how it ends, by looking at it each ms; an end comes before a start of the same instant."""
    pending = min(floor(turnaround * Fraction(rules.pending_share, SHARE_ONE)), turnaround - 1)
    started = -1
    for now in range(10**3):
        if started >= 0 and now == turnaround:
            return started, now, ENDED
        if started >= 0 and now == started + rules.running_limit and rules.running_limit >= 0:
            return started, now, STOPPED
        if now == rules.expires_after:
            return started, now, EXPIRED
        if turnaround >= 0 and now == pending:
            started = now
        if started < 0 and now == rules.pending_limit:
            return started, now, EXPIRED
    raise AssertionError


@given(turnaround=SPAN, share=SHARES, expires=SPAN, pending=SPAN, running=SPAN, created=st.integers(0, 9))
def test_the_times_of_a_job_are_those_of_looking_each_ms(turnaround, share, expires, pending, running, created):
    """Start, end and kind under any limits: a job that ends at the very instant of its limit has ended by itself."""
    assume(turnaround >= 0 or max(expires, pending) >= 0)
    rules = BatchRules(share, expires, 0, 0, pending_limit=pending, running_limit=running)
    started, end, how = stepped(turnaround, rules)
    assert times(created, turnaround, rules) == (created + started if started >= 0 else -1, created + end, how)


@given(st.integers(0, 9), st.integers(1, 30), st.integers(0, 30))
def test_requests_of_a_job_end_evenly(requests, running, ran):
    """The k-th of n ends at k/n of the run: so many have by then."""
    assume(ran <= running)
    ends = [Fraction(k * running, requests) for k in range(1, requests + 1)]
    assert finished(requests, ran, running) == sum(end <= ran for end in ends)
    assert finished(requests, running, running) == requests


@given(st.integers(0, 20), st.integers(0, 40), st.integers(1, 9))
def test_a_job_is_seen_at_the_first_look_after_its_end(created, end, poll):
    """Looks come at created, created + poll, ...; the first that is not before the end sees it."""
    assert seen_at(created, end, poll) == next(at for at in range(created, 99, poll) if at >= end)


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(0, 8), MAYBE, MAYBE)
def test_what_fits_is_the_longest_start_of_the_line(tokens, start, requests, most):
    """As many as stand in line, in order, with neither too many of them nor too many tokens."""
    start = min(start, len(tokens))
    rest = tokens[start:]
    allowed = [
        count
        for count in range(len(rest) + 1)
        if not 0 <= requests < count and not (count and 0 <= most < sum(rest[:count]))
    ]
    assert fitting(tokens, start, requests, most) == max(allowed)


@given(st.integers(0, 30), MAYBE, st.integers(-1, 9).filter(bool), st.lists(st.integers(0, 40), max_size=4))
def test_a_collection_is_sent_at_the_first_of_its_causes(now, window, every, at):
    """Its age, the next multiple on the grid, the next listed instant: the first that comes, now included."""
    due = [now + window] if window >= 0 else []
    due += [tick for tick in range(now, now + every) if tick % every == 0] if every > 0 else []
    due += [instant for instant in at if instant >= now]
    assert next_send(now, window, every, sorted(at)) == min(due, default=-1)


@given(INSTANTS, INSTANTS, INSTANTS, INSTANTS)
def test_a_guard_acts_before_the_deadline_but_not_in_the_past(arrived, patience, guard, now):
    """So long before the deadline, or now if that has passed."""
    assert guard_at(arrived, patience, guard, now) == sorted((now, arrived + patience - guard))[1]
