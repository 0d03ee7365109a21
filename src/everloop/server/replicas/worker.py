"""A worker: a process that serves beside others like it, and lets its supervisor see how it is."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from time import perf_counter
from typing import TYPE_CHECKING

import msgspec

from everloop.server.metrics import Metrics
from everloop.server.replicas.accepting import Acceptor, SharingServer
from everloop.server.replicas.pages import Page, Pages
from everloop.server.replicas.summing import summed
from everloop.server.replicas.watch import Notice, PageWatch

if TYPE_CHECKING:
    import uvicorn

BEAT_SECONDS = 0.1
COUNT_BEATS = 5
"""What is counted is written to the page so seldom, because it takes longer."""
SPREAD_SECONDS = 5.0
log = logging.getLogger("everloop.server")


def _nothing() -> float:
    return 0.0


class Worker:
    """One of several. `busy` gives since when a model has been running, `refresh` looks up what is to be served now."""

    def __init__(self, listening: socket.socket, pages: Pages, slot: int, grpc_port: int | None = None) -> None:
        self.listening = listening
        self.grpc_port = grpc_port
        self.watch = PageWatch(pages.control, pages.workers[slot])
        self.metrics = Metrics()
        self.busy: Callable[[], float] = _nothing
        self.refresh: Callable[[], float] = _nothing
        self.revision: Callable[[], float] = _nothing
        self._pages = pages
        self._own: Page = pages.workers[slot]
        self._server: uvicorn.Server | None = None
        self._beats = 0
        self._refreshing: asyncio.Future[float] | None = None

    def server(self, config: uvicorn.Config) -> uvicorn.Server:
        """A server that shares the port with the other workers."""
        return SharingServer(
            config, lambda made: Acceptor(self.listening, self._pages, self._own, made), self._began, self._ends
        )

    def scrape(self) -> str:
        """The metrics of all workers, those that are gone included; the others' are up to half a second old."""
        notice = self.notice()
        texts = [("", notice.metrics)]
        for number, page in enumerate(self._pages.workers, 1):
            if page is self._own:
                texts.append((str(number), self.metrics.text()))
            elif page.get("pid"):
                texts.append((str(number), page.read().decode()))
        return summed(texts) + _told(notice, len(self._pages.ready()))

    def notice(self) -> Notice:
        """What the supervisor told last."""
        text = self._pages.control.read()
        return msgspec.json.decode(text, type=Notice) if text else Notice()

    def states(self) -> tuple[int, int]:
        """How many workers take requests, and how many should."""
        return len(self._pages.ready()), self.notice().wanted

    def spread(self, revision: float) -> None:
        """Have every other worker look up what is to be served, and wait until all do so at this revision at least.

        Runs in a thread. A worker that does not within five seconds is not waited for: its supervisor sees to it.
        """
        self._own.set("revision", revision)
        others = [page for page in self._pages.ready() if page is not self._own]
        for page in others:
            with suppress(ProcessLookupError):
                os.kill(int(page.get("pid")), signal.SIGHUP)
        until = perf_counter() + SPREAD_SECONDS
        while perf_counter() < until and any(page.get("ready") and page.get("revision") < revision for page in others):
            Event().wait(0.005)

    def _began(self, server: uvicorn.Server) -> None:
        self._server = server
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._look)
        self._own.set("revision", self.revision())
        self._beat()
        self._own.set("ready", 1.0)

    def _ends(self) -> None:
        self._own.set("draining", 1.0)

    def _beat(self) -> None:
        """Show that the event loop runs, and since when a model does."""
        assert self._server is not None
        self._own.set("beat", perf_counter())
        self._own.set("busy", self.busy())
        self._own.set("connections", float(len(self._server.server_state.connections)))
        self._own.set("revision", self.revision())
        self._beats += 1
        if self._beats % COUNT_BEATS == 1:
            self._own.write(self.metrics.text().encode())
        asyncio.get_running_loop().call_later(BEAT_SECONDS, self._beat)

    def _look(self) -> None:
        """Another worker, or the supervisor, was told to look up what is to be served."""
        loop = asyncio.get_running_loop()
        self._refreshing = loop.run_in_executor(None, self.refresh)
        self._refreshing.add_done_callback(self._looked)

    def _looked(self, found: asyncio.Future[float]) -> None:
        if (error := found.exception()) is not None:
            log.warning("what is served could not be looked up: %s", error)
        else:
            self._own.set("revision", self.revision())


def _told(notice: Notice, ready: int) -> str:
    return (
        "# HELP everloop_workers Workers that take requests.\n# TYPE everloop_workers gauge\n"
        f"everloop_workers {ready}\n"
        "# HELP everloop_worker_restarts_total Workers that ended unasked and were replaced.\n"
        f"# TYPE everloop_worker_restarts_total counter\neverloop_worker_restarts_total {notice.restarts}\n"
        "# HELP everloop_quarantined_models Models that are not run because they crashed too often.\n"
        f"# TYPE everloop_quarantined_models gauge\neverloop_quarantined_models {len(notice.reasons)}\n"
    )
