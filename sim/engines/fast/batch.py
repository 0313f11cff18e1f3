"""The Batch API and its client: collect, send jobs, look at them, settle or try again; guard deadlines."""

from sim.engines.fast import asked, client, clock, explicit, keeper, line, metered, quota, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.ends import settle
from sim.engines.fast.memory import World
from sim.engines.laws import jobs as law
from sim.engines.laws.draws import redraw
from sim.engines.laws.order import BEGIN, END, Kind
from sim.engines.laws.weather import inside, slowed
from sim.ledger import JobState, Limit, Mode, Source, Status
from sim.strategies.decision import CacheUse

__all__ = ["collect", "create", "fall_back", "guarded", "lost", "orphan_ends", "run", "seen", "send"]

_JOB_DRAW = 1 << 16
_BATCH, _STANDARD = int(Mode.BATCH), int(Mode.STANDARD)
_PENDING_STATUS, _DONE, _FAILED, _EXPIRED = (
    int(Status.PENDING),
    int(Status.DONE),
    int(Status.FAILED),
    int(Status.EXPIRED),
)
_PENDING, _RUNNING, _CANCELLED = int(JobState.PENDING), int(JobState.RUNNING), int(JobState.CANCELLED)
_SUCCEEDED, _PARTIALLY = int(JobState.SUCCEEDED), int(JobState.PARTIALLY_SUCCEEDED)
_ALL_FAILED, _JOB_EXPIRED = int(JobState.FAILED), int(JobState.EXPIRED)
_FORBIDDEN, _NONE, _NO_CACHE = int(Limit.FORBIDDEN), int(Source.NONE), int(CacheUse.NONE)
_SEEN, _ORPHAN, _RUN, _GUARD, _SEND = Kind.SEEN, Kind.ORPHAN, Kind.RUN, Kind.GUARD, Kind.SEND
_RUNS_OUT, _STOPPED = law.EXPIRED, law.STOPPED


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
            _end(w, first, _FAILED, -1)
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
    turnaround = asked.takes(w)[(c[leader].creations - 1) * w[0].requests + leader]
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
def run(w: World, job: int) -> None:
    """Start to run: every member reads what is cached now."""
    if tables.jobs(w)[job].state == _CANCELLED:
        return
    tables.jobs(w)[job].state = _RUNNING
    first, last = tables.jobs(w)[job].first, tables.jobs(w)[job].first + tables.jobs(w)[job].members
    for member in range(first, last):
        _meet(w, member)
        if w[0].in_batch == 2:
            _leave(w, member)
    if w[0].in_batch == 1:
        for member in range(first, last):
            _leave(w, member)


@kernel
def _meet(w: World, member: int) -> None:
    b, now, at = tables.members(w), w[0].now, keeper.epoch(w)
    request, row = b[member].request, b[member].cache
    if row >= 0 and not explicit.readable(w, row, now):
        b[member].forbidden = 1
        metered.forbidden(w)[request] += 1
        quota.refuse(w, _FORBIDDEN, now)
        prompt, cached, audio, source = asked.prompt(w)[request], 0, 0, _NONE
    elif row >= 0:
        prompt, cached, audio, source = keeper.read(w, request, row, 0)
    else:
        prompt, cached, audio, source = keeper.read(
            w, request, -1, tables.epochs(w)[at].implicit_minimum if w[0].in_batch else -1
        )
    keeper.let_go(w, row)
    b[member].model, b[member].prompt, b[member].cached = tables.epochs(w)[at].model, prompt, cached
    b[member].cached_audio, b[member].source = audio, source


@kernel
def _leave(w: World, member: int) -> None:
    """Let the prompt of a member of a running job leave its prefix in the service's own cache."""
    b = tables.members(w)
    if b[member].cache < 0:
        at_once = 1 if w[0].implicit_at_arrival or w[0].in_batch == 2 else 0
        keeper.leave(w, b[member].request, b[member].prompt - b[member].cached, b[member].cached, at_once)


@kernel
def _ended(w: World, job: int) -> None:
    """Note a job's end as its client sees it, mark the members who got no answer, and give its room back."""
    j, b, first, count = tables.jobs(w), tables.members(w), tables.jobs(w)[job].first, tables.jobs(w)[job].members
    j[job].seen = w[0].now
    expired = j[job].how == _RUNS_OUT
    if j[job].started == -1:
        for member in range(first, first + count):
            keeper.let_go(w, b[member].cache)
    answered = count
    if j[job].how == _STOPPED:
        answered = law.finished(count, j[job].end - j[job].started, j[job].running)
    leader = b[first].request
    whole = redraw(asked.turnaround(w)[leader], b[first].creation + _JOB_DRAW) < tables.batch(w)[0].job_failure
    failed = 0
    for member in range(first, first + count):
        alone = redraw(asked.failure(w)[b[member].request], b[member].creation) < tables.batch(w)[0].failure
        bad = member - first >= answered or whole or alone or b[member].forbidden == 1
        b[member].unanswered = 1 if expired or bad else 0
        failed += b[member].unanswered
    if expired:
        j[job].state = _JOB_EXPIRED
    elif failed == 0:
        j[job].state = _SUCCEEDED
    elif failed < count:
        j[job].state = _PARTIALLY
    else:
        j[job].state = _CANCELLED if j[job].how == _STOPPED else _ALL_FAILED
    line.give(w, j[job].tokens, 1)


