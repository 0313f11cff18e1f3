"""A workload that comes in pieces: the parts of its ledger are those of the whole, integer for integer."""

from collections import Counter

import numpy as np
import pytest
from examples import times
from hypothesis import given, settings
from hypothesis import strategies as st
from machine_cases import cases, everything
from pieces import pieces_of
from test_fast_engine import COLUMNS, probe
from worlds import implicit_rules, plan, rules, world
from worlds import physics as physics_in

from sim.engines.fast import moving, ring
from sim.engines.fast.engine import run as whole
from sim.engines.fast.stream import Stream
from sim.ledger import Ledger

OF_REQUESTS = Ledger._fields[: Ledger._fields.index("duplicate_request")]


def physics_of(physics):
    """What the service does to the requests of a piece of a trace."""

    def of(piece):
        rows = slice(piece.first, piece.first + len(piece.prompt))
        names = ("slowness", "retention_ms", "cell", "queueing_ms")
        own = {name: getattr(physics, name)[rows] for name in names}
        return physics._replace(**own, turnaround_ms=physics.turnaround_ms[:, rows])

    return of


def joined(parts):
    """The ledger of all parts."""
    ledgers = [part.ledger for part in parts]
    each = (*OF_REQUESTS, *(name for name in COLUMNS if name.startswith("duplicate_")))
    return ledgers[-1]._replace(**{name: np.concatenate([getattr(one, name) for one in ledgers]) for name in each})


def played(case, size):
    """The parts of a run in pieces."""
    trace, plan, rules, physics = case
    cells = int(physics.cell.max(initial=0)) + 1
    stream = Stream(plan, rules, cells)
    of = physics_of(physics)
    return [*(stream.feed(piece, of(piece)) for piece in pieces_of(trace, size)), stream.finish()]


def assert_same(case, size):
    trace, plan, rules, physics = case
    if plan.cache is not None:
        plan = plan._replace(cache=plan.cache._replace(last_use=0))
    case = trace, plan._replace(decide=probe), rules, physics
    made, wanted = joined(played(case, size)), whole(*case)
    for name in COLUMNS:
        assert np.array_equal(getattr(made, name), getattr(wanted, name)), name


@pytest.fixture(scope="module", autouse=True)
def seen():
    """What happened to tables that start with room for next to nothing."""
    found = Counter()
    reserve, drop, forget = ring.Ring._reserve, moving.Moving.drop, ring.Ring.forget

    def reserved(self, count):
        found["the ring grows with nodes alive"] += count > self._room > 0 and self.end > self.base
        found["the ring turns"] += 0 < self._room < self.end - self._documents and count <= self._room
        reserve(self, count)

    def dropped(self, before):
        found["some rows are dropped"] += self.base < before < self.end
        drop(self, before)

    def forgot(self, before):
        found["nodes are forgotten"] += before > self.base
        forget(self, before)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ring, "LEAST", 1)
        patch.setattr(moving, "LEAST", 1)
        patch.setattr(ring.Ring, "_reserve", reserved)
        patch.setattr(moving.Moving, "drop", dropped)
        patch.setattr(ring.Ring, "forget", forgot)
        yield found


@given(cases(), st.integers(1, 6))
@settings(max_examples=times(200), deadline=None)
def test_jobs_and_caches_in_pieces_are_equal(case, size):
    """Where nothing is refused, any pieces give the ledger of the whole."""
    assert_same(case, size)


@given(everything(), st.integers(1, 6))
@settings(max_examples=times(500), deadline=None)
def test_everything_in_pieces_is_equal(case, size):
    """With every rule there is, any pieces give the ledger of the whole."""
    assert_same(case, size)


def conversations(count, turns, *, every=3, apart=5):
    """A trace of open conversations that overlap: a turn each ``apart`` ms, the next one begins after ``every`` ms."""
    rows = sorted((every * s + apart * t, s, t) for s in range(count) for t in range(turns))
    place = {(s, t): index for index, (_, s, t) in enumerate(rows)}
    parent, depth = [-1], [10]
    node = {}
    for s in range(count):
        for t in range(turns - 1):
            node[s, t] = len(parent)
            parent.append(node[s, t - 1] if t else 0)
            depth.append(depth[parent[-1]] + 3)
    return world(
        [time for time, _, _ in rows],
        leaf=[node[s, min(t, turns - 2)] for _, s, t in rows],
        fresh=[3 * (t == turns - 1) for _, _, t in rows],
        session=[place[s, 0] for _, s, _ in rows],
        parent=parent,
        depth=depth,
        context=[1] + [0] * (len(parent) - 1),
    )


@pytest.mark.parametrize("size", [1, 2, 7, 50])
@pytest.mark.parametrize("law", ["implicit", "explicit"])
def test_conversations_give_their_prefixes_back(seen, size, law):
    """Prefixes of ended conversations make room for others in a ring that wraps and grows, and no hit changes."""
    trace = conversations(60, 4)
    case = trace, plan(law), rules(implicit=implicit_rules()), physics_in(trace, retention=40, attempts=0)
    made, wanted = joined(played(case, size)), whole(*case)
    assert np.count_nonzero(wanted.cached) > 50
    for name in COLUMNS:
        assert np.array_equal(getattr(made, name), getattr(wanted, name)), name


def test_all_that_tables_do_has_happened(seen):
    """The tests above are not vacuous: rows came and went, and nodes moved while they were in use."""
    trace = world([0, 500_000, 500_001], fresh=1)
    list(played((trace, plan("batch", window="1s"), rules(), physics_in(trace)), 1))
    played(
        (conversations(40, 5), plan("implicit"), rules(implicit=implicit_rules()), physics_in(conversations(40, 5))), 3
    )
    assert {name for name, count in seen.items() if count} == set(seen)
    assert len(seen) == 4
