"""The replications of a run, one after another: each is looked at, then every strategy meets it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np

from sim.engines.choice import chosen
from sim.engines.witness import WITNESSED
from sim.experiments.large import is_large, seen
from sim.experiments.pairs import Pair, pairs_of, recorded_of
from sim.experiments.preserved import cell_of, seen_of, text_of, text_of_seen
from sim.experiments.progress import Bar, Progress
from sim.experiments.replication import Luck, replicate
from sim.experiments.result import Cell, Certainty, Kept
from sim.experiments.shelf import Shelf, key_of, key_of_seen
from sim.experiments.simulate import Notice, silent
from sim.experiments.survey import Survey, summed, survey
from sim.experiments.until_sure import Until, measures, until_sure
from sim.scenario import Scenario
from sim.stopping import Measure
from sim.trace import Trace

__all__ = ["Asked", "Replications"]

KEPT_BYTES = 256 * 2**20  # of realisations that are kept from the look to the run; what is beyond is drawn twice


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
            text = self._kept(key_of_seen(replication))
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
        bar = Bar(self._progress, len(self.cells), len(self.pairs) * count)
        for replication, sharing in product(range(self._count, count), self._groups):
            open_ = []
            for pair in sharing:
                text = self._kept(key_of(replication, self._numbers[pair.arm.name, pair.model]))
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
            key = key_of_seen(replication)
            if self.shelf is not None and key not in self.shelf:
                self.shelf.keep(key, text_of_seen(found))

    def _requests(self, count: int) -> float:
        """Return the requests of all strategies over the first replications."""
        found = summed(self.seen)
        runs = sum(found.requests.get(pair.workload, 0) for pair in self.pairs)
        return runs * count / max(1, len(self.seen))

    def _compute(self, replication: int, sharing: Sequence[Pair], using: str, bar: Bar) -> None:
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
                self.shelf.keep(key_of(replication, self._numbers[pair.arm.name, pair.model]), text_of(cell))
            if self.whole and ledger is not None:
                self.kept.append(Kept(pair.arm.name, pair.model, replication, ledger))
            bar.show(len(self.cells))


def _groups(pairs: Sequence[Pair]) -> list[list[Pair]]:
    """Return pairs by the workload that they share."""
    workloads = dict.fromkeys(pair.workload for pair in pairs)
    return [[pair for pair in pairs if pair.workload == workload] for workload in workloads]
