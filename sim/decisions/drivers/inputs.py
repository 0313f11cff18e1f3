"""What a sensitivity study varies: paths of a scenario, each with a law that says where its values lie.

A range is a uniform law, ``LO..HI:log`` a loguniform one, and a list a choice; the scenario's own reading of laws does
the rest, so whole numbers stay whole and a value that a path refuses is told before anything is computed.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from sim.decisions.drivers.usual import usual
from sim.errors import InputError, Problem, wrong
from sim.experiments.designs import items
from sim.scenario import Scenario, read_scenario
from sim.scenario.distributions import NotALaw, law_of
from sim.scenario.families import LAWS
from sim.scenario.uncertain import Uncertain, drawn
from sim.workload.sizes import Floats

__all__ = ["Inputs", "Origin", "inputs_of"]

FORMS = "LO..HI, LO..HI:log, V1,V2,... or a law such as lognormal(120/h, cv=0.3)"
TAIL = 0.05  # of a law that no range bounds, left out at each end where its ends are asked for

_RANGE = re.compile(r"(?P<lo>[^(),]+?)\.\.(?P<hi>[^:(),]+)(?::(?P<scale>[^:]*))?")
_CALL = re.compile(r"[A-Za-z_]\w*\s*\(.*\)", re.DOTALL)
_TARGET = "patience_target="
_CLOSED = {"uniform", "loguniform", "choice"}

Origin: TypeAlias = Literal["given", "scenario", "derived"]


class Inputs(NamedTuple):
    """The inputs of a study, in their order, and where they come from."""

    every: tuple[Uncertain, ...]
    texts: tuple[str, ...]  # as asked for
    origin: Origin  # of --vary; the scenario's own laws; derived from the scenario, which has none

    @property
    def paths(self) -> list[str]:
        """Return the path of each input."""
        return [one.path for one in self.every]

    def ends(self, number: int) -> tuple[float, float]:
        """Return the shares that an input's low and high value are at: a law without bounds leaves out its tails."""
        law = self.every[number].law
        bounded = law.name in _CLOSED or (np.isfinite(law.least) and np.isfinite(law.most))
        return (0.0, 1.0) if bounded else (TAIL, 1 - TAIL)

    def sets(self, shares: Sequence[float | None]) -> tuple[str, ...]:
        """Return overrides for a share of (0, 1) of each input's law; None leaves it as the scenario has it.

        Members of a joint law are drawn together: where one is given, the others without a share are at their means.
        """
        groups = {one.group for one, share in zip(self.every, shares, strict=True) if share is not None and one.group}
        wanted = [
            (one, _mean_share(one) if share is None else share)
            for one, share in zip(self.every, shares, strict=True)
            if share is not None or one.group in groups
        ]
        return drawn([one for one, _ in wanted], [share for _, share in wanted])

    def at(self, points: Floats, columns: Sequence[int] | None = None) -> list[tuple[str, ...]]:
        """Return the overrides at the (n, k) points of a design over all inputs, or over those of some columns.

        A coordinate of exactly 0 or 1 is an end of its input.
        """
        chosen = range(len(self.every)) if columns is None else columns
        ends = {number: self.ends(number) for number in chosen}
        found = []
        for row in points.tolist():
            shares: list[float | None] = [None] * len(self.every)
            for number, u in zip(chosen, row, strict=True):
                low, high = ends[number]
                shares[number] = low + u * (high - low)
            found.append(self.sets(shares))
        return found

    def value(self, number: int, share: float) -> str:
        """Return the value of one input at a share of its law, the others as they are."""
        shares: list[float | None] = [None] * len(self.every)
        shares[number] = share
        path = self.every[number].path
        return next(text.removeprefix(f"{path}=") for text in self.sets(shares) if text.startswith(f"{path}="))


def _mean_share(one: Uncertain) -> float:
    """Return the share at which a member of a joint law has its mean."""
    return LAWS[one.law.name].chance(one.law.shape, one.law.shape[0])


