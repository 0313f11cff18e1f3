"""What may be tuned of a strategy: the ranges that are usual for its kind, or those that are asked for."""

import math
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from sim.decisions.tuning.dimension import SAMPLED, Dimension, amount
from sim.decisions.tuning.space import Space, refusals
from sim.errors import InputError, Problem, nearest, wrong
from sim.experiments.designs import Axis, axes_of
from sim.paths import written
from sim.scenario import Arm, Scenario
from sim.strategies import STRATEGIES
from sim.strategies.options import Deletion, Renewal
from sim.units import duration

__all__ = ["TUNABLE", "present_of", "space_of"]

_CACHE = {"ttl": "1m..24h:log", "renew": "never,on_use", "sightings": "1,2,3", "pad": "false,true"}
_BATCH = {"window": "1m..4h:log", "size": "10..1000:log"}

# kind -> key -> the values that are tried where nobody says others
TUNABLE: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "explicit": _CACHE,
        "batch": _BATCH,
        "hybrid": {**_CACHE, "renew": "never,margin:5m,on_use", **_BATCH},
        "routed": {
            **_CACHE,
            "threshold": "1m..24h:log",
            "guard": "1m..2h:log",
            "window": "1m..4h:log",
            "batch_cache": "none,read,create",
        },
        "flex": {"attempts": "1..8:lin", "timeout": "1m..1h:log", "guard": "0s..10m:lin"},
    }
)

_NOT_TUNED = {"kind", "set"}


def space_of(base: Scenario, strategy: str, texts: Sequence[str]) -> Space:
    """Return what is varied: ``PATH=VALUES`` texts, or what is usually tuned; raise every mistake at once.

    >>> from sim.scenario import load
    >>> space = space_of(load("quickstart"), "explicit", [])
    >>> [dimension.key for dimension in space.dimensions], space.point([0.5, 0.9, 0.0, 0.9])
    (['ttl', 'renew', 'sightings', 'pad'], ('38m', 'on_use', '1', 'true'))
    """
    arm = next(one for one in base.arms if one.name == strategy)
    return _given(base, arm, texts) if texts else _usual(base, arm)


def _usual(base: Scenario, arm: Arm) -> Space:
    usual = TUNABLE.get(arm.strategy.kind, {})
    axes = axes_of([f"{_own(arm.name)}{key}={values}" for key, values in usual.items()], SAMPLED) if usual else ()
    kept = [axis for axis in axes if not _refused(base, axis, axes)]
    if not kept:
        what = f"nothing of {arm.name} (kind {arm.strategy.kind}) is usually tuned"
        allowed = "a --vary of a path of its own, or a strategy of kind " + ", ".join(TUNABLE)
        raise InputError([wrong("--strategy", what, allowed, arm.name)])
    left_out = [f"{axis.path} is left out: {_refused(base, axis, axes)[0].what}" for axis in axes if axis not in kept]
    return Space(arm.name, tuple(_dimension(base, axis) for axis in kept), tuple(left_out))


def _own(strategy: str) -> str:
    """Return what the paths of a strategy's own keys begin with.

    >>> _own("explicit"), _own("one hour")
    ('strategies.explicit.', 'strategies."one hour".')
    """
    return f"{written(('strategies', strategy))}."


def _given(base: Scenario, arm: Arm, texts: Sequence[str]) -> Space:
    problems: list[Problem] = []
    axes: list[Axis] = []
    for text in texts:
        try:
            axes += axes_of([text], SAMPLED)
        except InputError as error:
            problems += error.problems
    problems += [problem for axis in axes for problem in _misplaced(base, arm, axis)]
    if twice := {axis.path for axis in axes if [other.path for other in axes].count(axis.path) > 1}:
        problems += [wrong("--vary", f"{path} is varied twice", "each path once") for path in sorted(twice)]
    if not problems:
        problems += [problem for axis in axes for problem in _refused(base, axis, axes)]
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Space(arm.name, tuple(_dimension(base, axis) for axis in axes))


def _misplaced(base: Scenario, arm: Arm, axis: Axis) -> Iterator[Problem]:
    """Yield why a path is none of this strategy's own."""
    own = _own(arm.name)
    keys = sorted(set(STRATEGIES[arm.strategy.kind].model_fields) - _NOT_TUNED)
    if not keys:
        allowed = "a strategy of kind " + ", ".join(TUNABLE)
        yield wrong("--vary", f"{arm.name} (kind {arm.strategy.kind}) has nothing to tune", allowed, axis.path)
    elif not axis.path.startswith(own):
        others = [one.name for one in base.arms if axis.path.startswith(_own(one.name))]
        what = f"a path of {others[0]}, while {arm.name} is tuned" if others else f"no parameter of {arm.name}"
        yield wrong("--vary", what, f"{own}KEY, where KEY is one of {', '.join(keys)}", axis.path)
    elif (key := axis.path.removeprefix(own)) not in keys:
        yield wrong("--vary", f"kind {arm.strategy.kind} has no {key} to tune", nearest(key, keys), axis.path)


def _refused(base: Scenario, axis: Axis, others: Sequence[Axis]) -> list[Problem]:
    """Return what is wrong with the values of a list, or the ends of a range, each alone and beside others' values."""
    tried = axis.values or tuple(Dimension(axis.path, axis).value(end) for end in (0, 1))
    beside = [f"{other.path}={text}" for other in others if other.path != axis.path for text in other.values]
    problems = []
    for text in tried:
        one = f"{axis.path}={text}"
        found = refusals(base, [one])
        if found and all(refusals(base, [one, with_it]) for with_it in beside):
            problems += [wrong("--vary", f"{axis.path}: {problem.what}", problem.allowed, text) for problem in found]
    return problems


def _dimension(base: Scenario, axis: Axis) -> Dimension:
    """Return a dimension that knows whether its path takes whole numbers only: the scenario answers."""
    whole = False
    if axis.span is not None and axis.span.kind == "number":
        middle = math.floor((axis.span.lo + axis.span.hi) / 2)
        broken, sound = f"{axis.path}={middle}.5", f"{axis.path}={max(middle, 1)}"
        whole = bool(refusals(base, [broken])) and not refusals(base, [sound])
    return Dimension(axis.path, axis, whole)


def present_of(base: Scenario, space: Space) -> dict[str, str | None]:
    """Return the scenario's present values by path, as a file would have them; None where a value is not set.

    >>> from sim.scenario import load
    >>> base = load("quickstart")
    >>> list(present_of(base, space_of(base, "batch", [])).values())
    ['15m', None]
    """
    spec = next(arm.strategy for arm in base.arms if arm.name == space.strategy)
    found = {one.path: _text(getattr(spec, one.key), one) for one in space.dimensions}
    sightings = f"{_own(space.strategy)}sightings"
    if sightings in found and found[sightings] is None:
        found[sightings] = "2" if base.spec.replay else "1"
    return found


def _text(value: object, dimension: Dimension) -> str | None:
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    if isinstance(value, Renewal):
        return "on_use" if value.on_use else "never" if value.margin is None else f"margin:{duration(value.margin)}"
    if isinstance(value, Deletion):
        return "last_use" if value.last_use else "never" if value.idle is None else f"idle:{duration(value.idle)}"
    timed = dimension.span.kind == "duration" if dimension.span else amount(dimension.axis.values[0], "duration")
    return duration(value) if timed and isinstance(value, int) else str(value)
