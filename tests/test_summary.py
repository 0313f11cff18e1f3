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
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.summary import summarise
from sim.providers.prices import LINES
from sim.report.run_table import run_report, verdict
from sim.report.tables import empty


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


def test_cost_is_the_mean_with_the_t_interval():
    """cost_usd is the mean over replications with its interval, and quantiles of the replications."""
    costs = [1, 2, 6]
    found = pair_of(summarise(result({"none": costs})), "none")["cost_usd"]
    assert (found["mean"], found["lo"], found["hi"]) == stats.mean_interval([1.0, 2.0, 6.0])
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
    """difference = strategy - baseline in the same replication; saving = -difference over the baseline's mean."""
    none, batch = [10, 20, 60], [6, 9, 31]
    found = comparison(summarise(result({"none": none, "batch": batch})), "batch")
    expected = stats.mean_interval([b - n for b, n in zip(batch, none, strict=True)])
    assert tuple(found["difference_usd"].values()) == expected
    assert found["saving"]["mean"] == pytest.approx((90 - 46) / 90)
    assert found["saving"]["lo"] == pytest.approx(-expected.hi / 30)
    assert found["saving"]["hi"] == pytest.approx(-expected.lo / 30)
    assert found["share_cheapest"] == 1.0
    assert comparison(summarise(result({"none": [0, 0], "batch": [1, 1]})), "batch")["saving"] is None


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


def test_the_quantiles_of_the_cost_give_way_where_there_is_no_room():
    """The column p5, p50, p95 is left out where it would wrap, and a line says where it is; else it is on one line."""
    cells = [cell(s, r, 123456 + r) for s in ("none", LONG) for r in range(3)]
    summary = summarise(result({"none": [1] * 3, LONG: [1] * 3}, cells=cells))
    wide, narrow = (printed(summary, width) for width in (160, 110))
    quantiles = "$123,456.10, $123,457.00, $123,457.90"
    assert wide.count(quantiles) == 2
    assert "No room for" not in wide
    assert "$123,457.00 ± 2.48" in narrow
    assert "$123,457.90" not in narrow
    assert "No room for p5, p50, p95: see --json." in narrow


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
