"""The fast engine, compiled by numba: the same files as the reference, and equal to it in every integer."""
