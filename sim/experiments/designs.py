"""Which settings a sweep tries: a grid, lists taken side by side, a Latin hypercube or a Sobol net over any path."""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
from pydantic_core import PydanticCustomError

from sim.errors import InputError, Problem, wrong
from sim.units import as_duration, as_rate, as_tokens, duration
from sim.workload.realise import uniforms

__all__ = ["Axis", "Design", "Setting", "Span", "axes_of", "design_of", "items", "settings_of"]

MOST = 100_000  # settings of one sweep, above which a design is taken for a mistake
_SOBOL_BITS = 30

_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d{1,2})?")
_RANGE = re.compile(r"(?P<lo>.+?)\.\.(?P<hi>[^:]+)(?::(?P<scale>[^:]*))?(?::(?P<count>[^:]*))?")
_FORMS = "V1,V2,... or LO..HI:lin:COUNT or LO..HI:log:COUNT"

Floats: TypeAlias = npt.NDArray[np.float64]
IsWhole: TypeAlias = Callable[[str, str, str], bool]  # (path, a broken number, the whole one next to it)


class Span(NamedTuple):
    """A range of numbers, both ends in it, counted in the unit that its text says."""

    lo: Fraction
    hi: Fraction
    kind: Literal["number", "tokens", "duration", "rate"]
    unit: str  # of a rate
    scale: str  # "lin" or "log"
    points: int | None  # of it; None where the design says how many

    def at(self, u: float | Fraction) -> float | Fraction:
        """Return the point at a share ``u`` of the way: ``lo + (hi - lo) u``, or ``lo (hi / lo)^u`` if logarithmic."""
        if u in {0, 1}:
            return self.hi if u else self.lo
        if self.scale == "log":
            return float(self.lo) * math.exp(math.log(self.hi / self.lo) * float(u))
        return self.lo + (self.hi - self.lo) * (u if isinstance(u, Fraction) else Fraction(float(u)))

    def shares(self, count: int) -> list[Fraction]:
        """Return ``count`` shares at equal distances, from 0 to 1."""
        return [Fraction(number, count - 1) for number in range(count)]


class Axis(NamedTuple):
    """One path of the scenario, and what is tried there."""

    path: str
    text: str  # as it was asked for
    values: tuple[str, ...]  # of a list; empty for a range
    span: Span | None


class Design(NamedTuple):
    """How the axes are put together."""

    kind: str  # grid, zip, lhs or sobol
    size: int | None = None  # settings of a sample

    def __str__(self) -> str:
        return self.kind if self.size is None else f"{self.kind}:{self.size}"


class Setting(NamedTuple):
    """One setting of a sweep: what it overrides in the scenario."""

    number: int  # from 0
    values: tuple[tuple[str, str], ...]  # (path, value as --set reads it)

    @property
    def sets(self) -> tuple[str, ...]:
        """Return the overrides as ``--set`` takes them."""
        return tuple(f"{path}={text}" for path, text in self.values)


def design_of(text: str, *, zipped: bool = False) -> Design:
    """Return a design from its text.

    >>> design_of("grid"), str(design_of("sobol:64"))
    (Design(kind='grid', size=None), 'sobol:64')
    """
    if zipped and text not in {"grid", "zip"}:
        raise InputError([wrong("--zip", f"contradicts --design {text}", "one of the two")])
    kind, _, count = text.partition(":")
    if kind in {"grid", "zip"} and not count:
        return Design("zip" if zipped else kind)
    if kind in {"lhs", "sobol"} and re.fullmatch(r"[0-9]{1,6}", count) and 1 <= int(count) <= MOST:
        if kind == "sobol" and int(count).bit_count() != 1:
            below = 1 << (int(count).bit_length() - 1)
            what = "a Sobol net is balanced for powers of two only"
            raise InputError([wrong("--design", what, f"sobol:{below} or sobol:{2 * below}", text)])
        return Design(kind, int(count))
    allowed = f"grid, zip, lhs:N or sobol:N with N from 1 to {MOST:,}"
    raise InputError([wrong("--design", "not a design", allowed, text)])


