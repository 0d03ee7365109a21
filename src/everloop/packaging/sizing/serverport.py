"""The port to a server that is put under load: areas do not know how a process of theirs is started."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec


class Started(msgspec.Struct, frozen=True):
    """A server that answers: where, which process it is, and how long it took from its start to its address."""

    host: str
    port: int
    pid: int
    start_seconds: float


class ModelServers(Protocol):
    """Starts servers of registered versions."""

    def started(
        self, project: str, model: str, version: int, cores: Collection[int]
    ) -> AbstractContextManager[Started]:
        """A server of one version in a process of its own that only runs on these cores, ended with the context.

        Raises:
            Unavailable: it did not start.
        """
        ...
