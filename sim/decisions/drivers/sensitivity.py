"""What drives the bill, the saving and the wait: screening, indices of variance, a tornado, and what moves the tail.

The document is ``gcsim.sensitivity/1``, besides what every decision has (:mod:`sim.decisions.finding`):

``origin``
    Of the inputs: ``given`` by ``--vary``, of the ``scenario``'s own laws, or ``derived`` from it.
``inputs``
    ``path``, ``law``, and the ``low`` and ``high`` value of each.
``methods``, ``strategies``, ``outputs``
    What was asked for; an output is a ``measure`` (``unit`` USD, s or 1) of a ``strategy`` on a ``model``.
``replications``
    Of each of the many ``points`` and of the few of the ``tornado``; the same luck at all of them.
``tornado``
    ``outputs``: with their ``base`` value, and of each input, the widest first, the values at ``low`` and ``high`` and
    the ``swing`` between them (paired interval); of the cost also the exact decimals. ``winners``: the cheapest
    strategy that keeps the patience target on each model, and the ``changes`` of it at the ends of inputs.
``morris``, ``pawn``, ``sobol``
    ``points``, and ``outputs``: of each input its indices (:mod:`sim.indices`), over all outputs' points their ``mean``
    and ``sd``, and ``noise``, the share of that variance which is luck (null for one replication). ``morris.ranking``
    orders the inputs by their mean share of mu* over the outputs; ``sobol.inputs`` are those that it looks at.
``drivers``
    Of each output the inputs that matter most, ``by`` the best index that there is.

An effect that is measured on common luck is that of the inputs on this luck: more replications bring it nearer to the
effect on the mean, and ``noise`` tells how far it may be from it.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, Unpack

import numpy as np

from sim.decisions.drivers import tornado
from sim.decisions.drivers.inputs import Inputs, inputs_of
from sim.decisions.drivers.methods import METHODS, MOST_NOISE, Json, Sizes, told
from sim.decisions.drivers.outputs import USUAL, Output, measured, outputs_of, sampled
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.measures import Measure
from sim.errors import InputError, Problem, nearest
from sim.scenario import Scenario
from sim.workload.intensity import Take
from sim.workload.realise import uniforms

__all__ = ["CHOICES", "Question", "answer", "asked", "question_of", "sensitivity"]

MOST_INPUTS = 5  # that Sobol's indices are computed for; Morris says which
RUNS = 2  # replications of each of many points: two tell the noise
TORNADO_RUNS = 10
MOST_CELLS = 5_000_000
_DRIVERS = 3
USUAL_SIZES = Sizes()

CHOICES = {
    "auto": ("morris", "sobol", "tornado"),  # without Morris where there is nothing to screen
    "morris": ("morris",),
    "sobol": ("sobol",),  # after Morris where there is something to screen
    "tornado": ("tornado",),
    "pawn": ("pawn",),
    "all": ("morris", "sobol", "tornado", "pawn"),
}


class Question(NamedTuple):
    """What is asked of a scenario."""

    inputs: Inputs
    measures: tuple[Measure, ...]
    strategies: tuple[str, ...]
    methods: tuple[str, ...]
    sizes: Sizes = USUAL_SIZES
    replications: int | None = None  # of all points; None = 2 of the many, 10 of the few

    @property
    def runs(self) -> int:
        """Return the replications of each of many points."""
        return self.replications or RUNS

    @property
    def tornado_runs(self) -> int:
        """Return the replications of each of the few points of the tornado."""
        return self.replications or TORNADO_RUNS


def sensitivity(
    scenario: str | Path | Scenario,
    *,
    vary: Sequence[str] = (),
    method: str = "auto",
    outputs: Sequence[str] = USUAL,
    strategies: Sequence[str] | None = None,
    replications: int | None = None,
    trajectories: int = USUAL_SIZES.trajectories,
    rows: int = USUAL_SIZES.rows,
    points: int = USUAL_SIZES.points,
    **means: Unpack[Means],
) -> Finding:
    """Find out which inputs of a scenario drive its outputs.

    Parameters
    ----------
    scenario
        A file, a shipped scenario's name, or one from :func:`sim.load`.
    vary
        ``PATH=LO..HI``, ``PATH=LO..HI:log``, ``PATH=V1,V2`` or ``PATH=lognormal(120/h, cv=0.3)``; by default what the
        scenario has laws for, else half to twice of what usually matters.
    method
        ``morris``, ``sobol``, ``tornado``, ``pawn``, ``all``; ``auto`` screens more than five inputs by Morris, and
        computes Sobol' indices of the first five and a tornado.
    outputs
        Names of measures, see :mod:`sim.decisions.measures`.
    strategies
        Those to look at; all by default.
    replications
        Of every point, on the same luck; by default 2, and 10 of the tornado's points.
    trajectories, rows, points
        Sizes of the designs of Morris, of Sobol (a power of two) and of PAWN.
    means
        See :class:`sim.decisions.finding.Means`.
    """
    base = read(scenario, means)
    sizes = Sizes(trajectories, rows, points)
    question = question_of(base, vary, method, outputs, strategies, sizes, replications)
    return found("sensitivity", base, asked(question), lambda source: answer(question, source), means)


def question_of(
    base: Scenario,
    vary: Sequence[str],
    method: str = "auto",
    outputs: Sequence[str] = USUAL,
    strategies: Sequence[str] | None = None,
    sizes: Sizes = USUAL_SIZES,
    replications: int | None = None,
) -> Question:
    """Return the question; raise every mistake in it."""
    problems = [*_unknown(base, method, strategies or ()), *_out_of_range(sizes, replications)]
    inputs, measures = None, None
    try:
        inputs = inputs_of(base, vary)
    except InputError as error:
        problems += error.problems
    try:
        measures = measured(outputs or USUAL, base)
    except InputError as error:
        problems += error.problems
    if inputs is None or measures is None or problems:
        raise InputError(problems)
    names = tuple(dict.fromkeys(strategies or [arm.name for arm in base.arms]))
    methods = _methods(method, len(inputs.every))
    question = Question(inputs, measures, names, methods, sizes, replications)
    if (cells := _cells(question, base)) > MOST_CELLS:
        what, allowed = f"{cells:,} cells would be computed", f"at most {MOST_CELLS:,}: fewer points or replications"
        raise InputError([_wrong("--method", what, allowed)])
    return question


def _wrong(flag: str, what: str, allowed: str, got: object = None) -> Problem:
    return Problem("command line", 0, flag, what, allowed, got)


def _unknown(base: Scenario, method: str, strategies: Sequence[str]) -> list[Problem]:
    known = [arm.name for arm in base.arms]
    problems = [] if method in CHOICES else [_wrong("--method", "unknown method", nearest(method, CHOICES), method)]
    return problems + [
        _wrong("--strategy", "unknown strategy", nearest(name, known), name) for name in strategies if name not in known
    ]


def _out_of_range(sizes: Sizes, replications: int | None) -> list[Problem]:
    rows, most = sizes.rows, 1 << 16
    problems = []
    if not 2 <= sizes.trajectories <= most:
        problems.append(_wrong("--trajectories", "out of range", f"from 2 to {most:,}", sizes.trajectories))
    if not (2 <= rows <= most and rows.bit_count() == 1):
        problems.append(_wrong("--rows", "not a power of two", f"2, 4, 8, ... {most:,}", rows))
    if not 10 <= sizes.points <= most:
        problems.append(_wrong("--points", "out of range", f"from 10 to {most:,}", sizes.points))
    if replications is not None and replications < 1:
        problems.append(_wrong("--replications", "must be at least 1", "a whole number", replications))
    return problems


def _methods(method: str, inputs: int) -> tuple[str, ...]:
    """Return the methods to use: many inputs are screened before Sobol' indices, few are not unless asked for."""
    chosen = CHOICES[method]
    if inputs > MOST_INPUTS and "sobol" in chosen and "morris" not in chosen:
        return ("morris", *chosen)
    if inputs <= MOST_INPUTS and method == "auto":
        return tuple(name for name in chosen if name != "morris")
    return chosen


