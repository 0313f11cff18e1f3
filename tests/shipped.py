"""What the tests of the shipped scenarios share: each run is made once a process."""

from fractions import Fraction
from functools import cache

import sim
from sim.experiments.result import Cell, Result
from sim.ledger import Ledger

FLASH, PRO = "gemini-2.5-flash", "gemini-2.5-pro"


@cache
def ran(
    name: str, replications: int = 1, *, sets: tuple[str, ...] = (), book: str | None = None, keep: bool = False
) -> Result:
    """Return the result of a shipped scenario."""
    return sim.run(sim.load(name, sets=sets, book=book), replications=replications, keep_requests=keep)


def cells(result: Result, strategy: str) -> list[Cell]:
    """Return a strategy's cells on the scenario's only model."""
    (model,) = result.models
    return result.of(strategy, model)


def costs(result: Result, strategy: str) -> list[Fraction]:
    """Return a strategy's exact dollars by replication."""
    return [cell.total_usd for cell in cells(result, strategy)]


def kept(result: Result, strategy: str) -> list[Ledger]:
    """Return a strategy's ledgers by replication."""
    return [row.ledger for row in result.kept if row.strategy == strategy]


def per_mtok(tokens: int, usd: str) -> Fraction:
    """Return the dollars of tokens at a price as it is published, per million.

    >>> per_mtok(500_000, "0.30")
    Fraction(3, 20)
    """
    return tokens * Fraction(usd) / 10**6
