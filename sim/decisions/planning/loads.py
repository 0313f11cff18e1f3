"""Which loads a search for capacity tries: equal ratios through the scenario's own load, and where they end."""

import math
import re
from typing import Literal, NamedTuple

from sim.errors import InputError, wrong

__all__ = ["RESOLUTION", "Loads", "loads_between", "range_of", "setting", "usual_loads"]

RESOLUTION = 0.05  # by what a load is at most above the one before, as a share of that
SPAN = 64  # how many times the scenario's own load the usual range goes up and down
MOST_REQUESTS = 250_000  # expected in a replication at the top of the usual range,
FEWEST_REQUESTS = 5  # and at its bottom: with fewer a replication in a hundred has none to wait for an answer
_DIGITS = 5

_RANGE = re.compile(r"\s*(?P<lo>[^.]*(?:\.\d+)?)\s*\.\.\s*(?P<hi>\S+)\s*")
_FORM = "LO..HI such as 0.5..20, the first above 0 and below the other"

End = Literal["range", "requests"]


class Loads(NamedTuple):
    """Loads ``own 2^(step / steps)`` for whole numbers of a range; the load is the scenario's key ``load``."""

    own: float  # of the scenario
    steps: int  # from a load to twice of it
    lo: int  # the lowest step and
    hi: int  # the highest
    ended: End = "range"  # what keeps it from going on: the range asked for, or the requests of a replication

    def at(self, step: int) -> float:
        """Return a load, of five digits so that it can be written and read again.

        >>> Loads(1.0, 15, -90, 90).at(15), Loads(1.0, 15, -90, 90).at(1)
        (2.0, 1.0473)
        """
        return float(f"{self.own * 2 ** (step / self.steps):.{_DIGITS}g}")

    @property
    def apart(self) -> float:
        """Return by what share a load is above the one before."""
        return float(2 ** (1 / self.steps) - 1)

    @property
    def rungs(self) -> list[int]:
        """Return the steps at which a load is twice the one before, and both ends.

        >>> Loads(1.0, 15, -20, 40).rungs
        [-20, -15, 0, 15, 30, 40]
        """
        first, last = math.ceil(self.lo / self.steps), self.hi // self.steps
        return sorted({self.lo, *(rung * self.steps for rung in range(first, last + 1)), self.hi})


def setting(tier: str | None, load: float) -> tuple[str, ...]:
    """Return the overrides that set a load, and a usage tier unless the scenario's own is meant.

    >>> setting("1", 1.0473), setting(None, 123456.0)
    (('load=1.0473', 'project.tier=1'), ('load=123460.0',))
    """
    return (f"load={float(f'{load:.{_DIGITS}g}')!r}", *(() if tier is None else (f"project.tier={tier}",)))


def usual_loads(own: float, requests: float, resolution: float, reach: float = 0.0) -> Loads:
    """Return the loads that are tried unless others are asked for.

    Parameters
    ----------
    own, requests
        The scenario's own load, and the requests that it expects of a replication.
    resolution
        What a load may at most be above the one before, as a share of that.
    reach
        A load that should be in the range too.

    The range is cut where a replication expects more than ``MOST_REQUESTS``, though never below twice the own load.

    >>> usual_loads(1.0, 1_000.0, 0.05)
    Loads(own=1.0, steps=15, lo=-90, hi=90, ended='range')
    >>> usual_loads(1.0, 100_000.0, 0.05)[3:]
    (19, 'requests')
    """
    steps = _steps(resolution)
    wanted, possible = max(SPAN * own, reach), own * max(2.0, MOST_REQUESTS / requests)
    least = min(own, max(own / SPAN, own * FEWEST_REQUESTS / requests))
    lo, hi = (math.log2(load / own) * steps for load in (least, min(wanted, possible)))
    return Loads(own, steps, _up(lo), _down(hi) + (reach > SPAN * own), "range" if wanted <= possible else "requests")


def loads_between(text: str, own: float, resolution: float, flag: str = "--load") -> Loads:
    """Return the loads of a range such as ``0.5..20``; raise :class:`InputError` for what is none.

    >>> loads_between("0.5..20", 1.0, 0.05)
    Loads(own=1.0, steps=15, lo=-15, hi=64, ended='range')
    """
    steps = _steps(resolution)
    lo, hi = (math.log2(end / own) * steps for end in range_of(text, flag))
    if _up(lo) > _down(hi):
        what = f"no load of the grid is in the range: they are {2 ** (1 / steps) - 1:.1%} apart"
        raise InputError([wrong(flag, what, "a wider range or a finer --resolution", text)])
    return Loads(own, steps, _up(lo), _down(hi))


def range_of(text: str, flag: str = "--load") -> tuple[float, float]:
    """Return the ends of a range; raise :class:`InputError` for what is none, whatever the loads between are.

    >>> range_of("0.5..20")
    (0.5, 20.0)
    """
    match = _RANGE.fullmatch(text)
    try:
        lo, hi = (float(match["lo"]), float(match["hi"])) if match else (0.0, 0.0)
    except ValueError:
        lo, hi = 0.0, 0.0
    if not 0 < lo < hi < math.inf:
        raise InputError([wrong(flag, "not a range of loads", _FORM, text)])
    return lo, hi


def _steps(resolution: float) -> int:
    """Return the least number of equal ratios that make a doubling, none above ``1 + resolution``."""
    return math.ceil(math.log(2) / math.log1p(resolution) - 1e-9)


def _up(step: float) -> int:
    return math.ceil(step - 1e-9)


def _down(step: float) -> int:
    return math.floor(step + 1e-9)
