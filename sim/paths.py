"""Paths of keys and of places in lists: as users write them, as errors show them, and what stands there."""

import re
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeAlias

__all__ = ["DOTTED", "KEY", "Loc", "Misplaced", "dotted", "put", "split", "written"]

KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
DOTTED = rf"{KEY}(?:\s*\.\s*{KEY})*"
_STEP = rf"{KEY}(?:\s*\[\s*\d+\s*\])*"
_PATH = re.compile(rf"\s*{_STEP}(?:\s*\.\s*{_STEP})*\s*")
_PART = re.compile(rf"({KEY})|\[\s*(\d+)\s*\]")
_BARE = re.compile(r"[A-Za-z0-9_-]+")

Loc: TypeAlias = tuple[str | int, ...]


class Misplaced(ValueError):
    """A path leads to no place where a value can stand."""

    def __init__(self, what: str, allowed: str) -> None:
        self.what, self.allowed = what, allowed
        super().__init__(f"{what}; {allowed}")


def split(text: str) -> Loc:
    """Return the keys and places of a path; raise :class:`Misplaced` for what is none.

    >>> split('prices."gemini-2.5-pro".input'), split("a.b[0].c")
    (('prices', 'gemini-2.5-pro', 'input'), ('a', 'b', 0, 'c'))
    """
    if not _PATH.fullmatch(text):
        allowed = "keys joined by dots; a name with other characters than A-Z a-z 0-9 _ - in quotes"
        raise Misplaced("not a path of keys", allowed)
    return tuple(key.strip("\"'") if key else int(place) for key, place in _PART.findall(text))


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as a user reads it.

    >>> dotted(("streams", "chat", 0, "rate"))
    'streams.chat[0].rate'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


def written(path: Sequence[str | int]) -> str:
    r"""Return a path as :func:`split` reads it: names with other characters than those of a bare key in quotes.

    >>> written(("prices", "gemini-2.5-pro", "input"))
    'prices."gemini-2.5-pro".input'
    >>> written(("streams", 'the "old" desk'))
    'streams.\'the "old" desk\''
    """
    return dotted([part if isinstance(part, int) or _BARE.fullmatch(part) else _quoted(part) for part in path])


def _quoted(name: str) -> str:
    """Return a name in those quotes that are not in it."""
    return f"'{name}'" if '"' in name else f'"{name}"'


def put(data: dict[str, Any], path: Loc, value: object, below: Mapping[str, Any] | None = None) -> None:
    """Set the value at a path, in place: tables on the way are made, elements of lists must be there.

    A list that ``data`` does not have is copied from ``below``, the tables that it is laid over, before one of its
    elements is set. Raises :class:`Misplaced` where the path goes through a value or beyond the end of a list.

    >>> data = {"a": [{"b": 1}]}
    >>> put(data, ("a", 0, "b"), 2)
    >>> put(data, ("c", 1), 7, {"c": [5, 6]})
    >>> data
    {'a': [{'b': 2}], 'c': [5, 7]}
    """
    here: Any = data
    for at, part in enumerate(path[:-1]):
        _check(here, path, at)
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = _list_below(path[: at + 1], below or {}) if isinstance(path[at + 1], int) else {}
        here = here[part]
    _check(here, path, len(path) - 1)
    here[path[-1]] = value


def _check(here: Any, path: Loc, at: int) -> None:
    """Refuse to look for a key in a list or a value, or for an element in a table or beyond the end of its list."""
    part = path[at]
    named = next((n for n in range(at - 1, -1, -1) if isinstance(path[n], str)), 0)
    name = dotted(path[named:at])
    if isinstance(part, str):
        if isinstance(here, list):
            raise Misplaced(f"{name} is a list, not a table", f"the place of an element first, such as {name}[0]")
        if not isinstance(here, dict):
            raise Misplaced(f"{name} is a value, not a table", "the path of a key")
    elif not isinstance(here, list):
        raise Misplaced(
            f"{name} is a {'table' if isinstance(here, dict) else 'value'}, not a list", "the path of a key"
        )
    elif part >= len(here):
        last = len(here) - 1
        raise Misplaced(f"{name} has no element {part}", f"a place from 0 to {last}" if here else "it is empty")


def _list_below(path: Loc, below: Mapping[str, Any]) -> list[Any]:
    """Return a copy of the list at a path of the tables that lie below."""
    here: Any = below
    for part in path:
        here = here.get(part) if isinstance(here, Mapping) else None
    if not isinstance(here, list):
        raise Misplaced(f"there is no list {dotted(path)} to change an element of", f"the whole list at {dotted(path)}")
    return deepcopy(here)
