"""What the point that was chosen saves, on replications that did not choose it."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from sim.decisions.measures import SAME, least_of
from sim.decisions.tuning.space import Point
from sim.decisions.tuning.trials import Setting, Trials
from sim.skewed import ENOUGH, bill_saving, hard_to_cover
from sim.stats import Interval
from sim.stopping import Look, Measure, look
from sim.verdicts import Judgement, judge

__all__ = ["MOST", "Verdict", "judged"]

MOST = 400  # fresh replications


class Verdict(NamedTuple):
    """The chosen point beside the scenario's present one."""

    replications: int
    saving: Interval  # a share of the present cost
    difference: Interval  # dollars that the present setting costs more
    reached: bool  # the saving is known to the precision
    judgement: Judgement | None  # of the requirements; None where there are none
    warning: str | None  # why the interval of the saving may cover less than it says


def judged(fresh: Trials, best: Point, beside: Sequence[Setting], precision: float) -> Verdict:
    """Return the verdict on a point, from pairs with the present setting on fresh replications.

    The replications that chose a point flatter it: of many settings the one that luck was kind to looks best. Fresh
    ones do not, so a plain paired interval holds. They go on by the rule of :mod:`sim.stopping` until the saving is
    known to ``precision`` of the present cost. ``beside`` are settings that meet the first of them too. The first
    60 are enough where they are the same in everything, of the point and of the present setting.
    """
    fresh.meet([None, best, *beside], SAME)
    least = SAME if least_of(fresh.found(None)) == least_of(fresh.found(best)) == 1 else ENOUGH
    fresh.meet([None, best, *beside], least)
    seen = _look(fresh, best, least, precision)
    while not seen.stop:
        fresh.meet([None, best], seen.replications + seen.more)
        seen = _look(fresh, best, least, precision)
    present, own = fresh.costs(None), fresh.costs(best)
    saving = bill_saving(own, present) if sum(present) > 0 else _of_nothing(own)
    warning = hard_to_cover(_apart(fresh, best))
    return Verdict(len(own), saving, fresh.excess(None, best), seen.reached, _judgement(fresh, best), warning)


def _of_nothing(costs: Sequence[float]) -> Interval:
    """Return the saving over a present setting that costs nothing: none where the point costs nothing either."""
    return Interval(math.nan) if any(costs) else Interval(0.0, 0.0, 0.0)


def _look(fresh: Trials, best: Point, least: int, precision: float) -> Look:
    saved = Measure("saving", _apart(fresh, best), fresh.mean(None) or None)
    return look([saved], precision, floor=least, ceiling=MOST)


def _apart(fresh: Trials, best: Point) -> list[float]:
    return [was - now for was, now in zip(fresh.costs(None), fresh.costs(best), strict=True)]


def _judgement(fresh: Trials, best: Point) -> Judgement | None:
    wanted = fresh.aim.requirements
    if not wanted:
        return None
    evidence = {one.measure: fresh.evidence(best, one.measure) for one in wanted}
    return judge(wanted, evidence, least=least_of(fresh.found(best)))
