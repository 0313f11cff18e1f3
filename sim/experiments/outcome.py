"""What the replications of a run come to at its end: its cells in order, and what a reader must know of them."""

from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.pairs import horizon_ms
from sim.experiments.replications import Replications
from sim.experiments.result import Cell, Certainty, Result
from sim.experiments.survey import summed
from sim.sketch import same

__all__ = ["result_of"]


def result_of(found: Replications, certainty: Certainty | None) -> Result:
    """Return all that is known of a run at its end."""
    asked, scenario, pairs = found.asked, found.asked.scenario, found.pairs
    times = asked.first if certainty is None else certainty.looks[-1]
    order = {(pair.arm.name, pair.model): position for position, pair in enumerate(pairs)}
    cells = sorted(found.cells, key=lambda cell: (order[cell.strategy, cell.model], cell.replication))
    created = {(cell.strategy, cell.model) for cell in cells if cell.caches.created}
    return Result(
        scenario=scenario.name,
        question=scenario.question,
        book=scenario.book.name,
        seed=asked.seed,
        replications=times,
        start=scenario.spec.start,
        time_zone=scenario.spec.time_zone,
        horizon_ms=horizon_ms(scenario.spec, found.recorded),
        strategies=tuple(arm.name for arm in scenario.arms),
        models=tuple(scenario.spec.models),
        baseline=asked.baseline,
        patience_target=scenario.spec.patience_target,
        ranked=scenario.spec.close == "drain",
        random=times == 1 or _varies(cells, times),
        assumptions=in_force(scenario, pairs),
        warnings=caveats(scenario, pairs, found.recorded, summed(found.seen), created),
        cells=tuple(cells),
        kept=tuple(found.kept),
        seen=tuple(found.seen),
        certainty=certainty,
    )


def _varies(cells: list[Cell], times: int) -> bool:
    """Return whether any two replications of a pair differ in a cost, in what they met, or in a latency."""
    for first in range(0, len(cells), times):
        usual = cells[first]
        for cell in cells[first + 1 : first + times]:
            if cell.total_usd != usual.total_usd or cell.binding != usual.binding:
                return True
            for a, b in zip(cell.streams, usual.streams, strict=True):
                if a.total != b.total or not same(a.latency_ms, b.latency_ms):
                    return True
    return False
