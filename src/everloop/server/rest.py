"""The REST door: every use case under `/api/v1`, made from its signature; and bytes by content."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, unquote

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from everloop.app.arguments import read
from everloop.app.platform import Platform
from everloop.governance.entities import Principal
from everloop.governance.roles import require
from everloop.kernel.errors import EverloopError, InvalidInput, NotFound, Problem
from everloop.kernel.usecase import UseCase, published
from everloop.server import openapi, points
from everloop.server.answers import (
    JSON,
    MSGPACK,
    StoredObject,
    answer,
    crash,
    refusal,
    refusal_of,
    wanted_media,
)
from everloop.server.packs import PackRoutes
from everloop.server.projects import project_of
from everloop.server.routing import Routes
from everloop.store.entities import Digest

PREFIX = "/api/v1"
THREADS = 10
"""How many use cases run at once; each may hold a database connection. Long ones have as many threads of their own."""
DEPTH = 64
"""How deeply a JSON body may be nested."""
_ADDRESS = re.compile(r"[0-9a-f]{64}")


class RestDoor:
    """The use cases of a platform as an ASGI app; a guard stands before it and says who calls."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._routes = Routes(published().values())
        self._packs = PackRoutes(platform)
        self._short = anyio.CapacityLimiter(THREADS)
        self._long = anyio.CapacityLimiter(THREADS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except EverloopError as error:
            response = refusal_of(error)
        except ClientDisconnect:
            return
        except Exception as error:  # noqa: BLE001 - the last line of defence: an answer without internals, and a log entry
            response = crash(error, self._platform.session().new_id())
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode("ascii", "replace").partition("?")[0].removeprefix(PREFIX)
        if path == "/openapi.json":
            return Response(self._description, media_type=JSON)
        if path in self._packs.routes:
            if request.method != "POST":
                return _wrong_method(request.method, ["POST"])
            return await self._packs.routes[path](request)
        if path == "/objects" or path.startswith("/objects/"):
            return await self._objects(request, path.removeprefix("/objects").strip("/"))
        logged = points.ROUTE.fullmatch(path)
        if logged and request.method == "POST":
            return await points.respond(self._platform, request, unquote(logged[1]))
        found = self._routes.at(path)
        if not found:
            raise NotFound(f"There is nothing at {PREFIX}{path}.", hint=f"{PREFIX}/openapi.json lists what there is.")
        if request.method not in found:
            return _wrong_method(request.method, sorted(found))
        return await self._call(request, *found[request.method])

    async def _call(self, request: Request, usecase: UseCase, in_path: dict[str, str]) -> Response:
        arguments = read(usecase, {name: [text] for name, text in in_path.items()})
        query = read(usecase, parse_qs(request.url.query, keep_blank_values=True))
        body = {} if usecase.method in ("GET", "DELETE") else await _body(request)
        for name, value in (*query.items(), *body.items()):
            if name in arguments:
                raise InvalidInput(f"{usecase.name}: {name} is given twice.", hint="Give it once.")
            arguments[name] = value

        def call() -> Any:
            return self._platform.call(
                usecase.name,
                arguments,
                principal=_principal(request),
                project=project_of(request),
                key=request.headers.get("idempotency-key", ""),
            )

        limiter = self._long if usecase.long else self._short
        return answer(await anyio.to_thread.run_sync(call, limiter=limiter), wanted_media(request))

    async def _objects(self, request: Request, digest: str) -> Response:
        """Bytes in and out: the hot route beside the use cases."""
        if request.method not in (("GET", "HEAD") if digest else ("POST",)):
            return _wrong_method(request.method, ["GET", "HEAD"] if digest else ["POST"])
        store = self._platform.resources.store
        if digest:
            require(_principal(request), "objects:read")
            if not _ADDRESS.fullmatch(digest):
                raise NotFound(f"{digest!r} is no address of an object.", hint="It has 64 hexadecimal digits.")
            content = await anyio.to_thread.run_sync(store.get, Digest(digest), limiter=self._short)
            return Response(
                content, headers={"content-disposition": "attachment"}, media_type="application/octet-stream"
            )
        require(_principal(request), "objects:write")
        data = await request.body()
        stored = await anyio.to_thread.run_sync(store.put, data, limiter=self._short)
        return answer(StoredObject(stored, len(data)))

    @cached_property
    def _description(self) -> bytes:
        return msgspec.json.encode(openapi.describe(published().values()))


async def _body(request: Request) -> dict[str, Any]:
    """The arguments in a request's body: a JSON or MessagePack object, or nothing at all.

    Raises:
        InvalidInput: it is of another type, broken, no object, or nested more than DEPTH deep.
    """
    content = await request.body()
    if not content:
        return {}
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in (JSON, MSGPACK):
        raise InvalidInput(f"The body is {media or 'of no type'}.", hint=f"Send it with Content-Type: {JSON}.")
    decode = msgspec.msgpack.decode if media == MSGPACK else msgspec.json.decode
    try:
        found = decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The body is not valid {media} ({error}).", hint="Send one object.") from None
    except RecursionError:
        raise _too_deep() from None
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise InvalidInput("The body is no object.", hint='Send the arguments by name: {"name": …}.')
    check_depth(found)
    return found


def check_depth(value: object) -> None:
    """Refuse what is nested more than DEPTH deep.

    Raises:
        InvalidInput: it is.
    """
    level = [value]
    for _ in range(DEPTH):
        level = [child for item in level if isinstance(item, (dict, list)) for child in _children(item)]
        if not level:
            return
    raise _too_deep()


def _children(item: dict[Any, Any] | list[Any]) -> list[Any]:
    return list(item.values()) if isinstance(item, dict) else item


def _too_deep() -> InvalidInput:
    return InvalidInput(f"The body is nested more than {DEPTH} levels deep.", hint="Send something flatter.")


def _principal(request: Request) -> Principal:
    principal: Principal = request.state.principal
    return principal


def _wrong_method(method: str, allowed: list[str]) -> Response:
    known = ", ".join(allowed)
    return refusal(Problem("invalid_input", f"{method} means nothing here.", f"Use {known}."), 405, {"Allow": known})
