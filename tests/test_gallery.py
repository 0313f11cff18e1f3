"""The gallery: every shipped scenario has its committed output, which is made anew here and compared.

These are snapshots, not oracles: they say that a figure moved, not which one is right. Closed forms stand in
test_guide.py, test_mistakes.py and test_service_scenarios.py. After a change that is meant to move figures, write them
anew and read the diff::

    python tests/test_gallery.py
"""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from shipped import ran

import sim
from sim.billing import decimal_text
from sim.experiments.result import LIMIT_NAMES
from sim.ledger import Limit, Mode
from sim.scenario import shipped

GALLERY = Path(__file__).parent.parent / "results" / "gallery"
SCHEMA = "gcsim.gallery/2"
COUNTS = ("total", "done", "failed", "expired", "within_patience")


def snapshot(name):
    """Return the small output of a scenario: two replications where it is random."""
    replications = min(sim.load(name).replications, 2)
    result = ran(name, replications)
    return {
        "schema": SCHEMA,
        "scenario": name,
        "question": result.question,
        "book": result.book,
        "seed": result.seed,
        "replications": replications,
        "results": [row(result.of(s, m)) for m in result.models for s in result.strategies],
    }


def row(cells):
    """Return what one strategy gave on one model; the exact amounts are those of the first replication."""
    first, streams = cells[0], [stream for cell in cells for stream in cell.streams]
    prompt = sum(stream.prompt_tokens for stream in streams)
    waited = np.concatenate([stream.latency_ms for stream in streams])
    return {
        "strategy": first.strategy,
        "model": first.model,
        "total_exact_usd": decimal_text(first.total_usd),
        "lines_exact_usd": {line: decimal_text(usd) for line, usd in first.lines_usd.items()},
        "cost_usd_mean": float(sum((cell.total_usd for cell in cells), Fraction(0)) / len(cells)),
        "requests": {name: sum(getattr(stream, name) for stream in streams) for name in COUNTS},
        "hit_ratio": {
            "implicit": sum(stream.implicit_tokens for stream in streams) / prompt if prompt else None,
            "explicit": sum(stream.explicit_tokens for stream in streams) / prompt if prompt else None,
        },
        "latency_s_mean": float(waited.mean()) / 1000 if len(waited) else None,
        "calls": [cell.binding.calls for cell in cells],
        "refused": [
            {LIMIT_NAMES[limit]: calls for limit in Limit if (calls := cell.binding.refused(limit))} for cell in cells
        ],
        "backoff_ms": [cell.binding.backoff_ms for cell in cells],
        "queued_ms": [cell.binding.queued_ms for cell in cells],
        "served": {mode.name.lower(): [cell.binding.served[mode] for cell in cells] for mode in Mode},
        "caches": [cell.caches.created for cell in cells],
        "unread_caches": [cell.caches.unread and cell.caches.unread.caches for cell in cells],
        "refused_contexts": [cell.caches.refused for cell in cells],
        "jobs": [cell.jobs for cell in cells],
        "job_waits_ms": [int(cell.turnaround.before_ms.sum()) for cell in cells],
    }


def leaves(value, path=""):
    """Yield (path, value) of every number, text and truth value in a JSON document."""
    if isinstance(value, (dict, list)):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, value


@pytest.mark.parametrize("name", sorted(shipped()))
def test_a_scenario_gives_its_committed_output(name):
    """Snapshot: exact amounts and counts are equal, and floats to 1e-9 of them."""
    committed = dict(leaves(json.loads((GALLERY / f"{name}.json").read_text(encoding="utf-8"))))
    made = dict(leaves(snapshot(name)))
    assert made.keys() == committed.keys()
    for path, value in made.items():
        wanted = pytest.approx(committed[path], rel=1e-9) if isinstance(value, float) else committed[path]
        assert value == wanted, path


def test_the_gallery_holds_the_shipped_scenarios():
    """No output is left of a scenario that is gone."""
    assert {path.stem for path in GALLERY.iterdir()} == set(shipped())


def main():
    """Write the gallery anew."""
    GALLERY.mkdir(parents=True, exist_ok=True)
    for path in GALLERY.glob("*.json"):
        path.unlink()
    for name in sorted(shipped()):
        text = json.dumps(snapshot(name), indent=1, ensure_ascii=False)
        (GALLERY / f"{name}.json").write_text(text + "\n", encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main()
