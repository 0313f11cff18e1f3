"""The sequential rule: what its intervals cover when it stops, and what it does at its ends."""

import math

import numpy as np
import pytest
from draws import sample
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import binom

from sim import stopping
from sim.skewed import bill_interval
from sim.stats import Interval
from sim.stopping import Measure, look

MACRO = 1_000
SEED = 1965
CASES = [("normal", 0.03, 1_000), ("exponential", 0.10, 2_000), ("lognormal(1)", 0.20, 2_000), ("rare", 0.03, 1_000)]
LONG = [("lognormal(1)", 0.10, 4_000), ("lognormal(1.5)", 0.20, 6_000)]


def until_sure(values, precision, ceiling):
    """Return the last look of a run that takes its replications from a list."""
    n = 0
    while True:
        seen = look([Measure("cost", values[:n])], precision, ceiling=ceiling)
        if seen.stop:
            return seen
        n += seen.more


def coverage(law, precision, ceiling):
    draws, truth = sample(law, (MACRO, ceiling), SEED)
    ends = [until_sure(row, precision, ceiling) for row in draws.tolist()]
    assert np.mean([end.reached for end in ends]) > 0.9
    return sum(end.intervals["cost"].lo <= truth <= end.intervals["cost"].hi for end in ends)


def in_band(count):
    """Whether a coverage over the macro-replications is one of 93 to 97 %, to an error of 1e-6."""
    return binom.ppf(5e-7, MACRO, 0.93) <= count <= binom.ppf(1 - 5e-7, MACRO, 0.97)


@pytest.mark.parametrize(("law", "precision", "ceiling"), CASES)
def test_intervals_at_the_stop_cover_as_often_as_they_say(law, precision, ceiling):
    """O40: stopping when the interval is narrow costs no coverage, over 1,000 runs of their own lengths (seed 1965)."""
    assert in_band(coverage(law, precision, ceiling))


@pytest.mark.slow
@pytest.mark.parametrize(("law", "precision", "ceiling"), LONG)
def test_intervals_of_strongly_skewed_bills_cover_at_the_stop(law, precision, ceiling):
    """O40: the same where it takes a thousand replications and more."""
    assert in_band(coverage(law, precision, ceiling))


def student(values, level):
    mean, half = np.mean(values), stdtrit(len(values) - 1, (1 + level) / 2) * np.std(values, ddof=1)
    return Interval.around(mean, half / math.sqrt(len(values)))


def test_the_textbook_rule_covers_less(monkeypatch):
    """The negative control: the same rule on t intervals and from five replications on is seen to fall short."""
    monkeypatch.setattr(stopping, "bill_interval", student)
    draws, truth = sample("lognormal(1.5)", (MACRO, 2_000), SEED)
    covered = 0
    for row in draws.tolist():
        n = 5
        while (seen := look([Measure("cost", row[:n])], 0.20, floor=5, ceiling=2_000)).more:
            n += seen.more
        covered += seen.intervals["cost"].lo <= truth <= seen.intervals["cost"].hi
    assert not in_band(covered)


def test_a_lower_floor_stops_before_the_rare_and_dear_has_been_seen():
    """The negative control: from 30 replications, a bill that is double once in twenty is stopped on and missed."""
    draws, truth = sample("rare", (MACRO, 1_000), SEED)
    covered = 0
    for row in draws.tolist():
        n = 30
        while (seen := look([Measure("cost", row[:n])], 0.03, floor=30, ceiling=1_000)).more:
            n += seen.more
        covered += seen.intervals["cost"].lo <= truth <= seen.intervals["cost"].hi
    assert not in_band(covered)


def test_a_run_stops_only_when_its_widest_measure_is_narrow():
    """With two costs and their difference, the difference keeps the run going where it is asked to its own mean."""
    base = [100.0 + x for x in sample("exponential", (120,), 2)[0]]
    other = [x - 1.0 + y for x, y in zip(base, sample("normal", (120,), 3)[0] - 10, strict=True)]
    saving = [x - y for x, y in zip(base, other, strict=True)]
    costs = [Measure("base", base), Measure("other", other)]
    assert look(costs, 0.02).reached
    own = look([*costs, Measure("saving", saving)], 0.02)
    assert (own.reached, own.widest, own.more) == (False, "saving", 120)
    of_base = look([*costs, Measure("saving", saving, unit=np.mean(base))], 0.02)
    assert of_base.reached


def test_widths_restate_the_interval():
    """A width is the longer half of the interval over the mean, or over the unit."""
    values = sample("exponential", (140,), 5)[0].tolist()
    found = bill_interval(values)
    seen = look([Measure("a", values), Measure("b", values, unit=10)], 0.5)
    assert seen.widths == pytest.approx({"a": (found.hi - found.mean) / found.mean, "b": (found.hi - found.mean) / 10})


@given(st.integers(2, 200), st.integers(0, 300), st.floats(1e-3, 0.5), st.integers(0, 5))
def test_a_run_is_never_shorter_than_its_floor_nor_longer_than_its_ceiling(floor, n, precision, spread):
    """Below the floor the rest of it is asked for; above, 10 to 100 % more, up to the ceiling, and then none."""
    values = [10.0 + spread * math.sin(i) for i in range(n)]
    ceiling = 2 * floor
    seen = look([Measure("cost", values)], precision, floor=floor, ceiling=ceiling)
    if n < floor:
        assert (seen.more, seen.reached) == (floor - n, False)
    elif seen.reached or n >= ceiling:
        assert seen.stop
    else:
        assert min(math.ceil(1.1 * n - 1e-9), ceiling) <= n + seen.more <= min(2 * n, ceiling)
    assert seen.reached == (n >= floor and seen.widths["cost"] <= precision)


def test_a_mean_of_zero_has_no_relative_precision_until_it_is_exact():
    """Values around zero run to the ceiling; values that are all zero are known."""
    assert look([Measure("saving", [-1.0, 1.0] * 50)], 0.02).widths == {"saving": math.inf}
    assert look([Measure("saving", [0.0] * 100)], 0.02).reached


@pytest.mark.parametrize(
    ("measures", "precision", "limits", "message"),
    [
        ([Measure("a", [1.0])], 0.0, {}, "between 0 and 1, got 0"),
        ([Measure("a", [1.0])], 0.1, {"floor": 1}, "got 1 and 10000"),
        ([Measure("a", [1.0])], 0.1, {"ceiling": 20}, "got 100 and 20"),
        ([Measure("a", [1.0]), Measure("b", [])], 0.1, {}, r"got \[0, 1\] values"),
        ([Measure("a", [1.0]), Measure("a", [1.0])], 0.1, {}, "names of their own"),
        ([], 0.1, {}, "names of their own"),
    ],
)
def test_questions_without_sense_are_refused_with_the_value(measures, precision, limits, message):
    """A precision outside of (0, 1), a floor above the ceiling, unequal lengths and repeated names are refused."""
    with pytest.raises(ValueError, match=message):
        look(measures, precision, **limits)
