"""The Mooncake traces: a JSON object a request, prefix blocks of 512 tokens by chained hash ids."""

from pathlib import Path
from typing import Any

from sim.traces.counts import count
from sim.traces.lines import Mistakes, json_rows
from sim.traces.prefix_tree import Run, TreeBuilder, runs_of
from sim.traces.recorded import Calls, Recorded, assemble, in_order

__all__ = ["BLOCK_TOKENS", "KEYS", "read"]

BLOCK_TOKENS = 512  # the traces were hashed so; the file does not say
KEYS = ("timestamp", "input_length", "output_length", "hash_ids")


def read(path: str | Path, *, sort: bool = False) -> Recorded:
    """Read ``{"timestamp": ms, "input_length", "output_length", "hash_ids": [int]}`` a line.

    The last id is a partial block unless ``input_length`` is a multiple of 512; only whole blocks can be matched.
    """
    mistakes = Mistakes(path)
    calls, prefixes = Calls(), list[list[Run]]()
    for line, row in json_rows(mistakes):
        before = mistakes.total
        missing = [key for key in KEYS if key not in row]
        if missing:
            mistakes.add(line, missing[0], "the key is missing", f"{', '.join(KEYS)}; the row has {', '.join(row)}")
            continue
        time, prompt, output = (count(mistakes, line, key, row[key]) for key in KEYS[:3])
        blocks = _whole_blocks(row["hash_ids"], prompt, line, mistakes)
        if mistakes.total == before:
            calls.add(line, time, prompt, output, shown=row["timestamp"])
            prefixes.append(blocks)
    order, notes = in_order(calls, mistakes, sort=sort)
    mistakes.settle()
    builder = TreeBuilder()
    tree, leaf = builder.finish(BLOCK_TOKENS, [builder.insert(runs) for runs in prefixes])
    return assemble("mooncake", calls, order, leaf, tree, BLOCK_TOKENS, notes)


def _whole_blocks(ids: Any, prompt: int, line: int, mistakes: Mistakes) -> list[Run]:
    if not isinstance(ids, list) or not all(type(block) is int and block >= 0 for block in ids):
        mistakes.add(line, "hash_ids", "not a list of block ids", "a list of whole numbers >= 0", ids)
        return []
    whole = prompt // BLOCK_TOKENS
    if not whole <= len(ids) <= whole + 1:
        allowed = f"{whole} or {whole + 1} of {BLOCK_TOKENS} tokens each"
        mistakes.add(line, "hash_ids", f"the number of blocks does not fit input_length {prompt}", allowed, len(ids))
    return runs_of(ids[:whole])
