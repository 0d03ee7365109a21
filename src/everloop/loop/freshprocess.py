"""The port to processes in which nothing is in memory yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from everloop.kernel.usecase import Json


class FreshProcess(Protocol):
    """A way to call a use case in a process of its own, which has nothing in memory yet."""

    def call(
        self, project: str, usecase: str, arguments: Mapping[str, Json], variables: Mapping[str, str | None]
    ) -> bytes:
        """The answer as JSON, given under these environment variables (None: not set).

        Raises:
            Unavailable: the process died.
            EverloopError: whatever the use case raised.
        """
        ...
