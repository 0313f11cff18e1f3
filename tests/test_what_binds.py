"""What binds: what each cell counts from its ledger, what the summary makes of it, and how the terminal tells it."""

import io
import json
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import binding, caching, cell, ledger, result, stream, turnaround
from rich.console import Console
from strategies import ledgers
from worlds import epoch, keeping, plan, rules, world

import sim
from sim import stats
from sim.billing import rate
from sim.document import parse
from sim.experiments.binding import refused_by
from sim.experiments.bounds import refused_contexts
from sim.experiments.cells import binding_of, turnaround_of, unread_of
from sim.experiments.result import LIMIT_NAMES, Refusals
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.summary import summarise
from sim.ledger import Limit, Mode, Status
from sim.providers import load_book
from sim.providers.project import Limits
from sim.providers.rules import NOT_OFFERED
from sim.report.run_table import run_report
from sim.scenario import read_scenario
from sim.strategies.decision import NEVER
from sim.units import HOUR

GOOGLE = load_book("google")
ints = lambda *values: np.array(values, dtype=np.int64)  # noqa: E731 - a word for a column


def pair_of(summary, strategy):
    return next(pair for pair in summary["results"] if pair["strategy"] == strategy)


def printed(summary, width=120):
    console = Console(width=width, file=io.StringIO())
    console.print(*run_report(summary), sep="\n")
    return console.file.getvalue()


# ---------------------------------------------------------------- a cell counts its ledger


def test_a_cell_counts_what_its_ledger_holds():
    """Every count of a binding is the sum of its column, and every refusal keeps its limit and hour."""
    made = ledger(3)
    found = binding_of(made)
    assert (found.asked, found.calls, found.throttled, found.shed) == (3, 3 * 1, 3 * 1, 3 * 2)
    assert (found.timeouts, found.forbidden, found.backoff_ms, found.queued_ms) == (3 * 3, 3 * 4, 3 * 5, 3 * 6)
    assert found.refusals == (Refusals(Limit.REQUESTS, 0, 3), Refusals(Limit.FORBIDDEN, 1, 12))
    assert (found.refused(Limit.FORBIDDEN), found.refused(Limit.TOKENS)) == (12, 0)
    assert found.start_ms == made.start_ms


def test_only_answered_requests_were_served_and_only_arrived_ones_were_asked():
    """A tier counts requests that are done in it; the rest of a session that ended was never asked."""
    made = ledger(4)._replace(
        mode=ints(Mode.FLEX, Mode.PRIORITY, Mode.FLEX, Mode.BATCH),
        status=ints(Status.DONE, Status.DONE, Status.FAILED, Status.EXPIRED),
        arrived=ints(0, 0, 0, -1),
    )
    found = binding_of(made)
    assert [found.served[mode] for mode in (Mode.STANDARD, Mode.BATCH, Mode.FLEX, Mode.PRIORITY)] == [0, 0, 1, 1]
    assert found.asked == 3


def test_a_job_waits_until_its_creation_and_then_takes_until_its_end():
    """before = created - collected of every job, after = done - created of those that ended."""
    made = ledger()._replace(
        job_collected=ints(0, 10, 20), job_created=ints(500, 10, 50), job_done=ints(700, -1, 1_050)
    )
    found = turnaround_of(made)
    assert found.before_ms.tolist() == [0, 50 - 20, 500]
    assert found.after_ms.tolist() == [700 - 500, 1_050 - 50]


def test_unread_caches_cost_their_creation_and_their_storage():
    """4,096 tokens of 2.5 Flash for an hour: input at $0.30 and storage at $1.00 a million; or storage alone."""
    made = ledger()._replace(cache_reads=ints(0), cache_audio=ints(0))
    found = unread_of(made, GOOGLE, GOOGLE.terms)
    assert found == (1, 4_096 * HOUR, 4_096 * (Fraction("0.30") + Fraction("1.00")) / 10**6)
    free = GOOGLE.terms.model_copy(update={"creation": "free"})
    assert unread_of(made, GOOGLE, free).usd == 4_096 * Fraction("1.00") / 10**6
    assert unread_of(made._replace(cache_reads=ints(1)), GOOGLE, GOOGLE.terms) == (0, 0, 0)


