"""The verdict on a scenario as it stands: looks at more and more replications until every claim is decided."""

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

from sim.decisions.claims import MOST, Question
from sim.decisions.laboratory import Ask, Found, Source
from sim.decisions.looks import looks, spent
from sim.decisions.measures import SAME, least_of
from sim.verdicts import Evidence, Judgement

__all__ = ["Ruling", "needed_of", "ruling_of"]


class Ruling(NamedTuple):
    """A verdict, and what it rests on."""

    judgement: Judgement
    evidence: Mapping[str, Evidence]  # by the key of each claim
    found: Found
    replications: int
    confidence: float  # of the judgement, whose claims share its error
    least: int  # replications that it takes to decide anything
    look: int | None  # the number of the last look, from 0; None where there was one judgement only

    @property
    def random(self) -> bool:
        """Return whether replications differ in anything."""
        return self.least > 1


def ruling_of(question: Question, source: Source) -> Ruling:
    """Return the verdict: on as many replications as asked for, else at the first look that decides, or the last.

    Where the first ten replications are the same in everything, nothing is random, and they are all.
    """
    if question.replications is not None:
        return _ruled(question, source, question.replications)
    ruling = _ruled(question, source, SAME)
    if not ruling.random:
        return ruling
    for look, replications in enumerate(looks(question.ceiling)):
        ruling = _ruled(question, source, replications, look)
        if ruling.judgement.outcome != "undecided":
            break
    return ruling


def _ruled(question: Question, source: Source, replications: int, look: int | None = None) -> Ruling:
    (found,) = source.find([Ask((), question.strategies)], range(replications))
    evidence, least = question.evidence(found), least_of(found)
    confidence = question.confidence if look is None else 1 - spent(1 - question.confidence, look)
    judgement = question.judged(evidence, confidence, least)
    return Ruling(judgement, evidence, found, replications, confidence, least, look)


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
