"""Circuit breakers: a model that fails is left alone for a while, then tried again, call by call."""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Literal

from everloop.kernel.clock import Clock
from everloop.serving.configuration import Circuit

State = Literal["closed", "open", "half_open"]


class Breaker:
    """A circuit: closed while calls go well, open after too many failed, half open while single ones are let through.

    Asked by one thread at a time: each call that `allows` let through is followed by its `record`.
    """

    def __init__(self, circuit: Circuit, clock: Clock) -> None:
        self._circuit = circuit
        self._clock = clock
        self._failed: deque[bool] = deque(maxlen=circuit.calls)
        self._good_probes = 0
        self._open_until: datetime | None = None

    @property
    def state(self) -> State:
        """How the circuit stands now."""
        if self._open_until is None:
            return "closed"
        return "open" if self._clock.now() < self._open_until else "half_open"

    def allows(self) -> bool:
        """Whether a call may be made now."""
        return self._open_until is None or self._clock.now() >= self._open_until

    def record(self, failed: bool) -> None:
        """Take in how a call went."""
        if self._open_until is not None:
            self._probed(failed)
            return
        self._failed.append(failed)
        enough = len(self._failed) >= min(self._circuit.least, self._circuit.calls)
        if failed and enough and sum(self._failed) >= self._circuit.rate * len(self._failed):
            self._open()

    def _probed(self, failed: bool) -> None:
        if failed:
            self._open()
            return
        self._good_probes += 1
        if self._good_probes >= self._circuit.probes:
            self._open_until = None
            self._failed.clear()

    def _open(self) -> None:
        self._good_probes = 0
        self._open_until = self._clock.now() + timedelta(seconds=self._circuit.open_seconds)
