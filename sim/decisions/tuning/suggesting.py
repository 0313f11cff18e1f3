"""Settings suggested by optuna, an extra: a model of where the cost is low in place of a race."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from sim.decisions.tuning.space import Point, Space
from sim.decisions.tuning.trials import Trials

__all__ = ["installed", "suggested"]

USUAL = 64  # points that are tried
_BATCH = 8  # of them at a time


def installed() -> bool:
    """Return whether optuna is there."""
    return find_spec("optuna") is not None


def suggested(trials: Trials, begin: Sequence[Point], most: int, size: int | None, seed: int) -> list[Point]:
    """Return the points that optuna's sampler (TPE: Bergstra et al. 2011) has tried on ``most`` replications each.

    It begins with up to eight of ``begin`` and goes on eight at a time, since one by one would leave workers idle.
    """
    import optuna  # noqa: PLC0415 - an extra

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    for point in begin[:_BATCH]:
        study.enqueue_trial(_parameters(trials.space, point))
    tried: dict[Point, None] = {}
    for _ in range(-(-(size or USUAL) // _BATCH)):
        asked = [study.ask(_distributions(optuna, trials.space)) for _ in range(_BATCH)]
        points = [_point(trials.space, one.params) for one in asked]
        trials.meet(points, most)
        tried |= dict.fromkeys(points)
        unit = trials.mean(next(point for point in tried if trials.count(point))) or 1.0
        for one, point in zip(asked, points, strict=True):
            study.tell(one, trials.score(point, unit))
    return [point for point in tried if trials.count(point)]


def _distributions(optuna: Any, space: Space) -> dict[str, Any]:
    kinds = optuna.distributions
    return {
        one.path: kinds.FloatDistribution(0.0, 1.0) if one.span else kinds.CategoricalDistribution(one.axis.values)
        for one in space.dimensions
    }


def _parameters(space: Space, point: Point) -> dict[str, float | str]:
    shares = space.shares(point)
    return {
        one.path: share if one.span else text for one, share, text in zip(space.dimensions, shares, point, strict=True)
    }


def _point(space: Space, parameters: dict[str, Any]) -> Point:
    return tuple(one.value(parameters[one.path]) if one.span else str(parameters[one.path]) for one in space.dimensions)
