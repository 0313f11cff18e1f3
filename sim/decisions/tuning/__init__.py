"""The parts of ``gcsim tune``: what may be varied, how settings meet replications, and what becomes of them."""
