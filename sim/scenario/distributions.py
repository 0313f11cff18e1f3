"""What a user does not know exactly, as a distribution in place of a value: ``lognormal(120/h, cv=0.3)``."""

import math
import re
from typing import NamedTuple

from sim.errors import nearest
from sim.scenario.families import LAWS, Shape, need
from sim.scenario.quantities import NUMBER, Unit, amounts

__all__ = ["FORMS", "Law", "NotALaw", "law_of", "looks_like_a_law"]

_CALL = re.compile(r"\s*([A-Za-z_]\w*)\s*\((.*)\)\s*", re.DOTALL)
_OPENED = re.compile(r"\s*([A-Za-z_]\w*)\s*\(")
_COMMA = re.compile(r""",(?=(?:[^"']|"[^"]*"|'[^']*')*$)""")  # outside of quotes
_NAMED = re.compile(r"([A-Za-z_]\w*)\s*=\s*(.+)", re.DOTALL)
_BOUNDS = ("at_least", "at_most")
_PLAIN = {"A", "B", "CV"}  # parameters that are plain numbers whatever the law is a law of
_KEPT = 1e-9  # the least part of a law that its bounds may keep


class NotALaw(ValueError):
    """A text that begins like a distribution is none; ``allowed`` says what would be one."""

    def __init__(self, what: str, allowed: str) -> None:
        self.what, self.allowed = what, allowed
        super().__init__(f"{what}; {allowed}")


