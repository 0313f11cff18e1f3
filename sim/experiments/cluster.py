"""The items of a sweep on Dask workers: some on this machine, or those of a scheduler that is there already.

Dask runs the items of a worker that died again. What dies three times is taken apart and its cells run one at a time,
so that the one which kills its worker is known by name. A scheduler keeps nothing: the driver saves what arrives.
"""

import asyncio
import logging
import pickle
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import dask
import distributed
from distributed.scheduler import KilledWorker

from sim.cells import Resumable
from sim.errors import SimError
from sim.experiments.fingerprint import differences, fingerprint
from sim.experiments.items import Done, Item, Study, cell_key
from sim.experiments.remote import Answer, probe, study_name, work
from sim.experiments.shipping import parcel

__all__ = ["Cluster", "Unreachable"]

CONNECT_S = 5  # an unreachable scheduler is told within ten seconds
FIRST_WORKER_S = 30
LOOK_S = 5.0  # between two looks at who is there
NOBODY_S = 60.0  # without a worker, after which a sweep ends
DEATHS = 3  # of its workers, after which an item is not tried again

Bundle = tuple[Item, ...]
_dask: Any = distributed  # its functions have no types


class Unreachable(SimError, ConnectionError):
    """A cluster cannot be used: nobody answers, or its workers would compute something else."""

    exit_code = 4


class Cluster:
    """Workers with the study at hand, each known to compute what this process would."""

    def __init__(self, study: Study, *, workers: int, scheduler: str | None = None) -> None:
        self._study, self._workers, self._scheduler = study, workers, scheduler
        self._here, self._token = fingerprint(), ""
        self._client: Any = None
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # its tracebacks say less than one line of ours
        with ExitStack() as stack:
            if self._scheduler is None:
                self._client = stack.enter_context(_local(self._workers))
            else:
                self._client = stack.enter_context(_connected(self._scheduler))
            self._hand_out()
            self._examine()
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def cells(self, bundles: Iterable[Bundle]) -> Iterator[Done]:
        """Yield the cells of all items as they arrive, in any order; raise :class:`Resumable` where nobody is left."""
        suspects: list[Item] = []
        yield from self._through(iter(bundles), suspects)
        alone = [Item(item.group, (member,), item.replication) for item in suspects for member in item.members]
        for item in alone:
            yield from self._through(iter([(item,)]), None)

    def _hand_out(self) -> None:
        """Give every worker the study, and the code where it may not have it; those that come later get them too."""
        study = pickle.dumps(self._study)
        self._token = sha256(study).hexdigest()[:16]
        with TemporaryDirectory() as folder:
            if self._scheduler is not None:
                name, text = parcel()
                (Path(folder) / name).write_text(text, encoding="utf-8")
                self._client.upload_file(str(Path(folder) / name))
            path = Path(folder) / study_name(self._token)
            path.write_bytes(study)
            self._client.upload_file(str(path), load=False)

    def _examine(self) -> None:
        """Refuse workers that would compute something else, by name."""
        try:
            self._client.wait_for_workers(1, timeout=FIRST_WORKER_S)
        except TimeoutError:
            raise Unreachable(f"the scheduler {self._scheduler} has no worker") from None
        found = self._client.run(probe, on_error="return")
        unfit = []
        for worker, there in sorted(found.items()):
            if isinstance(there, BaseException):
                unfit.append(f"worker {worker} cannot run this code ({type(there).__name__}: {there})")
            elif apart := differences(self._here, there):
                unfit.append(f"worker {worker} would compute something else: {apart}")
        if unfit:
            raise Unreachable("; ".join(unfit))

    def _through(self, bundles: Iterator[Bundle], suspects: list[Item] | None) -> Iterator[Done]:
        """Yield the cells of bundles, with no more under way than keep the workers busy."""
        under_way: dict[Any, Bundle] = {}
        while True:
            width = 2 * max(1, self._threads()) + 2
            while len(under_way) < width and (bundle := next(bundles, None)) is not None:
                under_way[self._submit(bundle)] = bundle
            if not under_way:
                return
            for future in self._ended(list(under_way)):
                yield from self._settled(future, under_way.pop(future), suspects)

    def _submit(self, bundle: Bundle) -> Any:
        return self._client.submit(work, self._token, bundle, self._here, pure=False)

    def _threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except (OSError, TimeoutError) as error:
            raise _gone(error) from None

    def _ended(self, under_way: list[Any]) -> list[Any]:
        """Wait for a bundle to end; look now and then whether anybody is still at work."""
        alone_since: float | None = None
        while True:
            if any(future.cancelled() for future in under_way):
                raise _gone("the scheduler went away")
            try:
                with self._client.as_current():
                    return list(_dask.wait(under_way, timeout=LOOK_S, return_when="FIRST_COMPLETED").done)
            except TimeoutError:
                alone_since = None if self._threads() else alone_since or time.monotonic()
                if alone_since is not None and time.monotonic() - alone_since > NOBODY_S:
                    raise _gone("no worker is left") from None
            except (OSError, CancelledError) as error:
                raise _gone(error) from None

    def _settled(self, future: Any, bundle: Bundle, suspects: list[Item] | None) -> Iterator[Done]:
        if future.status == "error":
            error = future.exception()
            if not isinstance(error, KilledWorker):
                yield from self._failed(bundle, f"{type(error).__name__}: {error}")
            elif suspects is None:
                yield from self._failed(bundle, f"its worker died {DEATHS} times")
            else:
                suspects.extend(bundle)
            return
        try:
            answer: Answer = future.result()
        except (OSError, CancelledError) as error:
            raise _gone(error) from None
        if answer.differences:
            what = f"worker {answer.worker} would compute something else: {answer.differences}"
            raise Resumable(f"{what}; stop it and resume")
        yield from answer.cells

    def _failed(self, bundle: Bundle, reason: str) -> Iterator[Done]:
        for item in bundle:
            for member in item.members:
                identity = self._study.groups[item.group].tasks[member].identity
                key = cell_key(identity, item.replication)
                yield Done(key, item.group, member, item.replication, None, reason)


def _gone(reason: object) -> Resumable:
    return Resumable(f"the cluster was lost ({reason or type(reason).__name__})")


@contextmanager
def _local(workers: int) -> Iterator[Any]:
    """Start workers on this machine, processes of one thread each."""
    calm = {"distributed.scheduler.allowed-failures": DEATHS - 1, "distributed.worker.daemon": True}
    with dask.config.set(calm), ExitStack() as stack:
        with _deaf_children():
            cluster = stack.enter_context(
                _dask.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    protocol="tcp",
                    dashboard_address=None,
                    silence_logs=logging.CRITICAL,
                )
            )
        yield stack.enter_context(_dask.Client(cluster, set_as_default=False))


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Start processes that leave an interrupt to the driver, which ends them in good order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """Connect to a scheduler that is there already."""
    try:
        asyncio.run(_greeted(address))  # a client that met nobody takes long to give up
        client = _dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # noqa: BLE001 - what is no scheduler may answer anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise Unreachable(f"no scheduler answers at {address} ({reason})") from None
    try:
        yield client
    finally:
        with suppress(OSError, TimeoutError):  # a scheduler that went away cannot be taken leave of
            client.close(timeout=2)


async def _greeted(address: str) -> None:
    comm = await _dask.comm.connect(address, timeout=CONNECT_S)
    await comm.close()
