"""What commands share in reading their arguments: every mistake of a command line is reported at once."""

import datetime as dt
from collections.abc import Callable
from typing import Any, TypeVar

from pydantic_core import PydanticCustomError

from sim.cli.console import stderr
from sim.errors import InputError, Problem, wrong
from sim.providers import Book, load_book
from sim.providers.facts import midnight
from sim.units import as_instant, since_epoch

__all__ = ["Arguments", "as_day", "warn_of_book"]

T = TypeVar("T")


class Arguments:
    """The arguments of one command, and the mistakes found in them so far."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def refuse(self, flag: str, what: str, allowed: str = "", got: object = None) -> None:
        """Note a mistake in the value of a flag."""
        self.problems.append(wrong(flag, what, allowed, got))

    def read(self, flag: str, text: str, parse: Callable[[Any], T]) -> T | None:
        """Return the value of a flag, or note what is wrong with it."""
        try:
            return parse(text)
        except PydanticCustomError as error:
            self.refuse(flag, error.message(), "", text)
            return None

    def book(self, name_or_path: str) -> Book | None:
        """Return a price book, or note what is wrong with it."""
        try:
            return load_book(name_or_path)
        except InputError as error:
            self.problems += error.problems
            return None

    def check(self) -> None:
        """Raise :class:`InputError` with every mistake noted, if there is one."""
        if self.problems:
            raise InputError(self.problems)


def as_day(text: str) -> int:
    """Return a day (its midnight in UTC) or an instant with its zone, in ms since the Unix epoch.

    >>> as_day("1970-01-02"), as_day("1970-01-01T01:00:00+01:00")
    (86400000, 0)
    """
    try:
        return midnight(dt.date.fromisoformat(text))
    except ValueError:
        pass
    try:
        return since_epoch(as_instant(text))
    except PydanticCustomError:
        what, allowed = "not a day", 'a day such as "2026-12-01", or an instant with its zone'
        raise PydanticCustomError("unit", "{what}; {allowed}", {"what": what, "allowed": allowed}) from None


def warn_of_book(book: Book, at_ms: int) -> None:
    """Print to stderr what is odd in a book, and that it is old on a date."""
    stale = book.stale(at_ms)
    for text in [str(problem) for problem in book.warnings] + ([stale] if stale else []):
        stderr().print(f"warning: {text}", markup=False, soft_wrap=True)