def axes_of(texts: Iterable[str], design: Design) -> tuple[Axis, ...]:
    """Return the axes of ``PATH=VALUES`` texts; raise every mistake in them at once."""
    axes: list[Axis] = []
    problems: list[Problem] = []
    for text in texts:
        path, equals, values = (part.strip() for part in text.partition("="))
        try:
            if not (equals and path and values):
                raise InputError([wrong("--vary", "not something to vary", f"PATH={_FORMS}", text)])  # noqa: TRY301 - one list
            if path.partition(".")[0] in {"seed", "replications"}:
                what = f"{path} is common to all settings"
                raise InputError([wrong("--vary", what, f"--{path}", text)])  # noqa: TRY301 - one list
            if path in {axis.path for axis in axes}:
                raise InputError([wrong("--vary", f"{path} is varied twice", "each path once", text)])  # noqa: TRY301 - one list
            axes.append(_axis(path, values, text, sampled=design.size is not None))
        except InputError as error:
            problems += error.problems
    if not axes and not problems:
        problems.append(wrong("--vary", "nothing is varied", f"at least one PATH={_FORMS}"))
    if design.kind == "zip" and not problems and len({_length(axis) for axis in axes}) > 1:
        lengths = ", ".join(f"{axis.path} has {_length(axis)}" for axis in axes)
        problems.append(wrong("--zip", f"lists of different lengths: {lengths}", "lists of one length"))
    if design.kind == "grid" and not problems and (size := math.prod(_length(axis) for axis in axes)) > MOST:
        problems.append(wrong("--vary", f"the grid has {size:,} settings", f"at most {MOST:,}"))
    if problems:
        raise InputError(problems)
    return tuple(axes)


def _length(axis: Axis) -> int:
    return (axis.span.points or 0) if axis.span else len(axis.values)


def _axis(path: str, values: str, text: str, *, sampled: bool) -> Axis:
    match = _RANGE.fullmatch(values) if len(items(values)) == 1 else None
    ends = _ends(match["lo"].strip(), match["hi"].strip()) if match else None
    if match is None or ends is None:
        listed = items(values)
        if "" in listed:
            raise InputError([wrong("--vary", "an empty value", f"PATH={_FORMS}", text)])
        return Axis(path, values, listed, None)
    return Axis(path, values, (), _span(ends, match["scale"], match["count"], text, sampled=sampled))


def items(text: str) -> tuple[str, ...]:
    """Return the values of a list: commas inside of brackets and quotes part nothing.

    >>> items('1h, 2h'), items('["a", "b"],["c"]')
    (('1h', '2h'), ('["a", "b"]', '["c"]'))
    """
    found, depth, quote, start = [], 0, "", 0
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "," and depth == 0:
            found.append(text[start:position].strip())
            start = position + 1
        else:
            depth += (char in "[{") - (char in "]}")
    return (*found, text[start:].strip())


def _ends(lo: str, hi: str) -> Span | None:
    """Return the range between two quantities of one kind; None where they are none."""
    if _NUMBER.fullmatch(lo) and _NUMBER.fullmatch(hi):
        return Span(Fraction(lo), Fraction(hi), "number", "", "", None)
    try:
        return Span(Fraction(_tokens(lo)), Fraction(_tokens(hi)), "tokens", "", "", None)
    except PydanticCustomError:
        pass
    try:
        return Span(Fraction(as_duration(lo)), Fraction(as_duration(hi)), "duration", "", "", None)
    except PydanticCustomError:
        pass
    try:
        as_rate(lo), as_rate(hi)
    except PydanticCustomError:
        return None
    (low, unit), (high, other) = (tuple(part.strip() for part in end.split("/")) for end in (lo, hi))
    if unit == other:
        return Span(Fraction(low), Fraction(high), "rate", unit, "", None)
    return Span(Fraction(as_rate(lo)), Fraction(as_rate(hi)), "rate", "h", "", None)


def _tokens(text: str) -> int:
    return as_tokens(int(text) if text.isdigit() else text)


def _span(ends: Span, scale: str | None, count: str | None, text: str, *, sampled: bool) -> Span:
    problems = []
    if (scale or "lin") not in {"lin", "log"}:
        problems.append(wrong("--vary", "unknown scale", "lin or log", text))
    if sampled and count is not None:
        problems.append(wrong("--vary", "the design says how many values there are", "LO..HI:lin or LO..HI:log", text))
    if not sampled and (scale is None or count is None):
        problems.append(wrong("--vary", "a range needs its scale and its count", "LO..HI:lin:5 or LO..HI:log:5", text))
    if count is not None and not (re.fullmatch(r"[0-9]{1,6}", count) and 2 <= int(count) <= MOST):
        problems.append(wrong("--vary", "not a count of values", f"a whole number from 2 to {MOST:,}", text))
    if ends.lo >= ends.hi:
        problems.append(wrong("--vary", "a range must rise", "LO below HI", text))
    if scale == "log" and ends.lo <= 0:
        problems.append(wrong("--vary", "a logarithmic range must be above zero", "LO > 0, or lin", text))
    if problems:
        raise InputError(problems)
    return ends._replace(scale=scale or "lin", points=None if count is None else int(count))


