"""A user's own log: one Gemini call a row, JSONL or CSV, with the usage metadata that the API returned."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sim.traces.lines import Mistakes, csv_rows, first_line, json_rows, names_of
from sim.traces.log_fields import FIELD_OF, FIELDS, TIMES, Row, cells_of
from sim.traces.log_prefixes import Shared, prefixes
from sim.traces.recorded import Calls, Recorded, assemble, in_order

__all__ = ["read"]


def read(path: str | Path, *, sort: bool = False) -> Recorded:
    """Read a log of calls.

    A row has a time - ISO text with its zone under ``time``, ``timestamp`` or ``logging_time``, or a number under
    ``time_s`` or ``time_ms`` - and Gemini's usage metadata, nested or flat, in camelCase or snake_case, or
    OpenTelemetry's ``gen_ai.usage.*``. Optional: ``context_id``, ``context_tokens``, ``session_id``, ``id``, ``model``.
    The prompt is the prompt and what a tool added to it; the output is candidates and thoughts.
    """
    mistakes = Mistakes(path)
    calls, shared = Calls(), list[Shared]()
    ids, models = dict[str, int](), set[str]()
    for line, found, tells_cached in _rows(mistakes):
        row = Row(line, cells_of(found, line, mistakes), mistakes)
        _seen_once(row, ids)
        _add(row, calls, shared, tells_cached=tells_cached)
        models.add(row.text("model"))
    order, notes = in_order(calls, mistakes, sort=sort)
    mistakes.settle()
    tree, leaf, assumed = prefixes(calls, order, shared, mistakes)
    mistakes.settle()
    if len(models - {""}) > 1:
        notes.append(f"prefixes are taken to be shared between the models {', '.join(sorted(models - {''}))}")
    return assemble("log", calls, order, leaf, tree, 1, [*notes, *assumed])


def _rows(mistakes: Mistakes) -> Iterator[tuple[int, dict[str, Any], bool]]:
    """Yield (line, row, whether it tells of cached tokens): JSON leaves out a 0, a missing column is silence."""
    if first_line(Mistakes(mistakes.file)).lstrip().startswith(("{", "[")):
        yield from ((line, row, True) for line, row in json_rows(mistakes))
    else:
        for line, row in csv_rows(mistakes, _needs()):
            yield line, row, any(FIELD_OF.get(name) == "cached" for name in row)


def _needs() -> dict[str, set[str]]:
    """Return what the header of a table must have: how it is said, and each name that will do."""
    fields_of = {names_of([n for f in fields for n in FIELDS[f]]): fields for fields in (TIMES[::-1], ("prompt",))}
    return {said: {n for n, f in FIELD_OF.items() if f in fields} for said, fields in fields_of.items()}


def _add(row: Row, calls: Calls, shared: list[Shared], *, tells_cached: bool) -> None:
    """Append a row's call if nothing in it is wrong."""
    before = row.mistakes.total
    time = row.time()
    prompt, candidates, thoughts, tool_use = map(row.count, ("prompt", "candidates", "thoughts", "tool_use"))
    cached, total, context_tokens = map(row.count, ("cached", "total", "context_tokens"))
    if row.mistakes.total > before or "prompt" not in row.cells or not row.cells.keys() & set(TIMES):
        return
    whole = prompt + tool_use
    parts = whole + candidates + thoughts
    if "total" in row.cells and total != parts:
        what = f"is not prompt + candidates + thoughts + tool use = {prompt} + {candidates} + {thoughts} + {tool_use}"
        row.wrong("total", what, f"{parts}, as an absent count is 0", total)
    if cached > whole:
        row.wrong("cached", "more tokens than the prompt has", f"at most {whole}", cached)
    if context_tokens > whole:
        row.wrong("context_tokens", "a prefix longer than the prompt", f"at most {whole}", context_tokens)
    if context_tokens and "context" not in row.cells:
        row.wrong("context_tokens", "tokens of a context without a name", "a context_id beside it", context_tokens)
    if row.mistakes.total == before:
        shown = next(row.cells[field].value for field in TIMES if field in row.cells)
        told = cached if tells_cached else -1
        calls.add(row.line, time, whole, candidates + thoughts, thinking=thoughts, cached=told, shown=shown)
        declared = context_tokens if "context_tokens" in row.cells else None
        shared.append(Shared(row.text("context"), declared, row.text("session")))


def _seen_once(row: Row, ids: dict[str, int]) -> None:
    if name := row.text("id"):
        first = ids.setdefault(name, row.line)
        if first != row.line:
            row.wrong("id", f"the id of line {first} again", "an id once", name)
