"""What looks like one of the guide's six common mistakes in a scenario's strategies, and what would put it right."""

import json
from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

from sim.decisions.advising.contest import Contender, Contest, is_stacked
from sim.decisions.advising.why import lateness
from sim.decisions.laboratory import Ask, Found
from sim.errors import InputError
from sim.experiments.large import LARGE
from sim.paths import split, written
from sim.scenario import Arm, Scenario, read_scenario
from sim.strategies.options import BatchOptions, CacheOptions, Deletion
from sim.units import duration
from sim.workload.contexts import chain
from sim.workload.rules import expected_requests

__all__ = ["Suspicion", "suspects"]


class Suspicion(NamedTuple):
    """What looks like a mistake: the same strategy put right by overrides, or another one in its place."""

    number: int
    strategy: str
    sets: tuple[str, ...]  # that put it right; () where another strategy of the scenario does
    instead: Contender | None
    remedy: str
    evidence: str

    @property
    def ask(self) -> Ask:
        """Return the cells that it takes to price it."""
        return Ask(self.sets, (self.strategy,))


def suspects(found: Found, model: str, contest: Contest, target: float, spared: Collection[str]) -> list[Suspicion]:
    """Return what looks like a mistake in the strategies of a scenario, but for those that are ``spared``.

    What cannot be put right by an override that the scenario takes is left out: it has no price.
    """
    scenario = found.scenario
    suspicions: list[Suspicion] = []
    for arm in (arm for arm in scenario.arms if arm.name not in spared):
        suspicions += _forgotten(scenario, arm)
        suspicions += _too_small(found, arm, model)
        suspicions += _stacked(scenario, arm)
        suspicions += _variable_first(arm)
        suspicions += _too_late(found, arm, model, contest, target)
        suspicions += _changing(scenario, arm)
    return sorted(filter(lambda one: _is_taken(scenario, one), suspicions), key=lambda one: one.number)


def _is_taken(scenario: Scenario, suspicion: Suspicion) -> bool:
    try:
        read_scenario(scenario.document, scenario.name, sets=suspicion.sets)
    except InputError:
        return False
    return True


def _forgotten(scenario: Scenario, arm: Arm) -> Iterator[Suspicion]:
    options = arm.strategy
    if not isinstance(options, CacheOptions) or options.delete == Deletion(last_use=True):
        return
    too_large = scenario.spec.replay is None and expected_requests(arm.spec.workload) > LARGE
    if not too_large and not _replaced(arm):  # looking ahead takes a whole realisation; what is replaced is mistake 6
        sets = (_set(("strategies", arm.name, "delete"), "last_use"),)
        when = "with the last use of its text (which looks ahead)"
        evidence = f"asked for {duration(options.ttl)}, deleted {_deletion(options)}"
        yield Suspicion(1, arm.name, sets, None, f"delete each cache {when}", evidence)


def _deletion(options: CacheOptions) -> str:
    if options.delete is None and not options.expire_at:
        return f"when idle for {duration(options.ttl)}"
    if options.delete is None or options.delete.idle is None:
        return "never"
    return f"when idle for {duration(options.delete.idle)}"


def _too_small(found: Found, arm: Arm, model: str) -> Iterator[Suspicion]:
    options = arm.strategy
    if not isinstance(options, CacheOptions) or options.pad:
        return
    rows = found.of(arm.name, model)
    refused = sum(row["refused_contexts"] for row in rows) / len(rows)
    if refused:
        sets = (_set(("strategies", arm.name, "pad"), True),)
        what = "1 context a run is" if refused == 1 else f"{refused:,.3g} contexts a run are"
        evidence = f"{what} refused for being too small or too large, and its requests read no cache of the caller's"
        yield Suspicion(2, arm.name, sets, None, "fill them up to the minimum (pad = true)", evidence)