@given(ledgers(), st.data())
def test_read_and_unread_caches_make_up_the_bill_of_all(some, data):
    """Rating is additive: unread caches, and the others taken for unread, cost what all caches together cost."""
    reads = np.array([data.draw(st.integers(0, 1)) for _ in some.cache_born], dtype=np.int64)
    halves = [unread_of(some._replace(cache_reads=column), GOOGLE, GOOGLE.terms) for column in (reads, 1 - reads)]
    alone = unread_of(some._replace(cache_reads=0 * reads), GOOGLE, GOOGLE.terms)
    assert tuple(sum(part) for part in zip(*halves, strict=True)) == alone
    assert alone.token_ms == some.storage_token_ms
    whole = rate(some, GOOGLE).by_line()
    assert whole["storage"] <= alone.usd <= whole["creation"] + whole["storage"] + whole["audio_input"]


# ---------------------------------------------------------------- contexts refused for their size


def refused_one_by_one(trace, arrived, strategy, service):
    """The contexts that a loop over requests and the nodes of their prompts finds unfit at their arrival."""
    found = set()
    for at, leaf in zip(arrived.tolist(), trace.leaf.tolist(), strict=True):
        node = leaf if at >= 0 else -1
        while node >= 0:
            if unfit_at(at, node, trace, strategy.cache, service):
                found.add(node)
            node = int(trace.parent[node])
    return len(found)


def unfit_at(at, node, trace, cache, service):
    """Whether a strategy may cache a node, and the service would not at an instant."""
    now = [e for e in service.epochs if e.since <= at][-1]
    mark, depth = int(trace.context[node]), int(trace.depth[node])
    if not mark or not depth or not (cache.populations >> (mark - 1)) & 1 or now.explicit_minimum == NOT_OFFERED:
        return False
    padded = 0 <= cache.pad_from <= depth
    return (depth < now.explicit_minimum and not padded) or 0 <= now.explicit_maximum < depth


SIZES = st.sampled_from([0, 9, 10, 11, 20, 21])


@st.composite
def forests(draw):
    """Return a trace of few requests on a few clashing contexts, some of which never arrive, with plan and rules."""
    parent, depth = [], []
    for node in range(draw(st.integers(1, 5))):
        above = draw(st.sampled_from([-1, node - 1, node - 1]))
        parent.append(above)
        depth.append((depth[above] if above >= 0 else 0) + draw(SIZES))
    contexts = [draw(st.sampled_from([0, 1, 1, 2])) for _ in parent]
    leaf = draw(st.lists(st.integers(-1, len(parent) - 1), min_size=1, max_size=4))
    arrived = ints(*(draw(st.sampled_from([NEVER, 99, 100])) for _ in leaf))
    trace = world([0] * len(leaf), leaf, parent=parent, depth=depth, context=contexts)
    minimum, maximum = st.sampled_from([NOT_OFFERED, 1, 10, 20]), st.sampled_from([-1, -1, 10, 20])
    epochs = (epoch(at, explicit_minimum=draw(minimum), explicit_maximum=draw(maximum)) for at in (0, 100))
    strategy = keeping(populations=draw(st.sampled_from([-1, -1, 0, 1, 2])), pad_from=draw(st.sampled_from([-1, 9])))
    return trace, arrived, strategy, rules(*epochs)


@given(forests())
def test_refused_contexts_are_those_that_a_loop_finds(forest):
    """The masks over nodes agree with a loop over requests and over the nodes of their prompts."""
    assert refused_contexts(*forest) == refused_one_by_one(*forest)


def test_a_context_is_refused_below_the_minimum_and_above_the_maximum():
    """Of contexts of 9, 10, 20 and 21 tokens a service from 10 to 20 refuses two; one that nobody asks for is none."""
    trace = world([0] * 4, [0, 1, 2, 3], depth=[9, 10, 20, 21])
    service = rules(epoch(explicit_minimum=10, explicit_maximum=20))
    everyone, strategy = np.zeros(4, np.int64), keeping()
    assert refused_contexts(trace, everyone, strategy, service) == 2
    assert refused_contexts(trace, ints(NEVER, 0, 0, 0), strategy, service) == 1
    assert refused_contexts(trace, everyone, keeping(pad_from=9), service) == 1
    assert refused_contexts(trace, everyone, plan("none"), service) == 0
    assert refused_contexts(trace, everyone, strategy, rules(epoch(explicit_minimum=NOT_OFFERED))) == 0


def test_a_context_inside_another_is_asked_for_with_it():
    """A prompt that starts with 30 tokens, 5 of them shared more widely, asks for both; only the 5 are too few."""
    nested = world([0], [1], parent=[-1, 0], depth=[5, 30])
    assert refused_contexts(nested, ints(0), keeping(), rules(epoch(explicit_minimum=10))) == 1
    assert refused_contexts(nested, ints(0), keeping(), rules(epoch(explicit_minimum=31))) == 2


