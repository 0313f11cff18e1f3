"""The document gcsim.run/2 of a run: what each of its numbers means, and when it is null."""

import io
import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import cell, result, stream
from rich.console import Console

from sim import stats
from sim.experiments.result import Certainty
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.summary import summarise
from sim.providers.prices import LINES
from sim.report.run_table import run_report, verdict
from sim.report.tables import empty
from sim.skewed import bill_difference, bill_interval, bill_saving


def pair_of(summary, strategy, model="flash"):
    return next(r for r in summary["results"] if (r["strategy"], r["model"]) == (strategy, model))


def comparison(summary, strategy):
    return next(c for c in summary["comparisons"] if c["strategy"] == strategy)


def printed(summary, width=120):
    console = Console(width=width, file=io.StringIO())
    console.print(*run_report(summary), sep="\n")
    return console.file.getvalue()


def test_the_document_has_the_keys_that_its_schema_promises():
    """gcsim.run/2 has the keys of the issue, and JSON can hold it."""
    summary = summarise(result({"none": [3, 4, 6], "batch": [1, 2, 2]}))
    assert summary["schema"] == "gcsim.run/2"
    assert {"scenario", "seed", "replications", "assumptions", "results", "comparisons"} <= set(summary)
    wanted = {
        "strategy",
        "model",
        "cost_usd",
        "lines_usd",
        "hit_ratio",
        "latency_s",
        "within_patience",
        "requests",
        "streams",
    }
    for row in summary["results"]:
        assert wanted <= set(row)
        assert set(row["cost_usd"]) == {"mean", "lo", "hi", "p5", "p50", "p95"}
        assert list(row["lines_usd"]) == list(LINES)
        assert set(row["latency_s"]) == {"mean", "p50", "p95", "p99"}
        assert set(row["requests"]) == {"total", "done", "failed", "expired", "pending"}
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_cost_is_the_mean_with_an_interval_for_bills():
    """cost_usd is the mean over replications, its interval allows for skewness, and quantiles are the replications'."""
    costs = [1, 2, 6]
    found = pair_of(summarise(result({"none": costs})), "none")["cost_usd"]
    assert (found["mean"], found["lo"], found["hi"]) == bill_interval(costs)
    assert found["hi"] > stats.mean_interval(costs).hi
    assert [found[q] for q in ("p5", "p50", "p95")] == [stats.quantile([1, 2, 6], q) for q in (0.05, 0.5, 0.95)]


def test_one_replication_has_an_exact_total_and_no_bounds():
    """P81: bounds are null with one replication, and the exact amount is a decimal text only then."""
    one = summarise(result({"none": [Fraction(12625, 10**4)], "batch": [Fraction(1, 3)]}))
    assert pair_of(one, "none")["total_exact_usd"] == "1.2625"
    assert pair_of(one, "batch")["total_exact_usd"] == "0.333333333333"
    for row in one["results"]:
        assert (row["cost_usd"]["lo"], row["cost_usd"]["hi"]) == (None, None)
        assert all(
            b == [None, None] for b in (*row["intervals"]["latency_s"].values(), row["intervals"]["within_patience"])
        )
    assert all(c["difference_usd"]["lo"] is None for c in one["comparisons"])
    assert any("one replication" in warning for warning in one["warnings"])
    assert "total_exact_usd" not in pair_of(summarise(result({"none": [1, 1]})), "none")


def test_a_run_without_chance_says_so():
    """Identical replications have intervals of width 0, and a warning that nothing is random."""
    summary = summarise(result({"none": [2, 2, 2]}, random=False))
    cost = pair_of(summary, "none")["cost_usd"]
    assert (cost["lo"], cost["hi"]) == (2.0, 2.0)
    assert any("nothing in this scenario is random" in warning for warning in summary["warnings"])


def test_the_difference_is_paired_and_the_saving_is_its_share():
    """difference = strategy - baseline in the same replication; the saving's interval is of the ratio of means."""
    none, batch = [10, 20, 60], [6, 9, 31]
    found = comparison(summarise(result({"none": none, "batch": batch})), "batch")
    assert tuple(found["difference_usd"].values()) == bill_difference(batch, none)
    assert found["difference_usd"]["mean"] == (46 - 90) / 3
    assert tuple(found["saving"].values()) == bill_saving(batch, none)
    assert found["saving"]["mean"] == pytest.approx((90 - 46) / 90)
    assert found["share_cheapest"] == 1.0
    assert comparison(summarise(result({"none": [0, 0], "batch": [1, 1]})), "batch")["saving"] is None


