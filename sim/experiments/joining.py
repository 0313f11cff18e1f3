"""How a sweep comes to its workers: some of its own on this machine, or those of a scheduler that is there already."""

import asyncio
import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import dask
import distributed

from sim.errors import SimError

__all__ = ["DEATHS", "Unreachable", "connected", "local", "reach"]

CONNECT_S = 5.0  # an unreachable scheduler is told within ten seconds
DEATHS = 3  # of its workers, after which work is not tried again; another scheduler may allow more
MEMORY = "auto"  # of a worker on this machine: its share of what there is

_dask: Any = distributed  # its functions have no types

_SETTINGS = {
    "distributed.scheduler.allowed-failures": DEATHS - 1,
    "distributed.scheduler.worker-ttl": None,  # compiled code keeps a worker silent; it has a deadline of its own
    "distributed.worker.daemon": True,
    "distributed.deploy.lost-worker-timeout": 10**8,  # else one that is just being started again is closed for good
    # a worker that outgrows its share is ended, and its work taken apart: to pause it would be to wait for ever
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
}


class Unreachable(SimError, ConnectionError):
    """A cluster cannot be used: nobody answers, or its workers would compute something else."""

    exit_code = 4


@contextmanager
def local(workers: int) -> Iterator[Any]:
    """Start workers on this machine, processes of one thread each, and give a client of them."""
    with dask.config.set(_SETTINGS), ExitStack() as stack:
        with _deaf_children():
            cluster = stack.enter_context(
                _dask.LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    protocol="tcp",
                    dashboard_address="127.0.0.1:0",  # any port: that of another sweep may be taken
                    memory_limit=MEMORY,
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


def reach(address: str) -> None:
    """Raise :class:`Unreachable` where no scheduler answers: a client that met nobody would take long to give up."""
    try:
        asyncio.run(_greet(address))
    except Exception as error:  # noqa: BLE001 - what is no scheduler may answer anything
        raise _unreachable(address, error) from None


async def _greet(address: str) -> None:
    comm = await _dask.comm.connect(address, timeout=CONNECT_S)
    await comm.close()


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give a client of a scheduler that is there already."""
    reach(address)
    try:
        client = _dask.Client(address, timeout=CONNECT_S, set_as_default=False)
    except Exception as error:  # noqa: BLE001 - as above
        raise _unreachable(address, error) from None
    try:
        yield client
    finally:
        with suppress(OSError, TimeoutError):  # a scheduler that went away cannot be taken leave of
            client.close(timeout=2)


def _unreachable(address: str, error: Exception) -> Unreachable:
    reason = " ".join(str(error).split()) or type(error).__name__
    return Unreachable(f"no scheduler answers at {address} ({reason})")
