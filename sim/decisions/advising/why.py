"""Why two strategies part: the number that decides, found among the cells of both, and what stands behind it."""

from collections.abc import Sequence
from fractions import Fraction
from statistics import median
from typing import Literal, NamedTuple, TypeAlias

from sim.decisions.advising.contest import Contender, Contest
from sim.decisions.laboratory import Found, Row
from sim.experiments.estimates import Json
from sim.providers.prices import LINES
from sim.skewed import bill_difference
from sim.stats import Interval

__all__ = ["Reason", "lateness", "reasons"]

Number: TypeAlias = Literal["patience", "minimum", "input", "cached", "output", "creation", "storage", "audio", "hits"]

NOTABLE = 0.1  # of what the first line costs more, below which another one is no reason

_LINES: dict[str, Number] = {line: ("audio" if line.startswith("audio_") else line) for line in LINES}  # type: ignore[misc]


class Reason(NamedTuple):
    """One number that speaks against a strategy."""

    number: Number
    usd: Interval | None  # what this line costs more than in the other strategy; None where it is no money
    text: str

    def told(self) -> Json:
        """Return it as a document has it."""
        usd = None if self.usd is None else {"mean": self.usd.mean, "lo": self.usd.lo, "hi": self.usd.hi}
        return {"number": self.number, "usd": usd, "text": self.text}


def reasons(found: Found, advised: Contender, contest: Contest, target: float) -> list[Reason]:
    """Return why a strategy that was advised is not the best one, the number that decides first.

    One that misses the patience target is out for that, whatever it costs. Else the bill is split: the lines that cost
    more than in the best strategy, the largest first, each with what its cells say of it; those below a tenth of the
    first are left out. A strategy that was to cache and never did is told first. Where the best one lives on implicit
    hits, which nobody promises, the hit ratio at which the two would cost the same is told last.
    """
    best = contest.best
    mine = found.of(advised.strategy, advised.model)
    if advised.keeps == "no" or (best is not None and not advised.reaches(target)):
        return [lateness(found, advised, target)]
    if best is None or best is advised:
        return []
    uncached = [_uncached(mine)] if _has_cached_nothing(found, advised, mine) else []
    theirs = found.of(best.strategy, best.model)
    return [*uncached, *_lines(advised.strategy, mine, best.strategy, theirs), *_luck(advised, mine, best, theirs)]


def lateness(found: Found, advised: Contender, target: float) -> Reason:
    """Return how many requests of which stream come too late."""
    names = dict.fromkeys(row["stream"] for row in found.rows[advised.strategy, advised.model])
    streams = {name: found.of(advised.strategy, advised.model, name) for name in names if name}
    late = {name: _late_share(rows) for name, rows in streams.items()} or {"": _late_share(found.of(*_pair(advised)))}
    worst = max(late, key=lambda name: late[name])
    waits = [row["latency_p50_s"] for row in found.of(*_pair(advised), worst) if row["latency_p50_s"] is not None]
    usual = f"the median answer takes {_span(median(waits))}" if waits else "none is answered"
    of = f" of {worst}" if worst else ""
    text = f"{100 * late[worst]:.3g} % of the requests{of} are late ({100 * (1 - target):.3g} % may be); {usual}"
    return Reason("patience", None, text)


def _pair(one: Contender) -> tuple[str, str]:
    return one.strategy, one.model


def _late_share(rows: Sequence[Row]) -> float:
    total = sum(row["total"] for row in rows)
    return 1 - sum(row["within_patience"] for row in rows) / total if total else 0.0


