"""The eight scenarios of the service: what each teaches, as a closed form, or as an interval on the same luck."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from shipped import FLASH, PRO, cells, costs, kept, per_mtok, ran
from workloads import agrees

import sim
from sim import stats
from sim.engines.laws.backoff import FULL, ceiling, sleep
from sim.engines.laws.draws import redraw
from sim.engines.laws.jobs import seen_at
from sim.engines.physics import episodes
from sim.ledger import JobState, Mode, Source, Status
from sim.providers.rules import CHANCE_ONE, FACTOR_ONE
from sim.units import DAY, HOUR, MINUTE

FEW = 5  # replications of what holds on every path
SOME = 12  # of differences that are large: fewer replications only make their interval wider
REPLICATIONS = 30  # of what holds on average
SURE = 1 - 1e-6  # level of the intervals that must lie on one side of zero

QUEUE, BURST = "tier-1-queue", "burst-and-backoff"
DECEMBER, EXPIRES = "price-change-in-december", "cache-expires-before-the-batch"
FLEX, CHAT, VIDEO, PRIORITY = "flex-or-batch", "chat-with-history", "video-questions", "priority-under-load"


def below(result, cheap, dear, of=costs):
    """Return whether one arm has less of something than another: the whole paired interval is below zero."""
    return stats.paired_difference(of(result, cheap), of(result, dear), SURE).hi < 0


def in_time(result, strategy, stream=None):
    """Return the shares of requests that were answered within patience, by replication."""
    chosen = [[s for s in cell.streams if stream in (None, s.stream)] for cell in cells(result, strategy)]
    return [Fraction(sum(s.within_patience for s in some), sum(s.total for s in some)) for some in chosen]


def traces(name, count, sets=()):
    """Return the first realised workloads of a scenario."""
    scenario = sim.load(name, sets=sets)
    return [sim.realise(scenario, replication=replication) for replication in range(count)]


def at_prices(ledger, rows, input_usd, output_usd):
    """Return the dollars of some requests without a cached token."""
    assert not ledger.cached[rows].any()
    return per_mtok(int(ledger.prompt[rows].sum()), input_usd) + per_mtok(int(ledger.output[rows].sum()), output_usd)


# ---------------------------------------------------------------- tier-1-queue

TIERS = {"tier_1": 5 * 10**6, "tier_2": 500 * 10**6, "tier_3": 10**9}  # input tokens of Pro that may be enqueued
QUERY = 101_000
IN_A_FILE = 2 * 10**9 // 5 // QUERY  # queries that 2 GB hold at 5 bytes a token: 3,960


def queue():
    return ran(QUEUE, 10, keep=True)


def test_the_queue_costs_the_guides_figures_whatever_the_tier():
    """5,000 x 101,000 tokens at 1.25 are $631.25, by batch $315.625 in every tier: a wait for room costs no money."""
    assert per_mtok(5_000 * QUERY, "1.25") == Fraction("631.25")
    assert set(costs(queue(), "none")) == {Fraction("631.25")}
    for tier in TIERS:
        assert set(costs(queue(), tier)) == {per_mtok(5_000 * QUERY, "0.625")} == {Fraction("315.625")}
        assert all(np.all(ledger.status == Status.DONE) for ledger in kept(queue(), tier))


@pytest.mark.parametrize(
    ("tier", "sizes"),
    [
        ("tier_1", [49] * 102 + [2]),  # 49 x 101,000 are below 5M, 50 above
        ("tier_2", [IN_A_FILE, 5_000 - IN_A_FILE]),
        ("tier_3", [IN_A_FILE, 5_000 - IN_A_FILE]),
    ],
)
def test_a_collection_is_cut_into_jobs_that_fit(tier, sizes):
    """The one collection goes into as many jobs as its tokens need: 103 in tier 1, and two files where there is room.

    What fails in a job stands in a later one.
    """
    for ledger in kept(queue(), tier):
        first = ledger.job_collected == ledger.job_collected.min()
        assert ledger.job_requests[first].tolist() == sizes
        assert np.array_equal(ledger.job_tokens, ledger.job_requests * QUERY)
    assert min(len(ledger.job_created) for ledger in kept(queue(), "tier_1")) >= 103


@pytest.mark.parametrize("tier", TIERS)
def test_never_more_is_enqueued_than_the_tier_allows(tier):
    """At each creation the tokens of all jobs that have not ended, its own included, are within the limit."""
    for ledger in kept(queue(), tier):
        for instant in ledger.job_created:
            open_then = (ledger.job_created <= instant) & (instant < ledger.job_done)
            assert ledger.job_tokens[open_then].sum() <= TIERS[tier]


def test_tier_1_runs_its_jobs_one_after_another_and_tier_3_at_once():
    """Each job of tier 1 is created when its client sees the end of the one before; tier 2 waits for one of two."""
    poll = sim.load(QUEUE).arms[1].strategy.poll
    for tier in TIERS:
        for ledger in kept(queue(), tier):
            first = np.flatnonzero(ledger.job_collected == ledger.job_collected.min())
            created, done = ledger.job_created[first].tolist(), ledger.job_done[first].tolist()
            assert created[0] == ledger.arrived.min() + 2 * HOUR
            room = [seen_at(at, end, poll) for at, end in zip(created, done, strict=True)]
            assert created[1:] == (created[:-1] if tier == "tier_3" else room[:-1])


def test_tier_1_misses_the_days_that_the_others_keep():
    """The share of queries answered in a day: tier 1 below half, the others above 95 %, on the same luck."""
    result = queue()
    for tier in ("tier_2", "tier_3"):
        assert min(in_time(result, tier)) > Fraction(95, 100)
        assert below(result, "tier_1", tier, in_time)
    assert max(in_time(result, "tier_1")) < Fraction(1, 2)


# ---------------------------------------------------------------- burst-and-backoff

CALLERS = ("patient", "no_jitter", "deaf", "deaf_and_stubborn", "queued")
REFUSAL = 100  # ms until a caller knows of a refusal


def bursts():
    return ran(BURST, FEW, keep=True)


@pytest.mark.parametrize("caller", CALLERS)
def test_a_minute_admits_no_more_than_the_quota(caller):
    """In each whole minute calls of at most 1M input tokens and 1,000 requests are let through, and nearly 1M are."""
    for ledger in kept(bursts(), caller):
        done = ledger.done_mask
        minute = ledger.sent[done] // MINUTE
        tokens = np.bincount(minute, weights=ledger.prompt[done])
        assert 1_000_000 - 20_000 < tokens.max() <= 1_000_000  # a prompt is below 20,000 tokens
        assert np.bincount(minute).max() <= 1_000
        assert ledger.prompt.max() < 20_000


@pytest.mark.parametrize("caller", ["patient", "no_jitter"])
def test_a_patient_caller_calls_once_a_minute(caller):
    """What a full minute refuses is called again in a later one: there are no more calls than minutes they fall in."""
    for ledger in kept(bursts(), caller):
        done = ledger.done_mask
        assert np.all(calls_beyond_minutes(ledger)[done] <= 0)
        # all the time before the call that got through was lost to the quota
        assert np.array_equal(ledger.backoff[done], (ledger.sent - ledger.arrived)[done])
    assert any(np.any(calls_beyond_minutes(ledger) > 0) for ledger in kept(bursts(), "deaf"))


def calls_beyond_minutes(ledger):
    return ledger.attempts - 1 - (ledger.sent // MINUTE - ledger.arrived // MINUTE)


def test_a_deaf_caller_gives_up_after_its_back_offs_and_nothing_else():
    """Six refusals and five draws of full jitter below 1, 2, 4, 8 and 16 s: a deaf request ends then, to the ms."""
    lost = 0
    for ledger, trace in zip(kept(bursts(), "deaf"), traces(BURST, FEW), strict=True):
        for request in np.flatnonzero(ledger.status == Status.FAILED).tolist():
            draws = [redraw(int(trace.jitter[request]), call) for call in range(1, 6)]
            tops = [ceiling(1_000, 2 * FACTOR_ONE, 60_000, failure) for failure in range(1, 6)]
            assert tops == [1_000, 2_000, 4_000, 8_000, 16_000]
            slept = sum(sleep(top, FULL, draw) for top, draw in zip(tops, draws, strict=True))
            assert ledger.attempts[request] == ledger.throttled[request] == 6
            assert ledger.done[request] - ledger.arrived[request] == 6 * REFUSAL + slept
            lost += 1
    assert lost > 1_000


def test_nobody_is_billed_for_a_refusal():
    """The bill is that of the answers: 0.30 and 2.50 per 1M tokens, 200 of them answered each, however many calls."""
    for caller in CALLERS:
        for usd, ledger in zip(costs(bursts(), caller), kept(bursts(), caller), strict=True):
            assert usd == at_prices(ledger, ledger.done_mask, "0.30", "2.50")
            assert ledger.output.max() == 200


def test_a_deaf_caller_loses_what_a_patient_one_gets():
    """In time are fewer of the deaf caller's requests than of the patient's; trying twice as often makes up for most.

    Jitter decides nothing for who heeds the delay, and 40 workers lose nobody.
    """
    result = ran(BURST, SOME)
    assert below(result, "deaf", "deaf_and_stubborn", in_time)
    assert below(result, "deaf", "patient", in_time)
    assert below(result, "patient", "deaf", lambda r, s: [sum(x.failed for x in c.streams) for c in cells(r, s)])
    for jittered, steady in zip(in_time(result, "patient"), in_time(result, "no_jitter"), strict=True):
        assert abs(jittered - steady) < Fraction(1, 1_000)
    assert sum(x.failed for cell in cells(result, "queued") for x in cell.streams) == 0


# ---------------------------------------------------------------- price-change-in-december

MIDNIGHT = DAY  # of the first of December, ms since the run's start
PRICES = {  # input and output per 1M tokens, before midnight and from then on; by the models that serve
    "gemini-4-argon": (("2.00", "10.00"), ("4.00", "20.00")),
    PRO: (("1.25", "10.00"), ("0.75", "3.75")),  # of gemini-3.8-flash, which serves instead
}


def december(strategy, model):
    """Yield (dollars, ledger) of a strategy on one of the two models by replication."""
    result = ran(DECEMBER, REPLICATIONS, keep=True)
    ledgers = [row.ledger for row in result.kept if (row.strategy, row.model) == (strategy, model)]
    return zip([cell.total_usd for cell in result.of(strategy, model)], ledgers, strict=True)


def halved(usd):
    """Return half of a price as it is published."""
    return str(Fraction(usd) / 2)


@pytest.mark.parametrize("strategy", ["none", "early", "late"])
@pytest.mark.parametrize("model", PRICES)
def test_each_request_pays_the_price_in_force_when_its_service_starts(strategy, model):
    """Tokens x the price at ``sent``, half of it by batch, of the model that serves then, summed exactly."""
    before, after = PRICES[model]
    late = 0
    for usd, ledger in december(strategy, model):
        done, old = ledger.done_mask, ledger.sent < MIDNIGHT
        first, second = (before, after) if strategy == "none" else map(halves, (before, after))
        assert usd == at_prices(ledger, done & old, *first) + at_prices(ledger, done & ~old, *second)
        served = np.array(ledger.models)[ledger.model[done]]
        assert np.array_equal(served, np.where(old[done], model, successor(model)))
        late += np.count_nonzero(done & (ledger.arrived < MIDNIGHT) & ~old)
    assert (late > 0) == (strategy != "none")  # whom batch makes wait over midnight pays the new price


def halves(prices):
    return tuple(halved(usd) for usd in prices)


def successor(model):
    return "gemini-3.8-flash" if model == PRO else model


def test_sending_early_pays_before_a_rise_and_not_before_a_redirect():
    """Argon is cheaper by jobs of the evening before, 2.5 Pro by those of the morning after, on the same luck."""
    result = ran(DECEMBER, REPLICATIONS, keep=True)

    def dollars(model):
        return lambda found, strategy: [cell.total_usd for cell in found.of(strategy, model)]

    assert below(result, "early", "late", dollars("gemini-4-argon"))
    assert below(result, "late", "early", dollars(PRO))
    for model in PRICES:
        assert below(result, "early", "none", dollars(model))
        assert below(result, "late", "none", dollars(model))


def test_the_doubled_price_adds_the_bill_of_the_second_day_at_the_old_one():
    """Argon in real time a week earlier costs less by exactly the old price of all that is sent from midnight on."""
    week_before = ("start=2026-11-23T00:00:00Z", 'models=["gemini-4-argon"]', "strategies={none={}}")
    earlier = ran(DECEMBER, FEW, sets=week_before)
    pairs = zip(december("none", "gemini-4-argon"), costs(earlier, "none"), strict=False)
    for (usd, ledger), before in pairs:
        assert usd - before == at_prices(ledger, ledger.done_mask & (ledger.sent >= MIDNIGHT), "2.00", "10.00")


# ---------------------------------------------------------------- cache-expires-before-the-batch

HANDBOOK = 80_000
ONE_CONTEXT = ("contexts.handbook.count=1", "service.batch.failure_chance=0.0")


def test_a_request_is_refused_exactly_where_the_cache_is_over_when_its_job_runs():
    """A job names the cache that lives when it is created, here the only one; it is refused iff that is over later.

    Whoever is answered in a job that starts after that end was refused before; who was never refused reads the cache.
    """
    result = ran(EXPIRES, FEW, sets=ONE_CONTEXT, keep=True)
    refused = 0
    for ledger in kept(result, "one_hour"):
        created, settled = ledger.job_created, ledger.job >= 0
        lives = (ledger.cache_born <= created[:, None]) & (created[:, None] < ledger.cache_until)  # (j, m)
        assert lives.sum(axis=1).max() == 1
        ends = np.max(np.where(lives, ledger.cache_until, -1), axis=1)
        over = ledger.job_started >= ends
        job = ledger.job[settled]
        assert np.all(ledger.forbidden[settled][over[job]] == 1)
        assert np.array_equal(ledger.forbidden[settled] == 0, ledger.source[settled] == Source.EXPLICIT)
        # what a job that ran did not settle is what was refused in it
        left = ledger.job_requests - np.bincount(job, minlength=len(created))
        ran_off = ledger.job_state != JobState.EXPIRED
        assert np.all(left[ran_off & ~over] == 0)
        assert left[ran_off].sum() == ledger.forbidden.sum()
        refused += int(ledger.forbidden.sum())
    assert refused > 0


def expires():
    return ran(EXPIRES, REPLICATIONS, keep=True)


def test_what_was_refused_is_sent_again_without_its_cache():
    """A refused request is refused once and answered without it, in a later job; all others read 80,000 tokens."""
    for ledger in kept(expires(), "one_hour"):
        again = ledger.forbidden > 0
        assert ledger.forbidden.max(initial=0) <= 1
        done = ledger.done_mask
        assert np.all(ledger.source[again & done] != Source.EXPLICIT)
        assert np.all(ledger.attempts[again & done] >= 2)
        assert np.all(ledger.source[done & ~again] == Source.EXPLICIT)
        assert np.all(ledger.cached[done & ~again] == HANDBOOK)


def test_an_expired_cache_costs_its_tokens_at_the_price_of_a_batch():
    """Input line of ``one_hour``: what is new in each prompt, and 80,000 tokens of each refused one, at 0.15."""
    result = expires()
    traced = traces(EXPIRES, REPLICATIONS)
    for cell, ledger, trace in zip(cells(result, "one_hour"), kept(result, "one_hour"), traced, strict=True):
        done = ledger.done_mask
        hit = ledger.cached[done & (ledger.forbidden > 0)].sum()  # the service's own cache may hit
        tokens = trace.fresh[done].sum() + HANDBOOK * np.count_nonzero(ledger.forbidden[done]) - hit
        assert cell.lines_usd["input"] == per_mtok(int(tokens), "0.15")


@pytest.mark.parametrize("kind", ["kept_alive", "two_days", "until_the_last"])
def test_a_cache_that_lives_for_as_long_as_its_job_pends_refuses_nobody(kind):
    """No 403, and every answered request reads its handbook whole; the price is paid in storage."""
    for cell, ledger in zip(cells(expires(), kind), kept(expires(), kind), strict=True):
        assert not ledger.forbidden.any()
        assert np.all(ledger.cached[ledger.done_mask] == HANDBOOK)
        lived = int((ledger.cache_until - ledger.cache_born).sum())
        assert cell.lines_usd["storage"] == per_mtok(HANDBOOK * lived, "1.00") / HOUR


def test_a_forgotten_cache_of_two_days_costs_the_rest_of_them():
    """``two_days`` less ``until_the_last`` is 80,000 tokens x what was left of 48 h, exactly: the rest is the same."""
    result = expires()
    pairs = zip(kept(result, "two_days"), kept(result, "until_the_last"), strict=True)
    for (forgotten, deleted), dear, cheap in zip(
        pairs, costs(result, "two_days"), costs(result, "until_the_last"), strict=True
    ):
        assert np.all(forgotten.cache_until == forgotten.cache_born + 48 * HOUR)
        surplus = int((forgotten.cache_until - deleted.cache_until).sum())
        assert dear - cheap == per_mtok(HANDBOOK * surplus, "1.00") / HOUR
    for kind in ("kept_alive", "one_hour", "batch"):
        assert below(result, kind, "two_days")


# ---------------------------------------------------------------- flex-or-batch

SHED = CHANCE_ONE // 5  # of a call of flex, as the scenario says
FLEX_DRAWS = 65_536  # a call's draw of being shed by flex is that many redraws after that of being overloaded


def shed_in_a_row(trace):
    """Return the (n,) calls of flex that are shed before the first that is not, three at most."""
    shed = [[redraw(int(draw), call + FLEX_DRAWS) < SHED for call in (1, 2, 3)] for draw in trace.shed]
    return np.array([[*row, False].index(False) for row in shed])


def flexed():
    return ran(FLEX, REPLICATIONS, keep=True)


def test_flex_costs_half_of_what_it_serves_and_the_list_price_of_what_it_sheds():
    """Half of 0.30 and 2.50 for requests that flex served, all of it for those that fell back to standard, exactly."""
    result = flexed()
    for usd, ledger in zip(costs(result, "flex"), kept(result, "flex"), strict=True):
        by_flex = ledger.mode == Mode.FLEX
        assert np.all(ledger.status == Status.DONE)
        assert usd == at_prices(ledger, by_flex, "0.15", "1.25") + at_prices(ledger, ~by_flex, "0.30", "2.50")
    for full, half, ledger in zip(costs(result, "none"), costs(result, "batch"), kept(result, "batch"), strict=True):
        assert np.all(ledger.status == Status.DONE)
        assert full == 2 * half


def test_a_request_leaves_flex_when_it_was_shed_three_times_in_a_row():
    """Whom the tier serves is in the draws alone: fewer than three sheds; the others are standard, or not answered."""
    result = flexed()
    for trace, ledger, alone in zip(
        traces(FLEX, FEW), kept(result, "flex")[:FEW], kept(result, "flex_only")[:FEW], strict=True
    ):
        shed = shed_in_a_row(trace)
        assert np.array_equal(ledger.shed, shed)
        assert np.array_equal(ledger.mode == Mode.STANDARD, shed == 3)
        assert np.array_equal(ledger.attempts, shed + 1)
        assert np.array_equal(alone.status == Status.FAILED, shed == 3)
        assert np.all(alone.mode[alone.done_mask] == Mode.FLEX)


def test_three_sheds_in_a_row_come_to_one_request_in_125():
    """The share of requests that flex does not serve is 0.2^3 on average; two tries or four are rejected."""
    lost = [np.mean(ledger.status == Status.FAILED) for ledger in kept(flexed(), "flex_only")]
    assert agrees(lost, 0.2**3)
    assert not agrees(lost, 0.2**2)
    assert not agrees(lost, 0.2**4)


def test_routing_gives_flex_what_cannot_wait_and_batch_what_can():
    """Summaries go to flex, the archive to batch; standard is only what was shed, or came to its guard of 10 minutes.

    So all are answered in time, which batch alone does not do.
    """
    result = flexed()
    routed = kept(result, "routed")
    for trace, ledger in zip(traces(FLEX, FEW), routed[:FEW], strict=True):
        summaries, standard = trace.stream == 0, ledger.mode == Mode.STANDARD
        assert trace.streams == ("summaries", "archive")
        assert np.all(ledger.mode[summaries & ~standard] == Mode.FLEX)
        assert np.all(ledger.mode[~summaries & ~standard] == Mode.BATCH)
        assert np.array_equal(standard[summaries], shed_in_a_row(trace)[summaries] == 3)
        fallen_back = ~summaries & standard
        assert np.all(ledger.sent[fallen_back] >= ledger.arrived[fallen_back] + DAY - 10 * MINUTE)
    assert min(in_time(result, "routed")) == 1
    for stream in ("summaries", "archive"):
        assert below(result, "batch", "routed", lambda r, s, stream=stream: in_time(r, s, stream))


# ---------------------------------------------------------------- chat-with-history

INSTRUCTIONS = 3_000
IMPLICIT = ("assumed", "best_case", "eight_cells", "eight_cells_with_affinity", "second_sighting")


def chats():
    return ran(CHAT, FEW, keep=True)


def test_a_turn_repeats_what_was_said_and_not_what_was_thought():
    """Prompt = the prompt before + its answer without the thinking + the new message of at least a token."""
    spec = sim.load(CHAT, sets=("streams.chat.fresh=150",)).spec
    assert spec.streams["chat"].thinking is not None
    for trace in traces(CHAT, FEW, sets=("streams.chat.fresh=150",)):
        later = trace.follows >= 0
        before = trace.follows[later]
        said = trace.output[before] - trace.thinking[before]
        assert np.array_equal(trace.prompt[later], trace.prompt[before] + said + 150)
        assert np.all(trace.prompt[~later] == INSTRUCTIONS + 150)
        assert trace.thinking.sum() > 0


def test_thinking_is_billed_as_output():
    """The output line is 2.50 per 1M tokens of answers and thinking, the same in every arm."""
    for cell, trace in zip(cells(chats(), "none"), traces(CHAT, FEW), strict=True):
        assert cell.lines_usd["output"] == per_mtok(int(trace.output.sum()), "2.50")
    for strategy in (*IMPLICIT, "explicit"):
        outputs = [cell.lines_usd["output"] for cell in cells(chats(), strategy)]
        assert outputs == [cell.lines_usd["output"] for cell in cells(chats(), "none")]


@pytest.mark.parametrize("strategy", IMPLICIT)
def test_no_turn_reads_more_than_was_there(strategy):
    """A hit is within the prompt of the turn before, or the instructions; all hits together are below the best case."""
    most = sum(int(ledger.cached.sum()) for ledger in kept(chats(), "best_case"))
    found = 0
    for trace, ledger in zip(traces(CHAT, FEW), kept(chats(), strategy), strict=True):
        common = np.where(trace.follows >= 0, trace.prompt[trace.follows], INSTRUCTIONS)
        assert np.all(ledger.cached <= common)
        found += int(ledger.cached.sum())
    assert (found == most) == (strategy == "best_case")
    assert 0 < found <= most


def test_an_explicit_cache_reads_the_instructions_and_nothing_else():
    """3,000 tokens of every turn at 0.03, the rest at 0.30; one cache, written once and stored till after the last."""
    for usd, ledger in zip(costs(chats(), "explicit"), kept(chats(), "explicit"), strict=True):
        assert np.all(ledger.cached == INSTRUCTIONS)
        assert np.all(ledger.source == Source.EXPLICIT)
        (born,), (until,) = ledger.cache_born.tolist(), ledger.cache_until.tolist()
        rest = int((ledger.prompt - INSTRUCTIONS).sum())
        read = per_mtok(INSTRUCTIONS * len(ledger.prompt), "0.03") + per_mtok(rest, "0.30")
        stored = per_mtok(INSTRUCTIONS, "0.30") + per_mtok(INSTRUCTIONS * (until - born), "1.00") / HOUR
        assert usd == read + per_mtok(int(ledger.output.sum()), "2.50") + stored


def test_what_nobody_publishes_decides_what_the_implicit_cache_saves():
    """Cost rises from the best case over the assumed chances to eight cells; affinity takes most of these back."""
    result = ran(CHAT, REPLICATIONS)
    for cheap, dear in (
        ("best_case", "assumed"),
        ("assumed", "second_sighting"),
        ("second_sighting", "eight_cells"),
        ("eight_cells_with_affinity", "eight_cells"),
        ("eight_cells", "none"),
    ):
        assert below(result, cheap, dear), (cheap, dear)


# ---------------------------------------------------------------- video-questions

SECONDS = 1_200
LITE, NEW = "gemini-2.5-flash-lite", "gemini-3.8-flash"
FILM = {LITE: 263, NEW: 70}  # tokens a second
SOUND = 32
LECTURE = {LITE: ("0.10", "0.30", "0.40"), NEW: ("0.75", "0.75", "3.75")}  # text, audio, output per 1M tokens
CACHE = {LITE: ("0.01", "0.03", "1.00"), NEW: ("0.075", "0.075", "0.50")}  # text and audio read; storage an hour


def videos():
    return ran(VIDEO, REPLICATIONS, keep=True)


def lectured(model, strategy):
    """Yield (cell, ledger) of a strategy on one of the two models by replication."""
    ledgers = [row.ledger for row in videos().kept if (row.strategy, row.model) == (strategy, model)]
    return zip(videos().of(strategy, model), ledgers, strict=True)


@pytest.mark.parametrize(("model", "tokens"), [(LITE, 354_000), (NEW, 122_400)])
def test_a_lecture_is_as_many_tokens_as_its_seconds_make(model, tokens):
    """1,200 s x (263 or 70 of film + 32 of sound): each prompt is that and the question, of which 38,400 are audio."""
    assert SECONDS * (FILM[model] + SOUND) == tokens
    for _, ledger in lectured(model, "none"):
        question = ledger.prompt - tokens
        assert np.all(question >= 1)
        assert np.all(ledger.audio == SECONDS * SOUND)
    questions = [[ledger.prompt - size for _, ledger in lectured(m, "none")] for m, size in sizes().items()]
    assert all(np.array_equal(one, other) for one, other in zip(*questions, strict=True))


def sizes():
    return {model: SECONDS * (film + SOUND) for model, film in FILM.items()}


@pytest.mark.parametrize("model", FILM)
def test_the_sound_of_a_lecture_is_billed_at_the_price_of_audio(model):
    """Each line at its own price, exactly: text, 38,400 tokens of audio a question, output."""
    words, heard, told = LECTURE[model]
    for cell, ledger in lectured(model, "none"):
        count = len(ledger.prompt)
        assert cell.lines_usd["audio_input"] == per_mtok(count * SECONDS * SOUND, heard)
        assert cell.lines_usd["input"] == per_mtok(int(ledger.prompt.sum()) - count * SECONDS * SOUND, words)
        assert cell.lines_usd["output"] == per_mtok(int(ledger.output.sum()), told)
        assert cell.total_usd == sum(cell.lines_usd[line] for line in ("audio_input", "input", "output"))


@pytest.mark.parametrize("strategy", ["explicit", "explicit_short"])
@pytest.mark.parametrize("model", FILM)
def test_a_cached_lecture_keeps_the_price_of_its_sound(model, strategy):
    """Reads and creations split film and sound, exactly; storage counts both alike."""
    (words, heard, _), (read, read_heard, stored) = LECTURE[model], CACHE[model]
    film, sound = SECONDS * FILM[model], SECONDS * SOUND
    for cell, ledger in lectured(model, strategy):
        count, caches = len(ledger.prompt), len(ledger.cache_born)
        assert np.all(ledger.cached == film + sound)
        assert cell.lines_usd["cached"] == per_mtok(count * film, read)
        assert cell.lines_usd["audio_cached"] == per_mtok(count * sound, read_heard)
        assert cell.lines_usd["audio_input"] == 0
        assert cell.lines_usd["creation"] == per_mtok(caches * film, words) + per_mtok(caches * sound, heard)
        lived = int((ledger.cache_until - ledger.cache_born).sum())
        assert cell.lines_usd["storage"] == per_mtok((film + sound) * lived, stored) / HOUR


def test_which_cache_pays_hangs_on_the_prices_and_not_on_the_film():
    """On Flash-Lite storage for an hour costs more than the reads save, on 3.8 Flash it does not, at the same traffic.

    Six lectures with 40 questions an hour are 6.7 each: below the rate from which a cache pays on Flash-Lite, which is
    11.1 for text, and above that of 3.8 Flash, 0.74.
    """
    result = videos()

    def dollars(model):
        return lambda found, strategy: [cell.total_usd for cell in found.of(strategy, model)]

    for dear in ("explicit", "explicit_short"):
        assert below(result, "none", dear, dollars(LITE))
        assert below(result, dear, "none", dollars(NEW))
    assert below(result, "explicit_short", "explicit", dollars(LITE))
    assert below(result, "explicit", "explicit_short", dollars(NEW))


# ---------------------------------------------------------------- priority-under-load


def hurried():
    return ran(PRIORITY, FEW, keep=True)


@pytest.mark.parametrize("strategy", ["none", "priority", "routed"])
def test_a_call_of_the_priority_tier_costs_nine_fifths(strategy):
    """1.8 x 0.30 and 1.8 x 2.50 for what the tier served, the list price for what overflowed it, exactly."""
    for usd, ledger in zip(costs(hurried(), strategy), kept(hurried(), strategy), strict=True):
        dear = ledger.done_mask & (ledger.mode == Mode.PRIORITY)
        rest = ledger.done_mask & (ledger.mode == Mode.STANDARD)
        listed = at_prices(ledger, dear, "0.30", "2.50")
        assert usd == Fraction(9, 5) * listed + at_prices(ledger, rest, "0.30", "2.50")
        assert dear.any() == (strategy != "none")


def test_the_priority_tier_holds_300_calls_a_minute_and_3000_a_day():
    """What it serves is within 300 at once and 300 a minute, and ends with the 3,000th call of the day."""
    for ledger in kept(hurried(), "priority"):
        served = np.sort(ledger.sent[ledger.mode == Mode.PRIORITY])
        assert len(served) == 3_000 < np.count_nonzero(ledger.done_mask)
        later = np.arange(1, len(served) + 1)
        # envelope of the bucket: from the i-th call to the j-th at most 300 + 300 a minute
        ahead = 60_000 * later - 300 * served
        assert np.max(ahead - np.minimum.accumulate(ahead - 60_000)) <= 300 * 60_000
        # the day begins with the run, at 08:00 UTC, midnight Pacific: who comes after the last is standard
        standard = ledger.sent[ledger.done_mask & (ledger.mode == Mode.STANDARD)]
        assert standard.min() > served.max()


def test_the_priority_tier_notices_no_overload():
    """Its calls are never refused, and take as long as they would without any episode: the same instants, to the ms."""
    calm = ran(PRIORITY, FEW, sets=("service.overload.shed_chance=0.0", "service.overload.slowdown=1.0"), keep=True)
    disturbed = 0
    for trace, ledger, without, plain in zip(
        traces(PRIORITY, FEW), kept(hurried(), "routed"), kept(calm, "none"), kept(hurried(), "none"), strict=True
    ):
        checkout = trace.stream == 0
        assert trace.streams[0] == "checkout"
        assert np.all(ledger.mode[checkout] == Mode.PRIORITY)
        assert not ledger.shed[checkout].any()
        assert np.array_equal(ledger.sent[checkout], without.sent[checkout])
        assert np.array_equal(ledger.done[checkout], without.done[checkout])
        disturbed += np.count_nonzero(plain.done[checkout] != without.done[checkout])
    assert disturbed > 0


def test_only_calls_in_an_episode_are_refused():
    """Who arrives outside the episodes is answered at the first call; of those inside, 60 % are refused at first."""
    law = sim.load(PRIORITY).arms[0].service.overload
    shares = []
    for trace, ledger in zip(traces(PRIORITY, FEW), kept(hurried(), "none"), strict=True):
        edges = episodes(law, int(trace.weather[0]), trace.horizon)
        inside = np.searchsorted(edges, ledger.arrived, side="right") % 2 == 1
        assert not ledger.shed[~inside].any()
        assert np.all(ledger.attempts[~inside] == 1)
        shares += (ledger.shed[inside] > 0).tolist()
    assert agrees(shares, 0.6)
    assert not agrees(shares, 0.5)


def test_priority_for_those_in_a_hurry_does_more_for_them_than_priority_for_all():
    """No request of checkout is answered earlier than by ``routed``: the catalogue uses up the tier's calls of a day.

    Priority for all helps checkout until then, and costs most.
    """
    result = hurried()
    ledgers = (kept(result, strategy) for strategy in ("routed", "priority", "none"))
    for trace, routed, every, nobody in zip(traces(PRIORITY, FEW), *ledgers, strict=True):
        checkout = trace.stream == 0
        assert np.all(routed.status[checkout] == Status.DONE)
        for other in (every, nobody):
            answered = checkout & other.done_mask
            assert np.all(routed.done[answered] <= other.done[answered])
    late = {s: sum(1 - share for share in in_time(result, s, "checkout")) for s in ("routed", "priority", "none")}
    assert late["routed"] < late["priority"] < late["none"]
    assert below(result, "routed", "priority")
    assert below(result, "none", "routed")


# ---------------------------------------------------------------- all of them


def test_a_run_of_one_arm_is_that_arm():
    """An arm meets the same luck alone as beside the others, here where it has circumstances of its own."""
    scenario = sim.load(BURST)
    alone = dataclasses.replace(scenario, arms=tuple(arm for arm in scenario.arms if arm.name == "queued"))
    result = sim.run(alone, replications=2, baseline="queued")
    assert result.models == (FLASH,)
    assert costs(result, "queued") == costs(bursts(), "queued")[:2]
