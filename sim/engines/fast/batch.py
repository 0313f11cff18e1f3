"""What becomes of a batch job: it runs, is looked at, settles its members or tries again; the guard falls back."""

from sim.engines.fast import asked, client, collection, explicit, keeper, line, metered, quota, tables
from sim.engines.fast.compile import kernel
from sim.engines.fast.ends import settle
from sim.engines.fast.memory import World
from sim.engines.laws import jobs as law
from sim.engines.laws.draws import redraw
from sim.ledger import JobState, Limit, Mode, Source, Status
from sim.strategies.decision import CacheUse

__all__ = ["fall_back", "orphan_ends", "run", "seen"]

_JOB_DRAW = 1 << 16
_BATCH, _STANDARD = int(Mode.BATCH), int(Mode.STANDARD)
_OPEN, _DONE = int(Status.PENDING), int(Status.DONE)
_FAILED, _EXPIRED = int(Status.FAILED), int(Status.EXPIRED)
_PENDING, _RUNNING, _CANCELLED = int(JobState.PENDING), int(JobState.RUNNING), int(JobState.CANCELLED)
_SUCCEEDED, _PARTIALLY = int(JobState.SUCCEEDED), int(JobState.PARTIALLY_SUCCEEDED)
_ALL_FAILED, _JOB_EXPIRED = int(JobState.FAILED), int(JobState.EXPIRED)
_FORBIDDEN, _NONE, _NO_CACHE = int(Limit.FORBIDDEN), int(Source.NONE), int(CacheUse.NONE)
_RUNS_OUT, _STOPPED = law.EXPIRED, law.STOPPED


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
    collection.admit(w)


@kernel
def orphan_ends(w: World, job: int) -> None:
    """Bill what nobody waits for."""
    _ended(w, job)
    for member in range(tables.jobs(w)[job].first, tables.jobs(w)[job].first + tables.jobs(w)[job].members):
        if tables.members(w)[member].unanswered == 0:
            _duplicate(w, member, job)
    collection.admit(w)


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
        collection.collect(w, request)
    else:
        collection.give_up(w, request, _EXPIRED if tables.jobs(w)[job].how == _RUNS_OUT else _FAILED, job)


@kernel
def fall_back(w: World, request: int) -> None:
    """Send a request at once while its deadline can be met; cancel a pending job that nobody waits for."""
    c = tables.callers(w)
    if metered.status(w)[request] != _OPEN or c[request].claimed:
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
        collection.admit(w)


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
