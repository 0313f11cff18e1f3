"""What every study takes besides its scenario, and what is wrong with it."""

from sim.engines.choice import ENGINES
from sim.errors import Problem, nearest

__all__ = ["wrong_arguments"]


def wrong_arguments(study: str, replications: int, seed: int, engine: str) -> list[Problem]:
    """Return what no study can be asked for; ``study`` names the one that was."""
    problems = []
    if replications < 1:
        problems.append(Problem(study, 0, "replications", "must be at least 1", "a whole number", replications))
    if not 0 <= seed < 1 << 128:
        problems.append(Problem(study, 0, "seed", "out of range", "a whole number from 0 to 2^128 - 1", seed))
    if engine not in ENGINES:
        problems.append(Problem(study, 0, "engine", "unknown engine", nearest(engine, ENGINES), engine))
    return problems
