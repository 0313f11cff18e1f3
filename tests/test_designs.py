"""The designs of sweeps against their closed forms."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.errors import InputError
from sim.experiments.designs import MOST, axes_of, design_of, settings_of
from sim.units import as_duration


def settings(vary, design="grid", seed=1, whole=False, **options):
    chosen = design_of(design, **options)
    return settings_of(axes_of(vary, chosen), chosen, seed, lambda *_: whole)


def column(found, path):
    return [dict(setting.values)[path] for setting in found]


def mistakes(vary, design="grid", **options):
    with pytest.raises(InputError) as caught:
        settings(vary, design, **options)
    return [str(problem) for problem in caught.value.problems]


def test_a_grid_is_the_product_of_its_lists_and_its_last_axis_runs_fastest():
    """A grid holds every combination once, in the order of nested loops."""
    found = settings(["a.b=1h,2h", "c=x,y,z"])
    assert [setting.sets for setting in found] == [
        (f"a.b={a}", f"c={c}") for a, c in itertools.product(("1h", "2h"), "xyz")
    ]
    assert [setting.number for setting in found] == list(range(6))


def test_zipped_lists_go_side_by_side():
    """A zip pairs the n-th value of every axis."""
    expected = [("a=1", "b=10"), ("a=2", "b=15"), ("a=3", "b=20")]
    assert [setting.sets for setting in settings(["a=1,2,3", "b=10..20:lin:3"], zipped=True)] == expected
    assert settings(["a=1,2,3", "b=10..20:lin:3"], "zip") == settings(["a=1,2,3", "b=10..20:lin:3"], zipped=True)
    assert "a has 2, b has 3" in mistakes(["a=1,2", "b=1,2,3"], "zip")[0]


@given(lo=st.integers(1, 50), steps=st.integers(1, 50), count=st.integers(2, 12))
def test_a_linear_range_has_equal_steps(lo, steps, count):
    """The points of lo..hi:lin:n are lo + k (hi - lo) / (n - 1), to twelve digits."""
    hi = lo + steps
    found = [float(text) for text in column(settings([f"a={lo}..{hi}:lin:{count}"]), "a")]
    exact = [float(Fraction(lo) + Fraction(steps * k, count - 1)) for k in range(count)]
    assert found == pytest.approx(exact, rel=1e-11)
    assert (found[0], found[-1]) == (lo, hi)


@given(lo=st.floats(0.001, 10), factor=st.floats(1.5, 1000), count=st.integers(2, 12))
def test_a_logarithmic_range_has_equal_ratios(lo, factor, count):
    """The points of lo..hi:log:n are lo (hi / lo)^(k / (n - 1)), to twelve digits."""
    low, high = f"{lo:.3f}", f"{lo * factor:.4f}"
    found = np.array([float(text) for text in column(settings([f"a={low}..{high}:log:{count}"]), "a")])
    ratio = (float(high) / float(low)) ** (1 / (count - 1))
    assert found[1:] / found[:-1] == pytest.approx(np.full(count - 1, ratio), rel=1e-10)
    assert found[[0, -1]].tolist() == [float(low), float(high)]


def test_quantities_are_counted_in_their_own_unit():
    """Durations are whole milliseconds, tokens whole tokens, rates keep their unit or become hourly."""
    assert column(settings(["a=1h..4h:lin:4"]), "a") == ["1h", "2h", "3h", "4h"]
    assert column(settings(["a=1m..1h40m:log:3"]), "a") == ["1m", "10m", "1h40m"]
    assert column(settings(["a=10k..1M:log:3"]), "a") == ["10000", "100000", "1000000"]
    assert column(settings(["a=500..2k:lin:3"]), "a") == ["500", "1250", "2000"]
    assert column(settings(["a=10/s..30/s:lin:3"]), "a") == ["10/s", "20/s", "30/s"]
    assert column(settings(["a=60/h..2/min:lin:2"]), "a") == ["60/h", "120/h"]


def test_numbers_are_rounded_where_the_path_takes_whole_ones_only_and_each_value_stands_once():
    """Rounding may make two points one; a grid has it once."""
    assert column(settings(["a=1..3:log:5"], whole=True), "a") == ["1", "2", "3"]
    assert column(settings(["a=1..3:lin:5"], whole=False), "a") == ["1", "1.5", "2", "2.5", "3"]


def test_commas_in_brackets_and_quotes_part_no_values():
    """A value may itself be a list or a table."""
    assert column(settings(['models=["a", "b"],["c"]']), "models") == ['["a", "b"]', '["c"]']
    assert column(settings(["a={law = 'fixed', value = 1},2"]), "a") == ["{law = 'fixed', value = 1}", "2"]


def test_what_only_looks_like_a_range_is_a_value():
    """A path with two dots in it is a text."""
    assert column(settings(["replay.trace=a/../b.csv"]), "replay.trace") == ["a/../b.csv"]


@given(count=st.integers(1, 64), seed=st.integers(0, 2**128 - 1))
def test_a_latin_hypercube_has_one_value_in_each_slice_of_every_axis(count, seed):
    """Of N settings exactly one falls in [k, k + 1) / N of each range, for every k."""
    found = settings(["a=0..1:lin", "b=1..1000000:log"], f"lhs:{count}", seed)
    a = np.array([float(text) for text in column(found, "a")])
    b = np.log10([float(text) for text in column(found, "b")]) / 6
    for shares in (a, b):
        assert sorted(np.floor(shares * count).astype(int).tolist()) == list(range(count))


@given(power=st.integers(0, 8), seed=st.integers(0, 2**128 - 1))
def test_a_sobol_net_is_balanced_in_every_axis_and_in_every_pair(power, seed):
    """Of 2^m settings one falls in each slice of 2^-m of an axis, and one in each box of area 2^-m of the first two."""
    count = 1 << power
    found = settings(["a=0..1:lin", "b=0..1:lin", "c=0..1:lin"], f"sobol:{count}", seed)
    points = np.array([[float(text) for _, text in setting.values] for setting in found])
    for axis in range(3):
        assert sorted(np.floor(points[:, axis] * count).astype(int).tolist()) == list(range(count))
    for left in range(power + 1):
        boxes = np.floor(points[:, 0] * (1 << left)) * (1 << (power - left)) + np.floor(
            points[:, 1] * (1 << (power - left))
        )
        assert sorted(boxes.astype(int).tolist()) == list(range(count))


@pytest.mark.parametrize("design", ["lhs:32", "sobol:32"])
def test_a_sample_is_the_seeds_own(design):
    """The same seed gives the same settings, another one others; an axis keeps its values beside others' ones."""
    vary = ["a=1h..9h", "b=x,y"]
    assert settings(vary, design, 1) == settings(vary, design, 1)
    assert settings(vary, design, 1) != settings(vary, design, 2)
    alone = column(settings(["a=1h..9h"], "lhs:32", 1), "a")
    assert alone == column(settings(["z=1..2", "a=1h..9h"], "lhs:32", 1), "a")
    assert all(as_duration("1h") <= as_duration(text) <= as_duration("9h") for text in alone)


