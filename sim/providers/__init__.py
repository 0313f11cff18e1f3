"""What a provider publishes: dated prices, terms and facts of a price book, loaded strictly from TOML."""

from sim.providers.facts import Assumption, Figure, ModelFacts, Redirect
from sim.providers.load import SHIPPED, load_book
from sim.providers.prices import LINES, Book, Entry, Terms

__all__ = ["LINES", "SHIPPED", "Assumption", "Book", "Entry", "Figure", "ModelFacts", "Redirect", "Terms", "load_book"]
