"""The kv-cache-tester conversations in the compact form: a conversation a line, prefix blocks by runs of local ids."""

from pathlib import Path
from typing import Any, NamedTuple

from sim.traces.counts import count, milliseconds
from sim.traces.lines import Mistakes, json_rows
from sim.traces.prefix_tree import Run, TreeBuilder
from sim.traces.recorded import Calls, Recorded, assemble

__all__ = ["KEYS", "read"]

KEYS = ("block_size", "requests")
_CALL = ("t", "in", "out", "hash_ids")


class _Reading(NamedTuple):
    """What is gathered while the conversations are walked."""

    mistakes: Mistakes
    calls: Calls
    prefixes: list[tuple[list[Run], int]]  # whole blocks, conversation
    back: list[int]  # lines of requests that stand before an earlier one


def read(path: str | Path, *, sort: bool = False) -> Recorded:
    """Read ``{"block_size", "requests": [{"t", "type", "in", "out", "hash_ids"}]}`` a line.

    ``t`` counts seconds from the conversation's start, that of a subagent's requests from the subagent's own ``t``.
    Ids are local to a conversation, a subagent shares its parent's; ``[first, last]`` is an inclusive run.
    """
    reading = _Reading(Mistakes(path), Calls(), [], [])
    mistakes, sizes = reading.mistakes, dict[int, int]()
    for scope, (line, row) in enumerate(json_rows(mistakes)):
        missing = [key for key in KEYS if key not in row]
        if missing:
            mistakes.add(line, missing[0], "the key is missing", f"{', '.join(KEYS)}; the row has {', '.join(row)}")
            continue
        size = count(mistakes, line, "block_size", row["block_size"])
        sizes.setdefault(size, line)
        if not size or len(sizes) > 1:
            mistakes.add(line, "block_size", "must be > 0 and the same in every line", "such as 64", size)
            sizes.pop(size)
            continue
        _walk(reading, row["requests"], (line, scope, size), start_ms=0, path="requests")
    if reading.back and not sort:
        what = f"a request is earlier than the one before (requests like this: {len(reading.back)})"
        mistakes.add(reading.back[0], "requests", what, "requests in order of t, or --sort")
    mistakes.settle()
    return _built(reading, next(iter(sizes), 0), sort=sort)


def _built(reading: _Reading, block_tokens: int, *, sort: bool) -> Recorded:
    builder = TreeBuilder()
    tree, leaf = builder.finish(block_tokens, [builder.insert(runs, scope) for runs, scope in reading.prefixes])
    notes = [
        "every conversation is taken to start at the same instant: the file has no other times",
        "calls arrive at their recorded times: a faster or slower answer does not move the next one",
    ]
    if reading.back and sort:
        notes.append(f"sorted by time: {len(reading.back)} requests were earlier than the one before")
    order = sorted(range(len(leaf)), key=reading.calls.time.__getitem__)
    return assemble("kvct", reading.calls, order, leaf, tree, block_tokens, notes)


def _walk(reading: _Reading, requests: Any, place: tuple[int, int, int], *, start_ms: int, path: str) -> None:
    """Gather the requests of a conversation, or of a subagent in it."""
    line, mistakes, last = place[0], reading.mistakes, 0
    if not isinstance(requests, list):
        mistakes.add(line, path, "not a list of requests", "a JSON array", requests)
        return
    for index, row in enumerate(requests):
        here = f"{path}[{index}]"
        if not isinstance(row, dict) or "t" not in row:
            mistakes.add(line, here, "not a request", "an object with t, type, in, out, hash_ids", row)
            continue
        time = milliseconds(mistakes, line, f"{here}.t", row["t"], unit_ms=1000)
        if time < last:
            reading.back.append(line)
        last = time
        if row.get("type") == "subagent":
            nested = f"{here}.requests"
            _walk(reading, row.get("requests"), place, start_ms=start_ms + time, path=nested)
        else:
            _call(reading, row, place, start_ms + time, here)


def _call(reading: _Reading, row: dict[str, Any], place: tuple[int, int, int], time: int, path: str) -> None:
    mistakes, before = reading.mistakes, reading.mistakes.total
    line, scope, size = place
    if row.get("type") not in {"n", "s"}:
        mistakes.add(line, f"{path}.type", "unknown type of request", "n, s or subagent", row.get("type"))
    for key in _CALL:
        if key not in row:
            mistakes.add(line, f"{path}.{key}", "the key is missing", f"{', '.join(_CALL)}; it has {', '.join(row)}")
    if mistakes.total > before:
        return
    prompt = count(mistakes, line, f"{path}.in", row["in"])
    output = count(mistakes, line, f"{path}.out", row["out"])
    runs = _whole_blocks(row["hash_ids"], prompt // size, line, f"{path}.hash_ids", mistakes)
    if mistakes.total == before:
        reading.calls.add(line, time, prompt, output)
        reading.prefixes.append((runs, scope))


def _whole_blocks(ids: Any, whole: int, line: int, path: str, mistakes: Mistakes) -> list[Run]:
    """Return the first ``whole`` blocks of a list of ids and inclusive runs."""
    runs: list[Run] = []
    for entry in ids if isinstance(ids, list) else [ids]:
        first, last = entry if isinstance(entry, list) and len(entry) == 2 else (entry, entry)
        if not (type(first) is int and type(last) is int and 0 <= first <= last):
            mistakes.add(line, path, "neither an id nor a run of ids", "ids >= 0 and runs [first, last]", entry)
            return []
        runs.append((first, last + 1))
    blocks = sum(stop - first for first, stop in runs)
    if not whole <= blocks <= whole + 1:
        mistakes.add(line, path, "the number of blocks does not fit `in`", f"{whole} or {whole + 1}", blocks)
    if blocks == whole + 1:
        first, stop = runs.pop()
        runs += [(first, stop - 1)] if stop - 1 > first else []
    return runs
