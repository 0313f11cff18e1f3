"""The keys of a scenario file, as pydantic reads them."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field

from sim.document import Strict
from sim.providers.amended import OwnPrices
from sim.providers.client import ClientOptions
from sim.providers.project import ProjectOptions
from sim.strategies import AnySpec
from sim.units import DAY, Duration, Instant, Positive, PositiveDuration, Share, Switch, Whole, Zone, since_epoch
from sim.workload.spec import ContextSpec, StreamSpec, WorkloadSpec

__all__ = ["ReplaySpec", "ScenarioSpec"]

_MOST_SEED = 2**128 - 1


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
    sort: Switch = False  # put an unsorted log in order


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
    prices: dict[str, OwnPrices] = {}  # by model: laid over the book's, on all dates
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
    project: ProjectOptions = ProjectOptions()
    terms: dict[str, Any] = {}  # laid over the book's, and over those of the platform
    service: dict[str, Any] = {}  # the same

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
        return since_epoch(self.start)