def test_the_minimum_of_the_arrival_decides():
    """A minimum that rises to 20 at 100 ms refuses a context of 15 from that very instant on."""
    trace, service = world([0], [0], depth=[15]), rules(epoch(0, explicit_minimum=10), epoch(100, explicit_minimum=20))
    assert [refused_contexts(trace, ints(at), keeping(), service) for at in (99, 100)] == [0, 1]
    falls = rules(epoch(0, explicit_minimum=20), epoch(100, explicit_minimum=10))
    assert [refused_contexts(trace, ints(at), keeping(), falls) for at in (99, 100)] == [1, 0]


# ---------------------------------------------------------------- what the summary says


def test_the_peak_hour_has_the_most_refusals_of_all_replications_together():
    """Hours 1 and 2 have 5 + 0 and 2 + 4 refusals: the peak is hour 2, though hour 1 has the most in a replication."""
    cells = [binding([(Limit.TOKENS, 1, 5), (Limit.TOKENS, 2, 2)]), binding([(Limit.TOKENS, 2, 4)])]
    (found,) = refused_by(cells, ZoneInfo("UTC"))
    assert (found.calls, found.in_peak) == ((5 + 2, 4), 2 + 4)
    assert (found.peak, found.first) == ("2026-11-23T02:00:00+00:00", "2026-11-23T01:00:00+00:00")


def test_the_first_of_equal_hours_is_the_peak_and_the_limit_that_refused_most_comes_first():
    """Ties go to the earlier hour, and to the limit that stands first in the ledger's order."""
    equal = [(Limit.REQUESTS, 7, 2), (Limit.REQUESTS, 3, 2), (Limit.SPEND, 0, 4), (Limit.DAY, 5, 9)]
    found = refused_by([binding(equal)], ZoneInfo("UTC"))
    assert [one.limit for one in found] == [Limit.DAY, Limit.REQUESTS, Limit.SPEND]
    assert found[1].peak == found[1].first == "2026-11-23T03:00:00+00:00"


def test_hours_are_told_by_the_clock_of_the_scenario():
    """Hour 18 from midnight UTC is 23:30 in Kolkata, and hours go on evenly where a clock is set back."""
    found = refused_by([binding([(Limit.DAY, 18, 1)])], ZoneInfo("Asia/Kolkata"))
    assert found[0].peak == "2026-11-23T23:30:00+05:30"
    night = 1_793_512_800_000  # 2026-10-31T23:00-07:00: it is one o'clock twice
    pacific = [
        refused_by([binding([(Limit.DAY, hour, 1)], start_ms=night)], ZoneInfo("America/Los_Angeles"))[0].peak
        for hour in (1, 2, 3, 4)
    ]
    assert [text[11:] for text in pacific] == ["00:00:00-07:00", "01:00:00-07:00", "01:00:00-08:00", "02:00:00-08:00"]


def bound_run(**more):
    """Two replications of a strategy that met everything, beside one that met nothing."""
    first = binding(
        [(Limit.REQUESTS, 0, 6), (Limit.PRIORITY, 1, 3), (Limit.TIMEOUT, 0, 1)],
        asked=4, calls=10, throttled=6, timeouts=1, backoff_ms=9_000, queued_ms=500, served=(1, 0, 0, 2),
    )  # fmt: skip
    second = binding([(Limit.REQUESTS, 0, 2)], asked=6, calls=8, throttled=2, backoff_ms=1_000, served=(5, 0, 0, 0))
    cells = [
        cell("none", 0, 1), cell("none", 1, 1),
        cell(
            "batch", 0, 4, lines={"input": Fraction(3), "storage": Fraction(1)}, binding=first,
            jobs={"succeeded": 2, "expired": 1}, turnaround=turnaround([0, 60_000, 60_001], [1_000, 2_000, 3_000]),
            caches=caching(2, refused=1, token_ms=4 * HOUR, unread=(1, HOUR, "0.25")), duplicates=1,
        ),
        cell(
            "batch", 1, 2, lines={"input": Fraction(2)}, binding=second,
            jobs={"succeeded": 1}, turnaround=turnaround([0], [4_000]), caches=caching(),
            streams=[stream(audio=40, thinking=10)],
        ),
    ]  # fmt: skip
    return result({"none": [1, 1], "batch": [4, 2]}, cells=cells, **more)