class Law(NamedTuple):
    """A distribution of one value; of ``dirichlet`` one member of a joint law, a gamma variable before its division."""

    text: str  # as written
    name: str
    unit: Unit
    shape: Shape
    least: float = -math.inf  # the law is conditioned on [least, most]: no value is moved to a bound
    most: float = math.inf
    items: tuple[str, ...] = ()  # of a choice, in rising order where they are quantities

    def quantile(self, u: float) -> float:
        """Return the amount at ``u`` of (0, 1), in units of ``unit``."""
        family = LAWS[self.name]
        low, high = family.chance(self.shape, self.least), family.chance(self.shape, self.most)
        return min(max(family.quantile(self.shape, low + u * (high - low)), self.least), self.most)

    def at(self, u: float, decimals: int | None = None) -> str:
        """Return the value at ``u`` of (0, 1) as ``--set`` reads it.

        >>> law_of("uniform(10k, 20k)").at(0.25), law_of("choice(1h, 30m)").at(0.25)
        ('12500', '30m')
        """
        if self.items:
            return self.items[min(int(u * len(self.items)), len(self.items) - 1)]
        return self.unit.text(self.quantile(u), decimals)

    @property
    def centre(self) -> tuple[str, float]:
        """Return the name of the value that stands for the law where one is needed, and the ``u`` that it is at."""
        if not self.items:
            return "median", 0.5
        if _ordered(self.items):
            return "median", ((len(self.items) - 1) // 2 + 0.5) / len(self.items)
        return "first value", 0.5 / len(self.items)

    @property
    def probes(self) -> tuple[float, ...]:
        """Return the ``u`` at which a field is asked whether it takes the law: its outermost values, or every one."""
        if self.items:
            return tuple((n + 0.5) / len(self.items) for n in range(len(self.items)))
        return (0.001, 0.999)


_CHOICE = "choice"
FORMS: dict[str, str] = {
    **{name: " or ".join(f"{name}({form})" for form in family.forms) for name, family in LAWS.items()},
    _CHOICE: f"{_CHOICE}(VALUE, VALUE, ...)",
}
"""The ways to write each law."""


def looks_like_a_law(text: str) -> bool:
    """Return whether a text has the form of a call, so that it is a distribution or a mistake where numbers stand.

    >>> looks_like_a_law("beta(8, 4)"), looks_like_a_law("30m")
    (True, False)
    """
    return _OPENED.match(text) is not None


def law_of(text: str) -> Law:
    """Return the law of a text; raise :class:`NotALaw` for what is none.

    >>> law_of("lognormal(100..150)").at(0.5)
    '122.474487139'
    """
    match, opened = _CALL.fullmatch(text), _OPENED.match(text)
    if match is None:
        if opened is not None and opened[1] in FORMS:
            raise NotALaw("a bracket is not closed, or something follows it", FORMS[opened[1]])
        raise NotALaw("not a distribution", f"one of {', '.join(sorted(FORMS))}")
    name, inside = match[1], match[2].strip()
    if name not in FORMS:
        raise NotALaw(f"unknown distribution {name}", nearest(name, FORMS))
    parts = [part.strip() for part in _COMMA.split(inside)]
    try:
        need("" not in parts, "an empty parameter")
        return _choice(text, parts) if name == _CHOICE else _law(text, name, parts)
    except ValueError as error:
        raise NotALaw(str(error), FORMS[name]) from None


def _law(text: str, name: str, parts: list[str]) -> Law:
    named = {match[1]: match[2].strip() for part in parts if (match := _NAMED.fullmatch(part))}
    given = [part for part in parts if not _NAMED.fullmatch(part)]
    need(len(given) + len(named) == len(parts), "a parameter is given twice")
    bounds = {key: named.pop(key) for key in _BOUNDS if key in named and name != "dirichlet"}
    form = next((form for form in LAWS[name].forms if _fits(form, given, named)), None)
    if form is None:
        raise ValueError(f"these are not its parameters: {', '.join(parts)}")
    words, texts = _bound(form, given, named)
    plain = [value for word, value in zip(words, texts, strict=True) if word in _PLAIN]
    of_kind = [value for word, value in zip(words, texts, strict=True) if word not in _PLAIN]
    numbers, none = amounts(plain) if plain else ((), NUMBER)
    need(none == NUMBER, f"not a plain number: {', '.join(plain)}")
    found, unit = amounts([*of_kind, *bounds.values()]) if of_kind or bounds else ((), NUMBER)
    quantities, plains = iter(found), iter(numbers)
    arguments = [next(plains if word in _PLAIN else quantities) for word in words]
    limits = dict(zip(bounds, quantities, strict=True))
    law = Law(text.strip(), name, unit, LAWS[name].forms[form](*arguments))
    return _conditioned(law._replace(least=limits.get("at_least", -math.inf), most=limits.get("at_most", math.inf)))


def _fits(form: str, given: list[str], named: dict[str, str]) -> bool:
    """Return whether parameters are those of a form: as many in order, an interval where it has one, the same names."""
    parts = form.split(", ")
    in_order = [part for part in parts if "=" not in part]
    names = {part.partition("=")[0] for part in parts if "=" in part}
    intervals = [".." in part for part in in_order] == [".." in text for text in given]
    return len(in_order) == len(given) and intervals and names == named.keys()


def _bound(form: str, given: list[str], named: dict[str, str]) -> tuple[list[str], list[str]]:
    """Return the words of a form's parameters, and the text of each."""
    words, texts, rest = [], [], iter(given)
    for part in form.split(", "):
        name, _, word = part.rpartition("=")
        words += word.split("..")
        texts += [named[name]] if name else [text.strip() for text in next(rest).split("..", 1)]
    return words, texts


def _conditioned(law: Law) -> Law:
    need(law.least < law.most, "at_least must be below at_most")
    kept = LAWS[law.name].chance(law.shape, law.most) - LAWS[law.name].chance(law.shape, law.least)
    need(kept >= _KEPT, f"at_least and at_most keep {kept:.1e} of the law, less than 1e-9")
    return law


def _choice(text: str, parts: list[str]) -> Law:
    """Return a choice: quantities in rising order, words as they stand."""
    need(len(parts) > 1, "a choice needs two values")
    quantities = [part for part in parts if _is_quantity(part)]
    unit = amounts(quantities)[1] if quantities else NUMBER
    if len(quantities) == len(parts):
        size = dict(zip(parts, amounts(parts)[0], strict=True))
        parts = sorted(parts, key=size.__getitem__)
    return Law(text.strip(), _CHOICE, unit, (), items=tuple(parts))


def _is_quantity(text: str) -> bool:
    try:
        amounts([text])
    except ValueError:
        return False
    return True


def _ordered(items: tuple[str, ...]) -> bool:
    return all(_is_quantity(item) for item in items)