@kernel
def seen(w: World, job: int) -> None:
    """Look at a job that has ended: settle its members, or put them into another job."""
    c = tables.callers(w)
    if tables.jobs(w)[job].state == _CANCELLED:
        return
    _ended(w, job)
    for member in range(tables.jobs(w)[job].first, tables.jobs(w)[job].first + tables.jobs(w)[job].members):
        request = tables.members(w)[member].request
        if c[request].job == job:
            c[request].job = -1
        if tables.members(w)[member].unanswered:
            _again(w, member, job)
        elif c[request].claimed:
            _duplicate(w, member, job)
        else:
            _settle(w, member, job)
    admit(w)


@kernel
def orphan_ends(w: World, job: int) -> None:
    """Bill what nobody waits for."""
    _ended(w, job)
    for member in range(tables.jobs(w)[job].first, tables.jobs(w)[job].first + tables.jobs(w)[job].members):
        if tables.members(w)[member].unanswered == 0:
            _duplicate(w, member, job)
    admit(w)


@kernel
def _duplicate(w: World, member: int, job: int) -> None:
    at = w[0].duplicates
    w[0].duplicates = at + 1
    tables.duplicates(w)[at].request, tables.duplicates(w)[at].member, tables.duplicates(w)[at].job = (
        tables.members(w)[member].request,
        member,
        job,
    )


@kernel
def _settle(w: World, member: int, job: int) -> None:
    b, request = tables.members(w), tables.members(w)[member].request
    metered.model(w)[request], metered.mode(w)[request], metered.job(w)[request] = b[member].model, _BATCH, job
    metered.prompt(w)[request], metered.cached(w)[request] = b[member].prompt, b[member].cached
    metered.cached_audio(w)[request] = b[member].cached_audio
    metered.source(w)[request], metered.sent(w)[request] = b[member].source, tables.jobs(w)[job].started
    settle(w, request, _DONE, w[0].now)


@kernel
def _again(w: World, member: int, job: int) -> None:
    """Put a request that got no answer into another job, without a cache that was forbidden, or give it up."""
    c = tables.callers(w)
    request = tables.members(w)[member].request
    if c[request].claimed:
        return
    if tables.members(w)[member].forbidden:
        c[request].batch_use = _NO_CACHE
    if c[request].submissions < w[0].attempts:
        collect(w, request)
    else:
        _end(w, request, _EXPIRED if tables.jobs(w)[job].how == _RUNS_OUT else _FAILED, job)


@kernel
def _end(w: World, request: int, status: int, job: int) -> None:
    """Give a request up."""
    metered.mode(w)[request], metered.job(w)[request] = _BATCH, job
    metered.prompt(w)[request], metered.model(w)[request] = (
        asked.prompt(w)[request],
        tables.epochs(w)[keeper.epoch(w)].model,
    )
    settle(w, request, status, w[0].now)


@kernel
def fall_back(w: World, request: int) -> None:
    """Send a request at once while its deadline can be met; cancel a pending job that nobody waits for."""
    c = tables.callers(w)
    if metered.status(w)[request] != _PENDING_STATUS or c[request].claimed:
        return
    c[request].claimed = 1
    if c[request].open:
        c[request].open = 0
        w[0].open -= 1
        if w[0].open == 0:
            w[0].opened = 0
            w[0].collection += 1
    cancelled, job = False, c[request].job
    c[request].job = -1
    if job >= 0:
        tables.jobs(w)[job].open -= 1
        cancelled = _cancelled(w, job)
    client.call(w, request, _STANDARD, c[request].batch_use)
    if cancelled:
        admit(w)


@kernel
def _cancelled(w: World, job: int) -> bool:
    """Cancel a job if it is pending and nobody waits for it; one that has expired, unseen, is not pending."""
    now, j = w[0].now, tables.jobs(w)
    if j[job].open or j[job].state != _PENDING or not j[job].known <= now < j[job].end:
        return False
    j[job].state, j[job].end, j[job].started = _CANCELLED, now, -1
    for member in range(j[job].first, j[job].first + j[job].members):
        keeper.let_go(w, tables.members(w)[member].cache)
    line.give(w, j[job].tokens, 1)
    return True
