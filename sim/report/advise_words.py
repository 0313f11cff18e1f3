"""The sentences that advice is made of: what keeps a choice open, what decides against another, amounts in words."""

from typing import Any

from sim.report.figures import Dollars, share
from sim.report.tables import Json

__all__ = ["because", "ends", "in_percent", "key", "money", "named", "undecided"]


def undecided(summary: Json, answer: Json) -> str:
    """Return what keeps a contest undecided."""
    if summary["replications"] < answer["needs"]:
        return f"Undecided: {summary['replications']:,} replications are too few, use {answer['needs']}."
    rivals, unsure = ([named(summary, one) for one in answer[key]] for key in ("rivals", "unsure"))
    maybe = f"{' and '.join(unsure)} may or may not keep the target"
    if not [name for name in rivals if name not in unsure]:
        return f"Undecided: {maybe}; more replications would tell."
    known = f" ({maybe})" if unsure else ""
    return f"Undecided: {' or '.join(rivals)} may be better{known}; more replications would tell."


def key(one: Json) -> tuple[str, str]:
    """Return what a strategy on a model is known by."""
    return one["strategy"], one["model"]


def named(summary: Json, one: Json) -> str:
    """Return the name of a strategy, with its model where there are several."""
    models = {pair["model"] for pair in summary["strategies"]}
    return str(one["strategy"]) if len(models) == 1 else f"{one['strategy']} on {one['model']}"


def because(guide: Json, answer: Json) -> str:
    """Return what decides against what the guide takes: the first reason, and what else speaks against it."""
    if not guide["reasons"]:
        return ""
    first, *others = guide["reasons"]
    head = "What decides is" if guide["agrees"] == "no" else "What speaks against it is"
    rest = "".join(f" Also: {_reason(one, answer)}." for one in others[:2])
    return f" {head} {first['number']}: {_reason(first, answer)}.{rest}"


def _reason(reason: Json, answer: Json) -> str:
    if reason["usd"] is None:
        return str(reason["text"])
    return f"{money(reason['usd'], sign=True)} against {answer['strategy']}; {reason['text']}"


def ends(interval: Json) -> tuple[Any, Any, Any]:
    """Return an estimate and its bounds."""
    return interval["mean"], interval["lo"], interval["hi"]


def money(interval: Json, *, sign: bool = False) -> str:
    """Return an amount with its half-width.

    >>> money({"mean": 17.5, "lo": 17.25, "hi": 17.75})
    '$17.50 ± 0.25'
    """
    return Dollars([interval["mean"]]).plus_minus(*ends(interval), sign=sign)


def in_percent(interval: Json) -> str:
    """Return a share with its half-width.

    >>> in_percent({"mean": 0.05, "lo": 0.04, "hi": 0.06})
    '5.0 ± 1.0 %'
    """
    return share(*ends(interval))
