"""The guide's six common mistakes: which strategies make one, and what it costs here, done wrong less put right."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

from sim.decisions.contest import Contender, Contest, costs_of, is_stacked
from sim.decisions.laboratory import Ask, Found
from sim.decisions.why import lateness
from sim.errors import InputError
from sim.experiments.large import LARGE
from sim.paths import split, written
from sim.scenario import Arm, Scenario, read_scenario
from sim.skewed import bill_difference
from sim.stats import Interval
from sim.strategies.options import BatchOptions, CacheOptions, Deletion
from sim.units import duration
from sim.workload.contexts import chain
from sim.workload.rules import expected_requests

__all__ = ["MISTAKES", "Mistake", "Offence", "Suspicion", "offence", "suspects"]

SURPLUS = Fraction(2, 3)  # of the storage, that a cache is kept for after its last use, from which it is forgotten
_FORGOTTEN, _PLAN = 1, 3  # numbers of mistakes
NOTABLE = Fraction(1, 100)  # of the bill, below which storage after the last use is not worth a word


class Mistake(NamedTuple):
    """One of the six."""

    number: int
    name: str
    looked_for: str


MISTAKES = (
    Mistake(1, "a cache forgotten", "caches that are stored for twice as long after their last use as before"),
    Mistake(2, "content below the minimum", "contexts that a strategy would cache and the service takes none of"),
    Mistake(3, "discounts taken to stack", "terms that halve the price of cached tokens in a batch"),
    Mistake(4, "variable text first", "streams whose variable text stands in front of the shared one"),
    Mistake(5, "batch for work with a deadline", "batches that surely miss the patience target"),
    Mistake(6, "caching content that changes", "caches of contexts that are replaced, which cost more than they save"),
)


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


class Offence(NamedTuple):
    """A mistake that was found, and its price: mean cost with it less mean cost put right, on the same luck.

    Of discounts taken to stack it is what the bill is above the plan.
    """

    suspicion: Suspicion
    usd: Interval
    share: float  # of the strategy's bill
    figure: str  # what the cells say of it
    decided: bool  # whether its sign is beyond luck


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


def offence(suspicion: Suspicion, wrong: Found, right: Found | None, model: str, enough: bool) -> Offence | None:
    """Return the offence that a suspicion turns out to be, or None.

    ``wrong`` are the cells of the scenario, ``right`` those with the remedy; ``enough`` says whether there are
    replications enough to decide anything.
    """
    own = costs_of(wrong, suspicion.strategy, model)
    if suspicion.instead is not None:
        other = suspicion.instead.costs
    else:
        assert right is not None  # noqa: S101 - whoever has no other strategy has overrides, and was simulated
        other = costs_of(right, suspicion.strategy, model)
    usd = bill_difference(other, own) if suspicion.number == _PLAN else bill_difference(own, other)
    bill, storage = sum(own, Fraction(0)) / len(own), _storage(wrong, suspicion.strategy, model)
    if not _CONVICTS[suspicion.number](usd, bill, storage):
        return None
    sure = usd.lo is not None and usd.hi is not None and (usd.lo > 0 or usd.hi < 0)
    figure = suspicion.evidence
    if suspicion.number == _FORGOTTEN:
        figure += f"; {100 * usd.mean / float(storage):.3g} % of its storage is paid after the last use"
    return Offence(suspicion, usd, usd.mean / float(bill) if bill else 0.0, figure, enough and sure)


def _surely_dear(usd: Interval, _bill: Fraction, _storage: Fraction) -> bool:
    return usd.lo is not None and usd.lo > 0


def _mostly_surplus(usd: Interval, bill: Fraction, storage: Fraction) -> bool:
    return _surely_dear(usd, bill, storage) and usd.mean >= SURPLUS * storage and usd.mean >= NOTABLE * bill


def _always(_usd: Interval, _bill: Fraction, _storage: Fraction) -> bool:
    return True


# by number: whether a price makes a suspicion an offence, beside the mean bill and the mean dollars of storage
_CONVICTS: dict[int, Callable[[Interval, Fraction, Fraction], bool]] = {
    1: _mostly_surplus,
    2: _always,
    3: _always,
    4: _surely_dear,
    5: _always,
    6: _surely_dear,
}


def _storage(found: Found, strategy: str, model: str) -> Fraction:
    rows = found.of(strategy, model)
    return sum((Fraction(row["storage_usd_exact"]) for row in rows), Fraction(0)) / len(rows)


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
