"""The methods that look at many points: where each wants the inputs to be, and what it says of an output there."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sim.decisions.drivers.outputs import Output, Sample, noise
from sim.experiments.estimates import Json
from sim.indices import morris, pawn, sobol
from sim.stats import Interval
from sim.workload.intensity import Take
from sim.workload.sizes import Floats

__all__ = ["METHODS", "MOST_NOISE", "Json", "Method", "Sizes", "bounds", "told"]


MOST_NOISE = 0.1  # of the variance over points, above which a reader is warned of luck
TAIL = 0.9  # the quantile of an output beyond which PAWN asks for the tail
_SLICES = 10
_LEAST_OF_A_SLICE = 5  # points


class Sizes(NamedTuple):
    """How many points each method may have."""

    trajectories: int = 10  # of Morris, an input and one more points each
    rows: int = 64  # of Sobol's net, an input and two more points each; a power of two
    points: int = 200  # of PAWN's hypercube


class Method(NamedTuple):
    """One way to look at an output over many points."""

    points: Callable[[int, Sizes, Take], Floats]  # of so many inputs: (n, k)
    size: Callable[[int, Sizes], int]  # how many points these are
    indices: Callable[[Floats, Floats, Take], tuple[list[Json], Json]]  # an entry an input, and what is common to them


def bounds(interval: Interval) -> Json:
    """Return an estimate and its bounds as a document has them."""
    return interval._asdict()


def _morris(at: Floats, values: Floats, _take: Take) -> tuple[list[Json], Json]:
    found = morris.effects(at, values)
    parts = ("mu", "mu_star", "sigma")
    return [{part: bounds(getattr(effect, part)) for part in parts} for effect in found.inputs], {"note": found.note}


def _sobol(at: Floats, values: Floats, take: Take) -> tuple[list[Json], Json]:
    found = sobol.indices(values, at.shape[1], take)
    return [{"first": bounds(one.first), "total": bounds(one.total)} for one in found.inputs], {"note": found.note}


def _pawn(at: Floats, values: Floats, take: Take) -> tuple[list[Json], Json]:
    """Return the shifts of the whole distribution and of its tail, beside what an input without influence reaches."""
    slices = max(2, min(_SLICES, len(values) // _LEAST_OF_A_SLICE))
    whole, tail = (pawn.indices(at, values, take, slices=slices, beyond=beyond) for beyond in (0.0, TAIL))
    inputs = [
        {name: shift._asdict() for name, shift in (("whole", one), ("tail", other))}
        for one, other in zip(whole.inputs, tail.inputs, strict=True)
    ]
    inert = {
        name: {"median": found.inert_median, "greatest": found.inert_greatest}
        for name, found in (("whole", whole), ("tail", tail))
    }
    return inputs, {"note": whole.note, "inert": inert, "tail_beyond": TAIL, "slices": slices}


METHODS: dict[str, Method] = {
    "morris": Method(
        lambda inputs, sizes, take: morris.points(inputs, sizes.trajectories, take),
        lambda inputs, sizes: sizes.trajectories * (inputs + 1),
        _morris,
    ),
    "sobol": Method(
        lambda inputs, sizes, take: sobol.points(inputs, sizes.rows, take),
        lambda inputs, sizes: sizes.rows * (inputs + 2),
        _sobol,
    ),
    "pawn": Method(
        lambda inputs, sizes, take: pawn.points(inputs, sizes.points, take),
        lambda _inputs, sizes: sizes.points,
        _pawn,
    ),
}


def told(
    method: Method, paths: Sequence[str], at: Floats, samples: Sequence[tuple[Output, Sample]], take: Take
) -> Iterator[Json]:
    """Yield what a method says of each output; of one without a value at some point it only says so."""
    for output, sample in samples:
        entry: Json = {**output.key, "missing": sample.missing, "noise": None, "note": None, "inputs": []}
        if sample.missing:
            entry["note"] = f"no value at {sample.missing} of {len(at)} points: nothing was asked there, or answered"
        else:
            inputs, common = method.indices(at, sample.values, take)
            entry |= {
                "mean": float(sample.values.mean()),
                "sd": float(sample.values.std(ddof=1)),
                "noise": noise(sample),
                **common,
                "inputs": [{"path": path, **one} for path, one in zip(paths, inputs, strict=True)],
            }
        yield entry