def test_a_saving_that_is_the_same_share_of_every_bill_is_known_exactly():
    """Half of a bill that varies is saved: the interval has no width, where that of the difference has."""
    found = comparison(summarise(result({"none": [10, 20, 60], "batch": [5, 10, 30]})), "batch")
    assert tuple(found["saving"].values()) == (0.5, 0.5, 0.5)
    assert found["difference_usd"]["lo"] < found["difference_usd"]["mean"]


def test_hits_and_patience_are_ratios_of_sums():
    """hit_ratio = cached over prompt tokens of answered requests; within_patience counts all requests."""
    few = stream(waits=[1000], prompt=1000, implicit=500, explicit=250, failed=1, expired=1, pending=1)
    many = stream(waits=[1000, 9000, 9000], prompt=100, implicit=0, explicit=100)
    cells = [cell("none", 0, 1, streams=[few]), cell("none", 1, 1, streams=[many])]
    found = pair_of(summarise(result({"none": [1, 1]}, cells=cells)), "none")
    assert found["hit_ratio"] == {"implicit": 500 / 1300, "explicit": 550 / 1300}
    assert found["within_patience"] == 2 / 7
    assert found["requests"] == {"total": 3.5, "done": 2, "failed": 0.5, "expired": 0.5, "pending": 0.5}


def test_latency_is_pooled_over_replications_and_streams():
    """Latency quantiles are of all answered requests together; each stream has its own beside."""
    chat, load = stream("chat", waits=[100, 300]), stream("load", waits=[5000, 7000, 9000])
    cells = [cell("none", r, 1, streams=[chat, load]) for r in range(2)]
    found = pair_of(summarise(result({"none": [1, 1]}, cells=cells)), "none")
    assert found["latency_s"]["p50"] == np.quantile([0.1, 0.3, 5, 7, 9] * 2, 0.5)
    assert found["latency_s"]["mean"] == pytest.approx(21.4 / 5)
    assert found["streams"]["load"]["latency_s"]["p50"] == 7.0
    assert found["streams"]["chat"]["requests"]["total"] == 2


def test_without_an_answer_there_is_no_latency():
    """A pair that answers nothing has null latency and hits, and none of its requests within patience."""
    nothing = stream(waits=[], expired=5)
    cells = [cell("batch", r, 0, streams=[nothing], jobs={"expired": 1}) for r in range(3)]
    found = pair_of(summarise(result({"batch": [0, 0, 0]}, cells=cells)), "batch")
    assert set(found["latency_s"].values()) == {None}
    assert set(found["hit_ratio"].values()) == {None}
    assert found["within_patience"] == 0.0
    assert found["jobs"] == {"expired": 1}
    assert "–" in printed(summarise(result({"batch": [0, 0, 0]}, cells=cells)))


def test_the_verdict_is_the_cheapest_pair_that_keeps_the_patience_target():
    """A strategy that is cheaper but late does not win; where all are late none does, and the reason is told."""
    late = stream(waits=[9000, 9000, 9000])
    cells = [cell("none", 0, 3), cell("implicit", 0, 2), cell("batch", 0, 1, streams=[late])]
    run = result({"none": [3], "implicit": [2], "batch": [1]}, cells=cells)
    assert summarise(run)["cheapest"]["strategy"] == "implicit"
    assert "implicit on flash" in verdict(summarise(run))
    cells = [cell(name, 0, 1, streams=[late]) for name in ("none", "implicit", "batch")]
    nobody = summarise(result({"none": [3], "implicit": [2], "batch": [1]}, cells=cells))
    assert nobody["cheapest"]["strategy"] is None
    assert "No cheapest strategy" in verdict(nobody)


def test_equal_costs_are_named_as_ties():
    """Of pairs that cost the same to the last digit the scenario's first is named, and the others beside it."""
    third = Fraction(1, 3)
    best = summarise(result({"none": [third], "implicit": [third], "batch": [third + Fraction(1, 10**30)]}))["cheapest"]
    assert best["strategy"] == "none"
    assert best["ties"] == [{"strategy": "implicit", "model": "flash"}]


def test_a_run_that_was_cut_ranks_nothing():
    """A cut run has no comparisons and no cheapest pair: the one that defers most would win by unbilled work."""
    summary = summarise(result({"none": [3, 4], "batch": [1, 1]}, ranked=False))
    assert summary["comparisons"] == []
    assert summary["cheapest"]["strategy"] is None
    assert "cut" in summary["cheapest"]["reason"]
    assert "cheapest in" not in printed(summary)


def test_skewed_costs_are_warned_of():
    """P82: a bill with an outlier among few replications has its skewness told."""
    summary = summarise(result({"none": [1] * 29 + [50]}))
    assert any("cost of none on flash: skewness" in warning for warning in summary["warnings"])


