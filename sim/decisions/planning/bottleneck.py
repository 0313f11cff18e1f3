"""What stands in the way of more load: a limit that refuses, the caller's own slots, room for jobs, or money."""

from collections.abc import Mapping, Sequence

import numpy as np

from sim.decisions.laboratory import Row
from sim.experiments.estimates import Json
from sim.experiments.result import LIMIT_NAMES
from sim.ledger import Limit
from sim.units import MINUTE, SECOND
from sim.verdicts import Verdict

__all__ = ["bottleneck"]


# the tier of priority passes calls on, and a cache that is over is no limit of the load
_REFUSING = [name for limit, name in LIMIT_NAMES.items() if limit not in {Limit.PRIORITY, Limit.FORBIDDEN}]
_LONG_S = MINUTE / SECOND  # for which jobs wait to be created before they are said to wait for room


def bottleneck(beyond: Sequence[Row], within: Sequence[Row], verdicts: Sequence[Verdict]) -> Json:
    """Return what binds at a load that did not pass.

    Parameters
    ----------
    beyond, within
        A strategy's rows of all streams at that load, and at the largest that passed, if one did.
    verdicts
        On the requirements, at that load.

    ``by`` is ``cost`` where nothing but money is short; else the limit that refuses, of several the one whose refused
    calls go along best with late answers over the replications of both loads (correlation), as a limit that delays
    calls only refuses them again and again; else ``own concurrency`` or ``enqueued_tokens`` where requests waited for a
    slot of their own client, or jobs for room; else None: nothing refuses or queues, the strategy is that slow by
    itself.
    """
    short = [verdict.requirement for verdict in verdicts if verdict.outcome != "pass"]
    refused = {name: mean for name in _REFUSING if (mean := _mean(beyond, f"refused_{name}"))}
    asked = _mean(beyond, "asked")
    queued_s = _mean(beyond, "queued_ms") / SECOND / asked if asked else 0.0
    jobs_s = _mean(beyond, "before_creation_p95_s")
    by = _most_to_blame([*beyond, *within], refused)
    if short and all(one.kind == "money" for one in short):
        by = "cost"
    elif by is None:
        by = "own concurrency" if queued_s else "enqueued_tokens" if jobs_s > _LONG_S else None
    return {
        "by": by,
        "requirements": [one.text for one in short],
        "refused": dict(sorted(refused.items(), key=lambda pair: -pair[1])),  # calls a run
        "queued_s": queued_s,  # of a request, for a slot of its own client
        "jobs_wait_s": jobs_s,  # p95 of a run, from the close of a collection to the creation of its job
    }


def _most_to_blame(rows: Sequence[Row], refused: Mapping[str, float]) -> str | None:
    """Return the limit whose refusals go along best with late answers; where none does, the one that refused most."""
    late = [row["total"] - row["within_patience"] for row in rows]

    def blame(name: str) -> tuple[float, float]:
        calls = [row[f"refused_{name}"] for row in rows]
        varies = min(calls) < max(calls) and min(late) < max(late)
        return float(np.corrcoef(calls, late)[0, 1]) if varies else 0.0, refused[name]

    return max(refused, key=blame, default=None)


def _mean(rows: Sequence[Row], column: str) -> float:
    return sum(row[column] or 0 for row in rows) / len(rows)
