"""How many examples a law is tried on: its own number, times what the environment asks for."""

import os


def times(count):
    """Return a number of examples, multiplied by ``GCSIM_EXAMPLES`` where that is set (long runs)."""
    return count * int(os.environ.get("GCSIM_EXAMPLES", "1"))
