"""Deterministic integer machines: a trace, a plan and the rules go in, a ledger comes out; no chance, no prices."""
