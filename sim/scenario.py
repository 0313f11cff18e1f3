"""A scenario: one TOML file that asks one question, read strictly and joined with its price book."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from sim.document import Document, Strict, as_toml, read, validate
from sim.errors import InputError, PriceMissing, Problem, nearest
from sim.ledger import Mode
from sim.providers.client import ClientOptions
from sim.providers.load import load_book
from sim.providers.prices import Book, LineName, Terms
from sim.providers.resolve import merged
from sim.providers.service import Service
from sim.strategies import AnySpec
from sim.strategies.options import BatchOptions, CacheOptions, Setting
from sim.units import DAY, Duration, Instant, Positive, PositiveDuration, Share, Whole, Zone, iso
from sim.workload import civil, rules
from sim.workload.spec import ContextSpec, StreamSpec, WorkloadSpec

__all__ = ["Arm", "ReplaySpec", "Scenario", "ScenarioSpec", "load", "read_scenario", "shipped"]

_HERE = Path(__file__).parent
_GALLERY = (_HERE / "_scenarios", _HERE.parent / "scenarios")  # in a wheel; in a checkout
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_ONE_MS = dt.timedelta(milliseconds=1)
_MOST_SEED = 2**128 - 1
_COMMON = ("models", "strategies", "baseline", "seed", "replications", "book", "question", "close", "patience_target")
_AFTER_MS = 14 * DAY  # jobs of a time of day go on after the last arrival, while requests are resubmitted


def _with_kinds(value: object) -> object:
    """Let the name of a strategy be its kind, unless it says another."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: {"kind": name, **options} if isinstance(options, Mapping) else options for name, options in value.items()
    }


class ReplaySpec(Strict):
    """``[replay]``: the traffic is a recorded trace; what is random is the service."""

    trace: str  # a path, relative to the scenario's file
    format: Literal["auto", "mooncake", "azure", "kvct", "log"] = "auto"
    patience: Duration = 60_000
    sort: bool = False  # put an unsorted log in order


class ScenarioSpec(Strict):
    """The keys of a scenario file."""

    question: Annotated[str, Field(min_length=1)]
    start: Instant
    horizon: PositiveDuration | None = None
    time_zone: Zone = ZoneInfo("UTC")
    load: Positive = 1.0
    contexts: dict[str, ContextSpec] = {}
    streams: dict[str, StreamSpec] = {}
    replay: ReplaySpec | None = None
    book: str = "google"
    models: Annotated[list[str], Field(min_length=1)]
    strategies: Annotated[
        dict[str, Annotated[AnySpec, Field(discriminator="kind")]], Field(min_length=1), BeforeValidator(_with_kinds)
    ]
    baseline: str | None = None  # the strategy that the others are compared with; default: the first
    seed: Annotated[int, Field(strict=True, ge=0, le=_MOST_SEED)] = 1
    replications: Annotated[Whole, Field(ge=1, le=1_000_000)] = 30
    patience_target: Share = 0.95  # of the requests, to be answered within patience
    close: Literal["drain", "cut"] = "drain"
    most_requests: Positive = 1e9  # expected, above which a scenario is taken for a mistake
    client: ClientOptions = ClientOptions()
    terms: dict[str, Any] = {}  # laid over the book's
    service: dict[str, Any] = {}  # laid over the book's

    @property
    def workload(self) -> WorkloadSpec:
        """Return the part that is realised; the workload of a replay has no streams of its own."""
        return WorkloadSpec.model_construct(
            start=self.start,
            horizon=self.horizon or DAY,
            time_zone=self.time_zone,
            load=self.load,
            contexts=self.contexts,
            streams=self.streams,
        )

    @property
    def start_ms(self) -> int:
        """Return the start in ms since the Unix epoch."""
        return (self.start - _EPOCH) // _ONE_MS


