"""The options of strategies as a scenario writes them, and their compilation into a plan's integers."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from sim.document import Strict
from sim.strategies.decision import NEVER, BatchPlan, CachePlan, FlexPlan
from sim.units import HOUR, Duration, PositiveDuration, Switch, TimeOfDay, Whole, as_duration, duration

__all__ = ["BatchOptions", "CacheOptions", "FlexOptions", "Setting", "StrategySpec"]

_DEFAULT_WINDOW_MS = HOUR // 4


class Renewal(Strict):
    """``never``, ``on_use`` or ``margin:DURATION``."""

    on_use: bool = False
    margin: int | None = None  # ms


class Deletion(Strict):
    """``never``, ``idle:DURATION`` or ``last_use``."""

    last_use: bool = False
    idle: int | None = None  # ms


def _choice(value: object, words: dict[str, Any], prefix: str, model: type[Strict], field: str) -> Any:
    if isinstance(value, str) and value in words:
        return words[value]
    if isinstance(value, str) and value.startswith(f"{prefix}:"):
        return model(**{field: as_duration(value.removeprefix(f"{prefix}:"))})
    if isinstance(value, model):
        return value
    allowed = ", ".join(f'"{word}"' for word in words)
    raise PydanticCustomError("choice", "{what}", {"what": f'unknown choice; {allowed} or "{prefix}:DURATION"'})


_RENEWAL = {"never": Renewal(), "on_use": Renewal(on_use=True)}
_DELETION = {"never": Deletion(), "last_use": Deletion(last_use=True)}
_TEXT = WithJsonSchema({"type": "string"})
Renew = Annotated[Renewal, BeforeValidator(lambda v: _choice(v, _RENEWAL, "margin", Renewal, "margin")), _TEXT]
Delete = Annotated[Deletion, BeforeValidator(lambda v: _choice(v, _DELETION, "idle", Deletion, "idle")), _TEXT]


class Setting(Strict):
    """What a compilation must know of the run: names to bits, wall time to instants, the padding that pays."""

    populations: tuple[str, ...] = ()
    daily: Annotated[dict[int, tuple[int, ...]], Field(default_factory=dict)]  # ms after midnight -> ms since start
    pad_from: int = NEVER  # tokens from which padding pays
    sightings: int = 1  # default of `sightings`

    def instants(self, times: Sequence[int]) -> tuple[int, ...]:
        """Return when some times of day come, in ms since start, rising."""
        return tuple(sorted(instant for time in times for instant in self.daily[time]))


class StrategySpec(Strict):
    """What every entry of ``[strategies.NAME]`` has: its kind, and what else is different under it."""

    set: dict[str, Any] = {}  # dotted scenario paths: the same strategy under other circumstances


class CacheOptions(StrategySpec):
    """How explicit caches are kept."""

    ttl: Duration = HOUR
    renew: Renew = Renewal()
    delete: Delete | None = None  # None: idle of one TTL; never where expire_at says when it ends
    arriving: Literal["wait", "miss"] = "wait"
    pad: Switch = False
    sightings: Annotated[Whole, Field(ge=1)] | None = None  # None: 1 for declared contexts, 2 in a replay
    contexts: list[str] | None = None  # the populations that may be cached; None: all
    expire_at: list[TimeOfDay] = []  # local times: caches expire at the next of these, instead of after the ttl
    clock: Literal["expire_time", "own"] = "expire_time"  # own: the ttl is counted from the reply to the creation
    release: Literal["delete", "shorten"] = "delete"  # how a cache that is no longer wanted is ended
    replaced: Literal["keep", "delete"] = "keep"  # when the contents of its context are replaced

    @model_validator(mode="after")
    def _renewed_before_it_expires(self) -> Self:
        if self.renew.margin is not None and self.renew.margin >= self.ttl and "renew" in self.model_fields_set:
            what = f"the renewal margin {duration(self.renew.margin)} must be shorter than the ttl {duration(self.ttl)}"
            raise PydanticCustomError("margin", "{what}", {"what": what})
        return self

    @model_validator(mode="after")
    def _ends_one_way(self) -> Self:
        against: list[str] = [name for name in ("ttl", "renew") if name in self.model_fields_set]
        against += ["clock"] if self.clock == "own" else []
        if self.expire_at and against:
            what = f"expire_at excludes {' and '.join(against)}; one of the two"
            raise PydanticCustomError("expiry", "{what}", {"what": what})
        return self

    @model_validator(mode="after")
    def _lets_go_of_what_it_shortens(self) -> Self:
        if self.release == "shorten" and self.replaced == "keep" and self._deletion == Deletion():
            what = 'release = "shorten" is of caches that are let go, and delete is "never"; one of the two'
            raise PydanticCustomError("release", "{what}", {"what": what})
        return self

    @property
    def _deletion(self) -> Deletion:
        if self.delete is not None:
            return self.delete
        return Deletion() if self.expire_at else Deletion(idle=self.ttl)

    def cache_plan(self, clock: Setting) -> CachePlan:
        """Return the integers of these options; a default margin is at most half of the TTL."""
        delete = self._deletion
        names = clock.populations if self.contexts is None else self.contexts
        margin = self.renew.margin
        return CachePlan(
            ttl=self.ttl,
            renew_on_use=int(self.renew.on_use),
            renew_margin=NEVER if margin is None or self.expire_at else min(margin, self.ttl // 2),
            idle=_or_never(delete.idle),
            last_use=int(delete.last_use),
            wait=int(self.arriving == "wait"),
            pad_from=clock.pad_from if self.pad else NEVER,
            sightings=self.sightings or clock.sightings,
            own_clock=int(self.clock == "own"),
            expire_at=clock.instants(self.expire_at),
            shorten=int(self.release == "shorten"),
            delete_replaced=int(self.replaced == "delete"),
            populations=-1 if self.contexts is None else sum(1 << clock.populations.index(name) for name in names),
        )


class BatchOptions(StrategySpec):
    """How requests are collected into jobs: by size, by age, on a grid, or at times of day; the first that comes.

    A collection that none of them closes is sent after the horizon, once nothing else can happen any more.
    """

    size: Annotated[Whole, Field(ge=1)] | None = None
    window: Duration | None = None
    every: PositiveDuration | None = None
    at: list[TimeOfDay] = []
    poll: PositiveDuration = 60_000
    attempts: Annotated[Whole, Field(ge=1, le=16)] = 3
    transport: Literal["file", "inline"] = "file"  # inline jobs hold less
    deduplicate: Switch = False  # look for a job whose reply was lost before creating another

    def batch_plan(self, clock: Setting, guard: int = NEVER) -> BatchPlan:
        """Return the integers of these options; with none of the four, a job goes 15 min after its first request."""
        free = self.size is None and self.window is None and self.every is None and not self.at
        return BatchPlan(
            size=_or_never(self.size),
            window=_DEFAULT_WINDOW_MS if free else _or_never(self.window),
            every=_or_never(self.every),
            at=clock.instants(self.at),
            poll=self.poll,
            attempts=self.attempts,
            guard=guard,
            inline=int(self.transport == "inline"),
            deduplicate=int(self.deduplicate),
        )


class FlexOptions(StrategySpec):
    """How long the flex tier is tried."""

    attempts: Annotated[Whole, Field(ge=1, le=64)] = 3
    timeout: PositiveDuration | None = None  # of one call, its queueing included
    guard: Duration | None = None  # so long before a request's deadline the tier is given up
    fallback: Literal["standard", "fail"] = "standard"  # where a request goes that the tier did not serve

    def flex_plan(self) -> FlexPlan:
        """Return the integers of these options."""
        return FlexPlan(
            attempts=self.attempts,
            timeout=_or_never(self.timeout),
            guard=_or_never(self.guard),
            fallback=int(self.fallback == "standard"),
        )


def _or_never(value: int | None) -> int:
    return NEVER if value is None else value