def test_a_difference_that_is_skewed_is_warned_of_where_neither_cost_is():
    """Two even bills may be apart by one replication in thirty: that difference is told by its name."""
    none = [1000 + 7 * (r % 9) for r in range(30)]
    batch = [usd - 100 for usd in none]
    even = summarise(result({"none": none, "batch": batch}))
    assert not any("skewness" in warning for warning in even["warnings"])
    batch[4] += 30
    (told,) = [text for text in summarise(result({"none": none, "batch": batch}))["warnings"] if "skewness" in text]
    assert told.startswith("difference of batch to none on flash: skewness")


def test_bills_with_batch_jobs_are_named_for_what_no_sample_shows():
    """A job that is stuck for days is in few samples: who has jobs is named, with what n replications may miss."""
    cells = [
        cell(s, r, 10 + r % 3, jobs={"succeeded": 1} if s == "batch" else {})
        for s in ("none", "batch")
        for r in range(30)
    ]
    told = summarise(result({"none": [1] * 30, "batch": [1] * 30}, cells=cells))["warnings"]
    (one,) = [text for text in told if "batch jobs" in text]
    assert "(batch)" in one
    assert "30 replications may have missed what happens less than once in 10" in one
    assert not any("batch jobs" in text for text in summarise(result({"none": [1, 2] * 15}))["warnings"])


costs = st.lists(st.fractions(0, 1000, max_denominator=1000), min_size=4, max_size=4)


@given(costs, costs, costs)
def test_the_summary_agrees_with_itself(a, b, c):
    """P80/P84: means lie in their intervals, differences are differences of means, shares add up to one."""
    summary = summarise(result({"none": a, "implicit": b, "batch": c}))
    means = {row["strategy"]: row["cost_usd"]["mean"] for row in summary["results"]}
    for row in summary["results"]:
        assert row["cost_usd"]["lo"] <= row["cost_usd"]["mean"] <= row["cost_usd"]["hi"]
    for row in summary["comparisons"]:
        apart = means[row["strategy"]] - means["none"]
        assert row["difference_usd"]["mean"] == pytest.approx(apart, rel=1e-9, abs=1e-9)
    assert sum(row["share_cheapest"] for row in summary["comparisons"]) == pytest.approx(1.0)
    best = summary["cheapest"]
    assert means[best["strategy"]] == min(means.values())


def test_the_summary_follows_from_the_rows():
    """P90: means, counts and ratios of the summary are recomputed from the table of replications."""
    cells = [cell("none", r, Fraction(r + 1, 7), streams=[stream("a"), stream("b", waits=[r, 10])]) for r in range(4)]
    run = result({"none": [1] * 4}, cells=cells)
    table = [row for row in rows(run) if row["stream"] == ""]
    found = pair_of(summarise(run), "none")
    exact = [Fraction(row["cost_usd_exact"]) for row in table]
    assert found["cost_usd"]["mean"] == float(sum(exact) / 4)
    assert found["requests"]["total"] == sum(row["total"] for row in table) / 4
    assert found["within_patience"] == sum(r["within_patience"] for r in table) / sum(r["total"] for r in table)
    assert found["latency_s"]["mean"] == pytest.approx(
        sum(r["latency_sum_ms"] for r in table) / sum(r["done"] for r in table) / 1000
    )


def test_rows_have_every_column_and_one_row_a_stream():
    """A cell of two streams has three rows, each with all columns; only the first has money."""
    run = result({"none": [1]}, cells=[cell("none", 0, 1, streams=[stream("a"), stream("b")])])
    table = list(rows(run))
    assert [row["stream"] for row in table] == ["", "a", "b"]
    assert all(set(row) == set(COLUMNS) for row in table)
    assert [row["cost_usd_exact"] for row in table] == ["1", None, None]
    assert table[0]["total"] == table[1]["total"] + table[2]["total"]


@pytest.mark.parametrize("width", [80, 120])
def test_the_report_fits_the_terminal_and_shows_what_was_found(width):
    """The table keeps to the width, and every strategy, warning and assumption stands in it."""
    two = [[cell(s, r, 10 + r, streams=[stream("chat"), stream("load")]) for r in range(3)] for s in ("none", "batch")]
    run = result({"none": [1] * 3, "batch": [1] * 3}, cells=[c for cells in two for c in cells], warnings=("Beware.",))
    text = printed(summarise(run), width)
    assert max(len(line) for line in text.splitlines()) <= width
    for part in ("What does it cost?", "none", "batch", "chat", "load", "Beware.", "Answers are slow at times.", "±"):
        assert part in text


LONG = "until_the_last_answer"


