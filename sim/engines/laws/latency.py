"""How long an answer takes: a base, a time per prompt token, a time per output token, all times a slowness."""

from sim.providers.rules import LatencyLaw

__all__ = ["SLOWNESS_ONE", "answer_ms", "first_token_ms"]

SLOWNESS_ONE = 1 << 16  # a slowness of 1 in scaled integers
_NS_PER_MS = 1_000_000


def first_token_ms(law: LatencyLaw, uncached: int, cached: int, slowness: int) -> int:
    """Return the time to the first token in ms, rounded down, at least 1.

    >>> from sim.providers.rules import LatencyLaw
    >>> first_token_ms(LatencyLaw(290_000_000, 18_000, 4_500, 4_310_345), 10_000, 0, SLOWNESS_ONE)
    470
    """
    ns = law.base_ns + uncached * law.uncached_ns + cached * law.cached_ns
    return max(1, ns * slowness // SLOWNESS_ONE // _NS_PER_MS)


def answer_ms(law: LatencyLaw, uncached: int, cached: int, output: int, slowness: int) -> int:
    """Return the time to the last token in ms, rounded down, at least 1; never below the time to the first.

    >>> from sim.providers.rules import LatencyLaw
    >>> answer_ms(LatencyLaw(290_000_000, 18_000, 4_500, 4_310_345), 10_000, 0, 232, SLOWNESS_ONE)
    1470
    """
    ns = law.base_ns + uncached * law.uncached_ns + cached * law.cached_ns + output * law.output_ns
    return max(1, ns * slowness // SLOWNESS_ONE // _NS_PER_MS)
