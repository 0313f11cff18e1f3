"""Which inputs drive an output: their ranking by Morris, and the best index that there is; and what to beware of."""

from collections.abc import Callable, Sequence

import numpy as np

from sim.decisions.drivers.methods import METHODS, MOST_NOISE, Json
from sim.decisions.drivers.outputs import Output

__all__ = ["cautions", "drivers_of", "ranking"]

_DRIVERS = 3


def ranking(screened: Json, paths: Sequence[str]) -> list[Json]:
    """Return the inputs by their share of mu* among all inputs, on average over the outputs that move at all."""
    effects = np.array(
        [[one["mu_star"]["mean"] for one in entry["inputs"]] for entry in screened["outputs"] if entry["inputs"]]
    )
    moving = effects[effects.sum(axis=1) > 0] if effects.size else np.zeros((0, len(paths)))
    shares = (moving / moving.sum(axis=1, keepdims=True)).mean(axis=0) if len(moving) else np.zeros(len(paths))
    order = sorted(range(len(paths)), key=lambda place: -round(float(shares[place]), 12))
    return [{"path": paths[place], "share": round(float(shares[place]), 12)} for place in order]


_INDICES: dict[tuple[str, str], Callable[[Json], float]] = {  # the best one first: its size in an entry
    ("sobol", "total"): lambda entry: entry["total"]["mean"],
    ("morris", "mu_star"): lambda entry: entry["mu_star"]["mean"],
    ("tornado", "swing"): lambda entry: abs(entry["swing"]["mean"]) if entry["swing"] else 0.0,
    ("pawn", "median"): lambda entry: entry["whole"]["median"] if entry["whole"]["matters"] else 0.0,
}


def drivers_of(document: Json, output: Output) -> Json:
    """Return the inputs that move an output most, by the best index that all inputs have."""
    for (method, index), size in _INDICES.items():
        if document[method] is not None and len(document[method].get("inputs", document["inputs"])) < len(
            document["inputs"]
        ):
            continue
        entries = _entries(document[method], output)
        if sizes := {entry["path"]: size(entry) for entry in entries}:
            moving = sorted((path for path in sizes if sizes[path] > 0), key=lambda path: -sizes[path])
            return {**output.key, "by": f"{method} {index}", "inputs": moving[:_DRIVERS]}
    return {**output.key, "by": None, "inputs": []}


def _entries(found: Json | None, output: Output) -> list[Json]:
    if found is None:
        return []
    entries: list[Json] = next(entry["inputs"] for entry in found["outputs"] if output.key.items() <= entry.items())
    return entries


def cautions(document: Json) -> list[str]:
    """Return of which outputs too much is luck, and which have no value somewhere."""
    several = len({output["model"] for output in document["outputs"]}) > 1
    luck, missing = dict[str, float](), dict[str, str]()
    for name in METHODS:
        for entry in (document[name] or {"outputs": []})["outputs"]:
            on = f" on {entry['model']}" if several else ""
            what = f"{entry['measure']} of {entry['strategy']}{on}"
            if entry["missing"]:
                missing[what] = f"{name}: no indices of the {what}: {entry['note']}"
            elif (entry["noise"] or 0.0) > MOST_NOISE:
                luck[what] = max(entry["noise"], luck.get(what, 0.0))
    parts = ", ".join(f"{what} {100 * share:.0f} %" for what, share in luck.items())
    noisy = f"much of the variance over the points is luck, which indices take for the work of inputs: {parts}"
    return [*missing.values(), *([f"{noisy}; more --replications help"] if luck else [])]
