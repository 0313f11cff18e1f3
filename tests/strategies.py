"""The Hypothesis strategies that several tests share: few clashing values, so that boundaries meet."""

import datetime as dt
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from sim.experiments.result import Binding, Caching, Cell, Refusals, StreamCell, Turnaround, Unread
from sim.experiments.survey import Excess, Survey
from sim.ledger import Ledger, Limit, Mode, Status
from sim.sketch import Sketch

NEW_YEAR = int(dt.datetime(2027, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)  # prices of some models change here
LEDGER_START = NEW_YEAR - 3_600_000
DAY_2026 = int(dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp() * 1000)  # the day the shipped books were checked
# a long tier; a price change; a batch-cached price of its own; audio prices; the last two at once
LEDGER_MODELS = (
    "gemini-3.1-pro-preview",
    "gemini-3.8-flash",
    "gemini-3.5-flash-lite",
    "gemini-2.5-flash-lite",
    "gemini-3.1-flash-lite",
)
REQUEST_FIELDS = Ledger._fields[: Ledger._fields.index("duplicate_request")]
CALL = ("model", "mode", "prompt", "cached", "audio", "cached_audio", "output", "sent")

clashing_tokens = st.sampled_from([0, 1, 1_000, 199_999, 200_000, 200_001]) | st.integers(0, 10**6)
clashing_ms = st.sampled_from([0, 1, 3_599_999, 3_600_000, 3_600_001, 86_400_000]) | st.integers(0, 10**8)


def part_of(whole):
    """Return a strategy for a part of a count: often nothing or all of it."""
    return st.sampled_from([0, whole]) | st.integers(0, whole)


@st.composite
def calls(draw, count):
    """Return columns of calls: cached <= prompt, and audio among the cached tokens and among the others."""
    rows = []
    for _ in range(count):
        prompt = draw(clashing_tokens)
        cached = draw(part_of(prompt))
        cached_audio = draw(part_of(cached))
        audio = cached_audio + draw(part_of(prompt - cached))
        model, mode = draw(st.integers(0, len(LEDGER_MODELS) - 1)), draw(st.sampled_from(Mode))
        rows.append((model, mode, prompt, cached, audio, cached_audio, draw(clashing_tokens), draw(clashing_ms)))
    return dict(zip(CALL, columns(rows, len(CALL)), strict=True))


def columns(rows, width):
    """Return rows as int64 columns."""
    return np.array(rows, dtype=np.int64).reshape(-1, width).T.copy()


@st.composite
def ledgers(draw, max_requests=8):
    """Return a ledger of requests, duplicates and explicit caches around a price change, billed or not."""
    n, d, m = (draw(st.integers(0, size)) for size in (max_requests, 3, 4))
    own, again = draw(calls(n)), draw(calls(d))
    caches = []
    for _ in range(m):
        born, until, committed = sorted(draw(st.tuples(clashing_ms, clashing_ms, clashing_ms)))
        model, tokens = draw(st.integers(0, len(LEDGER_MODELS) - 1)), draw(clashing_tokens)
        caches.append((model, tokens, draw(part_of(tokens)), born, until, committed))
    names = ("model", "tokens", "audio", "born", "until", "committed")
    given_columns = own | {f"duplicate_{name}": column for name, column in again.items()}
    given_columns |= {f"cache_{name}": c for name, c in zip(names, columns(caches, len(names)), strict=True)}
    given_columns["status"] = columns([[draw(st.sampled_from([*Status, Status.DONE]))] for _ in range(n)], 1)[0]
    return whole_ledger(given_columns, n, d, m)


def whole_ledger(given_columns, requests, duplicates=0, caches=0, models=LEDGER_MODELS, start_ms=LEDGER_START):
    """Return the ledger of some columns; the others are zero, and there are no jobs and no limits."""

    def size(name):
        if name in REQUEST_FIELDS:
            return requests
        return {"duplicate": duplicates, "cache": caches}.get(name.split("_")[0], 0)

    names = [name for name in Ledger._fields if name not in ("models", "start_ms")]
    whole = {name: np.zeros(size(name), np.int64) for name in names} | given_columns
    assert set(whole) == set(names)
    return Ledger(**whole, models=models, start_ms=start_ms)


def ledger_of(rows=(), caches=(), models=LEDGER_MODELS, start_ms=DAY_2026, **more):
    """Return a ledger of done requests (model, mode, prompt, cached, output, sent) and caches (model, tokens, …).

    ``more`` are columns by name, such as ``audio``.
    """
    names = ("model", "mode", "prompt", "cached", "output", "sent")
    cache = ("cache_model", "cache_tokens", "cache_born", "cache_until", "cache_committed")
    given_columns = dict(zip(names, columns(list(rows), 6), strict=True))
    given_columns |= dict(zip(cache, columns(list(caches), 5), strict=True))
    given_columns |= {"status": np.full(len(rows), Status.DONE, np.int64)}
    given_columns |= {name: np.array(column, np.int64) for name, column in more.items()}
    return whole_ledger(given_columns, len(rows), 0, len(caches), models, start_ms)


def one_cache(model, start_ms, tokens, lived, committed=None):
    """Return a ledger that holds one explicit cache and nothing else."""
    return ledger_of(caches=[(0, tokens, 0, lived, committed or lived)], models=(model,), start_ms=start_ms)


counts = st.sampled_from([0, 1, 2]) | st.integers(0, 2**62)
names = st.sampled_from(["none", "batch", "two words", 'a "quote"', "ü", ""])
money = st.fractions(0, 10**6) | st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(10**18, 7)])


