"""The rules that bind the tables of a workload to each other; what one table alone can break is in its own model."""

from collections.abc import Iterator
from typing import NamedTuple

from sim.document import Document
from sim.errors import Problem, nearest
from sim.units import DAY, duration
from sim.workload.arrivals import Mmpp, Profile, Schedule, expected
from sim.workload.civil import Clock, daily, doubtful
from sim.workload.media import PartsSpec, least
from sim.workload.sizes import mean, smallest
from sim.workload.spec import StreamSpec, WorkloadSpec

__all__ = ["check", "expected_requests"]

Path = tuple[str | int, ...]

_LONGEST = 36_525 * DAY  # a century: calendars are walked day by day
_SWITCHES = 1e8  # of state, in a modulated process
_PARTS = 1e6  # pictures or seconds of a prompt: their tokens have to fit 64 bits


class _Broken(NamedTuple):
    path: Path
    what: str
    allowed: str
    got: object = None


def check(spec: WorkloadSpec, document: Document, base: Path = (), most: float = 1e9) -> list[Problem]:
    """Return every broken rule of a workload, each with its place in the document.

    Parameters
    ----------
    spec
        The workload, valid table by table.
    document
        The file that it came from.
    base
        The path of the table that holds ``start``, ``contexts`` and ``streams``.
    most
        The expected number of requests above which the workload is taken for a mistake.
    """
    found = list(_calendar(spec)) or [*_contexts(spec), *_streams(spec)]
    if not found:
        found = list(_amount(spec, most))
    return [document.problem((*base, *broken.path), broken.what, broken.allowed, broken.got) for broken in found]


def expected_requests(spec: WorkloadSpec) -> float:
    """Return the expected number of requests of all streams; of an open loop those past the horizon count too."""
    return sum(_expected(stream, spec.clock) for stream in spec.streams.values())


def _expected(stream: StreamSpec, clock: Clock) -> float:
    return expected(stream.arrivals, clock) * (mean(stream.session.turns) if stream.session else 1.0)


def _calendar(spec: WorkloadSpec) -> Iterator[_Broken]:
    if spec.horizon > _LONGEST:
        yield _Broken(("horizon",), "longer than a century", "at most 36525d", duration(spec.horizon))
    elif not 1900 <= spec.start.year <= 9800:
        yield _Broken(("start",), "outside the calendar", "a year from 1900 to 9800", spec.start.year)


def _contexts(spec: WorkloadSpec) -> Iterator[_Broken]:
    for name, context in spec.contexts.items():
        path = ("contexts", name, "under")
        if context.under is not None and context.under not in spec.contexts:
            yield _Broken(path, "unknown context", nearest(context.under, spec.contexts), context.under)
        elif round_trip := _cycle(spec, name):
            yield _Broken(
                path, f"the contexts stand under each other: {' > '.join(round_trip)}", "a tree", context.under
            )
        if smallest(context.tokens) + least(context.parts) < 1:
            allowed = "at least 1 token, or parts that it always has"
            yield _Broken(("contexts", name, "tokens"), "a context without tokens", allowed)
        yield from _parts(context.parts, ("contexts", name))


def _cycle(spec: WorkloadSpec, name: str) -> list[str]:
    """Return the way from a context up to itself, or nothing."""
    way = [name]
    while (above := spec.contexts[way[-1]].under) in spec.contexts and above is not None:
        way.append(above)
        if above == name:
            return way
        if above in way[:-1]:  # a cycle further up, reported there
            break
    return []


def _streams(spec: WorkloadSpec) -> Iterator[_Broken]:
    for name, stream in spec.streams.items():
        path: Path = ("streams", name)
        if stream.context is not None and stream.context not in spec.contexts:
            allowed = nearest(stream.context, spec.contexts) if spec.contexts else "none is declared under [contexts]"
            yield _Broken((*path, "context"), "unknown context", allowed, stream.context)
        if stream.context is None and smallest(stream.fresh) + least(stream.parts) < 1:
            allowed = "at least 1 token where there is no context and no part that it always has"
            yield _Broken((*path, "fresh"), "an empty prompt", allowed)
        yield from _parts(stream.parts, path)
        if stream.session is not None and smallest(stream.session.turns) < 1:
            yield _Broken((*path, "session", "turns"), "a session without turns", "at least 1 turn")
        for broken in _process(stream, spec.clock):
            yield broken._replace(path=(*path, "arrivals", *broken.path))


def _parts(parts: PartsSpec | None, path: Path) -> Iterator[_Broken]:
    for key, law in (parts.laws if parts is not None else {}).items():
        if mean(law) > _PARTS:
            allowed = f"at most {_PARTS:,.0f} on average"
            yield _Broken((*path, "parts", key), "more than any prompt holds", allowed, f"{mean(law):,.0f}")


def _process(stream: StreamSpec, clock: Clock) -> Iterator[_Broken]:
    law = stream.arrivals
    if isinstance(law, Profile) and law.pieces is not None:
        yield from _pieces(law, clock)
    if isinstance(law, Schedule):
        yield from _schedule(law, clock)
    if isinstance(law, Mmpp):
        switches = clock.horizon * len(law.states) / sum(state.lasts for state in law.states)
        if switches > _SWITCHES:
            allowed = f"at most {_SWITCHES:,.0f}: longer states or a shorter horizon"
            yield _Broken(("states",), "too many changes of state are expected", allowed, f"{switches:,.0f}")


def _pieces(law: Profile, clock: Clock) -> Iterator[_Broken]:
    before = 0
    for index, piece in enumerate(law.pieces or []):
        if piece.since < before:
            allowed = f"sorted pieces that do not overlap, here from {duration(before)}"
            yield _Broken(
                ("pieces", index, "since"), "the piece overlaps one before it", allowed, duration(piece.since)
            )
        if piece.until <= piece.since:
            allowed = f"a time after {duration(piece.since)}"
            yield _Broken(("pieces", index, "until"), "the piece ends before it begins", allowed, duration(piece.until))
        elif piece.until > clock.horizon:
            allowed = f"at most {duration(clock.horizon)}"
            yield _Broken(
                ("pieces", index, "until"), "the piece ends after the horizon", allowed, duration(piece.until)
            )
        before = max(before, piece.until)


def _schedule(law: Schedule, clock: Clock) -> Iterator[_Broken]:
    for index, at in enumerate(law.at):
        walls = [wall for _, wall in daily(clock, at) if doubtful(clock, wall)]
        if walls:
            what = f"the clock of {clock.zone} skips or repeats this time on {walls[0]:%Y-%m-%d}"
            yield _Broken(("at", index), what, 'another time, or time_zone = "UTC"', f"{walls[0]:%H:%M:%S}")


def _amount(spec: WorkloadSpec, most: float) -> Iterator[_Broken]:
    amounts = {name: _expected(stream, spec.clock) for name, stream in spec.streams.items()}
    if sum(amounts.values()) > most:
        name = max(amounts, key=lambda name: amounts[name])
        allowed = f"at most {most:,.0f} in all streams, unless that is allowed"
        got = f"{sum(amounts.values()):,.0f}"
        yield _Broken(("streams", name, "arrivals"), "too many requests are expected", allowed, got)
