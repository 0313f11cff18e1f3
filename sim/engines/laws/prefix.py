"""What the service's own cache gives a prompt whose longest live prefix is known."""

from collections.abc import Sequence

__all__ = ["audio_of", "chance_of", "hit_tokens"]


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
    for position in range(len(steps)):  # so that it also reads the rows of an array
        if tokens >= steps[position][0]:
            threshold = steps[position][1]
    return threshold


def audio_of(tokens: int, depth: int, audio: int) -> int:
    """Return how many of the first tokens of a prefix are audio: its share of the whole, rounded down.

    A hit that ends inside a prefix is told in tokens, not in parts; spread evenly, neither kind exceeds its own count.

    >>> audio_of(50, 100, 30), audio_of(100, 100, 30), audio_of(0, 0, 0)
    (15, 30, 0)
    """
    return audio * tokens // depth if depth > 0 else 0