@st.composite
def samples_of_times(draw):
    """Return sorted times in ms, or a sketch of them."""
    times = np.sort(np.array(draw(st.lists(clashing_ms, max_size=20)), dtype=np.int64))
    return Sketch.of(times) if draw(st.booleans()) else times


@st.composite
def run_cells(draw):
    """Return a cell of a run: any counts, times kept whole or as sketches, caches of a run that was cut or was not."""
    streams = [
        StreamCell(draw(names), *draw(st.tuples(*[counts] * 12)), latency_ms=draw(samples_of_times()))
        for _ in range(draw(st.integers(0, 3)))
    ]
    refusals = draw(st.lists(st.builds(Refusals, st.sampled_from(Limit), counts, counts), max_size=4))
    before, after = (np.sort(np.array(draw(st.lists(clashing_ms, max_size=5)), dtype=np.int64)) for _ in range(2))
    return Cell(
        strategy=draw(names),
        model=draw(names),
        replication=draw(st.integers(0, 10**6)),
        total_usd=draw(money),
        lines_usd=draw(st.dictionaries(names, money, max_size=4)),
        streams=tuple(streams),
        binding=Binding(draw(counts), tuple(refusals), *draw(st.tuples(*[counts] * 8)), draw(st.tuples(*[counts] * 4))),
        jobs=draw(st.dictionaries(names, counts, max_size=3)),
        turnaround=Turnaround(before, after),
        caches=Caching(*draw(st.tuples(*[counts] * 3)), draw(st.none() | st.builds(Unread, counts, counts, money))),
        duplicates=draw(counts),
    )


@st.composite
def surveys(draw):
    """Return what a realisation holds for the pairs of a few clashing workloads and names."""
    workloads, pairs = st.integers(0, 2), st.tuples(names, names)
    few = st.integers(0, 9)
    excess = st.builds(Excess, st.sampled_from(["tokens a minute", "requests"]), st.booleans(), few, few)
    return Survey(
        requests=draw(st.dictionaries(workloads, few, max_size=3)),
        contexts=draw(st.dictionaries(workloads, st.tuples(few, few), max_size=3)),
        thinking=draw(st.dictionaries(workloads, st.lists(names, unique=True).map(tuple), max_size=3)),
        excess=draw(st.dictionaries(pairs, st.lists(excess, unique_by=lambda one: one.limit).map(tuple), max_size=3)),
        overspent=draw(st.dictionaries(pairs, few, max_size=3)),
    )
