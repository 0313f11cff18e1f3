"""A TOML file with the line of every key, and the strict reading of it into a model: every mistake at once."""

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from sim.errors import InputError, Problem, nearest
from sim.paths import DOTTED, KEY, Loc, Misplaced, dotted, put, split

__all__ = ["Document", "Loc", "Strict", "as_toml", "locate", "parse", "read", "validate"]

_ASSIGNED = re.compile(rf"\s*({DOTTED})\s*=")
_HEADER = re.compile(rf"\s*(\[\[?)\s*({DOTTED})\s*\]\]?")
_MOST = 20  # mistakes shown of one file

_BUILT_IN = frozenset(get_args(ErrorType))  # kinds that pydantic can rebuild by name

M = TypeVar("M", bound=BaseModel)


class Strict(BaseModel):
    """A model that refuses unknown keys and names the nearest allowed one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="wrap")
    @classmethod
    def _name_the_allowed_keys(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as error:
            raise ValidationError.from_exception_data(
                error.title, [_with_names(details, cls) for details in error.errors(include_url=False)]
            ) from None


def _with_names(error: Any, model: type[BaseModel]) -> InitErrorDetails:
    kind: str | PydanticCustomError = error["type"]
    context = error.get("ctx", {})
    if kind == "extra_forbidden" and len(error["loc"]) == 1:
        fields = [field.alias or name for name, field in model.model_fields.items()]
        hint = nearest(str(error["loc"][0]), fields)
        kind = PydanticCustomError("unknown_key", "unknown key; {hint}", {"hint": hint})
    elif kind not in _BUILT_IN:
        # a custom error keeps its text through the levels above it
        kind = PydanticCustomError(error["type"], "{text}", {"text": error["msg"]})
    return InitErrorDetails(type=kind, loc=error["loc"], input=error["input"], ctx=context)


class Document(NamedTuple):
    """A parsed file: its name, its values, and where each key stands."""

    file: str
    data: dict[str, Any]
    lines: dict[Loc, int]  # path of a key -> 1-based line
    set_by: dict[Loc, str] = {}  # path of an overridden key -> who set it

    def beside(self, path: str) -> str:
        """Return a path that the file names: relative to the file where something stands there, else as it is."""
        near = Path(self.file).parent / path
        return str(near) if near.is_file() else path

    def line(self, path: Sequence[str | int]) -> int:
        """Return the line of a path, or of its nearest parent that has one, or 0."""
        for length in range(len(path), 0, -1):
            if (line := self.lines.get(tuple(path[:length]))) is not None:
                return line
        return 0

    def problem(self, path: Sequence[str | int], what: str, allowed: str = "", got: object = None) -> Problem:
        """Return a mistake at a path of this file, or of the override that set it."""
        for length in range(len(path), 0, -1):
            if (origin := self.set_by.get(tuple(path[:length]))) is not None:
                return Problem(origin, 0, dotted(path), what, allowed, got)
        if (maker := self._made_by(tuple(path))) is not None:
            return Problem(maker, 0, dotted(path), what, allowed, got)
        return Problem(self.file, self.line(path), dotted(path), what, allowed, got)

    def _made_by(self, path: Loc) -> str | None:
        """Return the override that made a table of the path which the file does not have."""
        known = max((_shared(loc, path) for loc in self.lines), default=0)
        maker = max(self.set_by, key=lambda loc: _shared(loc, path), default=())
        return self.set_by[maker] if _shared(maker, path) > known else None

    def with_values(self, values: Mapping[str, Any], origin: str, below: Mapping[str, Any] | None = None) -> "Document":
        r"""Return the document with the values at some dotted paths replaced or added.

        ``below`` are the tables that the document is laid over: a list of theirs is copied before an element is set.

        >>> parse(b"[a]\nb = 1", "x.toml").with_values({"a.b": 2, "a.c": 3}, "--set").data
        {'a': {'b': 2, 'c': 3}}
        >>> parse(b"a = [{b = 1}]", "x.toml").with_values({"a[0].b": 2}, "--set").data
        {'a': [{'b': 2}]}
        """
        data, set_by = deepcopy(self.data), dict(self.set_by)
        for path, value in values.items():
            try:
                loc = split(path)
            except Misplaced as error:
                raise InputError([Problem(origin, 0, "", error.what, error.allowed, path)]) from None
            try:
                put(data, loc, value, below)
            except Misplaced as error:
                raise InputError([Problem(origin, 0, path, error.what, error.allowed)]) from None
            set_by[loc] = origin
        return Document(self.file, data, self.lines, set_by)


def _shared(one: Loc, other: Loc) -> int:
    """Return how many keys two paths have in common from their start on."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def read(path: str | Path, *, parse_float: Callable[[str], Any] = float) -> Document:
    """Read a TOML file; a mistake of encoding, syntax or access is an :class:`InputError` with its line."""
    name = str(path)
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InputError([Problem(name, 0, "", f"cannot be read: {error.strerror}", "a readable TOML file")]) from None
    return parse(raw, name, parse_float=parse_float)


