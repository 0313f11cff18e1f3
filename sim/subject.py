"""What is run, and what of it decides the results: its manifest, and the name of its folder."""

import datetime as dt
import hashlib
import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

__all__ = ["SCHEMA", "Subject", "folder_name"]

SCHEMA = "gcsim.manifest/1"
PACKAGES = ("gemini-cost-sim", "numpy", "scipy", "simpy", "pydantic", "duckdb")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is run."""

    scenario: str  # its name, which names the folder
    resolved: Mapping[str, Any]  # the scenario as it is run, as JSON holds it
    overrides: tuple[str, ...]  # as given with --set
    argv: tuple[str, ...]
    book: str
    book_digest: str
    seed: int
    replications: int | None  # None = until sure
    precision: Mapping[str, Any] | None  # of a run until sure
    baseline: str
    code: str  # sha256 of the package's sources
    recorded: str  # sha256 of the trace that is replayed; "" = none is

    def identity(self) -> dict[str, Any]:
        """Return what decides the results of a run; its hash names the folder, whatever the host, path or time."""
        return {
            "scenario": self.scenario,
            "resolved": self.resolved,
            "overrides": list(self.overrides),
            "book": {"name": self.book, "sha256": self.book_digest},
            "seed": self.seed,
            "replications": self.replications,
            "precision": self.precision,
            "baseline": self.baseline,
            "recorded": self.recorded,
            "code": self.code,
            "versions": {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}},
        }

    @property
    def hash8(self) -> str:
        """Return eight digits that tell two subjects apart; they name the folder."""
        text = json.dumps(self.identity(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def manifest(self) -> dict[str, Any]:
        """Return what stands in the folder of a run, made now."""
        stamp = dt.datetime.now(dt.UTC)  # noqa: TID251 - told in the manifest, shapes no result
        created = {"schema": SCHEMA, "created": stamp.isoformat(timespec="seconds")}
        return {**self.identity(), **created, "argv": list(self.argv)}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:  # run from a checkout that was not installed
        return None


def folder_name(name: str, other: str = "run") -> str:
    """Return a name that is one plain folder on any system; ``other`` where nothing of it is left."""
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or other
