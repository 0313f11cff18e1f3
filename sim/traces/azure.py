"""The Azure LLM inference traces: CSV with a time and two lengths, and nothing about prefixes."""

import datetime as dt
from pathlib import Path

from sim.traces.counts import MOST, count
from sim.traces.lines import Mistakes, csv_rows
from sim.traces.prefix_tree import no_tree
from sim.traces.recorded import Calls, Recorded, assemble, in_order
from sim.units import since_epoch

__all__ = ["COLUMNS", "read"]

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")


def read(path: str | Path, *, sort: bool = False) -> Recorded:
    """Read ``TIMESTAMP, ContextTokens, GeneratedTokens``; a time without a zone is UTC, its seventh decimal is cut."""
    mistakes = Mistakes(path)
    calls = Calls()
    for line, row in csv_rows(mistakes, {name: {name} for name in COLUMNS}):
        before = mistakes.total
        time = _time(row["TIMESTAMP"].strip(), line, mistakes)
        prompt, output = (count(mistakes, line, name, row[name]) for name in COLUMNS[1:])
        if mistakes.total == before:
            calls.add(line, time, prompt, output, shown=row["TIMESTAMP"].strip())
    order, notes = in_order(calls, mistakes, sort=sort)
    mistakes.settle()
    notes.append("the trace does not tell which prompts share a prefix, so no cache can be replayed on it")
    return assemble("azure", calls, order, [-1] * len(order), no_tree(), 0, notes)


def _time(text: str, line: int, mistakes: Mistakes) -> int:
    """Return ms since 1970; note a mistake and return 0 for what is no time."""
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        mistakes.add(line, "TIMESTAMP", "not a date and time", "such as 2023-11-16 18:15:46.6805900", text)
        return 0
    instant = instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)
    ms = since_epoch(instant)
    if not 0 <= ms <= MOST:
        mistakes.add(line, "TIMESTAMP", "before 1970", "a time since 1970", text)
        return 0
    return ms
