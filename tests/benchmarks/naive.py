"""The model one would write first: a SimPy process a request and a process a cache; explicit caching only.

It prices nothing and knows no implicit cache, renewal, deletion or batch: the yardstick of the reference
engine's speed, and its oracle on the plain workload that both can do: caches that live one TTL, single flight.
"""

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import simpy


class Law(NamedTuple):
    """Nanoseconds."""

    base: int
    uncached: int
    cached: int
    output: int


class Request(NamedTuple):
    """One request of the workload."""

    time: int  # ms
    context: int
    shared: int  # tokens of the context
    fresh: int  # tokens
    output: int  # tokens
    slowness: int  # 1/65,536


class Row(NamedTuple):
    """What a request met."""

    arrived: int
    sent: int
    done: int
    cached: int


@dataclass
class Service:
    """The caches by context, and a row a request."""

    env: simpy.Environment
    law: Law
    ttl_ms: int
    alive: set[int] = field(default_factory=set)
    creating: dict[int, simpy.Event] = field(default_factory=dict)
    storage_token_ms: int = 0
    creations: int = 0
    rows: dict[int, Row] = field(default_factory=dict)

    def request(self, number: int, asked: Request) -> Generator[simpy.Event, Any, None]:
        """Live one request's life: see that the cache is there, read it, generate."""
        arrived = self.env.now
        if asked.context not in self.alive:
            if asked.context not in self.creating:
                self.creating[asked.context] = self.env.process(self.cache(asked))
                yield self.env.timeout(self.spent(asked, asked.shared, 0, 0))
            else:
                yield self.creating[asked.context]
        sent = self.env.now
        yield self.env.timeout(self.spent(asked, asked.fresh, asked.shared, asked.output))
        self.rows[number] = Row(arrived, sent, self.env.now, asked.shared)

    def cache(self, asked: Request) -> Generator[simpy.Event, Any, None]:
        """Create a cache; its expiry is a process of its own."""
        self.creations += 1
        self.env.process(self.expiry(asked.context, asked.shared))
        yield self.env.timeout(self.spent(asked, asked.shared, 0, 0))
        self.alive.add(asked.context)
        del self.creating[asked.context]

    def expiry(self, context: int, tokens: int) -> Generator[simpy.Event, Any, None]:
        """End a cache one TTL after its creation began."""
        born = self.env.now
        yield self.env.timeout(self.ttl_ms)
        self.alive.discard(context)
        self.storage_token_ms += tokens * (self.env.now - born)

    def spent(self, asked: Request, uncached: int, cached: int, output: int) -> int:
        """Return the ms that a call takes."""
        law = self.law
        ns = law.base + uncached * law.uncached + cached * law.cached + output * law.output
        return max(1, ns * asked.slowness // 65_536 // 1_000_000)


def arrivals(service: Service, requests: list[Request]) -> Generator[simpy.Event, Any, None]:
    """Start a process for every request at its time."""
    for number, asked in enumerate(requests):
        yield service.env.timeout(asked.time - service.env.now)
        service.env.process(service.request(number, asked))


def run(requests: list[Request], law: Law, *, ttl_ms: int) -> Service:
    """Run the whole workload."""
    env = simpy.Environment()
    service = Service(env, law, ttl_ms)
    env.process(arrivals(service, requests))
    env.run()
    return service