def settings_of(axes: Sequence[Axis], design: Design, seed: int, is_whole: IsWhole) -> tuple[Setting, ...]:
    """Return the settings of a design, each once.

    In a grid the last axis runs fastest. A Latin hypercube has one value in each of N slices of every axis, at random
    within it; a Sobol net is shifted digitally by the seed, which keeps its balance. A list is sampled in equal parts.
    """
    if design.size is None:
        columns = [_listed(axis, is_whole) for axis in axes]
        rows = zip(*columns, strict=True) if design.kind == "zip" else itertools.product(*columns)
    else:
        shares = _hypercube(axes, design.size, seed) if design.kind == "lhs" else _net(axes, design.size, seed)
        rows = zip(*(_sampled(axis, share, is_whole) for axis, share in zip(axes, shares, strict=True)), strict=True)
    unique = dict.fromkeys(tuple(row) for row in rows)
    paths = [axis.path for axis in axes]
    return tuple(Setting(number, tuple(zip(paths, row, strict=True))) for number, row in enumerate(unique))


def _listed(axis: Axis, is_whole: IsWhole) -> list[str]:
    if axis.span is None:
        return list(axis.values)
    return _texts(axis, [axis.span.at(u) for u in axis.span.shares(_length(axis))], is_whole)


def _sampled(axis: Axis, shares: Floats, is_whole: IsWhole) -> list[str]:
    if axis.span is None:
        return [axis.values[int(u * len(axis.values))] for u in shares.tolist()]
    return _texts(axis, [axis.span.at(u) for u in shares.tolist()], is_whole)


def _texts(axis: Axis, points: Sequence[float | Fraction], is_whole: IsWhole) -> list[str]:
    """Return points as ``--set`` reads them: whole ones where the unit is, or where the path takes no others."""
    assert axis.span is not None  # noqa: S101 - only ranges have points
    if axis.span.kind == "duration":
        return [duration(round(point)) for point in points]
    broken = next((point for point in points if point != round(point)), None)
    whole = axis.span.kind == "tokens" or (
        axis.span.kind == "number" and broken is not None and is_whole(axis.path, _digits(broken), str(round(broken)))
    )
    if whole:
        return [str(round(point)) for point in points]
    return [_digits(point) + (f"/{axis.span.unit}" if axis.span.kind == "rate" else "") for point in points]


def _digits(point: float | Fraction) -> str:
    """Return twelve digits, which no processor's logarithm disputes."""
    return f"{float(point):.12g}"


def _hypercube(axes: Sequence[Axis], count: int, seed: int) -> list[Floats]:
    """Return (N,) shares an axis: its N slices in an order of its own, each with one point anywhere in it."""

    def of_axis(path: str) -> Floats:
        order = np.argsort(uniforms(seed, 0, f"design {path}", "slices", count), kind="stable")
        return np.asarray((order + uniforms(seed, 0, f"design {path}", "within", count)) / count)

    return [of_axis(axis.path) for axis in axes]


def _net(axes: Sequence[Axis], count: int, seed: int) -> list[Floats]:
    """Return (N,) shares an axis: Sobol's sequence, its binary digits flipped where those of the axis's shift are 1."""
    from scipy.stats import qmc  # noqa: PLC0415 - takes two seconds, and no other design needs it

    scale = 1 << _SOBOL_BITS
    points = qmc.Sobol(len(axes), scramble=False, bits=_SOBOL_BITS).random_base2(count.bit_length() - 1)
    whole = np.rint(points * scale).astype(np.int64)
    shifts = [int(uniforms(seed, 0, f"design {axis.path}", "shift", 1)[0] * scale) for axis in axes]
    return [np.asarray(((whole[:, column] ^ shift) + 0.5) / scale) for column, shift in enumerate(shifts)]
