"""Draws that a retry needs without bound: an integer hash of a request's own draw and the attempt."""

__all__ = ["redraw", "redrawn"]

_MASK = (1 << 32) - 1


def redraw(draw: int, attempt: int) -> int:
    """Return the 32-bit draw of the attempt (1 = the draw itself), the same in every engine.

    The mixing is the finaliser of MurmurHash3 (Appleby 2011), masked after each product: unsigned 64 bits suffice.

    >>> redraw(7, 1), redraw(7, 2) != redraw(7, 3)
    (7, True)
    """
    return draw if attempt <= 1 else redrawn(draw, attempt)


def redrawn(draw: int, attempt: int) -> int:
    """Return the hash behind :func:`redraw` for an attempt above 1.

    >>> redrawn(7, 2) == redraw(7, 2)
    True
    """
    x = (draw + attempt * 0x9E3779B9) & _MASK
    x = ((x ^ (x >> 16)) * 0x85EBCA6B) & _MASK
    x = ((x ^ (x >> 13)) * 0xC2B2AE35) & _MASK
    return x ^ (x >> 16)
