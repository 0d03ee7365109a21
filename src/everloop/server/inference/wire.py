"""The hot path: requests for predictions answered straight from the event loop's reads; the door has all the rest.

`Wire` is uvicorn's protocol with a short cut in front. Whatever is unusual (other paths, chunked or compressed bodies,
`Expect`, broken requests, tokens that must be looked up) is handed to uvicorn's own parser byte for byte, as if the
short cut were not there.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from everloop.kernel.errors import EverloopError, Unavailable
from everloop.server.inference import oip
from everloop.server.inference.admission import retry_after
from everloop.server.inference.compression import WORTHWHILE, compressed
from everloop.server.inference.heads import Callers, Head, Heads, may_predict
from everloop.server.inference.plan import Asking, Plan
from everloop.server.security import BODY_SECONDS, SECURITY_HEADERS, Gate, is_loopback
from everloop.serving.request import PredictionRequest

if TYPE_CHECKING:
    from everloop.server.inference.dataplane import DataPlane
    from everloop.server.inference.served import Answered
    from everloop.server.metrics import Metrics, Series

log = logging.getLogger("everloop.server")
_HARDENED = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items()).encode()
_JSON = b"content-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
_BINARY = b"content-type: application/octet-stream\r\n%b: %d\r\ncontent-length: %d\r\n%b\r\n"
_BINARY_NAME = oip.BINARY_HEADER.encode()
MOST_PIPELINED = 256
"""So many requests of a connection are under way before no more of them are read."""


class Short:
    """What all connections of a process share: who is served, who may ask, and how answers begin."""

    def __init__(self, plane: DataPlane, gate: Gate, callers: Callers, metrics: Metrics) -> None:
        self.callers = callers
        self._plane = plane
        self._gate = gate
        self._heads: dict[str, Heads] = {}
        self._requests = metrics.counter("everloop_http_requests_total", "Requests answered.")
        self._series: dict[int, Series] = {}
        seconds = metrics.histogram("everloop_http_request_seconds", "Time to the end of the answer.")
        self.times = seconds.times(door="/v2")
        self._date: list[tuple[bytes, bytes]] = []
        self._prefix = b""

    def heads(self, client: str) -> Heads:
        """The heads that clients at an address send: what comes from this machine may be let in without a token."""
        here = client if is_loopback(client) else "elsewhere"
        return self._heads.setdefault(here, Heads(self._plane, self._gate, client))

    def count(self, status: int) -> None:
        """Count an answer."""
        series = self._series.get(status)
        if series is None:
            series = self._requests.series(method="POST", door="/v2", status=str(status))
            self._series[status] = series
        series.value += 1

    def prefix(self, state: ServerState, status: int) -> bytes:
        """How an answer begins, with the headers that all have. They change once a second, with the date."""
        if state.default_headers is not self._date:
            self._date = state.default_headers
            defaults = b"".join(name + b": " + value + b"\r\n" for name, value in self._date)
            self._prefix = defaults + _HARDENED
        return STATUS_LINE[status] + self._prefix


class Call:
    """A request on its way through the turns of what it asks."""

    __slots__ = ("arrived", "asking", "head", "plan", "request", "response", "rows", "size", "wire")

    def __init__(self, wire: Wire, head: Head, asking: Asking, client: str) -> None:
        self.wire = wire
        self.head = head
        self.plan = head.plan
        self.asking = asking
        self.rows = asking.rows or 1  # A request that has none takes its place in the queue all the same.
        self.size = head.length
        self.arrived = perf_counter()
        self.response = b""
        timeout = asking.timeout or head.timeout
        deadline = self.arrived + timeout if timeout else 0.0
        self.request = PredictionRequest(asking.columns, asking.id or head.id, None, client, deadline)

    def wanted(self) -> bool:
        """Whether the client has not hung up."""
        return not self.wire.transport.is_closing()

    def resolve(self, answer: Answered | EverloopError) -> None:
        """Take the answer, and send it when its turn has come on the connection."""
        try:
            self.response = self.wire.response(self, answer)
        except Exception as error:  # Others were answered in the same run, and must not suffer for this one.
            log.exception("an answer could not be written")
            self.response = self.wire.response(self, EverloopError(f"The answer could not be written: {error}."))
        self.wire.flush()


class Wire(HttpToolsProtocol):
    """A connection. Requests that the short cut takes are answered in order, beside those that uvicorn answers."""

    def __init__(
        self,
        short: Short,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._short = short
        self._heads: Heads | None = None
        self._address = ""
        self._calls: deque[Call] = deque()
        self._pieces: list[bytes] = []
        self._missing = 0
        self._inside = False
        self._later = b""
        self._ending = False
        self._heard = 0.0
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # As uvicorn has it.
        """A client has connected."""
        super().connection_made(transport)
        self._address = self.client[0] if self.client else ""
        self._heads = self._short.heads(self._address)
        self._heard = self.loop.time()

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
            super().data_received(data)
        else:
            self._take(data)

    def on_message_begin(self) -> None:
        """A request begins that uvicorn reads."""
        super().on_message_begin()
        self._inside = True

    def on_message_complete(self) -> None:
        """It has been read."""
        super().on_message_complete()
        self._inside = False

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

    def response(self, call: Call, answer: Answered | EverloopError) -> bytes:
        """An answer as it goes over the wire."""
        short, head = self._short, call.head
        echo = head.echo
        if head.close or self._ending:
            echo += b"connection: close\r\n"
        if not isinstance(answer, EverloopError):
            try:
                body, end = call.plan.write(answer, call.asking)
            except EverloopError as error:
                return self.response(call, error)
            short.count(200)
            short.times.observe(perf_counter() - call.arrived)
            prefix = short.prefix(self.server_state, 200)
            if head.accepts and len(body) >= WORTHWHILE:
                body, encoding = compressed(body, head.accepts)
                if encoding:
                    echo += b"content-encoding: %b\r\nvary: accept-encoding\r\n" % encoding.encode()
            if end:
                return prefix + _BINARY % (_BINARY_NAME, end, len(body), echo) + body
            return prefix + _JSON % (len(body), echo) + body
        short.count(answer.status)
        if after := retry_after(answer):
            echo += b"retry-after: %d\r\n" % after
        body = msgspec.json.encode({"error": str(answer)})
        return short.prefix(self.server_state, answer.status) + _JSON % (len(body), echo) + body

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
            ended = call.head.close
        if ended or (self._ending and not calls and not self._missing):
            transport.close()
        elif not calls and self._later:
            self.loop.call_soon(self._go_on)
        elif not calls and self.flow.read_paused and not self.flow.write_paused:
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
                client = self._client(head)
                if client is None:
                    break
                self._pieces, self._missing = [data[at:] if at else data], stop - size
                return
            if not self._ask(head, data[end:stop]):
                break
            at = stop
            if head.close:
                return
        if at < size:
            self._hand_over(data[at:] if at else data)
        elif len(self._calls) >= MOST_PIPELINED:
            self.flow.pause_reading()

    def _ask(self, head: Head, body: bytes) -> bool:
        """Put a request into its turns; False when the door shall have it."""
        client = self._client(head)
        if client is None:
            return False
        plan = head.plan
        if head.version and plan.served.versions != (head.version,):
            return False
        if plan.inputs is not plan.served.inputs:
            plan = head.plan = Plan(plan.served)
        asking = plan.read(body, head.end)
        if asking is None:
            return False
        call = Call(self, head, asking, client)
        self._calls.append(call)
        head.turns.put(call)
        return True

    def _client(self, head: Head) -> str | None:
        """Who asks, for fair shares; None where the door must find that out."""
        if not head.secret:
            return self._address
        principal = self._short.callers.remembered(head.secret)
        return principal.name if principal is not None and may_predict(principal) else None

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
        super().data_received(data)
        if self._ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def _go_on(self) -> None:
        data, self._later = self._later, b""
        self.flow.resume_reading()
        if data and not self.transport.is_closing():
            self._elsewhere(data)

    def _check_idle(self) -> None:
        """Close a connection that is kept for nothing, and one whose body has stopped coming."""
        self._idle = None
        if self.transport is None or self.transport.is_closing():
            return
        silent = self.loop.time() - self._heard
        patience = BODY_SECONDS if self._missing else self.timeout_keep_alive
        busy = bool(self._calls or self._later) or self._is_elsewhere()
        if silent < patience or busy:
            wait = patience if busy else patience - silent
            self._idle = self.loop.call_later(max(wait, 0.01), self._check_idle)
            return
        if self._missing:
            self._refuse(Unavailable(f"The request's body stopped coming for {BODY_SECONDS:g} s."))
        self.transport.close()

    def _refuse(self, error: EverloopError) -> None:
        body = msgspec.json.encode({"error": str(error)})
        self._short.count(error.status)
        prefix = self._short.prefix(self.server_state, error.status)
        self.transport.write(prefix + _JSON % (len(body), b"connection: close\r\n") + body)


def wired(plane: DataPlane, gate: Gate, callers: Callers, metrics: Metrics) -> Any:
    """The protocol of a server's connections, as uvicorn's configuration takes it."""
    return partial(Wire, Short(plane, gate, callers, metrics))
