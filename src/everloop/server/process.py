"""A server as a process: it takes its port or says who cannot, serves, and stops cleanly when it is told to."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from everloop.kernel.errors import Unavailable

if TYPE_CHECKING:
    import uvicorn

GRACE_SECONDS = 10
"""How long requests may go on after SIGTERM."""


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        Unavailable: the port is taken or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise Unavailable(
            f"Cannot listen on {host}:{port} ({error}).", hint="Choose another port with --port; 0 takes a free one."
        ) from None


def address_of(listening: socket.socket) -> str:
    """The URL that a listening socket answers under."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(
    app: ASGIApp,
    listening: socket.socket,
    before: Callable[[], Awaitable[None]] | None = None,
    protocol: type[asyncio.Protocol] | None = None,
    make: Callable[[uvicorn.Config], uvicorn.Server] | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT: no new requests, the running ones are finished, and `run` returns.

    `before` is awaited first, in the loop that serves; what it raises ends `run`. `protocol` is what connections speak
    where it is not uvicorn's own; `make` gives a server that takes its connections otherwise.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        http=protocol or "auto",
        ws="none",
        lifespan="auto",
        log_level="error",  # Below that uvicorn has a line for each piece of garbage that anybody sends.
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config) if make is None else make(config)

    async def serve() -> None:
        if before is not None:
            await before()
        await server.serve(sockets=[listening])

    handlers = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(serve())
    except _Stopped:
        return
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        listening.close()


class _Stopped(SystemExit):
    """Raised by the signals when uvicorn is not there to take them: before it starts, and after it has finished."""


def _stop(number: int, frame: FrameType | None) -> None:
    sys.stderr.flush()
    raise _Stopped(0)
