"""Where a decision has its cells computed: any setting, any strategies, any replications, and each cell once."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from sim.cells import Cells
from sim.engines.choice import chosen
from sim.errors import SimError
from sim.experiments.assumptions import in_force
from sim.experiments.caveats import caveats
from sim.experiments.deadline import LEAST_S
from sim.experiments.doubts import hangs_on_jobs, stuck
from sim.experiments.interrupts import Interrupts
from sim.experiments.items import Done, Item, Study, Task, cell_key
from sim.experiments.large import seen
from sim.experiments.pairs import Pair, pairs_of
from sim.experiments.plan import MOST_MEMBERS
from sim.experiments.rows import COLUMNS
from sim.experiments.saving import Saver
from sim.experiments.survey import Survey, survey
from sim.experiments.tasks import Groups, Records, identity_of, played_of
from sim.experiments.workers import IN_PROCESS_S, Workers, bundles, cores, here
from sim.scenario import Scenario, read_scenario
from sim.traces import Recorded
from sim.workload.rules import expected_requests

__all__ = ["Ask", "Failed", "Found", "Laboratory", "Progress", "Row", "Source"]

CELL_S = 4e-3  # that a cell takes besides its requests, and
REQUEST_S = 3e-6  # that each of these takes on the fast engine: guesses that decide nothing but who computes

Row = Mapping[str, Any]  # of sim.experiments.rows.COLUMNS
Pairing = tuple[str, str]  # strategy, model
Progress = Callable[[int, int], None]  # (cells done, cells that are expected in all)


class Ask(NamedTuple):
    """A setting, and the strategies that are to meet it."""

    sets: tuple[str, ...] = ()  # overrides as ``--set`` takes them; () = the scenario as it is
    strategies: tuple[str, ...] | None = None  # None = all
    first: int = 0  # added to each replication's number: settings that must share no luck are given different ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a setting gave."""

    scenario: Scenario  # with the setting's overrides
    rows: Mapping[Pairing, Sequence[Row]]  # by replication; of each first that of all streams (""), then each stream's

    def of(self, strategy: str, model: str | None = None, stream: str = "") -> list[Row]:
        """Return a row a replication: of all streams, or of one; ``model`` is the first by default."""
        rows = self.rows[strategy, model or self.scenario.spec.models[0]]
        return [row for row in rows if row["stream"] == stream]


class _Rows(Mapping[Pairing, Sequence[Row]]):
    """Rows that are read where they are looked at: those of thousands of settings at once would fill the memory."""

    def __init__(self, cells: Cells, keys: Mapping[Pairing, Sequence[str]]) -> None:
        self._cells, self._keys = cells, keys

    def __getitem__(self, pairing: Pairing) -> list[Row]:
        every = (values for key in self._keys[pairing] for values in self._cells.rows(key))
        return [dict(zip(COLUMNS, values, strict=True)) for values in every]

    def __iter__(self) -> Iterator[Pairing]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


class Source(Protocol):
    """What gives cells: the simulator, or in a test a function whose answer is known."""

    base: Scenario
    seed: int

    def find(self, asks: Sequence[Ask], replications: Iterable[int]) -> list[Found]:
        """Return what each setting gave in each of some replications; on the same luck for all settings."""

    def expect(self, cells: int) -> None:
        """Tell how many cells will be asked for in all, for the progress bar and the choice of workers."""


class Failed(SimError, RuntimeError):
    """Cells could not be computed, and nothing can be decided without them."""

    exit_code = 1


class _Setting(NamedTuple):
    """A setting that was read and compiled."""

    scenario: Scenario
    recorded: Recorded | None
    tasks: tuple[Task, ...]  # a pair each


