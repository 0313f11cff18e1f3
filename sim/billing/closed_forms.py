"""Expected dollars a request under each strategy, where chance is simple enough for a formula.

All are of requests with one shared prefix (:class:`Use`), at prices of one tier and date (:class:`Tariff`). A use of an
explicit cache of K tokens costs ``K [p_c + creations p_w + hours s]``: its upkeep at the price p_w of a written token
and s of a token-hour, besides the price p_c of a cached one. Of a fixed TTL that is O20's ``K [a + rate T p_c + s T] /
(1 + rate T)``, ``a = p_w + p_c``. Fractions give Fractions; only exponentials make floats. Left out is what one
simulates for: times to create, clashing limits, implicit hits beside an explicit cache, jobs that fail.
"""

from fractions import Fraction

from sim.billing.tariff import Tariff, Use
from sim.billing.upkeep import Number, Upkeep, one_life

__all__ = ["cost_batch", "cost_explicit", "cost_hybrid", "cost_implicit", "cost_none", "premium"]


def cost_none(tariff: Tariff, use: Use) -> Fraction:
    """Return the dollars of a request without any cache: ``K p_in`` and what nobody shares.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-flash", book.checked_ms, book.terms)
    >>> float(cost_none(tariff, Use(prefix=50_000, fresh=1_000, output=400)))
    0.0163
    """
    return use.prefix * tariff.input + _own(tariff, use)


def cost_implicit(tariff: Tariff, use: Use, chance: Number) -> Number:
    """Return the dollars of a request whose prefix is hit with a chance: ``K [(1 - h) p_in + h p_c]``, no storage."""
    return use.prefix * (tariff.input - chance * tariff.spared) + _own(tariff, use)


def cost_explicit(tariff: Tariff, use: Use, upkeep: Upkeep) -> Number:
    """Return the dollars of a request that reads an explicit cache, its part of the cache's upkeep included.

    >>> from sim.billing.upkeep import fixed
    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-flash", book.checked_ms, book.terms)
    >>> cost_explicit(tariff, Use(prefix=50_000), fixed(Fraction(9), Fraction(1)))  # 50k (0.03 + (0.30 + 1.00) / 10)
    Fraction(1, 125)
    """
    return use.prefix * (tariff.need("cached") + premium(tariff, upkeep)) + _own(tariff, use)


def premium(tariff: Tariff, upkeep: Upkeep) -> Number:
    """Return what an explicit cache costs a token and use besides reading it: ``creations * p_w + hours * s``."""
    return upkeep.creations * tariff.need("creation") + upkeep.hours * tariff.need("storage")


def cost_batch(tariff: Tariff, use: Use) -> Fraction:
    """Return the dollars of a request in a job, without any cache."""
    return use.prefix * tariff.need("batch_input") + _own_in_batch(tariff, use)


def cost_hybrid(tariff: Tariff, use: Use, requests: Fraction, held: Fraction, ttl: Fraction | None = None) -> Number:
    """Return the dollars of one of ``requests`` in a job that reads a cache made for it and held for some hours.

    ``K [p_bc + (p_w + held s) / n]``: its cache is written at the standard price, once, and lives from its creation,
    before the job waits and runs, to the job's end. A ``ttl`` beyond that is paid where storage is committed.
    """
    upkeep = one_life(requests, held, ttl, committed=tariff.committed)
    return use.prefix * (tariff.need("batch_cached") + premium(tariff, upkeep)) + _own_in_batch(tariff, use)


def _own(tariff: Tariff, use: Use) -> Fraction:
    return use.fresh * tariff.input + use.output * tariff.output


def _own_in_batch(tariff: Tariff, use: Use) -> Fraction:
    return use.fresh * tariff.need("batch_input") + use.output * tariff.need("batch_output")
