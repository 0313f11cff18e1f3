"""The life of an explicit cache, decided by timestamps on half-open intervals."""

__all__ = ["alive", "ended", "renewed"]


def alive(ready: int, until: int, now: int) -> bool:
    """Return whether a cache can be read: it is complete, and its life ``[born, until)`` is not over.

    >>> alive(2, 5, 2), alive(2, 5, 4), alive(2, 5, 5), alive(2, 5, 1)
    (True, True, False, False)
    """
    return ready <= now < until


def renewed(expiry: int, ttl: int, margin: int, limit: int) -> int:
    """Return the expiry after every renewal that falls before ``limit``.

    A keeper renews a cache ``margin`` ms before each expiry, which sets the expiry to one TTL from then. So renewals
    fall at ``expiry - margin + k (ttl - margin)``, and each moves the expiry by ``ttl - margin``. A margin of 0 renews
    nothing: at the instant of its expiry the cache is over.

    >>> renewed(100, 100, 10, 90), renewed(100, 100, 10, 91), renewed(100, 100, 10, 181), renewed(100, 100, 0, 500)
    (100, 190, 280, 100)
    """
    step = ttl - margin
    first = expiry - margin
    if margin <= 0 or step <= 0 or limit <= first:
        return expiry
    return expiry + ((limit - first + step - 1) // step) * step


def ended(expiry: int, deleted: int, cap: int) -> int:
    """Return when a cache ends: by expiry, by deletion, or with its model; -1 = that does not come.

    >>> ended(100, -1, -1), ended(100, 70, -1), ended(100, 120, 60)
    (100, 70, 60)
    """
    end = expiry
    if 0 <= deleted < end:
        end = deleted
    if 0 <= cap < end:
        end = cap
    return end
