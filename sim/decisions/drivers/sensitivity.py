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

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from sim.decisions.drivers.drivers_of import cautions, drivers_of, ranking
from sim.decisions.drivers.methods import METHODS, Json, Sizes
from sim.decisions.drivers.outputs import USUAL, Output, outputs_of
from sim.decisions.drivers.sensitivity_question import (
    CHOICES,
    MOST_INPUTS,
    USUAL_SIZES,
    Question,
    asked,
    cells_of,
    question_of,
)
from sim.decisions.drivers.study import Study
from sim.decisions.finding import Finding, Means, found, read
from sim.decisions.laboratory import Source
from sim.scenario import Scenario

__all__ = ["CHOICES", "USUAL_SIZES", "Question", "answer", "asked", "question_of", "sensitivity"]


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


def answer(question: Question, source: Source) -> Json:
    """Return what drives the outputs, from cells."""
    source.expect(cells_of(question, source.base))
    outputs = outputs_of(question.measures, question.strategies, source.base)
    methods, study = question.methods, Study(question, source, outputs)
    document = _head(question, outputs)
    document["tornado"] = study.tornado() if "tornado" in methods else None
    every = list(range(len(question.inputs.every)))
    few = len(every) <= MOST_INPUTS
    first = [name for name in METHODS if name in methods and (few or name != "sobol")]
    document |= dict.fromkeys(METHODS) | study.designs(dict.fromkeys(first, every))
    if document["morris"] is not None:
        document["morris"]["ranking"] = ranking(document["morris"], question.inputs.paths)
    if "sobol" in methods and not few:
        best = [entry["path"] for entry in document["morris"]["ranking"][:MOST_INPUTS]]
        document |= study.designs({"sobol": [question.inputs.paths.index(path) for path in best]})
    document["drivers"] = [drivers_of(document, output) for output in outputs]
    document["warnings"] = cautions(document)
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