@pytest.mark.parametrize("width", [90, 100, 110, 200])
def test_names_are_never_shortened(width):
    """At usual widths names of strategies stand in full, on one line, in every table."""
    cells = [cell(s, r, 1234 + 56 * r) for s in ("none", LONG) for r in range(3)]
    text = printed(summarise(result({"none": [1] * 3, LONG: [1] * 3}, cells=cells)), width)
    assert max(len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    tables = text.count("strategy ")
    assert text.count(f"{LONG} ") >= tables >= 4


@pytest.mark.parametrize(("runs", "bounded"), [(3, []), (30, ["p50"]), (71, ["p50"]), (72, ["p5", "p50", "p95"])])
def test_a_quantile_of_the_cost_has_bounds_or_says_how_many_runs_they_need(runs, bounded):
    """O41: bounds are order statistics; without them stands the least n whose extremes bound the quantile."""
    costs = [100 + (7 * r) % 72 for r in range(runs)]
    summary = summarise(result({"none": costs}))
    found = pair_of(summary, "none")
    shown = " ".join(printed(summary, 200).split())
    for name, q, least in (("p5", 0.05, 72), ("p50", 0.5, 6), ("p95", 0.95, 72)):
        low, high = found["intervals"]["cost_usd"][name]
        usd = found["cost_usd"][name]
        if name in bounded:
            assert (low, high) == stats.quantile_interval(costs, q)[1:]
            assert f"${usd:.2f} [{low:.2f}, {high:.2f}]" in shown
        else:
            assert f"${usd:.2f} (needs n >= {least})" in shown


def test_what_common_luck_gave_is_printed():
    """O42: the ratio of variances that was achieved stands below the costs, for each strategy but the baseline."""
    none, batch = [10, 20, 60, 30], [6, 9, 31, 14]
    summary = summarise(result({"none": none, "batch": batch}))
    ratio = np.var(np.subtract(batch, none), ddof=1) / (np.var(batch, ddof=1) + np.var(none, ddof=1))
    assert comparison(summary, "batch")["variance_ratio"] == pytest.approx(ratio)
    assert f"without common luck: batch {ratio:.2g}." in " ".join(printed(summary).split())
    assert "common luck" not in printed(summarise(result({"none": [1, 1], "batch": [2, 2]})))


SURE = Certainty(0.02, 100, 400, (100, 200, 400), reached=False, widths={"cost of none on flash": 0.031, "b": 0.001})


def test_a_run_that_was_not_sure_at_its_ceiling_names_what_is_not_known():
    """The measures that missed the precision are named with the widths reached, and the others are not."""
    run = result({"none": [1, 2]}, certainty=SURE)
    summary = summarise(run)
    (told,) = [warning for warning in summary["warnings"] if "ceiling" in warning]
    assert told == (
        "the ceiling of 400 replications ended the run before all was known to ± 2 %: cost of none on flash ± 3.1 %"
    )
    found = summary["precision"]
    assert (found["reached"], found["looks"], found["widest"]) == (False, [100, 200, 400], "cost of none on flash")
    shown = " ".join(printed(summary).split())
    assert "looks at 100, 200, 400; the widest: cost of none on flash, ± 3.1 %. Rule: Chow and Robbins" in shown


def test_a_measure_without_a_width_is_null_and_said_to_have_none():
    """JSON has no infinity: a mean of zero that varies is known to no relative precision, and said so."""
    summary = summarise(result({"none": [1, 2]}, certainty=SURE._replace(widths={"saving": float("inf")})))
    assert json.loads(json.dumps(summary, allow_nan=False))["precision"]["widths"] == {"saving": None}
    assert any("saving to no precision at all" in warning for warning in summary["warnings"])


def test_a_low_floor_is_warned_of():
    """A run that may stop before the rare and dear has been seen says so."""
    sure = SURE._replace(reached=True, floor=30)
    assert any(
        "a floor of 30 replications" in text for text in summarise(result({"a": [1, 2]}, certainty=sure))["warnings"]
    )
    assert not any("floor" in text for text in summarise(result({"a": [1, 2]}, certainty=SURE))["warnings"])


def test_a_figure_goes_on_at_its_spaces_and_a_name_folds_only_below_that():
    """Half-widths go below their means first; a name folds, and loses nothing, where whole figures need its room."""
    table = empty("Costs", ["strategy", "mean"])
    table.add_row(LONG, "$1,234.00 ± 56.00")
    shown = {}
    for width in (50, 36, 24):
        console = Console(width=width, file=io.StringIO())
        console.print(table)
        shown[width] = [line.split() for line in console.file.getvalue().splitlines()]
    assert [LONG, "$1,234.00", "±", "56.00"] in shown[50]
    assert ["$1,234.00"] in shown[36]
    assert [LONG, "±", "56.00"] in shown[36]
    folded = ("until_the", "_last_ans", "wer")
    assert "".join(folded) == LONG
    assert [[folded[0]], [folded[1], "$1,234.00"], [folded[2], "±", "56.00"]] == shown[24][4:7]
