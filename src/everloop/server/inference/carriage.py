"""How requests and answers travel, whatever they say: compressed bodies, and headers that come back."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from everloop.server.inference.compression import WORTHWHILE, compressed, expanded

ECHOED = ("x-request-id", "x-ms-client-request-id", "x-amzn-sagemaker-custom-attributes")
"""Headers that the answer repeats, so that a client, a proxy and a cloud find the request again."""
LONGEST = 1024
"""A header that is longer is not repeated; SageMaker allows as much."""


class Carriage:
    """An app that gets its requests' bodies unpacked, and whose answers are packed for clients that ask for it.

    No request takes more than `limit` bytes when it is unpacked.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        encoding = headers.get("content-encoding", "")
        asked = _Unpacked(receive, encoding, self._limit) if encoding else receive
        await self._app(scope, asked, _Returned(send, headers))


class _Unpacked:
    """A receive channel that gives the unpacked body as one piece."""

    def __init__(self, receive: Receive, encoding: str, limit: int) -> None:
        self._receive = receive
        self._encoding = encoding
        self._limit = limit
        self._complete = False

    async def __call__(self) -> Message:
        if self._complete:
            return await self._receive()
        pieces, more = [], True
        while more:
            message = await self._receive()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
            more = message.get("more_body", False)
        self._complete = True
        body = await run_in_threadpool(expanded, b"".join(pieces), self._encoding, self._limit)
        return {"type": "http.request", "body": body, "more_body": False}


class _Returned:
    """A send channel that repeats headers of the request, and packs a body that comes as one piece."""

    def __init__(self, send: Send, asked: Headers) -> None:
        self._send = send
        self._accepted = asked.get("accept-encoding", "")
        self._echoed = {name: asked[name] for name in ECHOED if name in asked and len(asked[name]) <= LONGEST}
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(self._echoed)
            self._start = message
            return
        if self._start is not None:
            message = self._packed(self._start, message)
            await self._send(self._start)
            self._start = None
        await self._send(message)

    def _packed(self, start: Message, message: Message) -> Message:
        body = message.get("body", b"")
        if message.get("more_body", False) or len(body) < WORTHWHILE:
            return message
        packed, encoding = compressed(body, self._accepted)
        if not encoding:
            return message
        headers = MutableHeaders(scope=start)
        headers["content-encoding"], headers["content-length"] = encoding, str(len(packed))
        headers.add_vary_header("accept-encoding")
        return {**message, "body": packed}
