"""The largest load that meets every requirement: where to look next, and when looking may end with a given confidence.

The method has two parts, on different replications.

1. A *pilot* of ``PILOT`` replications a load looks for the knee: doublings of the load, then bisection on the grid. A
   load seems to pass where the pilot's interval, as narrow as all replications of a test would make it, meets the
   limit; far from the knee the first ``FEW`` replications tell as much. The pilot decides nothing but where the tests
   begin.
2. *Tests* of all replications go up from there step by step and stop at the first load that is not passed. Given the
   pilot, which is independent of them, their order is fixed, and tests in a fixed order keep their level without a
   correction: to report a load above the true capacity the first load above it must pass, and that is one test (Maurer,
   Hothorn and Lehmacher 1995). Where the first load of a sequence is not passed, another one begins below it, 2, 6, 14
   ... steps under the first, with half of the error that the one before was allowed; so of a confidence of 95 % the
   sequences may err 2.5 %, 1.25 % ... of the time, 5 % together.

A load passes where every requirement does. A capacity above the true one breaks one of them at least, and to pass it
falsely that one must pass falsely, so that several requirements need no correction either (Berger 1982, the
intersection-union test). Each is judged as :func:`sim.verdicts.judge` judges one: by a two-sided interval of the
sequence's level, of whose error a half is at the end that matters, and the rest is for skewed bills.

Loads are simulated on common random numbers, and a test looks at its first 10, 30 and 60 replications alone first:
where a 99 % interval breaks a limit it ends there, which can only make the capacity smaller.

All that supposes that what is met at a load is met at smaller ones. A share of hits or a saving may grow with the load;
so every doubling below the scenario's own load is in the pilot, and it climbs above a load that fails as long as all
that fails there gets better, fast enough to get there. Where loads below the capacity seem to fail,
:attr:`Knee.since` tells from where it holds.
"""

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from sim.decisions.measures import SAME
from sim.decisions.planning.loads import Loads
from sim.stats import LEVEL, Interval
from sim.verdicts import Evidence, Requirement, Verdict, judge

__all__ = ["FEW", "PILOT", "Knee", "Look", "Plan", "Search", "Seen", "Wish", "knee"]

FEW = 3  # replications of a pilot where they leave nothing open, and
PILOT = 10  # where they do
_EARLY = (PILOT, 30, SAME)  # replications after which a test may end, of which the last can tell that nothing is random
_HOPELESS = 0.99  # level at which it does

Stage = Literal["pilot", "test"]


class Wish(NamedTuple):
    """A load that a search wants to see."""

    step: int
    times: range  # replications


class Seen(NamedTuple):
    """What some replications say at a load."""

    evidence: Mapping[str, Evidence]  # by measure
    least: int  # replications that it takes to decide anything


class Look(NamedTuple):
    """A load that was tried, and how each requirement fared there."""

    step: int
    stage: Stage
    level: float  # of the intervals
    passed: bool  # in a pilot: it seems so
    verdicts: list[Verdict]
    times: range  # the replications behind it


class Plan(NamedTuple):
    """What a search looks for."""

    requirements: Sequence[Requirement]
    loads: Loads
    confidence: float = LEVEL
    replications: int = 100  # of a test


class Knee(NamedTuple):
    """What a search found, as steps of its loads."""

    capacity: int | None  # the largest load that passed; None: none did
    beyond: int | None  # the smallest tried load above it, which did not pass; None: nothing above it was left to try
    since: int | None  # the smallest load that seems to pass, where smaller ones seem not to; None: all smaller ones do
    looks: list[Look]  # in the order in which they were taken


Search = Generator[list[Wish], list[Seen], Knee]


def knee(plan: Plan) -> Search:
    """Look for the largest load that meets every requirement: yields wishes, takes what is seen, returns the knee.

    Whoever drives it may let several searches go on side by side, and grant the wishes of all of them at once.
    """
    looks: list[Look] = []
    start, since = yield from _pilot(plan, looks)
    loads, share, back, stop = plan.loads, 0.5, 2, plan.loads.hi + 1
    while True:
        level = 1 - (1 - plan.confidence) * share
        passed, failed = yield from _ascent(plan, looks, start, stop, level)
        beyond = failed if failed is not None else stop if stop <= loads.hi else None
        if passed is not None or start == loads.lo:
            held = passed is not None and since is not None and since <= passed
            return Knee(passed, beyond, since if held else None, looks)
        stop, start = start, max(loads.lo, start - back)
        share, back = share / 2, 2 * back


def _ascent(
    plan: Plan, looks: list[Look], start: int, stop: int, level: float
) -> Generator[list[Wish], list[Seen], tuple[int | None, int | None]]:
    """Test loads upwards until one is not passed; return the last that was, and the one that was not."""
    passed = None
    for step in range(start, stop):
        look = yield from _test(plan, step, level)
        looks.append(look)
        if not look.passed:
            return passed, step
        passed = step
    return passed, None


