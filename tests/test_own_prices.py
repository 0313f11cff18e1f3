"""Prices of one's own: laid over the book's, exact, told of, and swept like any other path."""

from fractions import Fraction

import pytest
from sweeps import small

import sim
from sim.errors import InputError
from sim.experiments.sweep import sweep
from sim.providers import load_book

FLASH = "gemini-2.5-flash"


def cost(result, strategy):
    """The exact cost of one replication."""
    return next(cell.total_usd for cell in result.cells if cell.strategy == strategy)


def test_a_price_of_ones_own_is_billed_to_the_picodollar(tmp_path):
    """The bill changes by the tokens times the difference of the prices, and nothing else does."""
    path = small(tmp_path)
    usual = sim.run(sim.load(path), replications=1)
    dear = sim.run(sim.load(path, sets=[f'prices."{FLASH}".input=0.333333']), replications=1)
    price = Fraction(load_book("google").entry(FLASH, load_book("google").checked_ms).price("input"), 10**12)
    for mine, theirs in zip(dear.cells, usual.cells, strict=True):
        tokens = sum(stream.prompt_tokens - stream.explicit_tokens for stream in mine.streams)
        written = theirs.lines_usd["creation"] / price
        assert mine.total_usd - theirs.total_usd == (tokens + written) * (Fraction(333_333, 10**12) - price)
        assert mine.lines_usd["output"] == theirs.lines_usd["output"]


def test_own_prices_hold_on_all_dates(tmp_path):
    """A price of one's own outlives a published change of the price."""
    book = sim.load(small(tmp_path), sets=[f'prices."{FLASH}".output=9']).book
    assert {entry.price("output") for entry in book.periods(FLASH)} == {9_000_000}
    assert book.digest != load_book("google").digest


def test_prices_are_swept_like_any_other_path(tmp_path):
    """The cost of output is in proportion to its price, setting by setting, on one realisation."""
    found = sweep(small(tmp_path), [f'prices."{FLASH}".output=1..4:lin:4'], replications=1)
    table = found.table[(found.table["stream"] == "") & (found.table["strategy"] == "none")]
    exact = [Fraction(text) for text in table["output_usd_exact"]]
    assert exact == [exact[0] * factor for factor in (1, 2, 3, 4)]
    assert len(set(table["output_tokens"])) == 1


def test_books_are_swept_too(tmp_path):
    """A setting may have another price book."""
    found = sweep(small(tmp_path), ["book=google,guide"], replications=1)
    settings = found.summary["settings"]
    assert settings[0]["results"][0]["cost_usd"]["mean"] > 0
    runs = [sim.run(sim.load(small(tmp_path), book=name), replications=1) for name in ("google", "guide")]
    for setting, run in zip(settings, runs, strict=True):
        assert setting["results"][0]["cost_usd"]["mean"] == float(cost(run, "none"))


def test_own_prices_are_listed_as_assumed(tmp_path):
    """Whoever reads the run is told."""
    found = sim.summarise(sim.run(sim.load(small(tmp_path), sets=[f'prices."{FLASH}".cached=0.01']), replications=1))
    assert any(f"prices.{FLASH}.cached" in assumption["path"] for assumption in found["assumptions"])


@pytest.mark.parametrize(
    ("sets", "words"),
    [
        (f'prices."{FLASH}".input=-1', "a price must be >= 0"),
        (f'prices."{FLASH}".input="cheap"', "not a number"),
        (f'prices."{FLASH}".input=1e400', "not a finite number"),
        (f'prices."{FLASH}".inputs=1', "unknown key"),
        ('prices."gemini-2.5-flesh".input=1', "unknown model"),
    ],
)
def test_wrong_prices_are_refused(tmp_path, sets, words):
    """Each mistake is told with its path."""
    with pytest.raises(InputError, match=words):
        sim.load(small(tmp_path), sets=[sets])


def test_a_strategy_has_no_prices_of_its_own(tmp_path):
    """All strategies of a run pay the same prices."""
    change = f'strategies.none.set={{ "prices.\\"{FLASH}\\".input" = 1 }}'
    with pytest.raises(InputError, match="common to all strategies"):
        sim.load(small(tmp_path), sets=[change])
