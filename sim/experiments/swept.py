"""What a sweep found: its cells as one table, and the statistics of every setting as one document, ``gcsim.sweep/1``.

Costs are means over replications with intervals that allow for skewness (:mod:`sim.skewed`), differences are paired:
all settings and strategies of a replication meet the same luck. Counts have Student t intervals. Ratios are of sums
over all replications with jackknife intervals. A quantile of latency is the mean of the replications' own quantiles,
with the interval from how they differ: a sweep keeps no single answers to pool.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple, Protocol

from sim.document import as_toml
from sim.experiments.estimates import LEVEL, Json, amount, counted, mean, seconds_each, share
from sim.experiments.items import cell_key
from sim.experiments.plan import Plan, PlannedCell
from sim.experiments.remarks import Row, assumptions, told_apart, warnings
from sim.experiments.rows import COLUMNS, cost_of
from sim.skewed import bill_difference
from sim.stats import Interval

__all__ = ["Failure", "columns_of", "result_rows", "summary_of"]

SCHEMA = "gcsim.sweep/1"
QUANTILES = ("p50", "p95", "p99")


class Failure(NamedTuple):
    """A cell that could not be computed."""

    settings: tuple[int, ...]  # that it belongs to
    strategy: str
    model: str
    replication: int
    error: str

    def __str__(self) -> str:
        where = ", ".join(str(number) for number in self.settings)
        return f"{self.strategy} on {self.model}, replication {self.replication}, setting {where}: {self.error}"


class Store(Container[str], Protocol):
    """Where finished cells are."""

    def rows(self, key: str) -> list[list[Any]]:
        """Return the rows of a cell."""


def columns_of(plan: Plan) -> dict[str, str]:
    """Return the columns of the table: the setting, what was varied, and those of a run."""
    varied = {path: _kind([dict(setting.values)[path] for setting in plan.settings]) for path in _paths(plan)}
    return {"setting": "BIGINT", **varied, **COLUMNS}


def _paths(plan: Plan) -> list[str]:
    return [axis.path for axis in plan.axes]


def _kind(texts: Sequence[str]) -> str:
    """Return the type of a column of values: numbers where all are, else text as it was given."""
    kinds = {type(as_toml(text)) for text in texts}
    if kinds == {int}:
        return "BIGINT"
    return "DOUBLE" if kinds <= {int, float} else "VARCHAR"


def result_rows(plan: Plan, store: Store) -> Iterator[dict[str, Any]]:
    """Yield every row of every finished cell, in the order of the plan, whatever the order in which they came."""
    kinds = columns_of(plan)
    for setting, cells in zip(plan.settings, plan.cells, strict=True):
        values = {path: text if kinds[path] == "VARCHAR" else as_toml(text) for path, text in setting.values}
        for cell in cells:
            for row in _rows(plan, store, cell):
                yield {"setting": setting.number, **values, **row}


def _rows(plan: Plan, store: Store, cell: PlannedCell) -> Iterator[dict[str, Any]]:
    for replication in range(plan.replications):
        key = cell_key(cell.identity, replication)
        if key in store:
            for values in store.rows(key):
                yield dict(zip(COLUMNS, values, strict=True))


def summary_of(plan: Plan, store: Store, failures: Sequence[Failure]) -> Json:
    """Return what was found of every setting; what all of them assume and are warned of stands once, at the top."""
    settings = [_setting(plan, store, number) for number in range(len(plan.settings))]
    common, own = assumptions(plan)
    told, apart = told_apart([setting["warnings"] for setting in settings])
    for setting, assumed, warned in zip(settings, own, apart, strict=True):
        setting |= {"assumptions": assumed, "warnings": warned}
    return {
        "schema": SCHEMA,
        "scenario": plan.base.name,
        "question": plan.base.question,
        "book": plan.base.book.name,
        "seed": plan.study.seed,
        "replications": plan.replications,
        "design": str(plan.design),
        "varied": _paths(plan),
        "level": LEVEL,
        "failed": [str(failure) for failure in sorted(failures)],
        "assumptions": common,
        "warnings": told,
        "settings": settings,
    }


def _setting(plan: Plan, store: Store, number: int) -> Json:
    scenario = plan.scenarios[number]
    found = {
        (cell.strategy, cell.model): [row for row in _rows(plan, store, cell) if row["stream"] == ""]
        for cell in plan.cells[number]
    }
    ranked = scenario.spec.close == "drain"
    results = []
    for (strategy, model), rows in found.items():
        base = found[scenario.baseline, model] if ranked else []
        results.append({"strategy": strategy, "model": model, **_result(rows, base)})
    return {
        "setting": number,
        "values": dict(plan.settings[number].values),
        "baseline": scenario.baseline,
        "results": results,
        "cheapest": _cheapest(found, scenario.spec.patience_target) if ranked else None,
        "warnings": list(warnings(plan, number, found)),
    }


def _result(rows: Sequence[Row], base: Sequence[Row]) -> Json:
    if not rows:
        return {"replications": 0}
    prompt = _column(rows, "prompt_tokens")
    hits = {name: share(_column(rows, f"{name}_tokens"), prompt) for name in ("implicit", "explicit")}
    latency = {"mean": seconds_each(_column(rows, "latency_sum_ms"), _column(rows, "done"))}
    return {
        "replications": len(rows),
        "cost_usd": amount(_costs(rows))._asdict(),
        "difference_usd": _difference(rows, base),
        "hit_ratio": {name: _shown(hit) for name, hit in hits.items()},
        "latency_s": {name: _shown(time) for name, time in (latency | _quantiles(rows)).items()},
        "within_patience": _shown(share(_column(rows, "within_patience"), _column(rows, "total"))),
        "requests": {name: counted(_column(rows, name))._asdict() for name in ("total", "done", "failed", "expired")},
    }


def _quantiles(rows: Sequence[Row]) -> dict[str, Interval | None]:
    found: dict[str, Interval | None] = {}
    for name in QUANTILES:
        own = [Fraction(row[f"latency_{name}_s"]) for row in rows if row[f"latency_{name}_s"] is not None]
        found[name] = mean(own) if own else None
    return found


def _difference(rows: Sequence[Row], base: Sequence[Row]) -> Json | None:
    """Return cost minus the baseline's, over the replications that both have."""
    other = {row["replication"]: cost for row, cost in zip(base, _costs(base), strict=True)}
    pairs = [
        (cost, other[row["replication"]])
        for row, cost in zip(rows, _costs(rows), strict=True)
        if row["replication"] in other
    ]
    if not pairs:
        return None
    return bill_difference([a for a, _ in pairs], [b for _, b in pairs], LEVEL)._asdict()


def _costs(rows: Sequence[Row]) -> list[Fraction]:
    return [cost_of(row) for row in rows]


def _column(rows: Sequence[Row], name: str) -> list[int]:
    return [row[name] for row in rows]


def _shown(found: Interval | None) -> Json | None:
    return None if found is None else found._asdict()


def _cheapest(found: Mapping[tuple[str, str], Sequence[Row]], target: float) -> Json | None:
    """Return the cheapest strategy and model by exact mean cost that keeps the patience target; the first of equals."""
    costs = {}
    for pair, rows in found.items():
        total, kept = sum(_column(rows, "total")), sum(_column(rows, "within_patience"))
        if rows and (not total or kept / total >= target):
            costs[pair] = sum(_costs(rows), Fraction(0)) / len(rows)
    if not costs:
        return None
    strategy, model = min(costs, key=lambda pair: costs[pair])
    return {"strategy": strategy, "model": model}
