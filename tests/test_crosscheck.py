"""Programs of others on the same samples: SALib on what `gcsim sensitivity` got, sim-tools on replications.

They are oracles of the extra ``crosscheck``; a test whose package is not there is skipped.
"""

from fractions import Fraction

import numpy as np
import pytest
from draws import keyed
from scipy.special import ndtri
from sources import Made
from sweeps import small

import sim
from sim.decisions.drivers.methods import Sizes
from sim.decisions.drivers.sensitivity import answer, question_of
from sim.skewed import bill_interval
from sim.stats import mean_interval
from sim.stopping import Measure, look

EXTRA = "an oracle in the extra `crosscheck`: pip install gemini-cost-sim[crosscheck]"

# ---------------------------------------------------------------- SALib: what the command got at the same points

RANGES = {"load": (1.0, 3.0), "service.slowness_cv": (0.0, 0.5), "streams.chat.fresh.cv": (1.0, 1.2)}
PROBLEM = {"num_vars": 3, "names": list(RANGES), "bounds": [[0, 1]] * 3}


class Recorded(Made):
    """A source that keeps what it gave: the points as shares of their ranges, and the mean cost at each."""

    def find(self, asks, replications):
        """Return made cells, and keep them."""
        found = super().find(asks, replications)
        sets = [dict(text.split("=", 1) for text in ask.sets) for ask in asks]
        self.x = np.array([[(float(one[p]) - lo) / (hi - lo) for p, (lo, hi) in RANGES.items()] for one in sets])
        bills = [[Fraction(row["cost_usd_exact"]) for row in point.of("none", None)] for point in found]
        self.y = np.array([float(sum(own) / len(own)) for own in bills])
        return found


def bent(place):
    """A bill of three inputs that bends and mixes them, and of luck that all points share but in its size."""
    a, b, c = ((place.number(path, lo) - lo) / (hi - lo) for path, (lo, hi) in RANGES.items())
    return {"cost_usd": 100 + 3 * a + 2 * (b - 0.3) ** 2 + 4 * a * c + (1 + c) * place.luck.normal()}


def commanded(tmp_path, method, sizes):
    """Return what `gcsim sensitivity` says of each input's share in the cost, and its source."""
    base = sim.load(small(tmp_path))
    vary = [f"{path}={lo}..{hi}" for path, (lo, hi) in RANGES.items()]
    question = question_of(base, vary, method, ("cost",), ("none",), sizes, replications=3)
    source = Recorded(base, bent)
    entries = answer(question, source)[method]["outputs"][0]["inputs"]
    assert [entry["path"] for entry in entries] == list(RANGES)
    return entries, source


def test_salib_finds_the_effects_that_the_command_tells(tmp_path):
    """T1: Morris' mu, mu* and sigma of the outputs at the command's own points; control: another order of inputs."""
    pytest.importorskip("SALib", reason=EXTRA)
    from SALib.analyze import morris

    entries, source = commanded(tmp_path, "morris", Sizes(trajectories=12))
    theirs = morris.analyze(PROBLEM, source.x, source.y, num_levels=4)
    for part in ("mu", "mu_star", "sigma"):
        ours = [entry[part]["mean"] for entry in entries]
        assert ours == pytest.approx(list(theirs[part]), rel=1e-9, abs=1e-9)
        assert ours[::-1] != pytest.approx(list(theirs[part]), rel=0.01, abs=0.01)


def test_salib_finds_the_shares_of_variance_that_the_command_tells(tmp_path):
    """T3, 5e-3: both Sobol' indices; theirs take the variance of rows A and B together; control: another order."""
    pytest.importorskip("SALib", reason=EXTRA)
    from SALib.analyze import sobol

    rows = 128
    entries, source = commanded(tmp_path, "sobol", Sizes(rows=rows))
    interleaved = source.y.reshape(5, rows)[[0, 2, 3, 4, 1]].T.ravel()  # A, AB of each input, B, row by row
    theirs = sobol.analyze(PROBLEM, interleaved, calc_second_order=False, num_resamples=10, seed=1)
    for part, name in (("first", "S1"), ("total", "ST")):
        ours = [entry[part]["mean"] for entry in entries]
        assert ours == pytest.approx(list(theirs[name]), abs=5e-3)
        assert ours[::-1] != pytest.approx(list(theirs[name]), abs=5e-2)


