"""Where compiled kernels are kept: a folder for each state of their sources, so that none is ever stale."""

import hashlib
import os
from functools import cache
from importlib.metadata import version
from pathlib import Path

from sim import ledger
from sim.engines.laws import backoff, draws, jobs, latency, order, prefix, quota, ttl, weather
from sim.strategies import decision

__all__ = ["LAWS", "folder", "is_warm"]

LAWS = (backoff, draws, jobs, latency, order, prefix, quota, ttl, weather)
_HERE = Path(__file__).parent


@cache
def digest() -> str:
    """Return a hash of all sources that end up in a kernel: numba watches only the file of each function itself."""
    sources = sorted(_HERE.glob("*.py")) + [Path(module.__file__ or "") for module in (*LAWS, decision, ledger)]
    text = b"\0".join(path.read_bytes() for path in sources)
    checked = os.environ.get("NUMBA_BOUNDSCHECK", "")  # other machine code, of which numba's own cache knows nothing
    return hashlib.sha256(text + version("numba").encode() + checked.encode()).hexdigest()[:16]


def folder() -> Path:
    """Return the folder of the present sources: in ``GCSIM_CACHE``, else in the user's cache."""
    base = os.environ.get("GCSIM_CACHE") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "gemini-cost-sim" / digest()


def is_warm() -> bool:
    """Return whether the kernels have been compiled before."""
    return any(folder().glob("**/engine.happen-*.nbc"))
