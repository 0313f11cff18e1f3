"""What runs on a worker of a cluster. It is imported there only, and by the driver when it has a cluster."""

import faulthandler
import os
import pickle
import threading
import time
from functools import lru_cache
from pathlib import Path
from typing import IO, NamedTuple

from distributed import get_worker

from sim.experiments.fingerprint import Fingerprint, differences, fingerprint
from sim.experiments.items import Bench, Done, Item

__all__ = ["Answer", "leave", "probe", "study_name", "work"]

_LOOK_S = 1.0  # between two looks at the time
_LEAVE_S = 1.0  # until a worker that was told to leave does: the scheduler is to know before that what it lost


class Answer(NamedTuple):
    """What a worker says of some items."""

    worker: str  # its address
    differences: str  # from the driver, "" where it is fit to compute
    cells: tuple[Done, ...]  # in the order of the items
    hangs: bool  # whether it is still at the cell after these, whose time is over


def study_name(token: str) -> str:
    """Return the name of the file in which a worker finds the study."""
    return f"gcsim-{token}.study"


def probe() -> Fingerprint:
    """Return the fingerprint of a worker."""
    return fingerprint()


def leave() -> None:
    """End this worker soon, whatever it is doing."""
    threading.Timer(_LEAVE_S, os._exit, (1,)).start()


def work(token: str, items: tuple[Item, ...], wanted: Fingerprint, seconds: float) -> Answer:
    """Return the cells of some items, if this worker has the driver's fingerprint: it may have come late.

    A cell may take some seconds; one that takes longer is left to itself, and the driver ends this worker.
    """
    worker = str(get_worker().address)
    if apart := differences(wanted, fingerprint()):
        return Answer(worker, apart, (), hangs=False)
    run = _Run(_bench(token), items, seconds)
    run.start()
    while run.is_alive():
        run.join(_LOOK_S)
        if run.is_alive() and time.monotonic() - run.since > seconds:
            return Answer(worker, "", tuple(run.cells), hangs=True)
    if run.error is not None:
        raise run.error
    return Answer(worker, "", tuple(run.cells), hangs=False)


class _Run(threading.Thread):
    """Computes items, and says since when it has been at the present cell."""

    def __init__(self, bench: Bench, items: tuple[Item, ...], seconds: float) -> None:
        super().__init__(daemon=True)
        self._bench, self._items, self._seconds = bench, items, seconds
        self.cells: list[Done] = []
        self.since = time.monotonic()
        self.error: BaseException | None = None

    def run(self) -> None:
        with Path(os.devnull).open("w") as nowhere:
            try:
                for item in self._items:
                    self._start(nowhere)
                    for done in self._bench.cells(item):
                        self.cells.append(done)
                        self._start(nowhere)
            except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
                self.error = error
            finally:
                faulthandler.cancel_dump_traceback_later()

    def _start(self, nowhere: IO[str]) -> None:
        """Start on a cell. Compiled code that lets no other thread run ends the process, somewhat later."""
        self.since = time.monotonic()
        faulthandler.dump_traceback_later(1.1 * self._seconds + _LOOK_S, exit=True, file=nowhere)


@lru_cache(maxsize=1)
def _bench(token: str) -> Bench:
    path = Path(get_worker().local_directory) / study_name(token)
    return Bench(pickle.loads(path.read_bytes()))  # noqa: S301 - the driver's own, sent over its own cluster
