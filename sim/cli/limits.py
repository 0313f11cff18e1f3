"""The limits of a model by usage tier, as ``gcsim prices MODEL`` tells them."""

from typing import Any

from rich.box import HORIZONTALS
from rich.table import Table

from sim.billing import decimal_text
from sim.providers import Book
from sim.providers.limits import Enqueued, Quota, Spend
from sim.providers.project import TIERS

__all__ = ["limits_document", "limits_table"]

Json = dict[str, Any]

_KEY = "- = no limit, ? = none published and taken for no limit"
_CALLS = ("requests_per_minute", "tokens_per_minute", "requests_per_day")


def limits_document(book: Book, model: str) -> list[Json]:
    """Return the limits of each tier that the book has any of; null = no limit, or none that is published."""
    rows = [_tier(book, model, tier) for tier in TIERS]
    return [row for row in rows if any(row[key] for key in ("calls", "enqueued", "spend"))]


def _tier(book: Book, model: str, tier: str) -> Json:
    limits = book.limits
    quota, enqueued = limits.quotas.get((model, tier)), limits.enqueued.get((book.facts[model].family, tier))
    spend, usd = limits.spend, limits.spend_of(tier)
    return {
        "tier": tier,
        "offered": quota is None or quota.offered,
        "calls": quota and {**{name: getattr(quota, name) for name in _CALLS}, **_source(quota)},
        "enqueued": enqueued and {"tokens": enqueued.tokens, **_source(enqueued)},
        "spend": usd and spend and {"usd_per_10_minutes": decimal_text(usd), **_source(spend)},
    }


def _source(fact: Quota | Enqueued | Spend) -> Json:
    return {"confidence": fact.confidence, "source": fact.source}


def limits_table(model: str, rows: list[Json]) -> Table:
    """Return the limits by tier, each group with its confidence."""
    table = Table(title=f"limits of {model} by usage tier; {_KEY}", title_justify="left", box=HORIZONTALS)
    table.add_column("tier")
    for name in ("requests/min", "tokens/min", "requests/day", "batch tokens enqueued", "USD in 10 min"):
        table.add_column(name, justify="right")
    table.add_column("confidence")
    for row in rows:
        calls, enqueued, spend = row["calls"], row["enqueued"], row["spend"]
        if not row["offered"]:
            table.add_row(row["tier"], "not offered", *[""] * 4, calls["confidence"])
            continue
        marks = dict.fromkeys(group["confidence"] for group in (calls, enqueued, spend) if group)
        table.add_row(
            row["tier"],
            *(_count(calls[name]) if calls else "?" for name in _CALLS),
            _count(enqueued["tokens"] if enqueued else None),
            spend["usd_per_10_minutes"] if spend else "-",
            ", ".join(marks),
        )
    return table


def _count(limit: int | None) -> str:
    return "-" if limit is None else f"{limit:,}"
