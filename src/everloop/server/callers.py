"""Who tokens belong to, remembered for a moment, so that a hot path asks no database."""

from __future__ import annotations

from time import perf_counter

from everloop.governance.entities import Principal
from everloop.kernel.errors import EverloopError
from everloop.server.security import Gate

MOST = 1024
"""So many tokens are remembered at once."""
FRESH_SECONDS = 0.4
"""So long a token that was looked up is good without another look."""
STALE_SECONDS = 0.5
"""So long at most, while somebody else looks; what looks remembers as well, and both together do so for a second."""


class Callers:
    """Who tokens belong to, remembered for a moment; it looks up as `Gate.authenticate` does."""

    def __init__(self, gate: Gate) -> None:
        self._authenticate = gate.authenticate
        self._known: dict[str, tuple[Principal, float]] = {}
        self._asked: dict[str, float] = {}

    def __call__(self, secret: str) -> Principal:
        """The principal, looked up.

        Raises:
            Unauthenticated: the token lets nobody in.
        """
        try:
            principal = self._authenticate(secret)
        except EverloopError:
            self._known.pop(secret, None)
            raise
        if len(self._known) >= MOST:
            self._known.clear()
        self._known[secret] = (principal, perf_counter())
        return principal

    def remembered(self, secret: str) -> Principal | None:
        """The principal; None for the one who shall look it up, while others may still go by what is remembered."""
        found = self._known.get(secret)
        if found is None:
            return None
        principal, looked_up = found
        now = perf_counter()
        age = now - looked_up
        if age < FRESH_SECONDS:
            return principal
        if age > STALE_SECONDS or now - self._asked.get(secret, 0.0) > FRESH_SECONDS:
            self._asked = {secret: now} if len(self._asked) >= MOST else self._asked | {secret: now}
            return None
        return principal
