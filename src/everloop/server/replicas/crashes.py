"""When to start a worker again, and when a model has crashed so often that it is not run any more."""

from __future__ import annotations

from collections import deque

FIRST_WAIT, LONGEST_WAIT = 0.1, 30.0
"""Seconds before a worker that died young is followed by another, doubled each time."""
YOUNG_SECONDS = 10.0
"""A worker that lived longer is followed at once."""


class Crashes:
    """Counts the deaths that each model is to blame for."""

    def __init__(self, most: int, window: float) -> None:
        self.most = most
        self.window = window
        self._deaths: dict[str, deque[float]] = {}

    def blame(self, model: str, now: float) -> bool:
        """Whether this death is one too many within the window."""
        deaths = self._deaths.setdefault(model, deque())
        deaths.append(now)
        while deaths[0] <= now - self.window:
            deaths.popleft()
        return len(deaths) >= self.most

    def forgive(self) -> None:
        """Count anew."""
        self._deaths.clear()


class Backoff:
    """The time of the next start."""

    def __init__(self) -> None:
        self._wait = 0.0
        self._next = 0.0

    def died(self, lived: float, now: float) -> None:
        """A worker has died at an age."""
        if lived >= YOUNG_SECONDS:
            self._wait = 0.0
            return
        self._next = now + self._wait
        self._wait = min(max(self._wait * 2, FIRST_WAIT), LONGEST_WAIT)

    def remaining(self, now: float) -> float:
        """Seconds until a worker may be started."""
        return max(0.0, self._next - now)
