"""Sensitivity indices on functions whose indices are known, through the code path of the simulator."""

import math

import numpy as np
import pytest
from draws import keyed
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from scipy.stats import binom, sobol_indices

from sim.indices import morris, pawn, sobol

ALPHA = 1e-6  # of each check


def ishigami(x):
    a, b = 7.0, 0.1
    x = math.pi * (2 * x - 1)
    return np.sin(x[:, 0]) + a * np.sin(x[:, 1]) ** 2 + b * x[:, 2] ** 4 * np.sin(x[:, 0])


def _ishigami_exact():
    a, b = 7.0, 0.1
    alone, second = (1 + b * math.pi**4 / 5) ** 2 / 2, a**2 / 8
    joint = b**2 * math.pi**8 * 8 / 225
    whole = alone + second + joint
    return [alone / whole, second / whole, 0.0], [(alone + joint) / whole, second / whole, joint / whole]


G = np.array([0.0, 1.0, 4.5, 9.0, 99.0])


def sobol_g(x):
    return np.prod((np.abs(4 * x - 2) + G) / (1 + G), axis=1)


def _g_exact():
    each = 1 / (3 * (1 + G) ** 2)
    whole = np.prod(1 + each) - 1
    return each / whole, each * np.prod(1 + each) / (1 + each) / whole


C = np.array([4.0, -2.0, 1.0, 0.0])


def linear(x):
    return 1_000 + x @ C


FUNCTIONS = {
    "ishigami": (ishigami, *_ishigami_exact()),
    "sobol_g": (sobol_g, *_g_exact()),
    "linear": (linear, C**2 / (C @ C), C**2 / (C @ C)),  # price sensitivities at fixed usage
}


def of(name, base, seed, resamples=2):
    function, first, _ = FUNCTIONS[name]
    outputs = function(sobol.points(len(first), base, keyed(seed, purpose="shift")))
    return sobol.indices(outputs, len(first), keyed(seed), resamples=resamples).inputs


def agrees(estimates, exact):
    """Whether the mean of independent estimates is the exact value, by a t test at ALPHA; 1e-3 for the ratio's bias."""
    error = np.std(estimates, axis=0, ddof=1) / math.sqrt(len(estimates))
    bound = -stdtrit(len(estimates) - 1, ALPHA / 2) * error + 1e-3
    return np.abs(np.mean(estimates, axis=0) - exact) <= bound


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sobol_indices_are_the_exact_ones(name):
    """O39/P85: over 40 shifted nets of 256 rows (seeds 0 to 39) both indices agree with their closed forms."""
    _, first, total = FUNCTIONS[name]
    found = [of(name, 256, seed) for seed in range(40)]
    firsts, totals = (np.array([[part(i) for i in one] for one in found]) for part in (_first, _total))
    assert np.all(agrees(firsts, first))
    assert np.all(agrees(totals, total))
    if name == "ishigami":  # the negative control: x3 does nothing alone and a quarter with x1
        assert not agrees(firsts, total)[2]
        assert not agrees(totals, first)[2]


def _first(index):
    return index.first.mean


def _total(index):
    return index.total.mean


def test_shares_of_an_additive_output_sum_to_one_and_an_inert_input_has_none():
    """P85: linear indices sum to 1, each total is its first, and the input with coefficient 0 has exactly none."""
    found = of("linear", 1_024, 5)
    assert sum(map(_first, found)) == pytest.approx(1.0, abs=0.02)
    assert [i.first.mean for i in found] == pytest.approx([i.total.mean for i in found], abs=0.02)
    assert (found[3].first[:], found[3].total[:]) == ((0, 0, 0), (0, 0, 0))


def test_sobol_estimates_are_those_of_scipy():
    """The same outputs give scipy's first and total indices, to rounding."""
    x = sobol.points(3, 64, keyed(8))
    a, b, *mixed = ishigami(x).reshape(5, 1, 64)
    with_scipy = sobol_indices(func={"f_A": a, "f_B": b, "f_AB": np.stack(mixed)}, n=64)
    ours = sobol.indices(ishigami(x), 3, keyed(9)).inputs
    assert list(map(_first, ours)) == pytest.approx(with_scipy.first_order.tolist(), abs=1e-9)
    assert list(map(_total, ours)) == pytest.approx(with_scipy.total_order.tolist(), abs=1e-9)


