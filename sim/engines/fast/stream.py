"""One run of one strategy on a workload that comes in pieces: ledgers of what has ended, and at last of the rest."""

from typing import Any

import numpy as np

from sim.engines.conservation import Account
from sim.engines.fast import written
from sim.engines.fast.decide import compiled
from sim.engines.fast.engine import FOREVER, OVER, happen
from sim.engines.fast.window import ALL_CAME, Window
from sim.engines.parts import Part
from sim.engines.physics import Physics
from sim.errors import EngineError
from sim.ledger import Ledger
from sim.providers.rules import Rules
from sim.strategies.decision import Plan
from sim.trace import Piece

__all__ = ["Stream"]

_NONE = np.empty(0, dtype=np.int64)


class Stream:
    """A run that is fed with the pieces of its workload; memory holds what is open.

    The parts that it gives make up the ledger of the workload as a whole, equal in every integer.

    Parameters
    ----------
    plan, rules
        The strategy, which must not look ahead to a context's last use; the service.
    cells
        The serving cells of the service's own cache.

    Raises
    ------
    EngineError
        If a conservation law is broken, which is a defect of the engine.
    """

    def __init__(self, plan: Plan, rules: Rules, cells: int) -> None:
        if plan.cache is not None and plan.cache.last_use:
            raise EngineError("a workload in pieces does not tell which use of a context is its last")
        self._plan, self._rules, self._cells = plan, rules, cells
        self._decide: Any = compiled(plan.decide)
        self._account = Account()
        self._last_arrival = 0
        self._window: Window | None = None

    def feed(self, piece: Piece, physics: Physics) -> Part:
        """Take the next piece; return what has become of the requests before the first that is still open."""
        if self._window is None:
            self._window = Window(piece, self._plan, self._rules, physics, self._cells)
        self._window.load(piece, physics)
        self._happen(self._window)
        return self._part(self._window)

    def finish(self) -> Part:
        """Return what becomes of the rest, with the caches, jobs and limits of the whole run; there was a piece."""
        if self._window is None:
            raise EngineError("a run has one piece at least, which may be empty")
        self._window.w["streamed"] = ALL_CAME
        self._happen(self._window)
        last, tables = self._part(self._window), self._window.tables
        written.close(self._window.w, self._last_arrival)
        whole: dict[str, Any] = {
            **written.caches(self._window),
            **written.jobs(tables["jobs"][: int(self._window.w[0].jobs)]),
            **written.limits(tables["refusals"]),
        }
        ledger = last.ledger._replace(**whole)
        self._account.close(ledger)
        return last._replace(ledger=ledger)

    def _happen(self, window: Window) -> None:
        longest = max(self._rules.client.timeout, int(window.w[0].flex_timeout), 0)
        while happen(window.w, self._decide, longest, FOREVER) > OVER:
            window.make_room()
        window.note_ends()

    def _part(self, window: Window) -> Part:
        """Return what became of the requests of whom nothing more is to come, and forget them."""
        again = window.duplicates()
        window.let_go()
        first, before = int(window.w[0].first), window.needed()
        requests, told = window.rows(before)
        ledger = Ledger(
            **requests,
            **again,
            **{name: _NONE for name in Ledger._fields if name.startswith(("cache_", "job_", "limit_"))},
            models=self._rules.models,
            start_ms=self._rules.start_ms,
        )
        self._account.add(told["prompt"], ledger)
        self._last_arrival = max(self._last_arrival, int(ledger.arrived.max(initial=0)))
        window.forget(before)
        return Part(ledger, first, *(told[name] for name in Part._fields[2:]))
