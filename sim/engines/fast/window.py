"""The memory of a run whose workload comes in pieces: what is still open, and nothing of what is over."""

from typing import Any

import numpy as np

from sim.engines.fast import clock, implicit, tables, written
from sim.engines.fast.compile import loop
from sim.engines.fast.contexts import cacheable
from sim.engines.fast.engine import ALONE
from sim.engines.fast.memory import World
from sim.engines.fast.moving import Moving
from sim.engines.fast.record import Memory
from sim.engines.fast.ring import Ring
from sim.engines.fast.room import Room
from sim.engines.fast.tables import RECORDS
from sim.engines.fast.world import LIMITS, asked_of, longest_wait, metered_of, of_plan, of_rules, service_of
from sim.engines.laws.order import request_of
from sim.engines.physics import Physics, first_requests
from sim.providers.rules import Rules
from sim.strategies.decision import NEVER, Plan
from sim.trace import Ints, Piece, Trace
from sim.units import HOUR

__all__ = ["ALL_CAME", "Window"]

ALL_CAME = 2  # what the state says then
NOBODY = 1 << 40  # what is no request's event counts as this one's, which comes after all that there can be
_OF_JOBS = (clock.SEEN, clock.RUNS, clock.ORPHANED, clock.LOST)
_INT64 = np.dtype(np.int64)

# tables that an event may add rows to, and what counts these
_GROWING = {"caches": "caches", "cell_coming": "coming", "heap": "heap"}
_GROWING_IN_BATCH = {"jobs": "jobs", "starting": "starting", "duplicates": "duplicates", "line": "entries"}


