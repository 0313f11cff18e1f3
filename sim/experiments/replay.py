"""A recorded trace under every strategy: the requests are fixed, the service is random."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sim.document import Document
from sim.experiments.montecarlo import Progress, run
from sim.experiments.result import Result
from sim.scenario import Scenario, read_scenario

__all__ = ["MODELS", "REPLAY_START", "USUAL", "replay", "replay_scenario"]

MODELS = ("gemini-2.5-flash",)
USUAL = ("none", "implicit", "explicit", "batch", "hybrid", "routed")  # not every book offers flex and priority
REPLAY_START = "2026-11-23T00:00:00Z"  # of a trace without a calendar: a date of the shipped books, not the clock


def replay(
    path: str | Path, *, keep_requests: bool = False, progress: Progress | None = None, **arguments: Any
) -> tuple[Scenario, Result]:
    """Return the scenario of a recorded trace and what it gave: the requests are fixed, the service is random.

    The other arguments are those of :func:`replay_scenario`.
    """
    scenario = replay_scenario(path, **arguments)
    return scenario, run(scenario, keep_requests=keep_requests, progress=progress)


def replay_scenario(  # noqa: PLR0913 - as many as the command has options
    path: str | Path,
    *,
    format: str = "auto",  # noqa: A002 - the option's name
    models: Sequence[str] = MODELS,
    strategies: Sequence[str] = USUAL,
    baseline: str | None = None,
    book: str = "google",
    start: str = REPLAY_START,
    seed: int = 1,
    replications: int = 10,
    sort: bool = False,
    sets: Sequence[str] = (),
) -> Scenario:
    """Return the scenario that replays a recorded trace.

    ``sets`` override the scenario that these arguments make, for example ``replay.patience=10m``.
    """
    name = Path(path).name.partition(".")[0]
    data: dict[str, Any] = {
        "question": f"What would {Path(path).name} cost under each strategy, and how long would its callers wait?",
        "start": start,
        "book": book,
        "models": list(models),
        "strategies": {strategy: {} for strategy in strategies},
        "seed": seed,
        "replications": replications,
        "replay": {"trace": str(path), "format": format, "sort": sort},
    }
    if baseline is not None:
        data["baseline"] = baseline
    return read_scenario(Document("command line", data, {}), f"replay-{name}", sets=sets)
