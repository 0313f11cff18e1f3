"""A strategy's ``decide`` as the loop calls it: by a pointer, so that all strategies share one compiled loop."""

from collections.abc import Callable
from functools import cache
from typing import Any, get_type_hints

import numba
from numba import types

from sim import strategies
from sim.strategies.decision import View

__all__ = ["MOST_PARAMS", "compiled"]

MOST_PARAMS = 8  # integers of a strategy's parameters at most
_SIGNATURE = types.int64(*[types.int64] * (MOST_PARAMS + len(View._fields)))


@cache
def compiled(decide: Callable[..., Any]) -> Any:
    """Return a decide as a C function: (8 parameters, patience, prompt, context, seen) -> mode * 256 + cache use.

    Those of the project's own strategies are kept on disk: what they are made of is their file, which numba watches,
    and what the name of the folder is a hash of. Another one may call what nobody watches, so it is compiled anew.
    """
    kind = get_type_hints(decide)[decide.__code__.co_varnames[0]]
    inner = numba.njit(error_model="numpy")(decide)
    params = [f"p{number}" for number in range(MOST_PARAMS)]
    # a NamedTuple's constructor wants its arguments one by one
    text = (
        f"def packed({', '.join([*params, *View._fields])}):\n"
        f"    decision = inner(kind({', '.join(params[: len(kind._fields)])}), View({', '.join(View._fields)}))\n"
        "    return decision[0] * 256 + decision[1]\n"
    )
    names: dict[str, Any] = {"__name__": decide.__module__, "inner": inner, "kind": kind, "View": View}
    # as if it stood in the strategy's file, so that numba keeps it beside that and asks whether the file has changed
    exec(compile(text, decide.__code__.co_filename, "exec"), names)  # noqa: S102 - all that varies is a number of fields
    if numba.config.DISABLE_JIT:
        return names["packed"]
    own = decide.__module__.startswith(f"{strategies.__name__}.")
    return numba.cfunc(_SIGNATURE, error_model="numpy", cache=own)(names["packed"])
