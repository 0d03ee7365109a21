"""Who is let in: as many as can be answered in time, each client its share. Others are told at once when to return."""

from __future__ import annotations

from collections import deque
from math import ceil, inf
from time import perf_counter

from everloop.kernel.errors import DeadlineExceeded, EverloopError, TooMany, Unavailable
from everloop.server.inference.pace import Pace

MOST_WAITING = 8192
MOST_BYTES = 256 << 20
"""So many requests, with so many bytes of bodies, may wait, however fast the model is."""
WAIT_SHARE = 0.7
"""This share of the target may be spent on waiting; the rest is for the run itself and for what is not foreseen."""
RUN_SHARE = 0.2
"""This share of the target may be one run's."""
REMEMBERED_SECONDS = 1.0
"""A client counts among those who share for so long after its last request."""


class Admission:
    """The queue in front of one model: how long it is in seconds, and whose requests stand in it."""

    def __init__(self, slo_seconds: float) -> None:
        self.slo_seconds = slo_seconds
        self.pace = Pace(slo_seconds * RUN_SHARE)
        self.rows = 0
        self.requests = 0
        self.bytes = 0
        self._runs: deque[float] = deque()
        self._free_at = 0.0
        self._held: dict[str, int] = {}
        self._swept = 0.0

    def refusal(self, client: str, rows: int, now: float, deadline: float = 0.0) -> EverloopError | None:
        """Why a request of so many rows is not let in; None when it is."""
        wait = self.wait(now)
        if deadline and now + wait + rows * self.pace.per_row > deadline:
            return DeadlineExceeded(
                f"The answer would come in {(wait + rows * self.pace.per_row) * 1e3:.0f} ms, after the deadline.",
                hint="Wait longer, or start more processes.",
            )
        if not wait:
            return None
        limit = self.slo_seconds * WAIT_SHARE
        total = wait + rows * self.pace.per_row
        if total > limit / 2 and len(self._held) > 1:
            share = limit / len(self._held)
            mine = (self._held.get(client, 0) + rows) * self.pace.per_row
            if mine > share and self._others_wait(client):
                return TooMany(
                    "This client has more requests waiting than its share, and others wait too.",
                    hint="Send fewer at once.",
                    retry_after=wait,
                )
        if total > limit or self.requests >= MOST_WAITING or self.bytes >= MOST_BYTES:
            return Unavailable(
                f"{self.requests} requests are waiting, and this one would begin in {wait * 1e3:.0f} ms at best.",
                hint="Try again, or start more processes.",
                retry_after=wait,
            )
        return None

    def wait(self, now: float) -> float:
        """Seconds until a request that came now would begin to be computed."""
        waiting = self.rows * self.pace.per_row
        if not self._runs:
            return waiting
        # What is late already is as late again.
        return abs(self._free_at - now) + sum(self._runs) - self._runs[0] + waiting

    def is_full(self) -> bool:
        """Whether as much waits as may be run together, by what is known."""
        return self.rows >= self.pace.most and self.pace.per_row > 0

    def is_lost(self, arrived: float, now: float) -> bool:
        """Whether a request can no longer be answered in time, and so many wait that others could be instead."""
        late = now - arrived > self.slo_seconds
        return late and self.rows * self.pace.per_row > self.slo_seconds * WAIT_SHARE / 2

    def enter(self, client: str, rows: int, size: int) -> None:
        """A request has been let in, and waits."""
        self.rows += rows
        self.requests += 1
        self.bytes += size
        self._held[client] = self._held.get(client, 0) + rows

    def leave(self, client: str, rows: int, size: int) -> None:
        """A request waits no more."""
        self.rows -= rows
        self.requests -= 1
        self.bytes -= size
        self._held[client] -= rows

    def began(self, rows: int, now: float) -> None:
        """A run has begun, or will after those before it. One that nothing is known of counts as long as it goes on."""
        seconds = self.pace.estimate(rows)
        self._runs.append(seconds if seconds < inf else 0.0)
        if len(self._runs) == 1:
            self._free_at = now + self._runs[0]

    def ended(self, rows: int, seconds: float | None, now: float) -> None:
        """The oldest run has ended. None: what it took says nothing about those to come, as it was the first one."""
        self._runs.popleft()
        if self._runs:
            self._free_at = now + self._runs[0]
        if seconds is not None:
            self.pace.observe(rows, seconds)
        if now - self._swept > REMEMBERED_SECONDS:
            self._swept = now
            self._held = {client: held for client, held in self._held.items() if held}

    def _others_wait(self, client: str) -> bool:
        return self.rows > self._held.get(client, 0)


def retry_after(error: EverloopError) -> int:
    """The whole seconds that a refused client should wait, for the header `Retry-After`; 0 where nobody knows."""
    seconds = getattr(error, "retry_after", 0.0)
    return ceil(seconds) if seconds else 0


def deadline_of(milliseconds: float) -> float:
    """The deadline that a request names as the time it has, as a time of `perf_counter`; 0 for none."""
    return perf_counter() + milliseconds / 1e3 if milliseconds > 0 else 0.0
