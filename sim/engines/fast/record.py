"""The record of a run: the numbers that there is one of, and where its tables are."""

from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from sim.engines.fast.room import Room
from sim.engines.fast.tables import RECORDS
from sim.strategies.decision import NEVER

__all__ = ["FILLED", "Memory", "Service"]

# tables that are filled row by row, with the number of the state that counts their rows
FILLED = {name: name for name in ("caches", "jobs", "members", "starting", "duplicates")} | {"line": "entries"}


class State(NamedTuple):
    """What changes with every event."""

    now: int
    epoch: int
    arrival: int  # the next request that waits for nobody's answer
    first: int  # request in memory
    loaded: int  # requests that have been in memory so far
    streamed: int  # 1: they come in pieces, and more are to come; 2: all have come
    heap: int
    coming: int
    caches: int
    jobs: int
    members: int
    starting: int
    duplicates: int
    entries: int  # in the line's pool
    pool: int
    head: int  # of the line, -1 = empty
    tail: int
    line_jobs: int
    line_tokens: int
    in_flight: int
    queue_first: int
    queue_last: int
    opened: int  # listed in the open collection
    open: int  # of these still in it
    collection: int


class Service(NamedTuple):
    """The rules and the plan, as integers."""

    requests: int  # or more than there are, where nobody knows yet: events of no request count as this one
    takings: int  # jobs that a request may lead, one after another
    horizon: int
    plain: int  # whether nothing can refuse a standard call
    implicit_met: int
    implicit_block: int
    implicit_at_arrival: int
    implicit_refreshed: int
    implicit_sightings: int
    in_batch: int
    recreate: int
    flex_shed: int
    overload_shed: int
    overload_slowdown: int
    refusal_ms: int
    nodes: int
    keeps: int  # whether it uses explicit caches
    ttl: int
    renew_on_use: int
    renew_margin: int
    idle: int
    last_use: int
    wait: int
    pad_from: int
    sightings: int
    own_clock: int
    shorten: int
    delete_replaced: int
    batches: int
    size: int
    window: int
    every: int
    poll: int
    attempts: int
    guard: int
    inline: int
    deduplicate: int
    flex_attempts: int
    flex_timeout: int
    flex_guard: int
    flex_fallback: int


class Memory:
    """The tables by name, which keeps them alive, and the record that leads kernels to them.

    ``others`` are the names of tables that are kept elsewhere.
    """

    def __init__(self, tables: dict[str, Any], service: Service, room: Room, others: Iterable[str] = ()) -> None:
        self.tables, self.room = tables, room
        self._names = sorted([*tables, *others])
        self.w = np.zeros(1, dtype=_record(tuple(self._names))).view(np.recarray)
        self.w["head"] = self.w["tail"] = NEVER
        self.w["loaded"] = service.requests
        self._numbers = self.w.view(np.ndarray).view(np.int64)  # the same memory, for what is written at once
        first = len(State._fields)
        self._numbers[first : first + len(service)] = service
        self.place()

    def place(self) -> None:
        """Write down where every table is now."""
        ways = [number for name in self._names for number in self.way(name)]
        self._numbers[-len(ways) :] = ways

    def way(self, name: str) -> tuple[int, int]:
        """Return where a table is, and its rows."""
        table = self.tables[name]
        # an array of records would describe every field of them first
        return table.view(np.int64).__array_interface__["data"][0], len(table)

    def grow(self, name: str) -> None:
        """Give a table twice the room."""
        self.reserve(name, 2 * len(self.tables[name]))
        self.place()

    def reserve(self, name: str, rows: int) -> None:
        """Give a table room for so many rows; it may move."""
        old = self.tables[name]
        if rows > len(old):
            new = np.zeros((max(rows, 2 * len(old)), *old.shape[1:]), dtype=old.dtype)
            new[: len(old)] = old
            self.tables[name] = new

    def release(self) -> None:
        """Leave the room to the next run; nothing may look at the tables any more."""
        self.room.give_back({name: int(self.w[count][0]) * RECORDS[name].itemsize for name, count in FILLED.items()})


@cache
def _record(tables: tuple[str, ...]) -> np.dtype[Any]:
    """Return the record of a run: its state, its service, and where each table is."""
    ways = [name + end for name in tables for end in ("_at", "_rows")]
    return np.dtype([(name, np.int64) for name in (*State._fields, *Service._fields, *ways)])
