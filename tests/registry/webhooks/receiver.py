"""A receiver of webhooks: a real HTTP server that keeps what it is sent, and answers as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec


class Got(NamedTuple):
    """A request that came."""

    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """The body, read."""
        return msgspec.json.decode(self.body)  # type: ignore[no-any-return]

    @property
    def event(self) -> str:
        """What it is about."""
        return f"{self.told['entity']}.{self.told['action']}"


class Receiver:
    """What came, in order, and the statuses of the answers to come (200 when there are no more)."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.got: list[Got] = []
        self.statuses: list[int] = []

    @property
    def events(self) -> list[str]:
        """What came, by its events."""
        return [one.event for one in self.got]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver that listens on loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            length = int(self.headers.get("content-length", 0))
            receiver.got.append(Got({k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length)))
            self.send_response(receiver.statuses.pop(0) if receiver.statuses else 200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}/hook")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