def _test(plan: Plan, step: int, level: float) -> Generator[list[Wish], list[Seen], Look]:
    """Judge a load by all replications, unless the first of them tell that it is hopeless or that nothing is random."""
    for count in _EARLY:
        times = range(count)
        (seen,) = yield [Wish(step, times)]
        if seen.least == 1:
            break
        early = _verdicts(plan, seen, _HOPELESS, least=2)
        if any(verdict.outcome == "fail" for verdict in early):
            return Look(step, "test", _HOPELESS, False, early, times)
    else:
        times = range(plan.replications)
        (seen,) = yield [Wish(step, times)]
    verdicts = _verdicts(plan, seen, level)
    return Look(step, "test", level, all(verdict.outcome == "pass" for verdict in verdicts), verdicts, times)


def _verdicts(plan: Plan, seen: Seen, level: float, least: int | None = None) -> list[Verdict]:
    """Return a verdict on each requirement alone."""
    least = seen.least if least is None else least
    judged = (judge([one], seen.evidence, level, least=least) for one in plan.requirements)
    return [judgement.verdicts[0] for judgement in judged]


def _pilot(plan: Plan, looks: list[Look]) -> Generator[list[Wish], list[Seen], tuple[int, int | None]]:
    """Return where the tests begin, and from where the requirements hold if not from the smallest load on."""
    rungs = plan.loads.rungs
    below = [rung for rung in rungs if rung <= max(0, plan.loads.lo)] or rungs[:1]
    climbed = yield from _looks(plan, below)
    for rung in rungs[len(below) :]:
        if not climbed[-1].passed and (any(look.passed for look in climbed) or not _better(plan, climbed[-2:])):
            break
        climbed += yield from _looks(plan, [rung])
    looks += climbed
    at = max((at for at, look in enumerate(climbed) if look.passed), default=None)
    if at is None:
        return plan.loads.lo, None
    first = at
    while first and climbed[first - 1].passed:
        first -= 1
    good, bad = climbed[at].step, climbed[at + 1].step if at + 1 < len(climbed) else climbed[at].step
    while bad - good > 1:
        (look,) = yield from _looks(plan, [(good + bad) // 2])
        looks.append(look)
        good, bad = (look.step, bad) if look.passed else (good, look.step)
    return good, climbed[first].step if first else None


def _looks(plan: Plan, steps: Iterable[int]) -> Generator[list[Wish], list[Seen], list[Look]]:
    """Take pilot looks at some loads at once, at those that few replications leave open a second one of more."""
    few = yield from _glances(plan, steps, FEW)
    more = yield from _glances(plan, [look.step for look in few if _open(plan, look)], PILOT)
    closer = {look.step: look for look in more}
    return [closer.get(look.step, look) for look in few]


def _glances(plan: Plan, steps: Iterable[int], count: int) -> Generator[list[Wish], list[Seen], list[Look]]:
    """Look at some loads at once; the replications are none of a test's."""
    times = range(plan.replications, plan.replications + count)
    wishes = [Wish(step, times) for step in steps]
    found = (yield wishes) if wishes else []
    level = 1 - (1 - plan.confidence) / 2  # of the first sequence of tests
    looks = []
    for wish, seen in zip(wishes, found, strict=True):
        verdicts = _verdicts(plan, seen, level, least=1)
        passed = all(_seems(verdict, count / plan.replications) for verdict in verdicts)
        looks.append(Look(wish.step, "pilot", level, passed, verdicts, times))
    return looks


def _open(plan: Plan, look: Look) -> bool:
    """Tell whether a load neither seems to pass, nor to break a requirement by an interval as narrow as a test's."""
    part = len(look.times) / plan.replications
    return not look.passed and not any(_seems(_turned(verdict), part) for verdict in look.verdicts)


def _turned(verdict: Verdict) -> Verdict:
    """Return the verdict on the contrary of a requirement."""
    wanted = verdict.requirement
    return verdict._replace(requirement=wanted._replace(at_least=not wanted.at_least))


def _seems(verdict: Verdict, part: float) -> bool:
    """Tell whether a test, of whose replications a part is seen, passes if the interval shrinks with the root of n."""
    interval, wanted = verdict.interval, verdict.requirement
    end = interval.lo if wanted.at_least else interval.hi
    if end is None:
        return False
    bound = interval.mean if end == interval.mean else interval.mean + (end - interval.mean) * math.sqrt(part)
    return bound >= float(wanted.limit) if wanted.at_least else bound <= float(wanted.limit)


def _better(plan: Plan, looks: Sequence[Look]) -> bool:
    """Tell whether all that fails at the last load could reach its limit if each doubling gained twice as much."""
    if len(looks) < 2:
        return False
    before, after = looks
    left = (plan.loads.hi - after.step) / (after.step - before.step)
    return all(
        _gain(verdict, one.interval) * (2**left - 1) >= abs(float(verdict.requirement.limit) - verdict.interval.mean)
        for one, verdict in zip(before.verdicts, after.verdicts, strict=True)
        if not _seems(verdict, len(after.times) / plan.replications)
    )


def _gain(verdict: Verdict, before: Interval) -> float:
    """Return by how much a measure is on the better side of what it was."""
    gain = verdict.interval.mean - before.mean
    return gain if verdict.requirement.at_least else -gain
