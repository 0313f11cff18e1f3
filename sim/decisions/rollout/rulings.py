"""The verdict on a scenario as it stands: looks at more and more replications until every claim is decided."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import NamedTuple, TypeAlias

from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.measures import SAME, least_of
from sim.decisions.rollout.claims import MOST, Question
from sim.decisions.rollout.looks import looks, spent
from sim.verdicts import Evidence, Judgement

__all__ = ["Ruling", "Sets", "needed_of", "ruling_of", "rulings_of"]

Sets: TypeAlias = tuple[str, ...]  # the overrides of a setting


class Ruling(NamedTuple):
    """A verdict, and what it rests on."""

    judgement: Judgement
    evidence: Mapping[str, Evidence]  # by the key of each claim
    found: Found
    replications: int
    least: int  # replications that it takes to decide anything
    look: int | None  # the number of the last look, from 0; None where there was one judgement only

    @property
    def random(self) -> bool:
        """Return whether replications differ in anything."""
        return self.least > 1


def ruling_of(question: Question, source: Source) -> Ruling:
    """Return the verdict on the scenario as it stands: see :func:`rulings_of`."""
    return rulings_of(question, source, [()])[0]


def rulings_of(question: Question, source: Source, settings: Sequence[Sets]) -> list[Ruling]:
    """Return the verdict on each setting: on as many replications as asked for, else at the first look that decides.

    Where the first ``SAME`` replications are the same in everything, nothing seems to be random, and they are all. A
    setting that no look decides has the verdict of the last.
    """
    if question.replications is not None:
        return _ruled(question, source, settings, question.replications)
    rulings = dict(zip(settings, _ruled(question, source, settings, SAME), strict=True))
    for look, replications in enumerate(looks(question.ceiling)):
        left = [sets for sets, one in rulings.items() if one.random and one.judgement.outcome == "undecided"]
        rulings |= zip(left, _ruled(question, source, left, replications, look), strict=True)
    return [rulings[sets] for sets in settings]


def _ruled(
    question: Question, source: Source, settings: Sequence[Sets], replications: int, look: int | None = None
) -> list[Ruling]:
    """Return what so many replications say of each setting; all are asked for at once, so that they share work."""
    asks = [Ask(sets, question.strategies) for sets in settings]
    everything = source.find(asks, range(replications)) if asks else []
    confidence = question.confidence if look is None else 1 - spent(1 - question.confidence, look)
    rulings = []
    for found in everything:
        evidence, least = question.evidence(found), least_of(found)
        judgement = question.judged(evidence, confidence, least)
        rulings.append(Ruling(judgement, evidence, found, replications, least, look))
    return rulings


def needed_of(question: Question, ruling: Ruling) -> list[int | None]:
    """Return the replications that would decide each claim, by the present spread; None: decided, or none would.

    Where there are looks it is the first one at whose own level the claim is forecast to be decided.
    """
    verdicts = ruling.judgement.verdicts
    if ruling.look is None:
        return [verdict.needed for verdict in verdicts]
    found: dict[int, int] = {}
    undecided = {place for place, verdict in enumerate(verdicts) if verdict.needed is not None}
    later = islice(enumerate(looks(MOST)), ruling.look + 1, None)
    for look, replications in later:
        if undecided == found.keys():
            break
        confidence = 1 - spent(1 - question.confidence, look)
        there = question.judged(dict(ruling.evidence), confidence, ruling.least).verdicts
        for place in undecided - found.keys():
            if (needed := there[place].needed) is not None and needed <= replications:
                found[place] = replications
    return [found.get(place) for place in range(len(verdicts))]
