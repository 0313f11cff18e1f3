"""The order of simultaneous events: what ends first, then what begins, by request, by kind."""

__all__ = ["BEGIN", "END", "Kind", "rank", "request_of"]

END, BEGIN = 0, 1  # of what happens at one instant, that which ends comes first


class Kind:
    """What happens, in the order in which it happens to one request at one instant."""

    RELEASE, FREE, ANSWER, SEEN, ORPHAN, GIVE_UP, ASK, RETRY, SERVE, RUN, GUARD, SEND = range(12)
    COUNT = 12


_KINDS = Kind.COUNT


def rank(phase: int, request: int, kind: int, requests: int) -> int:
    """Return the place of an event among those of its instant; what is no request's comes as ``requests``.

    >>> rank(END, 3, Kind.SEND, 5) < rank(BEGIN, 0, Kind.RELEASE, 5) < rank(BEGIN, 0, Kind.ASK, 5)
    True
    """
    return (phase * (requests + 1) + request) * _KINDS + kind


def request_of(place: int, requests: int) -> int:
    """Return the request of a rank.

    >>> request_of(rank(BEGIN, 3, Kind.ASK, 5), 5)
    3
    """
    return place // _KINDS % (requests + 1)
