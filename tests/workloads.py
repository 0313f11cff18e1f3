"""What the tests of the workload share: reading a workload from text, draws for one process, and Student's test."""

import numpy as np
from scipy import stats

from sim.document import parse, validate
from sim.errors import InputError
from sim.workload.intensity import Draw
from sim.workload.realise import uniforms
from sim.workload.rules import check
from sim.workload.spec import WorkloadSpec

SEED = 20261123
HOUR = 3_600_000
HEAD = 'start = "2026-11-16T00:00:00Z"\nhorizon = "1d"\n'


def workload(text: str, head: str = HEAD) -> WorkloadSpec:
    """Return the workload of a text, all rules checked."""
    document = parse((head + text).encode(), "w.toml")
    spec = validate(document, WorkloadSpec)
    if problems := check(spec, document):
        raise InputError(problems)
    return spec


def draws(replication: int, name: str = "streams.x") -> Draw:
    """Return the draws of one replication of a stream."""
    return lambda purpose: lambda count: uniforms(SEED, replication, name, purpose, count)


def agrees(samples: object, value: float, alpha: float = 1e-6) -> bool:
    """Return whether Student's t test of independent samples keeps a mean at level alpha."""
    values = np.asarray(samples, float)
    assert len(values) >= 30
    error = values.std(ddof=1) / np.sqrt(len(values))
    return bool(abs(values.mean() - value) <= stats.t.ppf(1 - alpha / 2, len(values) - 1) * error)


def variances(samples: object, batch: int) -> np.ndarray:
    """Return the unbiased variances of consecutive batches: independent samples of the variance."""
    return np.asarray(samples, float).reshape(-1, batch).var(axis=1, ddof=1)
