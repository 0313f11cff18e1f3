"""The reference engine equals a naive twin, integer for integer, wherever instants clash."""

from batch_twin import Twin, differences
from examples import times
from hypothesis import event, given, settings
from machine_cases import cases, everything

from sim.engines.reference import run


def assert_equal(case):
    ledger = run(*case)
    assert differences(ledger, Twin(*case).play()) == []
    for state in ledger.job_state.tolist():
        event(f"job {state}")
    return ledger


@given(cases(caches=False))
@settings(max_examples=times(100), deadline=None)
def test_the_batch_flow_equals_its_twin(case):
    """Collecting, sending, running, looking, failing, resubmitting, falling back: each integer is the twin's."""
    assert_equal(case)


@given(cases())
@settings(max_examples=times(250), deadline=None)
def test_batch_with_caches_equals_its_twin(case):
    """Caches held for jobs, renewed, forbidden at run time, waited for or missed: each integer is the twin's."""
    ledger = assert_equal(case)
    event(f"caches {min(len(ledger.cache_born), 3)}")
    event(f"duplicates {min(len(ledger.duplicate_request), 2)}")


@given(everything(modes=2, caches=False))
@settings(max_examples=times(200), deadline=None)
def test_every_limit_of_batch_equals_its_twin(case):
    """Lines, limits, splits, lost replies, stops, slow days: each integer is the twin's."""
    assert_equal(case)