def _cells(question: Question, base: Scenario) -> int:
    """Return how many cells a question asks for, those that settings share counted for each of them."""
    inputs = len(question.inputs.every)
    points = {name: METHODS[name].size(inputs, question.sizes) for name in METHODS}
    points["sobol"] = METHODS["sobol"].size(min(inputs, MOST_INPUTS), question.sizes)
    many = sum(points[name] for name in question.methods if name in points)
    few = 1 + (2 * inputs if "tornado" in question.methods else 0)
    pairs = len(_asked_of(question, base)) * len(base.spec.models)
    return (many * question.runs + few * question.tornado_runs) * pairs


def _asked_of(question: Question, base: Scenario) -> tuple[str, ...]:
    """Return the strategies to simulate: the baseline too where a saving over it is asked for."""
    versus = any(measure.versus for measure in question.measures)
    return tuple(dict.fromkeys((*question.strategies, *([base.baseline] if versus else []))))


def asked(question: Question) -> Json:
    """Return all that an answer depends on besides the scenario."""
    return {
        "vary": list(question.inputs.texts),
        "outputs": [measure.name for measure in question.measures],
        "strategies": list(question.strategies),
        "methods": list(question.methods),
        **question.sizes._asdict(),
        "replications": question.replications,
    }


def answer(question: Question, source: Source) -> Json:
    """Return what drives the outputs, from cells."""
    source.expect(_cells(question, source.base))
    outputs = outputs_of(question.measures, question.strategies, source.base)
    methods, study = question.methods, _Study(question, source, outputs)
    document = _head(question, outputs)
    document["tornado"] = study.tornado() if "tornado" in methods else None
    every = list(range(len(question.inputs.every)))
    few = len(every) <= MOST_INPUTS
    first = [name for name in METHODS if name in methods and (few or name != "sobol")]
    document |= dict.fromkeys(METHODS) | study.designs(dict.fromkeys(first, every))
    if document["morris"] is not None:
        document["morris"]["ranking"] = _ranking(document["morris"], question.inputs.paths)
    if "sobol" in methods and not few:
        best = [entry["path"] for entry in document["morris"]["ranking"][:MOST_INPUTS]]
        document |= study.designs({"sobol": [question.inputs.paths.index(path) for path in best]})
    document["drivers"] = [_drivers(document, output) for output in outputs]
    document["warnings"] = _warnings(document)
    return document


