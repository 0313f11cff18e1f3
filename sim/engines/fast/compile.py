"""How the kernels are compiled: the laws as they are, no reference counted, and a cache that no edit outlives."""

from collections.abc import Callable
from types import FunctionType
from typing import Any, TypeVar

import numba
from numba.extending import register_jitable

from sim.engines.fast.cache import LAWS, folder
from sim.engines.fast.uncompiled import entered

__all__ = ["kernel", "loop"]

F = TypeVar("F", bound=Callable[..., Any])

numba.config.CACHE_DIR = str(folder())

for _law in LAWS:
    for _function in list(vars(_law).values()):
        if isinstance(_function, FunctionType) and _function.__module__ == _law.__name__:
            register_jitable(_function)

# Arrays are borrowed from the caller for the whole run and no kernel makes one, so counting references, which would
# cost a hundred times the work itself, is left out; divisors are never zero.
_OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy", "nogil": True, "cache": True}


def kernel(function: F) -> F:
    """Compile a part of the service, to be inlined where it is called."""
    compiled: F = numba.njit(**_OPTIONS)(function)
    return compiled


def loop(function: F) -> F:
    """Compile the loop that calls the parts."""
    compiled: F = numba.njit(**_OPTIONS)(function)
    return entered(compiled) if numba.config.DISABLE_JIT else compiled  # type: ignore[return-value]  # it wraps one