def parse(raw: bytes, name: str, *, parse_float: Callable[[str], Any] = float) -> Document:
    r"""Parse the bytes of a TOML file.

    >>> parse(b'a = 1\n[b]\nc = 2', "x.toml").lines
    {('a',): 1, ('b',): 2, ('b', 'c'): 3}
    """
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise InputError([Problem(name, line, "", f"not UTF-8 at byte {error.start}", "a UTF-8 text file")]) from None
    try:
        data = tomllib.loads(text, parse_float=parse_float)
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        found = re.search(r"\(at line (\d+)", str(error))
        line = int(found[1]) if found else text.count("\n") + 1
        what = re.sub(r"\s*\(at .*\)$", "", str(error))
        raise InputError([Problem(name, line, "", f"not TOML: {what}", "TOML 1.0")]) from None
    if not text.strip():
        raise InputError([Problem(name, 0, "", "the file is empty", "a TOML document")])
    return Document(name, data, _index(text))


def _index(text: str) -> dict[Loc, int]:
    """Return the line of each key; values come from tomllib, so a miss here only costs precision."""
    lines: dict[Loc, int] = {}
    table: Loc = ()
    counts: dict[Loc, int] = {}
    depth, quote = 0, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not quote and depth == 0:
            if header := _HEADER.match(line):
                table = _enter(split(header[2]), repeated=header[1] == "[[", counts=counts)
                lines.setdefault(table, number)
                continue
            if key := _ASSIGNED.match(line):
                path = table + split(key[1])
                for length in range(len(table) + 1, len(path) + 1):
                    lines.setdefault(path[:length], number)
                _index_inline(line[key.end() :], path, number, lines)
        depth, quote = _brackets(line, depth, quote)
    return lines


def _enter(path: Loc, *, repeated: bool, counts: dict[Loc, int]) -> Loc:
    """Return the full path of a table header, with the indexes of the arrays of tables it passes."""
    full: Loc = ()
    for position, part in enumerate(path):
        full = (*full, part)
        last = position == len(path) - 1
        if last and repeated:
            counts[full] = counts.get(full, -1) + 1
        if full in counts:
            full = (*full, counts[full])
    return full


def _index_inline(value: str, path: Loc, number: int, lines: dict[Loc, int]) -> None:
    """Note the keys of an inline table that stands on the key's own line."""
    if value.lstrip().startswith("{"):
        for key in re.findall(rf"[{{,]\s*({KEY})\s*=", value):
            lines.setdefault(path + split(key), number)


def _brackets(line: str, depth: int, quote: str) -> tuple[int, str]:
    """Return the bracket depth and the open multi-line quote after a line."""
    position = 0
    while position < len(line):
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return (depth, quote) if len(quote) == 3 else (depth, "")
            position, quote = end + len(quote), ""
            continue
        if line.startswith(('"""', "'''"), position):
            quote, position = line[position : position + 3], position + 3
            continue
        char = line[position]
        if char == "#":
            break
        if char in "\"'":
            close = re.compile(r'(?:[^"\\]|\\.)*"' if char == '"' else r"[^']*'").match(line, position + 1)
            position = close.end() if close else len(line)
            continue
        depth += (char in "[{") - (char in "]}")
        position += 1
    return depth, quote