def _stacked(scenario: Scenario, arm: Arm) -> Iterator[Suspicion]:
    if not is_stacked(arm):
        return
    usual = scenario.book.terms.batch_cached
    sets = (_with(arm, ("terms", "batch_cached"), "standard" if usual == "stacked" else usual),)
    evidence = "it is planned by terms that nobody offers: half of the cached price in a batch"
    yield Suspicion(3, arm.name, sets, None, "bill it as the provider does", evidence)


def _variable_first(arm: Arm) -> Iterator[Suspicion]:
    for name, stream in arm.spec.streams.items():
        if stream.context is not None and stream.shares is None:
            sets = (_with(arm, ("streams", name, "order"), "shared_first"),)
            evidence = f"no two prompts of {name} begin alike, so that no cache can be hit"
            yield Suspicion(4, arm.name, sets, None, f"put the shared text of {name} first", evidence)


def _too_late(found: Found, arm: Arm, model: str, contest: Contest, target: float) -> Iterator[Suspicion]:
    if not isinstance(arm.strategy, BatchOptions) or arm.strategy.kind == "routed":
        return
    mine = next(one for one in contest.contenders if (one.strategy, one.model) == (arm.name, model))
    if mine.keeps != "no":
        return
    evidence, best = lateness(found, mine, target).text, contest.best
    if best is not None and best.model == model:
        yield Suspicion(5, arm.name, (), best, f"{best.strategy}, which keeps the target", evidence)
    else:
        remedy = "routing by patience (routed), with its defaults"
        yield Suspicion(5, arm.name, (_as_routed(arm),), None, remedy, evidence)


def _as_routed(arm: Arm) -> str:
    options = arm.strategy.model_dump(mode="json", exclude_unset=True, include={"size", "window", "every", "set"})
    table = {"kind": "routed", **({} if isinstance(arm.strategy, CacheOptions) else {"contexts": []}), **options}
    for key in ("window", "every"):
        if key in table and isinstance(table[key], int):
            table[key] = duration(table[key])
    return _set(("strategies", arm.name), table)


def _changing(scenario: Scenario, arm: Arm) -> Iterator[Suspicion]:
    changing = _replaced(arm)
    if not isinstance(arm.strategy, CacheOptions) or not changing:
        return
    names = scenario.spec.contexts if arm.strategy.contexts is None else arm.strategy.contexts
    stable = [name for name in names if name not in changing]
    sets = (_set(("strategies", arm.name, "contexts"), stable),)
    told = " and ".join(f"{name} every {duration(period)}" for name, period in changing.items())
    evidence = f"asked for {duration(arm.strategy.ttl)}, and other contents take the place of {told}"
    yield Suspicion(6, arm.name, sets, None, f"do not cache {' and '.join(changing)}", evidence)


def _replaced(arm: Arm) -> dict[str, int]:
    """Return the contexts that a strategy may cache and that change, with the ms after which they do."""
    options, contexts = arm.strategy, arm.spec.contexts
    allowed: Sequence[str] = list(contexts)
    if isinstance(options, CacheOptions) and options.contexts is not None:
        allowed = [name for name in options.contexts if name in contexts]
    found: dict[str, int] = {}
    for name in allowed:
        periods = [contexts[above].replaced_every for above in chain(contexts, name)]
        known = [period for period in periods if period is not None]
        if known:
            found[name] = min(known)
    return found


def _with(arm: Arm, path: tuple[str, ...], value: object) -> str:
    """Return the override that lets one strategy alone have another value of the scenario."""
    own = {key: given for key, given in arm.strategy.set.items() if split(key) != path}
    return _set(("strategies", arm.name, "set"), {**own, written(path): value})


def _set(path: tuple[str, ...], value: object) -> str:
    return f"{written(path)}={_toml(value)}"


def _toml(value: Any) -> str:
    """Return a value as an inline value of TOML.

    >>> _toml({"a.b": [True, "x"]})
    '{"a.b" = [true, "x"]}'
    """
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value) if isinstance(value, (str, bool, int, float)) else str(value)
