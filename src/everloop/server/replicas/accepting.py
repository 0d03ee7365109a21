"""How workers share one listening socket: whoever has the fewest connections takes the next.

The socket is the supervisor's, so that connections wait for another worker when one dies or hangs; with a socket for
each worker (`SO_REUSEPORT`) they would wait for it. Left alone, one worker takes all that come in a burst.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import uvicorn

from everloop.server.replicas.pages import Page, Pages

YIELD_SECONDS = 0.001
"""How long a worker leaves a new connection to those that have fewer."""
FULL_SECONDS = 0.1
"""How long it takes none after the system had no room for another."""
LINGER_SECONDS = 0.5
"""How long a worker that ends answers what clients were about to send on connections that they keep."""


class Acceptor:
    """Takes connections one by one, when no other worker has fewer."""

    def __init__(
        self, listening: socket.socket, pages: Pages, own: Page, protocol: Callable[[], asyncio.Protocol]
    ) -> None:
        self._listening = listening
        self._pages = pages
        self._own = own
        self._protocol = protocol
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._waited = False
        self._open = False

    def start(self) -> None:
        """Begin to take connections."""
        self._listening.setblocking(False)
        self._open = True
        self._loop.add_reader(self._listening, self._ready)

    async def stop(self) -> None:
        """Take no more; the others do. Those that were taken are connections when this returns."""
        self._open = False
        self._loop.remove_reader(self._listening)
        await asyncio.gather(*self._tasks)

    def _ready(self) -> None:
        mine = self._own.get("connections")
        if not self._waited and any(page.get("connections") < mine for page in self._pages.ready()):
            self._pause(YIELD_SECONDS)
            self._waited = True
            return
        self._waited = False
        try:
            connection, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError:
            self._pause(FULL_SECONDS)
            return
        self._own.set("connections", mine + 1)
        task = self._loop.create_task(self._serve(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:
            connection.close()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listening)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._open:
            self._loop.add_reader(self._listening, self._ready)


class SharingServer(uvicorn.Server):
    """uvicorn's server with an `Acceptor`'s connections; it calls `began` when it takes them, `ends` before its end."""

    def __init__(
        self,
        config: uvicorn.Config,
        acceptor: Callable[[Callable[[], asyncio.Protocol]], Acceptor],
        began: Callable[[uvicorn.Server], None],
        ends: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._make = acceptor
        self._began = began
        self._ends = ends
        self._acceptor: Acceptor | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Take connections."""
        await super().startup(sockets=[])
        self._acceptor = self._make(self._connection)
        self._acceptor.start()
        self._began(self)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more connections, answer what comes on those that are there for a moment, and end."""
        self._ends()
        if self._acceptor is not None:
            await self._acceptor.stop()
        for connection in list(self.server_state.connections):
            if (retire := getattr(connection, "retire", None)) is not None:
                retire()
        until = asyncio.get_running_loop().time() + LINGER_SECONDS
        while self.server_state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets=[])

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]  # As uvicorn does.
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made
