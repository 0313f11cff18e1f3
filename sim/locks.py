"""The lock of a folder: one process at a time adds to what is in it."""

import datetime as dt
import os
import socket
from pathlib import Path

from sim.errors import InputError, Problem

__all__ = ["locked"]


def locked(folder: Path, kind: str) -> int:
    """Return the held lock of a folder, a file that is open; ``kind`` is what the folder is of, for the messages.

    It goes with the process, however that ends, and no child inherits it. Raises :class:`InputError` where another
    process holds it, where the folder cannot be written to, and where its disk has no locks.
    """
    import fcntl  # noqa: PLC0415 - not on Windows, where everything but sweeps works without it

    path = folder / "lock"
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        what = f"cannot be written to ({error.strerror})"
        raise InputError([Problem(str(folder), 0, "", what, f"the folder of a {kind}")]) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if not isinstance(error, BlockingIOError):
            os.close(handle)
            what = f"its disk has no locks ({error.strerror}), so that nothing keeps a second driver out"
            raise InputError([Problem(str(folder), 0, "", what, "a folder on a disk of this machine")]) from None
        holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "another process"
        os.close(handle)
        what = f"another {kind} is at work in this folder: {holder}"
        raise InputError([Problem(str(folder), 0, "", what, "one driver at a time")]) from None
    now = dt.datetime.now(dt.UTC)  # noqa: TID251 - told to a second driver, shapes no result
    text = f"process {os.getpid()} on {socket.gethostname()} since {now:%Y-%m-%dT%H:%M:%SZ}"
    os.ftruncate(handle, 0)
    os.pwrite(handle, text.encode(), 0)
    return handle
