"""A bare Starlette app beside which the doors are measured: it parses JSON and sends it back. `--port PORT`."""

from __future__ import annotations

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def echo(request: Request) -> Response:
    """The body, parsed and written again; an empty object without one."""
    body = await request.body()
    return Response(msgspec.json.encode(msgspec.json.decode(body or b"{}")), media_type="application/json")


if __name__ == "__main__":
    app = Starlette(routes=[Route("/{path:path}", echo, methods=["GET", "POST"])])
    uvicorn.run(app, port=int(sys.argv[-1]), log_level="error", access_log=False, loop="uvloop", http="httptools")
