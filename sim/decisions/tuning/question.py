"""What ``gcsim tune`` is asked, and every mistake in that at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sim.decisions.measures import measures_of, requirements
from sim.decisions.tuning.racing import FIRST
from sim.decisions.tuning.space import Space
from sim.decisions.tuning.suggesting import installed
from sim.decisions.tuning.trials import Aim
from sim.decisions.tuning.tunable import space_of
from sim.errors import InputError, Problem, nearest, unknown, wrong
from sim.experiments.estimates import Json
from sim.scenario import Scenario

__all__ = ["METHODS", "REPLICATIONS", "Asked", "Question", "question_of"]

METHODS = ("race", "optuna")
REPLICATIONS = 40  # that choose
_MOST_POINTS = 4_096
_MOST_REPLICATIONS = 10_000


class Asked(NamedTuple):
    """The arguments of a tuning."""

    strategy: str
    vary: tuple[str, ...] = ()  # PATH=VALUES; none = what is usually tuned of its kind
    require: tuple[str, ...] = ()
    precision: float = 0.01  # the share of the cost that is not worth telling settings apart by
    against: str = "p95"  # the measure that the front sets beside the cost
    method: str = METHODS[0]
    points: int | None = None  # that the search begins with, or that optuna tries; None = by the number of dimensions
    replications: int = REPLICATIONS
    model: str | None = None  # None = the scenario's first

    def plain(self) -> Json:
        """Return the arguments as JSON has them."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in self._asdict().items()}


class Question(NamedTuple):
    """A tuning whose arguments are in order."""

    asked: Asked
    space: Space
    aim: Aim


def question_of(base: Scenario | None, asked: Asked) -> Question:
    """Return the question that arguments ask of a scenario; raise every mistake in them at once, also without one."""
    problems = [*_mistakes(asked)]
    if base is None:
        raise InputError(problems)
    wanted = _noted(lambda: requirements(asked.require, base), problems) if asked.require else []
    names = [arm.name for arm in base.arms]
    space = None
    if asked.strategy in names:
        space = _noted(lambda: space_of(base, asked.strategy, asked.vary), problems)
    elif asked.strategy:
        problems += unknown("--strategy", "strategy", [asked.strategy], names)
    problems += _unfit(base, asked, [one.measure for one in wanted or []])
    if problems or space is None:
        raise InputError(dict.fromkeys(problems))
    model = asked.model or base.spec.models[0]
    aim = Aim(asked.strategy, model, base.baseline, tuple(wanted), measures_of(base), asked.against)
    return Question(asked, space, aim)


def _noted(read: Callable[[], Any], problems: list[Problem]) -> Any:
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None


def _mistakes(asked: Asked) -> Iterator[Problem]:
    if not asked.strategy:
        yield wrong("--strategy", "is missing", "the strategy whose parameters are tuned")
    if not 0 < asked.precision < 1:
        allowed = "more than 0 and less than 100%, such as 1%"
        yield wrong("--precision", "not a relative precision", allowed, asked.precision)
    if asked.method not in METHODS:
        yield wrong("--method", "unknown method", nearest(asked.method, METHODS), asked.method)
    elif asked.method == "optuna" and not installed():
        yield wrong("--method", "optuna is not installed", "pip install 'gemini-cost-sim[tune]', or --method race")
    if asked.points is not None and not 2 <= asked.points <= _MOST_POINTS:
        yield wrong("--points", "not a number of points", f"a whole number from 2 to {_MOST_POINTS:,}", asked.points)
    if not FIRST <= asked.replications <= _MOST_REPLICATIONS:
        allowed = f"a whole number from {FIRST} to {_MOST_REPLICATIONS:,}; others judge what they chose"
        yield wrong("--replications", "too few or too many to choose by", allowed, asked.replications)


def _unfit(base: Scenario, asked: Asked, required: Sequence[str]) -> Iterator[Problem]:
    """Yield what the front, or a requirement, cannot be about, nor a model; nor can a cost that is not all billed."""
    if base.spec.close == "cut":
        what = "a run that is cut leaves work unbilled, so no setting costs least"
        yield base.document.problem(("close",), what, '"drain"', "cut")
    if asked.model is not None and asked.model not in base.spec.models:
        yield wrong("--model", "not a model of the scenario", nearest(asked.model, base.spec.models), asked.model)
    known = measures_of(base)
    sensible = [name for name, one in known.items() if not one.versus and not name.startswith("cost")]
    if asked.against not in sensible:
        what = "that is what is made least" if asked.against in known else "unknown measure"
        yield wrong("--against", what, nearest(asked.against, sensible), asked.against)
    if asked.strategy == base.baseline and any(known[name].versus for name in required):
        what = f"{asked.strategy} is the baseline itself, over which it saves nothing"
        others = [arm.name for arm in base.arms if arm.name != asked.strategy]
        yield wrong("--require", what, f"--baseline {' or '.join(others) or 'STRATEGY'}")