class Window(Memory):
    """The tables of a run in pieces: those of requests, members and such move along, session nodes live in a ring."""

    def __init__(self, piece: Piece, plan: Plan, rules: Rules, physics: Physics, cells: int) -> None:
        at_or_above, above = cacheable(_documents(piece), plan, rules)
        service = service_of(piece.trace, plan, rules, physics)._replace(requests=NOBODY)
        self._longest = longest_wait(plan, rules)
        self.ring = Ring(piece, cells if service.implicit_met else 0, above, at_or_above)
        nobody, nothing = first_requests(piece.trace, physics, 0)
        columns = self._columns(piece._replace(trace=nobody, prompt=piece.prompt[:0]), nothing)
        self.requests = {name: Moving(column.dtype) for name, column in columns.items()}
        untaken = {} if service.takings else {"asked_takes": self.requests.pop("asked_takes").rows}
        if service.takings:
            self.requests["asked_takes"] = Moving(_INT64, service.takings)
        self.told = {name: Moving(_INT64) for name in ("stream", "thinking", "heard", "floor", "document")}
        self.others = {"pool": Moving(_INT64), "queue": Moving(_INT64), "members": Moving(RECORDS["members"])}
        fixed = of_plan(plan, physics) | of_rules(rules) | _empty() | self._nodes() | untaken
        super().__init__(fixed, service, Room(), [*self.requests, *self.others])
        self.w["loaded"], self.w["streamed"] = 0, 1
        self._live_node = piece.live_node

    def way(self, name: str) -> tuple[int, int]:
        """Return where row 0 of a table would be, and the first item that there is no room for."""
        table = self.requests.get(name) or self.others.get(name)
        return super().way(name) if table is None else (table.address, table.limit)

    def load(self, piece: Piece, physics: Physics) -> None:
        """Add the requests of a piece, and the prefixes of its sessions."""
        leaf = self.requests["asked_leaf"]
        before = self.ring.numbers(leaf.rows)
        self.ring.load(piece)
        leaf.rows[:] = self.ring.places(before)
        self.tables |= self._nodes()
        for name, column in self._columns(piece, physics).items():
            if name in self.requests:
                self.requests[name].append(column)
        told = {"stream": piece.trace.stream, "thinking": piece.trace.thinking, "heard": piece.heard}
        told |= {"floor": piece.floor, "document": self.ring.documents_of(piece.trace.leaf)}
        for name, column in told.items():
            self.told[name].append(column)
        self.w["nodes"], self.w["loaded"] = len(self.ring.nodes), piece.first + len(piece.prompt)
        self._live_node = piece.live_node
        self.make_room()

    def _nodes(self) -> dict[str, Any]:
        until, seen = self.ring.until.reshape(-1), self.ring.seen.reshape(-1)
        return {"nodes": self.ring.nodes, "cell_until": until, "cell_seen": seen}

    def _columns(self, piece: Piece, physics: Physics) -> dict[str, Any]:
        """Return the new rows of the tables of requests; a piece holds those who follow its own, and no others."""
        follows, count = piece.trace.follows, len(piece.prompt)
        own = piece.trace._replace(follows=np.where(follows >= 0, follows - piece.first, NEVER))
        asked = asked_of(own, piece.prompt, physics, self.ring.cacheable(piece.trace.leaf))
        asked |= {"follows": follows, "leaf": self.ring.places(piece.trace.leaf)}
        asked["follower"] = np.where(asked["follower"] >= 0, asked["follower"] + piece.first, NEVER)
        callers = np.zeros(count, dtype=RECORDS["callers"])
        callers["target"] = callers["job"] = NEVER
        columns = {f"asked_{name}": column for name, column in asked.items()}
        return (
            columns | {f"metered_{name}": column for name, column in metered_of(count).items()} | {"callers": callers}
        )

    def note_ends(self) -> None:
        """Note how far the tables have been written that kernels add rows to."""
        w = self.w[0]
        for name, end in (("pool", w.pool), ("queue", w.queue_last), ("members", w.members)):
            self.others[name].end = int(end)

    def make_room(self) -> None:
        """Make room wherever the next event may find none."""
        self.note_ends()
        w = self.w[0]
        count = 1 + (int(w.loaded - w.first) if w.batches else ALONE)
        for name, counter in (_GROWING | _GROWING_IN_BATCH if w.batches else _GROWING).items():
            self.reserve(name, int(w[counter]) + (4 * count + 8 if name == "heap" else count))
        self.reserve("spends", int(self.tables["counters"]["last"][0]) + 2)
        self.reserve("refusals", (self._latest() + self._longest) // HOUR + 3)
        self.reserve("collected", int(w.loaded - w.first))
        self.others["queue"].reserve(int(w.loaded - w.first) + 1)
        for name in ("pool", "members") if w.batches else ():
            self.others[name].reserve(count)
        self.place()

    def _latest(self) -> int:
        """Return the instant of the next event, or of the last arrival that is there, whichever is later."""
        arrive = self.requests["asked_arrive"].rows
        heap = int(self.tables["heap"][0, 0]) if self.w[0].heap else 0
        return max(heap, int(arrive[-1]) if len(arrive) else 0, int(self.w[0].now))

    def needed(self) -> int:
        """Return the first request that anything still to come may concern, or that has not ended."""
        w, status = self.w[0], self.requests["metered_status"]
        if w.streamed == ALL_CAME:  # a prefix that nobody asks for any more is all that may be to come
            return status.end
        heap = self.tables["heap"][: int(w.heap)]
        concerned = [
            np.flatnonzero(status.rows == 0) + status.base,
            request_of(heap[:, 1], NOBODY),
            self.tables["cell_coming"][: int(w.coming), 1],
            self.tables["collected"][: int(w.opened)],
            self.others["queue"].rows,
            self.others["pool"].rows,
            self.others["members"].rows["request"],
        ]
        return min([status.end, *(int(some.min()) for some in concerned if len(some))])

    def rows(self, before: int) -> tuple[dict[str, Ints], dict[str, Ints]]:
        """Return copies of the rows of the requests before one: the columns of a ledger, and what else is told."""
        count = before - self.requests["callers"].base
        kept = {name: table.rows[:count].copy() for name, table in self.requests.items() if name != "asked_takes"}
        ledger = {name.removeprefix("metered_"): c for name, c in kept.items() if name.startswith("metered_")}
        told = {name: table.rows[:count].copy() for name, table in self.told.items()}
        ledger |= {"audio": told["heard"], "output": kept["asked_output"]}
        return ledger, told | {"patience": kept["asked_patience"], "prompt": kept["asked_prompt"]}

    def duplicates(self) -> dict[str, Ints]:
        """Return the calls that were billed besides since this was asked last."""
        found, members = self.tables["duplicates"][: int(self.w[0].duplicates)].copy(), self.others["members"]
        self.w["duplicates"] = 0
        first, request = self.requests["callers"].base, found["request"].copy()
        found["request"] -= first
        found["member"] -= members.base
        output, heard = self.requests["asked_output"].rows, self.told["heard"].rows
        columns = written.duplicates(found, members.rows, self.tables["jobs"], output, heard)
        return columns | {"duplicate_request": request}

    def forget(self, before: int) -> None:
        """Give back the room of the requests before one, and of the prefixes of sessions that have ended."""
        for table in (*self.requests.values(), *self.told.values()):
            table.drop(before)
        floor = self.told["floor"].rows
        self.ring.forget(min([self._live_node, *floor[floor >= 0].tolist()]))
        self.w["first"] = before
        self.place()

    def let_go(self) -> None:
        """Give back the room of what is over but for requests: places in the queue, spendings, members of jobs."""
        w, counters, spends = self.w[0], self.tables["counters"], self.tables["spends"]
        store_until(self.w, int(w.now))
        self.others["queue"].drop(int(w.queue_first))
        self.others["pool"].drop(line_begins(self.w))
        self.others["members"].drop(self._first_member())
        first, last = int(counters["first"][0]), int(counters["last"][0])
        spends[: last - first] = spends[first:last].copy()
        counters["first"][0], counters["last"][0] = 0, last - first
        self.place()

    def _first_member(self) -> int:
        """Return the first member of a job, or of a job to be, of which anything is still to come."""
        heap = self.tables["heap"][: int(self.w[0].heap)]
        jobs = heap[np.isin(heap[:, 2], _OF_JOBS), 3]
        starting = heap[heap[:, 2] == clock.MADE, 3]
        first = [self.tables["jobs"]["first"][jobs], self.tables["starting"]["first"][starting]]
        return min([int(self.w[0].members), *(int(some.min()) for some in first if len(some))])


def _empty() -> dict[str, Any]:
    """Return the tables that are written while it runs and are not of requests, with little room."""
    matrices = {"cell_coming": 4, "heap": 4, "spends": 2, "refusals": LIMITS}
    return {
        **{name: np.zeros(64, dtype=RECORDS[name]) for name in ("caches", "jobs", "starting", "duplicates", "line")},
        **{name: np.zeros((64, width), dtype=np.int64) for name, width in matrices.items()},
        "counters": _counters(),
        "collected": np.zeros(64, dtype=np.int64),
    }


def _counters() -> Any:
    made = np.zeros(2, dtype=RECORDS["counters"])
    made["model"] = NEVER
    return made


def _documents(piece: Piece) -> Trace:
    """Return the documents of a first piece as the nodes of a trace."""
    names = ("parent", "depth", "audio_depth", "context", "replaced")
    return piece.trace._replace(**{name: getattr(piece.trace, name)[: piece.documents] for name in names})


@loop
def store_until(w: World, now: int) -> None:
    """Let the service's own cache have what came by an instant."""
    if w[0].implicit_met:
        implicit.store_until(w, now)


@loop
def line_begins(w: World) -> int:
    """Return the first position of the pool that is still in line, or the pool's end."""
    least, entry = w[0].pool, w[0].head
    while entry >= 0:
        least = min(least, tables.line(w)[entry].begin)
        entry = tables.line(w)[entry].next
    return least