class Laboratory:
    """Computes cells in this process or on workers, and saves them as they arrive.

    Realisations are keyed by the seed and the replication, so every setting and strategy meets the same luck. A cell is
    known by all that it depends on: what two settings share is computed once, and so is what an earlier, stopped study
    left in the same folder.
    """

    def __init__(
        self,
        base: Scenario,
        cells: Cells,
        interrupts: Interrupts,
        *,
        seed: int | None = None,
        engine: str = "auto",
        workers: Workers | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.base = base
        self.seed = base.seed if seed is None else seed
        self._cells, self._interrupts = cells, interrupts
        self._engine, self._who, self._progress = engine, workers, progress
        self._records, self._settings = Records(), dict[tuple[str, ...], _Setting]()
        self._asked, self._expected, self._runs = dict[str, None](), 0, 0.0
        self._table = dict[tuple[int, str], None]()  # (setting, key) in the order of asking
        self._lucks = dict[str, set[int]]()  # by strategy with batch jobs: the replications that it was asked for
        self._exit = ExitStack()
        self._cluster: Any = None  # its module is loaded where it is wanted only

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.__exit__(kind, error, trace)

    def expect(self, cells: int) -> None:
        """Tell how many cells will be asked for in all, for the progress bar and the choice of workers."""
        self._expected = max(self._expected, cells)

    def find(self, asks: Sequence[Ask], replications: Iterable[int]) -> list[Found]:
        """Return what each setting gave in each of some replications.

        Raises :class:`sim.errors.InputError` for a setting that is no scenario, :class:`Failed` where a cell cannot be
        computed, and ``KeyboardInterrupt`` when asked to stop; what is finished then is saved.
        """
        times = list(replications)
        plan = [(ask, self._tasks(ask), [ask.first + time for time in times]) for ask in asks]
        for _, tasks, own in plan:
            for name in {task.pair.arm.name: None for task in tasks if hangs_on_jobs(task.pair)}:
                self._lucks.setdefault(name, set()).update(own)
        self._compute([(task, time) for _, tasks, own in plan for task in tasks for time in own])
        return [self._found(*one) for one in plan]

    def remarks(self) -> dict[str, list[Any]]:
        """Return what the scenario takes for granted and what a reader must be warned of, as a document has it."""
        setting = self._setting(())
        pairs = [task.pair for task in setting.tasks]
        told = caveats(self.base, pairs, setting.recorded, self._survey(pairs, setting.recorded), self._created())
        assumed = in_force(self.base, pairs)
        return {
            "assumptions": [{"path": one.path, "confidence": one.confidence, "text": one.text} for one in assumed],
            "warnings": [*told, *self._doubts()],
        }

    def _doubts(self) -> Iterator[str]:
        """Yield what no sample tells of: whose bill hangs on batch jobs."""
        if self._lucks:
            yield stuck(list(self._lucks), min(map(len, self._lucks.values())))

    def table(self) -> Iterator[dict[str, Any]]:
        """Yield every row that was asked for, each setting's in the order in which they were first."""
        sets = [" ".join(overrides) for overrides in self._settings]
        for number, key in self._table:
            for values in self._cells.rows(key):
                yield {"setting": number, "sets": sets[number], **dict(zip(COLUMNS, values, strict=True))}

    @property
    def columns(self) -> dict[str, str]:
        """Return the columns of :meth:`table`: name -> type."""
        return {"setting": "BIGINT", "sets": "VARCHAR", **COLUMNS}

    def _setting(self, sets: tuple[str, ...]) -> _Setting:
        if sets not in self._settings:
            scenario = read_scenario(self.base.document, self.base.name, sets=sets, book=None) if sets else self.base
            recorded, digest = self._records.of(scenario)
            number = len(self._settings)
            tasks = tuple(
                Task(identity_of(scenario, pair, self.seed, digest), number, pair, played_of(pair))
                for pair in pairs_of(scenario, recorded)
            )
            self._settings[sets] = _Setting(scenario, recorded, tasks)
        return self._settings[sets]

    def _tasks(self, ask: Ask) -> list[Task]:
        tasks = self._setting(ask.sets).tasks
        return [task for task in tasks if ask.strategies is None or task.pair.arm.name in ask.strategies]

    def _found(self, ask: Ask, tasks: Sequence[Task], times: Sequence[int]) -> Found:
        keys = {
            (task.pair.arm.name, task.pair.model): [cell_key(task.identity, time) for time in times] for task in tasks
        }
        return Found(scenario=self._setting(ask.sets).scenario, rows=_Rows(self._cells, keys))

    def _compute(self, cells: Sequence[tuple[Task, int]]) -> None:
        """Compute and save the cells of tasks and replications that are not there yet."""
        every = [(cell_key(task.identity, time), task, time) for task, time in cells]
        self._table |= dict.fromkeys((task.scenario, key) for key, task, _ in every)
        wanted = {key: (task, time) for key, task, time in every}
        self._asked |= dict.fromkeys(wanted)
        missing = {key: cell for key, cell in wanted.items() if key not in self._cells}
        self._show(len(missing))
        if not missing:
            return
        study, items, requests = self._study(list(missing.values()))
        saver, left = Saver(self._cells, self._interrupts), len(missing)
        try:
            for done in self._work(study, items, requests, left):
                saver.take(done)
                left -= 1
                self._show(left)
        finally:
            saver.save()
        if saver.failed:
            raise Failed(_reason(study, saver.failed))

    def _study(self, cells: Sequence[tuple[Task, int]]) -> tuple[Study, list[Item], list[float]]:
        """Return the work of some cells: a study, its items, and the expected requests of each of its groups."""
        groups, times = Groups(), dict[str, list[int]]()
        settings = list(self._settings.values())
        numbers = {number: place for place, number in enumerate(dict.fromkeys(task.scenario for task, _ in cells))}
        for task, replication in cells:
            groups.add(task._replace(scenario=numbers[task.scenario]), settings[task.scenario].recorded)
            times.setdefault(task.identity, []).append(replication)
        made = groups.all()
        requests = [_requests(group.tasks[0].pair, group.recorded) for group in made]
        items = [item for number, group in enumerate(made) for item in _items(number, group.tasks, times)]
        self._runs += sum(requests[item.group] * len(item.members) for item in items)
        scenarios = tuple(settings[number].scenario for number in numbers)
        return Study(scenarios, made, self.seed, chosen(self._engine, self._runs)), items, requests

    def _work(self, study: Study, items: list[Item], requests: list[float], cells: int) -> Iterator[Done]:
        seconds = max(LEAST_S, 1e-2 * max(requests, default=0.0))
        whole = [int(count) for count in requests]
        runs = sum(requests[item.group] * len(item.members) for item in items)
        pace = (CELL_S * cells + REQUEST_S * runs) / max(1.0, runs)
        ahead = max(1.0, (self._expected - len(self._asked) + cells) / cells)  # of this round
        who = self._who or Workers(1 if pace * runs * ahead < IN_PROCESS_S else cores())
        if self._cluster is None and who.scheduler is None and who.processes == 1:
            return here(study, items, seconds)
        if self._cluster is None:
            from sim.experiments.cluster import Cluster  # noqa: PLC0415 - a second of imports that few need

            made = Cluster(study, workers=who.processes, seconds=seconds, scheduler=who.scheduler)
            self._cluster = self._exit.enter_context(made)
        else:
            self._cluster.take(study, seconds)
        found: Iterator[Done] = self._cluster.cells(bundles(whole, items, pace))
        return found

    def _show(self, left: int) -> None:
        if self._progress is not None:
            self._progress(len(self._asked) - left, max(self._expected, len(self._asked)))

    def _survey(self, pairs: Sequence[Pair], recorded: Recorded | None) -> Survey:
        by_workload = groupby(sorted(pairs, key=lambda pair: pair.workload), key=lambda pair: pair.workload)
        shared = [list(sharing) for _, sharing in by_workload]
        traces = ((trace, sharing) for sharing in shared for trace in seen(sharing[0], recorded, self.seed, 0))
        return survey(self.base, traces)

    def _created(self) -> Collection[tuple[str, str]]:
        """Return the pairs of the scenario as it is that created an explicit cache, or were not asked for."""
        created = set()
        for task in self._setting(()).tasks:
            name = task.pair.arm.name, task.pair.model
            keys = [cell_key(task.identity, time) for time in range(self.base.replications)]
            known = [self._cells.rows(key)[0] for key in keys if key in self._cells]
            place = list(COLUMNS).index("caches")
            if not known or any(row[place] for row in known):
                created.add(name)
        return created


def _requests(pair: Pair, recorded: Recorded | None) -> float:
    return expected_requests(pair.arm.spec.workload) if recorded is None else float(recorded.requests)


def _items(group: int, tasks: Sequence[Task], times: Mapping[str, Sequence[int]]) -> Iterator[Item]:
    """Yield the items of a group: for each replication the tasks that lack it."""
    members: dict[int, list[int]] = {}
    for member, task in enumerate(tasks):
        for replication in times[task.identity]:
            members.setdefault(replication, []).append(member)
    for replication, lacking in sorted(members.items()):
        for first in range(0, len(lacking), MOST_MEMBERS):
            yield Item(group, tuple(lacking[first : first + MOST_MEMBERS]), replication)


def _reason(study: Study, failed: Sequence[Done]) -> str:
    first = min(failed, key=lambda done: (done.group, done.member, done.replication))
    pair = study.groups[first.group].tasks[first.member].pair
    others = f", and {len(failed) - 1} cells more" if len(failed) > 1 else ""
    return f"{pair.arm.name} on {pair.model}, replication {first.replication}: {first.error}{others}"