def covered(macro, base, design):
    """How many of the intervals of ishigami's indices hold the exact ones, of x1 and x2."""
    _, firsts, totals = FUNCTIONS["ishigami"]
    hits = np.zeros(4)
    for seed in range(macro):
        y = ishigami(design(3, base, keyed(seed, purpose="design")))
        first, second, _ = sobol.indices(y, 3, keyed(seed), resamples=300).inputs
        pairs = zip((*first, *second), (firsts[0], totals[0], firsts[1], totals[1]), strict=True)
        hits += [interval.lo <= exact <= interval.hi for interval, exact in pairs]
    return hits


def independent(inputs, base, take):
    """The rows of A and B drawn independently, which is what a bootstrap takes them for."""
    a, b = take(2 * inputs * base).reshape(2, base, inputs)
    mixed = [np.where(np.arange(inputs) == column, b, a) for column in range(inputs)]
    return np.concatenate([a, b, *mixed])


def test_bootstrap_intervals_of_indices_cover_as_they_say():
    """O40: of 400 designs of 200 independent rows 92 to 98 % hold the exact index, to an error of 1e-6."""
    hits = covered(400, 200, independent)
    assert binom.ppf(ALPHA, 400, 0.92) <= hits.min()
    assert hits.max() <= binom.ppf(1 - ALPHA, 400, 0.98)


def test_intervals_from_a_net_are_rather_too_wide():
    """A net is more even than independent rows: nearly all of 200 intervals of 128 rows hold the exact index."""
    assert covered(200, 128, sobol.points).min() >= 190


def test_more_resamples_or_another_luck_move_no_estimate():
    """The estimates are of the outputs alone; the draws make the bounds, and the same draws the same bounds."""
    y = ishigami(sobol.points(3, 64, keyed(8)))
    one, same, other = (sobol.indices(y, 3, keyed(seed)).inputs for seed in (1, 1, 2))
    assert one == same != other
    assert list(map(_first, one)) == list(map(_first, other))
    for index in one:
        assert index.first.lo < index.first.mean < index.first.hi


def test_morris_effects_of_a_linear_output_are_its_coefficients():
    """mu is the coefficient, mu* its absolute value and sigma 0: exactly what one run an input can tell."""
    x = morris.points(4, 6, keyed(3))
    found = morris.effects(x, linear(x)).inputs
    for effect, c in zip(found, C, strict=True):
        assert (effect.mu.mean, effect.mu_star.mean) == pytest.approx((c, abs(c)), abs=1e-9)
        assert effect.sigma == (0.0, 0.0, 0.0)


def test_morris_effects_of_a_product_have_the_moments_of_the_other_input():
    """Of ``x1 x2`` the effect of x1 is x2 on four levels, of mean 1/2 and deviation sqrt(5)/6."""
    x = morris.points(3, 4_000, keyed(4))
    y = x[:, 0] * x[:, 1]
    first, second, inert = morris.effects(x, y, level=1 - ALPHA).inputs
    for effect in (first, second):
        for interval, exact in ((effect.mu, 0.5), (effect.mu_star, 0.5), (effect.sigma, math.sqrt(5) / 6)):
            assert interval.lo <= exact <= interval.hi
        assert not effect.sigma.lo <= math.sqrt(1 / 12) <= effect.sigma.hi  # of a uniform x2, not one on the grid
    assert inert == ((0, 0, 0), (0, 0, 0), (0, 0, 0))


def test_morris_intervals_of_few_trajectories_cover_as_they_say():
    """O40: over 400 designs of 20 trajectories the intervals of mu* and sigma hold the exact values of ``x1 x2``."""
    hits = np.zeros(2)
    for seed in range(400):
        x = morris.points(2, 20, keyed(seed, purpose="trajectories"))
        effect = morris.effects(x, x[:, 0] * x[:, 1]).inputs[0]
        hits += [effect.mu_star.lo <= 0.5 <= effect.mu_star.hi, effect.sigma.lo <= math.sqrt(5) / 6 <= effect.sigma.hi]
    assert hits.min() >= binom.ppf(ALPHA, 400, 0.93)


