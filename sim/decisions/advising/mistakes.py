"""The guide's six common mistakes, and what one costs here: done wrong less put right, on the same luck."""

from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from sim.decisions.advising.suspicions import Suspicion
from sim.decisions.laboratory import Found
from sim.decisions.standing import costs_of
from sim.skewed import bill_difference
from sim.stats import Interval

__all__ = ["MISTAKES", "Mistake", "Offence", "offence"]

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


class Offence(NamedTuple):
    """A mistake that was found, and its price: mean cost with it less mean cost put right, on the same luck.

    Of discounts taken to stack it is what the bill is above the plan.
    """

    suspicion: Suspicion
    usd: Interval
    share: float  # of the strategy's bill
    figure: str  # what the cells say of it
    decided: bool  # whether its sign is beyond luck


def offence(
    suspicion: Suspicion, wrong: Found, right: Found | None, model: str, *, level: float, enough: bool
) -> Offence | None:
    """Return the offence that a suspicion turns out to be, or None.

    ``wrong`` are the cells of the scenario, ``right`` those with the remedy. The price is convicted and decided by its
    interval of ``level``, which lets those of all suspicions hold at once, and told with that of 95 %; ``enough`` says
    whether there are replications enough to decide anything.
    """
    own = costs_of(wrong, suspicion.strategy, model)
    if suspicion.instead is not None:
        other = suspicion.instead.costs
    else:
        assert right is not None  # noqa: S101 - whoever has no other strategy has overrides, and was simulated
        other = costs_of(right, suspicion.strategy, model)
    dearer, cheaper = (other, own) if suspicion.number == _PLAN else (own, other)
    usd, strict = bill_difference(dearer, cheaper), bill_difference(dearer, cheaper, level)
    bill, storage = sum(own, Fraction(0)) / len(own), _storage(wrong, suspicion.strategy, model)
    if not _CONVICTS[suspicion.number](strict, bill, storage):
        return None
    sure = strict.lo is not None and strict.hi is not None and (strict.lo > 0 or strict.hi < 0)
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
