"""The TTL that costs least, in closed form: of one context an end of the range, of several an optimum inside it."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from sim.billing.closed_forms import premium
from sim.billing.tariff import Tariff
from sim.billing.upkeep import Number, Upkeep

__all__ = ["BestTtl", "Context", "best_shared_ttl", "best_ttl", "hourly_premium"]

_GRID = 400  # points on which the least is looked for before it is refined
_SAME = 1e-12  # relative


class Context(NamedTuple):
    """One shared prefix and how often it is used."""

    rate: Number  # uses an hour
    tokens: Number


class BestTtl(NamedTuple):
    """The TTL of a range that costs least; ``any`` where all cost the same."""

    hours: Number
    where: Literal["shortest", "longest", "inside", "any"]
    turns_at: Fraction | None  # uses of a context an hour above which longer is better; None: longer never is


def best_ttl(tariff: Tariff, rate: Fraction, shortest: Fraction, longest: Fraction) -> BestTtl:
    """Return the TTL of a range at which a use of one context costs least, fixed or renewed by uses alike.

    Both premiums are monotone in T: the fixed one, ``(p_w + s T) / (1 + rate T)``, has a derivative of the sign of ``s
    - rate p_w``; so has the sliding one, ``s / rate + (p_w - s / rate) e^(-rate T)``. Poisson uses have no memory: if
    it pays to keep a cache for a moment, it pays to keep it for ever. So the optimum is an end of the range, the
    longest above ``s / p_w`` uses an hour. Below the rate of :func:`sim.billing.break_evens.rate_always_on` the longest
    TTL may be the best one and no cache better still. An optimum inside the range is the mark of bursts, of a horizon,
    or of several contexts under one TTL.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-pro", book.checked_ms, book.terms)
    >>> [best_ttl(tariff, Fraction(rate), Fraction(1, 4), Fraction(8)).where for rate in (3, 4)]  # 4.50 / 1.25 = 3.6
    ['shortest', 'longest']
    """
    turns = _turns_at(tariff)
    if turns == rate:
        return BestTtl(longest, "any", turns)
    longer = turns is not None and rate > turns
    return BestTtl(longest if longer else shortest, "longest" if longer else "shortest", turns)


def hourly_premium(
    tariff: Tariff, contexts: Sequence[Context], ttl: Number, law: Callable[[float, float], Upkeep]
) -> float:
    """Return the dollars an hour that explicit caches of these contexts cost besides reading them.

    ``law`` is how a TTL works, :func:`sim.billing.upkeep.fixed` or :func:`sim.billing.upkeep.sliding`.
    """
    return sum(
        float(one.rate * one.tokens) * float(premium(tariff, law(float(one.rate), float(ttl)))) for one in contexts
    )


def best_shared_ttl(
    tariff: Tariff,
    contexts: Sequence[Context],
    shortest: float,
    longest: float,
    law: Callable[[float, float], Upkeep],
) -> BestTtl:
    """Return the TTL of a range, in hours, at which contexts that share it cost least.

    What is best for the busy ones, for ever, is worst for the others, so the sum of their premiums may have its least
    inside the range: it is looked for on a logarithmic grid of 400 points and refined between the two beside the best.
    An end that costs as much to 1e-12 is taken instead.

    >>> from sim.billing.upkeep import sliding
    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-pro", book.checked_ms, book.terms)
    >>> mixed = [Context(40, 10_000), Context(2, 10_000), Context(1, 10_000)]
    >>> best = best_shared_ttl(tariff, mixed, 0.01, 10, sliding)
    >>> best.where, round(best.hours, 2)
    ('inside', 0.14)
    """
    grid = np.geomspace(shortest, longest, _GRID)
    found = np.array([hourly_premium(tariff, contexts, ttl, law) for ttl in grid])
    least, turns = float(found.min()) * (1 + _SAME), _turns_at(tariff)
    if found[-1] <= least or found[0] <= least:
        where: Literal["longest", "shortest"] = "longest" if found[-1] <= least else "shortest"
        return BestTtl(longest if where == "longest" else shortest, where, turns)
    at = int(np.argmin(found))
    refined = minimize_scalar(
        lambda logged: hourly_premium(tariff, contexts, float(np.exp(logged)), law),
        bounds=(float(np.log(grid[at - 1])), float(np.log(grid[at + 1]))),
        method="bounded",
    )
    return BestTtl(float(np.exp(refined.x)), "inside", turns)


def _turns_at(tariff: Tariff) -> Fraction | None:
    written = tariff.need("creation")
    return tariff.need("storage") / written if written else None
