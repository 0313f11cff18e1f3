"""Where two documents differ first: what a reader needs to see why one is not taken for the other."""

from typing import Any

__all__ = ["first_difference"]


def first_difference(found: Any, wanted: Any, where: str) -> tuple[str, Any, Any] | None:
    """Return the first place where two documents differ, and what stands there in each.

    >>> first_difference({"a": {"b": [1, 2]}}, {"a": {"b": [1, 3]}}, "")
    ('a.b[1]', 2, 3)
    """
    if isinstance(found, dict) and isinstance(wanted, dict):
        keys = dict.fromkeys((*found, *wanted))
        each = ((f"{where}.{key}".removeprefix("."), found.get(key), wanted.get(key)) for key in keys)
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        each = ((f"{where}[{place}]", *both) for place, both in enumerate(zip(found, wanted, strict=True)))
    else:
        return None if found == wanted else (where, found, wanted)
    return next((inner for name, a, b in each if (inner := first_difference(a, b, name)) is not None), None)
