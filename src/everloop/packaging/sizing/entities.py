"""What sizing is about."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from everloop.kernel.events import Event
from everloop.kernel.ids import Name
from everloop.store.entities import Digest

Limit = Literal["latency", "errors", "generator"]
"""What kept a higher rate from counting: answers were too late, some failed, or the requests could not be sent."""


class LoadPoint(msgspec.Struct, frozen=True):
    """What a server did under one load; `offered` and `achieved` are requests a second.

    Latency counts from the moment that a request was due, whether or not it could be sent then. `cpu_us` is the
    server's processor time for a request; `late_ms` is what the generator of the load itself was late by, 99 times of
    100.
    """

    offered: float
    achieved: float
    p50_ms: float
    p90_ms: float
    p99_ms: float
    longest_ms: float
    errors: int
    cpu_us: float
    late_ms: float


class Machine(msgspec.Struct, frozen=True):
    """Where it was measured; `others` is the share of its processors that other work took meanwhile."""

    processor: str
    cores: int
    memory_mib: int
    system: str
    python: str
    others: float


class ModelProfile(msgspec.Struct, frozen=True):
    """What one worker on one core did for a version.

    `alone` is one request after another; `points` are rising rates; `sustained` is the highest rate whose p99 was
    within `latency_ms`, and `limited_by` what went wrong above it. `memory_mib` is the process's at its largest.
    """

    model: Name
    version: int
    digest: Digest
    latency_ms: float
    rows: int
    connections: int
    quick: bool
    alone: LoadPoint
    points: tuple[LoadPoint, ...]
    sustained: float
    limited_by: Limit
    cpu_us: float
    memory_mib: int
    start_seconds: float
    machine: Machine
    at: datetime


class Price(msgspec.Struct, frozen=True):
    """What a place takes, in US dollars, for a core and for a GiB of memory, each for an hour."""

    place: str
    core_hour: float
    memory_hour: float


class Cost(msgspec.Struct, frozen=True):
    """What the replicas cost at a place in a month of 730 hours, and a million requests at the target rate."""

    place: str
    month_usd: float
    million_usd: float


class Sizing(msgspec.Struct, frozen=True):
    """What to ask for, so that a rate is served within a latency while one replica is away.

    `per_replica` is the rate that a replica is given: what it sustained, less the headroom. `cpu` is in thousandths of
    a core, memory in MiB.
    """

    model: Name
    version: int
    rate: float
    latency_ms: float
    sustained: float
    per_replica: float
    replicas: int
    spare: int
    cpu: int
    cpu_limit: int
    memory: int
    memory_limit: int
    gpu: int
    costs: tuple[Cost, ...]
    notes: tuple[str, ...]


class ModelMeasured(Event, frozen=True, kw_only=True, tag="packages.measured"):
    """A version was put under load."""

    version: int
    sustained: float
    latency_ms: float
    cpu_us: float
    memory_mib: int
