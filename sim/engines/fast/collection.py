"""The way into a batch job: the open collection, the line of closed ones, and the job that is made of one."""

from sim.engines.fast import asked, clock, keeper, line, metered, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.ends import settle
from sim.engines.fast.memory import World
from sim.engines.laws import jobs as law
from sim.engines.laws.draws import redraw
from sim.engines.laws.order import BEGIN, END, Kind
from sim.engines.laws.weather import inside, slowed
from sim.ledger import JobState, Mode, Status

__all__ = ["admit", "collect", "create", "give_up", "guarded", "lost", "send"]

_BATCH, _FAILED, _PENDING = int(Mode.BATCH), int(Status.FAILED), int(JobState.PENDING)
_SEEN, _ORPHAN, _RUN, _GUARD, _SEND = Kind.SEEN, Kind.ORPHAN, Kind.RUN, Kind.GUARD, Kind.SEND


@kernel
def guarded(w: World, request: int) -> None:
    """Set the guard of a request that is about to be collected."""
    if w[0].guard != -1:
        now = w[0].now
        at = law.guard_at(now, asked.patience(w)[request], w[0].guard, now)
        clock.push(w, at, BEGIN, request, _GUARD, clock.GUARDED, 0)


@kernel
def collect(w: World, request: int) -> None:
    """Put a request into the open collection, and close that when it is full."""
    tables.collected(w)[w[0].opened] = request
    w[0].opened += 1
    w[0].open += 1
    tables.callers(w)[request].open = 1
    if w[0].size != -1 and w[0].open >= w[0].size:
        send(w)
    elif w[0].open == 1:
        due = law.next_send(w[0].now, w[0].window, w[0].every, tables.at(w))
        if due != -1:
            clock.push(w, due, BEGIN, w[0].requests, _SEND, clock.SENT, w[0].collection)


@kernel
def send(w: World) -> None:
    """Close the collection; its jobs are made as soon as there is room for them."""
    c = tables.callers(w)
    begin, pool = w[0].pool, w[0].pool
    for position in range(w[0].opened):
        request = tables.collected(w)[position]
        if c[request].open:
            c[request].open = 0
            tables.pool(w)[pool] = request
            pool += 1
    w[0].pool = pool
    w[0].opened = w[0].open = 0
    w[0].collection += 1
    line.join(w, w[0].now, begin, 0)
    admit(w)


@kernel
def admit(w: World) -> None:
    """Make jobs of what waits in line, as far as there is room."""
    line.drop(w)
    begin, end, closed = line.take_head(w)
    while begin >= 0:
        first, most = tables.pool(w)[begin], line.most_tokens(w)
        if 0 <= most < asked.prompt(w)[first]:
            give_up(w, first, _FAILED, -1)
        else:
            _prepare(w, begin, end, closed)
        line.drop(w)
        begin, end, closed = line.take_head(w)


@kernel
def _prepare(w: World, begin: int, end: int, closed: int) -> None:
    """Create the job of some requests, once the caches that they name are there."""
    s = tables.starting(w)
    now, b = w[0].now, tables.members(w)
    ready, first = now, w[0].members
    for position in range(begin, end):
        request, member = tables.pool(w)[position], first + position - begin
        row = keeper.cache(w, request, tables.callers(w)[request].batch_use)
        b[member].request, b[member].cache = request, row
        if row >= 0:
            tables.caches(w)[row].held += 1
            ready = max(ready, tables.caches(w)[row].ready)
    w[0].members = first + end - begin
    start = w[0].starting
    w[0].starting = start + 1
    s[start].closed, s[start].first, s[start].members = (
        closed,
        first,
        end - begin,
    )
    if ready > now:
        clock.push(w, ready, BEGIN, b[first].request, _SEND, clock.MADE, start)
    else:
        _made(w, start)


