"""The replications of a run, one after another: each is looked at, then every strategy meets it."""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Protocol

import numpy as np

from sim.engines.choice import chosen
from sim.engines.witness import WITNESSED
from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.large import is_large, seen
from sim.experiments.pairs import Pair, horizon_ms, pairs_of, recorded_of
from sim.experiments.preserved import cell_of, seen_of, text_of, text_of_seen
from sim.experiments.replication import Luck, Step, replicate
from sim.experiments.result import Cell, Certainty, Kept, Result
from sim.experiments.simulate import Notice, silent
from sim.experiments.survey import Survey, summed, survey
from sim.experiments.until_sure import Until, measures, until_sure
from sim.scenario import Scenario
from sim.sketch import same
from sim.stopping import Measure
from sim.trace import Trace

__all__ = ["Asked", "Progress", "Replications", "Shelf", "is_cell", "records", "result_of"]

KEPT_BYTES = 256 * 2**20  # of realisations that are kept from the look to the run; what is beyond is drawn twice

Progress = Callable[[float, int], None]  # (cells done, cells in all so far); of a large replication also in between


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a run."""

    scenario: Scenario
    seed: int
    baseline: str
    replications: int | None  # None where it goes on until sure
    until: Until | None
    engine: str  # auto, reference or fast; the results are the same

    @property
    def first(self) -> int:
        """Return how many replications there are before anything is decided."""
        return self.until.floor if self.until is not None else self.replications or 0


class Shelf(Container[str], Protocol):
    """Where cells are kept; see :func:`records` for the keys."""

    def text(self, key: str) -> str:
        """Return what is kept under a key."""

    def keep(self, key: str, text: str) -> None:
        """Keep a text."""


def _key(replication: int, number: int) -> str:
    return f"{replication}/{number}"


def is_cell(key: str) -> bool:
    """Return whether a key is that of a cell, and not of what a realisation holds."""
    return not key.endswith("/seen")


def _key_of_seen(replication: int) -> str:
    return f"{replication}/seen"


class Replications:
    """The replications of a run so far; what a shelf has of them is not computed again."""

    def __init__(
        self,
        asked: Asked,
        *,
        whole: bool = False,
        progress: Progress | None = None,
        notice: Notice = silent,
    ) -> None:
        """``whole`` keeps the ledgers of the cells that are computed."""
        self.asked, self.whole = asked, whole
        self.shelf: Shelf | None = None
        self.recorded = recorded_of(asked.scenario)
        self.pairs = pairs_of(asked.scenario, self.recorded)
        self._groups = _groups(self.pairs)
        self._numbers = {(pair.arm.name, pair.model): number for number, pair in enumerate(self.pairs)}
        self.cells: list[Cell] = []
        self.kept: list[Kept] = []
        self.seen: list[Survey] = []  # by replication; of a record, whose requests never change, that of the first
        self._count = 0
        self._drawn: dict[tuple[int, int], Trace] = {}
        self._room = KEPT_BYTES
        self._progress, self._tell = progress, cache(notice)  # a sentence is told once

    def carry_out(self) -> Certainty | None:
        """Run as many replications as were asked for, or until sure; then say how that ended."""
        asked = self.asked
        if asked.until is None:
            self.extend(asked.first)
            return None
        return until_sure(self._measured, asked.until)

    def _measured(self, count: int) -> list[Measure]:
        self.extend(count)
        return measures(self.cells, self.asked.baseline, ranked=self.asked.scenario.spec.close == "drain")

    def look(self, count: int) -> None:
        """Look at realisations, up to ``count`` in all, before they are run: a prompt too long ends no run late."""
        self._room = KEPT_BYTES
        for replication in range(len(self.seen), count if self.recorded is None else 1):
            text = self._kept(_key_of_seen(replication))
            self.seen.append(self._looked_at(replication) if text is None else seen_of(text))

    def _kept(self, key: str) -> str | None:
        return None if self.shelf is None or key not in self.shelf else self.shelf.text(key)

    def _looked_at(self, replication: int) -> Survey:
        return survey(self.asked.scenario, self._realisations(replication))

    def _realisations(self, replication: int) -> Iterator[tuple[Trace, list[Pair]]]:
        """Yield a replication's traces with the pairs that share each; keep as many as memory allows."""
        for sharing in self._groups:
            first = sharing[0]
            for trace in seen(first, self.recorded, self.asked.seed, replication):
                yield trace, sharing
                self._room -= sum(column.nbytes for column in trace if isinstance(column, np.ndarray))
                if self._room >= 0 and not is_large(first):
                    self._drawn[replication, first.workload] = trace

    def extend(self, count: int) -> None:
        """Run the replications up to ``count`` in all; each is the same however many there are."""
        self.look(count)
        self._keep_looks()
        using = chosen(self.asked.engine, self._requests(count))
        bar = _Bar(self._progress, len(self.cells), len(self.pairs) * count)
        for replication, sharing in product(range(self._count, count), self._groups):
            open_ = []
            for pair in sharing:
                text = self._kept(_key(replication, self._numbers[pair.arm.name, pair.model]))
                if text is None:
                    open_.append(pair)
                else:
                    self.cells.append(cell_of(text))
                    bar.show(len(self.cells))
            self._compute(replication, open_, using, bar)
        self._count = count
        self._drawn.clear()

    def _keep_looks(self) -> None:
        for replication, found in enumerate(self.seen):
            key = _key_of_seen(replication)
            if self.shelf is not None and key not in self.shelf:
                self.shelf.keep(key, text_of_seen(found))

    def _requests(self, count: int) -> float:
        """Return the requests of all strategies over the first replications."""
        found = summed(self.seen)
        runs = sum(found.requests.get(pair.workload, 0) for pair in self.pairs)
        return runs * count / max(1, len(self.seen))

    def _compute(self, replication: int, sharing: Sequence[Pair], using: str, bar: "_Bar") -> None:
        """Run pairs that share their workload on one replication."""
        if not sharing:
            return
        numbers = [self._numbers[pair.arm.name, pair.model] for pair in sharing]
        played = replicate(
            sharing,
            self.asked.scenario.book,
            Luck(
                self.asked.seed, replication, self.recorded, self._drawn.pop((replication, sharing[0].workload), None)
            ),
            engine=using,
            witnessed=[(replication * len(self.pairs) + number) % WITNESSED == 0 for number in numbers],
            whole=self.whole,
            notice=self._tell,
            step=bar.of(len(self.cells), len(sharing)),
        )
        for pair, cell, ledger in played:
            self.cells.append(cell)
            if self.shelf is not None:
                self.shelf.keep(_key(replication, self._numbers[pair.arm.name, pair.model]), text_of(cell))
            if self.whole and ledger is not None:
                self.kept.append(Kept(pair.arm.name, pair.model, replication, ledger))
            bar.show(len(self.cells))