def test_the_summary_tells_which_limit_refused_how_much_and_when():
    """Refusals are means over replications, those without any included, with their interval and their hours."""
    refusals = pair_of(summarise(bound_run()), "batch")["binding"]["refusals"]
    assert [one["limit"] for one in refusals] == ["requests_per_minute", "priority", "timeout"]
    mean, lo, hi = stats.mean_interval([6, 2])
    hour = "2026-11-23T00:00:00+00:00"
    assert refusals[0] == {
        "limit": "requests_per_minute", "mean": mean, "lo": max(lo, 0.0), "hi": hi,
        "peak_hour": hour, "in_peak_hour": (6 + 2) / 2, "first_hour": hour,
    }  # fmt: skip
    assert [refusals[1][name] for name in ("mean", "peak_hour")] == [3 / 2, "2026-11-23T01:00:00+00:00"]


def test_the_summary_tells_what_was_lost():
    """Counts are means, ratios are ratios of sums, and times are in seconds."""
    found = pair_of(summarise(bound_run()), "batch")
    counts = {"throttled": 8 / 2, "shed": 0, "timeouts": 1 / 2, "forbidden": 0, "jobs_waited": 1 / 2}
    assert {name: found["binding"][name] for name in counts} == counts
    assert found["attempts_per_request"] == (10 + 8) / (4 + 6)
    assert found["backoff_s"] == {"total": (9 + 1) / 2, "per_request": (9 + 1) / (4 + 6)}
    assert found["queued_s"] == {"total": 0.5 / 2, "per_request": 0.5 / (4 + 6)}
    assert found["tiers"] == {"standard": 6 / 2, "batch": 0, "flex": 0, "priority": 2 / 2, "overflow": 3 / 2}
    assert tuple(found["intervals"]["attempts_per_request"]) == stats.ratio_interval([10, 8], [4, 6])[1:]


def test_the_summary_tells_of_jobs_and_caches():
    """Job times are pooled over replications as latencies are; shares are of all tokens stored and of all bills."""
    found = pair_of(summarise(bound_run()), "batch")
    after = [np.array([1_000, 2_000, 3_000]), np.array([4_000])]
    times = {name: stats.pooled_quantile(after, q) for name, q in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))}
    assert found["turnaround_s"]["after_creation"] == {n: pytest.approx(t.mean / 1000) for n, t in times.items()}
    assert found["turnaround_s"]["before_creation"]["p50"] == (0 + 60) / 2
    assert found["jobs"] == {"succeeded": 3 / 2, "expired": 1 / 2}
    caches = {"created": 2 / 2, "unread": 1 / 2, "refused": 1 / 2, "token_hours": 4 / 2, "unread_token_hours": 1 / 2}
    assert found["caches"] == {**caches, "unread_share": 1 / 4, "unread_usd": 0.25 / 2}
    assert found["storage_share"] == 1 / (4 + 2)
    assert found["duplicates"] == 1 / 2


def test_audio_and_thinking_are_parts_of_prompts_and_outputs():
    """The first replication has none; the second has 40 of 400 and 10 of 50 tokens; streams have their own shares."""
    found = pair_of(summarise(bound_run()), "batch")
    assert found["audio_share"] == pytest.approx(40 / (400 + 400))
    assert found["thinking_share"] == pytest.approx(10 / (50 + 50))
    assert found["streams"][""]["thinking_share"] == found["thinking_share"]


def leaves(tree, path=()):
    if isinstance(tree, dict):
        for name, inner in tree.items():
            yield from leaves(inner, (*path, name))
    else:
        yield path, tree


def test_every_estimate_has_its_bounds_under_its_own_name():
    """intervals mirrors the estimates of a result and of its streams, and holds each between its bounds."""
    inline = {"strategy", "model", "cost_usd", "intervals", "streams"}
    for row in summarise(bound_run())["results"]:
        for part in (row, *row["streams"].values()):
            kept = {name: value for name, value in part.items() if name not in inline}
            kept["binding"] = {k: v for k, v in kept.get("binding", {}).items() if k != "refusals"}
            bounds = dict(leaves(part["intervals"]))
            values = dict(leaves({name: value for name, value in kept.items() if value != {}}))
            assert set(bounds) - {("cost_usd", q) for q in ("p5", "p50", "p95")} == set(values)
            for path, value in values.items():
                lo, hi = bounds[path]
                assert value is None or lo is None or lo <= value <= hi, path