@given(st.integers(1, 6), st.integers(2, 8), st.sampled_from([2, 4, 6, 8]), st.integers(0, 99))
def test_a_trajectory_moves_every_input_once_by_the_step(inputs, count, levels, seed):
    """On the grid, a trajectory has one move of ``p / (2 (p - 1))`` an input; more trajectories begin with the same."""
    x = morris.points(inputs, count, keyed(seed), levels)
    assert set(np.round(x * (levels - 1), 9).ravel()) <= set(range(levels))
    moves = np.abs(np.diff(x.reshape(count, inputs + 1, inputs), axis=1))
    step = levels / (2 * (levels - 1))
    assert np.allclose(moves.sum(axis=1), step)
    assert np.allclose(moves.sum(axis=2), step)
    assert np.array_equal(morris.points(inputs, count + 1, keyed(seed), levels)[: len(x)], x)


def test_morris_levels_and_directions_are_even():
    """Each of the four levels starts a quarter of the trajectories, and half of the moves fall, to an error of 1e-6."""
    x = morris.points(1, 4_000, keyed(6)).reshape(4_000, 2)
    counts = [np.sum(x[:, 0] == level) for level in np.arange(4) / 3]
    assert binom.ppf(ALPHA, 4_000, 0.25) <= min(counts)
    assert max(counts) <= binom.ppf(1 - ALPHA, 4_000, 0.25)
    assert binom.ppf(ALPHA, 4_000, 0.5) <= np.sum(x[:, 1] < x[:, 0]) <= binom.ppf(1 - ALPHA, 4_000, 0.5)


def test_pawn_distances_of_an_identity_are_those_of_its_slices():
    """Of ``y = x1`` slice j of ten is ``max(j/10, 1 - (j+1)/10)`` away: median 0.7, greatest 0.9; x2 stays inert."""
    x = pawn.points(2, 500, keyed(1))
    found = pawn.indices(x, x[:, 0], keyed(2))
    one, inert = found.inputs
    assert (one.median, one.greatest, one.matters) == (pytest.approx(0.7), pytest.approx(0.9), True)
    assert inert.greatest < found.inert_greatest < one.median


def test_pawn_beyond_a_quantile_sees_what_moves_the_tail_only():
    """An input that adds 10 above 0.95 moves the tail of ``y = x2 + ...``, by nearly one half in its last slice."""
    x = pawn.points(2, 2_000, keyed(4))
    y = x[:, 1] + 10 * (x[:, 0] > 0.95)
    tail, body = pawn.indices(x, y, keyed(5), beyond=0.96).inputs
    assert tail.greatest == pytest.approx(0.5 * 0.9, abs=0.1)
    assert tail.greatest > 4 * body.greatest
    whole, ordinary = pawn.indices(x, y, keyed(5)).inputs
    assert whole.greatest < ordinary.greatest


def test_an_inert_input_seldom_seems_to_matter():
    """Of 200 inert inputs about 5 % pass each of the two thresholds: at most what 10 % allow, to an error of 1e-6."""
    x = pawn.points(200, 200, keyed(6))
    found = pawn.indices(x, keyed(7)(200), keyed(8), slices=5)
    assert sum(shift.matters for shift in found.inputs) <= binom.ppf(1 - ALPHA, 200, 0.10)
    assert sum(shift.greatest > 0.8 * found.inert_greatest for shift in found.inputs) > 20


@given(st.integers(1, 5), st.integers(1, 40), st.integers(0, 99))
def test_a_hypercube_has_one_point_in_every_slice(inputs, count, seed):
    """Each input's points fall into count slices of equal width, one in each."""
    x = pawn.points(inputs, count, keyed(seed))
    assert np.array_equal(np.sort(np.floor(x * count), axis=0), np.tile(np.arange(count)[:, None], inputs))


