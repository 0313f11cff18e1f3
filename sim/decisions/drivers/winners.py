"""Which strategy is the best one at a setting: the cheapest that keeps the patience target, and by how much."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sim.decisions.drivers.methods import Json, bounds
from sim.decisions.laboratory import Found
from sim.decisions.standing import Standing, standing, surely_dearer
from sim.skewed import bill_difference
from sim.stats import LEVEL, Interval

__all__ = ["Winner", "cheapest", "standings", "told", "winner"]


class Winner(NamedTuple):
    """The best strategy of a setting, by the estimates, and what makes that doubtful."""

    strategy: str | None  # None: none keeps the patience target
    second: str | None = None  # the next best one that keeps it; None: there is none
    margin: Interval | None = None  # dollars that the second costs more, paired
    rivals: tuple[str, ...] = ()  # others that could be the best, as far as the replications know
    unsure: tuple[str, ...] = ()  # the best one and its rivals, as far as they may keep the target or miss it

    @property
    def undecided(self) -> bool:
        """Return whether another one could be the best, or this one miss the target."""
        return bool(self.rivals or self.unsure)


def standings(found: Found, strategies: Sequence[str], model: str | None = None) -> dict[str, Standing]:
    """Return where each strategy stands; the target is that of the setting."""
    return {name: standing(found, name, model) for name in strategies}


def cheapest(among: Mapping[str, Standing]) -> list[str]:
    """Return strategies by their mean cost; the first of equal ones first."""
    return sorted(among, key=lambda name: sum(among[name].costs))


def winner(known: Mapping[str, Standing], level: float = LEVEL) -> Winner:
    """Return the cheapest strategy by its mean cost, of those whose share in time reaches the patience target.

    It is undecided where it may miss the target, or where another one that does not surely miss it is not surely
    dearer: the paired interval of the difference holds 0, or there are too few replications for one. Who always costs
    exactly the same is no rival. Where none reaches the target it is undecided whether one keeps it.
    """
    ranked = cheapest({name: one for name, one in known.items() if one.reaches})
    if not ranked:
        unsure = tuple(name for name, one in known.items() if one.keeps == "unsure")
        return Winner(None, rivals=unsure, unsure=unsure)
    best, *others = ranked
    costs = known[best].costs
    rivals = tuple(
        name
        for name, one in known.items()
        if name != best and one.keeps != "no" and one.costs != costs and not surely_dearer(one.costs, costs, level)
    )
    unsure = tuple(name for name in (best, *rivals) if known[name].keeps == "unsure")
    second = others[0] if others else None
    margin = None if second is None else bill_difference(known[second].costs, costs, level)
    return Winner(best, second, margin, rivals, unsure)


def told(best: Winner) -> Json:
    """Return a winner as a document has it."""
    return {
        "strategy": best.strategy,
        "second": best.second,
        "margin_usd": None if best.margin is None else bounds(best.margin),
        "undecided": best.undecided,
        "rivals": list(best.rivals),
        "unsure_in_time": list(best.unsure),
    }