class Arm(NamedTuple):
    """A strategy, and the circumstances that it runs under: the scenario's own, but for what its ``set`` changes."""

    name: str
    strategy: AnySpec
    spec: ScenarioSpec
    service: Service
    terms: Terms

    def setting(self, horizon_ms: int, pad_from: int, populations: tuple[str, ...]) -> Setting:
        """Return what the compilation of the strategy must know."""
        times = self.strategy.at if isinstance(self.strategy, BatchOptions) else []
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


def read_scenario(document: Document, name: str, *, sets: Sequence[str] = (), book: str | None = None) -> Scenario:
    """Return the scenario of a parsed document."""
    document, problems = _overridden(document, sets)
    if book is not None:
        document = document.with_values({"book": book}, "--book")
    opened = _book(document, problems)
    try:
        spec = validate(document, ScenarioSpec)
    except InputError as error:
        raise InputError(dict.fromkeys([*problems, *error.problems])) from None
    if opened is None:
        raise InputError(problems)
    problems += _problems(document, spec, opened)
    arms: list[Arm] = []
    for arm_name in spec.strategies:
        try:
            arms.append(_arm(document, spec, opened, arm_name))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(dict.fromkeys(problems))
    return Scenario(name=name, spec=spec, document=document, book=opened, arms=tuple(arms))


def _overridden(document: Document, sets: Sequence[str]) -> tuple[Document, list[Problem]]:
    """Return the document under the overrides that can be read, and what is wrong with the others."""
    problems: list[Problem] = []
    for text in sets:
        path, equals, value = text.partition("=")
        origin = f"--set {text}"
        if not equals or not path.strip():
            problems.append(Problem("--set", 0, "", "not an override", "PATH=VALUE such as load=2", text))
            continue
        try:
            document = document.with_values({path.strip(): as_toml(value.strip())}, origin)
        except InputError as error:
            problems += error.problems
    return document, problems


def _book(document: Document, problems: list[Problem]) -> Book | None:
    """Return the book that a document names, by a path relative to it first, or note what is wrong with that."""
    name = document.data.get("book", ScenarioSpec.model_fields["book"].default)
    if not isinstance(name, str):
        return None  # as the reading of the scenario will tell
    beside = Path(document.file).parent / name
    try:
        return load_book(str(beside) if beside.is_file() else name)
    except InputError as error:
        problems += error.problems
        return None


def _arm(document: Document, base: ScenarioSpec, book: Book, name: str) -> Arm:
    changes = base.strategies[name].set
    spec = base
    if changes:
        document = document.with_values(changes, f"{document.file}: strategies.{name}.set")
        spec = validate(document, ScenarioSpec)
        if problems := [*_problems(document, spec, book), *_unchangeable(document, changes, name)]:
            raise InputError(problems)
    problems, service, terms = [], None, None
    try:
        service = validate(document, Service, merged(book.service, spec.service), ("service",))
    except InputError as error:
        problems += error.problems
    try:
        terms = validate(document, Terms, {**book.terms.model_dump(), **spec.terms}, ("terms",))
    except InputError as error:
        problems += error.problems
    if service is None or terms is None:
        raise InputError(problems)
    return Arm(name, spec.strategies[name], spec, service, terms)


def _unchangeable(document: Document, changes: Mapping[str, Any], name: str) -> list[Problem]:
    """Return what an arm cannot change for itself alone."""
    allowed = "keys of streams, contexts, service, client, terms, start, horizon or load, and replay.patience"
    return [
        document.problem(("strategies", name, "set"), f"{path} is common to all strategies", allowed)
        for path in changes
        if path.partition(".")[0] in _COMMON or (path.startswith("replay") and path != "replay.patience")
    ]


