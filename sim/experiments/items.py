"""One item of a sweep's work: a realisation, and every strategy and setting that meets it."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, cast
from zoneinfo import ZoneInfo

from sim.engines.witness import WITNESSED, EnginesDiffer
from sim.errors import SimError
from sim.experiments.cells import measure
from sim.experiments.large import cells_in_pieces, fits_in_pieces, is_large, kept
from sim.experiments.pairs import Pair, realised
from sim.experiments.result import Cell, Result
from sim.experiments.rows import COLUMNS, rows
from sim.experiments.simulate import ledger_of
from sim.experiments.survey import survey
from sim.ledger import Ledger
from sim.scenario import Scenario
from sim.trace import Trace
from sim.traces import Recorded

__all__ = ["Bench", "Done", "Group", "Item", "Study", "Task", "cell_key", "is_witnessed"]

MOST_KEPT = 1_000_000  # requests of all ledgers together that are kept for tasks which differ in their prices only


class Task(NamedTuple):
    """A strategy on a model under a setting: a cell for each replication."""

    identity: str  # digest of all that its cells depend on, but for the replication
    scenario: int  # of the study
    pair: Pair
    played: str  # digest of all that an engine meets, but for the requests: tasks that agree in it share their ledgers


class Group(NamedTuple):
    """Tasks that meet the same requests: they share each realisation."""

    tasks: tuple[Task, ...]
    recorded: Recorded | None  # of a replay


class Study(NamedTuple):
    """All that a worker must know."""

    scenarios: tuple[Scenario, ...]
    groups: tuple[Group, ...]
    seed: int
    engine: str  # reference or fast; the results are the same


class Item(NamedTuple):
    """One realisation of a group, and the tasks that are to meet it."""

    group: int
    members: tuple[int, ...]  # tasks of the group
    replication: int


class Done(NamedTuple):
    """A cell that was computed, or could not be."""

    key: str
    group: int
    member: int
    replication: int
    text: str | None  # its rows as JSON, the columns those of sim.experiments.rows; None where it failed
    error: str = ""
    fatal: bool = False  # nothing that the sweep computes can be trusted


def cell_key(identity: str, replication: int) -> str:
    """Return the key of a cell: the same wherever and whenever it is computed."""
    return hashlib.sha256(f"{identity} {replication}".encode()).hexdigest()[:32]


def is_witnessed(key: str) -> bool:
    """Return whether a cell is run on both engines: a share of the cells, the same on any workers."""
    return int(key[:8], 16) % WITNESSED == 0


class _Realised(NamedTuple):
    """A realisation of a group, and the ledgers on it that other tasks of the group share."""

    at: tuple[int, int]  # group, replication
    trace: Trace
    ledgers: dict[str, Ledger]  # by what was played


class Bench:
    """Where one process computes items; it keeps its last realisation, for the next item may need it again."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._last: _Realised | None = None  # one object: a worker may have several threads
        self._shared = [_shared(group) for group in study.groups]
        self._large = [is_large(group.tasks[0].pair) for group in study.groups]

    def cells(self, item: Item) -> Iterator[Done]:
        """Yield the cells of an item; one that fails says why, and the others go on."""
        streamed = [member for member in item.members if self._comes_in_pieces(item, member)]
        yield from self._in_pieces(item, streamed)
        for member in item.members:
            if member not in streamed:
                yield self._tried(item, member, lambda: self._cell(item, member))  # noqa: B023 - called at once

    def _task(self, item: Item, member: int) -> tuple[Task, Scenario]:
        task = self._study.groups[item.group].tasks[member]
        return task, self._study.scenarios[task.scenario]

    def _key(self, item: Item, member: int) -> str:
        return cell_key(self._task(item, member)[0].identity, item.replication)

    def _comes_in_pieces(self, item: Item, member: int) -> bool:
        large = self._study.engine == "fast" and self._large[item.group]
        return large and fits_in_pieces(self._task(item, member)[0].pair)

    def _in_pieces(self, item: Item, members: list[int]) -> Iterator[Done]:
        """Yield the cells of members of a large group, in step; each on its own where one of them fails."""
        tasks = [self._task(item, member) for member in members]
        witnessed = [is_witnessed(self._key(item, member)) for member in members]
        pairs, books = [task.pair for task, _ in tasks], [scenario.book for _, scenario in tasks]
        try:
            cells = list(cells_in_pieces(pairs, books, self._study.seed, item.replication, witnessed))
        except Exception as error:  # noqa: BLE001 - as in `_tried`
            if len(members) == 1:
                yield self._failed(item, members[0], error)
            else:
                for member in members:
                    yield from self._in_pieces(item, [member])
            return
        for member, cell in zip(members, cells, strict=True):
            yield self._tried(item, member, lambda: cell)  # noqa: B023 - called at once

    def _tried(self, item: Item, member: int, compute: Callable[[], Cell]) -> Done:
        try:
            text = _text(compute(), self._task(item, member)[1].spec.time_zone)
        except Exception as error:  # noqa: BLE001 - a cell that fails is told at the end and ends nothing else
            return self._failed(item, member, error)
        return Done(self._key(item, member), item.group, member, item.replication, text)

    def _failed(self, item: Item, member: int, error: Exception) -> Done:
        fatal = isinstance(error, EnginesDiffer)
        why = str(error) if fatal else _reason(error)
        return Done(self._key(item, member), item.group, member, item.replication, None, why, fatal)

    def _cell(self, item: Item, member: int) -> Cell:
        task, scenario = self._task(item, member)
        found = self._realised(item.group, item.replication)
        survey(scenario, [(found.trace, [task.pair])])
        witness = self._study.engine == "fast" and is_witnessed(self._key(item, member))
        ledger = self._ledger(task, found, witness=witness)
        cell = measure(ledger, found.trace, task.pair, scenario.book, item.replication)
        return kept(cell, task.pair) if self._large[item.group] else cell

    def _ledger(self, task: Task, found: _Realised, *, witness: bool) -> Ledger:
        """Return the ledger of a task; where only prices differ from one that was played already, it is that one's."""
        if (known := found.ledgers.get(task.played)) is not None and not witness:
            return known
        ledger = ledger_of(task.pair, found.trace, engine=self._study.engine, witness=witness)
        if task.played in self._shared[found.at[0]]:
            most = max(1, MOST_KEPT // max(1, found.trace.requests))
            for oldest in list(found.ledgers)[: max(0, len(found.ledgers) - most + 1)]:
                found.ledgers.pop(oldest, None)
            found.ledgers[task.played] = ledger
        return ledger

    def _realised(self, group: int, replication: int) -> _Realised:
        at, last = (group, replication), self._last
        if last is not None and last.at == at:
            return last
        self._last = last = None  # two traces at once would take twice the memory
        first, recorded = self._study.groups[group].tasks[0].pair, self._study.groups[group].recorded
        trace = realised(first.arm, first.media, recorded, self._study.seed, replication)
        self._last = last = _Realised(at, trace, {})
        return last


def _shared(group: Group) -> frozenset[str]:
    """Return what more than one task of a group plays: they differ in their prices only."""
    count = Counter(task.played for task in group.tasks)
    return frozenset(played for played, tasks in count.items() if tasks > 1)


class _Shown(NamedTuple):
    """The part of a result that its rows are made of."""

    cells: tuple[Cell, ...]
    time_zone: ZoneInfo


def _text(cell: Cell, zone: ZoneInfo) -> str:
    """Return the rows of a cell as JSON."""
    table = [[row[name] for name in COLUMNS] for row in rows(cast(Result, _Shown((cell,), zone)))]
    return json.dumps(table, allow_nan=False, separators=(",", ":"))


def _reason(error: Exception) -> str:
    """Return an error on one line."""
    text = " ".join(str(error).split()) or "no more is known"
    return text if isinstance(error, SimError) else f"{type(error).__name__}: {text}"
