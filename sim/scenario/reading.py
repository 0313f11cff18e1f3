"""Reading a scenario: the file, its overrides, its price book, and the arms that its strategies make."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from sim.document import Document, as_toml, read, validate
from sim.errors import InputError, Problem
from sim.providers.amended import amended, prices_of
from sim.providers.load import load_book
from sim.providers.prices import Book, Terms
from sim.providers.resolve import merged
from sim.providers.service import Service
from sim.scenario.checks import problems_of, restless, times_of, unchangeable, unknown_names
from sim.scenario.circumstances import assumed, project_of
from sim.scenario.settling import settled
from sim.scenario.spec import ScenarioSpec
from sim.scenario.uncertain import Uncertain, uncertain_in
from sim.strategies import AnySpec
from sim.strategies.options import Setting
from sim.units import DAY, iso
from sim.workload import civil

__all__ = ["Arm", "Scenario", "load", "opened", "read_scenario", "shipped"]

_PACKAGE = Path(__file__).parents[1]
_GALLERY = (_PACKAGE / "_scenarios", _PACKAGE.parent / "scenarios")  # in a wheel; in a checkout
_AFTER_MS = 14 * DAY  # jobs of a time of day go on after the last arrival, while requests are resubmitted


class Arm(NamedTuple):
    """A strategy, and the circumstances that it runs under: the scenario's own, but for what its ``set`` changes."""

    name: str
    strategy: AnySpec
    spec: ScenarioSpec
    service: Service
    terms: Terms

    def setting(self, horizon_ms: int, pad_from: int, populations: tuple[str, ...]) -> Setting:
        """Return what the compilation of the strategy must know."""
        times = [time for given in times_of(self.strategy).values() for time in given]
        clock = civil.Clock(self.spec.start, self.spec.time_zone, horizon_ms + _AFTER_MS, 1.0)
        return Setting(
            populations=populations,
            daily={time: tuple(at for at, _ in civil.daily(clock, time)) for time in times},
            pad_from=pad_from,
            sightings=2 if self.spec.replay else 1,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A scenario ready to run: every name in it is known, and every arm has its service and terms."""

    name: str
    spec: ScenarioSpec
    document: Document
    book: Book
    arms: tuple[Arm, ...]
    uncertain: tuple[Uncertain, ...] = ()  # of the document's values; everything else here is read at their centres

    @property
    def question(self) -> str:
        """Return the question that the scenario asks."""
        return self.spec.question

    @property
    def seed(self) -> int:
        """Return the root seed."""
        return self.spec.seed

    @property
    def replications(self) -> int:
        """Return how often the scenario asks to be run."""
        return self.spec.replications

    @property
    def baseline(self) -> str:
        """Return the strategy that the others are compared with."""
        return self.spec.baseline or next(iter(self.spec.strategies))

    def resolved(self) -> dict[str, Any]:
        """Return what was run, as JSON can hold it: the file with its overrides, and each arm's service and terms."""
        return {
            "file": _plain(self.document.data),
            "arms": {
                arm.name: {
                    "strategy": arm.strategy.model_dump(mode="json"),
                    "client": arm.spec.client.model_dump(mode="json"),
                    "project": arm.spec.project.model_dump(mode="json"),
                    "service": arm.service.model_dump(mode="json"),
                    "terms": arm.terms.model_dump(mode="json"),
                }
                for arm in self.arms
            },
        }


def shipped() -> dict[str, Path]:
    """Return the scenarios that come with the simulator, by name."""
    folder = next((path for path in _GALLERY if path.is_dir()), None)
    return {path.stem: path for path in sorted(folder.glob("*.toml"))} if folder else {}


def load(path: str | Path, *, sets: Sequence[str] = (), book: str | None = None) -> Scenario:
    """Read a scenario file, or a shipped scenario by its name.

    Parameters
    ----------
    path
        A TOML file, or a name such as ``quickstart``.
    sets
        Overrides such as ``"strategies.explicit.ttl=2h"``.
    book
        The name or path of a price book to use instead of the scenario's.

    Raises
    ------
    InputError
        With every mistake of the file, each with its line.
    """
    gallery = shipped()
    if not Path(path).exists() and str(path) in gallery:
        path = gallery[str(path)]
    return read_scenario(read(path), Path(path).stem, sets=sets, book=book)


def opened(scenario: str | Path | Scenario, *, sets: Sequence[str] = (), book: str | None = None) -> Scenario:
    """Return the scenario of a file, of a shipped name, or of an object that is laid over with more overrides."""
    if isinstance(scenario, Scenario):
        return read_scenario(scenario.document, scenario.name, sets=sets, book=book) if sets or book else scenario
    return load(scenario, sets=sets, book=book)


def read_scenario(document: Document, name: str, *, sets: Sequence[str] = (), book: str | None = None) -> Scenario:
    """Return the scenario of a parsed document."""
    document, problems = _overridden(document, sets, book)
    if book is not None:
        document = document.with_values({"book": book}, "--book")
    uncertain, mistaken = uncertain_in(document)
    if mistaken or problems:
        raise InputError(dict.fromkeys([*problems, *mistaken, *_others(document, name, uncertain, mistaken)]))
    if not uncertain:
        return _certain(document, name)
    fitted, scenario = settled(document, uncertain, lambda settled: _certain(settled, name))
    return replace(scenario, document=document, uncertain=fitted)


def _others(
    document: Document, name: str, uncertain: Sequence[Uncertain], mistaken: Sequence[Problem]
) -> list[Problem]:
    """Return the other mistakes of a document that has some: none that a law which is none makes once more."""
    try:
        settled(document, uncertain, lambda settled: _certain(settled, name))
    except InputError as error:
        known = {path for problem in mistaken for path in (problem.path, problem.path.partition(".set.")[2]) if path}
        return [problem for problem in error.problems if problem.path not in known]
    return []


def _certain(document: Document, name: str) -> Scenario:
    """Return the scenario of a document whose every value is certain."""
    problems: list[Problem] = []
    opened = _book(document, problems)
    try:
        spec = validate(document, ScenarioSpec)
    except InputError as error:
        found = [*problems, *error.problems, *_despite(document, opened)]
        raise InputError(dict.fromkeys(found)) from None
    if opened is None:
        raise InputError(problems)
    opened = amended(opened, {model: prices_of(own) for model, own in spec.prices.items()})
    problems += problems_of(document, spec, opened)
    arms: list[Arm] = []
    for arm_name in spec.strategies:
        try:
            arms.append(_arm(document, spec, opened, arm_name))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Scenario(name=name, spec=spec, document=document, book=opened, arms=tuple(arms))


def _overridden(document: Document, sets: Sequence[str], book: str | None) -> tuple[Document, list[Problem]]:
    """Return the document under the overrides that can be read, and what is wrong with the others."""
    problems: list[Problem] = []
    for text in sets:
        path, equals, value = text.partition("=")
        origin = f"--set {text}"
        if not equals or not path.strip():
            problems.append(Problem("--set", 0, "", "not an override", "PATH=VALUE such as load=2", text))
            continue
        try:
            below = _below(document, book) if "[" in path else None
            document = document.with_values({path.strip(): as_toml(value.strip())}, origin, below)
        except InputError as error:
            problems += error.problems
    return document, problems


def _below(document: Document, book: str | None = None) -> dict[str, Any]:
    """Return the tables that those of a document are laid over: lists of theirs can be changed element by element."""
    opened = _book(document if book is None else document.with_values({"book": book}, "--book"), [])
    if opened is None:
        return {}
    platform = opened.platforms.get(project_of(document).platform)
    return {"service": merged(opened.service, platform.service if platform else {})}


def _book(document: Document, problems: list[Problem]) -> Book | None:
    """Return the book that a document names, by a path relative to it first, or note what is wrong with that."""
    name = document.data.get("book", ScenarioSpec.model_fields["book"].default)
    if not isinstance(name, str):
        return None  # as the reading of the scenario will tell
    try:
        return load_book(document.beside(name))
    except InputError as error:
        problems += error.problems
        return None


def _arm(document: Document, base: ScenarioSpec, book: Book, name: str) -> Arm:
    changes = base.strategies[name].set
    spec = base
    if changes:
        below = _below(document) if any("[" in path for path in changes) else None
        document = document.with_values(changes, f"{document.file}: strategies.{name}.set", below)
        spec = validate(document, ScenarioSpec)
        if problems := [*problems_of(document, spec, book), *unchangeable(document, changes, name)]:
            raise InputError(problems)
    service, terms = assumed(document, book, spec.project, spec.service, spec.terms)
    if problems := restless(document, service, spec.workload.horizon):
        raise InputError(problems)
    return Arm(name, spec.strategies[name], spec, service, terms)


def _despite(document: Document, book: Book | None) -> list[Problem]:
    """Return what else is wrong with a document that is no scenario: its mistakes are told all at once."""
    problems = unknown_names(document, book)
    tables = [document.data.get(name, {}) for name in ("service", "terms")]
    if book is not None and all(isinstance(table, dict) for table in tables):
        try:
            assumed(document, book, project_of(document), *tables)
        except InputError as error:
            problems += error.problems
    return problems


def _plain(value: Any) -> Any:
    """Return a TOML value as JSON can hold it."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dt.datetime):
        return iso(value) if value.tzinfo else value.isoformat()
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else value
