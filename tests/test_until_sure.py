"""gcsim run --precision: the command's own loop covers as often as it says, and the command says what it did."""

from dataclasses import replace

import numpy as np
import pytest
from draws import sample
from made_results import cell
from scipy.stats import binom

import sim
from sim.errors import InputError
from sim.experiments.montecarlo import asked_of
from sim.experiments.replications import Replications
from sim.experiments.until_sure import Until, measures
from sim.skewed import bill_difference, bill_interval
from sim.stopping import look

SEED = 1969
TEMPLATE = {name: cell(name, 0, 0) for name in ("none", "batch")}


class MadeUp(Replications):
    """The command's replications, but for what a cell costs: that is taken from a list a strategy."""

    def __init__(self, asked, bills):
        super().__init__(asked)
        self.bills = bills

    def look(self, count):
        """Nothing is drawn."""

    def _compute(self, replication, sharing, *_):
        for pair in sharing:
            usd = self.bills[pair.arm.name][replication]
            self.cells.append(
                replace(TEMPLATE[pair.arm.name], model=pair.model, replication=replication, total_usd=usd)
            )


def two_bills(law, runs, ceiling):
    """Return runs of two strategies' bills, one of a law and one of half of it with a little of its own; the means."""
    base, mean = sample(law, (runs, ceiling), SEED)
    own, noise = sample("exponential", (runs, ceiling), SEED, purpose="noise")
    return (base, base / 2 + own * mean / 50), (mean, mean / 2 + noise * mean / 50)


def covered(law, until, runs):
    """Return how many of the runs until sure covered each of the two costs and their difference."""
    bills, (mean, half) = two_bills(law, runs, until.ceiling)
    scenario = sim.load("quickstart", sets=["strategies={none={}, batch={}}"])
    asked = asked_of(scenario, until=until, baseline="none", engine="reference")
    hits = np.zeros(3, dtype=int)
    for none, batch in zip(*(column.tolist() for column in bills), strict=True):
        work = MadeUp(asked, {"none": none, "batch": batch})
        end = work.carry_out()
        n = end.looks[-1]
        assert end.reached
        assert len(work.cells) == 2 * n
        found = [bill_interval(none[:n]), bill_interval(batch[:n]), bill_difference(batch[:n], none[:n])]
        hits += [i.lo <= truth <= i.hi for i, truth in zip(found, (mean, half, half - mean), strict=True)]
    return hits


def in_band(hits, runs):
    """Whether a coverage is one of 93 to 97 %, to an error of 1e-6 over the runs."""
    return (binom.ppf(5e-7, runs, 0.93) <= hits) & (hits <= binom.ppf(1 - 5e-7, runs, 0.97))


def test_the_intervals_of_a_run_until_sure_cover_as_often_as_they_say():
    """O40: both costs and their difference, at the end of 250 runs of their own lengths (seed 1969, error 1.4 %)."""
    assert in_band(covered("normal", Until(0.05, 100, 600), 250), 250).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("law", "until"), [("exponential", Until(0.10, 100, 2_000)), ("lognormal(1)", Until(0.2, 100, 2_000))]
)
def test_the_intervals_of_skewed_bills_cover_at_the_end_of_a_run(law, until):
    """O40: the same over 1,000 runs (standard error 0.7 %)."""
    hits = covered(law, until, 1_000)
    print(f"{law}: {hits / 10} % of the costs and the difference are covered")
    assert in_band(hits, 1_000).all()


def test_a_floor_of_30_ends_a_run_before_the_dear_bills_have_been_seen():
    """The negative control: of bills that are double once in twenty a lower floor covers less than the band."""
    assert not in_band(covered("rare", Until(0.05, 30, 600), 250)[0], 250)


# ---------------------------------------------------------------- what is asked of a run


def test_a_difference_is_measured_as_a_share_of_the_baselines_cost():
    """Two strategies that cost the same are known as soon as their bill is: a share of nothing is never known."""
    luck = [100, 101, 99, 100] * 30
    cells = [cell("none", r, usd) for r, usd in enumerate(luck)]
    cells += [cell("batch", r, usd + (-1) ** r) for r, usd in enumerate(luck)]
    costs = measures(cells, "none", ranked=True)
    assert [measure.name for measure in costs] == [
        "cost of none on flash",
        "cost of batch on flash",
        "difference of batch to none on flash",
    ]
    assert (costs[2].unit, costs[2].values[:2]) == (100, [1, -1])
    assert look(costs, 0.01).reached
    assert not look([costs[2]._replace(unit=None)], 0.01).reached
    assert [measure.name for measure in measures(cells, "none", ranked=False)] == [name for name, *_ in costs[:2]]


def test_a_run_until_sure_is_a_run_of_its_length():
    """Cells, statistics and warnings are those of as many replications asked for by number."""
    scenario = sim.load("guide-1-document-analysis-stochastic")
    sure = sim.run(scenario, precision=0.2, floor=6, ceiling=20)
    told = sim.summarise(sure)
    fixed = sim.summarise(sim.run(scenario, replications=sure.replications))
    assert 6 < sure.replications <= 20
    assert told["results"] == fixed["results"]
    assert told["comparisons"] == fixed["comparisons"]
    assert fixed["precision"] is None


def test_where_nothing_is_random_the_floor_ends_the_run():
    """All replications are the same: known exactly, and said to be so, but no rare event is ruled out before."""
    told = sim.summarise(sim.run(sim.load("guide-1-document-analysis"), precision=0.02, floor=12))
    assert told["precision"]["looks"] == [12]
    assert set(told["precision"]["widths"].values()) == {0.0}
    assert any("nothing in this scenario is random" in warning for warning in told["warnings"])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"precision": 0.0}, "precision: must be above 0"),
        ({"precision": 0.02, "replications": 3}, "replications: contradicts precision"),
        ({"precision": 0.02, "floor": 1}, "floor: must be at least 2"),
        ({"precision": 0.02, "ceiling": 99}, "ceiling: must be between the floor of 100"),
        ({"keep_requests": True, "out": "x"}, "keep_requests: contradicts out and resume"),
        ({"replications": 1, "resume": "nowhere"}, "no manifest"),
    ],
)
def test_a_function_call_that_contradicts_itself_is_refused(tmp_path, monkeypatch, wrong, told):
    """The function refuses what the command refuses, and writes nothing."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=told):
        sim.run(sim.load("guide-1-document-analysis"), **wrong)
    assert list(tmp_path.iterdir()) == []
