"""The values of a scenario that are not known: each a distribution in its place, drawn together or taken at its centre.

A joint law of shares is written member by member, ``dirichlet(60)``, ``dirichlet(37)`` and ``dirichlet(3)``, in the
elements of one list: independent gamma variables of these shapes over their sum.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sim.document import Document
from sim.errors import Problem
from sim.paths import Loc, Misplaced, dotted, split, written
from sim.scenario.distributions import Law, NotALaw, law_of, looks_like_a_law

__all__ = ["Uncertain", "centre", "drawn", "meant", "parse_law", "told", "uncertain_in"]

_ANY = "*"
_TEXTS: tuple[Loc, ...] = (  # where a text is a text, whatever it looks like
    ("question",),
    ("book",),
    ("baseline",),
    ("time_zone",),
    ("models", _ANY),
    ("replay", "trace"),
    ("streams", _ANY, "context"),
    ("contexts", _ANY, "under"),
    ("strategies", _ANY, "contexts", _ANY),
)
_CERTAIN = ("start", "seed", "replications", "patience_target", "close", "most_requests")
_KINDS = ("kind", "law", "process")  # names of what there is, which the fields list themselves
_SHARE_DIGITS = Decimal("1e-12")


class Uncertain(NamedTuple):
    """One value of a scenario that is a distribution."""

    path: str  # as --set reads it
    text: str  # as written
    law: Law
    loc: Loc  # the path, part by part
    group: str = ""  # of a member of a joint law: the list that its members stand in
    decimals: int | None = None  # of a plain number that its path takes only so coarsely

    @property
    def meant(self) -> Loc:
        """Return the path of the key that it is the value of: what a strategy's ``set`` names, else its own."""
        return meant(self.loc)

    @property
    def centre_name(self) -> str:
        """Return what the value is called that stands for the law where one is needed."""
        return "mean" if self.group else self.law.centre[0]

    def at(self, u: float) -> str:
        """Return the value at ``u`` of (0, 1) as ``--set`` reads it; a member of a joint law has none of its own."""
        return self.law.at(u, self.decimals)


def parse_law(text: str) -> Law:
    """Return the distribution of a single value; raise :class:`NotALaw`, a ValueError, for what is none.

    >>> parse_law("uniform(1h, 3h)").at(0.5)
    '2h'
    """
    law = law_of(text)
    if law.name == "dirichlet":
        raise NotALaw("a dirichlet is a law of several values", "it in two elements of one list of a scenario")
    return law


def drawn(uncertain: Sequence[Uncertain], uniforms: Sequence[float]) -> tuple[str, ...]:
    """Return overrides as ``--set`` takes them, from one uniform of (0, 1) for each uncertain value.

    The members of a joint law are drawn together, so all of them must be there.
    """
    values = {one.path: one.at(u) for one, u in zip(uncertain, uniforms, strict=True) if not one.group}
    for members in _groups(uncertain).values():
        weights = [one.law.quantile(u) for one, u in zip(uncertain, uniforms, strict=True) if one in members]
        values |= dict(zip((one.path for one in members), _shares(weights), strict=True))
    return tuple(f"{one.path}={values[one.path]}" for one in uncertain)


def centre(uncertain: Sequence[Uncertain]) -> dict[str, str]:
    """Return the value, by path, that stands for each law: its median; of a joint law its mean."""
    values = {one.path: one.at(one.law.centre[1]) for one in uncertain if not one.group}
    for members in _groups(uncertain).values():
        means = _shares([one.law.shape[0] for one in members])
        values |= dict(zip((one.path for one in members), means, strict=True))
    return values


def told(uncertain: Sequence[Uncertain]) -> list[str]:
    """Return a sentence for each value that a run takes for certain although it is not."""
    values = centre(uncertain)
    return [
        f"{one.path} is uncertain ({one.text}): taken at its {one.centre_name} {values[one.path]} here; "
        "gcsim uncertainty draws it"
        for one in uncertain
    ]


def _groups(uncertain: Sequence[Uncertain]) -> dict[str, list[Uncertain]]:
    groups = dict.fromkeys(one.group for one in uncertain if one.group)
    return {group: [one for one in uncertain if one.group == group] for group in groups}


def _shares(weights: Sequence[float]) -> list[str]:
    """Return weights over their sum to twelve decimals; the largest share makes the sum exactly 1.

    >>> _shares([1.0, 1.0, 1.0])
    ['0.333333333334', '0.333333333333', '0.333333333333']
    >>> _shares([60.0, 40.0])
    ['0.6', '0.4']
    """
    total = sum(weights)
    shares = [Decimal(weight / total).quantize(_SHARE_DIGITS) for weight in weights]
    largest = shares.index(max(shares))
    shares[largest] += 1 - sum(shares)
    return [f"{share.normalize():f}" for share in shares]


def uncertain_in(document: Document) -> tuple[tuple[Uncertain, ...], list[Problem]]:
    """Return the uncertain values of a document, and what is wrong with those that are none."""
    found: list[Uncertain] = []
    problems: list[Problem] = []
    for loc, text in _calls(document.data, ()):
        try:
            found.append(_read(loc, text))
        except NotALaw as error:
            problems.append(document.problem(loc, error.what, error.allowed, text))
    for group, members in _groups(found).items():
        if len(members) == 1:
            what = f"a dirichlet alone in its list {group}" if "[" in members[0].path else "a dirichlet in no list"
            allowed = "a dirichlet in two elements of one list at least"
            problems.append(document.problem(members[0].loc, what, allowed, members[0].text))
            found.remove(members[0])
    return tuple(found), problems


def _calls(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """Yield the texts that look like a law, with their paths, but for those where a text is a text."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _calls(inner, (*loc, key))
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            yield from _calls(inner, (*loc, place))
    elif isinstance(value, str) and looks_like_a_law(value) and not _is_text(meant(loc)):
        yield loc, value


def _is_text(loc: Loc) -> bool:
    return loc[-1] in _KINDS or any(_matches(loc, text) for text in _TEXTS)


def _matches(loc: Loc, pattern: Loc) -> bool:
    return len(loc) == len(pattern) and all(a in (_ANY, b) for a, b in zip(pattern, loc, strict=True))


def meant(loc: Loc) -> Loc:
    """Return the path that a value is for: in a strategy's ``set`` the one that its key names.

    >>> meant(("strategies", "none", "set", "streams.desk.fresh", "mean"))
    ('streams', 'desk', 'fresh', 'mean')
    """
    if loc[0] != "strategies" or loc[2:3] != ("set",) or not isinstance(loc[3], str):
        return loc
    try:
        return (*split(loc[3]), *loc[4:])
    except Misplaced:
        return loc


def _read(loc: Loc, text: str) -> Uncertain:
    if meant(loc)[0] in _CERTAIN:
        raise NotALaw("cannot be uncertain", "one value")
    law = law_of(text)
    return Uncertain(written(loc), law.text, law, loc, group=_list_of(loc) if law.name == "dirichlet" else "")


def _list_of(loc: Loc) -> str:
    """Return the list of a joint law and the field of its elements, such as ``components[].weight``."""
    places = [at for at, part in enumerate(loc) if isinstance(part, int)]
    if not places:
        return dotted(loc)
    return f"{written(loc[: places[-1]])}[]" + (
        f".{written(loc[places[-1] + 1 :])}" if loc[-1] != loc[places[-1]] else ""
    )