def test_constant_outputs_have_indices_of_zero_and_a_note():
    """P81: nothing to attribute is said, and is no division by zero."""
    y = np.full(20, 0.1)
    for found in (
        morris.effects(morris.points(3, 5, keyed(1)), y),
        sobol.indices(y, 3, keyed(1)),
        pawn.indices(pawn.points(3, 20, keyed(1)), y, keyed(2), slices=4),
    ):
        assert found.note.startswith("the output is the same")
        assert len(found.inputs) == 3
        assert not np.any(np.concatenate([np.ravel(one) for one in found.inputs]))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_is_no_number_is_refused_with_its_point(wrong):
    """One NaN would make every index NaN: it is refused, with where it stands."""
    y = np.append(np.arange(19.0), wrong)
    with pytest.raises(ValueError, match=f"got {wrong} at point 19"):
        morris.effects(morris.points(3, 5, keyed(1)), y)
    with pytest.raises(ValueError, match=f"got {wrong} at point 19"):
        sobol.indices(y, 3, keyed(1))
    with pytest.raises(ValueError, match=f"got {wrong} at point 19"):
        pawn.indices(pawn.points(3, 20, keyed(1)), y, keyed(2), slices=4)


def test_designs_without_sense_are_refused_with_the_value():
    """Odd levels, one trajectory, nets of no power of two, too few points and a wrong number of outputs are refused."""
    for call, message in (
        (lambda: morris.points(3, 5, keyed(1), levels=5), "got 5"),
        (lambda: morris.points(3, 1, keyed(1)), "got 3 and 1"),
        (lambda: sobol.points(3, 100, keyed(1)), "got 100"),
        (lambda: sobol.indices(np.arange(19.0), 3, keyed(1)), "got 19"),
        (lambda: pawn.indices(pawn.points(2, 10, keyed(1)), np.arange(10.0), keyed(2)), "10 slices of 10 points"),
        (lambda: pawn.indices(pawn.points(2, 20, keyed(1)), np.arange(20.0), keyed(2), beyond=1), "got 1"),
        (
            lambda: morris.effects(morris.points(3, 5, keyed(1)), np.arange(8.0)),
            r"20 points, got outputs of shape \(8,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_salib_finds_the_same_indices():
    """An independent program: the same effects, the same Sobol' indices, and PAWN but for where a slice ends."""
    pytest.importorskip("SALib", reason="an oracle in the extra `crosscheck`: pip install gemini-cost-sim[crosscheck]")
    from SALib.analyze import morris as their_morris
    from SALib.analyze import pawn as their_pawn
    from SALib.analyze import sobol as their_sobol

    problem = {"num_vars": 3, "names": ["a", "b", "c"], "bounds": [[0, 1]] * 3}
    x = morris.points(3, 10, keyed(1))
    theirs = their_morris.analyze(problem, x, ishigami(x), num_levels=4)
    ours = morris.effects(x, ishigami(x)).inputs
    for part in ("mu", "mu_star", "sigma"):
        assert [getattr(one, part).mean for one in ours] == pytest.approx(list(theirs[part]), abs=1e-9)
    y = ishigami(sobol.points(3, 512, keyed(2)))
    interleaved = y.reshape(5, 512)[[0, 2, 3, 4, 1]].T.ravel()
    theirs = their_sobol.analyze(problem, interleaved, calc_second_order=False, num_resamples=10, seed=1)
    ours = sobol.indices(y, 3, keyed(3)).inputs
    assert list(map(_first, ours)) == pytest.approx(list(theirs["S1"]), abs=5e-3)
    assert list(map(_total, ours)) == pytest.approx(list(theirs["ST"]), abs=5e-3)
    x = pawn.points(3, 1_000, keyed(4))
    theirs = their_pawn.analyze(problem, x, ishigami(x), S=10, seed=1)
    ours = pawn.indices(x, ishigami(x), keyed(5)).inputs
    assert [one.median for one in ours] == pytest.approx(list(theirs["median"]), abs=0.02)
    assert [one.greatest for one in ours] == pytest.approx(list(theirs["maximum"]), abs=0.02)
