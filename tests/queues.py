"""What the oracles of queues share: Kiefer and Wolfowitz's starts, services and their rests, Erlang's chances.

A queue that starts in its stationary state is seen in that state by every Poisson arrival from the first on. So no run
has a warm-up, and the mean over its arrivals is unbiased, whatever its length.
"""

import heapq
import itertools
import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from workloads import SEED
from worlds import plan, rules, simulate, world

from sim.providers.rules import LatencyLaw

RUNS = 40  # independent replications, each of the seed [SEED, its number]
MEAN = 100_000  # ms of service: a whole ms is 1e-5 of it, which no test of these resolves
SERVICE = LatencyLaw(0, 10**6, 0, 0)  # a call takes 1 ms a token of its prompt, and nothing else


class Law(NamedTuple):
    """A service of mean 1."""

    draw: Callable  # (generator, count) -> services
    longer: Callable  # the same, each drawn in proportion to its length
    square: float  # its second moment

    def rest(self, generator, count):
        """What is left of services at a random instant: uniform in a longer one (Cox, Renewal Theory, 5.1)."""
        return generator.uniform(size=count) * self.longer(generator, count)


def lognormal(cv):
    """Of mean 1; in proportion to its length it is lognormal again, its logarithm moved by sigma^2."""
    variance = np.log1p(cv**2)

    def of(mean):
        return lambda generator, count: generator.lognormal(mean, np.sqrt(variance), count)

    return Law(of(-variance / 2), of(variance / 2), 1 + cv**2)


def _same(_generator, count):
    return np.ones(count)


SERVICES = {
    "exponential": Law(lambda g, count: g.exponential(size=count), lambda g, count: g.gamma(2.0, size=count), 2.0),
    "lognormal": lognormal(1.6),
    "constant": Law(_same, _same, 1.0),
}


def generators():
    """The generators of the replications."""
    return [np.random.default_rng([SEED, replication]) for replication in range(RUNS)]


def whole(times):
    """Whole ms, 1 at least, of times in mean services."""
    return np.maximum(1, np.rint(np.asarray(times) * MEAN)).astype(np.int64)


def served(first, gaps, services, **of_rules):
    """The ledger of requests that come after ``first`` ones at instant 0, without those; times in mean services."""
    arrive = np.concatenate((np.zeros(len(first)), np.cumsum(gaps) * MEAN)).astype(np.int64)
    trace = world(arrive, fresh=whole(np.concatenate((first, services))))
    ledger = simulate(trace, plan("none"), rules(latency=SERVICE, **of_rules))
    columns = ("arrived", "sent", "done", "queued", "status", "throttled", "timeouts")
    return ledger._replace(**{name: getattr(ledger, name)[len(first) :] for name in columns})


def kiefer_wolfowitz(arrive, service, slots):
    """Return the starts of c FIFO servers (Kiefer and Wolfowitz 1955): each takes the server that is free first."""
    free = [0] * slots
    starts = []
    for time, length in zip(arrive, service, strict=True):
        start = max(time, heapq.heappop(free))
        heapq.heappush(free, start + length)
        starts.append(start)
    return starts


def integral(begins, ends):
    """The integral of the number inside over time, by stepping through the events, and the highest number."""
    events = sorted([(time, 1) for time in begins] + [(time, -1) for time in ends])
    total = inside = most = last = 0
    for time, step in events:
        total += inside * (time - last)
        inside, last, most = inside + step, time, max(most, inside + step)
    assert inside == 0
    return total, most


def erlang_b(load, slots):
    """The chance that all slots of an M/G/c/c are busy: B(k) = a B(k-1) / (k + a B(k-1)) (Gross-Harris 2.5)."""
    blocked = 1.0
    for k in range(1, slots + 1):
        blocked = load * blocked / (k + load * blocked)
    return blocked


def erlang_c(load, slots):
    """The chance to wait in an M/M/c: C = B / (1 - rho (1 - B)) (Gross-Harris 2.3)."""
    blocked = erlang_b(load, slots)
    return blocked / (1 - load / slots * (1 - blocked))


def waits_longer(load, slots, wait):
    """P(W > t) = C e^(-(c - a) t) in an M/M/c, t in mean services; 1 from load c on (Gross-Harris 2.3)."""
    return erlang_c(load, slots) * math.exp(-(slots - load) * wait) if load < slots else 1.0


def least_slots(load, wait, chance):
    """The least c of an M/M/c in which at most this share waits longer: what a capacity search looks for."""
    return next(c for c in itertools.count(1) if waits_longer(load, c, wait) <= chance)


def greatest_load(slots, wait, chance):
    """The greatest load of an M/M/c at which at most this share waits longer, by halving: the chance rises in it."""
    low, high = 0.0, float(slots)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if waits_longer(middle, slots, wait) <= chance else (low, middle)
    return low


def picked(chances, generator):
    """A number of 0, 1, ... with chances in these proportions."""
    return int(np.searchsorted(np.cumsum(chances), generator.uniform() * np.sum(chances)))


def in_an_mmc(load, slots, generator):
    """The number in an M/M/c at a random instant: a / n of the one before up to c, then a / c (Gross-Harris 2.3)."""
    ratios = load / np.minimum(np.arange(1, 2_000), slots)
    return picked(np.concatenate(([1.0], np.cumprod(ratios))), generator)


def in_a_loss_system(load, slots, generator):
    """The number in an M/G/c/c at a random instant: Poisson, cut at c, whatever the service (Gross-Harris 2.5)."""
    return picked(np.concatenate(([1.0], np.cumprod(load / np.arange(1, slots + 1)))), generator)


def work_in_an_mg1(load, law, generator):
    """The work in an M/G/1 at a random instant: a geometric number of rests (Pollaczek-Khinchine; Kleinrock 5.12)."""
    return law.rest(generator, generator.geometric(1 - load) - 1).sum()
