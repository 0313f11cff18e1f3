"""The tasks of a study: what names their cells, which of them meet the same requests, and which the same engine run."""

import hashlib
import platform
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from sim.experiments.fingerprint import code_digest
from sim.experiments.items import Group, Task
from sim.experiments.pairs import Pair, recorded_of
from sim.scenario import ReplaySpec, Scenario
from sim.traces import Recorded

__all__ = ["Groups", "Records", "identity_of", "origin_of", "played_of"]


class Groups:
    """Tasks by the requests that they meet, each task once."""

    def __init__(self) -> None:
        self.tasks: dict[tuple[str, ...], dict[str, Task]] = {}
        self.recorded: dict[tuple[str, ...], Recorded | None] = {}

    def add(self, task: Task, recorded: Recorded | None) -> None:
        """Add a task, unless it is there; ``recorded`` is the trace of a replay."""
        spec = task.pair.arm.spec
        key = (repr(spec.workload), repr(spec.replay), repr(task.pair.media))
        self.tasks.setdefault(key, {}).setdefault(task.identity, task)
        self.recorded[key] = recorded

    def all(self) -> tuple[Group, ...]:
        """Return the groups; in each, tasks that play the same stand together."""
        return tuple(Group(_together(tasks.values()), self.recorded[key]) for key, tasks in self.tasks.items())


def _together(tasks: Iterable[Task]) -> tuple[Task, ...]:
    by_played: dict[str, list[Task]] = {}
    for task in tasks:
        by_played.setdefault(task.played, []).append(task)
    return tuple(chain.from_iterable(by_played.values()))


class Records:
    """Recorded traces, each read once."""

    def __init__(self) -> None:
        self._read: dict[tuple[str, ReplaySpec], tuple[Recorded, str]] = {}

    @property
    def digests(self) -> list[str]:
        """Return the digests of all files that were read."""
        return sorted(digest for _, digest in self._read.values())

    def of(self, scenario: Scenario) -> tuple[Recorded | None, str]:
        """Return the recorded trace of a replay, if it is one, and the digest of its file."""
        spec = scenario.spec.replay
        if spec is None:
            return None, ""
        path = scenario.document.beside(spec.trace)
        key = (path, spec.model_copy(update={"patience": 0}))
        if key not in self._read:
            recorded = recorded_of(scenario)
            assert recorded is not None  # noqa: S101 - it is a replay
            self._read[key] = recorded, hashlib.sha256(Path(path).read_bytes()).hexdigest()
        return self._read[key]


def identity_of(scenario: Scenario, pair: Pair, seed: int, recorded: str) -> str:
    """Return a digest of all that the cells of a pair depend on; what a setting changes elsewhere is not in it."""
    arm, spec = pair.arm, pair.arm.spec
    parts = (
        (arm.name, pair.model, spec.close, recorded, str(seed)),
        (scenario.book.digest, code_digest(), _versions()["numpy"], scenario.spec.time_zone.key),
        (arm.strategy, spec.workload, spec.replay, spec.client, spec.project, arm.service, arm.terms),
    )
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def played_of(pair: Pair) -> str:
    """Return a digest of all that an engine meets of a pair, besides the requests: no price is in it.

    Pairs that agree in it have the same ledger on the same realisation, whatever their books and terms.
    """
    arm = pair.arm
    parts = (pair.model, arm.name, arm.spec.close, pair.plan, pair.rules, arm.service)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def origin_of(base: Scenario, records: Records) -> dict[str, Any]:
    """Return what the cells of a study are made from: a study that is resumed must agree in it."""
    return {
        "resolved": base.resolved(),
        "book": {"name": base.book.name, "sha256": base.book.digest},
        "recorded": records.digests,
        "code": code_digest(),
        "versions": {"python": ".".join(platform.python_version_tuple()[:2]), **_versions()},
    }


@lru_cache(maxsize=1)  # a file of each is read, and every task of a study asks
def _versions() -> Mapping[str, str]:
    return {name: version(name) for name in ("numpy", "scipy")}
