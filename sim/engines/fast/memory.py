"""One small record that leads to every table of a run: kernels pass it on, and look a table up where they need it.

Passing the tables themselves would hand some hundreds of numbers to every function, and compile for minutes.
"""

from typing import Any, TypeAlias

import numpy as np
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array, populate_array
from numba.np.numpy_support import from_dtype

from sim.engines.fast.uncompiled import plain_table

__all__ = ["World", "column", "matrix", "records"]

World: TypeAlias = Any  # (1,) record: where each table is, how many rows it has, and the numbers there is one of


_INT64 = np.dtype(np.int64)


def column(name: str) -> Any:
    """Return what finds a column of int64."""
    return _table(name, _INT64)


def records(name: str, kind: np.dtype[Any]) -> Any:
    """Return what finds a table of records."""
    return _table(name, kind)


def matrix(name: str, width: int) -> Any:
    """Return what finds a table of int64 with so many columns."""
    return _table(name, _INT64, width)


def _table(name: str, kind: np.dtype[Any], width: int = 0) -> Any:
    """Return a function of the record, compiled in place, that gives a view of a table: borrowed, nobody counts it."""
    if config.DISABLE_JIT:
        return plain_table(name, kind, width)
    array = types.Array(from_dtype(kind), 2 if width else 1, "C")
    size = kind.itemsize

    @intrinsic
    def view(_context: Any, w: Any) -> Any:
        leads = w.dtype

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base = make_array(signature.args[0])(context, builder, arguments[0]).data

            def number(field: str) -> Any:
                pointer = ir.IntType(64).as_pointer()
                return builder.load(cgutils.pointer_add(builder, base, leads.offset(field), return_type=pointer))

            made = make_array(array)(context, builder)
            rows, item = number(f"{name}_rows"), context.get_constant(types.intp, size)
            wide, row = context.get_constant(types.intp, width), context.get_constant(types.intp, size * width)
            populate_array(
                made,
                data=builder.inttoptr(number(f"{name}_at"), made.data.type),
                shape=[rows, wide] if width else [rows],
                strides=[row, item] if width else [item],
                itemsize=item,
                meminfo=None,
            )
            return made._getvalue()

        return array(w), lower

    return view
