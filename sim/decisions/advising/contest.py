"""Which strategy costs least of those that keep the patience target, and whether the replications know it."""

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from sim.decisions.laboratory import Found
from sim.decisions.measures import least_of
from sim.decisions.standing import Keeps, standing, surely_dearer
from sim.experiments.estimates import Json
from sim.paths import split
from sim.scenario import Arm
from sim.skewed import bill_interval, bill_saving
from sim.stats import LEVEL, Interval
from sim.strategies.options import BatchOptions, FlexOptions

__all__ = ["Contender", "Contest", "contest", "is_offer", "is_stacked", "told"]


class Contender(NamedTuple):
    """A strategy on a model, as the replications have it."""

    strategy: str
    model: str
    costs: list[Fraction]  # dollars of each replication
    cost: Interval
    share: Fraction | None  # of the requests, answered in time; None where there was none
    in_time: Interval | None  # that share
    keeps: Keeps  # the patience target

    @property
    def mean(self) -> Fraction:
        """Return the exact mean dollars."""
        return sum(self.costs, Fraction(0)) / len(self.costs)

    def reaches(self, target: float) -> bool:
        """Return whether its estimate keeps the target; without requests nobody waits."""
        return self.share is None or float(self.share) >= target


class Contest(NamedTuple):
    """Every contender by cost, the cheapest of those that keep the target, and who else it could be."""

    contenders: list[Contender]  # in the order of the scenario
    best: Contender | None  # None: none keeps the target
    runner_up: Contender | None
    saving: Interval | None  # of the best over the runner-up, as a share of the latter's cost
    ties: list[Contender]  # that cost exactly as much as the best
    rivals: list[Contender]  # that could be the best, as far as these replications know
    decided: bool
    replications: int
    least: int  # replications that it takes to decide anything


def contest(found: Found, pairs: Sequence[tuple[str, str]], target: float, level: float = LEVEL) -> Contest:
    """Return the contest of strategies, each on a model, over the same luck.

    Who runs under a service or terms of its own (:func:`is_offer`) cannot win: that is a question and no choice.

    The best is the cheapest by mean cost of those whose share in time reaches the target. It is decided where it keeps
    the target surely, and costs surely less than every other that does not surely miss it. Each comparison is an
    interval of the paired difference, of a level that lets those with all others hold at once (Bonferroni), whoever
    turns out to be the best or to miss the target. The true best loses by one end of an interval, and of each share in
    time one end misleads, so a decision errs with at most ``1 - level``, half for costs and half for shares. Fewer
    replications than :func:`sim.decisions.measures.least_of` asks for decide nothing.
    """
    contenders = [_contender(found, pair, target, 1 - (1 - level) / len(pairs)) for pair in pairs]
    least, times = least_of(found), len(contenders[0].costs)
    choices = [arm.name for arm in found.scenario.arms if is_offer(arm)]
    offers = [one for one in contenders if one.strategy in choices]
    keeping = sorted((one for one in offers if one.reaches(target)), key=lambda one: one.mean)
    if not keeping:
        unsure = [one for one in offers if one.keeps == "unsure"]
        return Contest(contenders, None, None, None, [], unsure, not unsure and times >= least, times, least)
    best, *others = keeping
    ties = [one for one in others if one.costs == best.costs]
    runner = next((one for one in others if one not in ties), None)
    open_ones = [one for one in offers if one.keeps != "no" and one is not best and one not in ties]
    each = 1 - (1 - level) / max(1, len(offers) - 1)
    rivals = [one for one in open_ones if not surely_dearer(one.costs, best.costs, each)]
    decided = not rivals and best.keeps == "yes" and times >= least
    saving = None if runner is None or not runner.mean else bill_saving(best.costs, runner.costs, level)
    return Contest(contenders, best, runner, saving, ties, rivals, decided, times, least)


def is_offer(arm: Arm) -> bool:
    """Return whether a strategy can be chosen: the service and its terms are nobody's choice.

    What a strategy sets of them asks "what if"; discounts that stack are offered by nobody.
    """
    what_ifs = [path for path in arm.strategy.set if split(path)[0] in ("service", "terms")]
    return not what_ifs and not is_stacked(arm)


def is_stacked(arm: Arm) -> bool:
    """Return whether a strategy that can be billed at half the price takes it for cached tokens too."""
    halved = isinstance(arm.strategy, BatchOptions | FlexOptions)
    return halved and arm.terms.batch_cached == "stacked"


def _contender(found: Found, pair: tuple[str, str], target: float, level: float) -> Contender:
    one = standing(found, *pair, target=target, level=level)
    return Contender(*pair, one.costs, bill_interval(one.costs), one.share, one.in_time, one.keeps)


def told(interval: Interval | None) -> Json | None:
    """Return an estimate with its bounds as a document has it."""
    return None if interval is None else {"mean": interval.mean, "lo": interval.lo, "hi": interval.hi}
