"""When requests, or the sessions that hold them, arrive: each process one table and one function that states its mean.

A process gives times in float ms, ascending, in ``[0, horizon)``; :func:`times` floors them to whole ms last. It starts
stationary, so the mean number of arrivals over the horizon is exactly :func:`expected`, and a longer horizon keeps
every earlier arrival.
"""

import math
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator
from scipy.special import gammaincinv

from sim.document import Strict
from sim.trace import Ints
from sim.units import HOUR, Duration, PositiveDuration, Rate, Real, TimeOfDay, Whole
from sim.workload.civil import Clock, daily, hours_of_week
from sim.workload.intensity import Draw, Intensity, exponential, invert, total, walk
from sim.workload.laws import SizeLaw, Spread, tagged
from sim.workload.sizes import Floats, mean, quantile

__all__ = ["PROCESSES", "Arrivals", "continuous", "expected", "profile_intensity", "times"]

Weight = Annotated[Real, Field(ge=0)]
Day = Annotated[list[Rate], Field(min_length=24, max_length=24)]
DayWeights = Annotated[list[Weight], Field(min_length=24, max_length=24)]


class Poisson(Strict):
    """Independent callers: a Poisson process."""

    process: Literal["poisson"]
    rate: Rate  # an hour


class Gamma(Strict):
    """Renewal process with gamma gaps: steadier than Poisson for ``cv < 1``, burstier for ``cv > 1``."""

    process: Literal["gamma"]
    rate: Rate
    cv: Spread  # of the gaps


class State(Strict):
    """A state of a modulated process."""

    rate: Rate
    lasts: PositiveDuration  # mean, exponential


class Mmpp(Strict):
    """Markov-modulated Poisson process; from a state it goes to each other state with the same chance."""

    process: Literal["mmpp"]
    states: Annotated[list[State], Field(min_length=2)]


class Piece(Strict):
    """A constant rate on ``[since, until)`` of the run."""

    since: Duration
    until: PositiveDuration
    rate: Rate