def _head(question: Question, outputs: Sequence[Output]) -> Json:
    inputs = question.inputs
    return {
        "origin": inputs.origin,
        "inputs": [
            {
                "path": one.path,
                "law": one.text,
                "low": inputs.value(number, inputs.ends(number)[0]),
                "high": inputs.value(number, inputs.ends(number)[1]),
            }
            for number, one in enumerate(inputs.every)
        ],
        "methods": list(question.methods),
        "strategies": list(question.strategies),
        "outputs": [output.key for output in outputs],
        "replications": {"points": question.runs, "tornado": question.tornado_runs},
    }


class _Study(NamedTuple):
    """A question, and where its cells come from."""

    question: Question
    source: Source
    outputs: list[Output]

    def tornado(self) -> Json:
        """Return the tornado."""
        points = self._find(tornado.asked(self.question.inputs), self.question.tornado_runs)
        return tornado.tornado(self.question.inputs, self.outputs, points, self.question.strategies)

    def designs(self, columns: dict[str, list[int]]) -> dict[str, Json]:
        """Return what methods say, each of the inputs of its columns; all their points are asked for at once."""
        inputs, sizes = self.question.inputs, self.question.sizes
        at = {name: METHODS[name].points(len(own), sizes, self._take(name, "points")) for name, own in columns.items()}
        sets = {name: inputs.at(points, columns[name]) for name, points in at.items()}
        points = iter(self._find([one for own in sets.values() for one in own], self.question.runs))
        found: dict[str, Json] = {}
        for name, own in columns.items():
            samples = sampled(self.outputs, [next(points) for _ in sets[name]])
            paths = [inputs.paths[column] for column in own]
            pairs = list(zip(self.outputs, samples, strict=True))
            told_of = told(METHODS[name], paths, at[name], pairs, self._take(name, "resamples"))
            found[name] = {"points": len(at[name]), "inputs": paths, "outputs": list(told_of)}
        return found

    def _find(self, sets: Sequence[tuple[str, ...]], runs: int) -> list[Found]:
        strategies = _asked_of(self.question, self.source.base)
        return self.source.find([Ask(one, strategies) for one in sets], range(runs))

    def _take(self, name: str, purpose: str) -> Take:
        return lambda count: uniforms(self.source.seed, 0, f"sensitivity {name}", purpose, count)


def _ranking(screened: Json, paths: Sequence[str]) -> list[Json]:
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


def _drivers(document: Json, output: Output) -> Json:
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


def _warnings(document: Json) -> list[str]:
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