def test_the_keys_of_a_result_are_those_of_its_schema():
    """gcsim.run/2: whatever was met, a result has the same keys."""
    whole = summarise(bound_run())
    assert whole["schema"] == "gcsim.run/2"
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
    assert (whole["start"], whole["time_zone"]) == ("2026-11-23T00:00:00+00:00", "UTC")
    for row in whole["results"]:
        assert set(row) == {
            "strategy", "model", "cost_usd", "lines_usd", "hit_ratio", "latency_s", "within_patience", "requests",
            "audio_share", "thinking_share", "binding", "attempts_per_request", "backoff_s", "queued_s", "tiers",
            "jobs", "turnaround_s", "caches", "storage_share", "duplicates", "intervals", "streams",
        }  # fmt: skip
        assert set(row["binding"]) == {"throttled", "shed", "timeouts", "forbidden", "jobs_waited", "refusals"}
        assert set(row["tiers"]) == {"standard", "batch", "flex", "priority", "overflow"}
        assert set(row["turnaround_s"]) == {"before_creation", "after_creation"}
        unread = {"unread", "unread_token_hours", "unread_share", "unread_usd"}
        assert set(row["caches"]) == {"created", "refused", "token_hours"} | unread


def test_without_jobs_bills_or_requests_there_is_nothing_to_estimate():
    """Quantiles without jobs, shares of nothing, and unread caches of a cut run are null, not zero."""
    empty = binding(asked=0, calls=0, served=(0, 0, 0, 0))
    nothing = cell("none", 0, 0, streams=[stream(waits=[])], binding=empty, caches=caching(1, token_ms=5, unread=None))
    found = pair_of(summarise(result({"none": [0]}, cells=[nothing])), "none")
    assert set(found["turnaround_s"]["after_creation"].values()) == {None}
    assert [found[name] for name in ("attempts_per_request", "storage_share", "thinking_share")] == [None] * 3
    assert found["backoff_s"] == {"total": 0, "per_request": None}
    assert [value for name, value in found["caches"].items() if name.startswith("unread")] == [None] * 4
    assert found["intervals"]["caches"]["unread"] == [None, None]


def test_a_limit_has_the_name_that_a_project_states_it_by():
    """The words of [project.limits] are those of the document, so that a reader knows which to raise."""
    assert set(LIMIT_NAMES) == set(Limit)
    stated = {name for limit, name in LIMIT_NAMES.items() if limit <= Limit.CONCURRENCY}
    assert stated <= set(Limits.model_fields)


def test_the_rows_hold_what_bound_each_cell():
    """Each cell's own counts stand in its row, with the limit that refused most; streams have none."""
    table = [row for row in rows(bound_run()) if row["strategy"] == "batch"]
    assert all(set(row) == set(COLUMNS) for row in table)
    first, second = table
    assert (first["bound_by"], first["refused_requests_per_minute"], first["refused_priority"]) == (
        "requests_per_minute", 6, 3,
    )  # fmt: skip
    assert first["peak_hour"] == first["first_hour"] == "2026-11-23T00:00:00+00:00"
    assert (first["calls"], first["asked"], first["throttled"], first["backoff_ms"]) == (10, 4, 6, 9_000)
    assert (first["served_priority"], first["refused_contexts"]) == (2, 1)
    assert (first["before_creation_p50_s"], first["after_creation_p50_s"]) == (60.0, 2.0)
    assert (first["cache_token_hours"], first["unread_token_hours"], first["unread_usd_exact"]) == (4.0, 1.0, "0.25")
    assert (second["thinking_tokens"], second["audio_tokens"]) == (3 * 10, 3 * 40)


# ---------------------------------------------------------------- how it reads


def test_a_run_that_met_nothing_tells_nothing():
    """Without refusals, queues, jobs and caches the report is as short as if there were none of these tables."""
    text = printed(summarise(result({"none": [1, 2], "implicit": [1, 1]})))
    for heading in ("What bound", "Batch jobs", "Explicit caches", "Answers by tier", "thinking", "audio", "lost to"):
        assert heading not in text


def test_the_sentence_tells_which_limit_bound_most_and_when():
    """One sentence a strategy that was bound, with the limit in words, and none for another."""
    lines = " ".join(printed(summarise(bound_run()), 300).split())
    assert (
        "batch: bound most by requests a minute: 4 calls a run, all in the hour from Mon 2026-11-23 00:00 "
        "(then its callers' time-outs 0.5); and by the room for batch jobs: "
        "0.5 of 2 jobs waited, 5 % of all 1.0 min or longer; and by the slots of its own client: a request waited "
        "50 ms for one; 1.5 calls of the priority tier a run were passed on to standard, all in the hour from "
        "Mon 2026-11-23 01:00."
    ) in lines
    assert "none: bound" not in lines


