"""How the caller's own software calls: what a scenario's ``[client]`` table says."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from sim.document import Strict
from sim.units import Duration, Positive, PositiveDuration, Switch, Whole, duration

__all__ = ["Backoff", "ClientOptions"]


class Backoff(Strict):
    """Exponential back-off: the k-th wait is at most ``min(cap, base * factor^(k - 1))``, drawn as the jitter says.

    ``full`` draws from all of it, ``equal`` from its upper half, ``none`` takes the whole (Brooker, AWS, 2015).
    """

    base: Duration = 1_000
    factor: Annotated[Positive, Field(ge=1, le=100)] = 2.0
    cap: Duration = 60_000
    jitter: Literal["none", "full", "equal"] = "full"
    honour_retry_delay: Switch = True  # false: the known fault of a client that calls again too early

    @model_validator(mode="after")
    def _begins_below_its_cap(self) -> Self:
        if self.base > self.cap:
            what = f"the base {duration(self.base)} is above the cap {duration(self.cap)}"
            raise PydanticCustomError("backoff", "{what}", {"what": what})
        return self


class ClientOptions(Strict):
    """The caller's side of the service."""

    concurrency: Annotated[Whole, Field(ge=1)] | None = None  # calls in flight at most, back-off included; others queue
    attempts: Annotated[Whole, Field(ge=1, le=64)] = 5  # calls of one request at most
    backoff: Backoff = Backoff()
    timeout: PositiveDuration | None = None  # of one call
    # of one request, from its arrival, its queueing included; what is in a batch job is not given up
    give_up_after: PositiveDuration | None = None
    on_forbidden: Literal["recreate", "uncached"] = "recreate"  # after a 403: a new cache, or none for this request
