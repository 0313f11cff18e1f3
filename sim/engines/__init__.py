"""Deterministic integer machines: a trace, a plan and the rules go in, a ledger comes out. No chance, no floats, no prices."""
