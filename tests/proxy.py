"""A proxy before a real S3 server that counts requests, and misbehaves when a test tells it to."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

Fault = Literal["", "error", "forbid", "hang", "cut", "corrupt"]
"""Answer 503; answer 403; answer nothing; end in the middle of the body; change a byte of the body."""
Rule = Callable[[str, str], Fault]
"""Which fault a request (its method and its path with query) meets."""


class Proxy:
    """What a test sees of the proxy: its endpoint, the requests so far, and the rule in force."""

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream).netloc
        self.endpoint = ""
        self.requests: list[str] = []
        self.received = 0
        self.rule: Rule = lambda method, path: ""
        self.closing = threading.Event()

    def clear(self) -> None:
        """Count from zero, and behave."""
        self.requests.clear()
        self.received = 0
        self.rule = lambda method, path: ""

    def fail_first(self, fault: Fault, times: int, method: str = "", part: str = "") -> None:
        """Meet the first requests of a method, with a part in their path, with a fault; the others are let through."""
        left = [times]

        def rule(asked: str, path: str) -> Fault:
            if method not in ("", asked) or part not in path or left[0] <= 0:
                return ""
            left[0] -= 1
            return fault

        self.rule = rule


@contextmanager
def proxied(upstream: str) -> Iterator[Proxy]:
    """A proxy before a server."""
    proxy = Proxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: _Handler(proxy, *args))
    server.daemon_threads = True
    proxy.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, proxy: Proxy, *args: object) -> None:
        self.proxy = proxy
        super().__init__(*args)  # type: ignore[arg-type]

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.proxy.requests.append(f"{self.command} {self.path}")
        self.proxy.received += len(body)
        fault = self.proxy.rule(self.command, self.path)
        if fault == "hang":
            self.proxy.closing.wait(30)
            self.close_connection = True
        elif fault == "forbid":
            self._answer(403, [], b"<Error><Code>AccessDenied</Code></Error>")
        elif fault == "error":
            self._answer(503, [], b"<Error><Code>SlowDown</Code></Error>")
        else:
            self._forward(body, fault)

    def _forward(self, body: bytes, fault: Fault) -> None:
        upstream = http.client.HTTPConnection(self.proxy.upstream, timeout=30)
        try:
            upstream.request(self.command, self.path, body, dict(self.headers.items()))
            response = upstream.getresponse()
            content = response.read()
        finally:
            upstream.close()
        dropped = {"transfer-encoding", "connection", "content-length"}
        headers = [(name, value) for name, value in response.getheaders() if name.lower() not in dropped]
        if self.command == "HEAD":
            self._answer(response.status, headers, b"", length=response.getheader("content-length", "0"))
        elif fault == "cut" and content:
            self._answer(response.status, headers, content[: len(content) // 2], length=str(len(content)))
            self.close_connection = True
            self.connection.close()
        elif fault == "corrupt" and content:
            middle = len(content) // 2
            wrong = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
            self._answer(response.status, headers, wrong)
        else:
            self._answer(response.status, headers, content)

    def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes, length: str = "") -> None:
        self.send_response_only(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", length or str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
