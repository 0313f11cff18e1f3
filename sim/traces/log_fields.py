"""What the cells of a user's log are called: Gemini's REST and SDK names, OpenTelemetry's, and our own few."""

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sim.traces.counts import MOST, count, milliseconds, number
from sim.traces.lines import Mistakes, names_of
from sim.units import since_epoch

__all__ = ["FIELDS", "FIELD_OF", "TIMES", "Row", "cells_of", "leaves"]

FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "time": ("time", "timestamp", "logging_time"),  # ISO text with a zone
    "time_s": ("time_s",),  # since 1970, or since any other instant
    "time_ms": ("time_ms",),
    "prompt": ("promptTokenCount", "prompt_token_count", "gen_ai.usage.input_tokens"),  # cached ones included
    "cached": ("cachedContentTokenCount", "cached_content_token_count", "gen_ai.usage.cache_read.input_tokens"),
    "candidates": ("candidatesTokenCount", "candidates_token_count", "gen_ai.usage.output_tokens"),
    "thoughts": ("thoughtsTokenCount", "thoughts_token_count"),
    "tool_use": ("toolUsePromptTokenCount", "tool_use_prompt_token_count"),
    "total": ("totalTokenCount", "total_token_count"),
    "context": ("context_id",),
    "context_tokens": ("context_tokens",),
    "session": ("session_id",),
    "id": ("id", "request_id"),
    "model": ("model",),
}
TIMES: Final = ("time_ms", "time_s", "time")  # where several are given the finest unit decides

_WRAPPERS = ("usageMetadata", "usage_metadata", "response", "full_response", "attributes")
_NAMES = {name: field for field, names in FIELDS.items() for name in names}
FIELD_OF: Final = _NAMES | {f"{wrapper}.{name}": field for wrapper in _WRAPPERS for name, field in _NAMES.items()}


class Cell(NamedTuple):
    """A value, and what the file calls it."""

    name: str
    value: Any


class Row(NamedTuple):
    """A row of a log by the keys of :data:`FIELDS`; cells that are empty or null are absent."""

    line: int
    cells: dict[str, Cell]
    mistakes: Mistakes

    def wrong(self, field: str, what: str, allowed: str, got: object) -> None:
        """Note a mistake in a field."""
        name = self.cells[field].name if field in self.cells else FIELDS[field][0]
        self.mistakes.add(self.line, name, what, allowed, got)

    def count(self, field: str) -> int:
        """Return a token count; absent is 0."""
        cell = self.cells.get(field)
        return 0 if cell is None else count(self.mistakes, self.line, cell.name, cell.value)

    def text(self, field: str) -> str:
        """Return an identifier, "" if there is none."""
        cell = self.cells.get(field)
        return "" if cell is None else str(cell.value)

    def time(self) -> int:
        """Return the time in ms, cut to whole ones; 0 if there is none."""
        for field, unit_ms in (("time_ms", 1), ("time_s", 1000)):
            if cell := self.cells.get(field):
                return milliseconds(self.mistakes, self.line, cell.name, cell.value, unit_ms=unit_ms)
        return self._instant(self.cells["time"]) if "time" in self.cells else 0

    def _instant(self, cell: Cell) -> int:
        allowed = 'ISO text with a zone, such as "2026-11-20T10:00:00.5Z", or a number under time_s or time_ms'
        text = str(cell.value).strip()
        if number(cell.value) is not None:
            self.wrong("time", "a number whose unit is not told", allowed, text)
            return 0
        try:
            # BigQuery writes the zone as a word
            instant = dt.datetime.fromisoformat(f"{text[:-4]}Z" if text.endswith(" UTC") else text)
        except ValueError:
            self.wrong("time", "not a date and time", allowed, text)
            return 0
        if instant.tzinfo is None:
            self.wrong("time", "the time zone is missing", allowed, text)
            return 0
        ms = since_epoch(instant)
        if not 0 <= ms <= MOST:
            self.wrong("time", "before 1970", allowed, text)
            return 0
        return ms


def leaves(row: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a row, those inside the usage metadata included.

    >>> list(leaves({"time_s": 1, "response": {"usageMetadata": {"promptTokenCount": 5}}}))
    [('time_s', 1), ('promptTokenCount', 5)]
    """
    for name, value in row.items():
        if isinstance(value, dict) and name in _WRAPPERS:
            yield from leaves(value)
        else:
            yield name, value


def cells_of(row: Mapping[str, Any], line: int, mistakes: Mistakes) -> dict[str, Cell]:
    """Return the cells of a row by field; one given twice must agree with itself, a time and a prompt must be there."""
    cells: dict[str, Cell] = {}
    for name, value in leaves(row):
        field = FIELD_OF.get(name)
        if field is None or value is None or (isinstance(value, str) and not value.strip()):
            continue
        known = cells.setdefault(field, Cell(name, value))
        if str(known.value) != str(value):
            mistakes.add(line, name, f"differs from {known.name} of the same row", str(known.value), value)
    found = f"the row has {', '.join(name for name, _ in leaves(row)) or 'no keys'}"
    if not any(field in cells for field in TIMES):
        names = [name for field in reversed(TIMES) for name in FIELDS[field]]
        mistakes.add(line, "time", "the time is missing", f"under {names_of(names)}; {found}")
    if "prompt" not in cells:
        allowed = f"under {names_of(FIELDS['prompt'])}; {found}"
        mistakes.add(line, FIELDS["prompt"][0], "the prompt's tokens are missing", allowed)
    return cells
