"""The MLflow door as an ASGI app: unmodified MLflow clients track, upload and register here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar
from urllib.parse import parse_qs

import anyio
import anyio.to_thread
import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send

from everloop.app.platform import Platform
from everloop.kernel.errors import EverloopError
from everloop.kernel.usecase import Json
from everloop.server.answers import JSON, crash
from everloop.server.mlflow import (
    artifacts,
    assessments,
    batches,
    correlation,
    experiments,
    files,
    history,
    lineage,
    loggedmodels,
    registry,
    runs,
    search,
    serverinfo,
    traces,
    versions,
    webhooks,
)
from everloop.server.mlflow.endpoint import Answer, Caller, Endpoint, at
from everloop.server.mlflow.fields import fields_of
from everloop.server.mlflow.refusals import refusal, refusal_of

VERSION = "3.17.2"
"""The version of MLflow whose protocol this is."""
THREADS = 10
"""How many requests are worked on at once; each may hold a database connection."""
MODULES = (
    experiments,
    runs,
    batches,
    history,
    lineage,
    search,
    serverinfo,
    artifacts,
    loggedmodels,
    registry,
    versions,
    webhooks,
    traces,
    assessments,
    correlation,
)
"""Where the endpoints are."""
_ROOTS = ("/api/", "/ajax-api/")
T = TypeVar("T")


def answers(path: str) -> bool:
    """Whether this door answers at a path."""
    path = _single(path)
    if path in ("/health", "/version", *files.PAGES):
        return True
    below = _below_root(path)
    return below is not None and below.split("/")[0] in ("2.0", "3.0") and "/mlflow" in below


class MlflowDoor:
    """MLflow's REST API over a platform; a guard stands before it and says who calls."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._artifacts = files.ArtifactDoor(platform)
        root = experiments.Root(platform.settings.values.artifacts)
        platform.resources.ports.provide(experiments.Root, lambda: root)

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
            identity = self._platform.session().new_id()
            crash(error, identity)
            response = refusal("INTERNAL_ERROR", f"Something went wrong in the server (error {identity}).", 500)
        await response(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        sent = _single(request.scope["raw_path"].decode("ascii", "replace").partition("?")[0])
        if sent in ("/health", "/version"):
            return PlainTextResponse("OK" if sent == "/health" else VERSION)
        version, _, rest = (_below_root(sent) or "").partition("/")
        below = f"/{rest}" if rest else ""
        if sent in files.PAGES or files.is_bytes(below):
            return await self._artifacts.respond(request, self._caller(request), below or sent)
        path = below.removeprefix("/mlflow/").strip("/") if below.startswith("/mlflow/") else ""
        found, in_path = at(path if version == "2.0" else f"{version}/{path}")
        if not found:
            return refusal("ENDPOINT_NOT_FOUND", f"No endpoint found for {request.method} {sent}.", 404)
        if request.method not in found:
            allowed = {"Allow": ", ".join(sorted(found))}
            return refusal("BAD_REQUEST", f"{request.method} means nothing at {sent}.", 405, allowed)
        return await self._call(request, found[request.method], in_path)

    async def _call(self, request: Request, endpoint: Endpoint, in_path: dict[str, Json]) -> Response:
        if request.method == "GET":
            given = endpoint.from_query(parse_qs(request.url.query, keep_blank_values=True))
        else:
            given = fields_of(request.headers.get("content-type", ""), await request.body())
        return _answer(await self._in_thread(lambda: endpoint.answer(self._caller(request), given | in_path)))

    def _caller(self, request: Request) -> Caller:
        project = request.headers.get("x-everloop-project", "")
        return Caller(self._platform, request.state.principal, project)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)


def _single(path: str) -> str:
    """A path that begins with one slash: clients put theirs behind an address that may end in one."""
    return f"/{path.lstrip('/')}"


def _below_root(path: str) -> str | None:
    return next((path.removeprefix(root) for root in _ROOTS if path.startswith(root)), None)


def _answer(value: Answer) -> Response:
    return Response(msgspec.json.encode(value), media_type=JSON)
