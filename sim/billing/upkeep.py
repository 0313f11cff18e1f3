"""What an explicit cache needs a use, under Poisson uses: creations, and hours of life to be stored.

``rate`` is the uses of one context an hour, times are hours. The use that finds no cache creates it and then reads it
like any other (creating is a call of its own), so every use is a read and only these two quantities differ. A rate
in Fractions gives Fractions where no exponential enters.
"""

from fractions import Fraction
from typing import NamedTuple, TypeAlias

import numpy as np
from scipy.special import gammainc

__all__ = ["Number", "Upkeep", "always_on", "fixed", "fixed_over", "one_life", "sliding", "sliding_over"]

Number: TypeAlias = Fraction | float


class Upkeep(NamedTuple):
    """Expected amounts a use."""

    creations: Number
    hours: Number  # stored, and billed


def fixed(rate: Number, ttl: Number) -> Upkeep:
    """Return the upkeep of a cache that lives for its TTL, whatever the uses, in the long run.

    A life has the use that began it and ``rate * ttl`` others on average, and from its end to the next use are
    ``1 / rate``; so of ``1 + rate * ttl`` uses one creates, and ``ttl`` hours are stored (O12, O20).

    >>> fixed(Fraction(4), Fraction(1, 2))
    Upkeep(creations=Fraction(1, 3), hours=Fraction(1, 6))
    """
    return Upkeep(1 / (1 + rate * ttl), ttl / (1 + rate * ttl))


def sliding(rate: Number, ttl: Number) -> Upkeep:
    """Return the upkeep of a cache whose TTL every use begins anew (``renew = "on_use"``), in the long run.

    A use creates if none came in the ttl before it, with chance ``e^(-rate ttl)``; it keeps the cache alive for ttl or
    to the next use, ``E min(ttl, gap) = (1 - e^(-rate ttl)) / rate`` hours. That includes what is stored after the last
    use until the expiry, so the live share is ``1 - e^(-rate ttl)`` (O13). A cache that is kept alive by a margin and
    deleted when idle for D is the same with ``ttl = D``, where storage is paid for its lifetime.

    >>> upkeep = sliding(4, 0.5)
    >>> round(upkeep.creations, 6), round(4 * upkeep.hours, 6)
    (0.135335, 0.864665)
    """
    load = float(rate * ttl)
    return Upkeep(float(np.exp(-load)), float(-np.expm1(-load) / rate))


def always_on(rate: Fraction) -> Upkeep:
    """Return the upkeep of a cache that never ends, in the long run: its creation is lost in the uses.

    >>> always_on(Fraction(4))
    Upkeep(creations=Fraction(0, 1), hours=Fraction(1, 4))
    """
    return Upkeep(Fraction(0), 1 / rate)


def one_life(uses: Fraction, life: Fraction, ttl: Fraction | None = None, *, committed: bool = False) -> Upkeep:
    """Return the upkeep of one cache that is read so often and deleted after a life: a batch job, an afternoon.

    ``ttl`` is what was asked for; where storage is ``committed``, an early deletion leaves it to be paid.

    >>> one_life(Fraction(20), Fraction(2))
    Upkeep(creations=Fraction(1, 20), hours=Fraction(1, 10))
    >>> one_life(Fraction(20), Fraction(2), Fraction(24), committed=True).hours
    Fraction(6, 5)
    """
    paid = max(life, ttl) if committed and ttl is not None else life
    return Upkeep(1 / uses, paid / uses)


def fixed_over(rate: Number, ttl: Number, horizon: Number) -> Upkeep:
    """Return the upkeep of a fixed TTL over ``[0, horizon)`` from empty, an expected use; every life is paid whole.

    The k-th creation comes after k exponential waits and k - 1 lives, so ``E(creations) = sum_k P(Erlang(k, rate) <
    horizon - (k - 1) ttl)`` (O12). In a run that drains all of them are stored to their expiry.

    >>> upkeep = fixed_over(4, 1, 48)
    >>> round(upkeep.creations / float(fixed(Fraction(4), Fraction(1)).creations), 3)  # beginning empty
    1.008
    """
    lives = np.arange(1, int(horizon / ttl) + 2)
    left = np.maximum(float(horizon) - (lives - 1) * float(ttl), 0.0)
    creations = float(np.sum(gammainc(lives, float(rate) * left)))
    uses = float(rate * horizon)
    return Upkeep(creations / uses, creations * float(ttl) / uses)


def sliding_over(rate: Number, ttl: Number, horizon: Number) -> Upkeep:
    """Return the upkeep of a TTL that uses renew, over ``[0, horizon)`` from empty, an expected use.

    With ``t = min(ttl, horizon)`` and ``a(t) = (1 - e^(-rate t)) / rate``: a use at u creates with chance ``e^(-rate
    min(u, ttl))``, in all ``rate (a(t) + (horizon - t) e^(-rate t))`` times. A use with u hours to go is the last one
    with chance ``e^(-rate u)`` and then stored for the whole ttl, else for ``min(ttl, gap)``: in all
    ``rate (horizon - t) a(t) + 2 (t - a(t)) + (ttl - t) rate a(t)`` hours, whose last term counts a ttl beyond
    the horizon.

    >>> upkeep = sliding_over(4, 0.5, 48)
    >>> round(upkeep.creations / sliding(4, 0.5).creations, 3)
    1.023
    """
    lam, whole, end = float(rate), float(ttl), float(horizon)
    inside = min(whole, end)
    until_next = float(-np.expm1(-lam * inside)) / lam
    creations = lam * (until_next + (end - inside) * float(np.exp(-lam * inside)))
    hours = lam * (end - inside) * until_next + 2 * (inside - until_next) + (whole - inside) * lam * until_next
    return Upkeep(creations / (lam * end), hours / (lam * end))
