"""The guide's decision framework as a table that can be executed: questions of a stream, and what follows from them.

It is the guide's advice, not this simulator's: where the guide gives a word ("large", "many") and no number, the number
is taken from its own examples and named with the answer.
"""

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple, TypeAlias

from sim.decisions.advising.traffic import Traffic
from sim.units import HOUR, duration

__all__ = ["QUESTIONS", "TABLE", "Advice", "Answer", "Kind", "advise_stream", "together"]

Kind: TypeAlias = Literal["implicit", "explicit", "batch", "hybrid", "routed"]

MANY = 10  # questions on one text; its example has 20
LARGE = 100  # requests; its examples have 5,000 and 10,000
NIGHT = 8 * HOUR  # its third example waits so long; the 24 h of the Batch API are a target
HOURLY = HOUR  # "content that changes hourly"
MOST = 0.5  # of a stream's requests, from which the answer is that of the stream


class Answer(NamedTuple):
    """One question, answered for one stream."""

    question: str
    yes: bool
    figure: str  # what it was answered by
    limit: str  # from where the answer is yes


class Advice(NamedTuple):
    """What the guide says of one stream."""

    stream: str
    kind: Kind
    because: str  # its sentence
    answers: tuple[Answer, ...]


class Rule(NamedTuple):
    """A line of the table: a kind of strategy, and the questions that must be answered with yes."""

    kind: Kind
    needs: frozenset[str]
    because: str


def _shared(traffic: Traffic) -> Answer:
    if traffic.hidden:
        return Answer("a shared text", False, "variable text stands in front of it, so no two requests begin alike", "")
    texts = "one text" if traffic.contexts == 1 else f"one of {traffic.contexts:,} texts"
    figure = f"{100 * traffic.shared:.3g} % of the requests start with {texts}" if traffic.contexts else "none"
    return Answer("a shared text", traffic.shared >= MOST, figure, "")


def _substantial(traffic: Traffic) -> Answer:
    name = "above the minimum"
    if traffic.minimum is None:
        return Answer(name, False, "the model has no explicit caches", "")
    sizes = (
        f"{traffic.shortest:,} to {traffic.longest:,}" if traffic.longest > traffic.shortest else f"{traffic.longest:,}"
    )
    figure = f"{sizes} tokens" if traffic.contexts else "no text"
    return Answer(name, traffic.cacheable >= MOST, figure, f"{traffic.minimum:,} tokens")


def _lasting(traffic: Traffic) -> Answer:
    replaced = traffic.replaced_ms
    stays = bool(traffic.contexts) and (replaced is None or replaced > HOURLY)
    figure = "never replaced" if replaced is None else f"replaced every {duration(replaced)}"
    limit = f"longer than {duration(HOURLY)}"
    return Answer("text that stays", stays, figure if traffic.contexts else "no text", limit)


def _often(traffic: Traffic) -> Answer:
    figure = f"{traffic.uses:,.3g} on each" if traffic.uses < 1_000 else f"{traffic.uses:,.0f} on each"
    return Answer(
        "many questions on it", traffic.uses >= MANY, figure if traffic.contexts else "no text", f"{MANY} on each"
    )


def _patient(traffic: Traffic) -> Answer:
    figure = f"they wait {duration(traffic.patience_ms)}" + (", in conversations" if traffic.session else "")
    waits = traffic.patience_ms >= NIGHT and not traffic.session
    return Answer("callers who can wait", waits, figure, f"{duration(NIGHT)}, and no conversation")


def _large(traffic: Traffic) -> Answer:
    if not traffic.batched:
        return Answer("a large volume", False, "the model is not offered in batch", "")
    return Answer(
        "a large volume", traffic.requests >= LARGE, f"{traffic.requests:,.0f} requests", f"{LARGE:,} requests"
    )


QUESTIONS: dict[str, Callable[[Traffic], Answer]] = {
    "shared": _shared,
    "substantial": _substantial,
    "lasting": _lasting,
    "often": _often,
    "patient": _patient,
    "large": _large,
}
_CACHE, _BATCH = frozenset({"shared", "substantial", "lasting", "often"}), frozenset({"patient", "large"})

TABLE = (  # the first line whose needs are met
    Rule(
        "hybrid", _CACHE | _BATCH, "batch work over a shared, substantial context: cache the context, batch the queries"
    ),
    Rule("batch", _BATCH, "independent requests in large volumes that can wait: batch them"),
    Rule("explicit", _CACHE, "many requests on the same large context, with answers needed now: cache it"),
    Rule(
        "implicit",
        frozenset(),
        "neither a batch nor a cache of one's own: ordinary calls, cached where the service does",
    ),
)


def advise_stream(traffic: Traffic) -> Advice:
    """Return the first line of the table whose needs a stream meets, with every answer."""
    answers = {name: ask(traffic) for name, ask in QUESTIONS.items()}
    met = {name for name, answer in answers.items() if answer.yes}
    rule = next(rule for rule in TABLE if rule.needs <= met)
    return Advice(traffic.stream, rule.kind, rule.because, tuple(answers.values()))


def together(advice: Iterable[Advice]) -> Kind:
    """Return the one strategy that follows what is said of every stream: by patience where some are to be batched.

    >>> together([Advice("chat", "explicit", "", ()), Advice("night", "hybrid", "", ())])
    'routed'
    >>> together([Advice("chat", "explicit", "", ()), Advice("mail", "implicit", "", ())])
    'explicit'
    """
    kinds = {one.kind for one in advice}
    batched, at_once = kinds & {"batch", "hybrid"}, kinds & {"explicit", "implicit"}
    if batched and at_once:
        return "routed"
    if batched:
        return "hybrid" if "hybrid" in kinds else "batch"
    return "explicit" if "explicit" in kinds else "implicit"