@kernel
def create(w: World, start: int) -> None:
    """Create a job whose caches are there, without those whom the guard has claimed meanwhile."""
    s = tables.starting(w)
    b, first = tables.members(w), s[start].first
    kept, gone = first, 0
    for member in range(first, first + s[start].members):
        request = b[member].request
        if tables.callers(w)[request].claimed:
            keeper.let_go(w, b[member].cache)
            gone += asked.prompt(w)[request]
        else:
            b[kept].request, b[kept].cache = request, b[member].cache
            kept += 1
    lost_some = kept < first + s[start].members
    s[start].members = kept - first
    if lost_some:
        line.give(w, gone, 1 if kept == first else 0)
    if kept > first:
        _made(w, start)
    if lost_some:
        admit(w)


@kernel
def _made(w: World, start: int) -> None:
    """Write down a job that exists from now on."""
    s = tables.starting(w)
    c = tables.callers(w)
    now, b, first, count = (
        w[0].now,
        tables.members(w),
        s[start].first,
        s[start].members,
    )
    leader = b[first].request
    again, tokens = c[leader].resent, 0
    for member in range(first, first + count):
        request = b[member].request
        if c[request].resent == 0:
            c[request].submissions += 1
        c[request].resent = 0
        c[request].creations += 1
        b[member].creation = c[request].creations
        b[member].forbidden = 0
        metered.attempts(w)[request] += 1
        tokens += asked.prompt(w)[request]
    turnaround = asked.takes(w)[leader * w[0].takings + c[leader].creations - 1]
    if turnaround > 0 and inside(tables.slow(w), now):
        turnaround = max(1, slowed(turnaround, tables.batch(w)[0].slow_factor))
    started, end, how = law.times(now, turnaround, tables.batch(w)[0])
    job, j = w[0].jobs, tables.jobs(w)
    w[0].jobs = job + 1
    j[job].first, j[job].members, j[job].tokens, j[job].collected = (
        first,
        count,
        tokens,
        s[start].closed,
    )
    j[job].created, j[job].started, j[job].end, j[job].how = now, started, end, how
    j[job].running, j[job].open = law.run_length(now, started, turnaround), count
    j[job].orphan, j[job].state, j[job].seen = 0, _PENDING, -1
    vanished = again == 0 and redraw(asked.reply(w)[leader], c[leader].creations) < tables.batch(w)[0].lost_reply
    j[job].known = now + tables.batch(w)[0].lost_after if vanished else now
    if vanished and w[0].deduplicate == 0:
        j[job].orphan = 1
        clock.push(w, end, END, leader, _ORPHAN, clock.ORPHANED, job)
        clock.push(w, now + tables.batch(w)[0].lost_after, BEGIN, leader, _SEND, clock.LOST, job)
    else:
        for member in range(first, first + count):
            c[b[member].request].job = job
        clock.push(w, law.seen_at(j[job].known, end, w[0].poll), END, leader, _SEEN, clock.SEEN, job)
    if started != -1:
        clock.push(w, started, BEGIN, leader, _RUN, clock.RUNS, job)


@kernel
def lost(w: World, job: int) -> None:
    """Put the members of a lost job at the head of the line, where the room that it takes is missing."""
    c = tables.callers(w)
    begin, pool = w[0].pool, w[0].pool
    for member in range(tables.jobs(w)[job].first, tables.jobs(w)[job].first + tables.jobs(w)[job].members):
        request = tables.members(w)[member].request
        if c[request].claimed == 0:
            c[request].resent = 1
            tables.pool(w)[pool] = request
            pool += 1
    w[0].pool = pool
    if pool > begin:
        line.join(w, tables.jobs(w)[job].collected, begin, 1)
        admit(w)


@kernel
def give_up(w: World, request: int, status: int, job: int) -> None:
    """Give a request up."""
    metered.mode(w)[request], metered.job(w)[request] = _BATCH, job
    metered.prompt(w)[request], metered.model(w)[request] = (
        asked.prompt(w)[request],
        tables.epochs(w)[keeper.epoch(w)].model,
    )
    settle(w, request, status, w[0].now)
