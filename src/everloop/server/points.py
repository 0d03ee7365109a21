"""The hot route for points: `POST /api/v1/runs/{id}/points` takes segments, and answers when they are durable."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import Future

from starlette.requests import Request
from starlette.responses import Response

from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import InvalidInput, TooLarge
from everloop.tracking.entities import Logged, Points
from everloop.tracking.joining import joined
from everloop.tracking.points import MOST, unpack_all

ROUTE = re.compile(r"/runs/([^/]+)/points")
LARGEST = 32 * MOST
"""So many bytes a body may have; a segment of the most points has 28 a point and its keys."""
WRITER, SEQUENCE = "x-everloop-writer", "x-everloop-sequence"


def take(
    platform: Platform,
    run: str,
    body: bytes,
    principal: Principal,
    project: str = "",
    writer: str = "",
    sequence: str = "",
) -> Future[None]:
    """Hand the segments of a body to the ingest; the future is done when they are durable.

    Raises:
        InvalidInput: the body is no segment, or the sequence no number.
        PermissionDenied: the principal may not log.
    """
    require(principal, "tracking:write")
    session = platform.session(principal, project)
    points = joined(list(_unpacked(body))) if body else None
    logged = Logged(run, points, writer=writer, sequence=_number(sequence))
    return platform.ingest.submit(logged, session.principal, session.project)


def _unpacked(body: bytes) -> Iterator[Points]:
    """The segments of a body, as long as they hold no more than one may: a few bytes can become very many points.

    Raises:
        InvalidInput: they hold more, or one of them is damaged.
    """
    count = 0
    for points in unpack_all(body):
        count += len(points)
        if count > MOST:
            raise InvalidInput(f"The segments hold more than {MOST:,} points.", hint="Send several bodies.")
        yield points


async def respond(platform: Platform, request: Request, run: str) -> Response:
    """Take the body of a request, and answer 204 when it is durable."""
    headers = request.headers
    told = headers.get("x-everloop-project", ""), headers.get(WRITER, ""), headers.get(SEQUENCE, "")
    body = await _body(request)
    await asyncio.wrap_future(take(platform, run, body, request.state.principal, *told))
    return Response(status_code=204)


async def _body(request: Request) -> bytes:
    """The body, as long as it is not too long: the limit holds while it comes.

    Raises:
        TooLarge: it has more bytes than the most points take.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > LARGEST:
            raise TooLarge(f"The body has more than {LARGEST:,} bytes.", hint=f"Send up to {MOST:,} points at once.")
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _number(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise InvalidInput(f"{SEQUENCE} is {text[:40]!r}.", hint="Count the writes of a writer from 1.")
    return int(text)
