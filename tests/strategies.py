"""The Hypothesis strategies that several tests share: few clashing values, so that boundaries meet."""

import datetime as dt

import numpy as np
from hypothesis import strategies as st

from sim.ledger import Ledger, Mode, Status

NEW_YEAR = int(dt.datetime(2027, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)  # prices of some models change here
LEDGER_START = NEW_YEAR - 3_600_000
DAY_2026 = int(dt.datetime(2026, 11, 22, tzinfo=dt.UTC).timestamp() * 1000)  # the day the shipped books were checked
# a long tier; a price change; a batch-cached price of its own; none of these
LEDGER_MODELS = ("gemini-3.1-pro-preview", "gemini-3.8-flash", "gemini-3.5-flash-lite", "gemini-2.5-flash-lite")

clashing_tokens = st.sampled_from([0, 1, 1_000, 199_999, 200_000, 200_001]) | st.integers(0, 10**6)
clashing_ms = st.sampled_from([0, 1, 3_599_999, 3_600_000, 3_600_001, 86_400_000]) | st.integers(0, 10**8)


@st.composite
def calls(draw, count):
    """Return columns of calls: model, mode, prompt, cached <= prompt, output, sent."""
    rows = []
    for _ in range(count):
        prompt = draw(clashing_tokens)
        cached = draw(st.sampled_from([0, prompt]) | st.integers(0, prompt))
        model = draw(st.integers(0, len(LEDGER_MODELS) - 1))
        rows.append((model, draw(st.sampled_from(Mode)), prompt, cached, draw(clashing_tokens), draw(clashing_ms)))
    return dict(zip(("model", "mode", "prompt", "cached", "output", "sent"), columns(rows, 6), strict=True))


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
        model = draw(st.integers(0, len(LEDGER_MODELS) - 1))
        caches.append((model, draw(clashing_tokens), born, until, committed, 0))
    cache = dict(
        zip(("model", "tokens", "born", "until", "committed", "reads"), columns(caches, 6), strict=True),
    )
    zeros, none = np.zeros(n, np.int64), np.zeros(0, np.int64)
    return Ledger(
        **own,
        source=zeros,
        arrived=zeros,
        done=own["sent"],
        attempts=zeros + 1,
        status=np.array([draw(st.sampled_from([*Status, Status.DONE])) for _ in range(n)], dtype=np.int64),
        job=zeros - 1,
        duplicate_request=np.zeros(d, np.int64),
        duplicate_done=again["sent"],
        **{f"duplicate_{name}": column for name, column in again.items()},
        **{f"cache_{name}": column for name, column in cache.items()},
        job_created=none,
        job_started=none,
        job_done=none,
        job_state=none,
        models=LEDGER_MODELS,
        start_ms=LEDGER_START,
    )


def ledger_of(rows=(), caches=(), models=LEDGER_MODELS, start_ms=DAY_2026):
    """Return a ledger of done requests (model, mode, prompt, cached, output, sent) and caches (model, tokens, …)."""
    names = ("model", "mode", "prompt", "cached", "output", "sent")
    cache = ("cache_model", "cache_tokens", "cache_born", "cache_until", "cache_committed")
    given_columns = dict(zip(names, columns(list(rows), 6), strict=True))
    given_columns |= dict(zip(cache, columns(list(caches), 5), strict=True))
    n = len(rows)
    given_columns |= {"status": np.full(n, Status.DONE, np.int64)}
    whole = {"source", "arrived", "done", "attempts", "job"}
    rest = {
        f: np.zeros(n if f in whole else 0, np.int64)
        for f in Ledger._fields
        if f not in given_columns and f not in ("models", "start_ms")
    }
    return Ledger(**given_columns, **rest, models=models, start_ms=start_ms)


def one_cache(model, start_ms, tokens, lived, committed=None):
    """Return a ledger that holds one explicit cache and nothing else."""
    return ledger_of(caches=[(0, tokens, 0, lived, committed or lived)], models=(model,), start_ms=start_ms)
