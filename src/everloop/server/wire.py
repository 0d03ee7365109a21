"""Connections with a short cut: requests of a known form are answered straight from the event loop's reads.

`Wire` is uvicorn's protocol with a short cut in front. Whatever is unusual (other paths, chunked or compressed bodies,
`Expect`, broken requests, tokens that must be looked up) is handed to uvicorn's own parser byte for byte, as if the
short cut were not there.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

from starlette.responses import PlainTextResponse
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from everloop.kernel.errors import EverloopError, InvalidInput, Unavailable
from everloop.server.security import BODY_SECONDS
from everloop.server.shortcut import JSON, Call

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

    from everloop.server.shortcut import Heads, Shortcut

MOST_PIPELINED = 256
"""So many requests of a connection are under way before no more of them are read, ..."""
MOST_WAITING = 4 << 20
"""... and no more once they hold so many bytes."""
LARGEST_HEAD = 64 << 10
"""So many bytes may come of a request before or behind its body; the parser would keep any number of them."""
HEAD_SECONDS = 30.0
"""How long a client may take to say what it wants."""


class Wire(HttpToolsProtocol):
    """A connection. Requests that the short cut takes are answered in order, beside those that uvicorn answers."""

    def __init__(
        self,
        door: Shortcut,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.address = ""
        self._door = door
        self._heads: Heads | None = None
        self._calls: deque[Call] = deque()
        self._pieces: list[bytes] = []
        self._missing = 0
        self._inside = False
        self._later = b""
        self._ending = False
        self._waiting = 0
        self._head_size = 0
        self._has_body = False
        self._is_broken = False
        self._in_head = False
        self._began = 0.0
        self._heard = 0.0
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """A client has connected."""
        super().connection_made(transport)
        self.address = self.client[0] if self.client else ""
        self._heads = self._door.heads(self.address)
        self._heard = self.loop.time()
        self._idle = self.loop.call_later(HEAD_SECONDS, self._check_idle)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone; what it asked is not computed any more."""
        super().connection_lost(exc)
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        self._calls.clear()

    def eof_received(self) -> bool | None:  # type: ignore[override]  # What asyncio asks for; uvicorn always ends.
        """The client sends no more; what it asked is answered before the connection ends."""
        self._ending = self._ending or bool(self._calls)
        return bool(self._calls)

    def data_received(self, data: bytes) -> None:
        """Answer what can be answered at once, and hand the rest on."""
        if self._missing:
            data = self._gathered(data)
            if not data:
                return
        if self._later:
            self._later += data
        elif self._is_elsewhere():
            self._elsewhere(data)
        else:
            self._take(data)

    def on_message_begin(self) -> None:
        """A request begins that uvicorn reads."""
        super().on_message_begin()
        self._inside = self._in_head = True
        self._head_size = 0
        self._began = self.loop.time()

    def on_headers_complete(self) -> None:
        """Its head has been read."""
        if b"#" in self.url:
            raise InvalidInput("What follows a # would be left out of the path.")  # The parser tells of a bad request.
        super().on_headers_complete()
        self._in_head = False

    def on_body(self, body: bytes) -> None:
        """Some of its body has come."""
        self._has_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """It has been read."""
        super().on_message_complete()
        self._inside = False

    def on_response_complete(self) -> None:
        """It has been answered: from now on the connection is kept for the next one."""
        self._heard = self.loop.time()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what cannot be read, and close: those before it are answered first, and none is answered for it."""
        self._is_broken = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            super().send_400_response(msg)
        elif self._in_head or not self._inside:
            cycle.keep_alive = False
        elif self.pipeline:
            self.pipeline[0] = cycle, cast("ASGI3Application", PlainTextResponse(msg, 400, {"connection": "close"}))
        else:  # What reads the body hears that no more of it will come.
            cycle.disconnected = True
            cycle.message_event.set()
            if cycle.response_started:
                self.transport.close()
            else:
                super().send_400_response(msg)

    def pause_writing(self) -> None:
        """The client does not read its answers, so no more of its requests are read."""
        super().pause_writing()
        self.flow.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        super().resume_writing()
        if not self._later:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """Close the connection, once what is under way has been answered."""
        if self._calls or self._missing:
            self._ending = True
        else:
            super().shutdown()

    def retire(self) -> None:
        """Answer one request more, if it comes, and close the connection then."""
        self._ending = True

    @property
    def ends(self) -> bool:
        """Whether the connection closes after the answers that it still gives."""
        return self._ending

    def put(self, call: Call) -> None:
        """Let a call's answer have its turn after those of the calls before it."""
        self._calls.append(call)

    @property
    def newest(self) -> Call | None:
        """The last of the calls whose answers are still to come."""
        return self._calls[-1] if self._calls else None

    def flush(self) -> None:
        """Send the answers whose turn has come."""
        calls = self._calls
        if not calls or not calls[0].response:
            return
        transport, ended = self.transport, False
        while calls and calls[0].response and not ended:
            call = calls.popleft()
            transport.write(call.response)
            self.server_state.total_requests += 1
            ended = call.close
        if ended or (self._ending and not calls and not self._missing):
            transport.close()
            return
        if calls:
            return
        self._waiting = 0
        self._heard = self.loop.time()
        if self._later:
            self.loop.call_soon(self._go_on)
        elif self.flow.read_paused and not self.flow.write_paused:
            self.flow.resume_reading()

    def _is_elsewhere(self) -> bool:
        """Whether uvicorn is in the middle of a request or an answer."""
        return self._inside or bool(self.pipeline) or (self.cycle is not None and not self.cycle.response_complete)

    def _take(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        self._heard = self.loop.time()
        if self._idle is None:
            self._idle = self.loop.call_later(self.timeout_keep_alive, self._check_idle)
        at, size = 0, len(data)
        while at < size:
            end = data.find(b"\r\n\r\n", at) + 4
            head = self._heads.find(data[at:end]) if end > 3 and self._heads is not None else None
            if head is None:
                break
            stop = end + head.length
            if stop > size:
                if not self._door.knows(self, head):
                    break
                self._pieces, self._missing = [data[at:] if at else data], stop - size
                return
            self._waiting += stop - at
            if not self._door.ask(self, head, data[end:stop]):
                break
            at = stop
            if self._calls and (len(self._calls) >= MOST_PIPELINED or self._waiting > MOST_WAITING):
                self.flow.pause_reading()
            if head.close:
                return
        if at < size:
            self._hand_over(data[at:] if at else data)

    def _gathered(self, data: bytes) -> bytes:
        """All pieces of a request whose body came in several, once they are there."""
        self._pieces.append(data)
        self._missing -= min(self._missing, len(data))
        self._heard = self.loop.time()
        if self._missing:
            return b""
        data = b"".join(self._pieces)
        self._pieces = []
        return data

    def _hand_over(self, data: bytes) -> None:
        """Give bytes to uvicorn, after what the short cut still has to answer."""
        if self._calls:
            self._later += data
            self.flow.pause_reading()
        else:
            self._elsewhere(data)

    def _elsewhere(self, data: bytes) -> None:
        """Let uvicorn read; what is broken once is not read any further."""
        if self._is_broken:
            return
        self._has_body = False
        super().data_received(data)
        if self._inside and not self._has_body:
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self.send_400_response(f"The head of a request has up to {LARGEST_HEAD} bytes.")
        if self._ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def _go_on(self) -> None:
        data, self._later = self._later, b""
        self.flow.resume_reading()
        if data and not self.transport.is_closing():
            self._take(data)

    def _check_idle(self) -> None:
        """Close a connection that is kept for nothing, one whose head does not end, and one whose body has stopped."""
        self._idle = None
        if self.transport is None or self.transport.is_closing():
            return
        left = self._patience() - self.loop.time()
        if left > 0:
            self._idle = self.loop.call_later(max(left, 0.01), self._check_idle)
            return
        if self._missing:
            self._refuse(Unavailable(f"The request's body stopped coming for {BODY_SECONDS:g} s."))
        self.transport.close()

    def _patience(self) -> float:
        """The time until which a connection is left alone."""
        answered = self.cycle is None or self.cycle.response_complete
        if self._calls or self._later or self.pipeline or not answered:
            return self.loop.time() + self.timeout_keep_alive
        if self._missing:
            return self._heard + BODY_SECONDS
        if self._inside:  # A head that does not end, or what nobody reads any more.
            return self._began + HEAD_SECONDS
        return self._heard + self.timeout_keep_alive

    def _refuse(self, error: EverloopError) -> None:
        status, body = self._door.refusal(error)
        prefix = self._door.prefix(self.server_state, status)
        self.transport.write(prefix + JSON % (len(body), b"connection: close\r\n") + body)
