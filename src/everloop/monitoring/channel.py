"""The port to people: where notices of alerts go."""

from __future__ import annotations

from typing import Protocol

from everloop.monitoring.entities import Notice


class Channel(Protocol):
    """A way to tell somebody.

    Contract (`tests/contracts/test_channels.py`): `send` returns only after the other side has the notice, and raises
    `Unavailable` in a bounded time otherwise. A notice may come twice; its id tells.
    """

    def send(self, notice: Notice) -> None:
        """Hand over a notice.

        Raises:
            Unavailable: the other side did not take it.
        """
        ...
