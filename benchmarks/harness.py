"""The harness: two sides do the same work in turns (A B A B), and what counts is the ratio of their CPU seconds.

Wall time says little on a shared machine, so it stands beside; the median over the rounds is taken of everything.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from statistics import median

import msgspec

Work = Callable[[], object]
Meter = Callable[[], float]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What one operation costs us and the other side. Everything is a cost: lower is better."""

    what: str
    unit: str
    ours: float
    peer: str
    theirs: float
    our_wall: float | None = None
    their_wall: float | None = None

    @property
    def ratio(self) -> float | None:
        """Ours over theirs: below 1 we are cheaper. There is none when theirs is nothing."""
        return self.ours / self.theirs if self.theirs else None


class Side(msgspec.Struct, frozen=True):
    """A way to do a piece of work; `meter` reads the CPU seconds that it has used, `before` readies a round."""

    name: str
    work: Work
    before: Work | None = None
    meter: Meter = time.process_time


class Cost(msgspec.Struct, frozen=True):
    """Seconds that a round took."""

    cpu: float
    wall: float


UNITS = {"s": 1.0, "ms": 1e3, "µs": 1e6, "ns": 1e9}
ROUNDS = 7


def children_seconds() -> float:
    """CPU seconds of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def meter_of(process: int) -> Meter:
    """A meter of another process that is running, with all of its threads (Linux's clock of a process)."""
    clock = (~process << 3) | 2
    return lambda: time.clock_gettime(clock)


def compare(what: str, ours: Side, theirs: Side, *, each: int = 1, unit: str = "µs", rounds: int = ROUNDS) -> Figure:
    """The cost of one of `each` operations that a round does, ours beside theirs, after a round that nobody counts."""
    _once(ours), _once(theirs)
    costs = [(_once(ours), _once(theirs)) for _ in range(rounds)]
    scale = UNITS[unit] / each
    return Figure(
        what=what,
        unit=unit,
        ours=median(mine.cpu for mine, _ in costs) * scale,
        peer=theirs.name,
        theirs=median(other.cpu for _, other in costs) * scale,
        our_wall=median(mine.wall for mine, _ in costs) * scale,
        their_wall=median(other.wall for _, other in costs) * scale,
    )


def repeated(work: Work, times: int) -> Work:
    """The work, so many times in a round."""

    def again() -> None:
        for _ in range(times):
            work()

    return again


def _once(side: Side) -> Cost:
    if side.before is not None:
        side.before()
    cpu, wall = side.meter(), time.perf_counter()
    side.work()
    return Cost(side.meter() - cpu, time.perf_counter() - wall)
