"""Who answers while no worker does: 503 with the reason, so that clients need not wait for nothing."""

from __future__ import annotations

import socket

import msgspec
from starlette.types import Receive, Scope, Send

from everloop.server import process

RETRY_SECONDS = 5


def stand_in(listening: socket.socket, reason: str) -> None:
    """Answer every request with the reason until SIGTERM; the process itself lives, as `/healthz` says."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        alive = scope["path"] == "/healthz"
        body = msgspec.json.encode({"alive": True} if alive else {"error": reason, "ready": False})
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        headers += [] if alive else [(b"retry-after", str(RETRY_SECONDS).encode()), (b"connection", b"close")]
        await send({"type": "http.response.start", "status": 200 if alive else 503, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    process.run(app, listening, protocol=None)
