"""What a sweep will do, before it does any of it: its settings read and checked, its cells named, its work in items."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from sim.engines.choice import chosen
from sim.errors import InputError, Problem, wrong
from sim.experiments.arguments import wrong_arguments
from sim.experiments.designs import Axis, Design, Setting, axes_of, settings_of
from sim.experiments.items import Item, Study, Task, cell_key, is_witnessed
from sim.experiments.large import is_large, seen
from sim.experiments.pairs import Pair, pairs_of
from sim.experiments.survey import Survey, survey
from sim.experiments.tasks import Groups, Records, identity_of, origin_of, played_of
from sim.scenario import Scenario, read_scenario
from sim.traces import Recorded

__all__ = ["Plan", "PlannedCell", "items_of", "plan_of"]

MOST_PROBLEMS = 20  # shown of all settings together
MOST_MEMBERS = 48  # tasks in one item: what is lost at most when a worker dies


class PlannedCell(NamedTuple):
    """A strategy on a model under a setting."""

    strategy: str
    model: str
    identity: str  # with which Study's task has its cells


class Plan(NamedTuple):
    """A sweep that can be run: nothing in it is wrong."""

    base: Scenario
    axes: tuple[Axis, ...]
    design: Design
    settings: tuple[Setting, ...]
    scenarios: tuple[Scenario, ...]  # (settings,)
    cells: tuple[tuple[PlannedCell, ...], ...]  # (settings,) by model, then in the order of the strategies
    replications: int
    study: Study
    requests: tuple[int, ...]  # (groups,) in the first realisation of each
    pairs: tuple[tuple[Pair, ...], ...]  # (settings,) of each cell
    records: tuple[Recorded | None, ...]  # (settings,) the trace of a replay
    surveys: Mapping[str, Survey]  # of the first realisation, by the cells' identity
    manifest: dict[str, Any]  # what a resumed sweep must agree in

    @property
    def tasks(self) -> Mapping[str, Pair]:
        """Return the pair that stands for all that are computed alike, by the identity of its cells."""
        return {task.identity: task.pair for group in self.study.groups for task in group.tasks}

    @property
    def witnessed(self) -> int:
        """Return how many cells are run on both engines."""
        if self.study.engine != "fast":
            return 0
        keys = (cell_key(identity, number) for identity in self.tasks for number in range(self.replications))
        return sum(map(is_witnessed, keys))

    @property
    def work(self) -> int:
        """Return the number of cells that are computed; settings that agree in a strategy share its cells."""
        return sum(len(group.tasks) for group in self.study.groups) * self.replications


def plan_of(
    base: Scenario,
    vary: Iterable[str],
    *,
    design: Design,
    replications: int | None = None,
    seed: int | None = None,
    sets: tuple[str, ...] = (),
    engine: str = "auto",
    processes: int = 1,
) -> Plan:
    """Return the plan of a sweep over a scenario; raise what is wrong with any setting, all at once.

    ``sets`` are the overrides that the scenario has already, for the record; each of ``processes`` would load the fast
    engine for itself.
    """
    times = base.replications if replications is None else replications
    root = base.seed if seed is None else seed
    problems = wrong_arguments("sweep", times, root, engine)
    try:
        axes = axes_of(vary, design)
        problems += _twice(axes, sets)
    except InputError as error:
        raise InputError([*problems, *error.problems]) from None
    if problems:
        raise InputError(problems)
    settings = settings_of(axes, design, root, _is_whole(base))
    scenarios = _read(base, settings)
    records = Records()
    study, cells, pairs = _study(scenarios, root, records)
    requests, surveys = _surveyed(study)
    runs = sum(count * len(group.tasks) for count, group in zip(requests, study.groups, strict=True)) * times
    study = study._replace(engine=chosen(engine, runs / processes))
    manifest = {
        "scenario": base.name,
        "seed": root,
        "replications": times,
        "design": str(design),
        "vary": {axis.path: axis.values or axis.text.partition("=")[2].strip() for axis in axes},
        **origin_of(base, records),
        "settings": [dict(setting.values) for setting in settings],
        "overrides": list(sets),
    }
    recorded = tuple(records.of(scenario)[0] for scenario in scenarios)
    return Plan(
        base, axes, design, settings, scenarios, cells, times, study, requests, pairs, recorded, surveys, manifest
    )


def _twice(axes: Iterable[Axis], sets: Iterable[str]) -> list[Problem]:
    """Return the paths that are both set for all settings and varied."""
    given = {text.partition("=")[0].strip() for text in sets}
    return [
        wrong("--vary", f"contradicts --set {axis.path}=...", "one of the two", axis.text)
        for axis in axes
        if axis.path in given
    ]


def _is_whole(base: Scenario) -> Callable[[str, str, str], bool]:
    """Return the question whether a path takes whole numbers only: the scenario itself answers it."""

    def refused(path: str, value: str) -> bool:
        text = f"{path}={value}"
        try:
            read_scenario(base.document, base.name, sets=[text])
        except InputError as error:
            return any(problem.file == f"--set {text}" for problem in error.problems)
        return False

    return lambda path, broken, whole: refused(path, broken) and not refused(path, whole)


def _read(base: Scenario, settings: Iterable[Setting]) -> tuple[Scenario, ...]:
    """Return the scenario of every setting; the settings share one copy of each book."""
    scenarios: list[Scenario] = []
    books = {base.book.digest: base.book}
    problems: dict[Problem, None] = {}
    for setting in settings:
        try:
            scenario = read_scenario(base.document, base.name, sets=setting.sets)
        except InputError as error:
            problems |= dict.fromkeys(error.problems)
            continue
        book = books.setdefault(scenario.book.digest, scenario.book)
        scenarios.append(replace(scenario, book=book))
    _raise(list(problems))
    return tuple(scenarios)


def _raise(problems: list[Problem]) -> None:
    """Raise problems, the first twenty of them by name."""
    if len(problems) > MOST_PROBLEMS:
        more = Problem("sweep", 0, "…", f"and {len(problems) - MOST_PROBLEMS + 1} mistakes more")
        raise InputError([*problems[: MOST_PROBLEMS - 1], more])
    if problems:
        raise InputError(problems)


def _study(
    scenarios: tuple[Scenario, ...], seed: int, records: Records
) -> tuple[Study, tuple[tuple[PlannedCell, ...], ...], tuple[tuple[Pair, ...], ...]]:
    """Return the work of all settings, and the cells of each with their pairs."""
    groups = Groups()
    planned: list[tuple[PlannedCell, ...]] = []
    compiled: list[tuple[Pair, ...]] = []
    for number, scenario in enumerate(scenarios):
        recorded, digest = records.of(scenario)
        cells = []
        compiled.append(tuple(pairs_of(scenario, recorded)))
        for pair in compiled[-1]:
            identity = identity_of(scenario, pair, seed, digest)
            groups.add(Task(identity, number, pair, played_of(pair)), recorded)
            cells.append(PlannedCell(pair.arm.name, pair.model, identity))
        planned.append(tuple(cells))
    return Study(scenarios, groups.all(), seed, "reference"), tuple(planned), tuple(compiled)


def _surveyed(study: Study) -> tuple[tuple[int, ...], dict[str, Survey]]:
    """Look at the first realisation of each group; raise for a prompt that would never be served.

    Returns the requests of each group, and a survey for each task by its identity.
    """
    requests: list[int] = []
    surveys: dict[str, Survey] = {}
    problems: dict[Problem, None] = {}
    for group in study.groups:
        first = group.tasks[0].pair
        once = [] if is_large(first) else list(seen(first, group.recorded, study.seed, 0))
        by_scenario: dict[int, list[Task]] = {}
        for task in group.tasks:
            by_scenario.setdefault(task.scenario, []).append(task)
        for number, tasks in by_scenario.items():
            pairs = [task.pair for task in tasks]
            parts = once or seen(first, group.recorded, study.seed, 0)
            try:
                found = survey(study.scenarios[number], ((trace, pairs) for trace in parts))
            except InputError as error:
                problems |= dict.fromkeys(error.problems)
            else:
                surveys |= {task.identity: found.of(task.pair, task.pair.workload) for task in tasks}
        requests.append(found.requests[first.workload] if not problems else 0)
    _raise(list(problems))
    return tuple(requests), surveys


def items_of(plan: Plan, done: Container[str]) -> Iterator[Item]:
    """Yield the items of the cells that are not done, a replication of every group before the next replication."""
    for replication in range(plan.replications):
        for number, group in enumerate(plan.study.groups):
            open_ = [
                member for member, task in enumerate(group.tasks) if cell_key(task.identity, replication) not in done
            ]
            for first in range(0, len(open_), MOST_MEMBERS):
                yield Item(number, tuple(open_[first : first + MOST_MEMBERS]), replication)
