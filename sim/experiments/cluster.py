"""The items of a sweep on Dask workers: some on this machine, or those of a scheduler that is there already.

Dask runs the items of a worker that died again. What dies three times is taken apart and its cells run one at a time,
so that the one which kills its worker is known by name. A scheduler keeps nothing: the driver saves what arrives.
"""

import logging
import pickle
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import distributed
from distributed.diagnostics.plugin import UploadFile
from distributed.scheduler import KilledWorker

from sim.cells import Resumable
from sim.experiments.answers import Asked, asked, failed, sorted_out
from sim.experiments.deadline import too_long
from sim.experiments.fingerprint import differences, fingerprint
from sim.experiments.items import Done, Item, Study
from sim.experiments.joining import Unreachable, connected, local
from sim.experiments.remote import Answer, leave, probe, study_name, work
from sim.experiments.shipping import parcel

__all__ = ["Cluster"]

FIRST_WORKER_S = 30.0
LOOK_S = 5.0  # between two looks at who is there
NOBODY_S = 60.0  # without a worker, after which a sweep ends

Bundle = tuple[Item, ...]
_dask: Any = distributed  # its functions have no types


class Cluster:
    """Workers with the study at hand, each known to compute what this process would."""

    def __init__(self, study: Study, *, workers: int, seconds: float, scheduler: str | None = None) -> None:
        self._study, self._workers, self._scheduler = study, workers, scheduler
        self._seconds = seconds  # that a cell may take
        self._here, self._token = fingerprint(), ""
        self._sent = ExitStack()  # lets go of the study
        self._client: Any = None
        self._again: deque[Bundle] = deque()  # what is left of bundles that a worker hung in
        self._exit = ExitStack()

    def __enter__(self) -> Self:
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # its tracebacks say less than one line of ours
        with ExitStack() as stack:
            if self._scheduler is None:
                self._client = stack.enter_context(local(self._workers))
            else:
                self._client = stack.enter_context(connected(self._scheduler))
            try:
                self._hand_out(stack)
                self._examine()
            except (OSError, TimeoutError, CancelledError) as error:
                if isinstance(error, Unreachable):
                    raise
                raise Unreachable(f"the cluster was lost ({error or type(error).__name__})") from None
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def cells(self, bundles: Iterable[Bundle]) -> Iterator[Done]:
        """Yield the cells of all items as they arrive, in any order; raise :class:`Resumable` where nobody is left."""
        suspects: list[Asked] = []
        yield from self._through(iter(bundles), suspects)
        for cell in suspects:
            yield from self._through(iter([(cell.item,)]), None)

    def take(self, study: Study, seconds: float) -> None:
        """Go on with another study, of which a cell may take so many seconds."""
        self._sent.close()
        self._study, self._seconds = study, seconds
        try:
            self._hand_study()
        except (OSError, TimeoutError, CancelledError) as error:
            raise _gone(error) from None

    def _hand_out(self, stack: ExitStack) -> None:
        """Give every worker the study, and the code where it may not have it; those that come later get them too."""
        if self._scheduler is not None:
            with TemporaryDirectory() as folder:
                name, text = parcel()
                self._send(stack, Path(folder) / name, text.encode(), load=True)
        stack.callback(self._sent.close)
        self._hand_study()

    def _hand_study(self) -> None:
        study = pickle.dumps(self._study)
        self._token = sha256(study).hexdigest()[:16]
        with TemporaryDirectory() as folder:
            self._send(self._sent, Path(folder) / study_name(self._token), study, load=False)

    def _send(self, stack: ExitStack, path: Path, data: bytes, *, load: bool) -> None:
        path.write_bytes(data)
        name = f"{path.name} of {self._client.id}"
        self._client.register_plugin(UploadFile(str(path), load=load), name=name)
        stack.callback(self._forget, name)

    def _forget(self, name: str) -> None:
        """Let workers that come after the sweep have no file of it."""
        with suppress(OSError, TimeoutError, CancelledError, ValueError):
            self._client.unregister_worker_plugin(name)

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

    def _through(self, bundles: Iterator[Bundle], suspects: list[Asked] | None) -> Iterator[Done]:
        """Yield the cells of bundles, with no more under way than keep the workers busy."""
        under_way: dict[Any, list[Asked]] = {}
        while True:
            width = 2 * max(1, self._threads()) + 2
            while len(under_way) < width and (bundle := self._next(bundles)) is not None:
                under_way[self._submit(bundle)] = asked(self._study, bundle)
            if not under_way:
                return
            for future in self._ended(list(under_way)):
                yield from self._settled(future, under_way.pop(future), suspects)

    def _next(self, bundles: Iterator[Bundle]) -> Bundle | None:
        return self._again.popleft() if self._again else next(bundles, None)

    def _submit(self, bundle: Bundle) -> Any:
        return self._client.submit(work, self._token, bundle, self._here, self._seconds, pure=False)

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

    def _settled(self, future: Any, wanted: list[Asked], suspects: list[Asked] | None) -> Iterator[Done]:
        if future.status == "error":
            yield from self._lost(future.exception(), wanted, suspects)
            return
        try:
            answer: Answer = future.result()
        except (OSError, CancelledError) as error:
            raise _gone(error) from None
        if answer.differences:
            what = f"worker {answer.worker} would compute something else: {answer.differences}"
            raise Resumable(f"{what}; stop it and resume")
        cells, missing = sorted_out(wanted, answer.cells, answer.worker)
        yield from cells
        if answer.hangs:
            yield from failed(missing[:1], too_long(self._seconds))
            self._again.extend((cell.item,) for cell in missing[1:])
            self._end(answer.worker, future)
        else:
            yield from failed(missing, "its worker returned nothing of it")

    def _lost(self, error: BaseException, wanted: list[Asked], suspects: list[Asked] | None) -> Iterator[Done]:
        """Fail cells that cannot be had; those that died together run again, one at a time."""
        if not isinstance(error, KilledWorker):
            yield from failed(wanted, f"{type(error).__name__}: {error}")
        elif suspects is None:
            yield from failed(wanted, f"its worker died {error.allowed_failures + 1} times")
        else:
            suspects.extend(wanted)

    def _end(self, worker: str, future: Any) -> None:
        """End a worker that hangs. Its answer is here: nobody is to compute that again."""
        self._client.cancel([future], force=True)
        with suppress(OSError, TimeoutError):
            self._client.run(leave, workers=[worker], wait=False, on_error="ignore")


def _gone(reason: object) -> Resumable:
    return Resumable(f"the cluster was lost ({reason or type(reason).__name__})")