def _span(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def _has_cached_nothing(found: Found, advised: Contender, rows: Sequence[Row]) -> bool:
    arm = next(arm for arm in found.scenario.arms if arm.name == advised.strategy)
    return arm.strategy.kind in ("explicit", "hybrid") and not any(row["caches"] for row in rows)


def _uncached(rows: Sequence[Row]) -> Reason:
    refused = _mean(rows, "refused_contexts")
    why = (
        f"{refused:,.3g} contexts a run are of a size that no cache takes"
        if refused
        else "no request was due to make one"
    )
    return Reason("minimum", None, f"it never caches: {why}")


def _lines(name: str, mine: Sequence[Row], other: str, theirs: Sequence[Row]) -> list[Reason]:
    found = []
    for line, number in _LINES.items():
        own, other_usd = ([Fraction(row[f"{line}_usd_exact"]) for row in rows] for rows in (mine, theirs))
        usd = bill_difference(own, other_usd)
        if usd.mean > 0:
            found.append(Reason(number, usd, _behind(line, name, mine, other, theirs)))
    found.sort(key=_usd, reverse=True)
    return [reason for reason in found if _usd(reason) >= NOTABLE * _usd(found[0])]


def _usd(reason: Reason) -> float:
    return reason.usd.mean if reason.usd else 0.0


def _luck(advised: Contender, mine: Sequence[Row], best: Contender, theirs: Sequence[Row]) -> list[Reason]:
    """Return down to which hit ratio the best one is cheaper, where it has more implicit hits than the other.

    A hit less costs the input price instead of the cached one, both as its own bill has them.
    """
    hit, read = _total(theirs, "implicit_tokens"), _total(theirs, "implicit_tokens") + _total(theirs, "explicit_tokens")
    prompts = _total(theirs, "prompt_tokens")
    fresh = prompts - read
    if hit <= _total(mine, "implicit_tokens") or not fresh or _total(theirs, "audio_input_usd"):
        return []
    spared = _total(theirs, "input_usd") / fresh - _total(theirs, "cached_usd") / read
    ahead = float(sum(advised.costs) - sum(best.costs))
    if spared <= 0 or not 0 < ahead < hit * spared:
        return []
    now, even = 100 * hit / prompts, 100 * (hit - ahead / spared) / prompts
    text = f"{now:.3g} % of the tokens that {best.strategy} sends are implicit hits, which nobody promises"
    return [Reason("hits", None, f"{text}: below {even:.3g} % {advised.strategy} costs less")]


def _behind(line: str, name: str, mine: Sequence[Row], other: str, theirs: Sequence[Row]) -> str:
    """Return what the cells say of a line that costs more."""
    if line == "storage":
        share, held = _total(mine, "storage_usd") / _total(mine, "cost_usd"), _mean(mine, "cache_token_hours")
        return f"storage is {100 * share:.3g} % of the bill of {name}, {held:,.0f} token-hours a run"
    if line == "creation":
        return f"caches written a run: {name} {_mean(mine, 'caches'):,.3g}, {other} {_mean(theirs, 'caches'):,.3g}"
    halved = f"{name} sends {_halved(mine)} at half the price, by batch or flex, {other} {_halved(theirs)}"
    if line != "output":
        hits = [f"{100 * _hits(rows):.3g} %" for rows in (mine, theirs)]
        read = f"{name} reads {hits[0]} of the prompt tokens from a cache, {other} {hits[1]}"
        parts = [*([read] if hits[0] != hits[1] else []), *([halved] if _halved(mine) != _halved(theirs) else [])]
        return "; ".join(parts) or f"{name} bills {_mean(mine, 'prompt_tokens'):,.0f} prompt tokens a run"
    if _halved(mine) == _halved(theirs) and (again := _mean(mine, "duplicates")):
        return f"{name} pays {again:,.3g} answers a run twice, {other} {_mean(theirs, 'duplicates'):,.3g}"
    return halved


def _total(rows: Sequence[Row], column: str) -> float:
    return float(sum(row[column] or 0 for row in rows))


def _mean(rows: Sequence[Row], column: str) -> float:
    return _total(rows, column) / len(rows)


def _hits(rows: Sequence[Row]) -> float:
    prompts = _total(rows, "prompt_tokens")
    return (_total(rows, "implicit_tokens") + _total(rows, "explicit_tokens")) / prompts if prompts else 0.0


def _halved(rows: Sequence[Row]) -> str:
    done, half = _total(rows, "done"), _total(rows, "served_batch") + _total(rows, "served_flex")
    return f"{100 * half / done:.3g} %" if done else "nothing"