@pytest.mark.parametrize("design", ["lhs:60", "sobol:64"])
def test_a_list_is_sampled_in_equal_parts(design):
    """Of N settings N / k take each of k values, if k divides N."""
    values = ["x", "y"] if design.startswith("sobol") else ["x", "y", "z"]
    found = column(settings([f"a={','.join(values)}", "b=0..1:lin"], design), "a")
    assert {value: found.count(value) for value in values} == dict.fromkeys(values, len(found) // len(values))


def test_every_mistake_of_the_axes_is_told_at_once():
    """Each line names the flag, the rule and the text."""
    bad = [
        ("a", "not something to vary"),
        ("b=", "not something to vary"),
        ("c=1,,2", "an empty value"),
        ("d=1..2", "a range needs its scale and its count"),
        ("e=2..1:lin:3", "a range must rise"),
        ("f=0..1:log:3", "must be above zero"),
        ("g=1..2:cubic:3", "unknown scale"),
        ("h=1..2:lin:1", "not a count of values"),
        ("seed=1,2", "common to all settings"),
        ("i=1..2:lin:3", None),
        ("i=3,4", "varied twice"),
    ]
    found = mistakes([text for text, _ in bad])
    assert len(found) == len([rule for _, rule in bad if rule])
    for text, rule in bad:
        assert rule is None or any(rule in line and repr(text) in line for line in found)


def test_designs_that_cannot_be_are_refused():
    """Sobol wants a power of two; a sample says itself how many values there are; a grid has its limit."""
    assert "sobol:4 or sobol:8" in mistakes(["a=0..1:lin"], "sobol:6")[0]
    assert "the design says how many" in mistakes(["a=0..1:lin:3"], "lhs:4")[0]
    assert "not a design" in mistakes(["a=1"], "cube")[0]
    assert "not a design" in mistakes(["a=1"], "lhs:0")[0]
    assert "contradicts --design lhs:4" in mistakes(["a=1"], "lhs:4", zipped=True)[0]
    assert "nothing is varied" in mistakes([])[0]
    assert f"at most {MOST:,}" in mistakes([f"{name}=0..1:lin:400" for name in "ab"])[0]
