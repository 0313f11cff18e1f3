"""What a sweep will do, before it does any of it: its settings read and checked, its cells named, its work in items."""

import hashlib
import platform
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from sim.engines.choice import chosen
from sim.errors import InputError, Problem
from sim.experiments.arguments import wrong_arguments
from sim.experiments.designs import Axis, Design, Setting, axes_of, settings_of
from sim.experiments.fingerprint import code_digest
from sim.experiments.items import Group, Item, Study, Task, cell_key, is_witnessed
from sim.experiments.large import is_large, seen
from sim.experiments.pairs import Pair, pairs_of, recorded_of
from sim.experiments.survey import Survey, survey
from sim.scenario import ReplaySpec, Scenario, read_scenario
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
    records = _Records()
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
        **_origin(base, records),
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
        Problem("command line", 0, "--vary", f"contradicts --set {axis.path}=...", "one of the two", axis.text)
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


class _Groups:
    """Tasks by the requests that they meet, each task once."""

    def __init__(self) -> None:
        self.tasks: dict[tuple[str, ...], dict[str, Task]] = {}
        self.recorded: dict[tuple[str, ...], Recorded | None] = {}

    def add(self, task: Task, recorded: Recorded | None) -> None:
        spec = task.pair.arm.spec
        key = (repr(spec.workload), repr(spec.replay), repr(task.pair.media))
        self.tasks.setdefault(key, {}).setdefault(task.identity, task)
        self.recorded[key] = recorded

    def all(self) -> tuple[Group, ...]:
        return tuple(Group(tuple(tasks.values()), self.recorded[key]) for key, tasks in self.tasks.items())


def _study(
    scenarios: tuple[Scenario, ...], seed: int, records: "_Records"
) -> tuple[Study, tuple[tuple[PlannedCell, ...], ...], tuple[tuple[Pair, ...], ...]]:
    """Return the work of all settings, and the cells of each with their pairs."""
    groups = _Groups()
    planned: list[tuple[PlannedCell, ...]] = []
    compiled: list[tuple[Pair, ...]] = []
    for number, scenario in enumerate(scenarios):
        recorded, digest = records.of(scenario)
        cells = []
        compiled.append(tuple(pairs_of(scenario, recorded)))
        for pair in compiled[-1]:
            identity = _identity(scenario, pair, seed, digest)
            groups.add(Task(identity, number, pair), recorded)
            cells.append(PlannedCell(pair.arm.name, pair.model, identity))
        planned.append(tuple(cells))
    return Study(scenarios, groups.all(), seed, "reference"), tuple(planned), tuple(compiled)


class _Records:
    """Recorded traces, each read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, ReplaySpec], tuple[Recorded, str]] = {}

    @property
    def digests(self) -> list[str]:
        """Return the digests of all files that were read."""
        return sorted(digest for _, digest in self._read.values())

    def of(self, scenario: Scenario) -> tuple[Recorded | None, str]:
        """Return the recorded trace of a replay, if it is one, and the digest of its file."""
        spec = scenario.spec.replay
        if spec is None:
            return None, ""
        path = scenario.document.beside(spec.trace)
        key = (path, spec.model_copy(update={"patience": 0}))
        if key not in self._read:
            recorded = recorded_of(scenario)
            assert recorded is not None  # noqa: S101 - it is a replay
            self._read[key] = recorded, hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return self._read[key]


def _identity(scenario: Scenario, pair: Pair, seed: int, recorded: str) -> str:
    """Return a digest of all that the cells of a pair depend on; what a setting changes elsewhere is not in it."""
    arm, spec = pair.arm, pair.arm.spec
    parts = (
        (arm.name, pair.model, spec.close, recorded, str(seed)),
        (scenario.book.digest, code_digest(), version("numpy"), scenario.spec.time_zone.key),
        (arm.strategy, spec.workload, spec.replay, spec.client, spec.project, arm.service, arm.terms),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


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


def _origin(base: Scenario, records: _Records) -> dict[str, Any]:
    """Return what the cells are made from."""
    return {
        "resolved": base.resolved(),
        "book": {"name": base.book.name, "sha256": base.book.digest},
        "recorded": records.digests,
        "code": code_digest(),
        "versions": {"python": ".".join(platform.python_version_tuple()[:2]), **_versions()},
    }


def _versions() -> Mapping[str, str]:
    return {name: version(name) for name in ("numpy", "scipy")}


def items_of(plan: Plan, done: Container[str]) -> Iterator[Item]:
    """Yield the items of the cells that are not done, a replication of every group before the next replication."""
    for replication in range(plan.replications):
        for number, group in enumerate(plan.study.groups):
            open_ = [
                member for member, task in enumerate(group.tasks) if cell_key(task.identity, replication) not in done
            ]
            for first in range(0, len(open_), MOST_MEMBERS):
                yield Item(number, tuple(open_[first : first + MOST_MEMBERS]), replication)
