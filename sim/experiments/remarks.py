"""What a reader of a sweep must know: what all of its settings take for granted, and what each is warned of.

Warnings that hang on the traffic look at the first replication of each setting.
"""

from collections.abc import Collection, Iterable, Sequence

from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.estimates import Json
from sim.experiments.plan import Plan
from sim.experiments.survey import merged
from sim.providers.facts import Assumption

__all__ = ["assumptions", "warnings"]


def assumptions(plan: Plan) -> tuple[list[Json], list[list[Json]]]:
    """Return the assumptions of all settings, and of each setting those that not all of them share."""
    each = [in_force(scenario, pairs) for scenario, pairs in zip(plan.scenarios, plan.pairs, strict=True)]
    common = [one for one in each[0] if all(one in others for others in each[1:])]
    return _shown(common), [_shown(one for one in own if one not in common) for own in each]


def _shown(found: Iterable[Assumption]) -> list[Json]:
    return [{"path": one.path, "confidence": one.confidence, "text": one.text} for one in found]


def warnings(plan: Plan, created: Sequence[Collection[tuple[str, str]]]) -> list[list[str]]:
    """Return the warnings of each setting, given the (strategy, model) pairs that created an explicit cache there."""
    found = []
    for number, (scenario, pairs) in enumerate(zip(plan.scenarios, plan.pairs, strict=True)):
        cells = zip(plan.cells[number], pairs, strict=True)
        seen = merged(plan.surveys[cell.identity].of(plan.tasks[cell.identity], pair.workload) for cell, pair in cells)
        found.append(list(caveats(scenario, pairs, plan.records[number], seen, created[number])))
    return found
