"""How many examples a law is tried on: its own number, times what the environment asks for."""

import os


def times(count):
    """Return a number of examples, times ``GCSIM_EXAMPLES`` where that is set: 8 for long runs, 0.1 for slow ones."""
    return max(1, int(count * float(os.environ.get("GCSIM_EXAMPLES", "1"))))