def inputs_of(base: Scenario, vary: Iterable[str], flag: str = "--vary") -> Inputs:
    """Return what is varied: as asked for, else what the scenario does not know, else what is usual.

    Raises :class:`InputError` with every mistake: of a text, and of a value near an end that its path refuses.

    >>> from sim.scenario import load
    >>> found = inputs_of(load("quickstart"), ["load=0.5..2:log", "strategies.explicit.ttl=10m,1h"])
    >>> found.at(np.array([[0.0, 1.0]]))
    [('load=0.5', 'strategies.explicit.ttl=1h')]
    """
    texts = [text.strip() for text in vary]
    if texts:
        return _given(base, texts, flag)
    if base.uncertain:
        return Inputs(base.uncertain, tuple(f"{one.path}={one.text}" for one in base.uncertain), "scenario")
    found = usual(base)
    if not found:
        raise InputError([wrong(flag, "nothing in this scenario is varied by itself", f"at least one PATH={FORMS}")])
    return Inputs(_read(base, found), tuple(found), "derived")


def _given(base: Scenario, texts: Sequence[str], flag: str) -> Inputs:
    problems: list[Problem] = []
    laws: dict[str, str] = {}
    for text in texts:
        path, equals, values = (part.strip() for part in text.partition("="))
        if not (equals and path and values):
            problems.append(wrong(flag, "not something to vary", f"PATH={FORMS}", text))
        elif path.partition(".")[0] in {"seed", "replications"}:
            problems.append(wrong(flag, f"{path} is common to all points", f"--{path}", text))
        elif path in laws:
            problems.append(wrong(flag, f"{path} is varied twice", "each path once", text))
        else:
            laws[path] = _law(values, text, flag, problems)
    if problems:
        raise InputError(problems)
    sets = [f"{path}={law}" for path, law in laws.items()]
    try:
        found = {one.path: one for one in _read(base, [one for one in sets if not one.startswith(_TARGET)])}
        found |= {path: _target(path, law) for path, law in laws.items() if path == _TARGET.rstrip("=")}
    except InputError as error:
        raise InputError([_renamed(problem, sets, texts, flag) for problem in error.problems]) from None
    if missing := [text for path, text in zip(laws, texts, strict=True) if path not in found]:
        raise InputError([wrong(flag, "cannot be varied here", "the path of a value", text) for text in missing])
    inputs = Inputs(tuple(found[path] for path in laws), tuple(texts), "given")
    _try_ends(base, inputs, flag)
    return inputs


def _target(path: str, law: str) -> Uncertain:
    """Return the patience target as an input: no scenario is unsure of its own, but one may ask what it costs."""
    try:
        return Uncertain(path, law, law_of(law), (path,))
    except NotALaw as error:
        raise InputError([Problem(f"--set {path}={law}", 0, path, error.what, error.allowed, law)]) from None


def _law(values: str, text: str, flag: str, problems: list[Problem]) -> str:
    """Return the law of what is tried at a path, or note what is wrong with it."""
    if _CALL.fullmatch(values):
        return values
    if (match := _RANGE.fullmatch(values)) is not None:
        if (scale := match["scale"] or "lin") not in {"lin", "log"}:
            problems.append(wrong(flag, "unknown scale", "lin or log", text))
        name = "loguniform" if scale == "log" else "uniform"
        return f"{name}({match['lo'].strip()}, {match['hi'].strip()})"
    listed = items(values)
    if len(listed) < 2 or "" in listed:
        problems.append(wrong(flag, "not something to vary", f"PATH={FORMS}", text))
    return f"choice({values})"


def _read(base: Scenario, sets: Sequence[str]) -> tuple[Uncertain, ...]:
    return read_scenario(base.document, base.name, sets=sets).uncertain


def _renamed(problem: Problem, sets: Sequence[str], texts: Sequence[str], flag: str) -> Problem:
    """Return a mistake with the text that the user wrote."""
    for law, text in zip(sets, texts, strict=True):
        if problem.file == f"--set {law}":
            return problem._replace(file=f"{flag} {text}")
    return problem


def _try_ends(base: Scenario, inputs: Inputs, flag: str) -> None:
    """Refuse a range one of whose very ends is no value of its path."""
    problems = []
    for number, text in enumerate(inputs.texts):
        for share in inputs.ends(number):
            shares: list[float | None] = [None] * len(inputs.every)
            shares[number] = share
            try:
                read_scenario(base.document, base.name, sets=inputs.sets(shares))
            except InputError as error:
                problems += [problem._replace(file=f"{flag} {text}") for problem in error.problems]
    if problems:
        raise InputError(dict.fromkeys(problems))
