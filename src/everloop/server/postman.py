"""The thread of a server that tells webhooks what has happened."""

from __future__ import annotations

import threading
from types import TracebackType

from everloop.app.platform import Platform
from everloop.kernel.errors import EverloopError
from everloop.registry.webhooks import delivery
from everloop.server.answers import log

EVERY = 1.0
"""Seconds between two looks into the ledger."""
_GRACE = 6.0


class Postman:
    """Delivers while it is entered. Several servers of one catalog take turns: each webhook is served by one."""

    def __init__(self, platform: Platform, every: float = EVERY) -> None:
        self._platform = platform
        self._every = every
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def __enter__(self) -> Postman:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(_GRACE)

    def _run(self) -> None:
        while not self._stopping.wait(self._every):
            try:
                delivery.deliver(self._platform.session())
            except EverloopError as error:
                log.error("webhooks: %s", error)
            except Exception:  # noqa: BLE001 - a postman that stopped for good would look alive
                log.exception("webhooks: what happened could not be told")
