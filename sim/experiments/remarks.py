"""What a reader of a sweep must know: what all of its settings take for granted, and what each is warned of.

Warnings that hang on the traffic look at the first replication of each setting; doubts about intervals are those of a
run of the setting alone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.doubts import Bill, Bills, doubts
from sim.experiments.estimates import Json
from sim.experiments.plan import Plan
from sim.experiments.rows import cost_of
from sim.experiments.survey import merged
from sim.ledger import JobState
from sim.providers.facts import Assumption

__all__ = ["Row", "assumptions", "told_apart", "warnings"]

T = TypeVar("T")

Row = Mapping[str, Any]  # of sim.experiments.rows.COLUMNS
JOBS = tuple(f"jobs_{state.name.lower()}" for state in JobState)


def assumptions(plan: Plan) -> tuple[list[Json], list[list[Json]]]:
    """Return the assumptions of all settings, and of each setting those that not all of them share."""
    each = [in_force(scenario, pairs) for scenario, pairs in zip(plan.scenarios, plan.pairs, strict=True)]
    common, own = told_apart(each)
    return _shown(common), [_shown(one) for one in own]


def told_apart(each: Sequence[Sequence[T]]) -> tuple[list[T], list[list[T]]]:
    """Return what all of some lists have, and of each list the rest.

    >>> told_apart([["a", "b"], ["b", "c"], ["b"]])
    (['b'], [['a'], ['c'], []])
    """
    common = [one for one in each[0] if all(one in others for others in each[1:])]
    return common, [[one for one in own if one not in common] for own in each]


def _shown(found: Iterable[Assumption]) -> list[Json]:
    return [{"path": one.path, "confidence": one.confidence, "text": one.text} for one in found]


def warnings(plan: Plan, number: int, found: Mapping[tuple[str, str], Sequence[Row]]) -> Iterator[str]:
    """Yield the warnings of a setting, given the rows of each (strategy, model) pair for all streams together."""
    scenario, pairs = plan.scenarios[number], plan.pairs[number]
    cells = zip(plan.cells[number], pairs, strict=True)
    seen = merged(plan.surveys[cell.identity].of(plan.tasks[cell.identity], pair.workload) for cell, pair in cells)
    created = {pair for pair, rows in found.items() if any(row["caches"] for row in rows)}
    yield from caveats(scenario, pairs, plan.records[number], seen, created)
    bills = {pair: _bill(rows) for pair, rows in found.items() if rows}
    if bills:  # none where every cell failed
        ranked = scenario.spec.close == "drain"
        yield from doubts(Bills(bills, scenario.baseline, ranked, _varies(found.values()), plan.replications))


def _bill(rows: Sequence[Row]) -> Bill:
    return Bill(
        costs={row["replication"]: cost_of(row) for row in rows},
        batched=any(row[state] for row in rows for state in JOBS),
        requests=sum(row["total"] for row in rows),
        unanswered=sum(row["failed"] + row["expired"] for row in rows),
    )


def _varies(found: Iterable[Sequence[Row]]) -> bool:
    """Return whether any two replications of a pair differ; where no pair has two, nobody can tell."""
    pairs = [pair for rows in found for pair in pairwise(rows)]
    return not pairs or any({**a, "replication": 0} != {**b, "replication": 0} for a, b in pairs)