def locate(data: Any, loc: Sequence[str | int]) -> Loc:
    """Return an error's place as a path of the file: the tags that pydantic adds for unions are dropped.

    >>> locate({"arrivals": {"process": "poisson"}}, ("arrivals", "poisson", "rate"))
    ('arrivals', 'rate')
    >>> locate({"arrivals": {"process": "poisson"}}, ("arrivals", "poisson"))
    ('arrivals',)
    """
    path: Loc = ()
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        here = isinstance(data, Mapping) and part in data
        here = here or (isinstance(data, list) and isinstance(part, int) and part < len(data))
        if here:
            path, data = (*path, part), data[part]
        elif last and isinstance(data, Mapping) and not str(part).startswith(("function-", "tagged-union")):
            # the table as a whole is wrong: its kind is no key of it, and may be its name
            tag = part in data.values() or path[-1:] == (part,)
            path = path if tag else (*path, part)
    return path


def as_toml(text: str) -> Any:
    """Return a value as TOML reads it, or the text itself where it is no TOML value: ``--set a.b=1h`` needs no quotes.

    >>> as_toml("3"), as_toml("1h"), as_toml("[1, 2]"), as_toml("true")
    (3, '1h', [1, 2], True)
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, KeyError):
        return text


def validate(document: Document, model: type[M], data: Mapping[str, Any] | None = None, base: Loc = ()) -> M:
    """Return the model of a document, or of the part of it at ``base``; raise every mistake in it with its line."""
    values = document.data if data is None else data
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise InputError(_problems(document, values, error, base)) from None


def _problems(document: Document, values: Mapping[str, Any], error: ValidationError, base: Loc) -> list[Problem]:
    problems: list[Problem] = []
    for entry in error.errors(include_url=False):
        path = base + locate(values, entry["loc"])
        if entry["type"] == "union_tag_invalid":
            problems.append(_unknown_kind(document, path, entry["ctx"]))
            continue
        missing = entry["type"] == "missing"
        what = "a required key is missing" if missing else _sentence(entry)
        simple = isinstance(entry["input"], (str, int, float, Decimal)) or entry["input"] is None
        got = None if missing or entry["type"] == "unknown_key" or not simple else entry["input"]
        problems.append(document.problem(path, what, "", got))
    unique = list(dict.fromkeys(problems))
    if len(unique) > _MOST:
        unique.sort(key=lambda problem: (problem.file, problem.line))
        shown = unique[:_MOST]
        return [*shown, Problem(shown[-1].file, shown[-1].line, "…", f"and {len(unique) - _MOST} mistakes more")]
    return unique


def _unknown_kind(document: Document, path: Loc, context: Mapping[str, Any]) -> Problem:
    """Return the mistake of a table whose kind (``process``, ``law``, ``kind``) is none of those there are."""
    key, kind = str(context["discriminator"]).strip("'"), str(context["tag"])
    names = [name.strip("' ") for name in str(context["expected_tags"]).split(",")]
    return document.problem((*path, key), f"unknown {key}", nearest(kind, names), kind)


_KINDS = {
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "list_type": "must be a list",
    "string_type": "must be text",
}


def _sentence(entry: Any) -> str:
    """Return pydantic's text in the house's words."""
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "string_too_short":
        return "must not be empty" if context["min_length"] == 1 else f"needs {context['min_length']} characters"
    if kind == "too_short":
        entries = "1 entry" if context["min_length"] == 1 else f"{context['min_length']} entries"
        return f"must have at least {entries}; it has {context['actual_length'] or 'none'}"
    text: str = entry["msg"].removeprefix("Value error, ").removeprefix("Input ")
    text = text.replace("Input tag", "the kind").replace("should be", "must be")
    return text[:1].lower() + text[1:]
