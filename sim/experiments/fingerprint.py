"""What must agree wherever cells of one sweep are computed: the code, Python, numpy, and what they make of one seed."""

import hashlib
import platform
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

import numpy as np

from sim.workload.realise import realise
from sim.workload.spec import WorkloadSpec

__all__ = ["Fingerprint", "code_digest", "differences", "fingerprint", "sources"]

_SMALL = {  # a little of every kind of draw
    "start": "2026-11-23T00:00:00Z",
    "horizon": "1h",
    "contexts": {"a": {"count": 3, "tokens": {"law": "lognormal", "mean": "5k", "cv": 0.5}, "zipf": 1.0}},
    "streams": {
        "s": {
            "arrivals": {"process": "gamma", "rate": "200/h", "cv": 2.0},
            "context": "a",
            "fresh": {"law": "lognormal", "mean": 300, "cv": 1.0},
            "output": {"law": "uniform", "low": 10, "high": 900},
            "patience": "1m",
        }
    },
}


class Fingerprint(NamedTuple):
    """Two processes with one fingerprint compute the same cells."""

    python: str  # the minor version
    numpy: str
    code: str  # sha256 of the package's sources
    realisation: str  # sha256 of a small realisation


def sources() -> dict[str, bytes]:
    """Return the package's own files that a cell may depend on, by their path below the package."""
    found: dict[str, bytes] = {}

    def collect(folder: Traversable, prefix: str) -> None:
        for entry in folder.iterdir():
            if entry.is_dir():
                collect(entry, f"{prefix}{entry.name}/")
            elif entry.name.endswith((".py", ".toml")) and not prefix.startswith("_scenarios/"):
                found[prefix + entry.name] = entry.read_bytes()

    collect(files("sim"), "")
    return dict(sorted(found.items()))


@lru_cache(maxsize=1)
def code_digest() -> str:
    """Return the sha256 of the package's sources, as this process found them."""
    whole = hashlib.sha256()
    for name, text in sources().items():
        if name.endswith(".py"):  # a book has a digest of its own, which knows what is layout only
            whole.update(name.encode() + b"\0" + hashlib.sha256(text).digest())
    return whole.hexdigest()


@lru_cache(maxsize=1)
def fingerprint() -> Fingerprint:
    """Return the fingerprint of this process."""
    trace = realise(WorkloadSpec.model_validate(_SMALL), seed=1, replication=0)
    columns = [value for value in trace if isinstance(value, np.ndarray)]
    realisation = hashlib.sha256(b"\0".join(column.tobytes() for column in columns)).hexdigest()
    minor = ".".join(platform.python_version_tuple()[:2])
    return Fingerprint(minor, np.__version__, code_digest(), realisation)


def differences(here: Fingerprint, there: Fingerprint) -> str:
    """Return in words where two fingerprints differ; "" if nowhere.

    >>> here = Fingerprint("3.11", "2.4.6", "f" * 64, "a" * 64)
    >>> differences(here, here._replace(numpy="2.0.0", code="e" * 64))
    'numpy is 2.0.0 there and 2.4.6 here, code is eeeeeeeeeeee there and ffffffffffff here'
    """
    apart = [name for name in Fingerprint._fields if getattr(here, name) != getattr(there, name)]
    pairs = {name: (getattr(there, name)[:12], getattr(here, name)[:12]) for name in apart}
    return ", ".join(f"{name} is {other} there and {own} here" for name, (other, own) in pairs.items())
