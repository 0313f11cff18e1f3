"""Disks that fail, processes that die and users who interrupt, each at the n-th operation on files."""

import errno
import os
import signal

from sweeps import carried_out, digests

from sim.journal import Files


class Counted(Files):
    """Files whose n-th operation does something else."""

    def __init__(self, fault_at=0, code=errno.ENOSPC):
        self.count, self.fault_at, self.code = 0, fault_at, code

    def fault(self, handle=None, data=b""):
        """Fail as a full disk does: some of the bytes may have been written."""
        if data:
            os.write(handle, data[: len(data) // 2])
        raise OSError(self.code, os.strerror(self.code))

    def step(self, handle=None, data=b""):
        self.count += 1
        if self.count == self.fault_at:
            self.fault(handle, data)

    def open(self, path, flags):
        self.step()
        return super().open(path, flags)

    def write(self, handle, data):
        self.step(handle, data)
        return super().write(handle, data)

    def fsync(self, handle):
        self.step()
        super().fsync(handle)

    def close(self, handle):
        try:
            self.step()
        finally:
            super().close(handle)

    def replace(self, source, target):
        self.step()
        super().replace(source, target)

    def mkdir(self, folder):
        self.step()
        super().mkdir(folder)


class Deadly(Counted):
    """Files whose n-th operation is the process's last."""

    def fault(self, handle=None, data=b""):
        if data:
            os.write(handle, data[: len(data) // 2])
        os.kill(os.getpid(), signal.SIGKILL)


class Interrupting(Counted):
    """Files that the user interrupts at the n-th operation."""

    def fault(self, *_):
        os.kill(os.getpid(), signal.SIGINT)


def operations(plan, out):
    """Return how many operations an undisturbed sweep takes, and what it leaves."""
    files = Counted()
    found = carried_out(plan, out, files=files)
    return files.count, digests(found.folder)


def begun(out):
    """Return the folder of a sweep that can be resumed, if there is one."""
    return next((path.parent for path in out.glob("*/*/manifest.json")), None)


def saved(folder):
    """Return how many cells a folder has."""
    path = folder / "cells.journal"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def gone_on(plan, out):
    """Return what a stopped sweep leaves when it is resumed, or begun anew where there is nothing to resume."""
    return digests(carried_out(plan, out, resume=begun(out)).folder)
