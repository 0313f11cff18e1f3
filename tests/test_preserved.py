"""Cells as text: equal in every field when they come back, whatever they hold."""

import json
from dataclasses import fields
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_results import cell, stream
from strategies import run_cells, surveys

import sim
from sim.experiments.preserved import cell_of, seen_of, text_of, text_of_seen
from sim.experiments.result import Cell
from sim.experiments.survey import summed
from sim.sketch import Sketch, same

whole = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([-(2**63), 2**63 - 1, 0, 1])


def assert_equal(one, other):
    """Every field of two cells is equal, and of the same type all the way down."""
    assert {field.name for field in fields(Cell)} == set(Cell.__slots__)
    for name in Cell.__slots__:
        assert_same(getattr(one, name), getattr(other, name))


def assert_same(a, b):
    assert type(a) is type(b)
    if isinstance(a, (np.ndarray, Sketch)):
        assert same(a, b)
        arrays = (a.counts, b.counts) if isinstance(a, Sketch) else (a, b)
        assert [array.dtype for array in arrays] == [np.int64] * 2
    elif isinstance(a, tuple):
        assert len(a) == len(b)
        for left, right in zip(a, b, strict=True):
            assert_same(left, right)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        assert_same(tuple(a.values()), tuple(b.values()))
    else:
        assert a == b


@given(run_cells())
def test_a_cell_comes_back_as_it_was(one):
    """Money to the last digit, latencies or sketches of them, limits by their kind: text and back changes nothing."""
    text = text_of(one)
    assert "\n" not in text
    assert_equal(cell_of(text), one)
    assert text_of(cell_of(text)) == text


@given(surveys())
def test_what_a_realisation_holds_comes_back_as_it_was(one):
    """The look at a realisation is kept too, so that the warnings of a run that goes on are those of the whole."""
    assert_same(tuple(seen_of(text_of_seen(one))), tuple(one))


@given(st.lists(surveys(), max_size=4), st.lists(surveys(), max_size=4))
def test_looks_add_up_in_any_bundles(one, other):
    """What replications hold together is the same, added up at once or in two parts."""
    assert summed([summed(one), summed(other)]) == summed([*one, *other])


@given(st.lists(whole, max_size=30))
def test_any_whole_numbers_of_64_bits_come_back(values):
    """Differences that wrap at the ends of int64 wrap back."""
    times = np.array(values, dtype=np.int64)
    one = cell("none", 0, 1, streams=[stream()._replace(latency_ms=times)])
    assert np.array_equal(cell_of(text_of(one)).streams[0].latency_ms, times)


@pytest.mark.parametrize("name", ["quickstart", "priority-under-load", "guide-2-nightly-records-stochastic"])
def test_cells_of_shipped_scenarios_come_back_and_are_small(name):
    """Real cells, with refusals, jobs, caches and thousands of latencies, take 4 bytes an answered request at most."""
    for one in sim.run(sim.load(name), replications=1).cells:
        text = text_of(one)
        assert_equal(cell_of(text), one)
        assert len(text) < 4 * sum(part.done for part in one.streams) + 2_000


def test_a_text_is_json_that_a_reader_of_another_kind_can_use():
    """Exact money is a fraction, and the rest has its own names."""
    found = json.loads(text_of(cell("none", 3, Fraction(10, 7))))
    assert (found["strategy"], found["replication"], Fraction(found["total_usd"])) == ("none", 3, Fraction(10, 7))
