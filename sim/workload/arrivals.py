"""When requests, or the sessions that hold them, arrive: each process one table and one function that states its mean.

A process gives times in float ms, ascending, in ``[0, horizon)``; :func:`times` floors them to whole ms last. It starts
stationary, so the mean number of arrivals over the horizon is exactly :func:`expected`, and a longer horizon keeps
every earlier arrival. It gives them in blocks of a size that is asked for, None = all in one; a block may be larger or
smaller, or empty, and the times do not depend on where one ends.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator
from scipy.special import gammaincinv

from sim.document import Strict
from sim.trace import Ints
from sim.units import HOUR, Duration, PositiveDuration, Rate, Real, TimeOfDay, Whole
from sim.workload.civil import Clock, daily, hours_of_week
from sim.workload.intensity import Draw, Intensity, Spans, exponential, invert, spanning, strides, total
from sim.workload.laws import SizeLaw, Spread, tagged
from sim.workload.sizes import Floats, mean, quantile

__all__ = ["PROCESSES", "Arrivals", "continuous", "expected", "instants", "profile_intensity", "times"]

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


def _poisson(law: Poisson, clock: Clock, spans: Spans, size: int | None) -> Iterator[Floats]:
    """Mean ``rate``; exponential gaps."""
    rate = _per_ms(law.rate, clock)
    for points in strides(spans("gap"), rate * clock.horizon, size):
        yield points / rate


def _gamma(law: Gamma, clock: Clock, spans: Spans, size: int | None) -> Iterator[Floats]:
    """Mean ``rate`` at every instant, because the first gap is the residual of a gap (Cox, Renewal Theory, 5.1).

    The gap that covers a random instant is length-biased, of gamma(k) a gamma(k + 1); the instant is uniform in it.
    """
    rate, k = _per_ms(law.rate, clock), law.cv**-2
    covering, part = (float(u) for u in spans("start")(0, 2))
    start = float(gammaincinv(k + 1, covering)) / k * part
    limit = rate * clock.horizon
    if start < limit:
        yield np.array([start]) / rate
    for points in strides(spans("gap"), limit, size, lambda u: np.asarray(gammaincinv(k, u) / k), start):
        yield points / rate


def _mmpp(law: Mmpp, clock: Clock, spans: Spans, size: int | None) -> Iterator[Floats]:
    """Mean of the rates weighted by ``lasts``, since the jumps visit all states alike (Heffes and Lucantoni 1986)."""
    path = _modulation(law, clock, spans)
    for points in strides(spans("gap"), total(path), size):
        yield invert(path, points)


def _modulation(law: Mmpp, clock: Clock, spans: Spans) -> Intensity:
    """Draw a stationary path of the states up to the horizon."""
    lasts = np.array([state.lasts for state in law.states], float)
    rates = np.array([_per_ms(state.rate, clock) for state in law.states])
    first = np.searchsorted(np.cumsum(lasts)[:-1] / lasts.sum(), spans("state")(0, 1)[0], side="right")
    count = 16 + math.ceil(1.5 * clock.horizon / lasts.mean())
    while True:
        others = 1 + np.floor(spans("jump")(0, count) * (len(lasts) - 1)).astype(np.int64)
        states = (first + np.concatenate(([0], np.cumsum(others[:-1])))) % len(lasts)
        ends = np.cumsum(exponential(spans("sojourn")(0, count)) * lasts[states])
        if ends[-1] >= clock.horizon:
            break
        count *= 2
    last = int(np.searchsorted(ends, clock.horizon))
    edges = np.concatenate(([0.0], ends[:last], [float(clock.horizon)]))
    return Intensity(edges, rates[states[: last + 1]])


def _profile(law: Profile, clock: Clock, spans: Spans, size: int | None) -> Iterator[Floats]:
    """Mean number: the integral of the rate (Brown et al. 2002, time rescaling)."""
    shape = profile_intensity(law, clock)
    for points in strides(spans("gap"), total(shape), size):
        yield invert(shape, points)


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


def _schedule(law: Schedule, clock: Clock, _spans: Spans, size: int | None) -> Iterator[Floats]:
    """Exactly ``count`` x load, to the nearest whole number, at each instant; what spreads past the horizon is cut."""
    count = _repeats(law, clock)
    step = law.over / max(count, 1)
    starts = np.array([ms for at in law.at for ms, _ in daily(clock, at)], float)

    def reached(ms: int) -> Ints:
        """Return how many requests of each start come before an instant, to within the rounding of the division."""
        if law.over == 0:
            return np.where(starts < ms, count, 0)
        return np.clip(np.ceil((ms - starts) / step), 0, count).astype(np.int64)

    def parts() -> Iterator[tuple[Floats, float]]:
        end = clock.horizon + law.over + 1
        done, now = np.zeros(len(starts), np.int64), 0
        while now < end:
            later = range(now + 1, end + 1)
            wished = int(done.sum()) + (size or count * len(starts))
            now = max(now + 1, now + bisect_right(later, wished, key=lambda ms: int(reached(ms).sum())))
            given = reached(now)
            many = given - done
            number = np.arange(many.sum()) + np.repeat(done - (np.cumsum(many) - many), many)
            following = (starts + given * step)[given < count]
            yield np.repeat(starts, many) + number * step, np.min(following, initial=math.inf)
            done = given

    return _settled(parts())


def _settled(parts: Iterator[tuple[Floats, float]]) -> Iterator[Floats]:
    """Give times in order, from parts that each come with an instant before which no later part has any."""
    held = np.empty(0)
    for found, until in parts:
        held = np.sort(np.concatenate((held, found)))
        given = np.searchsorted(held, until)
        yield held[:given]
        held = held[given:]
    yield held


def _scheduled(law: Schedule, clock: Clock) -> float:
    return float(_repeats(law, clock) * sum(len(daily(clock, at)) for at in law.at))


def _bursts(law: Bursts, clock: Clock, spans: Spans, size: int | None) -> Iterator[Floats]:
    """Mean ``rate`` x E[size]; bursts from ``within`` before the start on, so the start is like any other instant."""
    rate = _per_ms(law.rate, clock)
    bursts = size and max(1, int(size / max(mean(law.size), 1.0)))

    def parts() -> Iterator[tuple[Floats, float]]:
        before, members_before = 0, 0
        for points in strides(spans("gap"), rate * (clock.horizon + law.within), bursts):
            begins = points / rate - law.within
            members = np.repeat(begins, quantile(law.size, spans("size")(before, before + len(begins))))
            before += len(begins)
            if law.within:
                drawn = spans("within")(members_before, members_before + len(members))
                members_before += len(members)
                members = members + law.within * drawn
            yield members[members >= 0], np.max(begins, initial=-math.inf)

    return _settled(parts())


def _beats(law: Constant, clock: Clock) -> range:
    """Return the numbers of gaps after which it arrives."""
    return range(law.first == "gap", math.ceil(_steady(law.rate, clock)))


def _constant(law: Constant, clock: Clock, _spans: Spans, size: int | None) -> Iterator[Floats]:
    """Exactly ``rate``: one arrival a gap, none at the horizon."""
    beats = _beats(law, clock)
    size = size or len(beats)
    for first in range(beats.start, beats.stop, size):
        yield np.arange(first, min(first + size, beats.stop), dtype=np.float64) / _per_ms(law.rate, clock)


class _Process(NamedTuple):
    blocks: Callable[[Any, Clock, Spans, int | None], Iterator[Floats]]  # only where the expected number is above 0
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
    return np.concatenate([np.empty(0), *_blocks(law, clock, spanning(draw), None)])


def _blocks(law: Arrivals, clock: Clock, spans: Spans, size: int | None) -> Iterator[Floats]:
    """Give the times of :func:`continuous` block by block."""
    if expected(law, clock) == 0:
        return
    for found in PROCESSES[law.process].blocks(law, clock, spans, size):
        inside = np.searchsorted(found, clock.horizon)
        yield found[:inside]
        if inside < len(found):
            return


def times(law: Arrivals, clock: Clock, draw: Draw) -> Ints:
    """Return the (n,) arrival times of a process in whole ms: floored, so they stay in ``[0, horizon)``."""
    return np.concatenate([np.empty(0, np.int64), *instants(law, clock, spanning(draw), None)])


def instants(law: Arrivals, clock: Clock, spans: Spans, size: int | None) -> Iterator[Ints]:
    """Give the times of :func:`times` in blocks of about ``size``, None = all in one; a block may be empty."""
    for found in _blocks(law, clock, spans, size):
        yield np.floor(found).astype(np.int64)


def expected(law: Arrivals, clock: Clock) -> float:
    """Return the expected number of arrivals in ``[0, horizon)``."""
    return PROCESSES[law.process].expected(law, clock)
