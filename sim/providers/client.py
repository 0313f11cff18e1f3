"""How the caller's own software calls: what a scenario's ``[client]`` table says."""

from typing import Annotated

from pydantic import Field

from sim.document import Strict
from sim.units import Whole

__all__ = ["ClientOptions"]


class ClientOptions(Strict):
    """The caller's side of the service."""

    concurrency: Annotated[Whole, Field(ge=1)] | None = None  # calls in flight at most, others queue
