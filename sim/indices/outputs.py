"""What a sensitivity method is handed: an output for each point that it asked for."""

import numpy as np
import numpy.typing as npt

from sim.stats import Interval
from sim.workload.sizes import Floats

__all__ = ["CONSTANT", "ZERO", "checked", "is_constant"]

CONSTANT = "the output is the same at every point: no input moves it"
ZERO = Interval(0.0, 0.0, 0.0)


def checked(outputs: npt.ArrayLike, count: int) -> Floats:
    """Return the outputs as an array; raise ValueError unless there are ``count`` of them, all finite."""
    found = np.asarray(outputs, dtype=np.float64)
    if found.shape != (count,):
        raise ValueError(f"the design has {count} points, got outputs of shape {found.shape}")
    wrong = np.flatnonzero(~np.isfinite(found))
    if wrong.size:
        raise ValueError(f"outputs must be finite, got {found[wrong[0]]} at point {wrong[0]}")
    return found


def is_constant(outputs: Floats) -> bool:
    """Return whether all outputs are the same number."""
    return bool(np.all(outputs == outputs[0]))
