"""What stands between a deployment and its model: a limit on a run's time, and a circuit that opens when it fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from everloop.kernel.clock import Clock
from everloop.serving.circuit import Breaker, State
from everloop.serving.configuration import Circuit, Configuration
from everloop.serving.deadline import Timed

T = TypeVar("T")


class Guard:
    """Guards one deployment's model for as long as the process lives, whatever happens to its traffic."""

    def __init__(self, configuration: Configuration, clock: Clock, name: str) -> None:
        self._breaker = Breaker(configuration.circuit or Circuit(), clock)
        self._timed = Timed(configuration.timeout_ms / 1e3, name) if configuration.timeout_ms else None

    @property
    def state(self) -> State:
        """How the circuit stands."""
        return self._breaker.state

    @property
    def hung(self) -> int:
        """How many runs hang now: only a new process gets rid of them."""
        return self._timed.hung if self._timed else 0

    def allows(self) -> bool:
        """Whether the model may be asked now."""
        return self._breaker.allows()

    def run(self, function: Callable[[], T]) -> T:
        """What the function gives, or raises.

        Raises:
            TimedOut: it takes too long.
        """
        return self._timed.run(function) if self._timed else function()

    def record(self, failed: bool) -> None:
        """Take in how a run went."""
        self._breaker.record(failed)

    def close(self) -> None:
        """End what it needs."""
        if self._timed:
            self._timed.close()


def guard_of(configuration: Configuration, clock: Clock, name: str) -> Guard | None:
    """The guard that a configuration asks for; None when nothing is to be guarded, which costs nothing."""
    wanted = configuration.timeout_ms or configuration.circuit or configuration.fallback
    return Guard(configuration, clock, name) if wanted else None