def _problems(document: Document, spec: ScenarioSpec, book: Book) -> list[Problem]:
    problems = _traffic(document, spec)
    dated = not problems and spec.replay is None
    for index, model in enumerate(spec.models):
        if model not in book.models:
            problems.append(document.problem(("models", index), "unknown model", nearest(model, book.models), model))
    if len(set(spec.models)) < len(spec.models):
        problems.append(document.problem(("models",), "a model is named twice", "each model once"))
    if spec.baseline is not None and spec.baseline not in spec.strategies:
        hint = nearest(spec.baseline, spec.strategies)
        problems.append(document.problem(("baseline",), "unknown strategy", hint, spec.baseline))
    for name, strategy in spec.strategies.items():
        problems += _contexts(document, spec, name, strategy)
        problems += _times(document, spec.workload.clock, name, strategy) if dated else []
        problems += _offers(document, spec, book, name, strategy)
    return problems


def _traffic(document: Document, spec: ScenarioSpec) -> list[Problem]:
    if spec.replay is not None:
        extra = [key for key in ("streams", "contexts", "horizon") if getattr(spec, key)]
        return [document.problem((key,), "a replay has its traffic from the trace", "remove this") for key in extra]
    missing = [key for key in ("streams", "horizon") if not getattr(spec, key)]
    if missing:
        return [document.problem((key,), "a required key is missing", "or a [replay] table") for key in missing]
    return rules.check(spec.workload, document, most=spec.most_requests)


def _contexts(document: Document, spec: ScenarioSpec, name: str, strategy: AnySpec) -> list[Problem]:
    named = strategy.contexts or [] if isinstance(strategy, CacheOptions) else []
    return [
        document.problem(("strategies", name, "contexts"), "unknown context", nearest(context, spec.contexts), context)
        for context in named
        if spec.replay is None and context not in spec.contexts
    ]


def _times(document: Document, clock: civil.Clock, name: str, strategy: AnySpec) -> list[Problem]:
    """Return the times of day of a strategy that the clock skips or repeats while the traffic lasts."""
    times = enumerate(strategy.at if isinstance(strategy, BatchOptions) else [])
    walls = [(index, wall) for index, time in times for _, wall in civil.daily(clock, time)]
    what, allowed = f"the clock of {clock.zone} skips or repeats this time", 'another time, or time_zone = "UTC"'
    return [
        document.problem(("strategies", name, "at", index), what, allowed, f"{wall:%Y-%m-%d %H:%M:%S}")
        for index, wall in walls
        if civil.doubtful(clock, wall)
    ]


def _offers(document: Document, spec: ScenarioSpec, book: Book, name: str, strategy: AnySpec) -> list[Problem]:
    """Return what a strategy needs that a model of the scenario does not offer; it is never quietly left out."""
    problems: list[Problem] = []
    path = ("strategies", name)
    for model in spec.models:
        if model not in book.models:
            continue
        facts = book.facts[book.served(model, spec.start_ms)]
        for needed, offered in (("explicit", CacheOptions), ("batch", BatchOptions)):
            if isinstance(strategy, offered) and not getattr(facts, needed):
                what = f"{facts.model} offers no {'explicit cache' if needed == 'explicit' else 'Batch API'}"
                problems.append(document.problem(path, what, "another model, or another strategy", name))
                break
        else:
            problems += _unpriced(document, spec, book, facts.model, path, strategy)
    return problems


def _unpriced(
    document: Document, spec: ScenarioSpec, book: Book, model: str, path: tuple[str, ...], strategy: AnySpec
) -> list[Problem]:
    """Return the first price that a strategy is sure to need, and that the book does not have at the start."""
    mode = Mode.BATCH if isinstance(strategy, BatchOptions) else Mode.STANDARD
    needed: list[tuple[LineName, Mode]] = [("input", mode), ("output", mode)]
    if isinstance(strategy, CacheOptions):
        needed += [("cached", Mode.STANDARD), ("creation", Mode.STANDARD), ("storage", Mode.STANDARD)]
    try:
        entry = book.entry(model, spec.start_ms)
        for line, how in needed:
            entry.price(line, how)
    except PriceMissing as error:
        return [document.problem(path, str(error), "another model or book, or another start")]
    return []


def _plain(value: Any) -> Any:
    """Return a TOML value as JSON can hold it."""
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, dt.datetime):
        return iso(value) if value.tzinfo else value.isoformat()
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else value