def test_the_sentence_tells_the_worst_and_the_first_hour():
    """Where refusals are spread the hour with the most is told with its number, and the first hour beside it."""
    refusals = binding([(Limit.DAY, 2, 10), (Limit.DAY, 5, 30)], throttled=40)
    text = printed(summarise(result({"none": [1]}, cells=[cell("none", 0, 1, binding=refusals)])), 300)
    assert (
        "none: bound most by requests a day: 40 calls a run, 30 of them in the hour from Mon 2026-11-23 05:00, "
        "the first in that from Mon 2026-11-23 02:00."
    ) in text


def test_calls_that_were_passed_on_are_not_refused():
    """Calls above the priority tier's own limits were served: nothing bound, and no table of obstacles stands there."""
    passed = binding([(Limit.PRIORITY, 2, 10), (Limit.PRIORITY, 5, 37_410)], served=(3, 0, 0, 0))
    text = printed(summarise(result({"none": [1]}, cells=[cell("none", 0, 1, binding=passed)])), 300)
    assert (
        "none: 37,420 calls of the priority tier a run were passed on to standard, 37,410 of them in the hour from "
        "Mon 2026-11-23 05:00, the first in that from Mon 2026-11-23 02:00."
    ) in text
    assert "bound" not in text
    both = binding([(Limit.PRIORITY, 2, 9), (Limit.DAY, 2, 1)], throttled=1)
    text = printed(summarise(result({"none": [1]}, cells=[cell("none", 0, 1, binding=both)])), 300)
    assert (
        "none: bound most by requests a day: 1 calls a run, all in the hour from Mon 2026-11-23 02:00; 9 calls" in text
    )


@pytest.mark.parametrize(
    ("met", "heading"),
    [
        ({"throttled": 1, "refusals": [(Limit.CONCURRENCY, 0, 1)]}, "refused (429)"),
        ({"shed": 1, "refusals": [(Limit.OVERLOAD, 0, 1)]}, "overload (503)"),
        ({"timeouts": 1, "refusals": [(Limit.TIMEOUT, 0, 1)]}, "timed out"),
        ({"forbidden": 1, "refusals": [(Limit.FORBIDDEN, 0, 1)]}, "cache over (403)"),
        ({"queued_ms": 1}, "in own queue, a request"),
        ({"refusals": [(Limit.PRIORITY, 0, 1)], "served": (1, 0, 0, 2)}, "calls passed on to standard"),
        ({"served": (1, 0, 2, 0)}, "Answers by tier on flash"),
    ],
)
def test_each_obstacle_has_its_column_where_it_was_met(met, heading):
    """A column stands in the table if any strategy met what it counts, and not otherwise."""
    others = [cell("implicit", 0, 1)]
    text = printed(summarise(result({"none": [1], "implicit": [1]}, cells=[cell("none", 0, 1), *others])), 200)
    assert heading not in text
    bound = [cell("none", 0, 1, binding=binding(**met)), *others]
    assert heading in printed(summarise(result({"none": [1], "implicit": [1]}, cells=bound)), 200)


def test_audio_has_columns_of_the_bill_where_it_was_billed():
    """The lines of audio stay out of a table of text."""
    heard = {"input": Fraction(1), "audio_input": Fraction(2)}
    with_audio, without = (
        printed(summarise(result({"none": [3]}, cells=[cell("none", 0, 3, lines=lines, streams=[stream(audio=100)])])))
        for lines in (heard, {"input": Fraction(3)})
    )
    assert "audio input" in with_audio
    assert "audio cached" not in with_audio
    assert "audio input" not in without
    assert "Under none, audio is 25.0 % of the prompts." in with_audio


def test_the_tables_show_the_figures_of_their_run():
    """One replication, figure by figure: calls, refusals, losses, queue, jobs; times, states; caches; tiers."""
    first = next(one for one in bound_run().cells if one.binding.throttled == 6)
    text = printed(summarise(result({"none": [1], "batch": [4]}, cells=[cell("none", 0, 1), first])), 200)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    for line in (
        "batch 2.5 6 1 9.0 s 2.2 s 125 ms 1",  # 10 calls / 4 requests, 9 s / 4, 500 ms / 4, one job in three
        "none 1 – – – – – –",
        "batch before 1.0 min 1.0 min 1.0 min 2 1",
        "after 2.0 s 2.9 s 3.0 s",
        "batch 2 1 1 4 25.0 $0.2500 25.0",
        "none 3 – –",
        "batch 1 2 3",
    ):
        assert line in lines, line


