"""Sources of cells whose truth is known: what a decision asks is answered by a function of the test's own.

They stand where the simulator does (:class:`sim.decisions.laboratory.Source`), so a decision takes the same code path.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from sim.decisions.laboratory import Found
from sim.experiments.rows import COLUMNS
from sim.scenario import Scenario
from sim.workload.realise import uniforms

# a replication of 100 requests, all of them answered in time; texts are null, and so is what a test does not name
USUAL: dict[str, Any] = {
    **{name: 0 for name, kind in COLUMNS.items() if kind == "BIGINT"},
    **{name: None for name, kind in COLUMNS.items() if kind != "BIGINT"},
    **{name: 0.0 for name in COLUMNS if name.endswith("_usd")},
    **{name: "0" for name in COLUMNS if name.endswith("_usd_exact")},
    **dict.fromkeys(("total", "done", "within_patience", "asked", "calls", "served_standard"), 100),
    "prompt_tokens": 100_000,
    "output_tokens": 10_000,
    "latency_sum_ms": 100_000,
    "latency_p50_s": 1.0,
    "latency_p95_s": 2.0,
    "latency_p99_s": 3.0,
}


def row(strategy="none", replication=0, *, model="gemini-2.5-flash", stream="", **columns):
    """Return a row with all columns; a ``cost_usd`` is the exact one too, unless that is told."""
    assert columns.keys() <= COLUMNS.keys(), columns.keys() - COLUMNS.keys()
    if "cost_usd" in columns:
        columns = {"cost_usd_exact": str(float(columns["cost_usd"]))} | columns
    key = {"strategy": strategy, "model": model, "replication": replication, "stream": stream}
    return USUAL | key | columns


class Luck:
    """The noise of some replications, the same for every setting and strategy; named, so that parts are independent."""

    def __init__(self, seed, replications):
        self.seed, self.replications = seed, np.asarray(replications, dtype=np.int64)

    def uniform(self, name="noise"):
        """Return a uniform of (0, 1) for each replication: (n,)."""
        return uniforms(self.seed, 0, "sources", name, int(self.replications.max()) + 1)[self.replications]

    def normal(self, name="noise"):
        """Return a standard normal for each replication: (n,)."""
        return ndtri(self.uniform(name))

    def lognormal(self, sigma, name="noise"):
        """Return a lognormal of mean 1 for each replication: (n,)."""
        return np.exp(sigma * self.normal(name) - sigma**2 / 2)


class Place(NamedTuple):
    """Where cells are asked for."""

    sets: Mapping[str, str]  # the overrides, path -> value as it was written
    strategy: str
    model: str
    stream: str  # "" = all streams
    luck: Luck

    def number(self, path, default):
        """Return an override that is a plain number."""
        return float(self.sets.get(path, default))


class Made:
    """A source whose cells a function makes: from a place columns, each a value, or an array of one a replication."""

    def __init__(
        self,
        base: Scenario,
        columns: Callable[[Place], Mapping[str, Any]],
        *,
        seed: int = 1,
        streams: tuple[str, ...] = (),
    ) -> None:
        self.base, self.seed = base, seed
        self._columns, self._streams = columns, streams
        self.asked: list[tuple[Any, list[int]]] = []  # every call of find
        self.expected = 0

    def expect(self, cells):
        """Note how many cells were announced."""
        self.expected = max(self.expected, cells)

    def find(self, asks, replications):
        """Return made cells: rows of a replication are those of all streams, then of each stream."""
        times = list(replications)
        self.asked.append((list(asks), times))
        return [self._found(ask, [ask.first + time for time in times]) for ask in asks]

    def _found(self, ask, times):
        names = [arm.name for arm in self.base.arms]
        sets = dict(text.split("=", 1) for text in ask.sets)
        rows = {}
        for model in self.base.spec.models:
            for name in names if ask.strategies is None else [n for n in names if n in ask.strategies]:
                luck = Luck(self.seed, times)
                parts = [self._rows(Place(sets, name, model, s, luck), times) for s in ("", *self._streams)]
                rows[name, model] = [part[i] for i in range(len(times)) for part in parts]
        return Found(scenario=self.base, rows=rows)

    def _rows(self, place, times):
        made = {name: np.broadcast_to(value, len(times)).tolist() for name, value in self._columns(place).items()}
        key = {"model": place.model, "stream": place.stream}
        return [
            row(place.strategy, time, **key, **{name: values[i] for name, values in made.items()})
            for i, time in enumerate(times)
        ]


def bills(mean: Mapping[str, float], *, law="normal", spread=0.3) -> Callable[[Place], Mapping[str, Any]]:
    """Return a function of places: each strategy's bill has its mean, whatever the law.

    Half of the variance is shared luck, so that strategies go together. ``normal`` has the coefficient of variation
    ``spread``; ``lognormal`` the sigma ``spread``, and then the ratio of two strategies' means is that of their
    ``mean`` still.
    """

    def columns(place):
        half = spread * math.sqrt(0.5)
        if law == "lognormal":
            factor = place.luck.lognormal(half, "shared") * place.luck.lognormal(half, place.strategy)
        else:
            factor = 1 + half * (place.luck.normal("shared") + place.luck.normal(place.strategy))
        return {"cost_usd": mean[place.strategy] * factor}

    return columns
