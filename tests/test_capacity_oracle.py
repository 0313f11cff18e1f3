"""The inverse of the M/M/c, which capacity searches are held against, is itself held against closed forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from queues import greatest_load, least_slots, waits_longer


def test_the_chance_to_wait_is_that_of_the_textbook():
    """One slot: ``rho e^(-(1 - rho) t)``; two: ``2 rho^2 / (1 + rho)``; three at load 2: 4/9; overload: 1."""
    assert waits_longer(0.8, 1, 2.0) == pytest.approx(0.8 * math.exp(-0.2 * 2.0), rel=1e-12)
    assert waits_longer(1.2, 2, 0.0) == pytest.approx(2 * 0.6**2 / 1.6, rel=1e-12)
    assert waits_longer(2.0, 3, 0.0) == pytest.approx(4 / 9, rel=1e-12)
    assert (waits_longer(3.0, 3, 5.0), waits_longer(3.5, 3, 5.0)) == (1.0, 1.0)


def test_the_least_slots_are_the_first_that_hold_the_promise():
    """At load 2 three slots let 4/9 wait, so a promise of 0.45 takes three and one of 0.44 takes four."""
    assert (least_slots(2.0, 0.0, 0.45), least_slots(2.0, 0.0, 0.44)) == (3, 4)


def test_the_greatest_load_of_one_slot_solves_its_equation():
    """``rho e^(-(1 - rho) t) = p``; without any patience rho is p itself."""
    assert greatest_load(1, 0.0, 0.3) == pytest.approx(0.3, rel=1e-9)
    rho = greatest_load(1, 3.0, 0.05)
    assert rho * math.exp(-(1 - rho) * 3.0) == pytest.approx(0.05, rel=1e-9)


@given(st.floats(0.1, 30), st.sampled_from([0.0, 0.1, 1.0, 5.0]), st.sampled_from([0.001, 0.05, 0.5]))
def test_the_two_inverses_agree(load, wait, chance):
    """O45: the least slots carry the load and one fewer do not; so the greatest loads lie on both sides of it."""
    slots = least_slots(load, wait, chance)
    assert waits_longer(load, slots, wait) <= chance
    assert greatest_load(slots, wait, chance) >= load * (1 - 1e-9)
    if slots > 1:
        assert waits_longer(load, slots - 1, wait) > chance
        assert greatest_load(slots - 1, wait, chance) <= load * (1 + 1e-9)
