"""Closed collections that wait for room: jobs at once, tokens enqueued, and what a single job can hold."""

from sim.engines.fast import asked, keeper, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.memory import World

__all__ = ["drop", "enqueued", "give", "join", "most_tokens", "take_head"]


@kernel
def join(w: World, closed: int, begin: int, at_head: int) -> None:
    """Put the requests of the pool from ``begin`` on into line: at its end, or at its head."""
    entry, line = w[0].entries, tables.line(w)
    w[0].entries = entry + 1
    line[entry].closed, line[entry].begin, line[entry].end, line[entry].next = closed, begin, w[0].pool, -1
    if w[0].head < 0:
        w[0].head = w[0].tail = entry
    elif at_head:
        line[entry].next = w[0].head
        w[0].head = entry
    else:
        line[w[0].tail].next = entry
        w[0].tail = entry


@kernel
def drop(w: World) -> None:
    """Forget what nobody waits for any more at the head of the line."""
    line = tables.line(w)
    while w[0].head >= 0:
        head = w[0].head
        if w[0].guard != -1:
            kept = line[head].begin
            for position in range(line[head].begin, line[head].end):
                request = tables.pool(w)[position]
                if tables.callers(w)[request].claimed == 0:
                    tables.pool(w)[kept] = request
                    kept += 1
            line[head].end = kept
        if line[head].begin < line[head].end:
            return
        w[0].head = line[head].next


@kernel
def enqueued(w: World) -> int:
    """Return the tokens that may be enqueued now, -1 = any."""
    return tables.epochs(w)[keeper.epoch(w)].enqueued


@kernel
def most_tokens(w: World) -> int:
    """Return how many tokens one job can have, -1 = any."""
    size = tables.batch(w)[0].inline_tokens if w[0].inline else tables.batch(w)[0].job_tokens
    limit = enqueued(w)
    if size < 0 or 0 <= limit < size:
        return limit
    return size


@kernel
def take_head(w: World) -> tuple[int, int, int]:
    """Return (begin, end, closed) of the requests of the next job that there is room for; begin -1 = there is none.

    A request too large for any job comes back alone, with nothing taken.
    """
    head, line = w[0].head, tables.line(w)
    if head < 0:
        return -1, -1, -1
    begin, most = line[head].begin, most_tokens(w)
    end, tokens = begin, 0
    while end < line[head].end:
        more = tokens + asked.prompt(w)[tables.pool(w)[end]]
        if 0 <= tables.batch(w)[0].job_requests <= end - begin or 0 <= most < more:
            break
        tokens = more
        end += 1
    if end > begin:
        limit = enqueued(w)
        if 0 <= tables.batch(w)[0].jobs <= w[0].line_jobs or 0 <= limit < w[0].line_tokens + tokens:
            return -1, -1, -1
        w[0].line_jobs += 1
        w[0].line_tokens += tokens
    else:
        end = begin + 1
    line[head].begin = end
    closed = line[head].closed
    if end == line[head].end:
        w[0].head = line[head].next
    return begin, end, closed


@kernel
def give(w: World, tokens: int, jobs: int) -> None:
    """Take room back."""
    w[0].line_jobs -= jobs
    w[0].line_tokens -= tokens
