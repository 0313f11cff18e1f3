"""What the service's own cache gives a prompt whose longest live prefix is known."""

from collections.abc import Sequence

__all__ = ["chance_of", "hit_tokens"]


def hit_tokens(live: int, block: int, minimum: int) -> int:
    """Return the tokens that a live prefix can give: its whole blocks, if it is at least the minimum.

    >>> hit_tokens(2_049, 64, 2_049), hit_tokens(2_047, 1, 2_048), hit_tokens(700, 512, 0)
    (2048, 0, 512)
    """
    whole = live // block * block
    return whole if live >= minimum else 0


def chance_of(tokens: int, steps: Sequence[tuple[int, int]]) -> int:
    """Return the threshold below which a 32-bit draw is a hit, by prefix length.

    ``steps`` are (from tokens, threshold) in rising order; below the first there is no hit.

    >>> chance_of(10_000, [(0, 4), (10_000, 7)]), chance_of(9_999, [(0, 4), (10_000, 7)])
    (7, 4)
    """
    threshold = 0
    for start, value in steps:
        if tokens >= start:
            threshold = value
    return threshold