class Profile(Strict):
    """Poisson process whose rate follows the hours of the local day or week, or stated pieces of the run.

    Exactly one of ``hourly`` (24 rates), ``weekly`` (7 days from Monday, 24 rates each), ``pieces`` (elsewhere the rate
    is 0), ``weights`` and ``weekly_weights``; the last two scale ``rate``, which is then the mean over the day or week.
    """

    process: Literal["profile"]
    rate: Rate | None = None
    hourly: Day | None = None
    weekly: Annotated[list[Day], Field(min_length=7, max_length=7)] | None = None
    weights: DayWeights | None = None
    weekly_weights: Annotated[list[DayWeights], Field(min_length=7, max_length=7)] | None = None
    pieces: Annotated[list[Piece], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _has_one_shape(self) -> Self:
        shapes = ("hourly", "weekly", "weights", "weekly_weights", "pieces")
        given = [name for name in shapes if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"needs one of {', '.join(shapes)}; {' and '.join(given) or 'none'} given")
        weighted = given[0].endswith("weights")
        if weighted != (self.rate is not None):
            raise ValueError(f"{given[0]} {'needs' if weighted else 'excludes'} the key 'rate'")
        if weighted and not np.any(np.ravel(getattr(self, given[0]))):
            raise ValueError(f"{given[0]} sum to 0; a weight above 0")
        return self


class Schedule(Strict):
    """The same requests every local day, at fixed times; no chance in it."""

    process: Literal["schedule"]
    at: Annotated[list[TimeOfDay], Field(min_length=1), BeforeValidator(lambda v: [v] if isinstance(v, str) else v)]
    count: Whole  # at each of the times
    over: Duration = 0  # spread evenly over [at, at + over); 0: all at once


class Bursts(Strict):
    """Bursts at Poisson instants, each with a number of requests of its own."""

    process: Literal["bursts"]
    rate: Rate  # of bursts, an hour
    size: SizeLaw  # requests a burst
    within: Duration = 0  # uniform over [burst, burst + within); 0: all at the burst's instant


class Constant(Strict):
    """A metronome; no chance in it."""

    process: Literal["constant"]
    rate: Rate
    first: Literal["gap", "start"] = "gap"  # the first arrival after one gap, or at instant 0


def _per_ms(rate: float, clock: Clock) -> float:
    return rate * clock.load / HOUR


def _steady(rate: float, clock: Clock) -> float:
    return _per_ms(rate, clock) * clock.horizon


def _poisson(law: Poisson, clock: Clock, draw: Draw) -> Floats:
    """Mean ``rate``; exponential gaps."""
    rate = _per_ms(law.rate, clock)
    return walk(draw("gap"), rate * clock.horizon) / rate


def _gamma(law: Gamma, clock: Clock, draw: Draw) -> Floats:
    """Mean ``rate`` at every instant, because the first gap is the residual of a gap (Cox, Renewal Theory, 5.1).

    The gap that covers a random instant is length-biased, of gamma(k) a gamma(k + 1); the instant is uniform in it.
    """
    rate, k = _per_ms(law.rate, clock), law.cv**-2
    covering, part = (float(u) for u in draw("start")(2))
    start = float(gammaincinv(k + 1, covering)) / k * part
    limit = rate * clock.horizon
    later = walk(draw("gap"), limit, lambda u: np.asarray(gammaincinv(k, u) / k, np.float64), start)
    points = np.concatenate((np.array([start]), later))
    return points[points < limit] / rate


def _mmpp(law: Mmpp, clock: Clock, draw: Draw) -> Floats:
    """Mean of the rates weighted by ``lasts``, since the jumps visit all states alike (Heffes and Lucantoni 1986)."""
    path = _modulation(law, clock, draw)
    return invert(path, walk(draw("gap"), total(path)))


def _modulation(law: Mmpp, clock: Clock, draw: Draw) -> Intensity:
    """Draw a stationary path of the states up to the horizon."""
    lasts = np.array([state.lasts for state in law.states], float)
    rates = np.array([_per_ms(state.rate, clock) for state in law.states])
    first = np.searchsorted(np.cumsum(lasts)[:-1] / lasts.sum(), draw("state")(1)[0], side="right")
    count = 16 + math.ceil(1.5 * clock.horizon / lasts.mean())
    while True:
        others = 1 + np.floor(draw("jump")(count) * (len(lasts) - 1)).astype(np.int64)
        states = (first + np.concatenate(([0], np.cumsum(others[:-1])))) % len(lasts)
        ends = np.cumsum(exponential(draw("sojourn")(count)) * lasts[states])
        if ends[-1] >= clock.horizon:
            break
        count *= 2
    last = int(np.searchsorted(ends, clock.horizon))
    edges = np.concatenate(([0.0], ends[:last], [float(clock.horizon)]))
    return Intensity(edges, rates[states[: last + 1]])


def _profile(law: Profile, clock: Clock, draw: Draw) -> Floats:
    """Mean number: the integral of the rate (Brown et al. 2002, time rescaling)."""
    shape = profile_intensity(law, clock)
    return invert(shape, walk(draw("gap"), total(shape)))


def profile_intensity(law: Profile, clock: Clock) -> Intensity:
    """Return the rate of a profile over the run."""
    if law.pieces is not None:
        return _pieces(law.pieces, clock)
    edges, hours = hours_of_week(clock)
    table = next(t for t in (law.hourly, law.weekly, law.weights, law.weekly_weights) if t is not None)
    rates = np.ravel(np.array(table, float))
    if law.rate is not None:
        rates = rates / rates.mean() * law.rate
    week = np.tile(rates, 7 * 24 // len(rates))
    return Intensity(edges.astype(float), week[hours] * clock.load / HOUR)


def _pieces(pieces: list[Piece], clock: Clock) -> Intensity:
    """Return sorted pieces and the zeros between them, cut at the horizon."""
    edges, rates = [0.0], []
    for piece in pieces:
        for edge, rate in ((piece.since, 0.0), (piece.until, piece.rate)):
            end = min(float(edge), float(clock.horizon))
            if end > edges[-1]:
                edges.append(end)
                rates.append(_per_ms(rate, clock))
    if edges[-1] < clock.horizon:
        edges.append(float(clock.horizon))
        rates.append(0.0)
    return Intensity(np.array(edges), np.array(rates))


def _repeats(law: Schedule, clock: Clock) -> int:
    return math.floor(law.count * clock.load + 0.5)


def _schedule(law: Schedule, clock: Clock, _draw: Draw) -> Floats:
    """Exactly ``count`` x load, to the nearest whole number, at each instant; what spreads past the horizon is cut."""
    count = _repeats(law, clock)
    instants = [ms for at in law.at for ms, _ in daily(clock, at)]
    offsets = np.arange(count) * (law.over / max(count, 1))
    return np.sort((np.array(instants, float)[:, None] + offsets[None, :]).ravel())


def _scheduled(law: Schedule, clock: Clock) -> float:
    return float(_repeats(law, clock) * sum(len(daily(clock, at)) for at in law.at))


def _bursts(law: Bursts, clock: Clock, draw: Draw) -> Floats:
    """Mean ``rate`` x E[size]; bursts from ``within`` before the start on, so the start is like any other instant."""
    rate = _per_ms(law.rate, clock)
    begins = walk(draw("gap"), rate * (clock.horizon + law.within)) / rate - law.within
    members = np.repeat(begins, quantile(law.size, draw("size")(len(begins))))
    if law.within:
        members = np.sort(members + law.within * draw("within")(len(members)))
    return members[members >= 0]


def _beats(law: Constant, clock: Clock) -> range:
    """Return the numbers of gaps after which it arrives."""
    return range(law.first == "gap", math.ceil(_steady(law.rate, clock)))


def _constant(law: Constant, clock: Clock, _draw: Draw) -> Floats:
    """Exactly ``rate``: one arrival a gap, none at the horizon."""
    beats = _beats(law, clock)
    return np.arange(beats.start, beats.stop, dtype=np.float64) / _per_ms(law.rate, clock)


class _Process(NamedTuple):
    times: Callable[[Any, Clock, Draw], Floats]  # called only where the expected number is above 0
    expected: Callable[[Any, Clock], float]


PROCESSES: dict[str, _Process] = {
    "poisson": _Process(_poisson, lambda law, clock: _steady(law.rate, clock)),
    "gamma": _Process(_gamma, lambda law, clock: _steady(law.rate, clock)),
    "mmpp": _Process(
        _mmpp,
        lambda law, clock: _steady(
            float(np.average([s.rate for s in law.states], weights=[s.lasts for s in law.states])), clock
        ),
    ),
    "profile": _Process(_profile, lambda law, clock: total(profile_intensity(law, clock))),
    "schedule": _Process(_schedule, _scheduled),
    "bursts": _Process(_bursts, lambda law, clock: _steady(law.rate, clock) * mean(law.size)),
    "constant": _Process(_constant, lambda law, clock: float(len(_beats(law, clock)))),
}

Arrivals = Annotated[
    Annotated[Poisson | Gamma | Mmpp | Profile | Schedule | Bursts | Constant, Field(discriminator="process")],
    tagged("process", tuple(PROCESSES)),
]


def continuous(law: Arrivals, clock: Clock, draw: Draw) -> Floats:
    """Return the (n,) arrival times of a process in float ms, ascending, in ``[0, horizon)``."""
    if expected(law, clock) == 0:
        return np.empty(0)
    found = PROCESSES[law.process].times(law, clock, draw)
    return found[: np.searchsorted(found, clock.horizon)]


def times(law: Arrivals, clock: Clock, draw: Draw) -> Ints:
    """Return the (n,) arrival times of a process in whole ms: floored, so they stay in ``[0, horizon)``."""
    return np.floor(continuous(law, clock, draw)).astype(np.int64)


def expected(law: Arrivals, clock: Clock) -> float:
    """Return the expected number of arrivals in ``[0, horizon)``."""
    return PROCESSES[law.process].expected(law, clock)
