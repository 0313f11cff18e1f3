"""What runs on a worker of a cluster. It is imported there only, and by the driver when it has a cluster."""

import pickle
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from distributed import get_worker

from sim.experiments.fingerprint import Fingerprint, differences, fingerprint
from sim.experiments.items import Bench, Done, Item

__all__ = ["Answer", "probe", "study_name", "work"]


class Answer(NamedTuple):
    """What a worker says of some items."""

    worker: str  # its address
    differences: str  # from the driver, "" where it is fit to compute
    cells: tuple[Done, ...]


def study_name(token: str) -> str:
    """Return the name of the file in which a worker finds the study."""
    return f"gcsim-{token}.study"


def probe() -> Fingerprint:
    """Return the fingerprint of a worker."""
    return fingerprint()


def work(token: str, items: tuple[Item, ...], wanted: Fingerprint) -> Answer:
    """Return the cells of some items, if this worker has the driver's fingerprint: it may have come late."""
    worker = str(get_worker().address)
    if apart := differences(wanted, fingerprint()):
        return Answer(worker, apart, ())
    bench = _bench(token)
    return Answer(worker, "", tuple(cell for item in items for cell in bench.cells(item)))


@lru_cache(maxsize=1)
def _bench(token: str) -> Bench:
    path = Path(get_worker().local_directory) / study_name(token)
    return Bench(pickle.loads(path.read_bytes()))  # noqa: S301 - the driver's own, sent over its own cluster
