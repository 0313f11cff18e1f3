"""Where one strategy begins to cost less than another: rates, TTLs, sizes of jobs, chances of a hit, in closed form.

An explicit cache pays where its premium a use is below what reading spares, ``creations p_w + hours s < d`` with ``d =
(p_in - p_c)(1 - h)``, against calls that hit the service's own cache with chance h (0: against no cache at all). The
size of the prefix cancels, so each is one number a price tier (O21); :func:`sim.billing.tariff.pieces` gives the tiers.
None says that no value makes it pay; zero that every value does.
"""

from fractions import Fraction
from math import exp, expm1, log
from typing import NamedTuple

from scipy.optimize import brentq

from sim.billing.closed_forms import premium
from sim.billing.tariff import Tariff
from sim.billing.upkeep import Number, Upkeep

__all__ = [
    "Span",
    "chance_that_matches",
    "rate_always_on",
    "rate_fixed",
    "rate_sliding",
    "requests_in_a_job",
    "ttl_fixed",
    "ttl_sliding",
    "uses_in_a_life",
]

_NO_CHANCE = Fraction(0)


class Span(NamedTuple):
    """The open interval of values that pay."""

    above: Number
    below: Number | None  # None: however large


def rate_always_on(tariff: Tariff, chance: Fraction = _NO_CHANCE) -> Fraction | None:
    """Return the uses an hour above which a cache that never ends pays: ``s / ((p_in - p_c)(1 - h))`` (O21).

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-pro", book.checked_ms, book.terms)
    >>> rate_always_on(tariff), rate_always_on(tariff, chance=Fraction(1, 2))
    (Fraction(4, 1), Fraction(8, 1))
    """
    return _ratio(tariff.need("storage"), _spared(tariff, chance))


def rate_fixed(tariff: Tariff, ttl: Fraction, chance: Fraction = _NO_CHANCE) -> Fraction | None:
    """Return the uses an hour above which a cache of a fixed TTL pays.

    ``p_w + s T < d (1 + rate T)`` with what is spared, ``d = (p_in - p_c)(1 - h)``, gives ``rate > (p_w + s T - d) /
    (d T)``: O21's ``(s T + p_c) / (T (p_in - p_c))`` where creating costs p_in and h is 0.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-flash", book.checked_ms, book.terms)
    >>> round(float(rate_fixed(tariff, Fraction(1))), 2)
    3.81
    """
    spared = _spared(tariff, chance)
    return _ratio(max(_life(tariff, ttl) - spared, Fraction(0)), spared * ttl)


def rate_sliding(tariff: Tariff, ttl: Fraction, chance: Fraction = _NO_CHANCE) -> float | None:
    """Return the uses an hour above which a TTL that uses renew pays.

    The premium ``p_w e^(-x) + s T (1 - e^(-x)) / x`` falls in ``x = rate T``, from ``p_w + s T`` to 0, so it meets what
    is spared once; it is below ``(p_w + s T) / x``, so it does before ``(p_w + s T) / d``.
    """
    spared, most = float(_spared(tariff, chance)), float(_life(tariff, ttl))
    if spared <= 0:
        return None
    if most <= spared:
        return 0.0
    written, stored, hours = float(tariff.need("creation")), float(tariff.need("storage")), float(ttl)

    def excess(load: float) -> float:  # load = rate * ttl
        return written * exp(-load) - stored * hours * expm1(-load) / load - spared

    return float(brentq(excess, 1e-12, 2 * most / spared, xtol=1e-15)) / hours


def uses_in_a_life(tariff: Tariff, paid: Fraction, chance: Fraction = _NO_CHANCE) -> Fraction | None:
    """Return the uses above which one cache pays that is stored for so many hours: ``(p_w + s T) / d``.

    >>> from sim.providers import load_book
    >>> book = load_book("google")
    >>> tariff = Tariff.of(book, "gemini-2.5-pro", book.checked_ms, book.terms)
    >>> round(float(uses_in_a_life(tariff, Fraction(1))), 1)
    5.1
    """
    return _ratio(_life(tariff, paid), _spared(tariff, chance))


def requests_in_a_job(tariff: Tariff, paid: Fraction) -> Fraction | None:
    """Return the requests of a job above which a cache for it pays: ``(p_w + s T) / (p_bin - p_bc)``.

    In a batch it spares less, as the input costs half there and a cached token not always: a cache that would pay in
    real time may not.
    """
    return _ratio(_life(tariff, paid), tariff.need("batch_input") - tariff.need("batch_cached"))


def ttl_fixed(tariff: Tariff, rate: Fraction, chance: Fraction = _NO_CHANCE) -> Span | None:
    """Return the TTLs in hours at which a fixed one pays at a rate: those with ``T (rate d - s) > p_w - d``.

    Where creating costs more than one use spares, that takes a rate above the always-on one and a TTL above ``(p_w - d)
    / (rate d - s)``. Where it costs less, every TTL pays at such a rate, and below it those shorter than ``(d - p_w) /
    (s - rate d)``.
    """
    spared = _spared(tariff, chance)
    gain, entry = rate * spared - tariff.need("storage"), tariff.need("creation") - spared
    if entry < 0:
        return Span(Fraction(0), None if gain >= 0 else entry / gain)
    return Span(entry / gain, None) if gain > 0 else None


def ttl_sliding(tariff: Tariff, rate: Fraction, chance: Fraction = _NO_CHANCE) -> Span | None:
    """Return the TTLs in hours at which one that uses renew pays at a rate.

    The premium runs from p_w (T = 0) to ``s / rate`` (always on) and never back; it meets what is spared at ``T =
    log((p_w - s / rate) / (d - s / rate)) / rate``, if at all.
    """
    spared, written, kept = _spared(tariff, chance), tariff.need("creation"), tariff.need("storage") / rate
    starts, stays = written < spared, kept < spared
    if starts == stays:
        return Span(Fraction(0), None) if starts else None
    if spared in (written, kept):
        return Span(Fraction(0), None)
    meets = log((written - kept) / (spared - kept)) / float(rate)
    return Span(Fraction(0), meets) if starts else Span(meets, None)


def chance_that_matches(tariff: Tariff, upkeep: Upkeep) -> Number | None:
    """Return the chance of an implicit hit above which an explicit cache of this upkeep stops paying.

    ``h = 1 - premium / (p_in - p_c)``; below zero it does not pay against no cache at all.
    """
    return None if tariff.spared <= 0 else 1 - premium(tariff, upkeep) / tariff.spared


def _spared(tariff: Tariff, chance: Fraction) -> Fraction:
    return tariff.spared * (1 - chance)


def _life(tariff: Tariff, hours: Fraction) -> Fraction:
    """Return what a life costs a token."""
    return tariff.need("creation") + tariff.need("storage") * hours


def _ratio(over: Fraction, under: Fraction) -> Fraction | None:
    return over / under if under > 0 else None
