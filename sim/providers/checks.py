"""The rules between the entries of a price book: dates that meet, names that exist, discounts that discount."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple, TypeGuard

from sim.document import Document, Loc
from sim.errors import Problem, nearest
from sim.providers.schema import PRICE_COLUMNS

__all__ = ["problems_between", "warnings_of"]

_CHEAPER = (  # (the discounted price, what it is a discount on)
    ("cached", "input"),
    ("batch_input", "input"),
    ("batch_output", "output"),
    ("batch_cached", "cached"),
    ("audio_cached", "audio_input"),
    ("batch_audio_input", "audio_input"),
    ("long_cached", "long_input"),
    ("long_batch_input", "long_input"),
    ("long_batch_output", "long_output"),
    ("long_batch_cached", "long_cached"),
)
_AS_TEXT = {"audio_cached": "cached", "batch_audio_input": "batch_input"}  # a blank price of audio -> what is billed
_LONG = tuple(name for name in PRICE_COLUMNS if name.startswith("long_"))
_TABLES = (
    "terms", "service", "latency", "models", "redirects", "priority", "flex", "book", "prices",
    "platforms", "quotas", "enqueued", "spend", "media",
)  # fmt: skip


class _Dated(NamedTuple):
    """A row with dates that can be compared, and where it stands."""

    path: Loc
    start: dt.date
    end: dt.date | None


def problems_between(document: Document) -> list[Problem]:
    """Return the mistakes that no single key shows.

    It reads the raw values and passes over those of a wrong kind, which the schema reports, so that all mistakes of a
    file appear at once.
    """
    checks: tuple[Callable[[Document], Iterator[Problem]], ...] = (
        _dates_meet,
        _names_exist,
        _long_tier,
        _priority_is_whole,
        _redirects_lead_somewhere,
        _limits_are_of_something,
        _assumptions_speak_of_something,
    )
    return [problem for check in checks for problem in check(document)]


def _dates_meet(document: Document) -> Iterator[Problem]:
    groups: dict[Any, list[_Dated]] = {}
    for path, row in _rows(document, "prices"):
        _add(groups, row.get("model"), path, row)
    for model, table in _tables(document, "models"):
        minimums = table.get("minimums")
        for index, row in enumerate(minimums if isinstance(minimums, list) else []):
            _add(groups, (model, "minimums"), ("models", model, "minimums", index), row)
    for rows in groups.values():
        rows.sort(key=lambda row: row.start)
        yield from _ends_after_start(document, rows)
        for before, after in pairwise(rows):
            yield from _meet(document, before, after)


def _add(groups: dict[Any, list[_Dated]], key: Any, path: Loc, row: Any) -> None:
    start, end = (row.get(name) if isinstance(row, dict) else None for name in ("valid_from", "valid_until"))
    whole = all(isinstance(day, dt.date) and not isinstance(day, dt.datetime) for day in (start, end or start))
    if whole and isinstance(key, (str, tuple)):
        groups.setdefault(key, []).append(_Dated(path, start, end))  # type: ignore[arg-type]  # `whole` narrows it


def _ends_after_start(document: Document, rows: list[_Dated]) -> Iterator[Problem]:
    for row in rows:
        if row.end is not None and row.end <= row.start:
            what = "ends before it begins" if row.end < row.start else "lasts no day"
            yield document.problem((*row.path, "valid_until"), what, f"after {row.start}", str(row.end))


def _meet(document: Document, before: _Dated, after: _Dated) -> Iterator[Problem]:
    other = f"line {document.line((*before.path, 'valid_from'))}"
    place = (*after.path, "valid_from")
    if after.start == before.start:
        yield document.problem(place, f"two rows for one date: {other} begins on it too", "one row", str(after.start))
    elif before.end is None or before.end > after.start:
        end = before.end or "never"
        yield document.problem(
            place, f"overlaps the row of {other}, which ends {end}", "one row a date", str(after.start)
        )
    elif before.end < after.start:
        yield document.problem(
            place, f"a gap after the row of {other}, which ends {before.end}", f"{before.end}", str(after.start)
        )


def _names_exist(document: Document) -> Iterator[Problem]:
    models = {name for name, _ in _tables(document, "models")}
    priced = {row["model"] for _, row in _rows(document, "prices") if isinstance(row.get("model"), str)}
    for path, row in _rows(document, "prices"):
        if isinstance(name := row.get("model"), str) and name not in models:
            yield document.problem((*path, "model"), "no [models] table of that name", nearest(name, models), name)
    for name in sorted(models - priced):
        yield document.problem(("models", name), "a model without [[prices]]", "at least one row")
    families = {"pro", "flash", "flash-lite"}
    for name, _ in _tables(document, "latency"):
        if name not in families | models:
            hint = nearest(name, families | models)
            yield document.problem(("latency", name), "neither a model nor a family", hint, name)


def _long_tier(document: Document) -> Iterator[Problem]:
    for path, row in _rows(document, "prices"):
        for name in _LONG:
            if name in row and "long_over" not in row:
                yield document.problem((*path, name), "a long price without long_over", "the limit in tokens beside it")


def _priority_is_whole(document: Document) -> Iterator[Problem]:
    table = document.data.get("priority")
    factor = table.get("factor") if isinstance(table, dict) else None
    if not _is_price(factor):
        return
    for path, row in _rows(document, "prices"):
        for name in ("input", "output", "cached", "long_input", "long_output", "long_cached"):
            price = row.get(name)
            if _is_price(price) and (Fraction(price) * Fraction(factor) * 10**6).denominator != 1:
                what = f"times the priority factor {factor} is not a whole number of picodollars per token"
                yield document.problem((*path, name), what, "", price)


def _redirects_lead_somewhere(document: Document) -> Iterator[Problem]:
    models = {name for name, _ in _tables(document, "models")}
    turns: dict[str, str] = {}
    for path, row in _rows(document, "redirects"):
        for key in ("model", "to"):
            if isinstance(name := row.get(key), str) and name not in models:
                yield document.problem((*path, key), "unknown model", nearest(name, models), name)
        source, to, at = row.get("model"), row.get("to"), row.get("at")
        if not (isinstance(source, str) and isinstance(to, str) and isinstance(at, dt.date)):
            continue
        if source in turns:
            yield document.problem((*path, "model"), "a second redirect of one model", "one", source)
        turns[source] = to
        if _circles(source, turns):
            yield document.problem((*path, "to"), "the redirects run in a circle", "a model that serves", to)
        if to in models and not _priced_on(document, to, at):
            yield document.problem((*path, "to"), f"has no price on {at}", "a model priced on that day", to)


def _circles(start: str, turns: Mapping[str, str]) -> bool:
    name, seen = start, {start}
    while (name := turns.get(name, "")) and name not in seen:
        seen.add(name)
    return bool(name)


def _priced_on(document: Document, model: str, day: dt.date) -> bool:
    groups: dict[Any, list[_Dated]] = {}
    for path, row in _rows(document, "prices"):
        _add(groups, row.get("model"), path, row)
    return any(row.start <= day and (row.end is None or day < row.end) for row in groups.get(model, []))


def _limits_are_of_something(document: Document) -> Iterator[Problem]:
    models = {name for name, _ in _tables(document, "models")}
    for path, row in _rows(document, "quotas"):
        if isinstance(name := row.get("model"), str) and name not in models:
            yield document.problem((*path, "model"), "no [models] table of that name", nearest(name, models), name)
        limits = [key for key in ("requests_per_minute", "tokens_per_minute", "requests_per_day") if key in row]
        if row.get("offered") is False and limits:
            what = "a limit of what the tier does not offer"
            yield document.problem((*path, limits[0]), what, "no limits, or offered = true")
    for table, key in (("quotas", "model"), ("enqueued", "family")):
        seen: dict[tuple[str, str], Loc] = {}
        for path, row in _rows(document, table):
            pair = str(row.get(key)), str(row.get("tier"))
            if pair in seen:
                what = f"a second row of {pair[0]} in tier {pair[1]}: line {document.line(seen[pair])} is one too"
                yield document.problem(path, what, "one row for each")
            seen.setdefault(pair, path)


def _assumptions_speak_of_something(document: Document) -> Iterator[Problem]:
    for path, row in _rows(document, "assumptions"):
        name = row.get("path")
        if isinstance(name, str) and not _exists(document.data, name):
            yield document.problem((*path, "path"), "names no value of this book", nearest(name, _TABLES), name)


def _exists(data: Any, path: str) -> bool:
    """Return whether a dotted path leads to a value; names of models hold dots themselves."""
    if not isinstance(data, dict):
        return False
    return any(
        path == key or (path.startswith(f"{key}.") and _exists(item, path[len(key) + 1 :]))
        for key, item in data.items()
    )


def warnings_of(document: Document) -> Iterator[Problem]:
    """Yield what is allowed but rarely meant: a price of zero, a discount above the full price, audio as text."""
    for path, row in _rows(document, "prices"):
        for name in PRICE_COLUMNS:
            if name in row and row[name] == 0:
                yield document.problem((*path, name), f"the price of {row['model']} is zero")
        for low, high in _CHEAPER:
            if low in row and high in row and row[low] > row[high]:
                yield document.problem(
                    (*path, low), f"dearer than {high} of {row['model']} ({row[high]})", "", row[low]
                )
        for blank, text in _AS_TEXT.items():
            if "audio_input" in row and text in row and blank not in row:
                what = f"{blank} of {row['model']} is blank: it is billed as text ({text}, {row[text]})"
                yield document.problem((*path, "audio_input"), what, f"{blank} beside it")


def _is_price(value: Any) -> TypeGuard[int | Decimal]:
    """Return whether a value is a number of a size that exact arithmetic can take."""
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        return False
    return Decimal(value).is_finite() and (value == 0 or Decimal("1e-9") < value < Decimal("1e9"))


def _rows(document: Document, table: str) -> Iterator[tuple[Loc, dict[str, Any]]]:
    rows = document.data.get(table)
    for index, row in enumerate(rows if isinstance(rows, list) else []):
        if isinstance(row, dict):
            yield (table, index), row


def _tables(document: Document, name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    tables = document.data.get(name)
    for key, table in (tables if isinstance(tables, dict) else {}).items():
        if isinstance(table, dict):
            yield key, table
