"""What takes short cuts: the heads of requests that it knows, who it lets in, and how its answers begin."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Protocol

import httptools
from starlette.datastructures import Headers
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from everloop.governance.entities import Principal
from everloop.kernel.errors import EverloopError
from everloop.server.security import SECURITY_HEADERS, Gate, check_host, check_length, check_origin, is_loopback

if TYPE_CHECKING:
    from everloop.server.metrics import Metrics, Series, Times
    from everloop.server.wire import Wire

JSON = b"content-type: application/json\r\ncontent-length: %d\r\n%b\r\n"
"""How an answer's head ends: length, then further lines."""
LONGEST_HEAD = 4096
LONGEST_LENGTH = 19
"""Digits of a length; who takes a longer one for another number sees another request begin behind it."""
UNUSUAL = ("transfer-encoding", "expect", "upgrade", "content-encoding")
"""Headers that make a request one for the door."""
_HARDENED = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items()).encode()


class Head(Protocol):
    """What the bytes of a head mean, as far as every connection asks: how long the body is."""

    length: int
    close: bool


class Heads(Protocol):
    """The heads that a short cut knows."""

    def find(self, raw: bytes) -> Any:
        """What a head means (a Head, which the short cut is asked with); None when the door shall answer."""
        ...


class Call:
    """A request under way: its answer goes out when it has its turn on the connection."""

    __slots__ = ("close", "response", "wire")

    def __init__(self, wire: Wire, close: bool) -> None:
        self.wire = wire
        self.close = close
        self.response = b""


class Shortcut(ABC):
    """What all connections of a process share. `door` is what its requests are counted under."""

    def __init__(self, metrics: Metrics, door: str) -> None:
        self._label = door
        self._by_client: dict[str, Heads] = {}
        self._requests = metrics.counter("everloop_http_requests_total", "Requests answered.")
        self._series: dict[tuple[str, str, int], Series] = {}
        self._seconds = metrics.histogram("everloop_http_request_seconds", "Time to the end of the answer.")
        self._times: dict[str, Times] = {}
        self._date: list[tuple[bytes, bytes]] = []
        self._prefix = b""

    @abstractmethod
    def new_heads(self, client: str) -> Heads:
        """The heads that clients at an address send."""

    @abstractmethod
    def knows(self, wire: Wire, head: Any) -> bool:
        """Whether it may be that a request with this head can be answered; the door shall have it otherwise."""

    @abstractmethod
    def ask(self, wire: Wire, head: Any, body: bytes) -> bool:
        """Put a request's call to the wire, and see to it that it is answered; False when the door shall have it."""

    @abstractmethod
    def refusal(self, error: EverloopError) -> tuple[int, bytes]:
        """The status and the body of an error."""

    def heads(self, client: str) -> Heads:
        """The heads that clients at an address send: what comes from this machine may be let in without a token."""
        here = client if is_loopback(client) else "elsewhere"
        if here not in self._by_client:
            self._by_client[here] = self.new_heads(client)
        return self._by_client[here]

    def count(self, status: int, method: str = "POST", door: str = "") -> None:
        """Count an answer."""
        series = self._series.get((door, method, status))
        if series is None:
            series = self._requests.series(method=method, door=door or self._label, status=str(status))
            self._series[door, method, status] = series
        series.value += 1

    def time(self, seconds: float, door: str = "") -> None:
        """Count the time that an answer took."""
        times = self._times.get(door)
        if times is None:
            times = self._times[door] = self._seconds.times(door=door or self._label)
        times.observe(seconds)

    def prefix(self, state: ServerState, status: int) -> bytes:
        """How an answer begins, with the headers that all have. They change once a second, with the date."""
        if state.default_headers is not self._date:
            self._date = state.default_headers
            defaults = b"".join(name + b": " + value + b"\r\n" for name, value in self._date)
            self._prefix = defaults + _HARDENED
        return STATUS_LINE[status] + self._prefix


def admitted(headers: Headers, gate: Gate, client: str, limit: int) -> Principal | str | None:
    """Who asks, or the token that it shows; None where the guard would not let it in, or has to say why."""
    try:
        check_host(headers, gate.settings)
        check_origin(headers)
        check_length(headers, limit)
        return gate.at_once(headers, client)
    except EverloopError:
        return None


class Parsed:
    """A head as the parser of the door reads it; not `complete` where that found anything else than one head.

    `ended` says that the whole request has, as it has no body.
    """

    def __init__(self, raw: bytes) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False
        self.ended = False
        self.keeps = False
        parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(raw)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.complete = False
        self.complete = self.complete and not any(_is_long_length(*header) for header in self.headers)
        self.method = parser.get_method() if self.complete else b""
        self.version = parser.get_http_version() if self.complete else ""

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The head has ended. Asked later, the parser would have forgotten whether the connection is to be kept."""
        self.complete = True
        self.keeps = self._parser.should_keep_alive()

    def on_body(self, body: bytes) -> None:
        """More than a head has come."""
        self.complete = False

    def on_message_complete(self) -> None:
        """The request has ended."""
        self.ended = True


def _is_long_length(name: bytes, value: bytes) -> bool:
    return name == b"content-length" and len(value) > LONGEST_LENGTH
