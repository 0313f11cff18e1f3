"""A scenario as it is advised on: with what the guide would take there, which it may lack."""

from typing import NamedTuple

from sim.decisions.advising.contest import is_offer
from sim.decisions.advising.guide import Kind, advise_stream, together
from sim.decisions.advising.traffic import traffic_of
from sim.errors import InputError
from sim.paths import written
from sim.scenario import Scenario, read_scenario

__all__ = ["Case", "case_of"]


class Case(NamedTuple):
    """A scenario with what it did not have: the strategies that the guide recommends, and ordinary calls."""

    base: Scenario
    added: tuple[str, ...]  # their names
    refused: dict[Kind, str]  # what could not be added, and why


def case_of(base: Scenario) -> Case:
    """Return a scenario with each kind of strategy that the guide recommends for it, added with defaults if needed.

    Where no strategy sends ordinary calls, those are added too: what nothing is compared with is no advice. Raises
    :class:`InputError` for a scenario that is cut at its horizon: what is pending is unbilled, so the strategy that
    defers most would win.
    """
    if base.spec.close == "cut":
        what = "a run that is cut leaves work unbilled, so no strategy can be advised"
        raise InputError([base.document.problem(("close",), what, '"drain"', "cut")])
    added: list[str] = []
    refused: dict[Kind, str] = {}
    for kind in _wanted(base):
        name = kind if kind not in [arm.name for arm in base.arms] else f"{kind}_advised"
        more, why = _with_strategy(base, name, kind)
        if why:
            refused[kind] = why
        elif more is not base:
            base = more
            added.append(name)
    return Case(base, tuple(added), refused)


def _wanted(base: Scenario) -> dict[Kind, None]:
    """Return the kinds of strategy that a scenario should have, whether it does or not."""
    ordinary = any(arm.strategy.kind in ("none", "implicit") and is_offer(arm) for arm in base.arms)
    wanted: dict[Kind, None] = {} if ordinary else {"implicit": None}
    for model in base.spec.models:
        advice = [advise_stream(traffic) for traffic in traffic_of(base, model, base.seed)]
        wanted |= dict.fromkeys([*(one.kind for one in advice), together(advice)] if advice else [])
    return wanted


def _with_strategy(base: Scenario, name: str, kind: Kind) -> tuple[Scenario, str]:
    """Return a scenario that has a kind of strategy, by defaults where it has none, or why it cannot."""
    if any(arm.strategy.kind == kind and is_offer(arm) for arm in base.arms):
        return base, ""
    try:
        sets = (f'{written(("strategies", name, "kind"))}="{kind}"',)
        more = read_scenario(base.document, base.name, sets=sets)
    except InputError as error:
        return base, error.problems[0].what
    offered = is_offer(next(arm for arm in more.arms if arm.name == name))
    return (more, "") if offered else (base, 'terms of batch_cached = "stacked" are no offer')
