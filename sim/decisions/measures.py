"""What can be required of a strategy, or asked about it: a name, a unit, and what replications say of it.

===================  =========  =======================================================================================
measure              unit       what it is
===================  =========  =======================================================================================
cost                 dollars    mean cost of a run; ``cost a month`` (30 days), ``a day``, ``a year`` ... are scaled by
                                the strategy's own horizon; a replay has none
cost per request     dollars    cost over requests that arrived
saving               share      ``1 - cost / cost of the baseline``, on the same luck
p50, p95, p99        duration   from arrival to answer: the mean over replications of each one's own quantile; what
                                failed has no latency, so require ``failed`` too
mean                 duration   the same, over all answers of all replications
within_patience      share      answered in time, of all requests
failed               share      failed or expired, of all requests
429s, 503s           share      calls refused by a quota, or by an overloaded service, of all calls
hit_ratio            share      cached over prompt tokens
===================  =========  =======================================================================================

``latency`` may stand beside a quantile or the mean, and ``of STREAM`` after whatever a stream has of its own. A period
may follow the cost or its limit: ``a month``, ``per month``, ``/month``.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from sim.decisions.laboratory import Found, Row
from sim.experiments.rows import cost_of
from sim.scenario import Scenario
from sim.skewed import ENOUGH
from sim.stats import Interval, Number
from sim.units import DAY, HOUR
from sim.verdicts import Evidence, Kind, Requirement, mean_of, requirements_of, saving_of

__all__ = ["Measure", "evidence_of", "least_of", "measures_of", "requirements", "values_of"]

PERIODS = {"hour": HOUR, "day": DAY, "week": 7 * DAY, "month": 30 * DAY, "year": 365 * DAY}
QUANTILES = ("p50", "p95", "p99")
SAME = 60  # replications, of which 95 % of samples see what happens once in 20: 0.95^60 < 0.05

_PERIOD = re.compile(rf"\s*(?:\b(?:an?|per)\s+|/\s*)(?P<period>{'|'.join(PERIODS)})\s*$")
_COST = re.compile(f"cost{_PERIOD.pattern}")
_LATENCY = re.compile(r"^(?:(p50|p95|p99|mean)\s+latency|latency\s+(p50|p95|p99|mean))\b")
_SIGN = re.compile(r"<=|>=")

Column = Callable[[Row], int]


class Measure(NamedTuple):
    """Something that a strategy has in every replication."""

    name: str
    kind: Kind
    stream: str  # "" = all streams
    above: Callable[[Row], Number | None]  # its value; of a share or an average what is counted
    below: Column | None = None  # what a share or an average is taken of; None: the value stands for itself
    period: int = 0  # ms that a cost is scaled to; 0 = it is of a run
    versus: bool = False  # it is a saving over the baseline


def measures_of(scenario: Scenario) -> dict[str, Measure]:
    """Return what can be asked of any strategy of a scenario, by name.

    >>> from sim.scenario import load
    >>> list(measures_of(load("quickstart")))[:5]
    ['cost', 'cost an hour', 'cost a day', 'cost a week', 'cost a month']
    """
    recorded = scenario.spec.replay is not None  # how long that lasts only its file knows
    found = [Measure("cost", "money", "", cost_of)]
    found += [Measure(_cost_a(name), "money", "", cost_of, period=ms) for name, ms in PERIODS.items() if not recorded]
    found += [
        Measure("cost per request", "money", "", cost_of, _count("total")),
        Measure("saving", "share", "", cost_of, versus=True),
        Measure("429s", "share", "", _counts("throttled"), _count("calls")),
        Measure("503s", "share", "", _counts("shed"), _count("calls")),
    ]
    for stream in ("", *([] if recorded else scenario.spec.streams)):
        found += _of_stream(stream)
    return {measure.name: measure for measure in found}


def _cost_a(period: str) -> str:
    return f"cost {'an' if period[0] == 'h' else 'a'} {period}"


def _of_stream(stream: str) -> list[Measure]:
    of = f" of {stream}" if stream else ""
    return [
        *(Measure(f"{name}{of}", "duration", stream, _time(f"latency_{name}_s")) for name in QUANTILES),
        Measure(f"mean{of}", "duration", stream, _counts("latency_sum_ms"), _count("done")),
        Measure(f"within_patience{of}", "share", stream, _counts("within_patience"), _count("total")),
        Measure(f"failed{of}", "share", stream, lambda row: row["failed"] + row["expired"], _count("total")),
        Measure(f"hit_ratio{of}", "share", stream, _hits, _count("prompt_tokens")),
    ]


def _hits(row: Row) -> int:
    return int(row["implicit_tokens"] + row["explicit_tokens"])


def _count(column: str) -> Column:
    return lambda row: int(row[column])


def _counts(column: str) -> Callable[[Row], Number | None]:
    return lambda row: row[column]


def _time(column: str) -> Callable[[Row], Number | None]:
    """Return a quantile in ms; None where nothing was answered."""
    return lambda row: None if row[column] is None else float(row[column]) * 1e3


def requirements(texts: Iterable[str], scenario: Scenario, flag: str = "--require") -> list[Requirement]:
    """Return requirements such as ``p95 latency of chat <= 5s`` or ``cost <= $2,000 a month``; raise every mistake.

    >>> from sim.scenario import load
    >>> requirements(["cost <= $2,000 a month", "p95 latency of desk <= 30s"], load("quickstart"))[0].measure
    'cost a month'
    """
    kinds = {name: measure.kind for name, measure in measures_of(scenario).items()}
    return [requirement._replace(text=text.strip()) for requirement, text in _paired(list(texts), kinds, flag)]


def _paired(texts: list[str], kinds: dict[str, Kind], flag: str) -> Iterable[tuple[Requirement, str]]:
    return zip(requirements_of(map(_plain, texts), kinds, flag), texts, strict=True)


def _plain(text: str) -> str:
    """Return a requirement with its period and stream where the names of measures have them.

    >>> _plain("cost <= $2,000 a month"), _plain("cost/day <= $9"), _plain("p95 latency of chat <= 5 s")
    ('cost a month <= $2,000', 'cost a day <= $9', 'p95 of chat <= 5 s')
    """
    sign = _SIGN.search(text)
    if sign is None:
        return text
    measure = _LATENCY.sub(lambda match: match[1] or match[2], text[: sign.start()].strip())
    limit = text[sign.end() :].strip()
    if (own := _COST.fullmatch(measure)) is not None:
        measure = _cost_a(own["period"])
    if (period := _PERIOD.search(limit)) is not None:
        measure = _cost_a(period["period"]) if measure == "cost" else f"{measure} a {period['period']}"
        limit = limit[: period.start()]
    return f"{measure} {sign[0]} {limit}"


def values_of(measure: Measure, found: Found, strategy: str, model: str | None = None) -> list[float]:
    """Return the measure in each replication, in its own unit; NaN where a replication has none.

    Raises ``ValueError`` for a saving, which has none of its own: ask :func:`evidence_of`.
    """
    if measure.versus:
        raise ValueError(f"{measure.name} is of all replications together: a single one has none")
    scale = _scale(measure, found.scenario, strategy)
    return [_value(measure, row, scale) for row in found.of(strategy, model, measure.stream)]


def _scale(measure: Measure, scenario: Scenario, strategy: str) -> Fraction:
    """Return what a cost is multiplied by: its period over the horizon that the strategy is run for."""
    if not measure.period:
        return Fraction(1)
    arm = next(arm for arm in scenario.arms if arm.name == strategy)
    return Fraction(measure.period, arm.spec.workload.horizon)


def _value(measure: Measure, row: Row, scale: Fraction) -> float:
    above = measure.above(row)
    if above is None:
        return math.nan
    if measure.below is None:
        return float(above * scale) if isinstance(above, Fraction) else float(above)
    below = measure.below(row)
    return float(Fraction(above) / below) if below else math.nan


def evidence_of(
    measure: Measure, found: Found, strategy: str, baseline: str | None = None, model: str | None = None
) -> Evidence:
    """Return what the replications say of a measure of a strategy.

    Means and savings have intervals for skewed bills (:mod:`sim.skewed`), and so have shares and averages, which are
    ratios of sums over all replications (Fieller 1954). Where requests came and none was answered, in any replication
    for a quantile and in all of them for the mean, a latency is infinite, with bounds. Where no replication has
    anything to measure, there is nothing: NaN, without bounds.
    """
    rows = found.of(strategy, model, measure.stream)
    if measure.versus:
        base = found.of(baseline or found.scenario.baseline, model)
        return _saved([cost_of(row) for row in rows], [cost_of(row) for row in base])
    values = [measure.above(row) for row in rows]
    if measure.below is not None:
        below = [measure.below(row) for row in rows]
        lost = measure.kind == "duration" and not sum(below) and any(row["total"] for row in rows)
        return _certain(math.inf, len(rows)) if lost else _ratio([x or 0 for x in values], below, measure.kind)
    if any(value is None and row["total"] for value, row in zip(values, rows, strict=True)):
        return _certain(math.inf, len(rows))
    scale = _scale(measure, found.scenario, strategy)
    there = [value * scale if isinstance(value, Fraction) else value for value in values if value is not None]
    return _never_below_zero(mean_of(there)) if there else _nothing(len(rows))


def _never_below_zero(evidence: Evidence) -> Evidence:
    """Return evidence whose bounds leave out what no cost and no latency can be; few replications would reach there."""
    return evidence._replace(interval=lambda level: evidence.interval(level).within(0.0))


def _saved(own: Sequence[Fraction], base: Sequence[Fraction]) -> Evidence:
    return saving_of(own, base) if sum(base) > 0 else _nothing(len(own))


def _ratio(above: Sequence[Number], below: Sequence[int], kind: Kind) -> Evidence:
    """Return a ratio of sums: the complement of a saving, whose interval is Fieller's."""
    if not sum(below):
        return _nothing(len(below))
    left = saving_of(above, below)
    most = 1.0 if kind == "share" else math.inf

    def interval(level: float) -> Interval:
        found = left.interval(level)
        ends = [None if end is None else 1 - end for end in (found.hi, found.lo)]
        return Interval(1 - found.mean, *ends).within(0.0, most)

    return left._replace(interval=interval)


def _certain(value: float, replications: int) -> Evidence:
    return Evidence(lambda _: Interval(value, value, value), replications)


def _nothing(replications: int) -> Evidence:
    return Evidence(lambda _: Interval(math.nan), replications, warning="there is nothing to measure")


def least_of(found: Found) -> int:
    """Return the replications that it takes to decide anything: 1 where nothing seems to be random.

    That is where ``SAME`` replications or more are the same in everything; of fewer that are, luck that strikes once in
    twenty would be missed by more than 5 % of samples (ten of it miss it six times out of ten). Luck that no
    replication met is in no interval, so ``ENOUGH`` of them are asked for otherwise.
    """
    for rows in found.rows.values():
        alone = [{key: value for key, value in row.items() if key != "replication"} for row in rows]
        streams = len({row["stream"] for row in rows})
        if len(alone) < SAME * streams or any(row != alone[place % streams] for place, row in enumerate(alone)):
            return ENOUGH
    return 1