def test_salib_finds_the_shifts_that_the_command_tells(tmp_path):
    """T3, 0.02: PAWN's median and greatest distance; their last slice leaves out the last point; no tail of theirs."""
    pytest.importorskip("SALib", reason=EXTRA)
    from SALib.analyze import pawn

    entries, source = commanded(tmp_path, "pawn", Sizes(points=600))
    theirs = pawn.analyze(PROBLEM, source.x, source.y, S=10, seed=1)
    for part, name in (("median", "median"), ("greatest", "maximum")):
        ours = [entry["whole"][part] for entry in entries]
        assert ours == pytest.approx(list(theirs[name]), abs=0.02)
        assert ours[::-1] != pytest.approx(list(theirs[name]), abs=0.1)


# ---------------------------------------------------------------- sim-tools: intervals, and when runs are enough


def bills(count, seed=1):
    """Return lognormal bills: (count,), mean about 10, with a sigma of 0.5."""
    return np.exp(np.log(10) + 0.5 * ndtri(keyed(seed, shape=(count,))))


@pytest.fixture
def analysis():
    return pytest.importorskip("sim_tools.output_analysis", reason=EXTRA)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
def test_sim_tools_finds_the_same_t_intervals(analysis, level):
    """T1: mean and bounds of every beginning of a sample from three on; theirs has none of two, ours has."""
    values = bills(60)
    running = analysis.OnlineStatistics(alpha=1 - level)
    for n, value in enumerate(values.tolist(), start=1):
        running.update(value)
        ours = mean_interval(values[:n].tolist(), level)
        if n > 2:
            assert ours == pytest.approx((running.mean, running.lci, running.uci), rel=1e-9)
            assert ours != pytest.approx(mean_interval(values[:n].tolist(), level - 0.05), rel=1e-3)
    assert mean_interval([1.0, 3.0], level).lo is not None
    assert np.isnan(analysis.OnlineStatistics(np.array([1.0, 3.0])).lci)


def test_sim_tools_finds_the_width_of_a_sample_that_does_not_lean(analysis):
    """T1: where nothing is skewed the width that stops a run is that of a t interval, over the mean."""
    values = [10.0 + sign * (1 + k % 7) for k in range(60) for sign in (1, -1)]
    running = analysis.OnlineStatistics(np.array(values), alpha=0.05)
    found = look([Measure("cost", values)], 0.05)
    assert found.widths["cost"] == pytest.approx(running.deviation, rel=1e-9)
    assert found.reached == (running.deviation <= 0.05)


def test_a_run_until_sure_goes_on_at_least_as_long_as_sim_tools_would(analysis):
    """On purpose: 100 replications at the least, wider intervals where bills lean, few looks instead of a look ahead.

    So at each length ours is at least as wide, on skewed bills wider, and where ours stops theirs had its precision.
    """
    values = bills(2_000).tolist()
    running = analysis.OnlineStatistics(alpha=0.05)
    for n, value in enumerate(values[:400], start=1):
        running.update(value)
        if n > 2:
            found = look([Measure("cost", values[:n])], 0.05)
            assert found.widths["cost"] >= running.deviation * (1 - 1e-9)
    assert found.widths["cost"] > 1.02 * running.deviation
    assert bill_interval(values[:400]).hi > running.uci

    needed, table = analysis.confidence_interval_method(values, 0.05, 0.03, min_rep=3, decimal_places=12)
    n = 0
    while (found := look([Measure("cost", values[:n])], 0.03)).more:
        n += found.more
    assert found.reached
    assert n >= needed
    assert table["% deviation"].loc[n] <= 0.03


def test_sim_tools_stops_where_our_t_interval_is_narrow_enough(analysis):
    """T0: the replications algorithm (Hoad, Robinson and Davies 2010), looking 5 ahead, stops at the same length.

    That is the first from which the t interval of each of six lengths is within the precision. Without the look ahead
    (the control) it is an earlier one.
    """
    values = bills(1_000, seed=2).tolist()
    model = type("Replayed", (), {"single_run": lambda _, number: {"cost": values[number]}})()

    def theirs(ahead):
        rule = analysis.ReplicationsAlgorithm(0.05, 0.1, initial_replications=3, look_ahead=ahead)
        return int(rule.select(model, ["cost"])[0]["cost"])

    def ours(ahead):
        return next(n for n in range(3, 900) if all(_width(values[:k]) <= 0.1 for k in range(n, n + ahead + 1)))

    assert theirs(5) == ours(5)
    assert theirs(0) == ours(0)


def _width(values):
    """Return the half-width of a t interval over the mean."""
    found = mean_interval(values)
    return (found.hi - found.mean) / found.mean