@pytest.mark.parametrize("width", [80, 120])
def test_the_tables_of_what_bound_keep_to_the_terminal(width):
    """No line is wider than the terminal, and what was met stands in it."""
    text = printed(summarise(bound_run()), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for part in ("What bound on flash (hours of UTC)", "Batch jobs on flash", "Explicit caches on flash", "±"):
        assert part in text


def test_a_free_run_costs_nothing_and_prints():
    """Dollars of zero have no share of storage and no saving, and the cheapest are all of them."""
    summary = summarise(result({"none": [0, 0], "implicit": [0, 0]}, warnings=("the free tier costs nothing",)))
    text = printed(summary)
    assert pair_of(summary, "none")["storage_share"] is None
    assert "$0.00" in text
    assert "the free tier costs nothing" in text


# ---------------------------------------------------------------- from a scenario to its figures

BURST = """\
question = "What does a limit of two requests a minute do to five at once?"
start = "2026-11-23T00:00:00Z"
time_zone = "Asia/Kolkata"
horizon = "2h"
models = ["gemini-2.5-flash"]
replications = 1
[client]
attempts = 2
backoff = { base = "1s", jitter = "none" }
[project.limits]
requests_per_minute = 2
[streams.five]
arrivals = { process = "schedule", at = "06:29:45", count = 5 }
fresh = 100
output = 10
patience = "10s"
[service]
slowness_cv = 0.0
[strategies.none]
"""
REFUSAL, MINUTE_MS = 100, 60_000  # ms: until a call is known to be refused; in which the bucket of two fills


def ran(text, *sets, **more):
    return sim.run(read_scenario(parse(text.encode(), "s.toml"), "s", sets=sets), keep_requests=True, **more)


def test_a_burst_over_the_limit_is_counted_call_by_call():
    """Two of five pass; after half a minute, the time of one request, one of three; two fail, in the hour after."""
    found = ran(BURST)
    (cell,) = found.cells
    again = REFUSAL + MINUTE_MS // 2
    assert (cell.binding.asked, cell.binding.calls, cell.binding.throttled) == (5, 5 + 3, 3 + 2)
    assert cell.binding.refusals == (Refusals(Limit.REQUESTS, 0, 3), Refusals(Limit.REQUESTS, 1, 2))
    assert cell.binding.backoff_ms == 3 * again + 2 * REFUSAL
    assert [(stream.done, stream.failed) for stream in cell.streams] == [(3, 2)]
    (row,) = summarise(found)["results"]
    assert row["attempts_per_request"] == 8 / 5
    (refusal,) = row["binding"]["refusals"]
    assert [refusal[name] for name in ("limit", "mean", "in_peak_hour")] == ["requests_per_minute", 5, 3]
    assert refusal["peak_hour"] == refusal["first_hour"] == "2026-11-23T05:30:00+05:30"
    assert "3 of them in the hour from Mon 2026-11-23 05:30" in printed(summarise(found), 300)


def test_an_unlimited_project_is_none():
    """The word "unlimited" gives the run of a project without that limit, to the last figure."""
    free, none = ran(BURST, 'project.limits.requests_per_minute="unlimited"'), ran(BURST.replace("requests_per_", "#"))
    assert summarise(free)["results"] == summarise(none)["results"]
    assert free.cells[0].binding.refusals == ()


BUSY = """\
question = "?"
start = "2026-11-23T00:00:00Z"
horizon = "3h"
models = ["gemini-2.5-flash"]
replications = 3
[contexts.docs]
count = 3
tokens = { law = "uniform", low = 1000, high = 9000 }
[client]
concurrency = 3
timeout = "3s"
attempts = 3
[project.limits]
requests_per_minute = 4
concurrent_requests = 2
enqueued_tokens = "60k"
[service]
overload = { every = "20m", lasts = "5m", shed_chance = 0.5, slowdown = 2.0 }
[streams.chat]
arrivals = { process = "poisson", rate = "120/h" }
context = "docs"
fresh = 300
output = 200
thinking = 50
patience = "30s"
[streams.night]
arrivals = { process = "poisson", rate = "60/h" }
context = "docs"
fresh = 300
output = 100
patience = "24h"
[strategies]
none = {}
explicit = { ttl = "5m", clock = "own" }
hybrid = { ttl = "5m", renew = "never", window = "10m" }
routed = {}
flex = {}
priority = {}
"""
QUOTAS = (Limit.REQUESTS, Limit.TOKENS, Limit.DAY, Limit.SPEND, Limit.CONCURRENCY)


@pytest.fixture(scope="module")
def busy():
    return ran(BUSY)


def test_the_hours_add_up_to_the_requests(busy):
    """Refusals over all hours are the 429s, 503s, time-outs and 403s of all requests, column by column."""
    fired = set()
    for kept, found in zip(sorted(busy.kept, key=lambda k: (k.strategy, k.replication)),
                           sorted(busy.cells, key=lambda c: (c.strategy, c.replication)), strict=True):  # fmt: skip
        book, bound = kept.ledger, found.binding
        assert sum(bound.refused(limit) for limit in QUOTAS) == bound.throttled == int(book.throttled.sum())
        assert bound.refused(Limit.OVERLOAD) + bound.refused(Limit.SHED) == bound.shed == int(book.shed.sum())
        assert bound.refused(Limit.TIMEOUT) == bound.timeouts == int(book.timeouts.sum())
        assert bound.refused(Limit.FORBIDDEN) == bound.forbidden == int(book.forbidden.sum())
        fired |= {refusal.limit for refusal in bound.refusals}
    assert fired >= {Limit.REQUESTS, Limit.CONCURRENCY, Limit.OVERLOAD, Limit.SHED, Limit.PRIORITY, Limit.TIMEOUT}
    assert Limit.FORBIDDEN in fired


def test_every_cell_of_a_busy_run_agrees_with_itself(busy):
    """Tiers add up to the answers, jobs to their waits, unread caches to no more than all, thinking to its stream."""
    for found in busy.cells:
        assert sum(found.binding.served) == sum(stream.done for stream in found.streams)
        assert len(found.turnaround.before_ms) == len(found.turnaround.after_ms) == sum(found.jobs.values())
        assert found.caches.unread.caches <= found.caches.created
        assert found.caches.unread.usd <= found.total_usd
        chat, night = found.streams
        assert (chat.thinking_tokens, night.thinking_tokens) == (chat.done * 50, 0)
    by_tier = {found.strategy: found.binding.served for found in busy.cells}
    assert by_tier["flex"][Mode.FLEX] > 0 < by_tier["priority"][Mode.PRIORITY]
    assert by_tier["none"][Mode.STANDARD] == sum(by_tier["none"])


def test_the_document_of_a_busy_run_follows_from_its_rows(busy):
    """P90: each count of the document is the mean of its column, and ratios are ratios of the columns' sums."""
    summary, table = summarise(busy), [row for row in rows(busy) if row["stream"] == ""]
    for row in summary["results"]:
        own = [line for line in table if line["strategy"] == row["strategy"]]
        total = {name: sum(line[name] or 0 for line in own) for name in own[0] if COLUMNS[name] in ("BIGINT", "DOUBLE")}
        assert row["binding"]["throttled"] == total["throttled"] / 3
        assert row["attempts_per_request"] == total["calls"] / total["asked"]
        assert row["backoff_s"]["per_request"] == pytest.approx(total["backoff_ms"] / 1000 / total["asked"])
        assert row["thinking_share"] == pytest.approx(total["thinking_tokens"] / total["output_tokens"])
        assert row["tiers"]["flex"] == total["served_flex"] / 3
        assert row["caches"]["refused"] == total["refused_contexts"] / 3
        for refusal in row["binding"]["refusals"]:
            assert refusal["mean"] == total[f"refused_{refusal['limit']}"] / 3
    text = printed(summary)
    assert "What bound on gemini-2.5-flash (hours of UTC)" in text
    assert max(len(line) for line in text.splitlines()) <= 120


def test_the_sentence_and_the_table_of_a_cut_run_count_the_same():
    """Seen from the horizon, too, refusals over all limits and hours are those of all requests, and are fewer."""
    drained, cut = (ran(BUSY, f'close="{close}"', replications=1) for close in ("drain", "cut"))
    fewer = 0
    for whole, found in zip(drained.cells, cut.cells, strict=True):
        bound = found.binding
        assert sum(bound.refused(limit) for limit in QUOTAS) == bound.throttled
        assert bound.refused(Limit.OVERLOAD) + bound.refused(Limit.SHED) == bound.shed
        assert (bound.refused(Limit.TIMEOUT), bound.refused(Limit.FORBIDDEN)) == (bound.timeouts, bound.forbidden)
        assert all(refusal.hour < 3 for refusal in bound.refusals)
        assert bound.calls <= whole.binding.calls
        fewer += bound.calls < whole.binding.calls
    assert fewer


def test_a_cut_run_does_not_tell_what_was_never_read():
    """Some caches are read only after the horizon, so a cut run has null where a drained one counts."""
    found = ran(BUSY, 'close="cut"', replications=1)
    caching = {one.strategy: one.caches for one in found.cells}
    assert caching["explicit"].unread is None
    assert pair_of(summarise(found), "explicit")["caches"]["unread_usd"] is None
    assert all(one["unread_caches"] is None for one in rows(found) if one["stream"] == "")
