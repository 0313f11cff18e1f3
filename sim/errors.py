"""Everything the simulator raises on purpose.

The tree::

    SimError
    ├── InputError (ValueError)        a file or a command line is wrong; carries every mistake        exit 2
    ├── PriceMissing (LookupError)     usage that the price book has no price for                      exit 2
    ├── NotOffered (ValueError)        the model or the platform does not offer what a strategy needs  exit 2
    ├── WouldOverwrite (FileExistsError)  a result is in the way; nothing is ever overwritten          exit 2
    └── EngineError (RuntimeError)     a law of the engine itself is broken: a defect, not a mistake   exit 4
"""

from collections.abc import Collection, Iterable
from decimal import Decimal
from difflib import get_close_matches
from typing import NamedTuple

__all__ = [
    "EngineError",
    "InputError",
    "NotOffered",
    "PriceMissing",
    "Problem",
    "SimError",
    "WouldOverwrite",
    "nearest",
    "unknown",
    "wrong",
]


class Problem(NamedTuple):
    """One mistake in one place, printed as one line.

    >>> print(Problem("a.toml", 3, "streams.chat.rate", "must be > 0", "a rate such as 20/h", "-3/h"))
    a.toml:3: streams.chat.rate: must be > 0; a rate such as 20/h; got '-3/h'
    """

    file: str  # as the user named it
    line: int  # 1-based; 0 = the file as a whole
    path: str  # dotted path of the field, "" = the file as a whole
    what: str  # the rule that is broken
    allowed: str = ""  # what would be accepted
    got: object = None  # the value met; None = nothing to show

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        text = "; ".join(part for part in (self.what, self.allowed) if part)
        got = "" if self.got is None else f"; got {shown(self.got)}"
        path = f"{self.path}: " if self.path else ""
        return f"{place}: {path}{text}{got}".replace("\n", "\\n")


def shown(value: object, limit: int = 80) -> str:
    """Return a value as an error shows it: short, and on one line."""
    text = str(value) if isinstance(value, Decimal) else repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class SimError(Exception):
    """The root: whatever the command line turns into one line and an exit code."""

    exit_code = 2


class InputError(SimError, ValueError):
    """One or more mistakes in what the user wrote; ``problems`` holds each."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: list[Problem] = sorted(problems, key=lambda p: (p.file, p.line, p.path))
        super().__init__("\n".join(str(p) for p in self.problems))

    def __reduce__(self) -> tuple[type["InputError"], tuple[list[Problem]]]:
        return (type(self), (self.problems,))


class PriceMissing(SimError, LookupError):
    """The book has no price for usage that was asked to be rated; it is never taken as zero."""


class NotOffered(SimError, ValueError):
    """The model, the book or the platform does not offer what was asked for."""


class WouldOverwrite(SimError, FileExistsError):
    """A result stands where this one would go."""


class EngineError(SimError, RuntimeError):
    """A conservation law failed inside an engine; the results of the run are void."""

    exit_code = 4


def nearest(name: str, allowed: Iterable[str]) -> str:
    """Return what to say of an unknown name: the nearest ones if any, and the allowed ones.

    >>> nearest("poison", ["poisson", "gamma"])
    "did you mean 'poisson'? allowed: gamma, poisson"
    >>> nearest("nowhere", [])
    'there are none'
    """
    names = sorted(allowed)
    if not names:
        return "there are none"
    close = get_close_matches(name, names, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(names)}"


def wrong(flag: str, what: str, allowed: str = "", got: object = None) -> Problem:
    """Return a mistake in the value of a flag of the command line.

    >>> print(wrong("--draws", "not a number", "a whole number", "x"))
    command line: --draws: not a number; a whole number; got 'x'
    """
    return Problem("command line", 0, flag, what, allowed, got)


def unknown(flag: str, what: str, names: Iterable[str], allowed: Collection[str]) -> list[Problem]:
    """Return the names given with a flag that are none of those allowed, each with the nearest.

    >>> [str(problem) for problem in unknown("--strategy", "strategy", ["none", "nome"], ["none"])]
    ["command line: --strategy: unknown strategy; did you mean 'none'? allowed: none; got 'nome'"]
    """
    return [wrong(flag, f"unknown {what}", nearest(name, allowed), name) for name in names if name not in allowed]
