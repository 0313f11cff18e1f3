"""What a reader of a tuning must be warned of."""

from collections.abc import Iterator

from sim.decisions.tuning.question import Question
from sim.decisions.tuning.trials import Trials
from sim.decisions.tuning.verdict import Verdict
from sim.experiments.estimates import Json
from sim.scenario import Scenario

__all__ = ["cautions"]


def cautions(question: Question, base: Scenario, search: Trials, document: Json, verdict: Verdict) -> Iterator[str]:
    """Yield what a reader must be warned of, the gravest first."""
    if verdict.judgement is not None and verdict.judgement.outcome != "pass":
        open_ones = [one["text"] for one in document["requirements"] if one["outcome"] != "pass"]
        yield f"on fresh replications the best setting is not shown to keep {', '.join(open_ones)}"
    yield from _bound(document)
    yield from _impatient(question, base, document)
    yield from _shapes(document)
    if not verdict.reached:
        known = f"{100 * question.asked.precision:.2g} %"
        yield f"the saving is not known to {known} of the cost after {verdict.replications:,} replications"
    if verdict.warning is not None:
        yield f"the saving: {verdict.warning}"
    yield from question.space.left_out
    if search.refused:
        yield f"{len(search.refused):,} settings are no scenario, since their values exclude each other: left out"


def _impatient(question: Question, base: Scenario, document: Json) -> Iterator[str]:
    """Yield that fewer answers come in time than the scenario wants, where nobody required any."""
    share, target = document["best"]["within_patience"]["mean"], base.spec.patience_target
    required = any(one.measure.startswith("within_patience") for one in question.aim.requirements)
    if share is not None and share < target and not required:
        yield (
            f"the best setting answers {100 * share:.1f} % of all requests in time, the scenario wants "
            f"{100 * target:.4g} %: see --require 'within_patience >= {100 * target:.4g}%'"
        )


def _bound(document: Json) -> Iterator[str]:
    bound = document["bound_by"]
    if bound is None:
        return
    values = ", ".join(f"{_key(path)} {value}" for path, value in bound["values"].items())
    share = 100 * bound["saving_usd"]["mean"] / document["best"]["cost_usd"]["mean"]
    word = "breaks" if bound["outcome"] == "fail" else "is not shown to keep"
    yield f"a requirement binds: {values} costs {share:.1f} % less, but {word} {', '.join(bound['requirements'])}"


def _shapes(document: Json) -> Iterator[str]:
    """Yield where the cost is flat around the best, and where a range ends."""
    if flat := [_flat(line) for line in document["lines"] if line["flat"]]:
        within = f"{100 * document['precision']:.2g} %"
        yield f"the optimum is flat: to within {within} or luck the cost is the least with {'; with '.join(flat)}"
    for line in document["lines"]:
        if line["end"]:
            yield f"the best {_key(line['path'])} is the {line['end']} end of what was tried: widen its range"


def _flat(line: Json) -> str:
    if line["ranged"]:
        return f"any {_key(line['path'])} from {line['as_good'][0]} to {line['as_good'][1]}"
    return f"{_key(line['path'])} {' or '.join(line['as_good'])}"


def _key(path: str) -> str:
    return path.rpartition(".")[2]