class _Bar:
    """Shows how far a run has come, and never goes back: in a large replication all of its cells advance together."""

    def __init__(self, progress: Progress | None, done: int, cells: int) -> None:
        self._progress, self._cells, self._shown = progress, cells, float(done)

    def show(self, done: float) -> None:
        """Show the cells that are done."""
        self._shown = max(self._shown, done)
        if self._progress is not None:
            self._progress(self._shown, self._cells)

    def of(self, before: int, count: int) -> Step:
        """Return what shows that a share of the next ``count`` cells is done."""
        return lambda share: self.show(before + share * count)


def _groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Return pairs by the workload that they share."""
    workloads = dict.fromkeys(pair.workload for pair in pairs)
    return [[pair for pair in pairs if pair.workload == workload] for workload in workloads]


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


def records(result: Result) -> Iterator[tuple[str, str]]:
    """Yield the cells of a run as a shelf holds them, and what its realisations hold.

    Keys are ``<replication>/<number of the pair>``, by model and then by strategy, and ``<replication>/seen``.
    """
    for replication, found in enumerate(result.seen):
        yield _key_of_seen(replication), text_of_seen(found)
    pairs = list(product(result.models, result.strategies))
    for cell in result.cells:
        yield _key(cell.replication, pairs.index((cell.model, cell.strategy))), text_of(cell)
