"""How the HTTP doors say what they have to say: values and errors as JSON or MessagePack."""

from __future__ import annotations

import logging
import traceback

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from everloop.kernel.errors import EverloopError, Problem

JSON = "application/json"
MSGPACK = "application/msgpack"
log = logging.getLogger("everloop.server")


class StoredObject(msgspec.Struct, frozen=True):
    """Bytes that were kept: their address and how many they are."""

    digest: str
    size: int


def answer(value: object, media: str = JSON, status: int = 200) -> Response:
    """A value as a response. In JSON a number that is none (NaN, infinity) is null; MessagePack keeps it."""
    content = msgspec.msgpack.encode(value) if media == MSGPACK else msgspec.json.encode(value)
    return Response(content, status, media_type=media)


def refusal(problem: Problem, status: int, headers: dict[str, str] | None = None) -> Response:
    """An error as a response: `{"error": {"code", "message", "hint"}}`."""
    return Response(msgspec.json.encode({"error": problem}), status, headers, JSON)


def refusal_of(error: EverloopError) -> Response:
    """The response that an error's class stands for."""
    headers = {"WWW-Authenticate": 'Bearer realm="everloop", Basic realm="everloop"'} if error.status == 401 else None
    return refusal(error.problem, error.status, headers)


def crash(error: Exception, identity: str) -> Response:
    """A response that tells nothing but an id; what happened goes to the log (stderr) under that id."""
    log.error("error %s\n%s", identity, "".join(traceback.format_exception(error)))
    hint = f"The server's log tells more under {identity}."
    return refusal(Problem("internal", f"Something went wrong in the server (error {identity}).", hint), 500)


def wanted_media(request: Request) -> str:
    """The media type that the client asked for."""
    return MSGPACK if MSGPACK in request.headers.get("accept", "") else JSON
