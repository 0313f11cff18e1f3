"""The reference engine, in SimPy: written to be read, a part of the service a file."""

from sim.engines.reference.engine import run

__all__ = ["run"]
