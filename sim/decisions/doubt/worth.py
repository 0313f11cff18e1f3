"""What it is worth to learn an input before a strategy is chosen, and whether any input is worth measuring."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sim.decisions.doubt.unknowns import Unknown
from sim.experiments.estimates import LEVEL, Json
from sim.learning import Learning, value_of_learning
from sim.stats import Interval
from sim.workload.sizes import Floats

__all__ = ["Costs", "Pairing", "worth_of"]

_NOTABLE = 0.01  # of the cost: a value below it is not worth more draws


class Pairing(NamedTuple):
    """A strategy on a model."""

    strategy: str
    model: str

    def __str__(self) -> str:
        return f"{self.strategy} on {self.model}"


class Costs(NamedTuple):
    """What all draws gave for one pairing."""

    usd: Floats  # (K, R)
    in_time: int  # requests of all runs
    total: int

    @property
    def means(self) -> list[float]:
        """Return the (K,) mean costs of the draws."""
        means: list[float] = self.usd.mean(axis=1).tolist()
        return means

    @property
    def within_patience(self) -> float | None:
        """Return the share of all requests that were answered in time; None where there was none."""
        return self.in_time / self.total if self.total else None


def worth_of(unknowns: Sequence[Unknown], kept: Mapping[Pairing, Costs], choice: Json) -> Json:
    """Return ``learning``, ``measure_next`` and ``why`` of ``gcsim.uncertainty/1``.

    ``kept`` are the pairings that may be chosen, and ``choice`` the one that is. An input is worth measuring whose
    value is above 0 with the confidence that all intervals hold together (Bonferroni).
    """
    if len(kept) < 2:
        only = next(iter(kept), None)
        why = choice["reason"] if only is None else f"there is nothing to choose: only {only} keeps the patience target"
        return {"learning": [], "measure_next": None, "why": why}
    costs = {str(pair): table.means for pair, table in kept.items()}
    level = 1 - (1 - LEVEL) / len(unknowns)
    worth = {one.name: value_of_learning(one.values, costs, level) for one in unknowns}
    worth = dict(sorted(worth.items(), key=lambda item: _rank(item[1].value), reverse=True))
    first, best = next(iter(worth.items()))
    chosen = Pairing(choice["strategy"], choice["model"])
    proven = best.value.lo is not None and best.value.lo > 0
    return {
        "learning": [{"name": name, **_worth(one)} for name, one in worth.items()],
        "measure_next": first if proven else None,
        "why": _measured(best, chosen) if proven else _unmeasured(worth, chosen, kept[chosen]),
    }


def _worth(one: Learning) -> Json:
    return {"value_usd": one.value._asdict(), "switches": one.switches}


def _rank(value: Interval) -> tuple[float, float]:
    return max(0.0, value.mean), value.hi or 0.0


def _measured(best: Learning, chosen: Pairing) -> str:
    return (
        f"knowing it before the choice saves ${best.value.mean:.2g} a run on average: "
        f"in {100 * best.switches:.2g} % of the draws another strategy than {chosen} would be taken"
    )


def _unmeasured(worth: Mapping[str, Learning], chosen: Pairing, table: Costs) -> str:
    highest = max(one.value.hi or 0.0 for one in worth.values())
    usual = float(table.usd.mean())
    if highest <= 0:
        return f"{chosen} would be chosen whatever they are"
    part = 100 * highest / usual if usual else math.inf
    more = "; more draws may tell" if highest > _NOTABLE * usual else ""
    return f"knowing any of them saves at most {part:.2g} % of the cost of {chosen}{more}"
