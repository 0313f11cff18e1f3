"""What to vary in a scenario that does not say what it does not know: half to twice of what usually matters.

That is each stream's rate (or the load, where a stream has no single rate), the sizes, the times that caches live, the
main prices, and what nobody publishes: chances of a hit, how long a prefix is kept, how long a batch takes.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, TypeAlias

from pydantic_core import PydanticCustomError

from sim.errors import InputError
from sim.paths import written
from sim.scenario import Scenario, read_scenario
from sim.strategies.options import BatchOptions, CacheOptions
from sim.units import as_tokens, duration

__all__ = ["FACTOR", "usual"]

FACTOR = 2  # a value lies between its half and its double
_CERTAINTY = 20  # of the weights of a turnaround: a share of 0.6 is 0.6 +- 0.11
_PRICES = ("input", "cached", "output", "storage")
_BATCH_PRICES = ("batch_input", "batch_output")
_SIZES = ("mean", "value", "median")  # keys of a law that carry its size

_Candidate: TypeAlias = tuple[str, ...]  # overrides that stand or fall together


def usual(base: Scenario) -> list[str]:
    """Return ``PATH=LAW`` for what is usually worth varying, those that the scenario takes.

    >>> from sim.scenario import load
    >>> usual(load("quickstart"))[:2]
    ['streams.desk.arrivals.rate=loguniform(60/h, 240/h)', 'streams.desk.fresh.mean=loguniform(150, 600)']
    """
    return [text for candidate in _candidates(base) if _is_taken(base, candidate) for text in candidate]


def _is_taken(base: Scenario, candidate: _Candidate) -> bool:
    try:
        read_scenario(base.document, base.name, sets=candidate)
    except InputError:
        return False
    return True


def _candidates(base: Scenario) -> Iterator[_Candidate]:
    data = base.document.data
    if not all(list(_rate(base, *stream)) for stream in data.get("streams", {}).items()):
        yield from _number("load", base.spec.load)
    for name, stream in data.get("streams", {}).items():
        yield from _rate(base, name, stream)
        for key in ("fresh", "output"):
            yield from _size(written(("streams", name, key)), stream.get(key))
    for name, context in data.get("contexts", {}).items():
        yield from _size(written(("contexts", name, "tokens")), context.get("tokens"))
    for arm in base.arms:
        if isinstance(arm.strategy, CacheOptions) and not arm.strategy.expire_at and arm.strategy.ttl > FACTOR:
            yield from _time(written(("strategies", arm.name, "ttl")), arm.strategy.ttl)
    yield from _prices(base)
    yield from _service(base)


def _around(low: str, high: str) -> str:
    return f"loguniform({low}, {high})"


def _number(path: str, value: float | Fraction, unit: str = "") -> Iterator[_Candidate]:
    low, high = (f"{float(one):.12g}{unit}" for one in (value / FACTOR, value * FACTOR))
    if value > 0 and low != high:
        yield (f"{path}={_around(low, high)}",)


def _time(path: str, ms: int) -> Iterator[_Candidate]:
    yield (f"{path}={_around(duration(ms // FACTOR), duration(ms * FACTOR))}",)


def _rate(base: Scenario, name: str, stream: Mapping[str, Any]) -> Iterator[_Candidate]:
    """Yield the rate of a stream, or the count of a schedule; of other processes there is no single one."""
    arrivals = base.spec.streams[name].arrivals
    path = written(("streams", name, "arrivals"))
    if arrivals.process == "schedule":
        yield from _whole(f"{path}.count", arrivals.count)
    elif "rate" in stream["arrivals"] and (rate := getattr(arrivals, "rate", None)):
        yield from _number(f"{path}.rate", rate, "/h")


def _whole(path: str, value: int) -> Iterator[_Candidate]:
    if value >= FACTOR:
        yield (f"{path}={_around(str(value // FACTOR), str(value * FACTOR))}",)


def _size(path: str, law: object) -> Iterator[_Candidate]:
    """Yield the size of a law of tokens: a plain count, a mean, or the upper end of a uniform law."""
    if isinstance(law, Mapping):
        for key in _SIZES:
            yield from _size(f"{path}.{key}", law.get(key))
        if law.get("law") == "uniform" and (low := _tokens(law.get("low"))) < (high := _tokens(law.get("high"))):
            yield (f"{path}.high={_around(str(max(low, high // FACTOR)), str(high * FACTOR))}",)
    elif isinstance(law, float):
        yield from _number(path, law)
    elif tokens := _tokens(law):
        yield from _whole(path, tokens)


def _tokens(value: object) -> int:
    """Return a count of tokens as a document has it; 0 for what is none."""
    try:
        return as_tokens(value)
    except PydanticCustomError:
        return 0


def _prices(base: Scenario) -> Iterator[_Candidate]:
    batch = any(isinstance(arm.strategy, BatchOptions) for arm in base.arms)
    for model in base.spec.models:
        entry = base.book.entry(base.book.served(model, base.spec.start_ms), base.spec.start_ms)
        for column in (*_PRICES, *(_BATCH_PRICES if batch else ())):
            if price := entry.prices.get(column):
                yield from _number(f'prices."{entry.model}".{column}', Fraction(price, 10**6))


def _service(base: Scenario) -> Iterator[_Candidate]:
    service = base.arms[0].service
    for place, step in enumerate(service.implicit.hit_chance):
        if step.chance > 0:
            low, high = step.chance / FACTOR, min(1.0, 1.5 * step.chance)
            yield (f"service.implicit.hit_chance[{place}].chance=uniform({low:.12g}, {high:.12g})",)
    yield from _time("service.implicit.retention.median", service.implicit.retention.median)
    if any(isinstance(arm.strategy, BatchOptions) for arm in base.arms):
        yield from _turnaround(service.batch.turnaround.components)


def _turnaround(components: Sequence[Any]) -> Iterator[_Candidate]:
    path = "service.batch.turnaround.components"
    for place, component in enumerate(components):
        if component.median is not None:
            yield from _time(f"{path}[{place}].median", component.median)
    weights = [(place, component.weight) for place, component in enumerate(components) if component.weight > 0]
    if len(weights) > 1:
        yield tuple(f"{path}[{place}].weight=dirichlet({_CERTAINTY * weight:.12g})" for place, weight in weights)
